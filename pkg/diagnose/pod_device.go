// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"slices"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func init() {
	register(check{name: "pod-device", layer: PodNetwork, run: podDevice, silences: []string{"pod-route", "endpoint-alive"}})
	register(check{name: "pod-address", layer: PodNetwork, run: podAddress, silences: []string{"node-routes", "listener", "target-port"}})
}

// podDevice: each pod's device is up at both ends and on the bridge where its neighbours are.
func podDevice(in *Input) Result {
	w := in.path()
	var p parts
	for i, s := range append([]side{w.src}, w.targets...) {
		switch {
		case !s.inPod():
		case s.ns == nil:
			if s.host == nil {
				p.unsure(in.elsewhere(&s))
			}
		default:
			in.deviceOf(&p, &s, w.stopsAt(i))
		}
	}
	return p.result("neither end is a pod")
}

func (in *Input) deviceOf(p *parts, s *side, stops bool) {
	name := in.who(s.addr, 0)
	i := slices.IndexFunc(s.ns.Links, func(l netstate.Link) bool { return slices.ContainsFunc(l.Addrs, s.has) })
	if i < 0 {
		p.unsure(fmt.Sprintf("no device of %s has its address%s", name, because(unread(s.ns, ""))))
		return
	}
	l := &s.ns.Links[i]
	bad := func(what string) {
		p.bad(Result{Cause: "pod-link-down", Node: s.node, Stops: stops, Summary: fmt.Sprintf("%s is cut off: %s", name, what), Evidence: []string{"state: " + what},
			Fix: []string{fmt.Sprintf("on %s: ip -d link show; the CNI plugin makes the device with the pod: delete the pod, and look at the plugin's log", s.node)}})
	}
	if !l.Up {
		bad(fmt.Sprintf("%s in the pod is down", l.Name))
		return
	}
	if l.Kind == "netkit" {
		p.unsure(fmt.Sprintf("programs hand over the packets of %s, a netkit device: whether %s is joined to %s cannot be read from the routes", l.Name, name, s.node))
		return
	}
	veths := in.Snapshot.HostVeths(s.ns.Inode)
	for _, v := range veths {
		if !v.Link.Up {
			bad(fmt.Sprintf("%s, the pod's device on %s, is down", v.Link.Name, s.node))
			return
		}
		if v.Link.Master != 0 || routedTo(v.NS, s, v.Link.Name) {
			continue
		}
		if why := in.handsOver(s, &v); why != "" {
			p.unsure(why)
			return
		}
		bad(fmt.Sprintf("%s, the pod's device on %s, is on no bridge, and no route leads to it", v.Link.Name, s.node))
		return
	}
	if len(veths) == 0 {
		p.unsure(fmt.Sprintf("the device of %s on its node is not known", name))
		return
	}
	p.good(fmt.Sprintf("%s is joined to %s by %s", name, s.node, veths[0].Link.Name))
}

// stopsAt reports whether the flow cannot work without an end of the way: the sender, 0, or a target, where it is the only one.
func (w *way) stopsAt(end int) bool { return end == 0 || len(w.targets) == 1 }

// routedTo: CNI plugins without a bridge, such as Calico, have a route to each pod's device.
func routedTo(host *netstate.Namespace, s *side, dev string) bool {
	r, ok := host.RouteFor(s.addr)
	return ok && r.Dev == dev
}

// handsOver says why a veth that is on no bridge, and to which no route leads, need not be cut off: Cilium's programs at tc hand packets over, and the
// route to the pods is one to cilium_host. "" when nothing tells of that.
func (in *Input) handsOver(s *side, v *netstate.Owner) string {
	const cannot = "whether it is joined cannot be read from the routes"
	if len(v.Link.ProgramsAt(netstate.HookIngress))+len(v.Link.ProgramsAt(netstate.HookEgress)) > 0 {
		return fmt.Sprintf("a program at tc of %s on %s hands over the packets of %s: %s", v.Link.Name, s.node, in.who(s.addr, 0), cannot)
	}
	if why := unread(v.NS, "routes"); why != "" {
		return why
	}
	r, ok := v.NS.RouteFor(s.addr)
	if !ok || r.Type != "unicast" || r.Dst.Bits() == 0 || !in.forMany(v.NS, r.Dev) {
		return ""
	}
	return fmt.Sprintf("the route of %s to %s leads to %s, where a program at tc may hand its packets over: %s", s.node, in.who(s.addr, 0), r.Dev, cannot)
}

// forMany reports a device behind which a program can reach every pod: a bridge reaches only its ports, and a pod's device only that pod.
func (in *Input) forMany(host *netstate.Namespace, dev string) bool {
	l := host.Link(dev)
	if l == nil || l.Kind == "bridge" {
		return false
	}
	for i := range in.Snapshot.Namespaces {
		if slices.ContainsFunc(in.Snapshot.HostVeths(in.Snapshot.Namespaces[i].Inode), func(o netstate.Owner) bool { return o.Link == l }) {
			return false
		}
	}
	return true
}

// podAddress: nobody else on this kernel has the address of either end.
func podAddress(in *Input) Result {
	w := in.path()
	var p parts
	for i, s := range append([]side{w.src}, w.targets...) {
		if !s.inPod() || s.addr.IsLoopback() || s.addr.IsLinkLocalUnicast() {
			continue // every namespace has these
		}
		var where []string
		for _, o := range in.Snapshot.OwnersOf(s.addr) {
			if o.NS.Node == s.node {
				where = add(where, o.NS.Name)
			}
		}
		switch {
		case len(where) > 1:
			p.bad(Result{Cause: "pod-ip-conflict", Node: s.node, Stops: w.stopsAt(i), Summary: fmt.Sprintf("%d namespaces of %s have the address %s", len(where), s.node, s.addr),
				Evidence: []string{fmt.Sprintf("state: %s is configured in %s", s.addr, sentence(where))},
				Fix: []string{fmt.Sprintf("find whose address it should be: kubectl get pods -A -o wide | grep %s", s.addr),
					fmt.Sprintf("on %s: ip addr show to %s; a sandbox that was not cleaned up, or an address on the node, has to go", s.node, s.addr)}})
		case len(where) == 1:
			p.good(fmt.Sprintf("only %s has %s", where[0], s.addr))
		case s.host == nil:
			p.unsure(in.elsewhere(&s))
		}
	}
	return p.result("neither end is a pod")
}
