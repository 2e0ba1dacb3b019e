// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// maxTargets bounds to how many endpoints of a Service the way is looked at.
const maxTargets = 8

// side is one end of the way.
type side struct {
	addr netip.Addr
	port uint16
	node string              // "" when it is not known, or the end is outside of the cluster
	host *netstate.Namespace // the node's; nil when it is not on this kernel
	ns   *netstate.Namespace // that has the address; nil when it is not on this kernel
	pod  *k8smeta.Pod
}

// way is what the packets of the flow have to pass, as far as it is known beforehand.
type way struct {
	src side
	// entry is the node that translates: the sender's, or the one that has the NodePort's address; nil when it is not on this kernel.
	entry    *netstate.Namespace
	svc      *k8smeta.Service
	port     *k8smeta.ServicePort
	backends []k8smeta.Backend // of the destination's family; nil when they are not known
	last     []netip.AddrPort  // those that terminate and still serve
	targets  []side            // where it can end
	more     int               // targets beyond maxTargets
}

// path finds the way once.
func (in *Input) path() *way {
	if in.way != nil {
		return in.way
	}
	w := &way{src: in.side(in.Src, 0)}
	in.way = w
	if in.Sender != nil {
		w.src.ns = in.Sender
		w.src.node = cmp.Or(in.Sender.Node, w.src.node)
		w.src.host = in.Snapshot.Host(w.src.node)
	}
	w.entry = in.entryNode(w)
	w.svc, w.port = in.Index.ServicePort(in.Proto, in.Dst, in.Dport)
	var ends []netip.AddrPort
	switch {
	case w.svc != nil:
		w.backends = in.backends(w.svc, w.port, in.Dst.Is6())
		w.last = in.leaving(w.svc, w.backends)
		for _, b := range w.backends {
			if b.Ready {
				ends = append(ends, b.Addr)
			}
		}
		if len(ends) == 0 {
			ends = slices.Clone(w.last)
		}
	case in.virtual() != nil:
		for _, r := range in.virtual().Available() {
			ends = append(ends, netip.AddrPortFrom(r.Addr, r.Port))
		}
	default:
		ends = []netip.AddrPort{netip.AddrPortFrom(in.Dst, in.Dport)}
		if to := in.translations(); len(to) > 0 { // a Service that only the rules know
			ends = to
		}
	}
	for _, e := range ends[:min(len(ends), maxTargets)] {
		t := in.side(e.Addr(), e.Port())
		for _, b := range w.backends {
			if b.Addr == e && t.node == "" {
				t.node = b.Node
				t.host = in.Snapshot.Host(b.Node)
			}
		}
		w.targets = append(w.targets, t)
	}
	w.more = max(len(ends)-maxTargets, 0)
	return w
}

// backends are the endpoints of a Service port that have a family: no address is translated into one of the other.
func (in *Input) backends(s *k8smeta.Service, p *k8smeta.ServicePort, six bool) []k8smeta.Backend {
	return slices.DeleteFunc(in.Index.Backends(s, p), func(b k8smeta.Backend) bool { return b.Addr.Addr().Is6() != six })
}

// leaving are those endpoints of a Service that terminate and still serve: kube-proxy sends to them when none is ready (KEP-1669).
func (in *Input) leaving(svc *k8smeta.Service, all []k8smeta.Backend) []netip.AddrPort {
	serves := map[netip.Addr]bool{}
	for _, s := range in.Index.Slices(svc) {
		for i := range s.Endpoints {
			for _, a := range s.Endpoints[i].Addrs {
				serves[a] = serves[a] || s.Endpoints[i].Serving && s.Endpoints[i].Terminating
			}
		}
	}
	var out []netip.AddrPort
	for _, b := range all {
		if serves[b.Addr.Addr()] {
			out = append(out, b.Addr)
		}
	}
	return out
}

// side says where an address is.
func (in *Input) side(a netip.Addr, port uint16) side {
	s := side{addr: a, port: port}
	if a.IsLoopback() && in.Sender != nil { // every namespace has it, and the sender's is meant
		s.ns, s.node, s.host = in.Sender, in.Sender.Node, in.Snapshot.Host(in.Sender.Node)
		return s
	}
	for _, o := range in.Snapshot.OwnersOf(a) {
		if s.ns == nil || s.ns.Host && !o.NS.Host { // a pod's address that is on its node too is a conflict, and the pod is meant
			s.ns, s.node = o.NS, o.NS.Node
		}
	}
	h := in.Index.Addr(a)
	switch {
	case h.Pod != nil:
		s.pod, s.node = h.Pod, cmp.Or(s.node, h.Pod.Node)
	case h.Node != nil:
		s.node = cmp.Or(s.node, h.Node.Name)
	case s.node == "":
		s.node = in.nodeOfNetwork(a)
	}
	s.host = in.Snapshot.Host(s.node)
	return s
}

// nodeOfNetwork is the node whose pod network has an address.
func (in *Input) nodeOfNetwork(a netip.Addr) string {
	nodes := in.Index.Objects().Nodes
	for i := range nodes {
		if slices.ContainsFunc(nodes[i].PodCIDRs, func(p netip.Prefix) bool { return p.Contains(a) }) {
			return nodes[i].Name
		}
	}
	return ""
}

// entryNode is the host namespace in which the destination's address is translated.
func (in *Input) entryNode(w *way) *netstate.Namespace {
	for _, o := range in.Snapshot.OwnersOf(in.Dst) {
		if o.NS.Host && o.Link.Name != "kube-ipvs0" && w.src.host != nil && o.NS != w.src.host && in.Index.Addr(in.Dst).Pod == nil {
			return o.NS // another node's own address
		}
	}
	if w.src.host == nil || w.src.ns != w.src.host || in.isNode(w.src.node) {
		return w.src.host
	}
	// a host outside of the cluster sends to whoever its route leads to
	if r, ok := w.src.host.RouteFor(in.Dst); ok && r.Gateway.IsValid() {
		for _, o := range in.Snapshot.OwnersOf(r.Gateway) {
			if o.NS.Host {
				return o.NS
			}
		}
	}
	return nil
}

// isNode reports whether a name is a node's. Where Kubernetes or its nodes are not known, whoever is named in a scope is one.
func (in *Input) isNode(name string) bool {
	return in.Index == nil || len(in.Index.Objects().Nodes) == 0 || in.kubeNode(name) != nil
}

// kubeNode is the node of a name, or the one that has an address of the host namespace with that name: the kubelet may have been told another
// name than the host's.
func (in *Input) kubeNode(name string) *k8smeta.Node {
	if n := in.Index.Node(name); n != nil {
		return n
	}
	host := in.Snapshot.Host(name)
	if host == nil {
		return nil
	}
	for _, l := range host.Links {
		for _, a := range l.Addrs {
			if h := in.Index.Addr(a.Addr()); h.Node != nil {
				return h.Node
			}
		}
	}
	return nil
}

// inPod reports whether an end is a pod, or at least no host namespace.
func (s *side) inPod() bool { return s.pod != nil && !s.pod.HostNetwork || s.ns != nil && !s.ns.Host }

// away says that a node cannot be looked at from here.
func away(node string) string {
	return fmt.Sprintf("%s is not on this kernel: run nettrace there too", node)
}

// elsewhere says that an end cannot be looked at from here.
func (in *Input) elsewhere(s *side) string {
	if s.node != "" && s.host == nil {
		return away(s.node)
	}
	return in.who(s.addr, 0) + " is not on this kernel"
}

// nodeAddress is the address of a node in the underlay: of the device over which its tunnels send, or Kubernetes' first of the family.
func (in *Input) nodeAddress(node string, host *netstate.Namespace, six bool) netip.Addr {
	if host != nil {
		for i := range host.Links {
			if v := host.Links[i].VXLAN; v != nil && v.Local.IsValid() && v.Local.Is6() == six {
				return v.Local
			}
		}
	}
	if n := in.kubeNode(node); n != nil {
		for _, a := range n.Addrs {
			if a.Is6() == six {
				return a
			}
		}
	}
	return netip.Addr{}
}

// tunnel is the VXLAN device that leads from a node to a target; nil when the way is not through one, or is not known.
func tunnel(host *netstate.Namespace, a netip.Addr) (*netstate.Link, netstate.Route) {
	r, ok := host.RouteFor(a)
	if !ok {
		return nil, r
	}
	if l := host.Link(r.Dev); l != nil && l.VXLAN != nil {
		return l, r
	}
	return nil, r
}

// who is an address with its name in front, when it has one.
func (in *Input) who(a netip.Addr, port uint16) string {
	plain := a.String()
	if port != 0 {
		plain = netip.AddrPortFrom(a, port).String()
	}
	if in.Name == nil {
		return plain
	}
	if n := in.Name(in.Proto, a, port); n != "" {
		return n + " (" + plain + ")"
	}
	return plain
}

// forDNS reports whether the flow is a query to a DNS server.
func (in *Input) forDNS() bool {
	return in.Dport == dnsPort && (in.Proto == "udp" || in.Proto == "tcp")
}

// dnsPort is DNS's (RFC 1035, 4.2).
const dnsPort = 53

// unread are the sentences about what of a namespace could not be read that have one of the words.
func unread(n *netstate.Namespace, words ...string) string {
	if n == nil {
		return ""
	}
	for _, u := range append(slices.Clone(n.Unread), n.TruncNote) {
		for _, w := range words {
			if u != "" && strings.Contains(u, w) {
				return fmt.Sprintf("in %s: %s", n.Name, strings.TrimSpace(u))
			}
		}
	}
	return ""
}

// has reports whether a configured address is the end's.
func (s *side) has(p netip.Prefix) bool { return p.Addr() == s.addr }
