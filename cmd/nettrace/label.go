// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/k8smeta/kubeproxy"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// labeller puts Kubernetes names into journeys. Without an index it changes nothing.
type labeller struct {
	objs      k8smeta.Objects
	index     *k8smeta.Index
	now       time.Time
	snap      *netstate.Snapshot
	hosts     map[netip.Addr]string // addresses of nodes' own devices, from the snapshot
	veths     map[veth]string       // whose the other end is
	addresses bool                  // show addresses beside names
	unknown   map[netip.Addr]bool   // met and not known
	chains    *kubeproxy.Table      // of the Services; nil until it is needed
}

type veth struct{ netns, ifindex uint32 }

// learn takes a note of names.
func (l *labeller) learn(n *clusterNote) {
	l.objs = l.objs.Merge(n.Objects)
	l.now, l.chains = n.Now, nil
	l.index = k8smeta.NewIndex(&l.objs, n.Now)
}

// see takes the snapshot: addresses of the nodes' devices, and which pod each of their veths leads to.
func (l *labeller) see(s *netstate.Snapshot) {
	l.snap, l.hosts, l.veths = s, map[netip.Addr]string{}, map[veth]string{}
	if s == nil || l.index == nil {
		return
	}
	for i := range s.Namespaces {
		n := &s.Namespaces[i]
		if !n.Host {
			continue
		}
		for _, link := range n.Links {
			for _, p := range link.Addrs {
				if !p.Addr().IsLoopback() {
					l.hosts[p.Addr()] = n.Node
				}
			}
		}
	}
	for inode, p := range podsOf(s, l.index) {
		for _, v := range s.HostVeths(inode) {
			l.veths[veth{v.NS.Inode, uint32(v.Link.Index)}] = p.Namespace + "/" + p.Name
		}
	}
}

// podsOf says which pod each namespace of a snapshot is: by the pod's UID in the cgroup of a process inside, else by the address of a device
// inside, which no other living pod has.
func podsOf(s *netstate.Snapshot, x *k8smeta.Index) map[uint32]*k8smeta.Pod {
	out := map[uint32]*k8smeta.Pod{}
	if s == nil || x == nil {
		return out
	}
	for i := range s.Namespaces {
		n := &s.Namespaces[i]
		if n.Host {
			continue
		}
		if p := x.PodByUID(n.PodUID); p != nil && !p.HostNetwork {
			out[n.Inode] = p
			continue
		}
		for _, link := range n.Links {
			for _, a := range link.Addrs {
				if p := x.Addr(a.Addr()).Pod; p != nil && out[n.Inode] == nil {
					out[n.Inode] = p
				}
			}
		}
	}
	return out
}

// ref is the object that an address belongs to; nil when none is known.
func (l *labeller) ref(proto string, a netip.Addr, port uint16) *journey.Ref {
	if l.index == nil || !a.IsValid() {
		return nil
	}
	h := l.index.Addr(a)
	if h.Service != nil {
		if s, p := l.index.ServicePort(proto, a, port); s != nil {
			return toRef(s.Ref(p))
		}
	}
	switch {
	case h.Pod != nil:
		return toRef(h.Pod.Ref())
	case h.Service != nil:
		return toRef(h.Service.Ref(nil))
	case h.Node != nil:
		return toRef(h.Node.Ref())
	case l.hosts[a] != "":
		return &journey.Ref{Kind: "Node", Name: l.hosts[a]}
	case h.Former != nil:
		return toRef(h.Former.Ref())
	}
	if n := l.index.NodeOfNetwork(a); n != nil {
		return toRef(n.Ref())
	}
	l.miss(a)
	return nil
}

// miss remembers an address that somebody may be asked for.
func (l *labeller) miss(a netip.Addr) {
	const most = 64
	if a.IsGlobalUnicast() && len(l.unknown) < most {
		l.unknown[a] = true
	}
}

func toRef(r k8smeta.Ref) *journey.Ref {
	return &journey.Ref{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, Port: r.Port}
}

// name is an address in words, without the address.
func (l *labeller) name(proto string, a netip.Addr, port uint16) string {
	r := l.ref(proto, a, port)
	if r == nil {
		return ""
	}
	s := r.Short(port)
	if h := l.index.Addr(a); r.Kind == "Pod" && h.Pod == nil && h.Former != nil {
		s += " (" + l.fate(h.Former) + ")"
	}
	return s
}

// fate says what became of a pod whose address is still in use.
func (l *labeller) fate(p *k8smeta.Pod) string {
	if p.Deleted.IsZero() {
		return "ended"
	}
	return fmt.Sprintf("deleted %d s ago", max(int(l.now.Sub(p.Deleted).Seconds()), 0))
}

// words are for the sentences of hops.
func (l *labeller) words() journey.Words {
	if l.index == nil {
		return journey.Words{}
	}
	return journey.Words{
		Addr: func(proto string, a netip.Addr, port uint16) string {
			s := l.name(proto, a, port)
			if s == "" || !l.addresses {
				return s
			}
			if port == 0 {
				return s + " (" + a.String() + ")"
			}
			return s + " (" + netip.AddrPortFrom(a, port).String() + ")"
		},
		Peer: func(netns, ifindex uint32) string { return l.veths[veth{netns, ifindex}] },
	}
}

// label puts refs into a journey: of its ends, and of Services at translations whose rule does not say whose it is.
func (l *labeller) label(j *journey.Journey) {
	if l.index == nil {
		return
	}
	p := &j.Packet
	p.SrcRef, p.DstRef = l.ref(p.Proto, p.Src, p.Sport), l.ref(p.Proto, p.Dst, p.Dport)
	for i := range j.Hops {
		h := &j.Hops[i]
		switch {
		case h.Ref != nil:
		case h.Rule != nil && l.chain(h.Rule.Chain) != nil:
			h.Ref = l.chain(h.Rule.Chain)
		case h.NAT != nil && h.NAT.Type == "dnat" && !h.NAT.Undo:
			h.Ref = l.service(p.Proto, h.NAT.From)
		case h.IPVS != nil:
			h.Ref = l.service(p.Proto, h.IPVS.Virtual)
		case h.Rule != nil && h.Rule.Backend == "ipvs": // a virtual server without real ones: the packet is still for it
			t := j.TupleAt(i)
			h.Ref = l.service(p.Proto, netip.AddrPortFrom(t.Dst, t.Dport).String())
		}
	}
}

// chain is the Service port that a chain of kube-proxy belongs to. Its comments say so too, where there are any.
func (l *labeller) chain(name string) *journey.Ref {
	if l.chains == nil {
		l.chains = kubeproxy.New()
		for i := range l.objs.Services {
			s := &l.objs.Services[i]
			for k := range s.Ports {
				p := &s.Ports[k]
				l.chains.Add(kubeproxy.Port{Namespace: s.Namespace, Service: s.Name, PortName: p.Name, Proto: p.Proto, Port: p.Port}, l.index.Endpoints(s, p))
			}
		}
	}
	c, ok := l.chains.Lookup(name)
	if !ok {
		return nil
	}
	r := &journey.Ref{Kind: "Service", Namespace: c.Port.Namespace, Name: c.Port.Service, Port: c.Port.PortName}
	if r.Port == "" && c.Port.Port != 0 {
		r.Port = strconv.Itoa(int(c.Port.Port))
	}
	return r
}

// service is the Service port at "address:port".
func (l *labeller) service(proto, at string) *journey.Ref {
	a, err := netip.ParseAddrPort(at)
	if err != nil {
		return nil
	}
	s, p := l.index.ServicePort(proto, a.Addr(), a.Port())
	if s == nil {
		return nil
	}
	return toRef(s.Ref(p))
}

// wanted are addresses that were met and not known since it was asked last.
func (l *labeller) wanted() []netip.Addr {
	var out []netip.Addr
	for a, fresh := range l.unknown {
		if fresh {
			out = append(out, a)
			l.unknown[a] = false
		}
	}
	return out
}
