// SPDX-License-Identifier: Apache-2.0

// Package merge makes one story of the JSON lines of several nodes: 'nettrace flow -o json', run on each of them at the same time.
//
// A journey that left one node and one that began at another's device are two parts of one packet's way when protocol, addresses and ports
// (those behind the last translation of the first part), IP id, TCP sequence or ICMP sequence, flags and length agree; a tunnel around the
// packet does not matter. Without an IP id (IPv6, UDP that must not be fragmented) UDP packets of one length are paired in their order.
//
// Packets seen on both sides compare the nodes' clocks: a packet is not received before it is sent, so each packet bounds the difference of
// two clocks from one side, and packets both ways from both (the idea of NTP, RFC 5905). Times are told by the clock of the node that has
// the sender. Where clocks cannot be compared, a hop says so (Approx).
//
// The verdict follows from the nodes' own: the node that saw the drop knows best; what left one node and never reached another, which was
// watching all the time, was lost between them. Without a probe, what was answered does not excuse large packets or connections that are lost
// again and again beside it. Evidence of each node is kept behind its name.
//
//	err := merge.Run(ctx, []merge.Source{{Name: "node1", R: log1}, {Name: "node2", R: log2}}, renderer, merge.Options{Live: true, Warn: warn})
//
// In: records of one to 16 sources. Out: one start, drops, journeys with new ids, one verdict, through a render.Renderer.
package merge
