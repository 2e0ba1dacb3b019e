// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"net/netip"

	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// World is what a dry run through the namespace's rules can ask for: its rules, its ipsets, its own addresses, and where its routes lead. Policy
// rules of routing are not looked at.
func (n *Namespace) World() *ruleset.World {
	return &ruleset.World{
		Sets:   n.Rulesets,
		IPSets: n.IPSets,
		Local: func(a netip.Addr) bool {
			route, ok := n.RouteFor(a)
			return n.IsLocal(a) || ok && route.Type == "local"
		},
		Route: func(a netip.Addr) (string, bool) {
			route, ok := n.RouteFor(a)
			switch {
			case !ok:
				return "", false
			case route.Type == "unicast" && route.Dev != "":
				return route.Dev, true
			case route.Type == "blackhole" || route.Type == "unreachable" || route.Type == "prohibit":
				return "", false
			}
			return ruleset.UnknownDevice, true
		},
		Source: func(dev string, six bool) netip.Addr { return n.Link(dev).OnlyAddress(six) },
	}
}

// OnlyAddress is the address of a device that has one of the family; of several the kernel chooses by the next hop, which is not followed.
// It works on a nil Link.
func (l *Link) OnlyAddress(six bool) netip.Addr {
	var out netip.Addr
	if l == nil {
		return out
	}
	for _, p := range l.Addrs {
		if a := p.Addr(); a.Is6() == six && !a.IsLinkLocalUnicast() {
			if out.IsValid() {
				return netip.Addr{}
			}
			out = a
		}
	}
	return out
}
