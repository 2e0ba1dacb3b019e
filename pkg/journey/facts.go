// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// TCP flags (RFC 9293).
const (
	flagFIN = 1
	flagSYN = 2
	flagRST = 4
	flagACK = 16
)

// enum ip_conntrack_info and ip_conntrack_status (include/uapi/linux/netfilter/nf_conntrack_common.h).
const (
	ctIsReply   = 3
	ctUntracked = 7
)

const eAGAIN = 11

func tupleOf(t *tracer.Tuple) Tuple {
	if t.Proto == tracer.ProtoICMP {
		return Tuple{Src: t.Src, Dst: t.Dst}
	}
	return Tuple{Src: t.Src, Sport: t.Sport, Dst: t.Dst, Dport: t.Dport}
}

func destination(t tracer.Tuple) string { return endpoint(t.Dst, t.Dport) }
func source(t tracer.Tuple) string      { return endpoint(t.Src, t.Sport) }

func endpoint(a netip.Addr, port uint16) string { return netip.AddrPortFrom(a, port).String() }

// ProtoName is a protocol's name as the contract has it.
func ProtoName(p uint8) string {
	switch p {
	case tracer.ProtoTCP:
		return "tcp"
	case tracer.ProtoUDP:
		return "udp"
	case tracer.ProtoICMP:
		return "icmp"
	case tracer.ProtoSCTP:
		return "sctp"
	}
	return strconv.Itoa(int(p))
}

func packetOf(e *tracer.Event) Packet {
	p := Packet{Proto: ProtoName(e.Tuple.Proto), Tuple: tupleOf(&e.Tuple), Len: e.IPLen, IPID: e.IPID, Seq: e.Seq}
	switch e.Tuple.Proto {
	case tracer.ProtoTCP:
		p.Flags = tcpFlags(e.TCPFlags)
	case tracer.ProtoICMP:
		p.ICMP = icmpName(e.Tuple.Src.Is6(), e.ICMPType, e.ICMPCode)
		p.Seq = uint32(e.ICMPSeq)
	}
	return p
}

// flagNames are the combinations that occur, so that naming them does not allocate.
var flagNames = func() (names [64]string) {
	bits := []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG"}
	order := []int{1, 0, 2, 3, 4, 5} // SYN first: "SYN,ACK"
	for v := range names {
		var set []string
		for _, b := range order {
			if v>>b&1 == 1 {
				set = append(set, bits[b])
			}
		}
		names[v] = strings.Join(set, ",")
	}
	return names
}()

func tcpFlags(f uint8) string { return flagNames[f&63] }

// icmpName names the ICMP messages that matter here (RFC 792, RFC 4443).
func icmpName(v6 bool, kind, code uint8) string {
	names := icmpNames[v6]
	if n, ok := names[[2]uint8{kind, code}]; ok {
		return n
	}
	if n, ok := names[[2]uint8{kind, 255}]; ok {
		return n
	}
	return "type " + strconv.Itoa(int(kind)) + " code " + strconv.Itoa(int(code))
}

// icmpNames by version, type and code; code 255 stands for any.
var icmpNames = map[bool]map[[2]uint8]string{
	false: {
		{0, 255}: "echo reply", {8, 255}: "echo request",
		{3, 0}: "network unreachable", {3, 1}: "host unreachable", {3, 2}: "protocol unreachable", {3, 3}: "port unreachable",
		{3, 4}: "fragmentation needed", {3, 9}: "network prohibited", {3, 10}: "host prohibited", {3, 13}: "administratively prohibited",
		{3, 255}: "destination unreachable", {5, 255}: "redirect", {11, 0}: "time exceeded", {11, 1}: "reassembly time exceeded", {12, 255}: "parameter problem",
	},
	true: {
		{128, 255}: "echo request", {129, 255}: "echo reply",
		{1, 0}: "no route", {1, 1}: "administratively prohibited", {1, 3}: "address unreachable", {1, 4}: "port unreachable",
		{1, 255}: "destination unreachable", {2, 255}: "packet too big", {3, 0}: "time exceeded", {3, 1}: "reassembly time exceeded", {4, 255}: "parameter problem",
	},
}

// conntrackOf tells a packet's conntrack entry in iptables' words.
func conntrackOf(e *tracer.Event) *CT {
	ct := &CT{}
	switch e.CTInfo {
	case 0, 3:
		ct.State = "ESTABLISHED"
	case 1, 4:
		ct.State = "RELATED"
	case 2:
		ct.State = "NEW"
	default:
		ct.State = "UNTRACKED"
	}
	for bit, name := range ctStatus {
		if e.CTStatus>>bit&1 == 1 {
			ct.Status = append(ct.Status, name)
		}
	}
	o, r := tupleOf(&e.CTOrig), tupleOf(&e.CTReply)
	ct.Orig, ct.Reply = &o, &r
	return ct
}

// ctStatus names the bits of enum ip_conntrack_status that say something to a reader.
var ctStatus = [...]string{"EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED", "SRC_NAT", "DST_NAT"}

// IPv6 route types (include/uapi/linux/rtnetlink.h).
const (
	rtnBlackhole   = 6
	rtnUnreachable = 7
	rtnProhibit    = 8
)

// notInTable: EAGAIN sends the kernel to the next table; in IPv6 a table answers with its null entry, which is of type unreachable and
// has no device worth the name (net/ipv6/route.c).
func notInTable(e *tracer.Event) bool {
	return e.Err == -eAGAIN || (e.Point == tracer.PointFIB6 && e.New == rtnUnreachable)
}

// routeError names the errno of a failed lookup. EAGAIN out of the last table is what the caller returns as ENETUNREACH
// (net/core/fib_rules.c, net/ipv4/fib_frontend.c); in IPv6 the null entry and the route's type say it.
func routeError(e *tracer.Event) string {
	if e.Point == tracer.PointFIB6 {
		switch {
		case e.New == rtnBlackhole:
			return "EINVAL"
		case e.New == rtnUnreachable:
			return "ENETUNREACH"
		case e.New == rtnProhibit:
			return "EACCES"
		}
		return ""
	}
	switch -e.Err {
	case 0:
		return ""
	case eAGAIN, 101:
		return "ENETUNREACH"
	case 22:
		return "EINVAL"
	case 113:
		return "EHOSTUNREACH"
	case 13:
		return "EACCES"
	}
	return "errno " + strconv.Itoa(int(-e.Err))
}

// dropStack leaves out the tracing machinery on top of the function that dropped.
func dropStack(stack []string, location string) []string {
	for i, f := range stack {
		if f == location {
			return stack[i:]
		}
	}
	for len(stack) > 0 && (strings.HasPrefix(stack[0], "bpf_") || strings.Contains(stack[0], "kfree_skb") || strings.Contains(stack[0], "skb_reason_drop")) {
		stack = stack[1:]
	}
	return stack
}

// hookCallers are the functions that run a netfilter hook (NF_HOOK in net/ipv4, net/ipv6, net/bridge/br_netfilter_*.c).
var hookCallers = map[string]string{
	"ip_rcv": "PREROUTING", "ip_sublist_rcv": "PREROUTING", "ip_list_rcv": "PREROUTING", "ipv6_rcv": "PREROUTING", "ipv6_list_rcv": "PREROUTING",
	"ip6_sublist_rcv": "PREROUTING", "br_nf_pre_routing": "PREROUTING", "br_nf_pre_routing_ipv6": "PREROUTING",
	"ip_local_deliver": "INPUT", "ip6_input": "INPUT", "ip6_mc_input": "INPUT",
	"ip_forward": "FORWARD", "ip6_forward": "FORWARD", "br_nf_forward": "FORWARD", "br_nf_forward_ip": "FORWARD",
	"__ip_local_out": "OUTPUT", "__ip6_local_out": "OUTPUT", "ip6_xmit": "OUTPUT", "raw_sendmsg": "OUTPUT",
	"ip_output": "POSTROUTING", "ip_mc_output": "POSTROUTING", "ip6_output": "POSTROUTING", "br_nf_post_routing": "POSTROUTING",
}

// hookOf reads from the call stack in which netfilter hook a packet was dropped; "" when it was no hook that dropped it. A stack can hold
// nf_hook_slow without it being the culprit: br_netfilter goes on with the packet from inside a hook.
func hookOf(stack []string, reason, location string) string {
	if !inNetfilter[location] && reason != "NETFILTER_DROP" {
		return ""
	}
	for _, f := range stack {
		if h := hookCallers[f]; h != "" {
			return h
		}
	}
	return ""
}

// Unqueued reports whether a function frees a packet because it could not be put into the queue of a program (net/netfilter/nf_queue.c).
func Unqueued(location string) bool { return location == "nf_queue" || location == "__nf_queue" }

// inNetfilter are the functions that free a packet which a hook's rules dropped (net/netfilter/core.c, nf_tables_core.c), also after a program
// outside of the kernel had let it go on, or could not be asked (nf_queue.c; since 6.11 nfnetlink_queue.c).
var inNetfilter = map[string]bool{"nf_hook_slow": true, "nf_hook_slow_list": true, "nft_do_chain": true, "nf_reinject": true, "nfqnl_reinject": true, "nf_queue": true, "__nf_queue": true}
