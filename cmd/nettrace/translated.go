// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
)

// maxNodeSources bounds the addresses of nodes that a flow may be masqueraded to.
const maxNodeSources = 1024

// translate makes the filter that of a node which the flow reaches when another node's kube-proxy has translated it: to an endpoint of the
// Service, and, where that node masquerades, from one of its own addresses. What comes here to be translated is followed as well. warn says what
// this makes less exact.
func (p *plan) translate(warn func(string)) {
	if p.names.index == nil {
		warn("nobody can be asked what " + p.dst.text + " is translated to, and to which addresses nodes masquerade: packets are followed as they were sent")
	}
	if ends, ports := endpointsOf(p.dst); len(ends) > 0 {
		p.follow(ends, ports, warn)
	}
	if !p.filter.AnySrc {
		p.filter.Src = together(p.filter.Src, nodeSources(p.names.objects.Nodes, nodesOf(p.refs), p.filter.Dst[0].Is4()))
	}
}

// follow adds endpoints to where the flow goes, beside where it was sent. The kernel side compares one port, whatever the address: where the
// Service's is another one than theirs, both can be followed only with every port, which is too much where anybody may be the sender, or where a
// node is sent to. A connection that this node translates is known there from then on by its conntrack entry, which also tells what it was before.
func (p *plan) follow(ends []netip.Addr, ports []uint16, warn func(string)) {
	all := together(ends, p.filter.Dst)
	node := p.names.index.Addr(p.filter.Dst[0]).Node
	switch {
	case len(ports) == 1 && ports[0] == p.filter.Dport:
		p.filter.Dst = all
	case node != nil && p.watches(node.Name): // its own port, which no other node translates
	case node != nil, p.sentElsewhere(), len(all) == len(ends): // a headless Service is its endpoints
		p.followOnly(ends, ports, warn)
	case p.filter.AnySrc:
		warn("packets to " + p.dst.text + " are followed here from where they are translated to an endpoint, which has another port; name SRC to follow them before that")
		p.followOnly(ends, ports, warn)
	default:
		warn("the endpoints of " + p.dst.text + " have other ports than it has: packets to any of their ports are followed")
		p.filter.Dst, p.filter.Dport = all, 0
	}
}

// followOnly leaves nothing but the endpoints.
func (p *plan) followOnly(ends []netip.Addr, ports []uint16, warn func(string)) {
	p.filter.Dst, p.filter.Dport = ends, ports[0]
	if len(ports) > 1 {
		p.filter.Dport = 0
		warn("the endpoints of " + p.dst.text + " have different ports: packets to any of their ports are followed")
	}
}

// sentElsewhere reports whether the sender is known to be on another node, which translates what it sends.
func (p *plan) sentElsewhere() bool {
	if p.src.any {
		return false
	}
	on := p.names.nodesOfAddr(p.src.addrs[0], 0)
	if p.src.node != "" {
		on = []string{p.src.node}
	}
	return len(on) > 0 && !slices.ContainsFunc(on, p.watches)
}

// watches reports whether a node is one that is looked at here.
func (p *plan) watches(node string) bool { return slices.Contains(nodesOf(p.refs), node) }

// together are two lists as one, each address once.
func together(a, b []netip.Addr) []netip.Addr {
	out := slices.Clone(a)
	for _, x := range b {
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

// endpointsOf are the addresses that a Service stands for, of the family of the flow, and their ports.
func endpointsOf(dst *endpoint) (addrs []netip.Addr, ports []uint16) {
	for _, e := range dst.endpoints {
		a, err := netip.ParseAddrPort(e.Addr)
		if err != nil || a.Addr().Is4() != dst.addrs[0].Is4() {
			continue
		}
		if !slices.Contains(addrs, a.Addr()) {
			addrs = append(addrs, a.Addr())
		}
		if !slices.Contains(ports, a.Port()) {
			ports = append(ports, a.Port())
		}
	}
	return addrs, ports
}

// nodeSources are the addresses that other nodes masquerade to: those of the node, and the first two of its pods' network, which a CNI plugin
// gives to its tunnel device and its bridge.
func nodeSources(nodes []k8smeta.Node, own []string, four bool) []netip.Addr {
	var out []netip.Addr
	for _, n := range nodes {
		if slices.Contains(own, n.Name) {
			continue
		}
		all := slices.Clone(n.Addrs)
		for _, c := range n.PodCIDRs {
			all = append(all, c.Masked().Addr(), c.Masked().Addr().Next())
		}
		for _, a := range all {
			if a.IsValid() && a.Is4() == four && len(out) < maxNodeSources {
				out = append(out, a)
			}
		}
	}
	return out
}
