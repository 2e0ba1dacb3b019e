// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

// generic is the finding for a drop that no check knows: the place gives the layer.
func generic(d *dropAt) Finding {
	stage, layer := "packet", PodNetwork
	loc := d.h.Location
	switch {
	case d.h.Hook != "":
		stage = "netfilter"
	case strings.Contains(loc, "neigh") || strings.HasPrefix(d.reason(), "NEIGH_"):
		stage = "neighbour"
	case strings.HasPrefix(loc, "ip_route") || loc == "ip_error" || loc == "ip_forward" || loc == "ip6_forward" || loc == "ip6_pkt_drop":
		stage = "route"
	case strings.Contains(loc, "vxlan") || strings.Contains(loc, "tunnel"):
		stage = "tunnel"
	case strings.HasPrefix(loc, "tcp_") || strings.HasPrefix(loc, "udp") || strings.HasPrefix(loc, "__udp") || strings.HasPrefix(loc, "icmp"):
		stage, layer = "socket", Application
	case strings.HasPrefix(d.reason(), "QDISC"):
		stage = "qdisc"
	case loc == "__dev_queue_xmit" || strings.HasPrefix(loc, "br_") || strings.HasPrefix(loc, "veth"):
		stage = "device"
	}
	switch {
	case d.h.Outer != nil:
		layer = Underlay
	case !d.host() && d.h.Where != nil:
		layer = Application
	}
	why := pick(d.reason() != "" && d.reason() != "NOT_SPECIFIED", "reason "+d.reason(), "the kernel gives no reason")
	return Finding{
		Layer: layer, Cause: stage + "-drop",
		Summary:    fmt.Sprintf("%s was dropped %s in %s (%s)", d.packetName(), on(d.h), pick(loc != "", loc, "the kernel"), why),
		Evidence:   lines(ruleEvidence(d.h.Rule), stackEvidence(d.h)),
		Fix:        []string{fmt.Sprintf("look at what %s does %s: no known failure fits this place and reason", pick(loc != "", loc, "the dropping function"), on(d.h))},
		Confidence: Likely,
	}
}

func stackEvidence(h *journey.Hop) string {
	if len(h.Stack) == 0 {
		return ""
	}
	return "call stack: " + strings.Join(h.Stack[:min(len(h.Stack), 6)], " ← ")
}

// delivered is the good end.
func delivered(in *Input) Finding {
	f := Finding{Outcome: Delivered, Cause: "", Hop: -1, Confidence: Confirmed}
	requests, replies := 0, 0
	for i := range in.Journeys {
		j := &in.Journeys[i]
		switch {
		case j.Direction == journey.Request && j.End == journey.Delivered:
			requests++
			if f.Journey == 0 {
				f.Journey, f.Hop = j.ID, len(j.Hops)-1
			}
		case j.Direction == journey.Reply && j.End == journey.Delivered:
			replies++
		}
	}
	to := in.flowDst()
	f.Summary = fmt.Sprintf("%s reaches %s and the answer comes back", in.flowSrc(), to)
	f.Evidence = lines(fmt.Sprintf("%d packets of the request and %d of the reply were followed to their socket", requests, replies),
		pick(replies == 0 && in.acknowledged() > 0, "kernel: answers left the node, and later requests acknowledge them", ""), translation(in))
	if requests == 0 && replies == 0 {
		f.Confidence = Likely
		if in.Probe != nil {
			f.Evidence = []string{"the probe was answered, but no packet of it was seen to its end here"}
		}
	}
	return f
}

// translation tells which endpoint a Service's address became.
func translation(in *Input) string {
	for i := range in.Journeys {
		for k := range in.Journeys[i].Hops {
			if h := &in.Journeys[i].Hops[k]; h.NAT != nil && h.NAT.Type == "dnat" && !h.NAT.Undo {
				proto := in.Journeys[i].Packet.Proto
				s := fmt.Sprintf("%s was translated to %s %s", in.text(proto, h.NAT.From), in.text(proto, h.NAT.To), on(h))
				if h.Ref != nil && !strings.Contains(s, h.Ref.String()) {
					s += " for " + h.Ref.String()
				}
				return s
			}
		}
	}
	return ""
}

// chosenInSocket says what hides a Service's address from every point: eBPF programs that put an endpoint's in its place while the client connects.
func (in *Input) chosenInSocket() []string {
	if in.Flow.DstRef == nil || in.Flow.DstRef.Kind != "Service" {
		return nil
	}
	to := "the address of one of its endpoints"
	if len(in.Flow.Endpoints) > 0 {
		to = in.Flow.Endpoints[0].Addr
	}
	return []string{fmt.Sprintf("where Cilium or Calico's eBPF replaces kube-proxy, the endpoint is chosen inside connect() and no packet has the Service's address: follow %s instead", to)}
}

// undropped is the finding when nothing was dropped and no check knows better.
func undropped(in *Input) Finding {
	if len(in.Journeys) == 0 {
		f := Finding{Outcome: Unseen, Hop: -1, Confidence: Inconclusive, Summary: fmt.Sprintf("no packet from %s to %s was seen on this node", in.flowSrc(), in.flowDst()),
			Evidence: in.Similar, Fix: []string{"send traffic with --probe, or run nettrace on the node of the sender"}}
		if in.Probe != nil {
			f.Fix = append(in.chosenInSocket(), "the probe did not leave its socket: look at the routes of its namespace")
		}
		return f
	}
	j := &in.Journeys[0]
	for i := range in.Journeys {
		if in.Journeys[i].Direction == journey.Request {
			j = &in.Journeys[i]
			break
		}
	}
	f := Finding{Outcome: Lost, Journey: j.ID, Hop: len(j.Hops) - 1, Confidence: Inconclusive}
	if (j.End == journey.Delivered || j.End == journey.LeftNode) && in.cameBack() {
		return cutOff(in)
	}
	switch j.End {
	case journey.Delivered:
		if last := in.lastAnswer(); last != nil {
			return answerLeft(in, last)
		}
		f.Outcome, f.Layer, f.Cause = Delivered, Application, "no-answer"
		f.Summary = "the request reached its socket, and no answer was seen"
		f.Fix = []string{"look at the application: accept queue (ss -ltn), CPU, logs"}
	case journey.LeftNode:
		f.Layer, f.Cause = Underlay, "left-node"
		f.Summary = fmt.Sprintf("the request left %s and nothing came back", place(&j.Hops[len(j.Hops)-1]))
		f.Fix = append(insideDevice(&j.Hops[len(j.Hops)-1]), fmt.Sprintf("run nettrace on the node that has %s", j.TupleAt(len(j.Hops)-1).Dst))
	default:
		f.Layer, f.Cause = PodNetwork, "no-further-sight"
		last := "nowhere"
		if len(j.Hops) > 0 {
			last = on(&j.Hops[len(j.Hops)-1])
		}
		f.Summary = "the request was last seen " + last + " and nothing tells what became of it"
		f.Fix = []string{"run it again with a longer --timeout"}
	}
	if f.Hop < 0 {
		f.Journey = 0
	}
	return f
}

// lastAnswer is the last answer that left this kernel; nil for none.
func (in *Input) lastAnswer() *journey.Journey {
	var last *journey.Journey
	for i := range in.Journeys {
		if j := &in.Journeys[i]; j.Direction == journey.Reply && j.End == journey.LeftNode && len(j.Hops) > 0 {
			last = j
		}
	}
	return last
}

// answerLeft is the finding where the request arrived and its answer left, and nothing shows that it arrived: of TCP that says that it did not.
func answerLeft(in *Input, j *journey.Journey) Finding {
	i := len(j.Hops) - 1
	h, to := &j.Hops[i], j.TupleAt(i).Dst
	f := Finding{Outcome: Delivered, Layer: Underlay, Cause: "left-node", Journey: j.ID, Hop: i, Confidence: Inconclusive,
		Summary: fmt.Sprintf("the request reached its socket, and its answer left %s at %s: whether that arrives cannot be seen from here", place(h), h.Dev),
		Fix:     append(insideDevice(h), fmt.Sprintf("run nettrace where %s is, with --probe", in.who(j.Packet.Proto, to, 0)))}
	if !in.mute(j) {
		f.Outcome = Lost
		f.Summary = fmt.Sprintf("the request reached its socket, and its answer left %s at %s: nothing shows that it arrived", place(h), h.Dev)
		f.Evidence = []string{fmt.Sprintf("kernel: %d answers left %s, and none was acknowledged; no drop was reported", in.answersLeft(), place(h))}
		f.Fix = append(f.Fix, fmt.Sprintf("the way back to %s: does it go where the request came from? A firewall that saw no request drops the answer", to),
			at(h, fmt.Sprintf("ip route get %s; tcpdump -ni %s host %s", to, h.Dev, to)))
	}
	return f
}

func (in *Input) answersLeft() (n int) {
	for i := range in.Journeys {
		if j := &in.Journeys[i]; j.Direction == journey.Reply && j.End == journey.LeftNode {
			n++
		}
	}
	return n
}

// insideDevice says how a packet goes on that left at a tunnel's device which hides it.
func insideDevice(h *journey.Hop) []string {
	switch {
	case h.Outer != nil || !tunnelKinds[h.DevKind]:
		return nil
	case h.DevKind == "wireguard":
		return []string{at(h, fmt.Sprintf("wg show %s: has the peer a recent handshake, and the address among its allowed ips? Its packets are UDP (51820 in Calico and flannel, 51871 in Cilium): let it pass between the nodes", h.Dev))}
	}
	return []string{fmt.Sprintf("%s is a tunnel (%s): what it sends has other addresses, and is not followed", h.Dev, h.DevKind)}
}
