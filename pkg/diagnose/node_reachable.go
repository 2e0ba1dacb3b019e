// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"net/netip"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func init() {
	register(check{name: "node-reachable", layer: Underlay, run: nodeReachable})
}

// nodeReachable: the nodes have a route to one another, their next hops answer ARP, and an echo comes back.
func nodeReachable(in *Input) Result {
	var p parts
	for _, l := range in.legs() {
		t, from := &l.to, l.from
		to := in.nodeAddress(t.node, t.host, in.Src.Is6())
		switch {
		case from == nil:
			p.unsure("the node that sends is not on this kernel: run nettrace there")
		case unread(from, "routes", "neighbours") != "":
			p.unsure(unread(from, "routes", "neighbours"))
		case !to.IsValid():
			p.unsure(fmt.Sprintf("the address of %s is not known", t.node))
		default:
			in.reaches(&p, from, t.node, to)
		}
	}
	return p.result("the flow stays on one node")
}

func (in *Input) reaches(p *parts, from *netstate.Namespace, node string, to netip.Addr) {
	r, ok := from.RouteFor(to)
	if !ok || r.Type != "unicast" {
		p.bad(Result{Cause: "no-route-to-vtep", Node: from.Node, Stops: true, Summary: fmt.Sprintf("%s has no route to %s (%s)", from.Node, node, to),
			Evidence: []string{fmt.Sprintf("state: none of the %d routes of %s leads to %s", len(from.Routes), from.Node, to)},
			Fix:      []string{fmt.Sprintf("on %s: ip route get %s; ip addr: has the uplink lost its address?", from.Node, to)}})
		return
	}
	hop := to
	if r.Gateway.IsValid() {
		hop = r.Gateway
	}
	echo := in.echoTo(from.Node, to)
	n, known := from.Neigh(r.Dev, hop)
	switch {
	case known && (n.State == "FAILED" || n.State == "INCOMPLETE") && (echo == nil || echo.Passed == 0):
		f := Result{Cause: "underlay-neighbour-failed", Node: from.Node, Stops: true, Measured: echo != nil, Summary: fmt.Sprintf("%s cannot reach %s: %s does not answer %s on %s", from.Node, node, hop, asking(hop), r.Dev),
			Evidence: []string{fmt.Sprintf("state: the neighbour entry of %s for %s on %s is %s", from.Node, hop, r.Dev, n.State)},
			Fix:      []string{fmt.Sprintf("is %s up, in this network, and still at %s? on %s: ip neigh show dev %s", node, to, from.Node, r.Dev)}}
		p.bad(f)
	case echo == nil:
		p.unsure(fmt.Sprintf("whether %s answers was not tried: %s", node, in.NoEcho))
	case echo.Passed > 0:
		p.good(fmt.Sprintf("%s answers %s's echo at %s", node, from.Node, to))
	case echo.Told != "":
		p.bad(Result{Cause: "underlay-neighbour-failed", Node: from.Node, Stops: true, Measured: true, Summary: fmt.Sprintf("%s cannot reach %s at %s: %s", from.Node, node, to, echo.Told),
			Evidence: []string{fmt.Sprintf("measured: an echo from %s to %s: %s", from.Node, to, echo.Told)},
			Fix:      []string{fmt.Sprintf("on %s: ip neigh show dev %s; ip route get %s", from.Node, r.Dev, to)}})
	case echo.Error != "":
		p.unsure(fmt.Sprintf("no echo could be sent to %s: %s", node, echo.Error))
	default:
		p.unsure(fmt.Sprintf("%s does not answer %s's echo at %s: it is unreachable, or ICMP is filtered", node, from.Node, to))
	}
}

// asking is how a node asks for the MAC address of another (RFC 826, RFC 4861).
func asking(a netip.Addr) string {
	if a.Is6() {
		return "neighbour solicitations"
	}
	return "ARP"
}

// echoTo is the echo that was sent from a node to an address; nil when none was.
func (in *Input) echoTo(from string, to netip.Addr) *Echo {
	for i := range in.Echoes {
		if e := &in.Echoes[i]; e.From == from && e.To == to {
			return e
		}
	}
	return nil
}
