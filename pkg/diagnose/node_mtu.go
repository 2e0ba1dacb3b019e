// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"net/netip"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func init() {
	register(check{name: "tunnel-mtu", layer: Underlay, run: tunnelMTU})
	register(check{name: "node-mtu", layer: Underlay, run: nodeMTU})
}

// tunnelMTU: a full packet of the tunnel's device fits into the uplink with the headers around it.
func tunnelMTU(in *Input) Result {
	if len(in.peers()) == 0 {
		return notForThis("the flow stays on one node")
	}
	var p parts
	here, elsewhere := in.hosts()
	for _, h := range here {
		for i := range h.Links {
			l := &h.Links[i]
			if l.VXLAN == nil {
				continue
			}
			u := h.LinkByIndex(l.VXLAN.Underlay)
			if u == nil {
				continue
			}
			need := l.MTU + netstate.VXLANOverhead(l.VXLAN.Local)
			if need <= u.MTU {
				p.good(fmt.Sprintf("%s of %s has MTU %d, which fits %s's %d", l.Name, h.Node, l.MTU, u.Name, u.MTU))
				continue
			}
			p.bad(Result{Cause: "tunnel-fragmented", Node: h.Node, Summary: fmt.Sprintf("%s's tunnel %s makes packets of up to %d bytes, and %s carries %d", h.Node, l.Name, need, u.Name, u.MTU),
				Evidence: []string{fmt.Sprintf("state: %s has MTU %d, %s has MTU %d, VXLAN adds %d", l.Name, l.MTU, u.Name, u.MTU, netstate.VXLANOverhead(l.VXLAN.Local))},
				Fix:      []string{fmt.Sprintf("set the CNI's MTU to %d, or raise that of %s to %d", u.MTU-netstate.VXLANOverhead(l.VXLAN.Local), u.Name, need)}})
		}
	}
	for _, n := range elsewhere {
		p.unsure(away(n))
	}
	return p.result("no VXLAN device is on the way")
}

// nodeMTU: the largest packet that the sending node's uplink makes gets to the other node. Between them somebody may carry less and say nothing.
func nodeMTU(in *Input) Result {
	var p parts
	for _, l := range in.legs() {
		t, from := &l.to, l.from
		to := in.nodeAddress(t.node, t.host, in.Src.Is6())
		if from == nil || !to.IsValid() {
			p.unsure("the nodes' addresses are not known")
			continue
		}
		e := in.echoTo(from.Node, to)
		switch {
		case e == nil:
			p.unsure(fmt.Sprintf("packets of full size to %s were not tried: %s", t.node, in.NoEcho))
		case e.Passed == 0:
			p.unsure(fmt.Sprintf("%s does not answer echoes, which says nothing about sizes", t.node))
		case e.Failed == 0:
			p.good(fmt.Sprintf("echoes of %d bytes get to %s", e.Passed, t.node))
		default:
			p.bad(mtuHole(from, t, e))
		}
	}
	return p.result("the flow stays on one node")
}

// leastMTU is what every network carries: below it no MTU of pods is of use (RFC 791, 3.2; RFC 8200, 5).
func leastMTU(a netip.Addr) int {
	if a.Is6() {
		return 1280
	}
	return 576
}

func mtuHole(from *netstate.Namespace, t *side, e *Echo) Result {
	r := Result{Cause: "underlay-mtu-silent", Node: from.Node, Measured: true,
		Summary:  fmt.Sprintf("packets of %d bytes get from %s to %s and those of %d vanish: large answers hang", e.Passed, from.Node, t.node, e.Failed),
		Evidence: []string{fmt.Sprintf("measured: echoes with don't-fragment from %s to %s, the largest answered has %d bytes, the smallest lost %d", from.Node, e.To, e.Passed, e.Failed)},
		Fix:      []string{"raise the MTU of the network between the nodes", fmt.Sprintf("on %s: ping -M do -s SIZE %s shows what passes", from.Node, e.To)}}
	if inner := e.Passed - netstate.VXLANOverhead(e.To); inner >= leastMTU(e.To) {
		r.Fix[0] += fmt.Sprintf(", or set the CNI's MTU to %d", inner)
	}
	if l, _ := tunnel(from, t.addr); l != nil && l.MTU+netstate.VXLANOverhead(l.VXLAN.Local) <= e.Passed {
		r.Measured = false // the tunnel's packets are small enough
		r.Summary = fmt.Sprintf("packets of %d bytes vanish between %s and %s, which the tunnel's packets of up to %d do not need", e.Failed, from.Node, t.node, l.MTU+netstate.VXLANOverhead(l.VXLAN.Local))
	}
	return r
}
