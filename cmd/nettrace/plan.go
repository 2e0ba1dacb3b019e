// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/probe"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

var protos = map[string]uint8{"tcp": tracer.ProtoTCP, "udp": tracer.ProtoUDP, "icmp": tracer.ProtoICMP, "sctp": tracer.ProtoSCTP}

// plan is a flow with every name resolved.
type plan struct {
	node     string
	refs     []netstate.Ref
	before   *netstate.Snapshot
	src, dst *endpoint
	proto    string
	filter   tracer.Filter
	names    *names
	prepared *tracer.Preparation // nil where nobody began early
}

func makePlan(ctx context.Context, o *flowOptions, srcText, dstText string, warn func(string)) (*plan, error) {
	node, refs := "", []netstate.Ref(nil)
	var err error
	if !o.offline {
		if node, refs, err = scopes(o.scope); err != nil {
			return nil, err
		}
	}
	p := &plan{node: node, refs: refs, proto: o.proto}
	if p.names, err = o.nameOptions.open(warn); err != nil {
		return nil, err
	}
	asked := make(chan struct{})
	go func() { // beside the reading of the node
		p.names.ask(ctx, srcText, dstText, nodesOf(refs))
		close(asked)
	}()
	p.before = netstate.ReadSome(ctx, refs, func(n *netstate.Namespace) bool { return n.Host || o.whole || len(refs) <= fewNamespaces })
	<-asked
	p.names.missing(warn)
	l := &lookup{snapshot: p.before, refs: refs, names: p.names, node: node, proto: o.proto, resolve: net.DefaultResolver.LookupNetIP}
	if p.src, err = l.parseEndpoint(ctx, srcText, true); err != nil {
		return nil, err
	}
	if p.dst, err = l.parseEndpoint(ctx, dstText, false); err != nil {
		return nil, err
	}
	if err := match(p.src, p.dst); err != nil {
		return nil, err
	}
	if o.dns != "" {
		p.dst.port = cmp.Or(p.dst.port, 53)
	}
	p.proto = cmp.Or(p.proto, p.dst.proto, p.src.proto)
	if p.proto == "" {
		p.proto = "tcp"
		if p.dst.port == 53 {
			p.proto = "udp"
		}
	}
	if p.dst.endpoints == nil { // an address may be a Service's too
		if s, port := p.names.index.ServicePort(p.proto, p.dst.addrs[0], p.dst.port); s != nil {
			p.dst.endpoints = toEndpoints(p.names.index.Backends(s, port))
		}
	}
	p.before.Complete(ctx, refs, p.mayCross)
	switch sport := cmp.Or(o.sport, p.src.port); {
	case p.proto == "icmp" && p.dst.port != 0:
		return nil, fmt.Errorf("icmp has no ports: write %s without :%d", p.dst.addrs[0], p.dst.port)
	case p.proto == "icmp" && sport != 0:
		return nil, fmt.Errorf("icmp has no ports: leave the sender's port %d out", sport)
	case p.src.port != 0 && sport != p.src.port:
		return nil, fmt.Errorf("SRC names port %d and --sport %d: give the sender's port once", p.src.port, sport)
	}
	if o.probe {
		if err := p.canProbe(); err != nil {
			return nil, err
		}
	}
	p.filter = tracer.Filter{Proto: protos[p.proto], AnySrc: p.src.any, Src: p.src.addrs, Dst: p.dst.addrs, Sport: cmp.Or(o.sport, p.src.port), Dport: p.dst.port, VXLANPorts: vxlanPorts(p.before), Outer: outerFamilies(p.before)}
	if o.translated {
		p.translate(warn)
	}
	return p, nil
}

// fewNamespaces are read whole without asking whether the flow can cross them: a node with hundreds of pods would take seconds.
var fewNamespaces = 24

// mayCross reports whether the flow can come into a namespace that is not a node's own: it is the sender's, it has one of the ends' addresses, or
// nobody knows what the destination leads to.
func (p *plan) mayCross(n *netstate.Namespace) bool {
	if p.names.index == nil && p.dst.endpoints == nil && len(p.before.OwnersOf(p.dst.addrs[0])) == 0 {
		return true
	}
	if slices.ContainsFunc(p.refs, func(r netstate.Ref) bool { return r.Name == n.Name && r.Path == p.src.netns }) {
		return true
	}
	ends := slices.Concat(p.src.addrs, p.dst.addrs)
	for _, e := range p.dst.endpoints {
		if a, err := netip.ParseAddrPort(e.Addr); err == nil {
			ends = append(ends, a.Addr())
		}
	}
	return slices.ContainsFunc(ends, func(a netip.Addr) bool { return !a.IsLoopback() && n.IsLocal(a) })
}

// canProbe says why no probe can be sent from here.
func (p *plan) canProbe() error {
	switch {
	case p.src.any:
		return errors.New("a probe needs a sender: name SRC instead of 'any'")
	case p.proto == "sctp":
		return errors.New("no sctp probe can be sent: make the traffic yourself, or leave --probe out")
	case p.proto == "icmp" && len(tracer.Lacking("CAP_NET_RAW")) > 0:
		return &tracer.PrivilegeError{Missing: []string{"CAP_NET_RAW"}}
	case p.dst.port == 0 && p.proto != "icmp":
		return fmt.Errorf("a %s probe needs a port: write DST:PORT", p.proto)
	case p.src.netns == "" && p.src.node != "" && !slices.Contains(nodesOf(p.refs), p.src.node):
		return fmt.Errorf("%s runs on %s: run the probe there, or leave --probe out", p.src.text, p.src.node)
	case p.src.netns == "" && mayEnter() != nil:
		return fmt.Errorf("the namespaces of this node could not be read: %w", mayEnter())
	case p.src.netns == "":
		return fmt.Errorf("no namespace on this node has the address %s: run the probe on the sender's node, or leave --probe out", p.src.text)
	}
	return nil
}

// nodesOf are the nodes whose namespaces are watched.
func nodesOf(refs []netstate.Ref) []string {
	var out []string
	for _, r := range refs {
		if !slices.Contains(out, r.Node) {
			out = append(out, r.Node)
		}
	}
	return out
}

// refOf is the object that an end is: the one that was named, or the one that has its address.
func (p *plan) refOf(e *endpoint) *journey.Ref {
	if e.ref != nil || p.names.index == nil || len(e.addrs) == 0 {
		return e.ref
	}
	l := labeller{index: p.names.index, unknown: map[netip.Addr]bool{}}
	return l.ref(p.proto, e.addrs[0], e.port)
}

// ends are the objects at both ends of the flow.
func (p *plan) ends() []k8smeta.Ref {
	var out []k8smeta.Ref
	for _, e := range []*endpoint{p.src, p.dst} {
		if r := p.refOf(e); r != nil {
			out = append(out, k8smeta.Ref{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name})
		}
	}
	return out
}

// addresses are those of this kernel's namespaces and of the flow's ends.
func (p *plan) addresses() map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for i := range p.before.Namespaces {
		for _, l := range p.before.Namespaces[i].Links {
			for _, a := range l.Addrs {
				out[a.Addr()] = true
			}
		}
	}
	for _, e := range []*endpoint{p.src, p.dst} {
		for _, a := range e.addrs {
			out[a] = true
		}
		for _, b := range e.endpoints {
			if a, err := netip.ParseAddrPort(b.Addr); err == nil {
				out[a.Addr()] = true
			}
		}
	}
	return out
}

// vxlanPorts are ports of this node's tunnels besides the customary ones.
func vxlanPorts(s *netstate.Snapshot) []uint16 {
	var out []uint16
	for _, n := range s.Namespaces {
		for _, l := range n.Links {
			if l.VXLAN != nil && l.VXLAN.Port != 8472 && l.VXLAN.Port != 4789 && !slices.Contains(out, uint16(l.VXLAN.Port)) && len(out) < 2 {
				out = append(out, uint16(l.VXLAN.Port))
			}
		}
	}
	return out
}

// outerFamilies are those of the packets that this node's tunnels send: of VXLAN by its addresses, of other tunnels either.
func outerFamilies(s *netstate.Snapshot) []uint8 {
	four, six := false, false
	for _, n := range s.Namespaces {
		for _, l := range n.Links {
			switch l.Kind {
			case "vxlan":
				four = four || l.VXLAN == nil || !l.VXLAN.Local.Is6()
				six = six || (l.VXLAN != nil && l.VXLAN.Local.Is6())
			case "ipip", "gre", "gretap", "sit":
				four = true
			case "geneve", "wireguard", "ip6tnl", "ip6gre", "ip6gretap", "openvswitch":
				four, six = true, true
			}
		}
		for _, e := range n.FDB {
			six = six || (e.Dst.Is6() && !e.Dst.Is4In6())
		}
	}
	var out []uint8
	if four {
		out = append(out, 4)
	}
	if six {
		out = append(out, 6)
	}
	return out
}

// sayUnread tells what of the node could not be read; verdicts that need it will be less sure.
func sayUnread(s *netstate.Snapshot, warn func(string)) {
	const most = 5
	n := 0
	for i := range s.Namespaces {
		ns := &s.Namespaces[i]
		for _, u := range append(slices.Clone(ns.Unread), ns.TruncNote) {
			if u == "" {
				continue
			}
			if n++; n <= most {
				warn(fmt.Sprintf("in namespace %s: %s", ns.Name, u))
			}
		}
	}
	if n > most {
		warn(fmt.Sprintf("%d more things of this kind could not be read", n-most))
	}
}

// probe is the test connection that the flags ask for; nil for none.
func (p *plan) probe(ctx context.Context, o *flowOptions, warn func(string)) (*probe.Request, error) {
	if !o.probe {
		return nil, nil
	}
	r := &probe.Request{NetNS: p.src.netns, Proto: p.proto, Sport: p.filter.Sport, Dst: netip.AddrPortFrom(p.dst.addrs[0], p.dst.port), Size: o.size, Timeout: o.probeTimeout()}
	if p.src.netns == "" || len(p.src.addrs) == 1 {
		r.Src = p.src.addrs[0]
	}
	return r, o.fill(ctx, p, r, warn)
}

// compared are the variants that --compare asks for.
func (p *plan) compared(ctx context.Context, o *flowOptions) []probe.Variant {
	if !o.compare {
		return nil
	}
	return p.variants(ctx)
}
