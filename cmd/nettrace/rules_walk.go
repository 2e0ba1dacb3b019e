// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// dryRun walks a flow through the namespaces of a node.
type dryRun struct {
	plan    *plan
	o       *rulesOptions
	saved   savedRules
	assumed []string
	unread  []string        // rules that could not be read
	used    map[string]bool // names of the namespaces whose rules were asked
}

func (d *dryRun) assume(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); !slices.Contains(d.assumed, s) {
		d.assumed = append(d.assumed, s)
	}
}

// walk is the way of the packet: out of the pod, through the node, into the other pod.
func (d *dryRun) walk() (*ruleset.DryRun, error) {
	r := &ruleset.DryRun{}
	defer r.Finish()
	way := ruleset.Way{Packet: d.packet(), Share: 1, Sure: true}
	if len(d.o.files) > 0 {
		d.walkSaved(r, way)
		return r, nil
	}
	s := d.plan.before
	host := s.Host(d.plan.node)
	if host == nil {
		return nil, fmt.Errorf("the host namespace of %s could not be read", d.plan.node)
	}
	from := d.start(host)
	if from == host {
		local, onward := r.Send(d.key(host), d.world(host), []ruleset.Way{way})
		d.deliver(r, host, host, local, onward)
		return r, nil
	}
	ways := []ruleset.Way{way}
	if from != nil {
		var local []ruleset.Way
		local, ways = r.Send(d.key(from), d.world(from), ways)
		r.Accepted(d.key(from), true, local)
	}
	bridged := d.arrive(host, from, ways)
	if bridged {
		d.deliver(r, host, from, nil, ways)
		return r, nil
	}
	local, onward := r.Receive(d.key(host), d.world(host), ways)
	d.deliver(r, host, from, local, onward)
	return r, nil
}

// start is the namespace in which the sender is: one of this node; nil when it is elsewhere.
func (d *dryRun) start(host *netstate.Namespace) *netstate.Namespace {
	s := d.plan.before
	for i, ref := range d.plan.refs {
		if n := &s.Namespaces[i]; ref.Path == d.plan.src.netns && ref.Path != "" && n.Node == host.Node {
			return n
		}
	}
	for _, o := range s.OwnersOf(d.plan.src.addrs[0]) {
		if o.NS.Node == host.Node {
			return o.NS
		}
	}
	return nil
}

// arrive sets the device at which ways come into the host namespace. bridged is true for packets that stay on a bridge whose packets the IP
// rules do not see.
func (d *dryRun) arrive(host, from *netstate.Namespace, ways []ruleset.Way) (bridged bool) {
	dev, port := ruleset.UnknownDevice, ""
	filtered := false
	switch {
	case d.o.in != "":
		dev = d.o.in
	case from != nil:
		if veths := d.plan.before.HostVeths(from.Inode); len(veths) > 0 {
			dev = veths[0].Link.Name
			if m := host.LinkByIndex(veths[0].Link.Master); m != nil && m.Kind == "bridge" {
				dev, port = m.Name, dev
			}
		} else {
			d.assume("the packet comes in at a device that is not known: %s has no veth to the node", from.Name)
		}
	default:
		if route, ok := host.RouteFor(d.plan.src.addrs[0]); ok && route.Dev != "" {
			dev = route.Dev
			d.assume("the packet comes in at %s, to which its sender's address is routed; --in names another device", dev)
		}
	}
	if port != "" {
		name := "net.bridge.bridge-nf-call-iptables"
		if ways != nil && ways[0].Packet.Dst.Is6() {
			name = "net.bridge.bridge-nf-call-ip6tables"
		}
		filtered = host.Sysctls[name] == "1"
	}
	for i := range ways {
		p := &ways[i].Packet
		p.In, p.Mark = dev, 0
		if filtered {
			p.PhysIn = port
		}
		route, ok := from.RouteFor(p.Dst)
		if port == "" || !ok || route.Gateway.IsValid() || route.Type != "unicast" {
			continue
		}
		if bridged = !filtered; bridged {
			d.assume("%s is reached over the bridge %s, whose packets do not meet the node's IP rules (bridge-nf-call-iptables is off)", p.Dst, dev)
		}
	}
	return bridged
}

// deliver ends what arrived in the host namespace, and lets what goes on to other namespaces of this node meet their rules.
func (d *dryRun) deliver(r *ruleset.DryRun, host, from *netstate.Namespace, local, onward []ruleset.Way) {
	for _, w := range local {
		if l := host.Link("kube-ipvs0"); l != nil && slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Addr() == w.Packet.Dst }) {
			d.unread = append(d.unread, fmt.Sprintf("%s is a virtual server of IPVS, which chooses the endpoint: that is no rule", w.Packet.Dst))
		}
	}
	r.Accepted(d.key(host), true, local)
	for _, w := range onward {
		to := d.inside(host, w.Packet.Dst)
		if to == nil || to == from && from == host {
			r.Accepted(d.key(host), false, []ruleset.Way{w})
			continue
		}
		w.Packet.In, w.Packet.PhysIn, w.Packet.Mark = ruleset.UnknownDevice, "", 0
		for _, o := range d.plan.before.OwnersOf(w.Packet.Dst) {
			if o.NS == to {
				w.Packet.In = o.Link.Name
			}
		}
		mine, away := r.Receive(d.key(to), d.world(to), []ruleset.Way{w})
		r.Accepted(d.key(to), true, mine)
		r.Accepted(d.key(to), false, away)
	}
}

// inside is the namespace of this node, other than the host's, that has an address; nil when none or several have it.
func (d *dryRun) inside(host *netstate.Namespace, a netip.Addr) *netstate.Namespace {
	var found *netstate.Namespace
	for _, o := range d.plan.before.OwnersOf(a) {
		if o.NS.Node != host.Node || o.NS == host {
			continue
		}
		if found != nil && found != o.NS {
			return nil
		}
		found = o.NS
	}
	return found
}

// key names a namespace in the dry run: its place in the snapshot.
func (d *dryRun) key(n *netstate.Namespace) string {
	for i := range d.plan.before.Namespaces {
		if &d.plan.before.Namespaces[i] == n {
			return strconv.Itoa(i)
		}
	}
	return ""
}

// world is what rules of a namespace can ask for.
func (d *dryRun) world(n *netstate.Namespace) *ruleset.World {
	if d.used == nil {
		d.used = map[string]bool{}
	}
	if !d.used[n.Name] {
		d.sayRulesUnread(n)
	}
	d.used[n.Name] = true
	return n.World()
}

// walkSaved walks through rules from files: one namespace, of which only the rules and the addresses of --local are known.
func (d *dryRun) walkSaved(r *ruleset.DryRun, way ruleset.Way) {
	local := map[netip.Addr]bool{}
	for _, a := range d.o.local {
		addr, err := netip.ParseAddr(a)
		if err == nil {
			local[addr.Unmap()] = true
		}
	}
	if len(local) == 0 {
		d.assume("no address is the node's own; --local names those that are, such as a NodePort's")
	}
	w := &ruleset.World{Sets: d.saved.sets, IPSets: d.saved.ipsets, Local: func(a netip.Addr) bool { return local[a] || a.IsLoopback() },
		Route:  func(netip.Addr) (string, bool) { return ruleset.UnknownDevice, true },
		Source: func(string, bool) netip.Addr { return netip.Addr{} }}
	var mine, away []ruleset.Way
	if w.Local(way.Packet.Src) {
		mine, away = r.Send("", w, []ruleset.Way{way})
	} else {
		way.Packet.In = ruleset.UnknownDevice
		if d.o.in != "" {
			way.Packet.In = d.o.in
		}
		mine, away = r.Receive("", w, []ruleset.Way{way})
	}
	r.Accepted("", true, mine)
	r.Accepted("", false, away)
}
