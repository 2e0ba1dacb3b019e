// SPDX-License-Identifier: Apache-2.0

package drops

import "testing"

// What is no fault is known; what resembles it and is one is not taken for it.
func TestNoise(t *testing.T) {
	for _, tc := range []struct {
		name  string
		kind  Kind
		noise bool
	}{
		{"closed socket", Kind{Reason: "QUEUE_PURGE", Location: "inet_sock_destruct"}, true},
		{"closed socket without reasons", Kind{Location: "inet_sock_destruct"}, true},
		{"ping's answer", Kind{Reason: "NO_SOCKET", Location: "ping_rcv", Proto: 1, Type: 0}, true},
		{"ping's answer, IPv6", Kind{Reason: "NO_SOCKET", Location: "ping_rcv", Proto: 58, Type: 129}, true},
		{"ping to nobody", Kind{Reason: "NO_SOCKET", Location: "ping_rcv", Proto: 1, Type: 8}, false},
		{"refused connection", Kind{Reason: "NO_SOCKET", Location: "tcp_v4_rcv", Proto: 6}, false},
		{"reset to nobody", Kind{Reason: "NO_SOCKET", Location: "tcp_v4_rcv", Proto: 6, Type: 4}, true},
		{"reset that worked", Kind{Reason: "NOT_SPECIFIED", Location: "tcp_v4_rcv", Proto: 6, Type: 4}, true},
		{"segment without a reason", Kind{Reason: "NOT_SPECIFIED", Location: "tcp_v4_rcv", Proto: 6}, false},
		{"retransmission", Kind{Reason: "TCP_OLD_DATA", Location: "tcp_data_queue", Proto: 6}, true},
		{"zero window", Kind{Reason: "TCP_ZEROWINDOW", Location: "tcp_data_queue", Proto: 6}, false},
		{"redirect in OUTPUT", Kind{Reason: "NETFILTER_DROP", Location: "nf_hook_slow", Proto: 1, Type: 5}, true},
		{"fragmentation needed in INPUT", Kind{Reason: "NETFILTER_DROP", Location: "nf_hook_slow", Proto: 1, Type: 3}, false},
		{"blackhole route", Kind{Reason: "NOT_SPECIFIED", Location: "ip_error", Proto: 6}, false},
		{"hairpin off", Kind{Reason: "NOT_SPECIFIED", Location: "br_handle_frame_finish", Proto: 6}, false},
		{"XDP", Kind{Reason: "NOT_SPECIFIED", Location: "veth_xdp_rcv_skb"}, false},
		{"multicast that nobody joined", Kind{Reason: "NOT_SPECIFIED", Location: "ip6_mc_input", Proto: 58, Type: 143}, true},
		{"MLD into a tunnel", Kind{Reason: "NO_TX_TARGET", Location: "vxlan_xmit", Proto: 58, Type: 143}, true},
		{"TCP into a tunnel", Kind{Reason: "NO_TX_TARGET", Location: "vxlan_xmit", Proto: 6}, false},
		{"consumed", Kind{Reason: "SKB_CONSUMED"}, true},
		{"inferred refusal", Kind{Reason: "inferred:NO_SOCKET", Location: "tcp_v4_rcv", Proto: 6}, false},
		{"inferred reset", Kind{Reason: "inferred:NO_SOCKET", Location: "tcp_v4_rcv", Proto: 6, Type: 4}, true},
	} {
		if got := Noise(&tc.kind); (got != "") != tc.noise {
			t.Errorf("%s: noise is %q, want noise %v", tc.name, got, tc.noise)
		}
	}
}
