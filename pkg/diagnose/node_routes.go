// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"net/netip"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func init() {
	register(check{name: "node-routes", layer: PodNetwork, run: nodeRoutes, silences: []string{"tunnel-peer"}})
}

// nodeRoutes: the nodes have a route to the other end, there and back.
func nodeRoutes(in *Input) Result {
	w := in.path()
	var p parts
	for i := range w.targets {
		t := &w.targets[i]
		if w.entry != nil {
			in.routed(&p, w.entry, t.addr, false)
		}
		switch {
		case t.host == nil && t.node != "" && w.entry != nil && t.node != w.entry.Node:
			p.unsure(away(t.node))
		case t.host != nil && t.host != w.entry && in.keepsSource(w):
			in.routed(&p, t.host, in.Src, true)
		}
	}
	if w.entry == nil {
		p.unsure("the sender's node is not on this kernel: run nettrace there")
	}
	return p.result("nothing is known of where the flow ends")
}

// keepsSource: packets of a pod keep its address on the way to another pod; those from outside of the cluster are masqueraded.
func (in *Input) keepsSource(w *way) bool { return w.src.inPod() && w.src.host == w.entry }

func (in *Input) routed(p *parts, host *netstate.Namespace, a netip.Addr, back bool) {
	cause, what := "route-missing", ""
	if back {
		cause, what = "reply-route-missing", " for the reply"
	}
	if why := unread(host, "routes"); why != "" {
		p.unsure(why)
		return
	}
	fix := []string{fmt.Sprintf("on %s: ip route get %s", host.Node, a), "the CNI agent writes a route for each node's pod network: restart it on this node and look at its log"}
	r, ok := host.RouteFor(a)
	switch {
	case !ok:
		p.bad(Result{Cause: cause, Node: host.Node, Stops: true, Summary: fmt.Sprintf("%s has no route%s to %s", host.Node, what, in.who(a, 0)),
			Evidence: []string{fmt.Sprintf("state: none of the %d routes of %s contains %s", len(host.Routes), host.Node, a)}, Fix: fix})
	case r.Type == "blackhole" || r.Type == "unreachable" || r.Type == "prohibit":
		p.bad(Result{Cause: "blackhole-route", Node: host.Node, Stops: true, Summary: fmt.Sprintf("the %s route %s of %s swallows packets to %s", r.Type, r.Dst, host.Node, in.who(a, 0)),
			Evidence: []string{fmt.Sprintf("state: route %s %s in table %d", r.Type, r.Dst, r.Table)}, Fix: fix})
	case r.Dst.Bits() == 0 && in.Index.InPodNetwork(a) && overlay(host):
		p.bad(Result{Cause: cause, Node: host.Node, Stops: true, Summary: fmt.Sprintf("%s has no route%s of its own to %s: its packets leave by the default route", host.Node, what, in.who(a, 0)),
			Evidence: []string{fmt.Sprintf("state: only %s via %s dev %s contains it, although %s has a tunnel for other nodes' pods", r.Dst, r.Gateway, r.Dev, host.Node)}, Fix: fix})
	default:
		p.good(fmt.Sprintf("%s routes %s to %s", host.Node, a, r.Dev))
	}
}

// overlay reports whether a node has tunnels: then the network between the nodes does not know pods' addresses.
func overlay(host *netstate.Namespace) bool {
	for i := range host.Links {
		if host.Links[i].VXLAN != nil {
			return true
		}
	}
	return false
}
