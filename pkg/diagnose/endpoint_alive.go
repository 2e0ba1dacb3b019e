// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

func init() {
	register(check{name: "endpoint-alive", layer: Service, run: endpointAlive, silences: []string{"target-port"}})
	register(check{name: "target-port", layer: Service, run: targetPort})
	register(check{name: "conntrack", layer: Service, run: conntrack})
	register(check{name: "node-port", layer: Service, run: nodePort})
}

// endpointAlive: each endpoint's address is that of a pod that lives.
func endpointAlive(in *Input) Result {
	w := in.path()
	var p parts
	for i := range w.targets {
		t := &w.targets[i]
		if w.svc == nil && t.addr == in.Dst && !in.Index.InPodNetwork(t.addr) && !t.inPod() {
			continue // a host, in or outside of the cluster
		}
		former := in.Index.Addr(t.addr).Former
		gone := Result{Cause: "stale-endpoint", Node: t.node, Stops: len(w.targets) == 1, Summary: fmt.Sprintf("%s, where the flow may end, is no pod's address any more", in.who(t.addr, t.port)),
			Fix: []string{"kubectl get pods -A -o wide | grep " + t.addr.String() + "; kubectl get endpointslices -A | grep " + t.addr.String(), "kube-proxy or the EndpointSlice controller lags: look at their logs"}}
		switch {
		case t.ns != nil:
			p.good(fmt.Sprintf("%s is there", in.who(t.addr, 0)))
		case t.host != nil && t.pod == nil:
			gone.Evidence = []string{fmt.Sprintf("state: no namespace of %s that is watched has %s", t.node, t.addr)}
			p.bad(gone)
		case former != nil && t.pod == nil:
			gone.Evidence = []string{fmt.Sprintf("the API had pod %s/%s with it, which has ended", former.Namespace, former.Name)}
			p.bad(gone)
		case t.pod != nil:
			p.good(fmt.Sprintf("%s lives on %s", in.who(t.addr, 0), t.node))
		case in.Whole && in.Index.InPodNetwork(t.addr):
			gone.Evidence = []string{"the API has no pod with this address"}
			p.bad(gone)
		case in.podOf(t) != "":
			p.good(fmt.Sprintf("its EndpointSlice has %s for pod %s", t.addr, in.podOf(t)))
		default:
			p.unsure(fmt.Sprintf("whether somebody has %s is not known", t.addr))
		}
	}
	if w.svc != nil {
		return p.result("Service " + w.service() + " has no ready endpoint")
	}
	return p.result("the destination is no pod's address that is known")
}

// podOf is the pod that the EndpointSlice names for an endpoint, "" for none.
func (in *Input) podOf(t *side) string {
	for _, b := range in.path().backends {
		if b.Addr.Addr() == t.addr {
			return b.Pod
		}
	}
	return ""
}

// targetPort: a Service sends to a port on which the pod listens.
func targetPort(in *Input) Result {
	w := in.path()
	if w.svc == nil {
		r, _ := in.needService()
		return r
	}
	if in.Proto != "tcp" && in.Proto != "udp" {
		return unknown("listeners of " + in.Proto + " are not read")
	}
	var p parts
	for i := range w.targets {
		t := &w.targets[i]
		name := in.who(t.addr, t.port)
		switch {
		case t.ns == nil:
			p.unsure(in.elsewhere(t))
		case unread(t.ns, "sockets") != "":
			p.unsure(unread(t.ns, "sockets"))
		case len(onPort(t.ns, in.Proto, t.port)) > 0:
			p.good(fmt.Sprintf("%s has a socket on its port", name))
		default:
			p.bad(in.unheard(t))
		}
	}
	return p.result("Service " + w.service() + " has no ready endpoint")
}

// unheard says why nothing listens where a Service sends. Its targetPort is wrong when the pod listens on another port; one that listens on none is not
// up. On a node the other listeners are not the application's.
func (in *Input) unheard(t *side) Result {
	const compare = "compare the Service's targetPort with the ports that the application listens on"
	w := in.path()
	r := Result{Cause: "wrong-target-port", Node: t.node, Stops: len(w.targets) == 1, Summary: fmt.Sprintf("Service %s sends to %s, where nothing listens", w.service(), in.who(t.addr, t.port)),
		Evidence: []string{fmt.Sprintf("state: the pod listens on %s ports %s", in.Proto, listening(t.ns, in.Proto))}, Fix: []string{compare}}
	switch {
	case t.ns.Host:
		r.Layer, r.Cause = Application, "not-listening"
		r.Evidence = []string{fmt.Sprintf("state: %s listens on %s ports %s", t.ns.Name, in.Proto, listening(t.ns, in.Proto))}
		r.Fix = []string{"is the application up? kubectl logs of the pod; or the Service's targetPort is wrong: " + compare}
	case !slices.ContainsFunc(t.ns.Listeners(in.Proto), func(s netstate.Socket) bool { return !s.Local.Addr().IsLoopback() }):
		r.Layer, r.Cause = Application, "not-listening"
		r.Summary = fmt.Sprintf("nothing in %s listens on %s where others reach it: the application is not up", in.who(t.addr, 0), in.Proto)
		r.Fix = []string{"is the application up? kubectl logs of the pod; if it is, " + compare}
	}
	if in.forDNS() {
		r.Layer, r.Cause = DNS, "dns-not-listening"
		r.Summary = "names cannot be resolved: " + r.Summary
	}
	return r
}

// onPort are the sockets of a protocol on a port.
func onPort(n *netstate.Namespace, proto string, port uint16) []netstate.Socket {
	return slices.DeleteFunc(n.Listeners(proto), func(s netstate.Socket) bool { return s.Local.Port() != port })
}

// listening lists the ports of a namespace.
func listening(n *netstate.Namespace, proto string) string {
	var out []string
	for _, s := range n.Listeners(proto) {
		out = add(out, s.Port())
	}
	if len(out) == 0 {
		return "(none)"
	}
	slices.Sort(out)
	const most = 12
	return fmt.Sprint(out[:min(len(out), most)])
}

// conntrack: there is room for another connection.
func conntrack(in *Input) Result {
	var p parts
	here, elsewhere := in.hosts()
	for _, h := range here {
		count, err := strconv.Atoi(h.Sysctls["net.netfilter.nf_conntrack_count"])
		most, err2 := strconv.Atoi(h.Sysctls["net.netfilter.nf_conntrack_max"])
		if err != nil || err2 != nil || most == 0 {
			p.unsure(fmt.Sprintf("the conntrack table of %s cannot be seen%s", h.Node, because(unread(h, "sysctl", "namespace"))))
			continue
		}
		if count < most-most/10 {
			p.good(fmt.Sprintf("%d of %d conntrack entries are used on %s", count, most, h.Node))
			continue
		}
		how := "nearly full"
		if count >= most {
			how = "full"
		}
		p.bad(Result{Cause: "conntrack-full", Node: h.Node, Stops: count >= most, Summary: fmt.Sprintf("the conntrack table of %s is %s: %d of %d entries are used", h.Node, how, count, most),
			Evidence: []string{fmt.Sprintf("state: nf_conntrack_count = %d, nf_conntrack_max = %d on %s", count, most, h.Node)},
			Fix:      []string{fmt.Sprintf("on %s: sysctl -w net.netfilter.nf_conntrack_max=%d; %s finds who holds them", h.Node, 2*max(count, most), verdict.CountConntrack)}})
	}
	for _, n := range elsewhere {
		p.unsure(away(n))
	}
	return p.result("no node of the cluster is on the way")
}

// The default range of NodePorts (kube-apiserver --service-node-port-range).
const (
	firstNodePort = 30000
	lastNodePort  = 32767
)

// nodePort: a port of a node's own address in the range of NodePorts is translated there, or has a listener.
func nodePort(in *Input) Result {
	w := in.path()
	if w.svc != nil || w.entry == nil || !w.entry.IsLocal(in.Dst) || in.Dport < firstNodePort || in.Dport > lastNodePort {
		return notForThis("the destination is no NodePort, or is one of a Service that is known")
	}
	if r := in.refusal(Service); r != nil {
		return *r
	}
	for _, t := range w.targets {
		if t.addr != in.Dst {
			return Result{Status: OK, Summary: fmt.Sprintf("%s translates port %d to %s", w.entry.Node, in.Dport, in.who(t.addr, t.port))}
		}
	}
	if len(onPort(w.entry, in.Proto, in.Dport)) > 0 {
		return Result{Status: OK, Summary: fmt.Sprintf("a process on %s listens on port %d", w.entry.Node, in.Dport)}
	}
	if why := translatesOtherwise(w.entry); why != "" {
		return unknown(why)
	}
	return Result{Status: Wrong, Cause: "nodeport-closed", Node: w.entry.Node, Stops: true, Summary: fmt.Sprintf("%s has neither a rule nor a listener for port %d", w.entry.Node, in.Dport),
		Evidence: []string{fmt.Sprintf("state: %s listens on %s ports %s", w.entry.Node, in.Proto, listening(w.entry, in.Proto))},
		Fix:      []string{fmt.Sprintf("is kube-proxy running on %s? kubectl get svc -A | grep %d", w.entry.Node, in.Dport)}}
}
