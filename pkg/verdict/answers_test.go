// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

// Topology: one of two nodes is watched. Action: the far end answers, refuses, or falls silent. Expectation: what came back is not called lost.
func TestAnswersThatAreSeenFromOneNode(t *testing.T) {
	there := journey.Tuple{Src: client, Sport: 40000, Dst: server, Dport: 8081}
	back := journey.Tuple{Src: server, Sport: 8081, Dst: client, Dport: 40000}
	packet := func(id int, d journey.Direction, flags string, end journey.End) journey.Journey {
		j := goneAt(id, 60)
		j.Direction, j.End, j.Packet.Flags, j.Packet.Tuple = d, end, flags, there
		if d == journey.Reply {
			j.Packet.Tuple = back
		}
		if end == journey.Delivered {
			j.Hops = arrivedAt(id, d, 60).Hops
		}
		return j
	}
	const in, out = journey.Delivered, journey.LeftNode
	request := func(id int, flags string, end journey.End) journey.Journey {
		return packet(id, journey.Request, flags, end)
	}
	reply := func(id int, flags string, end journey.End) journey.Journey {
		return packet(id, journey.Reply, flags, end)
	}
	all := func(js ...journey.Journey) []journey.Journey { return js }
	again := reply(4, "PSH,ACK", out)
	again.Attempt = 3
	other := request(3, "ACK", in)
	other.Packet.Sport = 40001
	translated := request(3, "ACK", out)
	translated.Packet.Dst, translated.Hops[0].Tuple = vip, &there
	outside := func(id int, d journey.Direction, flags string, end journey.End) journey.Journey {
		j, far := packet(id, d, flags, end), netip.MustParseAddr("198.51.100.7")
		j.Packet.Src, j.Packet.Dst = server, far // the pod of the watched node is the client here
		if d == journey.Reply {
			j.Packet.Src, j.Packet.Dst = far, server
		}
		if end == out {
			j.Hops[0].Outer = nil
		}
		return j
	}
	bare := func(j journey.Journey) journey.Journey {
		if j.End == out {
			j.Hops[0].Outer = nil
		}
		return j
	}
	udp := func(j journey.Journey) journey.Journey {
		j.Packet.Proto = "udp"
		return j
	}
	named := Flow{Proto: "udp", Src: client.String(), Dst: server.String(), Dport: 8081, SrcRef: &journey.Ref{Kind: "Pod", Namespace: "shop", Name: "client"}}
	external := Flow{Proto: "tcp", Src: server.String(), Dst: "198.51.100.7", Dport: 443}
	nameserver := Flow{Proto: "udp", Src: client.String(), Dst: "169.254.20.10", Dport: 53}
	unnamed := func(string, netip.Addr, uint16) string { return "" }
	refused, timeout, reset := &probe.Result{Result: probe.Refused}, &probe.Result{Result: probe.Timeout}, &probe.Result{Result: probe.Reset}
	elsewhere := func(s *netstate.Snapshot) { s.Namespaces = s.Namespaces[:2] }
	const good, lost, refuses = "delivered   confirmed", "lost underlay tunnel-lost-in-fabric inconclusive", "rejected application not-listening likely"
	judgeAll(t, []judged{
		{"the server's node", Input{Journeys: all(request(1, "SYN", in), reply(2, "SYN,ACK", out), request(3, "ACK", in), reply(4, "FIN,ACK", out), request(5, "ACK", in))}, elsewhere, good, "later requests acknowledge them"},
		{"a node in between", Input{Journeys: all(request(1, "SYN", out), reply(2, "SYN,ACK", out), translated)}, elsewhere, "delivered   likely", "later requests acknowledge them"},
		{"the server's node, no acknowledgement", Input{Journeys: all(request(1, "SYN", in), reply(2, "SYN,ACK", out))}, elsewhere, lost, ""},
		{"the server's node, the SYN again", Input{Journeys: all(request(1, "SYN", in), reply(2, "SYN,ACK", out), request(3, "SYN", in))}, elsewhere, lost, ""},
		{"the server's node, a reset", Input{Journeys: all(request(1, "SYN", in), reply(2, "SYN,ACK", out), request(3, "RST,ACK", in))}, elsewhere, lost, ""},
		{"the server's node, another connection", Input{Journeys: all(request(1, "SYN", in), reply(2, "SYN,ACK", out), other)}, elsewhere, lost, ""},
		{"the server's node, later answers are lost", Input{Journeys: all(request(1, "SYN", in), reply(2, "SYN,ACK", out), request(3, "ACK", in), again)}, elsewhere, "lost underlay left-node inconclusive", "left 3 times"},
		{"the client's node, refused", Input{Journeys: all(request(1, "SYN", out), reply(2, "RST,ACK", in)), Probe: refused}, elsewhere, refuses, "nothing listens"},
		{"the client's node, refused, without a probe", Input{Journeys: all(request(1, "SYN", out), reply(2, "RST,ACK", in))}, elsewhere, refuses, "run nettrace on the node that has 10.244.2.20"},
		{"the client's node, reset later", Input{Journeys: all(request(1, "SYN", out), reply(2, "SYN,ACK", in), request(3, "PSH,ACK", out), reply(4, "RST", in)), Probe: reset}, elsewhere, "delivered application no-answer inconclusive", "then reset"},
		{"the client's node, silent later", Input{Journeys: all(request(1, "SYN", out), reply(2, "SYN,ACK", in), request(3, "PSH,ACK", out)), Probe: timeout}, elsewhere, "delivered application no-answer inconclusive", "answered the handshake, and then no more"},
		{"the client's node, answered", Input{Journeys: all(request(1, "SYN", out), reply(2, "SYN,ACK", in))}, elsewhere, good, ""},
		{"an external server refuses", Input{Flow: external, Journeys: all(outside(1, journey.Request, "SYN", out), outside(2, journey.Reply, "RST,ACK", in)), Probe: refused}, nil, refuses, ""},
		{"an external server is silent", Input{Flow: external, Journeys: all(outside(1, journey.Request, "SYN", out)), Probe: timeout}, nil, "lost pod-network egress-not-masqueraded likely", ""},
		{"the server's node, without a tunnel", Input{Journeys: all(bare(request(1, "SYN", in)), bare(reply(2, "SYN,ACK", out)), bare(reply(3, "SYN,ACK", out)))}, elsewhere, "lost underlay left-node inconclusive", "2 answers left node1, and none was acknowledged"},
		{"the server's node, UDP", Input{Journeys: all(bare(udp(request(1, "", in))), bare(udp(reply(2, "", out))))}, elsewhere, "delivered underlay left-node inconclusive", "whether that arrives cannot be seen from here"},
		{"the server's node, UDP in a tunnel", Input{Journeys: all(udp(request(1, "", in)), udp(reply(2, "", out)))}, elsewhere, "delivered underlay left-node inconclusive", "whether that arrives cannot be seen from here"},
		{"both nodes, UDP, the answer is lost in the tunnel", Input{Journeys: all(udp(request(1, "", in)), udp(reply(2, "", out)))}, nil, "lost underlay tunnel-lost-in-fabric likely", "is watched and saw none of them"},
		{"the server's node, UDP between pods without a tunnel", Input{Flow: named, Journeys: all(bare(udp(request(1, "", in))), bare(udp(reply(2, "", out))))}, elsewhere, "delivered underlay left-node inconclusive", ""},
		{"a nameserver's answer is not what was asked for", Input{Flow: nameserver, Name: unnamed, Journeys: all(request(1, "", out), reply(2, "", in)), Probe: &probe.Result{Result: probe.NoAnswer}}, nil, "delivered application no-answer inconclusive", "what the probe waited for"},
	})
}

// Pods without a tunnel between them: an answer shows that the network carries their addresses.
func TestAnswersWithoutATunnel(t *testing.T) {
	far := netip.MustParseAddr("10.244.2.30")
	syn := goneAt(1, 60)
	syn.Packet.Flags, syn.Packet.Tuple, syn.Hops[0].Outer = "SYN", journey.Tuple{Src: server, Sport: 40000, Dst: far, Dport: 80}, nil
	rst := arrivedAt(2, journey.Reply, 40)
	rst.Packet.Flags, rst.Packet.Tuple = "RST,ACK", journey.Tuple{Src: far, Sport: 80, Dst: server, Dport: 40000}
	flow := Flow{Proto: "tcp", Src: server.String(), Dst: far.String(), Dport: 80, DstRef: &journey.Ref{Kind: "Pod", Namespace: "shop", Name: "far"}}
	judgeAll(t, []judged{
		{"refused", Input{Flow: flow, Journeys: []journey.Journey{syn, rst}, Probe: &probe.Result{Result: probe.Refused}}, nil, "rejected application not-listening likely", ""},
		{"silent", Input{Flow: flow, Journeys: []journey.Journey{syn}, Probe: &probe.Result{Result: probe.Timeout}}, nil, "lost underlay fabric-drops-pod-ip inconclusive", ""},
	})
}
