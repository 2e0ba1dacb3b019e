// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// Inferred marks a drop reason that the kernel did not give: it was concluded from the place and from what happened just before.
const Inferred = "inferred:"

// explain says at a drop what the packet's last steps tell about the cause.
func (f *flight) explain(h *Hop) {
	p := &f.pend
	switch {
	case p.full != nil:
		h.Step, h.Why = "accept-queue-full", fmt.Sprintf("%d of %d connections wait to be accepted", p.full.Value, p.full.Limit)
	case h.Hook != "" && p.tableFull:
		h.Step = "conntrack-full"
	case h.Hook != "" && p.confirm != nil:
		h.Step = "insert-failed"
	case h.Hook != "" && p.noServer:
		h.Step = "no-server"
	case h.Hook != "" && p.words != "":
		h.Step, h.Why = "invalid", p.words
	case p.port != nil && p.port.OutIndex == p.port.Ifindex && strings.HasPrefix(h.Location, "br_"), p.port != nil && p.port.OutIndex == p.port.Ifindex && h.Location == "__br_forward":
		h.Step = "hairpin"
	case p.tunnel != nil && h.Location == "vxlan_xmit":
		h.Step = "fdb-miss"
	}
}

// infer gives a drop the reason that newer kernels give there, where this kernel gave none (5.10 has none at all, newer ones lack some).
func (f *flight) infer(h *Hop) {
	if h.Reason != "" && h.Reason != "NOT_SPECIFIED" && !nameless(h.Reason) {
		return
	}
	reason := f.inferred(h)
	if reason != "" {
		h.Reason = Inferred + reason
	}
}

// nameless is a reason that the kernel gave as a number only ("0:140"): queueing disciplines of 7.x free segments whose reason nobody set
// (net/sched/sch_generic.c, __tcf_kfree_skb_list).
func nameless(reason string) bool {
	a, b, ok := strings.Cut(reason, ":")
	_, err := strconv.ParseUint(a, 10, 16)
	_, err2 := strconv.ParseUint(b, 10, 16)
	return ok && err == nil && err2 == nil
}

func (f *flight) inferred(h *Hop) string {
	switch {
	case h.Step == "accept-queue-full":
		return "" // no kernel has a reason for it
	case h.Hook != "":
		return "NETFILTER_DROP"
	case f.pend.checked && strings.HasPrefix(h.Location, "ip_rcv_finish"):
		return "IP_RPFILTER" // the check of the source was the last thing before
	case h.Location == "ip_error":
		if f.lastRouteError() {
			return "IP_INNOROUTES"
		}
		return "IP_INADDRERRORS"
	case h.Step == "fdb-miss":
		return "NO_TX_TARGET"
	case f.icmp == "fragmentation needed", f.icmp == "packet too big":
		return "PKT_TOO_BIG"
	case strings.HasSuffix(h.Location, "_enqueue"), (strings.HasPrefix(h.Location, "kfree_skb_list") || strings.HasSuffix(h.Location, "tcf_kfree_skb_list")) && slices.Contains(h.Stack[:min(len(h.Stack), 3)], "__dev_queue_xmit"):
		return "QDISC_DROP" // a queueing discipline's own function, or what it left on the list of __dev_xmit_skb
	case h.Reason == "" && f.flags&flagRST == 0 && (h.Location == "tcp_v4_rcv" || h.Location == "tcp_v6_rcv"), f.icmp == "port unreachable" && strings.Contains(h.Location, "udp"):
		return "NO_SOCKET" // kernels without reasons: nearly always
	}
	if byStep := inferredByStep[f.pend.last]; byStep[h.Location] != "" {
		return byStep[h.Location]
	}
	return inferredByPlace[h.Location]
}

// InferReason is the reason of a drop of which only the place is known: the kernel's own where it gave one, else the one that newer kernels give
// at this place, marked with Inferred, else what the kernel said. The call stack, innermost first, may be nil.
func InferReason(reason, location string, stack []string) string {
	if reason != "" && reason != "NOT_SPECIFIED" {
		return reason
	}
	switch {
	case inNetfilter[location] || hookOf(stack, reason, location) != "":
		return Inferred + "NETFILTER_DROP"
	case inferredByPlace[location] != "":
		return Inferred + inferredByPlace[location]
	case reason == "" && (location == "tcp_v4_rcv" || location == "tcp_v6_rcv" || location == "__udp4_lib_rcv" || location == "__udp6_lib_rcv"):
		return Inferred + "NO_SOCKET"
	}
	return reason
}

// PacketOf is the packet of an event.
func PacketOf(e *tracer.Event) Packet { return packetOf(e) }

// HookOf reads from a drop's call stack in which netfilter hook it was; "" when it was no hook that dropped.
func HookOf(stack []string, reason, location string) string {
	return hookOf(dropStack(stack, location), strings.TrimPrefix(reason, Inferred), location)
}

// DropStack is a drop's call stack without the tracing machinery on top.
func DropStack(stack []string, location string) []string { return dropStack(stack, location) }

// inferredByStep are functions that drop for that reason when the given one was the last that the packet came to.
var inferredByStep = map[tracer.Role]map[string]string{
	tracer.RoleTC:     {"__netif_receive_skb_core": "TC_INGRESS", "sch_handle_ingress": "TC_INGRESS", "__dev_queue_xmit": "TC_EGRESS", "sch_handle_egress": "TC_EGRESS"},
	tracer.RoleCgroup: {"ip_finish_output": "BPF_CGROUP_EGRESS", "ip6_finish_output": "BPF_CGROUP_EGRESS", "sk_filter_trim_cap": "SOCKET_FILTER"},
}

// inferredByPlace are functions that drop for one reason only.
var inferredByPlace = map[string]string{
	"neigh_invalidate": "NEIGH_FAILED", "arp_error_report": "NEIGH_FAILED", "ndisc_error_report": "NEIGH_FAILED",
	"__neigh_event_send": "NEIGH_QUEUEFULL",
	"sk_filter_trim_cap": "SOCKET_FILTER", "__sock_queue_rcv_skb": "SOCKET_RCVBUFF", "__udp_enqueue_schedule_skb": "SOCKET_RCVBUFF", "enqueue_to_backlog": "CPU_BACKLOG",
	"ip6_pkt_drop": "IP_INNOROUTES", "netif_receive_generic_xdp": "XDP", "do_xdp_generic": "XDP",
	"vxlan_rcv": "VXLAN_VNI_NOT_FOUND", // or a malformed header, which takes somebody to forge it
	"ip_expire": "FRAG_REASM_TIMEOUT", "ip6frag_expire_frag_queue": "FRAG_REASM_TIMEOUT",
}

func (f *flight) lastRouteError() bool {
	for i := len(f.j.Hops) - 1; i >= 0; i-- {
		if r := f.j.Hops[i].Route; r != nil && f.j.Hops[i].Stage == StageRoute {
			return r.Error != ""
		}
	}
	return false
}

// silentDrop recognises the packets that the kernel gives up as if their way had ended well: a SYN for a full accept queue (net/ipv4/
// tcp_input.c, tcp_conn_request), a frame for which a VXLAN device knows no remote (vxlan_core.c, before 6.12).
func (f *flight) silentDrop(a *Assembler, e *tracer.Event) bool {
	location := ""
	switch {
	case f.pend.full != nil:
		location = tracer.FuncOf(f.pend.full.Point)
	case f.pend.tunnel != nil && f.pend.tunnel.Point == vxlanXmit && !f.local:
		location = "vxlan_xmit"
	default:
		return false
	}
	h := f.hop(a, e, StageDrop)
	h.Location, h.Verdict = location, "drop"
	if p := f.lastHop(); h.Dev == "" && p != nil {
		f.atLast(a, &h)
	}
	if t := f.pend.tunnel; t != nil {
		h.Dev, h.Ifindex, h.DevKind = t.Dev, t.Ifindex, "vxlan"
	}
	f.explain(&h)
	f.infer(&h)
	f.add(h)
	f.j.End, f.j.EndWhy = Dropped, "drop"
	a.drops = append(a.drops, Drop{Journey: f.j.ID, Time: e.Time, Hop: f.j.Hops[len(f.j.Hops)-1]})
	f.over = true
	return true
}

const vxlanXmit tracer.Point = 101
