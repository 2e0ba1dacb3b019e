// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// The hooks of enum nf_inet_hooks.
const (
	preRouting = iota
	input
	forward
	output
	postRouting
)

// point is the number of a kernel function.
func point(t *testing.T, name string) tracer.Point {
	t.Helper()
	for i := range tracer.Functions {
		if tracer.Functions[i].Name == name {
			return tracer.Functions[i].Point
		}
	}
	t.Fatalf("%s is no point", name)
	return 0
}

// call is a kernel function that is called with the packet of ev.
func call(t *testing.T, at uint64, name string, netns uint32, dev string) tracer.Event {
	t.Helper()
	e := tracer.Event{Time: at * ms, ID: 7, Point: point(t, name), Dir: tracer.DirRequest, NetNS: netns, Dev: dev}
	if dev != "" {
		e.Ifindex = netns*10 + uint32(len(dev))
	}
	return e
}

func hookCall(t *testing.T, at uint64, pf, hook uint32) tracer.Event {
	e := call(t, at, "nf_hook_slow", 2, "veth1")
	e.PF, e.Hook = pf, hook
	return e
}

func tableCall(t *testing.T, at uint64, table string, hook uint32) tracer.Event {
	e := call(t, at, "ipt_do_table", 2, "veth1")
	e.PF, e.Hook, e.Table = nfIPv4, hook, table
	return e
}

// tracked gives an event a conntrack entry for the packet of ev.
func entry(e tracer.Event, info uint8, status uint32) tracer.Event {
	e.HasCT, e.CTInfo, e.CTStatus = true, info, status
	e.CTOrig, e.CTReply = syn(vip, 80), syn(vip, 80).Reverse()
	return e
}

// one plays a single packet's events.
func one(t *testing.T, o Options, events ...tracer.Event) *Journey {
	t.Helper()
	js := play(o, events...)
	if len(js) != 1 {
		t.Fatalf("%d journeys", len(js))
	}
	Describe(&js[0])
	return &js[0]
}

// find is the first hop of a stage, an empty one when there is none.
func find(j *Journey, s Stage) *Hop {
	for i := range j.Hops {
		if j.Hops[i].Stage == s {
			return &j.Hops[i]
		}
	}
	return &Hop{}
}

func dropped1(at uint64, reason, location string, stack ...string) tracer.Event {
	e := ev(at, tracer.PointDrop, 2, "veth1", "veth")
	e.Reason, e.Location, e.Stack = reason, location, stack
	return e
}

func TestAHookIsAcceptedWhenThePacketIsSeenBehindIt(t *testing.T) {
	rx := ev(1, tracer.PointRX, 2, "veth1", "veth")
	start := []tracer.Event{rx, hookCall(t, 2, nfIPv4, forward), tableCall(t, 3, "mangle", forward), tableCall(t, 4, "filter", forward), tableCall(t, 4, "filter", forward)}
	fib := ev(5, tracer.PointFIB, 2, "veth1", "veth")
	fib.OIF, fib.RouteTable = "eth0", 254
	for _, tc := range []struct {
		name   string
		behind tracer.Event
		want   string
	}{
		{"the next hook", hookCall(t, 5, nfIPv4, postRouting), "accept"},
		{"a device", ev(5, tracer.PointTX, 2, "eth0", "phys"), "accept"},
		{"a function outside of netfilter", call(t, 5, "ip_do_fragment", 2, "veth1"), "accept"},
		{"a route that a rule asked for", fib, ""},
		{"an ICMP error that a rule sent", ev(5, tracer.PointICMP, 2, "veth1", "veth"), ""},
		{"its drop", dropped1(5, "NETFILTER_DROP", "nf_hook_slow", "nf_hook_slow", "ip_forward"), "drop"},
		{"a drop elsewhere", dropped1(5, "IP_INNOROUTES", "ip_error", "ip_error"), ""},
	} {
		j := one(t, Options{}, append(slices.Clone(start), tc.behind)...)
		h := find(j, StageNetfilter)
		if h.Verdict != tc.want || h.Hook != "FORWARD" || h.Family != "ip" || strings.Join(h.Tables, " ") != "mangle filter" || h.Step != "hook" {
			t.Errorf("behind it %s: %+v, want verdict %q", tc.name, h, tc.want)
		}
	}
	j := one(t, Options{}, append(slices.Clone(start), ev(5, tracer.PointTX, 2, "eth0", "phys"))...)
	if got := find(j, StageNetfilter).What; got != "netfilter ip FORWARD (mangle, filter): accept" {
		t.Errorf("sentence %q", got)
	}
	if got := stages(j); got != "device-rx netfilter device-tx = left-node" {
		t.Error(got)
	}
}

func TestHookNames(t *testing.T) {
	for _, tc := range []struct {
		pf, hook uint32
		want     string
	}{
		{nfIPv4, preRouting, "PREROUTING"}, {nfIPv4, input, "INPUT"}, {nfIPv6, forward, "FORWARD"}, {nfIPv6, output, "OUTPUT"}, {nfIPv4, postRouting, "POSTROUTING"},
		{nfNetdev, 0, "ingress"}, {nfNetdev, 1, "egress"}, {nfIPv4, 99, ""},
	} {
		if got := hookName(tc.pf, tc.hook); got != tc.want {
			t.Errorf("family %d hook %d: %q, want %q", tc.pf, tc.hook, got, tc.want)
		}
	}
}

func TestABridgesHookIsToldOnlyForItsRules(t *testing.T) {
	rx, tx := ev(1, tracer.PointRX, 2, "veth1", "veth"), ev(9, tracer.PointTX, 2, "veth2", "veth")
	bare := hookCall(t, 2, nfBridge, preRouting)
	if got := stages(one(t, Options{}, rx, bare, tx)); got != "device-rx device-tx = left-node" {
		t.Errorf("without rules: %s", got)
	}
	chain := call(t, 3, "nft_do_chain", 2, "veth1")
	chain.Table, chain.Chain = "filter", "forward"
	h := find(one(t, Options{}, rx, bare, chain, tx), StageNetfilter)
	if h.What != "netfilter rules (filter/forward): accept" || h.Hook != "" {
		t.Errorf("with an nftables chain: %+v", h)
	}
}

func TestIptablesFromAnotherHookIsAnotherHop(t *testing.T) {
	j := one(t, Options{}, ev(1, tracer.PointRX, 2, "veth1", "veth"), hookCall(t, 2, nfIPv4, preRouting), tableCall(t, 3, "nat", preRouting),
		tableCall(t, 4, "filter", forward), ev(5, tracer.PointTX, 2, "eth0", "phys"))
	if got := stages(j); got != "device-rx netfilter netfilter device-tx = left-node" || j.Hops[2].Hook != "FORWARD" || strings.Join(j.Hops[2].Tables, "") != "filter" {
		t.Errorf("%s, %+v", got, j.Hops[2])
	}
}

func TestAHooksTablesAreBounded(t *testing.T) {
	events := []tracer.Event{ev(1, tracer.PointRX, 2, "veth1", "veth"), hookCall(t, 2, nfIPv4, forward)}
	for i := range 100 {
		events = append(events, tableCall(t, 3, "t"+string(rune('a'+i%26))+string(rune('a'+i/26)), forward))
	}
	if n := len(find(one(t, Options{}, events...), StageNetfilter).Tables); n != 32 {
		t.Errorf("%d tables are kept", n)
	}
}

func TestConntrackShowsInTheNextEvent(t *testing.T) {
	rx, lookup := ev(1, tracer.PointRX, 2, "veth1", "veth"), call(t, 3, "nf_conntrack_in", 2, "veth1")
	hook, next := hookCall(t, 2, nfIPv4, preRouting), tableCall(t, 5, "nat", preRouting)
	invalid := call(t, 4, "nf_ct_l4proto_log_invalid", 2, "veth1")
	invalid.Words = "invalid state"
	untracked := next
	untracked.CTInfo = ctUntracked
	full := call(t, 4, "early_drop", 2, "veth1")
	for _, tc := range []struct {
		name   string
		events []tracer.Event
		state  string
		step   string
		what   string
	}{
		{"new", []tracer.Event{entry(next, 2, 0)}, "NEW", "lookup", "conntrack: NEW"},
		{"established", []tracer.Event{entry(next, 0, 8)}, "ESTABLISHED", "lookup", "conntrack: ESTABLISHED"},
		{"a reply", []tracer.Event{entry(next, 3, 8)}, "ESTABLISHED", "lookup", "conntrack: ESTABLISHED"},
		{"related", []tracer.Event{entry(next, 1, 8)}, "RELATED", "lookup", "conntrack: RELATED"},
		{"invalid", []tracer.Event{invalid, next}, "INVALID", "lookup", "conntrack: INVALID, invalid state"},
		{"invalid without words", []tracer.Event{next}, "INVALID", "lookup", "conntrack: INVALID"},
		{"untracked", []tracer.Event{untracked}, "UNTRACKED", "lookup", "conntrack: UNTRACKED"},
		{"the table is full", []tracer.Event{full, next}, "", "table-full", "conntrack: no entry, the table is full"},
		{"the table was full and an old entry went", []tracer.Event{full, entry(next, 2, 0)}, "NEW", "lookup", "conntrack: NEW"},
	} {
		h := find(one(t, Options{}, append([]tracer.Event{rx, hook, lookup}, tc.events...)...), StageConntrack)
		state := ""
		if h.CT != nil {
			state = h.CT.State
		}
		if state != tc.state || h.Step != tc.step || h.What != tc.what || h.Func != "nf_conntrack_in" || h.Hook != "PREROUTING" || h.T != int64(2*ms) {
			t.Errorf("%s: %+v, state %q", tc.name, h, state)
		}
	}
}

func TestAConnectionIsEnteredBehindItsHook(t *testing.T) {
	rx, confirm := ev(1, tracer.PointRX, 2, "veth1", "veth"), call(t, 3, "__nf_conntrack_confirm", 2, "veth1")
	j := one(t, Options{}, rx, hookCall(t, 2, nfIPv4, postRouting), confirm, ev(4, tracer.PointTX, 2, "eth0", "phys"))
	if h := find(j, StageConntrack); stages(j) != "device-rx netfilter conntrack device-tx = left-node" || h.Step != "confirm" || h.What != "conntrack: the connection is entered into the table" {
		t.Errorf("%s, %+v", stages(j), h)
	}
	j = one(t, Options{}, rx, hookCall(t, 2, nfIPv4, postRouting), confirm, dropped1(4, "NETFILTER_DROP", "nf_hook_slow", "nf_hook_slow", "ip_output"))
	if got := stages(j); got != "device-rx netfilter drop = dropped" {
		t.Errorf("one that could not be entered: %s", got)
	}
}

// natEvent is a call of nf_nat_manip_pkt: side 0 is the source, 1 the destination; reply is the direction.
func natEvent(t *testing.T, at uint64, side, reply int64, orig, answer tracer.Tuple) tracer.Event {
	e := call(t, at, "nf_nat_manip_pkt", 2, "veth1")
	e.HasCT, e.CTInfo, e.CTOrig, e.CTReply, e.Value, e.Limit = true, 2, orig, answer, side, reply
	return e
}

func TestRewritingTellsOldAndNew(t *testing.T) {
	node := netip.MustParseAddr("192.168.50.1")
	rx := ev(1, tracer.PointRX, 2, "veth1", "veth")
	orig := syn(vip, 80)
	answer := tracer.Tuple{Src: server, Sport: 8080, Dst: node, Dport: 61000, Proto: tracer.ProtoTCP}
	for _, tc := range []struct {
		name   string
		events []tracer.Event
		want   string
		kind   string
	}{
		{"destination", []tracer.Event{natEvent(t, 2, 1, 0, orig, answer)}, "DNAT: destination 10.96.0.80:80 becomes 10.244.2.20:8080", "dnat"},
		{"source", []tracer.Event{natEvent(t, 2, 0, 0, orig, answer)}, "SNAT: source 10.244.1.10:40000 becomes 192.168.50.1:61000", "snat"},
		{"masquerade", []tracer.Event{call(t, 2, "nf_nat_masquerade_ipv4", 2, ""), natEvent(t, 3, 0, 0, orig, answer)}, "MASQUERADE: source 10.244.1.10:40000 becomes 192.168.50.1:61000", "masquerade"},
		{"redirect", []tracer.Event{call(t, 2, "nf_nat_redirect_ipv4", 2, ""), natEvent(t, 3, 1, 0, orig, answer)}, "REDIRECT: destination 10.96.0.80:80 becomes 10.244.2.20:8080", "redirect"},
		{"a masquerade rule translates no destination", []tracer.Event{call(t, 2, "nf_nat_masquerade_ipv4", 2, ""), natEvent(t, 3, 1, 0, orig, answer)}, "DNAT: destination 10.96.0.80:80 becomes 10.244.2.20:8080", "dnat"},
		{"nothing to change", []tracer.Event{natEvent(t, 2, 1, 0, orig, orig.Reverse())}, "", ""},
		{"without an entry", []tracer.Event{call(t, 2, "nf_nat_manip_pkt", 2, "veth1")}, "", ""},
	} {
		h := find(one(t, Options{}, append([]tracer.Event{rx}, tc.events...)...), StageNAT)
		kind := ""
		if h.NAT != nil {
			kind = h.NAT.Type
		}
		if h.What != tc.want || kind != tc.kind || (kind != "" && h.Func != "nf_nat_manip_pkt") {
			t.Errorf("%s: %q by %s, type %q", tc.name, h.What, h.Func, kind)
		}
	}
}

func TestRewritingIsToldOnce(t *testing.T) {
	answer := tracer.Tuple{Src: server, Sport: 8080, Dst: pod, Dport: 40000, Proto: tracer.ProtoTCP}
	tx := ev(3, tracer.PointTX, 2, "eth0", "phys")
	tx.Tuple = answer.Reverse()
	j := one(t, Options{Backends: map[string]string{"nf_nat_manip_pkt": tracer.BackendKprobe}}, ev(1, tracer.PointRX, 2, "veth1", "veth"), natEvent(t, 2, 1, 0, syn(vip, 80), answer), tx)
	if got := stages(j); got != "device-rx nat device-tx = left-node" || j.Hops[1].Backend != tracer.BackendKprobe {
		t.Errorf("%s by %s", got, j.Hops[1].Backend)
	}
	if got := j.TupleAt(2); got.Dst != server || got.Dport != 8080 {
		t.Errorf("at the end %+v", got)
	}
}

func TestAReplysAddressesAreTranslatedBack(t *testing.T) {
	answer := tracer.Tuple{Src: server, Sport: 8080, Dst: pod, Dport: 40000, Proto: tracer.ProtoTCP}
	rx := ev(1, tracer.PointRX, 2, "flannel.1", "vxlan")
	rx.Dir, rx.Tuple = tracer.DirReply, answer
	back := natEvent(t, 2, 0, 1, syn(vip, 80), answer)
	back.CTInfo = ctIsReply
	h := find(one(t, Options{}, rx, back), StageNAT)
	if h.What != "DNAT undone: source 10.244.2.20:8080 becomes 10.96.0.80:80 again" {
		t.Errorf("%q", h.What)
	}
	rx.Tuple.Dst, rx.Tuple.Dport = netip.MustParseAddr("192.168.50.1"), 61000
	back = natEvent(t, 2, 1, 1, syn(server, 8080), rx.Tuple)
	back.CTInfo = ctIsReply
	if h = find(one(t, Options{}, rx, back), StageNAT); h.What != "SNAT undone: destination 192.168.50.1:61000 becomes 10.244.1.10:40000 again" {
		t.Errorf("%q", h.What)
	}
}

func TestIPVS(t *testing.T) {
	rx := ev(1, tracer.PointRX, 2, "veth1", "veth")
	for name, method := range map[string]string{"ip_vs_nat_xmit": "masquerading", "ip_vs_tunnel_xmit": "tunneling", "ip_vs_dr_xmit": "direct routing"} {
		e := call(t, 4, name, 2, "veth1")
		e.Virtual, e.Backend = syn(vip, 80), syn(server, 8080)
		h := find(one(t, Options{}, rx, hookCall(t, 2, nfIPv4, input), call(t, 3, "ip_vs_schedule", 2, "veth1"), e, ev(5, tracer.PointTX, 2, "eth0", "phys")), StageIPVS)
		if h.IPVS == nil || *h.IPVS != (IPVS{Method: method, Virtual: "10.96.0.80:80", Server: "10.244.2.20:8080"}) || h.Step != "real-server" ||
			h.What != "IPVS: 10.96.0.80:80 goes to the real server 10.244.2.20:8080 ("+method+")" {
			t.Errorf("%s: %+v", name, h)
		}
	}
	j := one(t, Options{}, rx, hookCall(t, 2, nfIPv4, input), call(t, 3, "ip_vs_leave", 2, "veth1"), dropped1(4, "", "nf_hook_slow", "nf_hook_slow", "ip_local_deliver"))
	last := j.Hops[len(j.Hops)-1]
	if h := find(j, StageIPVS); h.What != "IPVS has no real server for it" || h.Step != "no-server" || last.Step != "no-server" || last.Reason != "inferred:NETFILTER_DROP" {
		t.Errorf("%+v, end %+v", h, last)
	}
}

func TestBridgePorts(t *testing.T) {
	o := Options{BridgeOf: func(_, ifindex uint32) (string, uint32) {
		if ifindex == 25 {
			return "cni0", 3
		}
		return "", 0
	}}
	rx, to := ev(1, tracer.PointRX, 2, "veth1", "veth"), call(t, 2, "br_forward", 2, "veth1")
	to.OutDev, to.OutIndex = "veth2", 26
	j := one(t, o, rx, to, ev(3, tracer.PointTX, 2, "veth2x", "veth"))
	if got := stages(j); got != "device-rx bridge bridge device-tx = left-node" {
		t.Fatal(got)
	}
	if h := j.Hops[2]; h.Dev != "cni0" || h.From != "veth1" || h.Port != "veth2" || h.What != "the bridge forwards it to its port veth2" {
		t.Errorf("%+v", h)
	}
	j = one(t, o, rx, call(t, 2, "br_flood", 2, "veth1"))
	if h := j.Hops[2]; h.Step != "flood" || h.What != "the bridge floods it to all its ports" {
		t.Errorf("%+v", h)
	}
}

func TestPlainFunctions(t *testing.T) {
	for name, want := range map[string]string{"ip_do_fragment": "cut into fragments", "ip6_fragment": "cut into fragments", "skb_do_redirect": "a tc program redirects it"} {
		j := one(t, Options{}, ev(1, tracer.PointRX, 2, "veth1", "veth"), call(t, 2, name, 2, "veth1"))
		if len(j.Hops) != 2 || j.Hops[1].What != want || j.Hops[1].Func != name {
			t.Errorf("%s: %+v", name, j.Hops)
		}
	}
	for _, name := range []string{"ip_forward", "tcf_classify", "tcp_v4_rcv", "fib_validate_source", "vxlan_xmit", "__cgroup_bpf_run_filter_skb"} {
		if j := one(t, Options{}, ev(1, tracer.PointRX, 2, "veth1", "veth"), call(t, 2, name, 2, "veth1")); len(j.Hops) != 1 {
			t.Errorf("%s alone is a hop: %s", name, stages(j))
		}
	}
}

func TestAQueueToUserSpaceIsWaitedFor(t *testing.T) {
	a := New(Options{})
	for _, e := range []tracer.Event{ev(1, tracer.PointRX, 2, "veth1", "veth"), hookCall(t, 2, nfIPv4, forward), call(t, 3, "nf_queue", 2, "veth1")} {
		a.Add(&e)
	}
	a.Advance(1000*ms, 0)
	if len(a.Done()) != 0 {
		t.Fatal("given up while a program in user space has it")
	}
	tx := ev(1500, tracer.PointTX, 2, "eth0", "phys")
	a.Add(&tx)
	a.Flush()
	js := a.Done()
	Describe(&js[0])
	if got := stages(&js[0]); got != "device-rx netfilter netfilter device-tx = left-node" || js[0].Hops[2].What != "netfilter FORWARD: handed to a program in user space" {
		t.Errorf("%s, %q", got, js[0].Hops[2].What)
	}
}

func TestReleaseEndsAJourney(t *testing.T) {
	rx, gone := ev(1, tracer.PointRX, 3, "eth0", "veth"), call(t, 4, "skb_release_head_state", 3, "")
	if got := stages(one(t, Options{}, rx, call(t, 2, "ip_local_deliver", 3, "eth0"), call(t, 3, "tcp_v4_rcv", 3, "eth0"), gone)); got != "device-rx socket = delivered" {
		t.Errorf("at its socket: %s", got)
	}
	if got := stages(one(t, Options{}, rx, gone)); got != "device-rx = open" {
		t.Errorf("on the way: %s", got)
	}
	if js := play(Options{}, call(t, 1, "skb_release_head_state", 3, "")); len(js) != 0 {
		t.Errorf("a release without a packet is a journey")
	}
}

func TestTheTunnelsFunctionIsNamed(t *testing.T) {
	outer := tracer.Tuple{Src: netip.MustParseAddr("192.168.50.1"), Dst: netip.MustParseAddr("192.168.50.2"), Sport: 5, Dport: 4789, Proto: tracer.ProtoUDP}
	send := ev(4, tracer.PointTX, 2, "eth0", "phys")
	send.Outer, send.VNI = outer, 1
	j := one(t, Options{}, ev(1, tracer.PointTX, 2, "flannel.1", "vxlan"), call(t, 2, "vxlan_xmit", 2, "flannel.1"), call(t, 3, "vxlan_xmit_one", 2, "flannel.1"), send,
		call(t, 5, "skb_release_head_state", 2, ""))
	if h := find(j, StageTunnel); stages(j) != "device-tx tunnel device-tx = left-node" || h.Func != "vxlan_xmit_one" || h.Dev != "flannel.1" {
		t.Errorf("%s, %+v", stages(j), h)
	}
}
