// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"fmt"
	"net/netip"
	"strconv"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

func TestEnds(t *testing.T) {
	local := Options{IsLocal: func(ns uint32, a netip.Addr) bool { return ns == 3 && a == vip }}
	rx := ev(1, tracer.PointRX, 3, "eth0", "veth")
	consume := ev(2, tracer.PointConsume, 0, "", "")
	consume.HasPacket, consume.Tuple = false, tracer.Tuple{}
	drop := func(reason, location string, stack ...string) tracer.Event {
		e := ev(2, tracer.PointDrop, 3, "eth0", "veth")
		e.Reason, e.Location, e.Stack = reason, location, stack
		return e
	}
	overtaken, late := drop("TCP_RFC7323_PAWS", "tcp_validate_incoming"), drop("TCP_RFC7323_PAWS", "tcp_validate_incoming")
	overtaken.TCPFlags, late.TCPFlags, late.Payload = flagACK, flagACK, 100
	closing, data := drop("NOT_SPECIFIED", "tcp_rcv_state_process"), drop("NOT_SPECIFIED", "tcp_rcv_state_process")
	closing.TCPFlags, data.TCPFlags, data.Payload = flagACK, flagACK, 100
	icmp := ev(2, tracer.PointICMP, 3, "eth0", "veth")
	icmp.ICMPType, icmp.ICMPCode = 3, 3
	rst := ev(2, tracer.PointResetSent, 3, "eth0", "veth")
	rst.Reason = "NO_SOCKET"
	home := Options{IsLocal: func(ns uint32, a netip.Addr) bool { return ns == 3 && a == server }}
	closed := drop("TCP_CLOSE", "tcp_rcv_state_process")
	closed.NetNS, closed.Dev, closed.TCPFlags, closed.Tuple.Dst = 0, "", flagACK, server
	tapped := func(reason, location string) tracer.Event {
		e := drop(reason, location)
		e.ID = 9
		return e
	}
	for _, tc := range []struct {
		name   string
		opt    Options
		events []tracer.Event
		want   string
	}{
		{"consumed at its socket", local, []tracer.Event{rx, consume}, "device-rx socket = delivered"},
		{"consumed on the way", Options{}, []tracer.Event{rx, consume}, "device-rx = open"},
		{"arrived, and freed without a word", local, []tracer.Event{rx}, "device-rx socket = delivered"},
		{"dropped", local, []tracer.Event{rx, drop("TCP_CSUM", "tcp_v4_rcv")}, "device-rx drop = dropped"},
		{"refused", local, []tracer.Event{rx, rst, drop("NO_SOCKET", "tcp_v4_rcv")}, "device-rx drop = rejected"},
		{"rejected by a rule", Options{}, []tracer.Event{rx, icmp, drop("NETFILTER_DROP", "nf_hook_slow", "nf_hook_slow", "ip_forward")}, "device-rx drop = rejected"},
		{"an error sent without a rule is a drop", Options{}, []tracer.Event{rx, icmp, drop("IP_INNOROUTES", "ip_error")}, "device-rx drop = dropped"},
		{"old data is no drop", local, []tracer.Event{rx, drop("TCP_OLD_DATA", "tcp_rcv_established")}, "device-rx socket = delivered"},
		{"old data elsewhere is one", Options{}, []tracer.Event{rx, drop("TCP_OLD_DATA", "x")}, "device-rx drop = dropped"},
		{"an ACK that a later one overtook is no drop", local, []tracer.Event{rx, overtaken}, "device-rx socket = delivered"},
		{"an ACK to a connection that closes is no drop", local, []tracer.Event{rx, closing}, "device-rx socket = delivered"},
		{"data to a connection that closes is one", local, []tracer.Event{rx, data}, "device-rx drop = dropped"},
		{"data with an old timestamp is one", local, []tracer.Event{rx, late}, "device-rx drop = dropped"},
		{"a closed socket's queue", local, []tracer.Event{rx, drop("QUEUE_PURGE", "skb_queue_purge_reason")}, "device-rx socket = delivered"},
		{"a drop that is none by its name", local, []tracer.Event{rx, drop("SKB_CONSUMED", "x")}, "device-rx socket = delivered"},
		{"a drop that is none by its name, on the way", Options{}, []tracer.Event{rx, drop("SKB_CONSUMED", "x")}, "device-rx = open"},
		{"a drop is a first sight", Options{}, []tracer.Event{drop("NETFILTER_DROP", "nf_hook_slow", "nf_hook_slow", "__ip_local_out")}, "drop = dropped"},
		{"a queue's purge is not", Options{}, []tracer.Event{drop("QUEUE_PURGE", "x")}, ""},
		{"what a closing socket on the node frees, behind its translation", home, []tracer.Event{ev(1, tracer.PointRX, 3, "eth0", "veth"), closed}, "device-rx nat socket = delivered"},
		{"a capture's copy on the way out is none", Options{}, []tracer.Event{tapped("PACKET_SOCK_ERROR", "x"), ev(3, tracer.PointTX, 2, "eth0", "phys")}, "device-tx = left-node"},
		{"a capture's copy is none, without a reason", Options{}, []tracer.Event{ev(1, tracer.PointTX, 1, "eth0", "veth"), tapped("", "tpacket_rcv"), ev(3, tracer.PointTX, 2, "eth0", "phys")}, "device-tx device-tx = left-node"},
		{"a capture's copy alone is no packet", Options{}, []tracer.Event{tapped("NOT_SPECIFIED", "packet_rcv")}, ""},
		{"left through a device", Options{}, []tracer.Event{ev(1, tracer.PointTX, 2, "eth0", "phys")}, "device-tx = left-node"},
	} {
		js := play(tc.opt, tc.events...)
		if len(js) == 0 {
			if tc.want != "" {
				t.Errorf("%s: no journey, want %s", tc.name, tc.want)
			}
			continue
		}
		if got := stages(&js[0]); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestCopiesAndReuse(t *testing.T) {
	first, copied := ev(1, tracer.PointTX, 1, "eth0", "veth"), ev(2, tracer.PointRX, 2, "veth1", "veth")
	copied.ID = 8
	if js := play(Options{}, first, copied); len(js) != 1 || len(js[0].Hops) != 2 {
		t.Errorf("a copy on the way is another packet: %d journeys", len(js))
	}
	again := first
	again.ID, again.Time = 8, 3*ms
	js := play(Options{}, first, again)
	if len(js) != 2 || js[1].Attempt != 2 {
		t.Errorf("the same data sent again: %d journeys", len(js))
	}
	ack := first
	ack.ID, ack.TCPFlags, ack.Time = 9, 16, 400*ms
	ack2 := ack
	ack2.ID, ack2.Time = 10, 800*ms
	for _, j := range play(Options{}, ack, ack2) {
		if j.Attempt != 1 {
			t.Errorf("a bare ACK is attempt %d", j.Attempt)
		}
	}
}

// Topology: two pods on a node. Action: a packet is received by its pod and freed where no point sees it; its memory then holds a packet of the
// other pod. Expectation: the journey ends in its own pod. From the node into a pod (bpf_redirect_peer) it goes on.
func TestMemoryOfAnotherPodIsNoHop(t *testing.T) {
	o := Options{IsLocal: func(netns uint32, a netip.Addr) bool { return netns == 2 }, Places: map[uint32]Place{
		1: {Node: "node1", Where: &Where{Kind: "host", Name: "node1"}},
		2: {Node: "node1", Where: &Where{Kind: "pod", Namespace: "shop", Name: "a"}}, 3: {Node: "node1", Where: &Where{Kind: "pod", Namespace: "shop", Name: "b"}}}}
	for _, point := range []tracer.Point{tracer.PointConsume, tracer.PointQueue} {
		js := play(o, ev(1, tracer.PointTX, 1, "vetha", "veth"), ev(2, tracer.PointRX, 2, "eth0", "veth"), ev(99, point, 3, "eth0", "veth"), ev(100, tracer.PointConsume, 3, "eth0", "veth"))
		if len(js) != 1 || stages(&js[0]) != "device-tx device-rx socket = delivered" || js[0].Hops[2].NetNS != 2 || js[0].Hops[2].T != int64(ms) {
			t.Errorf("point %d: %d journeys, %s: %+v", point, len(js), stages(&js[0]), js[0].Hops)
		}
	}
	o.IsLocal = func(uint32, netip.Addr) bool { return true }
	js := play(o, ev(1, tracer.PointRX, 1, "eth0", "phys"), ev(2, tracer.PointConsume, 2, "eth0", "veth"))
	if len(js) != 1 || stages(&js[0]) != "device-rx socket = delivered" || js[0].Hops[1].NetNS != 2 {
		t.Errorf("redirected into a pod: %s", stages(&js[0]))
	}
}

func TestTimeEndsJourneys(t *testing.T) {
	a := New(Options{})
	e := ev(1, tracer.PointTX, 2, "eth0", "phys")
	a.Add(&e)
	a.Advance(100*ms, 0)
	if len(a.Done()) != 0 || a.OpenLen() != 1 {
		t.Error("closed too early")
	}
	a.Advance(300*ms, 0)
	if js := a.Done(); len(js) != 1 || js[0].End != LeftNode || !js[0].Complete {
		t.Errorf("idle: %+v", js)
	}
	w := ev(1000, tracer.PointNeighSend, 2, "cni0", "bridge")
	f := ev(999, tracer.PointRX, 2, "flannel.1", "vxlan")
	a.Add(&f)
	a.Add(&w)
	a.Advance(3900*ms, 0)
	if len(a.Done()) != 0 {
		t.Error("a packet that waits for ARP was given up")
	}
	a.Advance(7000*ms, 0)
	if len(a.Done()) != 1 {
		t.Error("a packet waits for ARP for ever")
	}
}

func TestLossIsToldByTheJourneysThatWereOpen(t *testing.T) {
	a := New(Options{})
	e := ev(1, tracer.PointTX, 2, "eth0", "phys")
	a.Add(&e)
	a.Advance(2*ms, 5)
	a.Advance(3*ms, 5)
	a.Flush()
	late := ev(9, tracer.PointTX, 2, "eth0", "phys")
	late.ID, late.Seq = 8, 500
	a.Add(&late)
	a.Flush()
	js := a.Done()
	if js[0].Lost != 5 || js[0].Complete || js[1].Lost != 0 || !js[1].Complete || a.Lost() != 5 {
		t.Errorf("lost %d %d, complete %v %v, in all %d", js[0].Lost, js[1].Lost, js[0].Complete, js[1].Complete, a.Lost())
	}
}

func TestBounds(t *testing.T) {
	a := New(Options{})
	for i := range maxOpen + 10 {
		e := ev(uint64(i+1), tracer.PointTX, 2, "eth0", "phys")
		e.ID, e.Seq = uint64(i+1), uint32(i+1)
		a.Add(&e)
	}
	if a.OpenLen() > maxOpen {
		t.Errorf("%d journeys are open", a.OpenLen())
	}
	b := New(Options{})
	for i := range maxHops + 50 {
		e := ev(uint64(i+1), tracer.PointRX, 2, fmt.Sprintf("dev%d", i), "veth")
		b.Add(&e)
	}
	b.Flush()
	if js := b.Done(); len(js) != 1 || len(js[0].Hops) != maxHops || js[0].Complete {
		t.Errorf("%d hops, complete %v", len(js[0].Hops), js[0].Complete)
	}
}

func TestAConnectionThatIsEstablishedWasDelivered(t *testing.T) {
	rx := ev(1, tracer.PointRX, 3, "eth0", "veth")
	state := tracer.Event{Time: 2 * ms, Point: tracer.PointSockState, NetNS: 3, Tuple: rx.Tuple.Reverse(), Old: tcpSynRecv, New: tcpEstablished}
	js := play(Options{}, rx, state)
	if got := stages(&js[0]); got != "device-rx socket = delivered" || js[0].EndWhy != "connection established" {
		t.Errorf("%s, %s", got, js[0].EndWhy)
	}
	state.NetNS = 4
	if js := play(Options{}, rx, state); js[0].End == Delivered {
		t.Error("a socket in another namespace proves nothing")
	}
}

// Topology: a loop of routes, longer than what is kept of a way. Action: the packet is dropped in the end, or arrives. Expectation: the last hop
// says so, the drop that is told is this one, and the journey is not complete.
func TestTheEndOfAWayThatIsTooLong(t *testing.T) {
	loop := make([]tracer.Event, 0, maxHops+51)
	for i := range uint64(maxHops + 50) {
		loop = append(loop, ev(i+1, tracer.PointRX, 2, "eth"+strconv.FormatUint(i, 10), "phys"))
	}
	at := uint64(maxHops + 51)
	for _, tc := range []struct {
		name string
		end  []tracer.Event
		want End
		last Stage
	}{
		{"dropped", []tracer.Event{dropped2(at, "ip_forward", "IP_INHDR", "ip_forward")}, Dropped, StageDrop},
		{"dropped by a rule", []tracer.Event{called(at, "nf_hook_slow", inHook(2)), called(at, "ipt_do_table", inHook(2), ofTable("filter", "")),
			dropped2(at, "nf_hook_slow", "NETFILTER_DROP", "nf_hook_slow", "ip_forward")}, Dropped, StageDrop},
		{"a VXLAN device without a remote", []tracer.Event{called(at, "vxlan_xmit"), called(at, "skb_release_head_state")}, Dropped, StageDrop},
		{"arrived", []tracer.Event{called(at, "ip_local_deliver"), called(at, "skb_release_head_state")}, Delivered, StageSocket},
		{"still under way", nil, Open, StageDeviceRx},
	} {
		a := New(Options{})
		for _, e := range append(loop[:len(loop):len(loop)], tc.end...) {
			a.Add(&e)
		}
		a.Flush()
		j := a.Done()[0]
		last := &j.Hops[len(j.Hops)-1]
		if j.End != tc.want || last.Stage != tc.last || len(j.Hops) != maxHops || j.Complete {
			t.Errorf("%s: %s after %d hops, the last is %s, complete %v", tc.name, j.End, len(j.Hops), last.Stage, j.Complete)
		}
		drops := a.Drops()
		if tc.want == Dropped && (len(drops) != 1 || drops[0].Hop.Stage != StageDrop || j.DropHop() != maxHops-1) {
			t.Errorf("%s: drops %+v, hop %d", tc.name, drops, j.DropHop())
		}
		for i := range j.Hops {
			if h := &j.Hops[i]; h.Stage == StageDeviceRx && (h.Verdict != "" || h.Tables != nil) {
				t.Errorf("%s: hop %d has what another one did: %+v", tc.name, i, h)
			}
		}
	}
}
