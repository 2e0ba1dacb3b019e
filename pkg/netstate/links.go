// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func (r *reader) links() {
	links, err := r.nl.LinkList()
	r.unread("links", err)
	byIndex := map[int]int{}
	for _, l := range links[:bound(r, "links", len(links))] {
		byIndex[l.Attrs().Index] = len(r.n.Links)
		r.n.Links = append(r.n.Links, linkOf(l))
	}
	for i := range r.n.Links {
		l := &r.n.Links[i]
		if l.Master == 0 || !r.isBridge(byIndex, l.Master) {
			continue
		}
		link, err := r.nl.LinkByIndex(l.Index)
		if err != nil {
			continue
		}
		if p, err := r.nl.LinkGetProtinfo(link); err == nil {
			l.Hairpin = &p.Hairpin
		}
	}
	addrs, err := r.nl.AddrList(nil, netlink.FAMILY_ALL)
	r.unread("addresses", err)
	for _, a := range addrs[:bound(r, "addresses", len(addrs))] {
		if i, ok := byIndex[a.LinkIndex]; ok && a.IPNet != nil {
			r.n.Links[i].Addrs = append(r.n.Links[i].Addrs, prefixOf(a.IPNet))
		}
	}
}

func (r *reader) isBridge(byIndex map[int]int, index int) bool {
	i, ok := byIndex[index]
	return ok && r.n.Links[i].Kind == "bridge"
}

// bound keeps a list within maxEntries and says so when it cuts.
func bound(r *reader, what string, n int) int {
	if n <= maxEntries {
		return n
	}
	r.n.TruncNote += fmt.Sprintf("only %d of %d %s were read. ", maxEntries, n, what)
	return maxEntries
}

func linkOf(l netlink.Link) Link {
	a := l.Attrs()
	out := Link{Index: a.Index, Name: a.Name, Kind: l.Type(), MTU: a.MTU, Up: a.Flags&net.FlagUp != 0, Oper: a.OperState.String(), Master: a.MasterIndex, MAC: a.HardwareAddr.String()}
	if a.Xdp != nil && a.Xdp.Attached {
		out.XDP = a.Xdp.ProgId
	}
	switch v := l.(type) {
	case *netlink.Veth:
		out.PeerIndex = a.ParentIndex
	case *netlink.Vxlan:
		out.VXLAN = &VXLAN{VNI: v.VxlanId, Port: v.Port, Local: addrOf(v.SrcAddr), Underlay: v.VtepDevIndex, Learning: v.Learning}
	}
	switch {
	case a.Flags&net.FlagLoopback != 0:
		out.Kind = "loopback"
	case out.Kind == "device" || out.Kind == "":
		out.Kind = "phys"
	}
	return out
}

func prefixOf(n *net.IPNet) netip.Prefix {
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(addrOf(n.IP), ones)
}

func addrOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

// routeTypes are rtm_type in words (include/uapi/linux/rtnetlink.h).
var routeTypes = map[int]string{
	unix.RTN_UNICAST: "unicast", unix.RTN_LOCAL: "local", unix.RTN_BROADCAST: "broadcast", unix.RTN_ANYCAST: "anycast", unix.RTN_MULTICAST: "multicast",
	unix.RTN_BLACKHOLE: "blackhole", unix.RTN_UNREACHABLE: "unreachable", unix.RTN_PROHIBIT: "prohibit", unix.RTN_THROW: "throw",
}

func (r *reader) routes() {
	names := map[int]string{}
	for _, l := range r.n.Links {
		names[l.Index] = l.Name
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := r.nl.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		r.unread("routes", err)
		for _, x := range routes[:bound(r, "routes", len(routes))] {
			out := Route{Table: x.Table, Type: routeTypes[x.Type], Dev: names[x.LinkIndex], Gateway: addrOf(x.Gw), MTU: x.MTU}
			if len(x.MultiPath) > 0 {
				out.Dev, out.Gateway = names[x.MultiPath[0].LinkIndex], addrOf(x.MultiPath[0].Gw)
			}
			switch {
			case x.Dst != nil:
				out.Dst = prefixOf(x.Dst)
			case family == netlink.FAMILY_V4:
				out.Dst = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
			default:
				out.Dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
			}
			r.n.Routes = append(r.n.Routes, out)
		}
	}
}

// policyRules reads 'ip rule' where there is more than what every namespace has.
func (r *reader) policyRules() {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := r.nl.RuleList(family)
		r.unread("policy rules", err)
		if plainRules(list) {
			continue
		}
		all := netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		if family == netlink.FAMILY_V4 {
			all = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		}
		for _, x := range list[:bound(r, "policy rules", len(list))] {
			p := PolicyRule{Priority: max(x.Priority, 0), Dst: all, Selects: x.Src != nil || x.Mark != 0 || x.Tos != 0 || x.IifName != "" || x.OifName != "" || x.Invert || x.Dport != nil || x.Sport != nil ||
				x.IPProto != 0 || x.UIDRange != nil || x.SuppressPrefixlen >= 0 || x.SuppressIfgroup >= 0 || x.TunID != 0}
			if x.Dst != nil {
				p.Dst = prefixOf(x.Dst)
			}
			if x.Goto < 0 { // a rule that prohibits, or swallows, has no table
				p.Table = x.Table
			}
			r.n.Policy = append(r.n.Policy, p)
		}
	}
	slices.SortStableFunc(r.n.Policy, func(a, b PolicyRule) int { return a.Priority - b.Priority })
}

// plainRules: the tables local, main and default are asked in this order, and nothing else (net/ipv4/fib_rules.c, fib_default_rules_init).
func plainRules(list []netlink.Rule) bool {
	for _, x := range list {
		if x.Table != unix.RT_TABLE_LOCAL && x.Table != unix.RT_TABLE_MAIN && x.Table != unix.RT_TABLE_DEFAULT || x.Priority > 0 && x.Priority != 32766 && x.Priority != 32767 {
			return false
		}
	}
	return true
}

// neighbourStates are NUD_* in iproute2's words (include/uapi/linux/neighbour.h).
var neighbourStates = []struct {
	bit  int
	name string
}{
	{unix.NUD_INCOMPLETE, "INCOMPLETE"}, {unix.NUD_REACHABLE, "REACHABLE"}, {unix.NUD_STALE, "STALE"}, {unix.NUD_DELAY, "DELAY"}, {unix.NUD_PROBE, "PROBE"},
	{unix.NUD_FAILED, "FAILED"}, {unix.NUD_NOARP, "NOARP"}, {unix.NUD_PERMANENT, "PERMANENT"},
}

func (r *reader) neighbours() {
	names := map[int]string{}
	for _, l := range r.n.Links {
		names[l.Index] = l.Name
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := r.nl.NeighList(0, family)
		r.unread("neighbours", err)
		for _, x := range list[:bound(r, "neighbours", len(list))] {
			n := Neigh{Dev: names[x.LinkIndex], IP: addrOf(x.IP), MAC: x.HardwareAddr.String()}
			var states []string
			for _, s := range neighbourStates {
				if x.State&s.bit != 0 {
					states = append(states, s.name)
				}
			}
			n.State = strings.Join(states, ",")
			r.n.Neighs = append(r.n.Neighs, n)
		}
	}
	list, err := r.nl.NeighList(0, unix.AF_BRIDGE)
	r.unread("forwarding entries", err)
	for _, x := range list[:bound(r, "forwarding entries", len(list))] {
		r.n.FDB = append(r.n.FDB, FDBEntry{Dev: names[x.LinkIndex], MAC: x.HardwareAddr.String(), Dst: addrOf(x.IP)})
	}
}
