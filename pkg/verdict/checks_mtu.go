// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func init() {
	register(check{name: "pod-mtu-too-large", drop: podMTUTooLarge})
	register(check{name: "tunnel-df-too-big", drop: tunnelTooBig})
}

func isTooBig(icmp string) bool { return icmp == "fragmentation needed" || icmp == "packet too big" }

// podMTUTooLarge: the packet does not fit into the device that the route leads to, and may not be fragmented (net/ipv4/ip_forward.c). The
// sender is told by ICMP; when that is lost too it never learns.
func podMTUTooLarge(d *dropAt) *Finding {
	if d.h.Outer != nil || (d.reason() != "PKT_TOO_BIG" && !isTooBig(d.h.ICMP)) {
		return nil
	}
	t := d.tuple()
	f := &Finding{Layer: PodNetwork, Cause: "pod-mtu-too-large", Confidence: Likely,
		Summary: fmt.Sprintf("%s does not fit into the MTU of the way on from %s", d.packetName(), place(d.h)),
		Fix:     []string{"set the MTU in the CNI configuration to the uplink's less the tunnel's headers (50 for VXLAN, 70 over IPv6), and make the pods anew", in(d.h, fmt.Sprintf("ip route get %s; ip link: compare the pod's MTU with that of the device", t.Dst))}}
	if lost := errorLost(d.in); lost != nil {
		k := lost.DropHop()
		h := &lost.Hops[k]
		f.Cause = "mtu-blackhole"
		f.Summary = fmt.Sprintf("packets that are too large for %s are dropped there, and the ICMP error that says so is dropped %s: large packets hang", place(d.h), on(h))
		f.Evidence = lines(fmt.Sprintf("kernel: %s dropped the ICMP error about it %s, reason %s", h.Location, on(h), h.Reason), ruleEvidence(h.Rule))
		f.Fix = append([]string{at(h, "let ICMP type 3 (and ICMPv6 type 2) pass")}, f.Fix...)
	}
	route, ok := d.ns.RouteFor(t.Dst)
	out := d.ns.Link(route.Dev)
	if !ok || out == nil {
		return f
	}
	mtu := out.MTU
	if route.MTU > 0 {
		mtu = min(mtu, route.MTU)
	}
	for _, o := range d.in.snapshot().OwnersOf(d.j.Packet.Src) {
		if o.Link.MTU > mtu {
			f.Confidence = Confirmed
			f.Evidence = append(f.Evidence, fmt.Sprintf("state: %s in %s has MTU %d, %s %s has %d", o.Link.Name, o.NS.Name, o.Link.MTU, route.Dev, on(d.h), mtu))
			break
		}
	}
	return f
}

// errorLost is an ICMP error about a packet that was too big, when it was dropped on its way to the sender.
func errorLost(in *Input) *journey.Journey {
	for i := range in.Journeys {
		if j := &in.Journeys[i]; j.Direction == journey.Related && isTooBig(j.Packet.ICMP) && j.DropHop() >= 0 {
			return j
		}
	}
	return nil
}

// tunnelTooBig: the tunnel's packet may not be fragmented and does not fit into the uplink (net/ipv4/ip_output.c, ip_fragment).
func tunnelTooBig(d *dropAt) *Finding {
	if d.h.Outer == nil || (d.h.Location != "ip_fragment" && d.h.Location != "__ip_finish_output" && d.reason() != "PKT_TOO_BIG") {
		return nil
	}
	f := &Finding{Layer: Underlay, Cause: "tunnel-df-too-big", Confidence: Likely,
		Summary:  fmt.Sprintf("the tunnel's packet from %s to %s is larger than the MTU of %s and may not be fragmented", place(d.h), d.who(d.h.Outer.Dst, 0), d.h.Dev),
		Evidence: lines(pick(isTooBig(d.h.ICMP), "the ICMP error about it goes to the node itself, the pod sees nothing of it", "")),
		Fix:      []string{in(d.h, fmt.Sprintf("ip link: %s needs an MTU of the tunnel's and %d more; raise it, or lower the CNI's MTU", d.h.Dev, carrier(d.j, d.h).Overhead))}}
	out := d.ns.Link(d.h.Dev)
	if out == nil {
		return f
	}
	for _, l := range d.ns.Links {
		if l.VXLAN != nil && l.VXLAN.Port == int(d.h.Outer.Dport) && tight(&l, out) {
			f.Confidence = Confirmed
			f.Evidence = append(f.Evidence, fmt.Sprintf("state: %s has MTU %d and needs %d more, %s has %d", l.Name, l.MTU, overhead(&l), out.Name, out.MTU))
			break
		}
	}
	return f
}

func tight(tunnel, uplink *netstate.Link) bool { return tunnel.MTU+overhead(tunnel) > uplink.MTU }
