// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"

	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// maxNodeAddresses bounds what the start record says of one node.
const maxNodeAddresses = 256

// watchedNodes are the nodes of a snapshot with their addresses, so that a reader of several nodes' JSON knows for whom a packet was meant.
// Dummy devices are left out: kube-proxy and node-local caches put addresses of Services on them, on every node the same.
func watchedNodes(s *netstate.Snapshot, f *verdict.Flow) []render.Node {
	if s == nil {
		return nil
	}
	ends := flowEnds(f)
	var out []render.Node
	for i := range s.Namespaces {
		n := &s.Namespaces[i]
		if n.Node == "" {
			continue
		}
		k := slices.IndexFunc(out, func(o render.Node) bool { return o.Name == n.Node })
		if k < 0 {
			k = len(out)
			out = append(out, render.Node{Name: n.Node})
		}
		for _, a := range ownAddresses(n) {
			if (n.Host || ends[a]) && len(out[k].Addresses) < maxNodeAddresses && !slices.Contains(out[k].Addresses, a) {
				out[k].Addresses = append(out[k].Addresses, a)
			}
		}
	}
	return out
}

func ownAddresses(n *netstate.Namespace) []netip.Addr {
	var out []netip.Addr
	for _, l := range n.Links {
		if l.Kind == "dummy" {
			continue
		}
		for _, p := range l.Addrs {
			if a := p.Addr(); !a.IsLoopback() && !a.IsLinkLocalUnicast() {
				out = append(out, a)
			}
		}
	}
	return out
}

// flowEnds are the addresses of the flow's ends and of what a Service stands for.
func flowEnds(f *verdict.Flow) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, s := range []string{f.Src, f.Dst} {
		if a, err := netip.ParseAddr(s); err == nil {
			out[a] = true
		}
	}
	for _, e := range f.Endpoints {
		if a, err := netip.ParseAddrPort(e.Addr); err == nil {
			out[a.Addr()] = true
		}
	}
	return out
}
