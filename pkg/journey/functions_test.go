// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// called is the event of a kernel function for the packet of ev, in namespace 2.
func called(at uint64, function string, change ...func(*tracer.Event)) tracer.Event {
	e := tracer.Event{Time: at * ms, ID: 7, Dir: tracer.DirRequest, NetNS: 2, Ifindex: 24, Dev: "cni0"}
	for _, f := range tracer.Functions {
		if f.Name == function {
			e.Point = f.Point
		}
	}
	if e.Point == 0 {
		panic("no function " + function)
	}
	for _, c := range change {
		c(&e)
	}
	return e
}

func inHook(hook uint32) func(*tracer.Event) {
	return func(e *tracer.Event) { e.PF, e.Hook = nfIPv4, hook }
}

func ofTable(table, chain string) func(*tracer.Event) {
	return func(e *tracer.Event) { e.Table, e.Chain = table, chain }
}

// withCT gives the event a conntrack entry whose replies come from the server.
func withCT(info uint8) func(*tracer.Event) {
	return func(e *tracer.Event) {
		e.HasCT, e.CTInfo = true, info
		e.CTOrig = syn(vip, 80)
		e.CTReply = tracer.Tuple{Src: server, Sport: 8080, Dst: pod, Dport: 40000, Proto: tracer.ProtoTCP}
	}
}

func dropped2(at uint64, location, reason string, stack ...string) tracer.Event {
	e := ev(at, tracer.PointDrop, 2, "cni0", "bridge")
	e.Location, e.Reason, e.Stack = location, reason, stack
	return e
}

// steps is a journey in short: stage, step, hook, tables, verdict, reason.
func steps(j *Journey) string {
	var out []string
	for i := range j.Hops {
		h := &j.Hops[i]
		var words []string
		for _, w := range []string{string(h.Stage), h.Step, h.Hook, strings.Join(h.Tables, "+"), h.Verdict, h.Reason} {
			if w != "" {
				words = append(words, w)
			}
		}
		if h.CT != nil && h.Stage == StageConntrack {
			words = append(words, h.CT.State)
		}
		out = append(out, strings.Join(words, " "))
	}
	return strings.Join(out, "; ") + " = " + string(j.End)
}

func rx(at uint64) tracer.Event { return ev(at, tracer.PointRX, 2, "cni0", "bridge") }
func tx(at uint64) tracer.Event { return ev(at, tracer.PointTX, 2, "eth0", "phys") }

// What functions tell, in the order in which the kernel calls them.
func TestFunctions(t *testing.T) {
	listener := func(value, limit int64) func(*tracer.Event) {
		return func(e *tracer.Event) { e.Value, e.Limit = value, limit }
	}
	words := func(s string) func(*tracer.Event) { return func(e *tracer.Event) { e.Words = s } }
	port := func(name string, index uint32) func(*tracer.Event) {
		return func(e *tracer.Event) { e.OutDev, e.OutIndex = name, index }
	}
	consumed := ev(9, tracer.PointConsume, 2, "", "")
	consumed.HasPacket, consumed.Tuple = false, tracer.Tuple{}
	for _, tc := range []struct {
		name   string
		events []tracer.Event
		want   string
	}{
		{"a hook is passed when the packet is seen behind it",
			[]tracer.Event{rx(1), called(2, "nf_hook_slow", inHook(2)), called(3, "ipt_do_table", inHook(2), ofTable("mangle", "")), called(4, "ipt_do_table", inHook(2), ofTable("filter", "")), tx(5)},
			"bridge; netfilter hook FORWARD mangle+filter accept; device-tx = left-node"},
		{"nftables chains",
			[]tracer.Event{rx(1), called(2, "nf_hook_slow", inHook(0)), called(3, "nft_do_chain", ofTable("kube-proxy", "nat-prerouting")), tx(5)},
			"bridge; netfilter hook PREROUTING kube-proxy/nat-prerouting accept; device-tx = left-node"},
		{"a bridge's own hook without rules is no step",
			[]tracer.Event{rx(1), called(2, "nf_hook_slow", func(e *tracer.Event) { e.PF = nfBridge }), tx(5)}, "bridge; device-tx = left-node"},
		{"a new connection",
			[]tracer.Event{rx(1), called(2, "nf_hook_slow", inHook(0)), called(3, "nf_conntrack_in", inHook(0)), called(4, "ipt_do_table", inHook(0), ofTable("nat", ""), withCT(2)), tx(5)},
			"bridge; netfilter hook PREROUTING nat accept; conntrack lookup PREROUTING NEW; device-tx = left-node"},
		{"a connection is entered into the table",
			[]tracer.Event{rx(1), called(2, "nf_hook_slow", inHook(4), withCT(2)), called(3, "__nf_conntrack_confirm", withCT(2)), tx(5)},
			"bridge; netfilter hook POSTROUTING accept; conntrack confirm NEW; device-tx = left-node"},
		{"INVALID and dropped by a rule",
			[]tracer.Event{rx(1), called(2, "nf_hook_slow", inHook(0)), called(3, "nf_conntrack_in"), called(4, "nf_ct_l4proto_log_invalid", words("packet out of window")),
				called(5, "nf_hook_slow", inHook(2)), called(6, "ipt_do_table", inHook(2), ofTable("filter", "")), dropped2(7, "nf_hook_slow", "NETFILTER_DROP", "nf_hook_slow", "ip_forward")},
			"bridge; netfilter hook PREROUTING accept; conntrack lookup PREROUTING INVALID; netfilter hook FORWARD filter drop; drop FORWARD drop NETFILTER_DROP = dropped"},
		{"the conntrack table is full",
			[]tracer.Event{rx(1), called(2, "nf_hook_slow", inHook(0)), called(3, "nf_conntrack_in"), called(4, "early_drop"), dropped2(5, "nf_hook_slow", "NETFILTER_DROP", "nf_hook_slow", "ip_rcv")},
			"bridge; netfilter hook PREROUTING drop; conntrack table-full PREROUTING; drop conntrack-full PREROUTING drop NETFILTER_DROP = dropped"},
		{"an entry went and the packet passes",
			[]tracer.Event{rx(1), called(2, "nf_hook_slow", inHook(0)), called(3, "nf_conntrack_in"), called(4, "early_drop"), called(5, "ipt_do_table", inHook(0), ofTable("nat", ""), withCT(2)), tx(6)},
			"bridge; netfilter hook PREROUTING nat accept; conntrack lookup PREROUTING NEW; device-tx = left-node"},
		{"the entry could not be inserted",
			[]tracer.Event{rx(1), called(2, "nf_hook_slow", inHook(4), withCT(2)), called(3, "__nf_conntrack_confirm", withCT(2)), dropped2(4, "nf_hook_slow", "NETFILTER_DROP", "nf_hook_slow", "ip_output")},
			"bridge; netfilter hook POSTROUTING drop; drop insert-failed POSTROUTING drop NETFILTER_DROP = dropped"},
		{"NFQUEUE", []tracer.Event{rx(1), called(2, "nf_hook_slow", inHook(2)), called(3, "nf_queue")}, "bridge; netfilter hook FORWARD; netfilter queue FORWARD queue = open"},
		{"IPVS without a real server",
			[]tracer.Event{rx(1), called(2, "nf_hook_slow", inHook(1)), called(3, "ip_vs_leave"), dropped2(4, "nf_hook_slow", "NETFILTER_DROP", "nf_hook_slow", "ip_local_deliver")},
			"bridge; netfilter hook INPUT drop; ipvs no-server; drop no-server INPUT drop NETFILTER_DROP = dropped"},
		{"forwarded by a bridge, flooded by a bridge", []tracer.Event{rx(1), called(2, "br_forward", port("veth1", 9)), called(3, "br_flood"), tx(4)}, "bridge; bridge port; bridge flood; device-tx = left-node"},
		{"hairpin refused", []tracer.Event{rx(1), called(2, "br_forward", port("cni0", 24)), dropped2(3, "br_forward", "NOT_SPECIFIED")}, "bridge; bridge port; drop hairpin drop NOT_SPECIFIED = dropped"},
		{"another port and a drop in the bridge is no hairpin", []tracer.Event{rx(1), called(2, "br_forward", port("veth1", 9)), dropped2(3, "br_forward", "NOT_SPECIFIED")},
			"bridge; bridge port; drop drop NOT_SPECIFIED = dropped"},
		{"a VXLAN device without a remote, which ends as if it were well", []tracer.Event{rx(1), called(2, "vxlan_xmit"), consumed}, "bridge; drop fdb-miss drop inferred:NO_TX_TARGET = dropped"},
		{"a VXLAN device that sends", []tracer.Event{rx(1), called(2, "vxlan_xmit"), called(3, "vxlan_xmit_one"), consumed}, "bridge = open"},
		{"a full accept queue", []tracer.Event{rx(1), called(2, "tcp_v4_rcv"), called(3, "tcp_conn_request", listener(2, 1)), consumed}, "bridge; drop accept-queue-full drop = dropped"},
		{"an accept queue with a place", []tracer.Event{rx(1), called(2, "ip_local_deliver"), called(3, "tcp_conn_request", listener(1, 1)), consumed}, "bridge; socket = delivered"},
		{"released at its socket", []tracer.Event{rx(1), called(2, "ip_local_deliver"), called(3, "tcp_v4_rcv"), called(4, "skb_release_head_state")}, "bridge; socket = delivered"},
		{"cut into fragments", []tracer.Event{rx(1), called(2, "ip_do_fragment"), tx(3)}, "bridge; fragment fragment; device-tx = left-node"},
		{"redirected by tc", []tracer.Event{rx(1), called(2, "skb_do_redirect"), tx(3)}, "bridge; tc redirect; device-tx = left-node"},
		{"a rule's TCP reset", []tracer.Event{rx(1), called(2, "nf_hook_slow", inHook(2)), called(3, "nf_send_reset"), dropped2(4, "nf_hook_slow", "NETFILTER_DROP", "nf_hook_slow", "ip_forward")},
			"bridge; netfilter hook FORWARD drop; drop FORWARD reject NETFILTER_DROP = rejected"},
		{"a rule's ICMP error, told by the function", []tracer.Event{rx(1), called(2, "nf_hook_slow", inHook(2)), called(3, "__icmp_send", listener(3, 3)), dropped2(4, "nf_hook_slow", "", "nf_hook_slow", "ip_forward")},
			"bridge; netfilter hook FORWARD drop; drop FORWARD reject inferred:NETFILTER_DROP = rejected"},
		{"a function of a packet that nobody saw begins nothing", []tracer.Event{called(1, "nf_hook_slow", inHook(2))}, ""},
	} {
		js := play(Options{}, tc.events...)
		got := ""
		if len(js) == 1 {
			got = steps(&js[0])
		}
		if got != tc.want || len(js) > 1 {
			t.Errorf("%s:\ngot  %s\nwant %s", tc.name, got, tc.want)
		}
		for i := range js {
			Describe(&js[i], Words{})
			for _, h := range js[i].Hops {
				if h.What == "" || h.What == string(h.Stage) {
					t.Errorf("%s: stage %s says %q", tc.name, h.Stage, h.What)
				}
			}
		}
	}
}

// nf_nat_manip_pkt tells where a packet is rewritten, and the entry to what; the reply is put back.
func TestRewriting(t *testing.T) {
	dnat := called(2, "nf_nat_manip_pkt", withCT(2), func(e *tracer.Event) { e.Value = 1 })
	after := tx(3)
	after.Tuple = tracer.Tuple{Src: pod, Sport: 40000, Dst: server, Dport: 8080, Proto: tracer.ProtoTCP}
	js := play(Options{Backends: map[string]string{"nf_nat_manip_pkt": tracer.BackendKprobe}}, rx(1), dnat, after)
	if got := stages(&js[0]); got != "bridge nat device-tx = left-node" {
		t.Fatal(got)
	}
	if h := js[0].Hops[1]; h.Func != "nf_nat_manip_pkt" || h.Backend != tracer.BackendKprobe || h.NAT.From != "10.96.0.80:80" || h.NAT.To != "10.244.2.20:8080" || h.NAT.Undo || h.T != int64(ms) {
		t.Errorf("%+v %+v", h, *h.NAT)
	}

	back := ev(1, tracer.PointRX, 2, "flannel.1", "vxlan")
	back.Dir, back.Tuple = tracer.DirReply, tracer.Tuple{Src: server, Sport: 8080, Dst: pod, Dport: 40000, Proto: tracer.ProtoTCP}
	undo := called(2, "nf_nat_manip_pkt", withCT(3), func(e *tracer.Event) { e.Value, e.Limit, e.Dir = 0, 1, tracer.DirReply })
	js = play(Options{}, back, undo)
	if h := js[0].Hops[1]; h.NAT == nil || !h.NAT.Undo || h.NAT.Type != "dnat" || h.NAT.To != "10.96.0.80:80" {
		t.Errorf("%+v", h)
	}
}

// The rule that chose the new address gives the translation its name.
func TestKindsOfTranslation(t *testing.T) {
	node := netip.MustParseAddr("192.168.50.1")
	after := tx(4)
	after.Tuple = tracer.Tuple{Src: node, Sport: 61000, Dst: vip, Dport: 80, Proto: tracer.ProtoTCP}
	js := play(Options{}, rx(1), called(2, "nf_nat_masquerade_ipv4"), after)
	if h := js[0].Hops[1]; h.NAT == nil || h.NAT.Type != "masquerade" || h.NAT.To != "192.168.50.1:61000" {
		t.Errorf("%+v", h)
	}
	after.Tuple = tracer.Tuple{Src: pod, Sport: 40000, Dst: node, Dport: 15001, Proto: tracer.ProtoTCP}
	js = play(Options{}, rx(1), called(2, "nf_nat_redirect_ipv4"), after)
	if h := js[0].Hops[1]; h.NAT == nil || h.NAT.Type != "redirect" || h.NAT.To != "192.168.50.1:15001" {
		t.Errorf("%+v", h)
	}
}

func TestIPVS(t *testing.T) {
	xmit := called(2, "ip_vs_nat_xmit", func(e *tracer.Event) {
		e.Virtual, e.Backend = syn(vip, 80), tracer.Tuple{Src: pod, Sport: 40000, Dst: server, Dport: 8080, Proto: tracer.ProtoTCP}
	})
	after := tx(3)
	after.Tuple = xmit.Backend
	js := play(Options{}, rx(1), xmit, after)
	if got := stages(&js[0]); got != "bridge ipvs nat device-tx = left-node" {
		t.Fatal(got)
	}
	if v := js[0].Hops[1].IPVS; *v != (IPVS{"masquerading", "10.96.0.80:80", "10.244.2.20:8080"}) {
		t.Errorf("%+v", *v)
	}
	if h := js[0].Hops[2]; h.Func != "ip_vs_nat_xmit" || h.NAT.Type != "dnat" {
		t.Errorf("%+v", h)
	}
	Describe(&js[0], Words{})
	if got := js[0].Hops[1].What; got != "IPVS: 10.96.0.80:80 goes to the real server 10.244.2.20:8080 (masquerading)" {
		t.Error(got)
	}
}

// Geneve and IP-in-IP have their names; IP-in-IP has no ports.
func TestTunnelsByName(t *testing.T) {
	for _, tc := range []struct {
		kind  string
		dport uint16
		want  string
	}{
		{"geneve", 6081, "put into Geneve VNI 7, 192.168.50.1 to 192.168.50.2:6081; sent out of eth0 inside Geneve"},
		{"ipip", 0, "put into IP-in-IP, 192.168.50.1 to 192.168.50.2; sent out of eth0 inside IP-in-IP"},
		{"vxlan", 4789, "put into VXLAN VNI 7, 192.168.50.1 to 192.168.50.2:4789; sent out of eth0 inside VXLAN"},
	} {
		out := tx(2)
		out.Outer = tracer.Tuple{Src: netip.MustParseAddr("192.168.50.1"), Dst: netip.MustParseAddr("192.168.50.2"), Sport: tc.dport, Dport: tc.dport, Proto: tracer.ProtoUDP}
		out.Tunnel, out.VNI = tc.kind, 7
		js := play(Options{}, rx(1), out)
		Describe(&js[0], Words{})
		if got := js[0].Hops[1].What + "; " + js[0].Hops[2].What; got != tc.want || js[0].Hops[1].Tunnel.Type != tc.kind {
			t.Errorf("%s: %s", tc.kind, got)
		}
	}
}

// Rules that had their say are kept for what comes of it: a drop, or a translation, in the same hook and no other.
func TestSightings(t *testing.T) {
	at := func(v int64) func(*tracer.Event) { return func(e *tracer.Event) { e.Value = v } }
	seen := func(events ...tracer.Event) []Journey {
		a := New(Options{})
		for i := range events {
			a.Add(&events[i])
		}
		a.Flush()
		return a.Done()
	}
	memory := func(e *tracer.Event) { e.Memory = []byte{1, 2} }
	const base = 1 << 40
	drop := dropped2(9, "nf_hook_slow", "NETFILTER_DROP", "nf_hook_slow", "ip_forward")
	j := seen(rx(1), called(2, "nf_hook_slow", inHook(2)), called(3, "ipt_do_table", inHook(2), ofTable("mangle", ""), at(base/2)), called(4, "comment_mt", at(base/2+16)),
		called(5, "ipt_do_table", inHook(2), ofTable("filter", ""), at(base)), called(6, "comment_mt", at(base+200)), called(7, "reject_tg", at(base+900)),
		called(8, "reject_tg", at(7)), called(8, "fib_validate_source"), drop)[0]
	h := j.Hops[j.DropHop()]
	if len(h.Seen) != 3 || h.Seen[0].Func != "comment_mt" || h.Seen[0].Table != "mangle" || h.Seen[0].Offset != 16 || h.Seen[2].Func != "reject_tg" || h.Seen[2].Table != "filter" || h.Seen[2].Offset != 900 {
		t.Errorf("at the drop: %+v", h.Seen)
	}
	if hook := j.Hops[j.DropHop()-1]; hook.Verdict != "drop" {
		t.Errorf("the route that a rejection's answer takes ends the hook: %+v", hook)
	}
	j = seen(rx(1), called(2, "nf_hook_slow", inHook(0)), called(3, "ipt_do_table", inHook(0), ofTable("nat", ""), at(base)), called(4, "xt_dnat_target_v2", at(base+64)),
		called(5, "nf_hook_slow", inHook(2)), called(6, "nft_do_chain", inHook(2), ofTable("filter", "FORWARD")), called(7, "nft_immediate_eval", memory), drop)[0]
	h = j.Hops[j.DropHop()]
	if len(h.Seen) != 1 || h.Seen[0].Table != "filter/FORWARD" || len(h.Seen[0].Memory) != 2 {
		t.Errorf("of the hook that dropped: %+v", h.Seen)
	}
	many := []tracer.Event{rx(1), called(2, "nf_hook_slow", inHook(2)), called(3, "ipt_do_table", inHook(2), ofTable("filter", ""), at(base))}
	for i := range int64(maxSightings + 5) {
		many = append(many, called(4, "comment_mt", at(base+100+i)))
	}
	j = seen(append(many, drop)...)[0]
	if h = j.Hops[j.DropHop()]; len(h.Seen) != maxSightings || h.Seen[maxSightings-1].Offset != 100+maxSightings+4 {
		t.Errorf("the last ones are kept: %+v", h.Seen)
	}
}

// A rule that translates is told at the translation that it chose.
func TestSightingsOfATranslation(t *testing.T) {
	a := New(Options{})
	for _, e := range []tracer.Event{rx(1), called(2, "nf_hook_slow", inHook(0)), called(3, "nft_do_chain", inHook(0), ofTable("kube-proxy", "nat-prerouting")),
		called(4, "nft_nat_eval", func(e *tracer.Event) { e.Memory = []byte{7} }), called(5, "nf_nat_manip_pkt", withCT(2), func(e *tracer.Event) { e.Value = 1 }), tx(6)} {
		a.Add(&e)
	}
	a.Flush()
	for _, h := range a.Done()[0].Hops {
		if h.Stage == StageNAT {
			if len(h.Seen) != 1 || h.Seen[0].Func != "nft_nat_eval" {
				t.Errorf("%+v", h.Seen)
			}
			return
		}
	}
	t.Error("no translation")
}
