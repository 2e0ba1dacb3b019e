// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/probe"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// healthy is real traffic, without a probe, whose first connection was answered; node1 says so, or has only lost sight of it.
func healthy(sees verdict.Outcome) *world {
	w := newWorld(1)
	w.a.verdict.Outcome, w.a.verdict.Confidence = sees, verdict.Confirmed
	if sees == verdict.Lost {
		w.a.verdict.Cause, w.a.verdict.Layer = causeTunnel, verdict.Underlay
	}
	w.handshake(40000)
	return w
}

// handshake lets a connection of the client's port begin.
func (w *world) handshake(port uint16) {
	_, syn := w.send(w.from(port, w.tcp(journey.Request, "SYN", 999, 60)))
	r := w.from(port, w.tcp(journey.Reply, "SYN,ACK", 5, 60))
	r.after = syn
	w.send(r)
	w.send(w.from(port, w.tcp(journey.Request, "ACK", 1000, 52)))
	w.send(w.from(port, w.tcp(journey.Request, "PSH,ACK", 1000, 152)))
	w.send(w.from(port, w.tcp(journey.Reply, "ACK", 6, 52)))
}

// from makes a packet one of the connection from another port of the client.
func (w *world) from(port uint16, p packet) packet {
	if p.dir == journey.Reply {
		p.p.Dport = port
	} else {
		p.p.Sport = port
	}
	return p
}

// drop lets so many packets go that do not arrive, 200 ms one after the other.
func (w *world) drop(n int, next func(i int) packet) {
	for i := range n {
		p := next(i)
		p.lost = true
		w.send(p)
		w.now += 200 * ms
	}
}

// segment is the i-th full one behind what the handshake brought.
func (w *world) segment(i int) packet {
	return w.tcp(journey.Request, "ACK", uint32(1100+1380*i), 1432)
}

// again is a SYN of another connection.
func (w *world) again(int) packet { return w.from(40001, w.tcp(journey.Request, "SYN", 7, 60)) }

// elsewhere is the same to another endpoint on node2.
func (w *world) elsewhere(i int) packet {
	p := w.again(i)
	p.p.Dst = netip.MustParseAddr("10.244.2.21")
	return p
}

var (
	isDelivered = expectation{verdict.Delivered, "", "", verdict.Confirmed, "node1", nil, []string{"are lost", "nothing of"}}
	isTooLarge  = expectation{verdict.Lost, verdict.Underlay, causeMTU, verdict.Confirmed, "node1",
		[]string{"packets of 1432 bytes and more are lost between node1 and node2, those up to 152 bytes arrive", "and lost no events"}, []string{"may have missed"}}
	isSilent = expectation{verdict.Lost, verdict.Underlay, causeWire, verdict.Confirmed, "node1",
		[]string{"comes from node1 to node2, although it was sent repeatedly and other packets arrive", "node1: sent SYN 10.244.1.10:40001 →", "and 2 more packets", "never received any of these 3", "bonds, ECMP"}, []string{"MTU"}}
)

// Topology: node1 with the client, node2 with the server; nobody sends a probe. Action: a connection that is answered, and beside it what gets lost.
// Expectation: what TCP makes good, and what node2 may have missed, is no fault; large packets or a connection that never come through are one,
// whatever node1 alone says.
func TestLostBesideWhatWasAnswered(t *testing.T) {
	for _, tc := range []struct {
		name   string
		beside func(*world)
		want   expectation
	}{
		{"nothing", func(*world) {}, isDelivered},
		{"large segments", func(w *world) { w.drop(8, w.segment) }, isTooLarge},
		{"one large segment, sent again", func(w *world) { w.drop(6, func(int) packet { return w.segment(0) }) }, isTooLarge},
		{"large segments, and a small packet that is sent again with success", func(w *world) {
			w.drop(1, func(int) packet { return w.tcp(journey.Request, "PSH,ACK", 1100, 152) })
			w.send(w.tcp(journey.Request, "PSH,ACK", 1100, 152))
			w.drop(4, func(i int) packet { return w.tcp(journey.Request, "ACK", uint32(1200+1380*i), 1432) })
		}, isTooLarge},
		{"large segments of another connection", func(w *world) {
			w.handshake(40001)
			w.drop(4, func(i int) packet { return w.from(40001, w.segment(i)) })
		}, isTooLarge},
		{"large segments that node2 may have missed", func(w *world) {
			w.drop(4, w.segment)
			w.b.verdict.LostEvents = 3
		}, isDelivered},
		{"a single large segment", func(w *world) { w.drop(1, w.segment) }, isDelivered},
		{"large segments, sent again with success", func(w *world) {
			w.drop(3, w.segment)
			for i := range 3 {
				w.send(w.segment(i))
			}
		}, isDelivered},
		{"what the device was to cut, sent again in pieces", func(w *world) {
			for i := range uint32(3) {
				w.drop(1, func(int) packet { return w.tcp(journey.Request, "ACK", 1100+6900*i, 6952) })
				for k := range uint32(5) {
					w.send(w.tcp(journey.Request, "ACK", 1100+6900*i+1380*k, 1432))
				}
			}
		}, isDelivered},
		{"segments that are no larger than others", func(w *world) {
			w.send(w.segment(0))
			w.drop(1, func(int) packet { return w.segment(1) })
			w.send(w.segment(2))
			w.send(w.segment(1))
		}, isDelivered},
		{"a connection", func(w *world) { w.drop(3, w.again) }, isSilent},
		{"a connection to another endpoint", func(w *world) { w.drop(3, w.elsewhere) }, isSilent},
		{"a connection without a tunnel", func(w *world) {
			w.tunnel = false
			w.drop(3, w.again)
		}, isSilent},
		{"the first packet of a connection", func(w *world) { w.drop(1, w.again) }, isDelivered},
		{"the first packets of a connection that comes to be", func(w *world) {
			w.drop(2, w.again)
			w.handshake(40001)
		}, isDelivered},
		{"a connection that node2 may have missed", func(w *world) {
			w.drop(3, w.again)
			w.b.until = 150 * ms
		}, isDelivered},
		{"a connection that goes another way and is answered", func(w *world) {
			w.drop(3, w.again)
			r := w.from(40001, w.tcp(journey.Reply, "SYN,ACK", 5, 60))
			w.send(r)
		}, isDelivered},
	} {
		for _, sees := range []verdict.Outcome{verdict.Delivered, verdict.Lost} {
			t.Run(tc.name+", node1 alone: "+string(sees), func(t *testing.T) {
				w := healthy(sees)
				tc.beside(w)
				tc.want.check(t, w.merge(t))
			})
		}
	}
}

// The same on the way back: large answers get lost, and the answer to a connection.
func TestAnswersLostBesideOthers(t *testing.T) {
	w := healthy(verdict.Delivered)
	w.drop(4, func(i int) packet { return w.tcp(journey.Reply, "ACK", uint32(6+1380*i), 1432) })
	x := isTooLarge
	x.node, x.says = "node2", []string{"packets of 1432 bytes and more are lost between node2 and node1, those up to 60 bytes arrive"}
	x.check(t, w.merge(t))

	w = healthy(verdict.Delivered)
	w.send(w.again(0))
	w.drop(3, func(int) packet { return w.from(40001, w.tcp(journey.Reply, "SYN,ACK", 5, 60)) })
	x = isSilent
	x.node, x.says = "node2", []string{"nothing of 10.244.2.20:8080 → 10.244.1.10:40001 comes from node2 to node1"}
	x.check(t, w.merge(t))
}

// Several connections that are lost are counted.
func TestConnectionsLostBesideAnother(t *testing.T) {
	w := healthy(verdict.Delivered)
	for port := range uint16(3) {
		w.drop(2, func(int) packet { return w.from(40001+port, w.tcp(journey.Request, "SYN", 7, 60)) })
	}
	x := isSilent
	x.says = []string{"nothing of 3 connections, the first of them 10.244.1.10:40001 → 10.244.2.20:8080, comes from node1 to node2", "and 5 more packets"}
	x.check(t, w.merge(t))
}

// A probe that was answered decides, whatever else was lost.
func TestProbeAnsweredBesideLosses(t *testing.T) {
	w := healthy(verdict.Delivered)
	w.a.verdict.Probe = &probe.Result{Result: probe.Connected, MS: 3}
	w.drop(8, w.segment)
	isDelivered.check(t, w.merge(t))
}

// Datagrams whose fragments arrive are not lost for their size.
func TestFragmentsAreNoLoss(t *testing.T) {
	udp := func(w *world, dir journey.Direction, ipid uint16, length uint32) packet {
		p := w.tcp(dir, "", 0, length)
		p.p.Proto, p.p.IPID = "udp", ipid
		return p
	}
	for _, arrives := range []bool{true, false} {
		w := newWorld(1)
		w.a.verdict.Outcome, w.a.verdict.Confidence = verdict.Delivered, verdict.Confirmed
		w.send(udp(w, journey.Request, 1, 90))
		w.send(udp(w, journey.Reply, 2, 90))
		for i := range uint16(3) {
			p := udp(w, journey.Request, 10+i, 3028)
			p.lost = true
			left, _ := w.send(p)
			if arrives {
				q := left.Packet
				q.Len = 1500
				w.arrive(w.b, q, &packet{dir: journey.Request})
			}
		}
		want := isTooLarge
		want.says = []string{"packets of 3028 bytes and more are lost between node1 and node2, those up to 90 bytes arrive"}
		if arrives {
			want = isDelivered
		}
		want.check(t, w.merge(t))
	}
}
