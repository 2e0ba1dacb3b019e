// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"net/netip"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/render"
)

func named(node string) *stream {
	s := newStream(node + ".jsonl")
	s.start = &render.Start{Node: node, Nodes: []render.Node{{Name: node}}}
	return s
}

// halves are a departure on one node and an arrival on another, of one TCP segment.
func halves() (a, b *part) {
	p := journey.Packet{Proto: "tcp", Tuple: journey.Tuple{Src: client, Sport: 40000, Dst: server, Dport: 8080}, Flags: "PSH,ACK", Len: 152, IPID: 7, Seq: 1000}
	left := &journey.Journey{ID: 1, Direction: journey.Request, Packet: p, At: epoch, End: journey.LeftNode,
		Hops: []journey.Hop{{Stage: journey.StageDeviceTx, Dev: "eth0", Node: "node1"}, {T: 1000, Stage: journey.StageDeviceTx, Dev: "eth0", Node: "node1"}}}
	came := &journey.Journey{ID: 1, Direction: journey.Request, Packet: p, At: epoch.Add(time.Millisecond), End: journey.Delivered,
		Hops: []journey.Hop{{Stage: journey.StageDeviceRx, Dev: "eth0", Node: "node2"}}}
	return &part{s: named("node1"), j: left}, &part{s: named("node2"), j: came}
}

// Which differences between the two sides still let a packet be one, and which do not.
func TestWhatIsOnePacket(t *testing.T) {
	other := netip.MustParseAddr("203.0.113.9")
	six := func(a *netip.Addr) { *a = netip.MustParseAddr("::ffff:" + a.String()) }
	for _, tc := range []struct {
		name       string
		change     func(a, b *journey.Journey)
		one        bool
		translated bool
	}{
		{"nothing differs", func(_, _ *journey.Journey) {}, true, false},
		{"translated on the way out", func(a, _ *journey.Journey) {
			now := a.Packet.Tuple
			a.Packet.Dst, a.Packet.Dport = service, 80
			a.Hops[0].Tuple = &now
		}, true, false},
		{"translated on the way in, which is the receiver's hop", func(_, b *journey.Journey) {
			b.Hops = append(b.Hops, journey.Hop{Stage: journey.StageNAT, Tuple: &journey.Tuple{Src: other, Dst: server}})
		}, true, false},
		{"mapped addresses", func(_, b *journey.Journey) { six(&b.Packet.Src); six(&b.Packet.Dst) }, true, false},
		{"a longer packet at its last hop", func(a, b *journey.Journey) { a.Hops[1].Len, b.Packet.Len = 172, 172 }, true, false},
		{"cut into segments", func(a, b *journey.Journey) { a.Packet.Len, b.Packet.Flags, b.Packet.IPID = 3052, "ACK", 8 }, true, false},
		{"another source, by somebody between", func(_, b *journey.Journey) { b.Packet.Src, b.Packet.Sport = other, 1 }, true, true},
		{"another source and IP id", func(_, b *journey.Journey) { b.Packet.Src, b.Packet.IPID = other, 9 }, false, false},
		{"another sequence", func(_, b *journey.Journey) { b.Packet.Seq++ }, false, false},
		{"a SYN and no SYN", func(_, b *journey.Journey) { b.Packet.Flags = "SYN" }, false, false},
		{"another protocol", func(_, b *journey.Journey) { b.Packet.Proto = "udp" }, false, false},
		{"a datagram of another length", func(a, b *journey.Journey) { a.Packet.Proto, b.Packet.Proto, b.Packet.Len = "udp", "udp", 99 }, false, false},
		{"a datagram with another IP id", func(a, b *journey.Journey) { a.Packet.Proto, b.Packet.Proto, b.Packet.IPID = "udp", "udp", 99 }, false, false},
		{"pings with another sequence", func(a, b *journey.Journey) {
			for _, j := range []*journey.Journey{a, b} {
				j.Packet.Proto, j.Packet.Flags, j.Packet.ICMP = "icmp", "", "echo request"
			}
			b.Packet.Seq++
		}, false, false},
		{"an answer", func(_, b *journey.Journey) { b.Direction = journey.Reply; b.Packet.Src = other }, false, false},
		{"it did not leave", func(a, _ *journey.Journey) { a.End = journey.Dropped }, false, false},
		{"it did not come in", func(_, b *journey.Journey) { b.Hops[0].Stage = journey.StageDeviceTx }, false, false},
		{"it has no hops", func(_, b *journey.Journey) { b.Hops = nil }, false, false},
	} {
		a, b := halves()
		tc.change(a.j, b.j)
		link([]*part{a, b}, []*stream{a.s, b.s})
		one := a.next == b && b.prev == a
		if one != tc.one || b.translated && tc.one != tc.translated {
			t.Errorf("%s: one packet is %v, translated %v", tc.name, one, b.translated)
		}
	}
}

// A part has one way on and one way in, on another node, and no way leads back into itself.
func TestPairRefuses(t *testing.T) {
	a, b := halves()
	c, d := halves()
	c.s = named("node3")
	switch {
	case pair(a, &part{s: a.s, j: b.j}, false):
		t.Error("two parts on one node")
	case !pair(a, b, false):
		t.Error("two parts on two nodes")
	case pair(a, d, false), pair(c, b, false):
		t.Error("a part that has its other half already")
	case !pair(b, c, false):
		t.Error("a third part")
	case pair(c, a, false):
		t.Error("a circle")
	}
}

// Flags that take a sequence number, from any combination.
func TestOrderFlags(t *testing.T) {
	for in, want := range map[string]string{"": "", "ACK": "", "SYN": "SYN", "SYN,ACK": "SYN", "FIN,ACK": "FIN", "PSH,ACK": "", "RST": "RST", "FIN,PSH,ACK": "FIN", "SYNACK": ""} {
		if got := order(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// A packet that two nodes received (a switch that floods) belongs to the one it was sent to, whichever is read first.
func TestMeantReceiver(t *testing.T) {
	for _, first := range []bool{true, false} {
		a, b := halves()
		c := &part{s: named("node3"), j: b.j}
		a.j.Hops[1].Outer = &journey.Tuple{Src: netip.MustParseAddr("192.168.50.1"), Dst: netip.MustParseAddr("192.168.50.3"), Dport: 8472}
		c.s.start.Nodes[0].Addresses = []netip.Addr{netip.MustParseAddr("192.168.50.3")}
		ps, all := []*part{a, b, c}, []*stream{a.s, b.s, c.s}
		if !first {
			ps, all = []*part{c, b, a}, []*stream{c.s, b.s, a.s}
		}
		link(ps, all)
		if a.next != c || b.prev != nil {
			t.Errorf("node3 first %v: it went on at %v", !first, a.next)
		}
	}
}
