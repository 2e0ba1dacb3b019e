// SPDX-License-Identifier: Apache-2.0

package drops

import "strings"

const (
	protoICMP, protoIGMP, protoTCP, protoICMPv6 = 1, 2, 6, 58
	typeReset                                   = 4 // of a TCP segment, see Kind
	icmpEchoReply, icmpRedirect                 = 0, 5
	icmp6EchoReply, icmp6Redirect               = 129, 137
)

// Noise says why a kind of drop is no fault: the kernel frees through kfree_skb what had arrived, what was sent twice, or what nobody waits
// for. "" for every other kind. NOT_SPECIFIED alone is never noise: blackhole routes, hairpin, MTU and XDP drops carry it.
func Noise(k *Kind) string {
	reason, inferred := strings.CutPrefix(k.Reason, "inferred:")
	switch {
	case inferred:
		return quietPlace(k)
	case reason == "SKB_CONSUMED" || reason == "SKB_NOT_DROPPED_YET" || reason == "CONSUMED":
		return "consumed, not dropped"
	case reason == "QUEUE_PURGE" || reason == "SOCKET_CLOSE" || reason == "UNIX_DISCONNECT" || reason == "UNIX_SKIP_OOB":
		return "left in the queue of a socket that was closed"
	case reason == "TCP_OLD_DATA" || reason == "TCP_OLD_SEQUENCE" || reason == "TCP_OFOMERGE" || reason == "TCP_OFO_DROP":
		return "a TCP segment that had arrived before"
	case reason == "TCP_OLD_ACK":
		return "an acknowledgement that a later one had overtaken"
	case reason == "NO_SOCKET" && k.Proto == protoTCP && k.Type == typeReset:
		return "a reset for a connection that is gone"
	case reason == "TCP_RESET" || reason == "TCP_CLOSE" && k.Type == typeReset:
		return "a reset that did its work"
	}
	return quietPlace(k)
}

// quietPlace is noise by where it was dropped.
func quietPlace(k *Kind) string {
	switch reason := Plain(k.Reason); {
	case (k.Location == "ping_rcv" || k.Location == "icmpv6_rcv" || k.Location == "icmp_rcv") && (reason == "NO_SOCKET" || reason == "NOT_SPECIFIED" || reason == "") && echoReply(k):
		return "a ping's answer that arrived"
	case k.Location == "inet_sock_destruct" || k.Location == "sk_stream_kill_queues" || k.Location == "skb_queue_purge_reason" || k.Location == "skb_queue_purge" || k.Location == "unix_release_sock" || k.Location == "netlink_sock_destruct":
		return "left in the queue of a socket that was closed"
	case k.Location == "ip6_mc_input" && (reason == "NOT_SPECIFIED" || reason == ""):
		return "a multicast packet for a group that nobody here joined"
	case k.Proto == protoIGMP || k.Proto == protoICMPv6 && multicastTalk[k.Type]:
		return "who listens to which multicast group, or asks for a router"
	case strings.HasPrefix(k.Location, "unix_") || strings.HasPrefix(k.Location, "netlink_"):
		return "a message between processes, no packet"
	case (k.Location == "tcp_v4_rcv" || k.Location == "tcp_v6_rcv" || k.Location == "tcp_v4_do_rcv" || k.Location == "tcp_v6_do_rcv" || k.Location == "tcp_rcv_state_process") &&
		(reason == "NOT_SPECIFIED" || reason == "" || reason == "NO_SOCKET") && k.Proto == protoTCP && k.Type == typeReset:
		return "a reset that did its work"
	case reason == "NETFILTER_DROP" && redirect(k):
		return "an ICMP redirect about a translated flow"
	}
	return ""
}

// multicastTalk are ICMPv6 types that hosts send to a whole link by themselves: MLD (RFC 2710, RFC 3810) and router solicitations (RFC 4861).
var multicastTalk = map[uint8]bool{130: true, 131: true, 132: true, 133: true, 143: true}

func echoReply(k *Kind) bool {
	return k.Proto == protoICMP && k.Type == icmpEchoReply || k.Proto == protoICMPv6 && k.Type == icmp6EchoReply
}

func redirect(k *Kind) bool {
	return k.Proto == protoICMP && k.Type == icmpRedirect || k.Proto == protoICMPv6 && k.Type == icmp6Redirect
}
