// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func init() {
	register(check{name: "pod-route", layer: PodNetwork, run: podRoute})
}

// linkLocalGateway is the gateway of CNI plugins that answer ARP for everything with proxy_arp (Calico).
var linkLocalGateway = netip.MustParseAddr("169.254.1.1")

// podRoute: the sender has a route to the destination, and the gateway is there.
func podRoute(in *Input) Result {
	w := in.path()
	n := w.src.ns
	if n == nil {
		return unknown(fmt.Sprintf("%s is not on this kernel: run nettrace on its node", in.who(in.Src, 0)))
	}
	if why := unread(n, "routes"); why != "" {
		return unknown(why)
	}
	name := in.who(in.Src, 0)
	r, ok := n.RouteFor(in.Dst)
	if !ok || r.Type != "unicast" && r.Type != "local" {
		f := Result{Status: Wrong, Cause: "pod-default-route-missing", Node: w.src.node, Stops: true, Summary: fmt.Sprintf("%s has no route to %s", name, in.Dst),
			Evidence: []string{fmt.Sprintf("state: none of the %d routes in %s leads there", len(n.Routes), n.Name)},
			Fix:      []string{"in the sender's namespace: ip route; the CNI plugin writes the default route when it makes the pod, so delete the pod and look at the plugin's log"}}
		if ok {
			f.Evidence = []string{fmt.Sprintf("state: route %s %s in %s", r.Type, r.Dst, n.Name)}
		}
		if n.Host {
			f.Cause = "route-missing"
		}
		return f
	}
	if !r.Gateway.IsValid() {
		return Result{Status: OK, Summary: fmt.Sprintf("%s reaches %s over %s without a gateway", name, in.Dst, r.Dev)}
	}
	return in.throughGateway(n, &r)
}

// throughGateway: the gateway of the sender's route is there.
func (in *Input) throughGateway(n *netstate.Namespace, r *netstate.Route) Result {
	w, name := in.path(), in.who(in.Src, 0)
	gone := Result{Status: Wrong, Cause: "pod-gateway-no-arp", Node: w.src.node, Stops: true, Summary: fmt.Sprintf("the gateway %s of %s does not answer", r.Gateway, name),
		Fix: []string{fmt.Sprintf("in the sender's namespace: ip route; ip neigh; on %s: ip addr show to %s; with a gateway of 169.254.1.1: sysctl net.ipv4.conf.DEVICE.proxy_arp", w.src.node, r.Gateway)}}
	if e, ok := n.Neigh(r.Dev, r.Gateway); ok && (e.State == "FAILED" || e.State == "INCOMPLETE") {
		gone.Evidence = []string{fmt.Sprintf("state: the neighbour entry of %s for %s on %s is %s", n.Name, r.Gateway, r.Dev, e.State)}
		return gone
	}
	if n.Host || w.src.host == nil || r.Gateway == linkLocalGateway || w.src.host.IsLocal(r.Gateway) || answered(n, r) {
		return Result{Status: OK, Summary: fmt.Sprintf("%s goes through %s on %s", name, r.Gateway, r.Dev)}
	}
	if why := cmp.Or(unread(w.src.host, "links"), unread(n, "neighbours")); why != "" {
		return unknown(why)
	}
	nobodys := fmt.Sprintf("the gateway %s of %s is no address of %s", r.Gateway, name, w.src.node)
	if in.bridgeOf(&w.src) == "" { // a logical router's, or one in the fabric: OVN-Kubernetes, kube-ovn, Azure CNI, macvlan, ipvlan
		return unknown(nobodys + ", and nothing tells whether it answers")
	}
	gone.Summary, gone.Evidence = nobodys, []string{fmt.Sprintf("state: no device of %s has %s", w.src.node, r.Gateway)}
	return gone
}

// answered reports whether the gateway of a route has a MAC address: somebody gave it, now or some time ago.
func answered(n *netstate.Namespace, r *netstate.Route) bool {
	e, ok := n.Neigh(r.Dev, r.Gateway)
	return ok && e.MAC != "" && slices.Contains([]string{"REACHABLE", "STALE", "DELAY", "PROBE", "PERMANENT", "NOARP"}, e.State)
}
