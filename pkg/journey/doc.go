// SPDX-License-Identifier: Apache-2.0

// Package journey turns kernel events into journeys: one packet's way, hop by hop.
//
// It receives tracer.Events in the order of the ring buffer and returns Journeys when they end. An event belongs to a
// journey by the identity that the kernel side gave the packet; NAT, tunnels, clones and retransmissions are followed here.
// The package is pure: no clock, no kernel, no files. Time is the time in the events.
package journey
