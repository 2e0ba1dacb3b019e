// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"testing"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// Kernels before 5.17 give no reasons: they are concluded, and said to be.
func TestReasonsAreInferred(t *testing.T) {
	noRoute := ev(2, tracer.PointFIB, 2, "", "")
	noRoute.Err, noRoute.RouteTable = -eAGAIN, 254
	for _, tc := range []struct {
		name   string
		before []tracer.Event
		drop   tracer.Event
		want   string
		end    End
	}{
		{"a hook", nil, dropped2(5, "nf_hook_slow", "", "nf_hook_slow", "ip_forward"), "inferred:NETFILTER_DROP", Dropped},
		{"right after the source was checked", []tracer.Event{called(2, "fib_validate_source")}, dropped2(5, "ip_rcv_finish_core", ""), "inferred:IP_RPFILTER", Dropped},
		{"the same place, something else in between", []tracer.Event{called(2, "fib_validate_source"), called(3, "ip_local_deliver")}, dropped2(5, "ip_rcv_finish_core", ""), "", Dropped},
		{"no route", []tracer.Event{noRoute}, dropped2(5, "ip_error", ""), "inferred:IP_INNOROUTES", Dropped},
		{"forwarding is off", nil, dropped2(5, "ip_error", ""), "inferred:IP_INADDRERRORS", Dropped},
		{"no listener", nil, dropped2(5, "tcp_v4_rcv", ""), "inferred:NO_SOCKET", Rejected},
		{"a neighbour that does not answer", nil, dropped2(5, "arp_error_report", ""), "inferred:NEIGH_FAILED", Dropped},
		{"a socket's buffer", nil, dropped2(5, "__udp_enqueue_schedule_skb", ""), "inferred:SOCKET_RCVBUFF", Dropped},
		{"tc filters were asked last", []tracer.Event{called(2, "tcf_classify")}, dropped2(5, "__netif_receive_skb_core", ""), "inferred:TC_INGRESS", Dropped},
		{"a cgroup's program was asked last", []tracer.Event{called(2, "__cgroup_bpf_run_filter_skb")}, dropped2(5, "ip_finish_output", "NOT_SPECIFIED"), "inferred:BPF_CGROUP_EGRESS", Dropped},
		{"a discipline's own function", nil, dropped2(5, "tbf_enqueue", ""), "inferred:QDISC_DROP", Dropped},
		{"what a discipline left to its caller", nil, dropped2(5, "kfree_skb_list", "", "kfree_skb_list", "__dev_queue_xmit", "ip_finish_output2"), "inferred:QDISC_DROP", Dropped},
		{"the same with a reason that has no name", nil, dropped2(5, "__tcf_kfree_skb_list", "0:140", "__tcf_kfree_skb_list", "__dev_queue_xmit"), "inferred:QDISC_DROP", Dropped},
		{"a reason without a name elsewhere", nil, dropped2(5, "veth_xmit", "3:7"), "3:7", Dropped},
		{"a list of somebody else", nil, dropped2(5, "kfree_skb_list", "", "kfree_skb_list", "skb_release_data"), "", Dropped},
		{"a neighbour's queue", nil, dropped2(5, "__neigh_event_send", ""), "inferred:NEIGH_QUEUEFULL", Dropped},
		{"generic XDP", nil, dropped2(5, "netif_receive_generic_xdp", ""), "inferred:XDP", Dropped},
		{"a tunnel's receiver", nil, dropped2(5, "vxlan_rcv", ""), "inferred:VXLAN_VNI_NOT_FOUND", Dropped},
		{"a fragment that waited in vain", nil, dropped2(5, "ip_expire", ""), "inferred:FRAG_REASM_TIMEOUT", Dropped},
		{"the same place without them", nil, dropped2(5, "__netif_receive_skb_core", ""), "", Dropped},
		{"a place that says nothing", nil, dropped2(5, "some_driver_xmit", ""), "", Dropped},
		{"the kernel's own reason stays", nil, dropped2(5, "ip_error", "IP_INADDRERRORS"), "IP_INADDRERRORS", Dropped},
		{"its empty one does not", nil, dropped2(5, "ip_error", "NOT_SPECIFIED"), "inferred:IP_INADDRERRORS", Dropped},
		{"an empty one at a place that says nothing stays", nil, dropped2(5, "veth_xmit", "NOT_SPECIFIED"), "NOT_SPECIFIED", Dropped},
	} {
		js := play(Options{}, append(append([]tracer.Event{rx(1)}, tc.before...), tc.drop)...)
		h := js[0].Hops[len(js[0].Hops)-1]
		if h.Reason != tc.want || js[0].End != tc.end {
			t.Errorf("%s: reason %q, end %s; want %q, %s", tc.name, h.Reason, js[0].End, tc.want, tc.end)
		}
	}
}

// A reset is not answered by one: its packet without a listener is dropped, not rejected.
func TestResetWithoutListener(t *testing.T) {
	in, drop := rx(1), dropped2(2, "tcp_v4_rcv", "")
	in.TCPFlags, drop.TCPFlags = flagRST, flagRST
	if js := play(Options{}, in, drop); js[0].End == Rejected {
		t.Errorf("end %s", js[0].End)
	}
}
