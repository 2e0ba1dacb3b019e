// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

func init() {
	register(check{name: "ip-forward-off", drop: ipForwardOff, silences: []string{"route-missing"}})
	register(check{name: "not-this-pod", drop: notThisPod, silences: []string{"route-missing"}})
	register(check{name: "blackhole-route", drop: blackholeRoute, silences: []string{"route-missing"}})
	register(check{name: "route-missing", drop: routeMissing})
	register(check{name: "no-route-to-vtep", drop: noRouteToVTEP, silences: []string{"route-missing"}})
	register(check{name: "rp-filter", drop: rpFilter})
}

// ipForwardOff: ip_error drops with IP_INADDRERRORS what would have to be forwarded where forwarding is off (net/ipv4/route.c).
func ipForwardOff(d *dropAt) *Finding {
	if d.h.Location != "ip_error" || d.stray() {
		return nil
	}
	state, known := "", false
	if d.ns != nil {
		state, known = d.ns.Sysctls["net.ipv4.ip_forward"], true
	}
	if known && state != "0" {
		return nil
	}
	f := &Finding{
		Layer: PodNetwork, Cause: "ip-forward-off", Confidence: Likely,
		Summary:  fmt.Sprintf("%s does not forward packets: net.ipv4.ip_forward is 0", place(d.h)),
		Evidence: []string{"ip_error with IP_INADDRERRORS is how a host that is no router drops what is not for itself"},
		Fix:      []string{in(d.h, "sysctl -w net.ipv4.ip_forward=1"), "find what set it back: files in /etc/sysctl.d, a network service, a hardening script"},
	}
	switch {
	case known && state == "0":
		f.Confidence = Confirmed
		f.Evidence = append(f.Evidence, fmt.Sprintf("state: net.ipv4.ip_forward = 0 %s", on(d.h)))
	case d.reason() != "IP_INADDRERRORS":
		return nil
	}
	return f
}

// stray reports whether ip_error dropped a packet in a pod: those do not forward, and nothing is wrong with that.
func (d *dropAt) stray() bool { return d.h.Location == "ip_error" && d.h.Where != nil && !d.host() }

// notThisPod: the packet came to a pod that does not have its address.
func notThisPod(d *dropAt) *Finding {
	dst := d.tuple().Dst
	forwards := d.ns == nil || d.ns.Sysctls["net.ipv4.ip_forward"] != "0"
	if !d.stray() || d.h.Outer != nil || d.ns.IsLocal(dst) || forwards && d.reason() != "IP_INADDRERRORS" {
		return nil
	}
	f := &Finding{Layer: PodNetwork, Cause: "route-drop", Confidence: Likely,
		Summary:  fmt.Sprintf("%s came to %s, which does not have the address %s: a route to it is stale, or the pod lost its address", d.packetName(), place(d.h), dst),
		Evidence: []string{"ip_error with IP_INADDRERRORS is how a host that is no router drops what is not for itself"},
		Fix: []string{fmt.Sprintf("on its node: ip route get %s: does it still lead to this pod? kubectl get pods -A -o wide | grep %s tells whose address it is", dst, dst),
			in(d.h, "ip addr: the CNI plugin gives a pod its address; delete a pod that has lost it")}}
	if d.ns != nil {
		f.Evidence = append(f.Evidence, fmt.Sprintf("state: no device in %s has the address %s", place(d.h), dst))
	}
	return f
}

// blackholeRoute: a route of type blackhole gives EINVAL to the lookup and the packet to ip_error without a reason.
func blackholeRoute(d *dropAt) *Finding {
	if d.h.Location != "ip_error" && d.h.Location != "ip6_pkt_drop" {
		return nil
	}
	dst, layer := d.tuple().Dst, PodNetwork
	lost := "if the pod lives, the more specific route was lost: restart the CNI agent (or look at its BGP sessions)"
	if d.h.Outer != nil {
		dst, layer = d.h.Outer.Dst, Underlay
		lost = "if the node lives, the more specific route to it was lost: look at who writes the node's routes"
	}
	seen := d.lastRoute() != nil && d.lastRoute().Error == "EINVAL"
	route, ok, sure := d.ns.Routed(dst)
	state := ok && route.Type == "blackhole"
	if !seen && !state {
		return nil
	}
	f := &Finding{
		Layer: layer, Cause: "blackhole-route", Confidence: Likely,
		Summary: fmt.Sprintf("a blackhole route %s swallows packets to %s", on(d.h), dst),
		Fix:     []string{in(d.h, fmt.Sprintf("ip route get %s; ip route show type blackhole", dst)), lost},
	}
	if state {
		f.Summary = fmt.Sprintf("the blackhole route %s %s swallows packets to %s", route.Dst, on(d.h), dst)
		f.Evidence = append(f.Evidence, fmt.Sprintf("state: route blackhole %s in table %d %s", route.Dst, route.Table, on(d.h)))
	}
	if seen {
		f.Evidence = append(f.Evidence, "kernel: the route lookup returned EINVAL, which is what a blackhole route returns")
	}
	if seen && state && sure {
		f.Confidence = Confirmed
	}
	return f
}

// byMore tells that policy rules decide by more than the destination, so that a look at the tables is no proof.
const byMore = "state: policy rules there look at more than the destination (ip rule): which table answered is not known"

// routeMissing: no route to where the packet, or its answer, has to go.
func routeMissing(d *dropAt) *Finding {
	noRoute := d.reason() == "IP_INNOROUTES" || d.reason() == "IP_OUTNOROUTES"
	if r := d.lastRoute(); r != nil && r.Error == "ENETUNREACH" && (d.h.Location == "ip_error" || d.h.Location == "ip6_pkt_drop") {
		noRoute = true
	}
	if !noRoute || d.h.Outer != nil {
		return nil
	}
	dst := d.tuple().Dst
	f := &Finding{
		Layer: PodNetwork, Cause: "route-missing", Confidence: Likely,
		Summary: fmt.Sprintf("%s has no route to %s", place(d.h), dst),
		Fix:     []string{in(d.h, fmt.Sprintf("ip route get %s", dst)), "the CNI agent writes a route for each node's pod network: restart it on this node and look at its log"},
	}
	if d.j.Direction == journey.Reply {
		f.Cause = "reply-route-missing"
		f.Summary = fmt.Sprintf("the request arrived, but %s has no route for the reply to %s", place(d.h), dst)
	}
	if d.ns != nil {
		switch route, ok, sure := d.ns.Routed(dst); {
		case !sure:
			f.Evidence = append(f.Evidence, byMore)
		case !ok:
			f.Confidence = Confirmed
			f.Evidence = append(f.Evidence, fmt.Sprintf("state: none of the %d routes %s contains %s", len(d.ns.Routes), on(d.h), dst))
		default:
			f.Evidence = append(f.Evidence, fmt.Sprintf("state: there is a route now: %s dev %s", route.Dst, route.Dev))
		}
	}
	return f
}

// noRouteToVTEP: the tunnel device cannot route its own packet (vxlan_xmit_one, dev_core_stats carrier errors).
func noRouteToVTEP(d *dropAt) *Finding {
	if d.h.DevKind != "vxlan" || (d.reason() != "IP_OUTNOROUTES" && d.h.Location != "vxlan_xmit_one") {
		return nil
	}
	f := &Finding{
		Layer: Underlay, Cause: "no-route-to-vtep", Confidence: Likely,
		Summary: fmt.Sprintf("%s has no route to the other node: the tunnel %s cannot send", place(d.h), d.h.Dev),
		Fix:     []string{in(d.h, "ip link; ip route; look for the uplink that is down or has lost its address")},
	}
	if l := d.ns.Link(d.h.Dev); l != nil && l.VXLAN != nil {
		if u := d.ns.LinkByIndex(l.VXLAN.Underlay); u != nil && !u.Up {
			f.Confidence = Confirmed
			f.Evidence = append(f.Evidence, fmt.Sprintf("state: %s, over which %s sends, is down", u.Name, l.Name))
		}
	}
	return f
}

// rpFilter: strict reverse path filtering.
func rpFilter(d *dropAt) *Finding {
	if d.reason() != "IP_RPFILTER" {
		return nil
	}
	src, layer := d.tuple().Src, PodNetwork
	if d.h.Outer != nil {
		src, layer = d.h.Outer.Src, Underlay
	}
	f := &Finding{
		Layer: layer, Cause: "rp-filter", Confidence: Likely,
		Summary: fmt.Sprintf("%s drops packets from %s at %s: rp_filter expects them at another device", place(d.h), src, d.h.Dev),
		Fix:     []string{in(d.h, fmt.Sprintf("sysctl -w %s=0 net.ipv4.conf.all.rp_filter=0", Setting("net.ipv4.conf", d.h.Dev, "rp_filter")))},
	}
	if r, ok, sure := d.ns.Routed(src); ok && r.Dev != d.h.Dev {
		if f.Confidence = Confirmed; !sure {
			f.Confidence, f.Evidence = Likely, append(f.Evidence, byMore)
		}
		f.Evidence = append(f.Evidence, fmt.Sprintf("state: the way back to %s leads to %s, the packet came in at %s", src, r.Dev, d.h.Dev))
	}
	return f
}
