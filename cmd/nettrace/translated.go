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
// Service, and, where that node masquerades, from one of its own addresses. warn says what this makes less exact.
func (p *plan) translate(warn func(string)) {
	if p.names.index == nil {
		warn("nobody can be asked what " + p.dst.text + " is translated to, and to which addresses nodes masquerade: packets are followed as they were sent")
	}
	if ends, ports := endpointsOf(p.dst); len(ends) > 0 {
		p.filter.Dst, p.filter.Dport = ends, ports[0]
		if len(ports) > 1 {
			p.filter.Dport = 0
			warn("the endpoints of " + p.dst.text + " have different ports: packets to any of their ports are followed")
		}
	}
	if !p.filter.AnySrc {
		for _, a := range nodeSources(p.names.objects.Nodes, nodesOf(p.refs), p.filter.Dst[0].Is4()) {
			if !slices.Contains(p.filter.Src, a) {
				p.filter.Src = append(p.filter.Src, a)
			}
		}
	}
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
