// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// last is the last hop of the only journey that events make, described.
func last(t *testing.T, events ...tracer.Event) (*Journey, *Hop) {
	t.Helper()
	js := play(Options{}, events...)
	if len(js) != 1 {
		t.Fatalf("%d journeys", len(js))
	}
	Describe(&js[0], Words{})
	return &js[0], &js[0].Hops[len(js[0].Hops)-1]
}

// Whether a hook was passed shows in what follows it, and some of what follows says nothing.
func TestVerdictOfAHook(t *testing.T) {
	start := []tracer.Event{rx(1), called(2, "nf_hook_slow", inHook(2)), called(3, "ipt_do_table", inHook(2), ofTable("filter", ""))}
	fib, icmp := ev(5, tracer.PointFIB, 2, "cni0", "bridge"), ev(5, tracer.PointICMP, 2, "cni0", "bridge")
	fib.OIF, fib.RouteTable = "eth0", 254
	for _, tc := range []struct {
		name string
		next tracer.Event
		want string
	}{
		{"the next hook", called(5, "nf_hook_slow", inHook(4)), "accept"},
		{"a function outside of netfilter", called(5, "ip_do_fragment"), "accept"},
		{"a route that a rule asked for", fib, ""},
		{"an ICMP error that a rule sent", icmp, ""},
		{"a drop elsewhere", dropped2(5, "ip_error", "IP_INNOROUTES"), ""},
		{"its memory is given back", called(5, "skb_release_head_state"), ""},
	} {
		js := play(Options{}, append(append([]tracer.Event(nil), start...), tc.next)...)
		if got := js[0].Hops[1].Verdict; got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// What connection tracking met is the cause of a drop only while it is: an old entry that went made room.
func TestATableThatWasFullIsNoCauseOnceThereIsAnEntry(t *testing.T) {
	_, h := last(t, rx(1), called(2, "nf_hook_slow", inHook(0)), called(3, "nf_conntrack_in"), called(4, "early_drop"),
		called(5, "ipt_do_table", inHook(0), ofTable("nat", ""), withCT(2)), dropped2(6, "nf_hook_slow", "NETFILTER_DROP", "nf_hook_slow", "ip_rcv"))
	if h.Step != "" || h.What != "dropped by netfilter in PREROUTING at cni0, reason NETFILTER_DROP" {
		t.Errorf("step %q, %q", h.Step, h.What)
	}
	_, h = last(t, rx(1), called(2, "nf_hook_slow", inHook(4)), called(3, "__nf_conntrack_confirm"), dropped2(4, "neigh_invalidate", "NEIGH_FAILED"))
	if h.Step != "" {
		t.Errorf("a drop outside of netfilter: step %q", h.Step)
	}
}

// Where the call stack does not show the hook, the function that began it does.
func TestTheHookOfADropIsTheOneThatBegan(t *testing.T) {
	_, h := last(t, rx(1), called(2, "nf_hook_slow", inHook(2)), dropped2(3, "nf_hook_slow", ""))
	if h.Hook != "FORWARD" || h.Reason != "inferred:NETFILTER_DROP" {
		t.Errorf("%+v", h)
	}
	_, h = last(t, rx(1), called(2, "nf_hook_slow", inHook(2)), tx(3), dropped2(4, "nf_hook_slow", ""))
	if h.Hook != "" {
		t.Errorf("a hook that was passed: %q", h.Hook)
	}
	_, h = last(t, rx(1), called(2, "nf_hook_slow", inHook(2)), dropped2(3, "ip_error", ""))
	if h.Hook != "" {
		t.Errorf("a drop elsewhere: %q", h.Hook)
	}
}

// The kernel drops what a full accept queue cannot take in tcp_v4_rcv, without a reason of its own.
func TestADropForAFullAcceptQueueIsNoUsualEnd(t *testing.T) {
	for _, tc := range []struct {
		reason       string
		value, limit int64
		want         string
	}{
		{"NOT_SPECIFIED", 2, 1, "bridge drop = dropped"},
		{"", 2, 1, "bridge drop = dropped"},
		{"NOT_SPECIFIED", 1, 1, "bridge socket = delivered"},
	} {
		j, h := last(t, rx(1), called(2, "ip_local_deliver"), called(3, "tcp_v4_rcv"),
			called(4, "tcp_v4_syn_recv_sock", func(e *tracer.Event) { e.Value, e.Limit = tc.value, tc.limit }), dropped2(5, "tcp_v4_rcv", tc.reason))
		if stages(j) != tc.want || (j.End == Dropped && (h.Step != "accept-queue-full" || h.Reason != tc.reason || h.Why != "2 of 1 connections wait to be accepted")) {
			t.Errorf("reason %q, %d of %d: %s, %+v", tc.reason, tc.value, tc.limit, stages(j), h)
		}
	}
}

func TestSentencesOfTranslations(t *testing.T) {
	for _, tc := range []struct {
		kind string
		undo bool
		want string
	}{
		{"dnat", false, "DNAT: destination a becomes b"},
		{"snat", false, "SNAT: source a becomes b"},
		{"masquerade", false, "MASQUERADE: source a becomes b"},
		{"redirect", false, "REDIRECT: destination a becomes b"},
		{"dnat", true, "DNAT undone: source a becomes b again"},
		{"snat", true, "SNAT undone: destination a becomes b again"},
		{"masquerade", true, "MASQUERADE undone: destination a becomes b again"},
		{"redirect", true, "REDIRECT undone: source a becomes b again"},
	} {
		if got := translated(&Hop{NAT: &NAT{Type: tc.kind, From: "a", To: "b", Undo: tc.undo}}, "tcp", &Words{}); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}

// A masquerade rule names the source's translation only.
func TestAMasqueradeRuleTranslatesNoDestination(t *testing.T) {
	j, _ := last(t, rx(1), called(2, "nf_nat_masquerade_ipv4"), called(3, "nf_nat_manip_pkt", withCT(2), func(e *tracer.Event) { e.Value = 1 }))
	if h := j.Hops[1]; h.NAT == nil || h.NAT.Type != "dnat" {
		t.Errorf("%+v", h)
	}
	j, _ = last(t, rx(1), called(2, "nf_nat_manip_pkt"), called(3, "nf_nat_manip_pkt", withCT(2)))
	if got := stages(j); got != "bridge = open" {
		t.Errorf("without an entry, or without a change: %s", got)
	}
}

func TestAQueueToUserSpaceIsWaitedFor(t *testing.T) {
	a := New(Options{})
	for _, e := range []tracer.Event{rx(1), called(2, "nf_hook_slow", inHook(2)), called(3, "nf_queue")} {
		a.Add(&e)
	}
	a.Advance(1000*ms, 0)
	if len(a.Done()) != 0 {
		t.Fatal("given up while a program in user space has it")
	}
	again := tx(1500)
	a.Add(&again)
	a.Flush()
	if js := a.Done(); stages(&js[0]) != "bridge netfilter netfilter device-tx = left-node" {
		t.Errorf("%s", stages(&js[0]))
	}
}

func TestAHooksTablesAreBounded(t *testing.T) {
	events := []tracer.Event{rx(1), called(2, "nf_hook_slow", inHook(2))}
	for i := range 100 {
		events = append(events, called(3, "nft_do_chain", ofTable(fmt.Sprint(i), "chain")))
	}
	if js := play(Options{}, events...); len(js[0].Hops[1].Tables) != 32 {
		t.Errorf("%d tables are kept", len(js[0].Hops[1].Tables))
	}
}

// Any sequence of functions gives journeys with an end, a bounded number of hops and a sentence for each.
func FuzzFunctions(f *testing.F) {
	f.Add([]byte{1, 0, 0, 66, 1, 2, 67, 1, 2, 70, 1, 9, 74, 1, 3, 4, 1, 1})
	f.Add([]byte{2, 0, 0, 101, 0, 0, 5, 0, 0, 114, 7, 1, 117, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		a := New(Options{BridgeOf: func(_, i uint32) (string, uint32) { return "br0", i }, IsLocal: func(uint32, netip.Addr) bool { return len(b)%2 == 0 }})
		for i := 0; i+2 < len(b); i += 3 {
			p := tracer.Point(b[i] % 120)
			e := ev(uint64(i+1), p, uint32(b[i+1]%3)+1, "d", []string{"veth", "bridge", "vxlan"}[b[i+2]%3])
			e.HasPacket = tracer.RoleOf(p) == tracer.RoleNone
			e.Hook, e.PF, e.Value, e.Limit, e.CTInfo = uint32(b[i+1]), uint32(b[i+2]), int64(b[i+1]), int64(b[i+2]%2), b[i+2]%8
			e.Table, e.Chain, e.Words, e.Location = string(b[i:i+1]), string(b[i+1:i+2]), "\x1b[2J", []string{"nf_hook_slow", "br_forward", "vxlan_xmit"}[b[i+2]%3]
			if b[i+2]&32 != 0 {
				withCT(b[i+1] % 8)(&e)
			}
			if tracer.RoleOf(p) == tracer.RoleIPVS {
				e.Virtual, e.Backend = syn(vip, 80), syn(server, 8080)
			}
			a.Add(&e)
		}
		a.Flush()
		for _, j := range a.Done() {
			Describe(&j, Words{})
			for i := range j.Hops {
				if j.Hops[i].What == "" {
					t.Fatalf("a hop without a sentence: %+v", j.Hops[i])
				}
			}
			if j.End == "" || len(j.Hops) > maxHops {
				t.Fatalf("end %q after %d hops", j.End, len(j.Hops))
			}
		}
	})
}

// A SYN that is sent again while its handshake is under way ends in tcp_v4_rcv like one that nobody listens to, and old kernels give no reason.
func TestASYNSentAgainToAListener(t *testing.T) {
	gone := ev(4, tracer.PointConsume, 2, "", "")
	gone.HasPacket, gone.Tuple = false, tracer.Tuple{}
	first := []tracer.Event{rx(1), called(2, "ip_local_deliver"), called(3, "tcp_v4_rcv"), gone}
	again := []tracer.Event{rx(1001), called(1002, "ip_local_deliver"), called(1003, "tcp_v4_rcv"), dropped2(1004, "tcp_v4_rcv", "")}
	for i := range again {
		again[i].ID = 8
	}
	if js := play(Options{}, append(first, again...)...); len(js) != 2 || js[1].End != Delivered || js[1].Attempt != 2 {
		t.Errorf("%s, then %s", stages(&js[0]), stages(&js[1]))
	}
	if js := play(Options{}, again...); js[0].End != Rejected {
		t.Errorf("the only one: %s", stages(&js[0]))
	}
}

// What functions tell of a packet inside a tunnel is about the tunnel's packet, and says so.
func TestFunctionsInsideATunnel(t *testing.T) {
	in := ev(1, tracer.PointRX, 2, "eth0", "phys")
	in.Outer = tracer.Tuple{Src: netip.MustParseAddr("192.168.50.1"), Dst: netip.MustParseAddr("192.168.50.2"), Sport: 5, Dport: 4789, Proto: tracer.ProtoUDP}
	js := play(Options{}, in, called(2, "nf_hook_slow", inHook(0)), called(3, "nf_conntrack_in"), called(4, "nf_hook_slow", inHook(1), withCT(2)),
		called(5, "__nf_conntrack_confirm", withCT(2)), ev(6, tracer.PointRX, 2, "flannel.1", "vxlan"), called(7, "nf_hook_slow", inHook(0)), tx(8))
	Describe(&js[0], Words{})
	var got []string
	for _, h := range js[0].Hops {
		if h.Stage == StageNetfilter || h.Stage == StageConntrack {
			got = append(got, h.What)
		}
	}
	want := []string{"tunnel packet, netfilter ip PREROUTING: accept", "tunnel packet, conntrack: NEW", "tunnel packet, netfilter ip INPUT: accept",
		"tunnel packet, conntrack: the connection is entered into the table", "netfilter ip PREROUTING: accept"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// A neighbour is asked for behind the last hook.
func TestWaitingForANeighbourIsBehindTheHook(t *testing.T) {
	wait := ev(4, tracer.PointNeighSend, 2, "cni0", "bridge")
	wait.HasPacket = false
	js := play(Options{}, rx(1), called(2, "nf_hook_slow", inHook(4)), called(3, "__nf_conntrack_confirm", withCT(2)), wait, tx(5))
	if got := stages(&js[0]); got != "bridge netfilter conntrack neighbour device-tx = left-node" || js[0].Hops[1].Verdict != "accept" {
		t.Errorf("%s, hook %q", got, js[0].Hops[1].Verdict)
	}
}

func TestIPVSTakesThePacketOutOfItsHook(t *testing.T) {
	js := play(Options{}, rx(1), called(2, "nf_hook_slow", inHook(1)), called(3, "ip_vs_nat_xmit"), called(4, "nf_hook_slow", inHook(3)), tx(5))
	Describe(&js[0], Words{})
	if h := js[0].Hops[1]; h.Verdict != "stolen" || h.What != "netfilter ip INPUT: taken by IPVS" {
		t.Errorf("%q, %q", h.Verdict, h.What)
	}
}

// With br_netfilter the kernel comes to PREROUTING a second time above the bridge, and asks nothing there.
func TestPREROUTINGAboveTheBridgeIsToldOnce(t *testing.T) {
	port := ev(1, tracer.PointRX, 2, "veth1", "veth")
	below := []tracer.Event{port, called(2, "nf_hook_slow", inHook(0)), called(3, "ipt_do_table", inHook(0), ofTable("nat", "")), rx(4), called(5, "nf_hook_slow", inHook(0))}
	if got := stages(&play(Options{}, append(slices.Clone(below), tx(7))...)[0]); got != "device-rx netfilter bridge device-tx = left-node" {
		t.Errorf("nothing asked: %s", got)
	}
	if got := stages(&play(Options{}, append(slices.Clone(below), called(6, "ipt_do_table", inHook(0), ofTable("raw", "")), tx(7))...)[0]); got != "device-rx netfilter bridge netfilter device-tx = left-node" {
		t.Errorf("a table asked: %s", got)
	}
	if got := stages(&play(Options{}, rx(4), called(5, "nf_hook_slow", inHook(0)), tx(7))[0]); got != "bridge netfilter device-tx = left-node" {
		t.Errorf("the first time: %s", got)
	}
	if got := stages(&play(Options{}, append(slices.Clone(below), dropped2(6, "nf_hook_slow", "NETFILTER_DROP", "nf_hook_slow", "ip_rcv"))...)[0]); got != "device-rx netfilter bridge netfilter drop = dropped" {
		t.Errorf("dropped there: %s", got)
	}
}
