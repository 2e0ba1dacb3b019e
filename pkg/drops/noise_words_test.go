// SPDX-License-Identifier: Apache-2.0

package drops

import (
	"cmp"
	"slices"
	"testing"
	"time"
)

const (
	closedSocket = "left in the queue of a socket that was closed"
	hadArrived   = "a TCP segment that had arrived before"
	pingAnswer   = "a ping's answer that arrived"
	nobodyJoined = "a multicast packet for a group that nobody here joined"
	linkTalk     = "who listens to which multicast group, or asks for a router"
	noPacket     = "a message between processes, no packet"
	resetDone    = "a reset that did its work"
	aRedirect    = "an ICMP redirect about a translated flow"
)

// Each reason and place that is no fault has its own words; the kind beside it, which differs in one thing, is a fault and has none.
func TestNoiseWords(t *testing.T) {
	for _, tc := range []struct {
		kind, beside Kind
		want         string
	}{
		{Kind{Reason: "SKB_NOT_DROPPED_YET"}, Kind{Reason: "NOT_SPECIFIED"}, "consumed, not dropped"},
		{Kind{Reason: "CONSUMED"}, Kind{Reason: "NO_SOCKET"}, "consumed, not dropped"},
		{Kind{Reason: "SOCKET_CLOSE", Location: "tcp_close"}, Kind{Reason: "SOCKET_RCVBUFF", Location: "tcp_close"}, closedSocket},
		{Kind{Reason: "UNIX_DISCONNECT"}, Kind{Reason: "SOCKET_FILTER"}, closedSocket},
		{Kind{Reason: "UNIX_SKIP_OOB"}, Kind{Reason: "SOCKET_BACKLOG"}, closedSocket},
		{Kind{Reason: "TCP_OLD_SEQUENCE", Proto: 6}, Kind{Reason: "TCP_INVALID_SEQUENCE", Proto: 6}, hadArrived},
		{Kind{Reason: "TCP_OFOMERGE", Proto: 6}, Kind{Reason: "TCP_OVERWINDOW", Proto: 6}, hadArrived},
		{Kind{Reason: "TCP_OFO_DROP", Proto: 6}, Kind{Reason: "TCP_OFO_QUEUE_PRUNE", Proto: 6}, hadArrived},
		{Kind{Reason: "TCP_OLD_ACK", Proto: 6}, Kind{Reason: "TCP_ACK_UNSENT_DATA", Proto: 6}, "an acknowledgement that a later one had overtaken"},
		{Kind{Reason: "NO_SOCKET", Proto: 6, Type: 4}, Kind{Reason: "NO_SOCKET", Proto: 17, Type: 4}, "a reset for a connection that is gone"},
		{Kind{Reason: "TCP_RESET", Proto: 6}, Kind{Reason: "TCP_FLAGS", Proto: 6}, resetDone},
		{Kind{Reason: "TCP_CLOSE", Proto: 6, Type: 4}, Kind{Reason: "TCP_CLOSE", Proto: 6}, resetDone},
		{Kind{Reason: "NOT_SPECIFIED", Location: "icmp_rcv", Proto: 1}, Kind{Reason: "ICMP_CSUM", Location: "icmp_rcv", Proto: 1}, pingAnswer},
		{Kind{Location: "icmpv6_rcv", Proto: 58, Type: 129}, Kind{Location: "icmpv6_rcv", Proto: 58, Type: 128}, pingAnswer},
		{Kind{Location: "sk_stream_kill_queues"}, Kind{Location: "sk_stream_wait_memory"}, closedSocket},
		{Kind{Location: "skb_queue_purge_reason"}, Kind{Location: "skb_release_data"}, closedSocket},
		{Kind{Location: "unix_release_sock"}, Kind{Location: "packet_rcv"}, closedSocket},
		{Kind{Location: "ip6_mc_input", Proto: 17}, Kind{Location: "ip6_input", Proto: 17}, nobodyJoined},
		{Kind{Location: "dev_hard_start_xmit", Proto: 2}, Kind{Location: "dev_hard_start_xmit", Proto: 1}, linkTalk},
		{Kind{Location: "vxlan_xmit", Proto: 58, Type: 133}, Kind{Location: "vxlan_xmit", Proto: 58, Type: 135}, linkTalk},
		{Kind{Location: "unix_dgram_sendmsg"}, Kind{Location: "udp_sendmsg"}, noPacket},
		{Kind{Location: "netlink_broadcast_filtered"}, Kind{Location: "net_tx_action"}, noPacket},
		{Kind{Location: "tcp_v6_do_rcv", Proto: 6, Type: 4}, Kind{Location: "tcp_v6_do_rcv", Proto: 6}, resetDone},
		{Kind{Location: "tcp_rcv_state_process", Reason: "NOT_SPECIFIED", Proto: 6, Type: 4}, Kind{Location: "tcp_rcv_state_process", Reason: "NOT_SPECIFIED", Proto: 17, Type: 4}, resetDone},
		{Kind{Reason: "NETFILTER_DROP", Proto: 58, Type: 137}, Kind{Reason: "NETFILTER_DROP", Proto: 58, Type: 136}, aRedirect},
		{Kind{Reason: "inferred:NETFILTER_DROP", Proto: 1, Type: 5}, Kind{Reason: "inferred:NETFILTER_DROP", Proto: 6, Type: 5}, aRedirect},
	} {
		if got := Noise(&tc.kind); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.kind, got, tc.want)
		}
		if got := Noise(&tc.beside); got != "" {
			t.Errorf("%+v is a fault, and is said to be %q", tc.beside, got)
		}
	}
}

// A reason that is only inferred is believed where the place agrees, never by its name alone: the kernel did not say it.
func TestInferredReasonsAreNoNoise(t *testing.T) {
	for _, reason := range []string{"SKB_CONSUMED", "QUEUE_PURGE", "TCP_OLD_DATA", "TCP_OLD_ACK", "TCP_RESET"} {
		if got := Noise(&Kind{Reason: reason, Proto: 6}); got == "" {
			t.Errorf("%s is said to be a fault", reason)
		}
		if got := Noise(&Kind{Reason: "inferred:" + reason, Proto: 6}); got != "" {
			t.Errorf("inferred %s is said to be %q", reason, got)
		}
	}
}

// Rows stand by rate, then by total, then in the caller's order; a poll without time between keeps the rate.
func TestRowsInOrder(t *testing.T) {
	var tab Table[string]
	poll := func(a, b, c, d uint64, since time.Duration) {
		tab.Update([]Count{{Kind{Reason: "D"}, d, d}, {Kind{Reason: "C"}, c, c}, {Kind{Reason: "B"}, b, b}, {Kind{Reason: "A"}, a, a}}, byReason, since)
	}
	poll(5, 5, 100, 50, 0)
	names := func() (out []string) {
		for _, r := range tab.Rows(cmp.Compare[string]) {
			out = append(out, r.Group)
		}
		return out
	}
	if got := names(); !slices.Equal(got, []string{"C", "D", "A", "B"}) {
		t.Errorf("without rates: %v, want by total and then by name", got)
	}
	poll(5, 25, 100, 50, 2*time.Second)
	if got := names(); !slices.Equal(got, []string{"B", "C", "D", "A"}) {
		t.Errorf("B drops now: %v, want it first", got)
	}
	rate := func() float64 { return tab.Rows(cmp.Compare[string])[0].Rate }
	if was := rate(); was != smooth*10 {
		t.Errorf("20 packets in 2 s: %.2f packets a second, want %.2f", was, smooth*10)
	}
	poll(5, 35, 100, 50, 0)
	if got := rate(); got != smooth*10 {
		t.Errorf("a poll without time between changed the rate to %.2f", got)
	}
}
