// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"net/netip"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func init() {
	register(check{name: "foreign-source-address", drop: foreignSource, silences: []string{"neighbour-failed"}})
}

// foreignSource: the pod sends from an address that its node does not route to it. The node leaves even the ARP request for the gateway
// unanswered, because its source fails the reverse path filter (net/ipv4/arp.c, arp_process: ip_route_input_noref comes before the answer),
// so it looks as if the gateway were gone.
func foreignSource(d *dropAt) *Finding {
	if d.host() || d.h.Outer != nil || (d.reason() != "NEIGH_FAILED" && d.h.Location != "neigh_invalidate") {
		return nil
	}
	src, gw := d.tuple().Src, d.nextHop()
	node := d.in.snapshot().Host(d.h.Node)
	if node == nil || !src.Is4() {
		return nil
	}
	gate := deviceWith(node, gw)
	if gate == "" {
		return nil
	}
	back, routed := node.RouteFor(src)
	if routed && back.Dev == gate {
		return nil
	}
	filter := max(node.Sysctls["net.ipv4.conf.all.rp_filter"], node.Sysctls["net.ipv4.conf."+gate+".rp_filter"])
	if filter != "1" && (filter != "2" || routed) { // 1 wants the same device, 2 any
		return nil
	}
	f := &Finding{Layer: PodNetwork, Cause: "foreign-source-address", Confidence: Confirmed,
		Summary:  fmt.Sprintf("%s sends from %s, which %s does not route to it: even its ARP requests stay unanswered", place(d.h), src, d.h.Node),
		Evidence: []string{fmt.Sprintf("state: rp_filter of %s on %s is %s, and its way back to %s is %s", gate, d.h.Node, filter, src, wayBack(back, routed))},
		Fix:      []string{in(d.h, "ip addr; ip route: which 'src' and which address chose it; a pod sends from the address that its CNI plugin gave it")}}
	if says, ok := d.unanswered(d.h.Dev, gw); ok {
		f.Evidence = append(f.Evidence, says)
	} else {
		f.Confidence = Likely
	}
	return f
}

// deviceWith names the device that has an address.
func deviceWith(n *netstate.Namespace, a netip.Addr) string {
	for i := range n.Links {
		for _, p := range n.Links[i].Addrs {
			if p.Addr() == a {
				return n.Links[i].Name
			}
		}
	}
	return ""
}

func wayBack(r netstate.Route, ok bool) string {
	if !ok {
		return "none"
	}
	return r.Dst.String() + " dev " + r.Dev
}
