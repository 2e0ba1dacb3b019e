// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func init() {
	register(check{name: "listener", layer: Application, run: listener})
	register(check{name: "network-policy", layer: Application, run: networkPolicy})
	register(check{name: "client-ports", layer: Application, run: clientPorts})
}

// listener: the application listens on the port at an address that others reach, and takes the connections that wait.
func listener(in *Input) Result {
	if in.Proto != "tcp" && in.Proto != "udp" {
		return notForThis(in.Proto + " has no listeners")
	}
	w := in.path()
	var p parts
	for i := range w.targets {
		t := &w.targets[i]
		if w.entry != nil && t.addr == in.Dst && t.ns == w.entry && in.Dport >= firstNodePort && in.Dport <= lastNodePort {
			continue // a NodePort
		}
		switch {
		case t.ns == nil:
			p.unsure(in.elsewhere(t))
		case slices.ContainsFunc(linkAddrs(t.ns.Link("kube-ipvs0")), t.has): // and its servers were not read, or they were the target
			p.unsure(fmt.Sprintf("%s is a virtual server of IPVS, and its servers could not be read", in.who(t.addr, t.port)))
		case unread(t.ns, "sockets") != "":
			p.unsure(unread(t.ns, "sockets"))
		default:
			in.listens(&p, t, w.svc != nil)
		}
	}
	return p.result("the flow ends at no socket that is known beforehand")
}

func linkAddrs(l *netstate.Link) []netip.Prefix {
	if l == nil {
		return nil
	}
	return l.Addrs
}

func (in *Input) listens(p *parts, t *side, service bool) {
	socks := onPort(t.ns, in.Proto, t.port)
	name := in.who(t.addr, t.port)
	if len(socks) == 0 && service {
		return // the Service's targetPort is wrong, which is another check's
	}
	stops := len(in.path().targets) == 1
	if len(socks) == 0 {
		r := Result{Cause: "not-listening", Node: t.node, Stops: stops, Summary: fmt.Sprintf("nothing listens on %s %s", in.Proto, name),
			Evidence: []string{fmt.Sprintf("state: %s listens on %s ports %s", t.ns.Name, in.Proto, listening(t.ns, in.Proto))},
			Fix:      []string{"is the application up, and on this port? " + inside(t) + ": ss -l" + in.Proto[:1] + "np"}}
		if in.forDNS() {
			r.Layer, r.Cause = DNS, "dns-not-listening"
			r.Summary = "names cannot be resolved: " + r.Summary
		}
		p.bad(r)
		return
	}
	reach := slices.DeleteFunc(slices.Clone(socks), func(s netstate.Socket) bool {
		a := s.Local.Addr()
		return a.IsLoopback() && !t.addr.IsLoopback() || !a.IsUnspecified() && a.Unmap() != t.addr || a == a.Unmap() && a.IsUnspecified() && a.Is4() && t.addr.Is6()
	})
	if len(reach) == 0 {
		p.bad(Result{Cause: "listens-on-localhost", Node: t.node, Stops: stops, Summary: fmt.Sprintf("the application at %s listens on %s only, not on the pod's address", name, socks[0].Port()),
			Evidence: []string{fmt.Sprintf("state: the socket is bound to %s", socks[0].Local)}, Fix: []string{"make the application listen on " + everywhere(t.addr)}})
		return
	}
	s := reach[0]
	if in.Proto == "tcp" && s.SendQ > 0 && s.RecvQ > s.SendQ {
		p.bad(Result{Cause: "accept-queue-full", Node: t.node, Stops: stops, Summary: fmt.Sprintf("the application at %s does not accept connections: its accept queue is full", name),
			Evidence: []string{fmt.Sprintf("state: %d connections wait to be accepted at %s, whose backlog is %d", s.RecvQ, s.Local, s.SendQ)},
			Fix:      []string{"find what the application waits for; a larger backlog (and net.core.somaxconn) only helps against bursts"}})
		return
	}
	p.good(fmt.Sprintf("%s listens on %s", name, s.Port()))
}

// inside says where an end's commands are to be run.
func inside(t *side) string {
	if t.ns.Host {
		return "on " + t.node
	}
	return "in the pod"
}

// everywhere are the addresses at which an application has to listen to be reached at another one.
func everywhere(a netip.Addr) string {
	if a.Is6() {
		return "::"
	}
	return "0.0.0.0 (or ::)"
}

// networkPolicy evaluates the NetworkPolicies of the API for the flow.
func networkPolicy(in *Input) Result {
	if in.Policies == nil {
		return unknown("NetworkPolicies are not known: " + in.NoIndex)
	}
	w := in.path()
	if len(in.Index.Objects().Policies) == 0 {
		if in.NoPolicies != "" {
			return unknown("NetworkPolicies are not known: " + in.NoPolicies)
		}
		return Result{Status: OK, Summary: "no NetworkPolicy that is known selects either end"}
	}
	var p parts
	for _, t := range w.targets {
		why, allowed := in.Policies(in.Proto, in.Src, t.addr, t.port)
		switch {
		case why == "":
			p.unsure(fmt.Sprintf("the NetworkPolicies do not decide about %s: an end or labels are not known", in.who(t.addr, 0)))
		case allowed && in.NoPolicies != "":
			p.unsure(fmt.Sprintf("%s, but not all NetworkPolicies are known: %s", why, in.NoPolicies))
		case allowed:
			p.good(why)
		default:
			p.bad(Result{Cause: "network-policy-drop", Node: t.node, Stops: len(w.targets) == 1, Summary: "a NetworkPolicy denies the flow: " + why,
				Evidence: []string{"the NetworkPolicies of the API deny it: " + why},
				Fix:      []string{fmt.Sprintf("kubectl get networkpolicy -A, and allow %s to reach port %d of %s", in.Src, t.port, t.addr)}})
		}
	}
	return p.result("the Service has no endpoint to reach")
}

// clientPorts: the sender has a local port left.
func clientPorts(in *Input) Result {
	n := in.path().src.ns
	if n == nil {
		return unknown("the sender is not on this kernel")
	}
	f := strings.Fields(n.Sysctls["net.ipv4.ip_local_port_range"])
	if in.Proto != "tcp" {
		return notForThis("only TCP's ports are counted")
	}
	if len(f) != 2 {
		return unknown("the sender's local ports are not known" + because(unread(n, "sysctl")))
	}
	first, err := strconv.Atoi(f[0])
	last, err2 := strconv.Atoi(f[1])
	used, ok := n.Counters["Sockets.TCP.inuse"]
	used += n.Counters["Sockets.TCP.tw"]
	if err != nil || err2 != nil || last < first || !ok {
		return unknown("the sender's sockets are not counted" + because(unread(n, "counters", "sysctl")))
	}
	if ports := uint64(last - first + 1); used >= ports {
		return Result{Status: Wrong, Cause: "client-ports-exhausted", Node: n.Node, Summary: fmt.Sprintf("%s may have no free local port: %d TCP sockets, %d ports", in.who(in.Src, 0), used, ports),
			Evidence: []string{fmt.Sprintf("state: net.ipv4.ip_local_port_range in %s has %d ports, and %d TCP sockets are open or in TIME-WAIT", n.Name, ports, used)},
			Fix:      []string{"keep connections open and reuse them; sysctl net.ipv4.ip_local_port_range widens the range"}}
	}
	return Result{Status: OK, Summary: fmt.Sprintf("%d TCP sockets of the sender, %d local ports", used, last-first+1)}
}
