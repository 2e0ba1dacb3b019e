// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"net/netip"
	"slices"
)

// ByInode finds a namespace; nil when the snapshot does not have it. All queries work on a nil snapshot.
func (s *Snapshot) ByInode(inode uint32) *Namespace {
	if s == nil {
		return nil
	}
	for i := range s.Namespaces {
		if s.Namespaces[i].Inode == inode && inode != 0 {
			return &s.Namespaces[i]
		}
	}
	return nil
}

// Owner is a device that has an address.
type Owner struct {
	NS   *Namespace
	Link *Link
}

// OwnersOf lists where an address is configured.
func (s *Snapshot) OwnersOf(a netip.Addr) []Owner {
	if s == nil {
		return nil
	}
	var out []Owner
	for i := range s.Namespaces {
		n := &s.Namespaces[i]
		for k := range n.Links {
			if n.Links[k].has(a) {
				out = append(out, Owner{n, &n.Links[k]})
			}
		}
	}
	return out
}

// HostVeths are the veths in the node's host namespace whose other end is in a namespace: each names the other's index. The indexes of two
// ends may be those of another pair by chance only if both match, which is no answer.
func (s *Snapshot) HostVeths(inode uint32) []Owner {
	n := s.ByInode(inode)
	if n == nil {
		return nil
	}
	host := s.Host(n.Node)
	if host == nil || host == n {
		return nil
	}
	var out []Owner
	for i := range n.Links {
		inner := &n.Links[i]
		outer := host.LinkByIndex(inner.PeerIndex)
		if inner.Kind == "veth" && inner.PeerIndex > 0 && outer != nil && outer.Kind == "veth" && outer.PeerIndex == inner.Index {
			out = append(out, Owner{host, outer})
		}
	}
	return out
}

// Host is the host namespace of a node; nil when it is not in the snapshot.
func (s *Snapshot) Host(node string) *Namespace {
	if s == nil {
		return nil
	}
	for i := range s.Namespaces {
		if s.Namespaces[i].Host && s.Namespaces[i].Node == node {
			return &s.Namespaces[i]
		}
	}
	return nil
}

func (l *Link) has(a netip.Addr) bool {
	for _, p := range l.Addrs {
		if p.Addr() == a {
			return true
		}
	}
	return false
}

// Link finds a device by name, nil when there is none. It works on a nil namespace.
func (n *Namespace) Link(name string) *Link {
	if n == nil {
		return nil
	}
	for i := range n.Links {
		if n.Links[i].Name == name {
			return &n.Links[i]
		}
	}
	return nil
}

// LinkByIndex finds a device by ifindex.
func (n *Namespace) LinkByIndex(index int) *Link {
	if n == nil {
		return nil
	}
	for i := range n.Links {
		if n.Links[i].Index == index {
			return &n.Links[i]
		}
	}
	return nil
}

// IsLocal reports whether an address is one of the namespace's own.
func (n *Namespace) IsLocal(a netip.Addr) bool {
	if n == nil {
		return false
	}
	for i := range n.Links {
		if n.Links[i].has(a) {
			return true
		}
	}
	return a.IsLoopback()
}

// RouteFor is the route that the namespace has for an address: of the tables that its policy rules name, in their order, the longest prefix.
// Rules that ask for more than the destination are passed over; see Routed.
func (n *Namespace) RouteFor(a netip.Addr) (Route, bool) {
	r, ok, _ := n.Routed(a)
	return r, ok
}

// plain are the policy rules of every namespace.
var plain = []PolicyRule{{Table: 255}, {Table: 254}, {Table: 253}}

// Routed is RouteFor; sure says that the destination alone decides: no policy rule on the way to the answer asks for a source, a mark or a device.
func (n *Namespace) Routed(a netip.Addr) (r Route, ok, sure bool) {
	if n == nil {
		return Route{}, false, false
	}
	sure = true
	rules := plain
	if slices.ContainsFunc(n.Policy, func(p PolicyRule) bool { return p.Dst.Addr().Is4() == a.Is4() }) {
		rules = n.Policy
	}
	for _, p := range rules {
		if p.Dst.IsValid() && !p.Dst.Contains(a) {
			continue
		}
		if p.Selects || p.Table == 0 {
			sure = false
			continue
		}
		if i := n.longest(p.Table, a); i >= 0 && n.Routes[i].Type != "throw" {
			return n.Routes[i], true, sure
		}
	}
	return Route{}, false, sure
}

// longest is the index of the longest prefix of a table that contains an address; -1 for none.
func (n *Namespace) longest(table int, a netip.Addr) int {
	best := -1
	for i := range n.Routes {
		r := &n.Routes[i]
		if r.Table == table && r.Type != "broadcast" && r.Dst.Contains(a) && (best < 0 || r.Dst.Bits() > n.Routes[best].Dst.Bits()) {
			best = i
		}
	}
	return best
}

// Neigh finds a neighbour entry.
func (n *Namespace) Neigh(dev string, a netip.Addr) (Neigh, bool) {
	if n != nil {
		for _, x := range n.Neighs {
			if x.Dev == dev && x.IP == a {
				return x, true
			}
		}
	}
	return Neigh{}, false
}

// HasFDB reports whether a device forwards frames for a MAC address.
func (n *Namespace) HasFDB(dev, mac string) bool {
	if n != nil {
		for _, f := range n.FDB {
			if f.Dev == dev && f.MAC == mac {
				return true
			}
		}
	}
	return false
}

// Listeners are the sockets of a protocol that wait for traffic.
func (n *Namespace) Listeners(proto string) []Socket {
	var out []Socket
	if n != nil {
		for _, s := range n.Sockets {
			if s.Proto == proto {
				out = append(out, s)
			}
		}
	}
	return out
}
