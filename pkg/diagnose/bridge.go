// SPDX-License-Identifier: Apache-2.0

package diagnose

import "fmt"

func init() {
	register(check{name: "bridge-netfilter", layer: PodNetwork, run: bridgeNetfilter})
	register(check{name: "hairpin", layer: PodNetwork, run: hairpin})
	register(check{name: "pod-mtu", layer: PodNetwork, run: podMTU})
}

// bridgeNetfilter: answers of an endpoint on the client's bridge pass the node's rules, where their translation is undone.
func bridgeNetfilter(in *Input) Result {
	w := in.path()
	var p parts
	for _, t := range w.targets {
		if w.src.host == nil || t.host != w.src.host || t.ns == nil || t.ns == w.src.ns || t.addr == in.Dst || in.bridgeOf(&w.src) == "" || in.bridgeOf(&w.src) != in.bridgeOf(&t) {
			continue
		}
		name := bridgeSysctl(in.Dst.Is6())
		if w.src.host.Sysctls[name] == "1" {
			p.good("bridged packets pass the rules of " + w.src.node)
			continue
		}
		if _, ok := w.src.host.Sysctls[name]; !ok && unread(w.src.host, "sysctl", "namespace") != "" {
			p.unsure(unread(w.src.host, "sysctl", "namespace"))
			continue
		}
		p.bad(Result{Cause: "bridge-netfilter-off", Node: w.src.node, Stops: len(w.targets) == 1 || w.port != nil && allHere(w), Summary: fmt.Sprintf("answers of %s reach the client over the bridge %s without passing %s's rules: they keep an address that the client never called", in.who(t.addr, t.port), in.bridgeOf(&t), w.src.node),
			Evidence: []string{fmt.Sprintf("state: %s = %s on %s", name, orNone(w.src.host.Sysctls[name]), w.src.node)},
			Fix:      []string{fmt.Sprintf("on %s: modprobe br_netfilter; sysctl -w %s=1; keep both in /etc/modules-load.d and /etc/sysctl.d", w.src.node, name)}})
	}
	return p.result("no endpoint of a Service shares a bridge with the sender")
}

func allHere(w *way) bool {
	for _, t := range w.targets {
		if t.host != w.src.host {
			return false
		}
	}
	return true
}

func orNone(v string) string {
	if v == "" {
		return "(not there)"
	}
	return v
}

// bridgeOf is the bridge that a pod's device is on; "" for none.
func (in *Input) bridgeOf(s *side) string {
	if s.ns == nil || s.host == nil {
		return ""
	}
	for _, v := range in.Snapshot.HostVeths(s.ns.Inode) {
		if m := s.host.LinkByIndex(v.Link.Master); m != nil && m.Kind == "bridge" {
			return m.Name
		}
	}
	return ""
}

// hairpin: a pod that reaches itself through its Service needs its bridge port to send frames back where they came from.
func hairpin(in *Input) Result {
	w := in.path()
	for _, t := range w.targets {
		if w.src.ns == nil || t.ns != w.src.ns || t.addr == in.Dst || in.bridgeOf(&t) == "" {
			continue
		}
		for _, v := range in.Snapshot.HostVeths(t.ns.Inode) {
			if v.Link.Hairpin == nil {
				return unknown(fmt.Sprintf("whether the bridge port %s sends back to itself (hairpin) is not known", v.Link.Name))
			}
			if !*v.Link.Hairpin {
				return Result{Status: Wrong, Cause: "hairpin-off", Node: w.src.node, Stops: len(w.targets) == 1, Summary: fmt.Sprintf("%s cannot reach itself through the Service: its bridge port %s has hairpin off", in.who(t.addr, 0), v.Link.Name),
					Evidence: []string{fmt.Sprintf("state: hairpin off at %s of %s", v.Link.Name, in.bridgeOf(&t))},
					Fix:      []string{fmt.Sprintf("on %s: bridge link set dev %s hairpin on", w.src.node, v.Link.Name), "set hairpinMode: true in the CNI plugin's configuration"}}
			}
		}
		return Result{Status: OK, Summary: "the pod's bridge port sends back to itself (hairpin)"}
	}
	return notForThis("the sender is no endpoint of the Service")
}

// podMTU: what a pod sends in one packet fits into the device that the node routes it to.
func podMTU(in *Input) Result {
	w := in.path()
	var p parts
	see := func(s, to *side) {
		if !s.inPod() || to.node == s.node {
			return
		}
		if s.ns == nil || s.host == nil {
			p.unsure(in.elsewhere(s))
			return
		}
		out, ok := s.ns.RouteFor(to.addr)
		l := s.ns.Link(out.Dev)
		r, routed := s.host.RouteFor(to.addr)
		next := s.host.Link(r.Dev)
		if !ok || l == nil || !routed || next == nil {
			return
		}
		mtu := next.MTU
		if r.MTU > 0 {
			mtu = min(mtu, r.MTU)
		}
		if l.MTU <= mtu {
			p.good(fmt.Sprintf("%s of %s has MTU %d, %s of %s %d", l.Name, in.who(s.addr, 0), l.MTU, next.Name, s.node, mtu))
			return
		}
		p.bad(Result{Cause: "pod-mtu-too-large", Node: s.node, Summary: fmt.Sprintf("%s sends packets of up to %d bytes, and the way on from %s takes %d", in.who(s.addr, 0), l.MTU, s.node, mtu),
			Evidence: []string{fmt.Sprintf("state: %s in the pod has MTU %d, %s on %s has %d", l.Name, l.MTU, next.Name, s.node, mtu)},
			Fix:      []string{"set the MTU in the CNI configuration to the uplink's less the tunnel's headers (50 for VXLAN, 70 over IPv6), and make the pods anew", "let ICMP type 3 (and ICMPv6 type 2) pass to the pods, or large packets hang"}})
	}
	for i := range w.targets {
		see(&w.src, &w.targets[i])
		see(&w.targets[i], &w.src)
	}
	return p.result("the flow stays on one node")
}
