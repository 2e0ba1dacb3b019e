// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// lastOf plays events that end in a drop and returns its hop.
func lastOf(t *testing.T, events ...tracer.Event) *Hop {
	t.Helper()
	j := one(t, Options{}, events...)
	return &j.Hops[len(j.Hops)-1]
}

func TestReasonsAreInferredByPlace(t *testing.T) {
	rx := ev(1, tracer.PointRX, 2, "veth1", "veth")
	route := func(err int32) tracer.Event {
		e := ev(2, tracer.PointFIB, 2, "veth1", "veth")
		e.RouteTable, e.Err = 254, err
		return e
	}
	check, reset := call(t, 2, "fib_validate_source", 2, "veth1"), ev(2, tracer.PointResetSent, 2, "veth1", "veth")
	unreachable := ev(2, tracer.PointICMP, 2, "veth1", "veth")
	unreachable.ICMPType, unreachable.ICMPCode = 3, 3
	for _, tc := range []struct {
		name     string
		before   []tracer.Event
		location string
		stack    []string
		want     string
	}{
		{"a hook", nil, "nf_hook_slow", []string{"nf_hook_slow", "ip_forward"}, "inferred:NETFILTER_DROP"},
		{"an nftables chain", nil, "nft_do_chain", []string{"nft_do_chain", "ip_local_deliver"}, "inferred:NETFILTER_DROP"},
		{"the source check was last", []tracer.Event{check}, "ip_rcv_finish_core", nil, "inferred:IP_RPFILTER"},
		{"the source check, inlined", []tracer.Event{check}, "ip_rcv_finish", nil, "inferred:IP_RPFILTER"},
		{"the source check passed", []tracer.Event{check, call(t, 3, "ip_forward", 2, "veth1")}, "ip_rcv_finish_core", nil, ""},
		{"no source check", nil, "ip_rcv_finish_core", nil, ""},
		{"no route", []tracer.Event{route(-eAGAIN)}, "ip_error", nil, "inferred:IP_INNOROUTES"},
		{"a route, and yet an error", []tracer.Event{route(0)}, "ip_error", nil, "inferred:IP_INADDRERRORS"},
		{"an error without a lookup", nil, "ip_error", nil, "inferred:IP_INADDRERRORS"},
		{"a silent neighbour", nil, "neigh_invalidate", nil, "inferred:NEIGH_FAILED"},
		{"a silent IPv6 neighbour", nil, "ndisc_error_report", nil, "inferred:NEIGH_FAILED"},
		{"a socket filter", nil, "sk_filter_trim_cap", nil, "inferred:SOCKET_FILTER"},
		{"a receive buffer", nil, "__udp_enqueue_schedule_skb", nil, "inferred:SOCKET_RCVBUFF"},
		{"a backlog", nil, "enqueue_to_backlog", nil, "inferred:CPU_BACKLOG"},
		{"no socket for TCP", []tracer.Event{reset}, "tcp_v4_rcv", nil, "inferred:NO_SOCKET"},
		{"no socket for UDP", []tracer.Event{unreachable}, "__udp4_lib_rcv", nil, "inferred:NO_SOCKET"},
		{"TCP without a reset", nil, "tcp_v4_rcv", nil, ""},
		{"a function that drops for many reasons", nil, "ip_rcv_core", nil, ""},
	} {
		for _, none := range []string{"", "NOT_SPECIFIED"} {
			h := lastOf(t, append(append([]tracer.Event{rx}, tc.before...), dropped1(4, none, tc.location, tc.stack...))...)
			want := tc.want
			if want == "" {
				want = none
			}
			if h.Reason != want {
				t.Errorf("%s, the kernel says %q: %q, want %q", tc.name, none, h.Reason, want)
			}
		}
		if h := lastOf(t, append(append([]tracer.Event{rx}, tc.before...), dropped1(4, "SOMETHING_NEW", tc.location, tc.stack...))...); h.Reason != "SOMETHING_NEW" {
			t.Errorf("%s: the kernel's own reason became %q", tc.name, h.Reason)
		}
	}
}

func TestStepsBeforeADropTellItsCause(t *testing.T) {
	rx, hook := ev(1, tracer.PointRX, 2, "veth1", "veth"), hookCall(t, 2, nfIPv4, preRouting)
	lookup, full := call(t, 3, "nf_conntrack_in", 2, "veth1"), call(t, 3, "early_drop", 2, "veth1")
	words := call(t, 3, "nf_ct_l4proto_log_invalid", 2, "veth1")
	words.Words = "SEQ is over upper bound"
	inHook := func(caller string) tracer.Event {
		return dropped1(9, "NETFILTER_DROP", "nf_hook_slow", "nf_hook_slow", caller)
	}
	hairpin := call(t, 4, "br_forward", 2, "veth1")
	hairpin.OutDev, hairpin.OutIndex = "veth1", hairpin.Ifindex
	other := hairpin
	other.OutDev, other.OutIndex = "veth2", 99
	for _, tc := range []struct {
		name      string
		events    []tracer.Event
		step, why string
		words     string
	}{
		{"table full", []tracer.Event{rx, hook, lookup, full, inHook("ip_rcv")}, "conntrack-full", "", ": the conntrack table is full"},
		{"table full, an old entry went, a rule dropped it", []tracer.Event{rx, hook, lookup, full, entry(tableCall(t, 5, "nat", preRouting), 2, 0), inHook("ip_rcv")}, "", "", ""},
		{"table full at another hook", []tracer.Event{rx, hook, lookup, full, hookCall(t, 5, nfIPv4, forward), inHook("ip_forward")}, "", "", ""},
		{"not entered", []tracer.Event{rx, hookCall(t, 3, nfIPv4, postRouting), call(t, 4, "__nf_conntrack_confirm", 2, "veth1"), inHook("ip_output")}, "insert-failed", "", ": its connection could not be entered"},
		{"entered, and dropped later", []tracer.Event{rx, hookCall(t, 3, nfIPv4, postRouting), call(t, 4, "__nf_conntrack_confirm", 2, "veth1"), dropped1(5, "NEIGH_FAILED", "neigh_invalidate")}, "", "", ""},
		{"invalid", []tracer.Event{rx, hook, lookup, words, tableCall(t, 5, "filter", preRouting), inHook("ip_rcv")}, "invalid", "SEQ is over upper bound", ": conntrack calls it INVALID (SEQ is over upper bound)"},
		{"hairpin", []tracer.Event{rx, hairpin, dropped1(5, "NOT_SPECIFIED", "br_forward")}, "hairpin", "", ": the bridge does not send it back"},
		{"hairpin, inlined", []tracer.Event{rx, hairpin, dropped1(5, "", "br_handle_frame_finish")}, "hairpin", "", ": the bridge does not send it back"},
		{"another port", []tracer.Event{rx, other, dropped1(5, "NOT_SPECIFIED", "br_forward")}, "", "", ""},
		{"hairpin, dropped elsewhere", []tracer.Event{rx, hairpin, dropped1(5, "QDISC_DROP", "__dev_queue_xmit")}, "", "", ""},
	} {
		h := lastOf(t, tc.events...)
		if h.Step != tc.step || h.Why != tc.why || !strings.Contains(h.What, tc.words) {
			t.Errorf("%s: step %q, why %q, %q", tc.name, h.Step, h.Why, h.What)
		}
	}
}

// Where the call stack does not show the hook, the function that was seen to begin it does.
func TestTheHookOfADropIsTheOneThatBegan(t *testing.T) {
	h := lastOf(t, ev(1, tracer.PointRX, 2, "veth1", "veth"), hookCall(t, 2, nfIPv4, forward), dropped1(3, "", "nf_hook_slow"))
	if h.Hook != "FORWARD" || h.Reason != "inferred:NETFILTER_DROP" {
		t.Errorf("%+v", h)
	}
	h = lastOf(t, ev(1, tracer.PointRX, 2, "veth1", "veth"), hookCall(t, 2, nfIPv4, forward), ev(3, tracer.PointTX, 2, "veth1", "veth"), dropped1(4, "", "nf_hook_slow"))
	if h.Hook != "" {
		t.Errorf("a hook that was passed: %+v", h)
	}
}

func TestAcceptQueueFull(t *testing.T) {
	arrived := []tracer.Event{ev(1, tracer.PointRX, 3, "eth0", "veth"), call(t, 2, "ip_local_deliver", 3, "eth0"), call(t, 3, "tcp_v4_rcv", 3, "eth0")}
	consume := tracer.Event{Time: 9 * ms, ID: 7, Point: tracer.PointConsume}
	inTCP := dropped1(9, "NOT_SPECIFIED", "tcp_v4_rcv")
	for _, tc := range []struct {
		name         string
		at           string
		value, limit int64
		end          tracer.Event
		want         string
		location     string
	}{
		{"a SYN, consumed", "tcp_conn_request", 2, 1, consume, "device-rx drop = dropped", "tcp_conn_request"},
		{"a SYN, released", "tcp_conn_request", 2, 1, call(t, 9, "skb_release_head_state", 3, ""), "device-rx drop = dropped", "tcp_conn_request"},
		{"as many as the bound is not full", "tcp_conn_request", 1, 1, consume, "device-rx socket = delivered", ""},
		{"a handshake's ACK, dropped", "tcp_v4_syn_recv_sock", 2, 1, inTCP, "device-rx drop = dropped", "tcp_v4_rcv"},
		{"a handshake over IPv6", "tcp_v6_syn_recv_sock", 129, 128, consume, "device-rx drop = dropped", "tcp_v6_syn_recv_sock"},
		{"TCP's usual end", "tcp_v4_syn_recv_sock", 0, 1, inTCP, "device-rx socket = delivered", ""},
	} {
		listener := call(t, 4, tc.at, 3, "eth0")
		listener.Value, listener.Limit = tc.value, tc.limit
		j := one(t, Options{}, append(append([]tracer.Event(nil), arrived...), listener, tc.end)...)
		h := j.Hops[len(j.Hops)-1]
		if stages(j) != tc.want || h.Location != tc.location {
			t.Errorf("%s: %s, in %q", tc.name, stages(j), h.Location)
		}
		if tc.location != "" && (h.Step != "accept-queue-full" || h.Why == "" || h.NetNS == 0) {
			t.Errorf("%s: %+v", tc.name, h)
		}
	}
}

func TestFDBMiss(t *testing.T) {
	tx, xmit := ev(1, tracer.PointTX, 2, "flannel.1", "vxlan"), call(t, 2, "vxlan_xmit", 2, "flannel.1")
	gone := tracer.Event{Time: 4 * ms, ID: 7, Point: tracer.PointConsume}
	j := one(t, Options{}, tx, xmit, gone)
	h := j.Hops[len(j.Hops)-1]
	if stages(j) != "device-tx drop = dropped" || h.Step != "fdb-miss" || h.Reason != "inferred:NO_TX_TARGET" || h.Location != "vxlan_xmit" || h.Dev != "flannel.1" || h.DevKind != "vxlan" || h.NetNS != 2 {
		t.Errorf("%s, %+v", stages(j), h)
	}
	if want := "dropped in vxlan_xmit at flannel.1, reason inferred:NO_TX_TARGET: the tunnel device knows no remote for it"; h.What != want {
		t.Errorf("%q", h.What)
	}
	told := ev(3, tracer.PointDrop, 2, "flannel.1", "vxlan")
	told.Reason, told.Location = "NO_TX_TARGET", "vxlan_xmit"
	if h := lastOf(t, tx, xmit, told); h.Reason != "NO_TX_TARGET" || h.Step != "fdb-miss" {
		t.Errorf("the kernel says it itself: %+v", h)
	}
	if got := stages(one(t, Options{}, tx, xmit, call(t, 3, "vxlan_xmit_one", 2, "flannel.1"), gone)); got != "device-tx = left-node" {
		t.Errorf("it was sent: %s", got)
	}
	if got := stages(one(t, Options{}, tx, call(t, 2, "geneve_xmit", 2, "flannel.1"), gone)); got != "device-tx = left-node" {
		t.Errorf("Geneve says nothing when it sends: %s", got)
	}
}

func TestRejectionsThatFunctionsTell(t *testing.T) {
	rx, hook := ev(1, tracer.PointRX, 2, "veth1", "veth"), hookCall(t, 2, nfIPv4, forward)
	drop := dropped1(4, "", "nf_hook_slow", "nf_hook_slow", "ip_forward")
	icmp := call(t, 3, "__icmp_send", 2, "veth1")
	icmp.Value, icmp.Limit = 3, 13
	icmp6 := call(t, 3, "icmp6_send", 2, "veth1")
	icmp6.Value, icmp6.Limit = 1, 1
	for _, tc := range []struct {
		name  string
		tells tracer.Event
		icmp  string
	}{
		{"a reset", call(t, 3, "nf_send_reset", 2, "veth1"), ""},
		{"an ICMP error", icmp, "administratively prohibited"},
		{"an ICMPv6 error", icmp6, "administratively prohibited"},
	} {
		j := one(t, Options{}, rx, hook, tc.tells, drop)
		h := j.Hops[len(j.Hops)-1]
		if stages(j) != "device-rx netfilter drop = rejected" || h.Verdict != "reject" || h.ICMP != tc.icmp {
			t.Errorf("%s: %s, %+v", tc.name, stages(j), h)
		}
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
				e = entry(e, b[i+1]%8, uint32(b[i+2]))
			}
			if tracer.RoleOf(p) == tracer.RoleIPVS {
				e.Virtual, e.Backend = syn(vip, 80), syn(server, 8080)
			}
			a.Add(&e)
		}
		a.Flush()
		for _, j := range a.Done() {
			Describe(&j)
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
