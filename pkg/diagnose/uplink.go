// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"net/netip"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func init() {
	register(check{name: "uplink", layer: Underlay, run: uplink, silences: []string{"node-reachable"}})
}

// uplink: the device over which a node reaches the others is up and has a carrier.
func uplink(in *Input) Result {
	peers := in.peers()
	if len(peers) == 0 {
		return notForThis("the flow stays on one node")
	}
	w := in.path()
	var p parts
	here, elsewhere := in.hosts()
	for _, h := range here {
		to, own := netip.Addr{}, h == w.entry
		if own {
			to = in.nodeAddress(peers[0].node, peers[0].host, in.Src.Is6())
		} else if w.entry != nil {
			to = in.nodeAddress(w.entry.Node, w.entry, in.Src.Is6())
		}
		in.uplinkOf(&p, h, to, own)
	}
	for _, n := range elsewhere {
		p.unsure(away(n))
	}
	return p.result("no node of the cluster is on the way")
}

func (in *Input) uplinkOf(p *parts, h *netstate.Namespace, to netip.Addr, own bool) {
	l := uplinkDevice(h, to)
	cause := "underlay-neighbour-failed" // what the other node sees of it
	if own {
		cause = "no-route-to-vtep"
	}
	switch why := unread(h, "links"); {
	case l == nil && why != "":
		p.unsure(why)
	case l == nil:
		p.bad(Result{Cause: cause, Node: h.Node, Stops: true, Summary: fmt.Sprintf("%s has no device that leads to the other node", h.Node),
			Evidence: []string{fmt.Sprintf("state: none of the %d routes of %s leads to %s", len(h.Routes), h.Node, to)},
			Fix:      []string{"on " + h.Node + ": ip link; ip route"}})
	case !l.Up:
		p.bad(Result{Cause: cause, Node: h.Node, Stops: true, Summary: fmt.Sprintf("%s's uplink %s is down", h.Node, l.Name),
			Evidence: []string{fmt.Sprintf("state: %s is not up", l.Name)}, Fix: []string{fmt.Sprintf("on %s: ip link set %s up, and find who took it down", h.Node, l.Name)}})
	case l.Oper == "down" || l.Oper == "lowerlayerdown":
		p.bad(Result{Cause: cause, Node: h.Node, Stops: true, Summary: fmt.Sprintf("%s's uplink %s has no carrier", h.Node, l.Name),
			Evidence: []string{fmt.Sprintf("state: %s is up and its operstate is %s", l.Name, l.Oper)}, Fix: []string{fmt.Sprintf("on %s: ethtool %s; look at cable, switch port, or bond", h.Node, l.Name)}})
	default:
		p.good(fmt.Sprintf("%s of %s is up", l.Name, h.Node))
	}
}

// uplinkDevice is the device over which the node's tunnels send, or that leads to an address, or by default.
func uplinkDevice(h *netstate.Namespace, to netip.Addr) *netstate.Link {
	for i := range h.Links {
		if v := h.Links[i].VXLAN; v != nil && v.Underlay != 0 {
			if u := h.LinkByIndex(v.Underlay); u != nil {
				return u
			}
		}
	}
	if r, ok := h.RouteFor(to); ok && to.IsValid() && r.Type == "unicast" {
		return h.Link(r.Dev)
	}
	return nil
}
