// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

const ms = uint64(1e6)

var (
	pod    = netip.MustParseAddr("10.244.1.10")
	server = netip.MustParseAddr("10.244.2.20")
	vip    = netip.MustParseAddr("10.96.0.80")
)

func syn(dst netip.Addr, dport uint16) tracer.Tuple {
	return tracer.Tuple{Src: pod, Dst: dst, Sport: 40000, Dport: dport, Proto: tracer.ProtoTCP}
}

// ev is a packet event; the tests change what matters to them.
func ev(at uint64, point tracer.Point, netns uint32, dev, kind string) tracer.Event {
	return tracer.Event{Time: at * ms, ID: 7, Point: point, Dir: tracer.DirRequest, NetNS: netns, Ifindex: netns*10 + uint32(len(dev)), Dev: dev, Kind: kind,
		HasPacket: true, Tuple: syn(vip, 80), IPLen: 60, IPID: 9, Seq: 100, TCPFlags: flagSYN}
}

// play feeds events and closes everything.
func play(o Options, events ...tracer.Event) []Journey {
	a := New(o)
	for i := range events {
		a.Add(&events[i])
	}
	a.Flush()
	js := a.Done()
	SortByID(js)
	return js
}

// stages is a journey in short.
func stages(j *Journey) string {
	var out []string
	for i := range j.Hops {
		out = append(out, string(j.Hops[i].Stage))
	}
	return strings.Join(out, " ") + " = " + string(j.End)
}

func TestTranslationShowsInTheNextEvent(t *testing.T) {
	out := ev(3, tracer.PointTX, 2, "eth1", "phys")
	out.Tuple = tracer.Tuple{Src: netip.MustParseAddr("192.168.50.1"), Sport: 61000, Dst: server, Dport: 8080, Proto: tracer.ProtoTCP}
	js := play(Options{}, ev(1, tracer.PointTX, 1, "eth0", "veth"), ev(2, tracer.PointRX, 2, "veth1", "veth"), out)
	if len(js) != 1 || stages(&js[0]) != "device-tx device-rx nat nat device-tx = left-node" {
		t.Fatalf("%d journeys, %s", len(js), stages(&js[0]))
	}
	d, s := js[0].Hops[2], js[0].Hops[3]
	if d.NAT.Type != "dnat" || d.NAT.From != "10.96.0.80:80" || d.NAT.To != "10.244.2.20:8080" || d.NAT.Undo {
		t.Errorf("destination: %+v", *d.NAT)
	}
	if s.NAT.Type != "snat" || s.NAT.From != "10.244.1.10:40000" || s.NAT.To != "192.168.50.1:61000" {
		t.Errorf("source: %+v", *s.NAT)
	}
	if got := js[0].TupleAt(2); got.Dst != server || got.Src != pod {
		t.Errorf("after the first translation: %+v", got)
	}
	if got := js[0].TupleAt(4); got.Sport != 61000 || got.Dport != 8080 {
		t.Errorf("at the end: %+v", got)
	}
}

func TestRepliesUndoTranslations(t *testing.T) {
	in, out := ev(1, tracer.PointRX, 2, "flannel.1", "vxlan"), ev(2, tracer.PointTX, 2, "cni0", "bridge")
	in.Dir, out.Dir = tracer.DirReply, tracer.DirReply
	in.Tuple = tracer.Tuple{Src: server, Sport: 8080, Dst: pod, Dport: 40000, Proto: tracer.ProtoTCP}
	out.Tuple = tracer.Tuple{Src: vip, Sport: 80, Dst: pod, Dport: 40000, Proto: tracer.ProtoTCP}
	in.CTInfo, out.CTInfo = ctIsReply, ctIsReply
	js := play(Options{}, in, out)
	if h := js[0].Hops[1]; h.NAT == nil || h.NAT.Type != "dnat" || !h.NAT.Undo || h.NAT.To != "10.96.0.80:80" {
		t.Errorf("%+v", h)
	}
	Describe(&js[0], Words{})
	if got := js[0].Hops[1].What; got != "DNAT undone: source 10.244.2.20:8080 becomes 10.96.0.80:80 again" {
		t.Errorf("sentence %q", got)
	}
}

func TestRoutes(t *testing.T) {
	fib := func(at uint64, table uint32, err int32, oif string) tracer.Event {
		e := ev(at, tracer.PointFIB, 2, "", "")
		e.RouteTable, e.Err, e.OIF = table, err, oif
		return e
	}
	for _, tc := range []struct {
		name   string
		routes []tracer.Event
		want   string // error of the last route hop
		hops   int
	}{
		{"found in the second table", []tracer.Event{fib(2, 255, -eAGAIN, ""), fib(3, 254, 0, "eth0")}, "", 1},
		{"in no table", []tracer.Event{fib(2, 255, -eAGAIN, ""), fib(3, 254, -eAGAIN, "")}, "ENETUNREACH", 1},
		{"blackhole", []tracer.Event{fib(2, 254, -22, "")}, "EINVAL", 1},
		{"prohibit", []tracer.Event{fib(2, 254, -13, "")}, "EACCES", 1},
		{"the same twice", []tracer.Event{fib(2, 254, 0, "eth0"), fib(3, 254, 0, "eth0")}, "", 1},
		{"another one", []tracer.Event{fib(2, 254, 0, "eth0"), fib(3, 100, 0, "eth1")}, "", 2},
	} {
		js := play(Options{}, append([]tracer.Event{ev(1, tracer.PointRX, 2, "cni0", "bridge")}, tc.routes...)...)
		n, last := 0, ""
		for _, h := range js[0].Hops {
			if h.Stage == StageRoute {
				n, last = n+1, h.Route.Error
			}
		}
		if n != tc.hops || last != tc.want {
			t.Errorf("%s: %d route hops, error %q; want %d, %q", tc.name, n, last, tc.hops, tc.want)
		}
	}
}

func TestASocketsLookupStandsBeforeItsPacket(t *testing.T) {
	r := ev(1, tracer.PointFIB, 1, "", "")
	r.ID, r.HasPacket, r.OIF, r.RouteTable = 0, false, "eth0", 254
	r.Tuple = tracer.Tuple{Dst: vip, Dport: 80, Proto: tracer.ProtoTCP}
	other := r
	other.Tuple.Dst = server
	js := play(Options{}, r, other, ev(2, tracer.PointTX, 1, "eth0", "veth"))
	if got := stages(&js[0]); !strings.HasPrefix(got, "route device-tx") || js[0].Hops[0].T != 0 || js[0].Hops[1].T != int64(ms) {
		t.Errorf("%s, times %d %d", got, js[0].Hops[0].T, js[0].Hops[1].T)
	}
}

func TestQueues(t *testing.T) {
	q := ev(1, tracer.PointQueue, 2, "eth0", "phys")
	if js := play(Options{}, q, ev(1, tracer.PointTX, 2, "eth0", "phys")); stages(&js[0]) != "device-tx = left-node" {
		t.Errorf("no wait: %s", stages(&js[0]))
	}
	if js := play(Options{}, q, ev(9, tracer.PointTX, 2, "eth0", "phys")); stages(&js[0]) != "qdisc device-tx = left-node" {
		t.Errorf("8 ms in the queue: %s", stages(&js[0]))
	}
	d := ev(9, tracer.PointDrop, 2, "eth0", "phys")
	d.Reason, d.Location = "QDISC_DROP", "__dev_queue_xmit"
	if js := play(Options{}, q, d); stages(&js[0]) != "qdisc drop = dropped" {
		t.Errorf("dropped in the queue: %s", stages(&js[0]))
	}
}

func TestHooksComeFromTheStack(t *testing.T) {
	for _, tc := range []struct {
		reason, location string
		stack            []string
		want             string
	}{
		{"NETFILTER_DROP", "nf_hook_slow", []string{"nf_hook_slow", "ip_local_deliver", "ip_rcv"}, "INPUT"},
		{"NETFILTER_DROP", "nf_hook_slow", []string{"nf_hook_slow", "ip_forward", "ip_rcv"}, "FORWARD"},
		{"NETFILTER_DROP", "nft_do_chain", []string{"nft_do_chain", "nft_do_chain_ipv4", "nf_hook_slow", "ip_rcv"}, "PREROUTING"},
		{"NETFILTER_DROP", "nf_hook_slow", []string{"nf_hook_slow", "__ip_local_out", "tcp_transmit_skb"}, "OUTPUT"},
		{"NETFILTER_DROP", "nf_hook_slow", []string{"nf_hook_slow", "ip6_output"}, "POSTROUTING"},
		{"NETFILTER_DROP", "nf_hook_slow", []string{"nf_hook_slow", "br_nf_forward"}, "FORWARD"},
		{"IP_INNOROUTES", "ip_error", []string{"ip_error", "ip_sabotage_in", "nf_hook_slow", "ip_rcv"}, ""},
		{"", "nf_hook_slow", []string{"nf_hook_slow", "ip6_forward"}, "FORWARD"},
		{"NETFILTER_DROP", "nf_hook_slow", nil, ""},
	} {
		if got := hookOf(tc.stack, tc.reason, tc.location); got != tc.want {
			t.Errorf("%s at %s, %v: %q, want %q", tc.reason, tc.location, tc.stack, got, tc.want)
		}
	}
	if got := dropStack([]string{"bpf_prog_x", "bpf_trace_run4", "sk_skb_reason_drop", "tcp_v4_rcv", "ip_rcv"}, "tcp_v4_rcv"); strings.Join(got, " ") != "tcp_v4_rcv ip_rcv" {
		t.Errorf("stack %v", got)
	}
	if got := dropStack([]string{"bpf_prog_x", "kfree_skb_reason", "foo"}, "unknown"); strings.Join(got, " ") != "foo" {
		t.Errorf("stack without its place %v", got)
	}
}

func TestScopeHidesTheFabric(t *testing.T) {
	o := Options{Scoped: true, Places: map[uint32]Place{1: {Node: "node1", Where: &Where{Kind: "host", Name: "node1"}}, 3: {Node: "node2", Where: &Where{Kind: "host", Name: "node2"}}}}
	js := play(o, ev(1, tracer.PointTX, 1, "eth0", "veth"), ev(2, tracer.PointRX, 99, "port", "veth"), ev(3, tracer.PointTX, 99, "port", "veth"), ev(4, tracer.PointRX, 3, "eth0", "veth"))
	if got := stages(&js[0]); got != "device-tx device-rx = open" || js[0].Hops[1].Node != "node2" {
		t.Errorf("through the fabric: %s", got)
	}
	drop := ev(3, tracer.PointDrop, 0, "", "")
	drop.Reason = "NETFILTER_DROP"
	js = play(o, ev(1, tracer.PointTX, 1, "eth0", "veth"), ev(2, tracer.PointRX, 99, "port", "veth"), drop)
	if got := stages(&js[0]); got != "device-tx = left-node" {
		t.Errorf("dropped in the fabric: %s", got)
	}
	if js := play(o, ev(1, tracer.PointRX, 99, "port", "veth")); len(js) != 0 {
		t.Errorf("seen only in the fabric: %d journeys", len(js))
	}
}

func TestSentences(t *testing.T) {
	gw := netip.MustParseAddr("10.244.1.1")
	outer := &Tuple{Src: pod, Dst: server, Dport: 8472}
	for _, tc := range []struct {
		hop  Hop
		want string
	}{
		{Hop{Stage: StageDeviceTx, Dev: "eth0", DevKind: "veth"}, "sent out of eth0 (veth)"},
		{Hop{Stage: StageDeviceTx, Dev: "eth0", Outer: outer}, "sent out of eth0 inside VXLAN"},
		{Hop{Stage: StageDeviceTx, Dev: "flannel.1", DevKind: "vxlan"}, "handed to the tunnel device flannel.1"},
		{Hop{Stage: StageDeviceTx, Dev: "lo", DevKind: "loopback"}, "sent over loopback"},
		{Hop{Stage: StageDeviceRx, Dev: "eth0", DevKind: "phys"}, "received at eth0 (phys)"},
		{Hop{Stage: StageDeviceRx, Dev: "eth0", Outer: outer}, "received at eth0 inside VXLAN"},
		{Hop{Stage: StageBridge, Dev: "cni0", Port: "veth1"}, "taken by the bridge cni0 at its port veth1"},
		{Hop{Stage: StageBridge, Dev: "cni0", Func: "net_dev_start_xmit"}, "handed to the bridge cni0"},
		{Hop{Stage: StageBridge, Dev: "cni0", Func: "netif_receive_skb"}, "up from the bridge cni0 to its node"},
		{Hop{Stage: StageRoute, Route: &Route{Table: 254, OIF: "eth0", Gateway: gw}}, "routed via 10.244.1.1 to eth0"},
		{Hop{Stage: StageRoute, Route: &Route{Table: 254, OIF: "eth0"}}, "routed to eth0, directly connected"},
		{Hop{Stage: StageRoute, Route: &Route{Table: 255, Local: true}}, "routed: for this namespace"},
		{Hop{Stage: StageRoute, Route: &Route{Table: 254, Error: "ENETUNREACH"}}, "no route (ENETUNREACH, table main)"},
		{Hop{Stage: StageRoute, Route: &Route{Table: 100, Error: "EINVAL"}}, "a blackhole route takes it (table 100)"},
		{Hop{Stage: StageNeighbour, Route: &Route{OIF: "cni0", Gateway: gw}}, "waits for the MAC address of 10.244.1.1 on cni0"},
		{Hop{Stage: StageQdisc, Dev: "eth0"}, "waits in the queue of eth0"},
		{Hop{Stage: StageDrop, Location: "ip_error", Dev: "cni0", Reason: "IP_INNOROUTES"}, "dropped in ip_error at cni0, reason IP_INNOROUTES"},
		{Hop{Stage: StageDrop, Location: "nf_hook_slow", Hook: "FORWARD", Verdict: "reject", ICMP: "port unreachable"}, "rejected by netfilter in FORWARD; answered with ICMP port unreachable"},
		{Hop{Stage: StageNAT, NAT: &NAT{Type: "dnat", From: "a", To: "b"}, Ref: &Ref{Kind: "Service", Namespace: "shop", Name: "web", Port: "http"}}, "DNAT: destination a becomes b for svc/shop/web:http"},
		{Hop{Stage: StageNAT, NAT: &NAT{Type: "masquerade", From: "a", To: "b"}}, "MASQUERADE: source a becomes b"},
	} {
		j := Journey{Packet: Packet{Proto: "tcp"}, Hops: []Hop{tc.hop}}
		Describe(&j, Words{})
		if j.Hops[0].What != tc.want {
			t.Errorf("%q, want %q", j.Hops[0].What, tc.want)
		}
	}
}

func FuzzAssembler(f *testing.F) {
	f.Add([]byte{1, 1, 2, 4, 5, 3, 2, 1})
	f.Add([]byte{4, 4, 4, 6, 6, 12, 13, 16})
	f.Fuzz(func(t *testing.T, b []byte) {
		a := New(Options{})
		for i := 0; i+2 < len(b); i += 3 {
			e := ev(uint64(i+1), tracer.Point(b[i]%17), uint32(b[i+1]%4), "d", []string{"veth", "bridge", "vxlan"}[b[i+2]%3])
			e.ID, e.Err, e.New, e.Old, e.CTInfo = uint64(b[i+1]%5), -int32(b[i+2]%120), b[i+2]%13, b[i+1]%13, b[i+2]%8
			if b[i+2]&64 != 0 {
				e.Outer = syn(server, 8472)
			}
			if b[i+2]&128 != 0 {
				e.Tuple = tracer.Tuple{}
			}
			a.Add(&e)
			a.Advance(e.Time, uint64(i))
		}
		a.Flush()
		for _, j := range a.Done() {
			Describe(&j, Words{})
			if j.End == "" || j.ID == 0 {
				t.Fatalf("journey without an end: %+v", j)
			}
		}
	})
}

// The kernel tells that it sent an ICMP error without reading the packet's headers again: no change of addresses follows from that.
func TestErrorAboutAPacketChangesNothing(t *testing.T) {
	sent := tracer.Event{Time: 2 * ms, ID: 7, Point: tracer.PointICMP, Dir: tracer.DirRequest, NetNS: 2, Dev: "cni0", ICMPType: 3, ICMPCode: 3}
	sent.Tuple.Src, sent.Tuple.Dst = netip.IPv4Unspecified(), netip.IPv4Unspecified()
	js := play(Options{}, ev(1, tracer.PointRX, 2, "cni0", "bridge"), sent, dropped2(3, "nf_hook_slow", "NETFILTER_DROP", "nf_hook_slow", "ip_forward"))
	if got := stages(&js[0]); got != "bridge drop = rejected" || js[0].Hops[1].ICMP != "port unreachable" {
		t.Errorf("%s, ICMP %q", got, js[0].Hops[1].ICMP)
	}
}

// Topology: a node that masquerades a ping. Action: the answer comes with another id and the node's address; the kernel writes the address first,
// then the id. Expectation: one translation, not three; the answer's end behind the raw socket is no drop.
func TestPingThroughMasquerade(t *testing.T) {
	echo := func(at uint64, point tracer.Point, netns uint32, dst netip.Addr, id uint16) tracer.Event {
		e := ev(at, point, netns, "eth0", "veth")
		e.Dir, e.CTInfo, e.TCPFlags, e.Seq = tracer.DirReply, ctIsReply, 0, 1
		e.Tuple = tracer.Tuple{Src: server, Dst: dst, Sport: id, Dport: id, Proto: tracer.ProtoICMP}
		return e
	}
	node := netip.MustParseAddr("192.168.50.1")
	end := echo(5, tracer.PointDrop, 1, pod, 159)
	end.Location, end.Reason = "icmp_rcv", "NO_SOCKET"
	js := play(Options{IsLocal: func(uint32, netip.Addr) bool { return true }}, echo(1, tracer.PointRX, 2, node, 42895), echo(2, tracer.PointTX, 2, pod, 42895), echo(3, tracer.PointTX, 2, pod, 159),
		echo(4, tracer.PointRX, 1, pod, 159), end)
	if len(js) != 1 || stages(&js[0]) != "device-rx nat device-tx device-tx device-rx socket = delivered" {
		t.Fatalf("%d journeys, %s", len(js), stages(&js[0]))
	}
	moved := echo(2, tracer.PointTX, 2, pod, 42895)
	js = play(Options{}, echo(1, tracer.PointRX, 2, node, 42895), called(2, "nf_nat_manip_pkt", func(e *tracer.Event) {
		e.Dir, e.CTInfo, e.Tuple = tracer.DirReply, ctIsReply, moved.Tuple
	}), echo(3, tracer.PointTX, 2, pod, 159))
	if got := stages(&js[0]); got != "device-rx nat device-tx = left-node" {
		t.Fatal(got)
	}
	for _, h := range js[0].Hops {
		if h.NAT != nil && (h.NAT.Type != "snat" || !h.NAT.Undo || h.NAT.From != "192.168.50.1:42895" || h.NAT.To != "10.244.1.10:159") {
			t.Errorf("%+v", *h.NAT)
		}
	}
	end.Reason = ""
	if !afterlife(&end) {
		t.Error("a kernel without reasons: the answer's end is a drop")
	}
	for _, place := range []string{"skb_queue_purge", "sk_stream_kill_queues"} { // what a closed socket had in its queues
		for _, reason := range []string{"", "NOT_SPECIFIED"} {
			end.Location, end.Reason = place, reason
			if !afterlife(&end) {
				t.Errorf("%s of a kernel without reasons is a drop (%q)", place, reason)
			}
		}
	}
	request := echo(1, tracer.PointDrop, 1, pod, 159)
	request.Location, request.Reason, request.ICMPType = "icmp_rcv", "NO_SOCKET", 8
	if afterlife(&request) {
		t.Error("a request that nobody takes is a drop")
	}
}
