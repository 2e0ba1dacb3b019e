// SPDX-License-Identifier: Apache-2.0

package k8smeta

import (
	"net/netip"
	"slices"
	"time"
)

// KeepDeleted is how long a deleted object stays known: stale endpoints and reused addresses are among the failures that are looked for.
const KeepDeleted = 5 * time.Minute

// Index answers what addresses and names mean. It never changes; all its methods work on a nil Index, which knows nothing.
type Index struct {
	objs       *Objects
	addrs      byAddr
	vips       byPort // ClusterIPs, external IPs and load balancers' addresses
	nodePorts  byPort // without an address
	ends       byPort // endpoints: the first Service port that has each
	pods       map[key]int32
	uids       map[string]int32
	services   map[key]int32
	slices     map[key][]int32
	nodes      map[string]int32
	namespaces map[string]int32
}

type key struct{ namespace, name string }

// vip is an address of a Service, or of an endpoint, with its port.
type vip struct {
	addr  netip.Addr
	port  uint16
	proto byte
}

// hit is a port of a Service: positions, so that 100,000 of them stay small.
type hit struct{ service, port int32 }

// holder is who has an address; positions plus one, 0 for none.
type holder struct{ pod, former, service, node int32 }

// Holder is who has an address. Several can be set: a node's address may be a Service's external IP too.
type Holder struct {
	Pod     *Pod // that has it now
	Former  *Pod // that had it and has ended, or was deleted; the latest
	Service *Service
	Node    *Node
}

// NewIndex builds an index over objects, which must not change afterwards. Of two objects with one name the later one counts. What was
// deleted more than KeepDeleted before now is left out.
func NewIndex(o *Objects, now time.Time) *Index {
	n := len(o.Pods)
	x := &Index{objs: o, addrs: newByAddr(n + len(o.Services) + len(o.Nodes)), vips: newByPort(len(o.Services)), nodePorts: newByPort(0), ends: newByPort(n), pods: make(map[key]int32, n), uids: make(map[string]int32, n), services: make(map[key]int32, len(o.Services)),
		slices: make(map[key][]int32, len(o.Slices)), nodes: make(map[string]int32, len(o.Nodes)), namespaces: make(map[string]int32, len(o.Namespaces))}
	gone := func(t time.Time) bool { return !t.IsZero() && now.Sub(t) > KeepDeleted }
	for i := range o.Nodes {
		if !gone(o.Nodes[i].Deleted) {
			x.addNode(int32(i))
		}
	}
	for i := range o.Pods {
		if !gone(o.Pods[i].Deleted) {
			x.addPod(int32(i))
		}
	}
	for i := range o.Services {
		if !gone(o.Services[i].Deleted) {
			x.addService(int32(i))
		}
	}
	for i := range o.Slices {
		if s := &o.Slices[i]; s.Deleted.IsZero() {
			k := key{s.Namespace, s.Service}
			x.slices[k] = append(x.slices[k], int32(i))
		}
	}
	for i := range o.Services {
		if o.Services[i].Deleted.IsZero() {
			x.addEnds(int32(i))
		}
	}
	for i := range o.Namespaces {
		x.namespaces[o.Namespaces[i].Name] = int32(i)
	}
	return x
}

func (x *Index) addNode(i int32) {
	n := &x.objs.Nodes[i]
	x.nodes[n.Name] = i
	for _, a := range n.Addrs {
		h, _ := x.addrs.get(a)
		h.node = i + 1
		x.addrs.set(a, h)
	}
}

func (x *Index) addPod(i int32) {
	p := &x.objs.Pods[i]
	k := key{p.Namespace, p.Name}
	// of two with one name, as a StatefulSet's old and new pod, the living one counts
	if old, ok := x.pods[k]; !ok || !p.Over() || x.objs.Pods[old].Over() {
		x.pods[k] = i
	}
	if p.UID != "" {
		x.uids[p.UID] = i
	}
	if p.StaticUID != "" {
		x.uids[p.StaticUID] = i
	}
	if p.HostNetwork {
		return // its addresses are the node's
	}
	for _, a := range p.IPs {
		h, _ := x.addrs.get(a)
		switch {
		case !p.Over():
			h.pod = i + 1
		case h.former == 0 || x.objs.Pods[h.former-1].Deleted.Before(p.Deleted):
			h.former = i + 1
		}
		x.addrs.set(a, h)
	}
}

func (x *Index) addService(i int32) {
	s := &x.objs.Services[i]
	x.services[key{s.Namespace, s.Name}] = i
	for _, group := range [][]netip.Addr{s.LoadBalancers, s.ExternalIPs, s.ClusterIPs} { // the ClusterIP says most about an address
		for _, a := range group {
			h, _ := x.addrs.get(a)
			if h.service == 0 || s.Deleted.IsZero() {
				h.service = i + 1
				x.addrs.set(a, h)
			}
			for k := range s.Ports {
				x.vips.set(vip{a, s.Ports[k].Port, protoByte(s.Ports[k].Proto)}, hit{i, int32(k)})
			}
		}
	}
	for k := range s.Ports {
		if p := &s.Ports[k]; p.NodePort != 0 {
			x.nodePorts.set(vip{port: p.NodePort, proto: protoByte(p.Proto)}, hit{i, int32(k)})
		}
	}
}

// addEnds maps endpoints to the first Service port that has them.
func (x *Index) addEnds(i int32) {
	s := &x.objs.Services[i]
	for _, at := range x.slices[key{s.Namespace, s.Name}] {
		sl := &x.objs.Slices[at]
		for _, ep := range sl.Ports {
			k := portNamed(s, ep.Name, ep.Proto)
			if k < 0 {
				continue
			}
			for e := range sl.Endpoints {
				for _, a := range sl.Endpoints[e].Addrs {
					v := vip{a, ep.Port, protoByte(ep.Proto)}
					if _, ok := x.ends.get(v); !ok {
						x.ends.set(v, hit{i, int32(k)})
					}
				}
			}
		}
	}
}

func portNamed(s *Service, name, proto string) int {
	for i := range s.Ports {
		if s.Ports[i].Name == name && s.Ports[i].Proto == proto {
			return i
		}
	}
	return -1
}

// protoByte keeps protocols apart in keys: the first letter of tcp, udp, sctp does.
func protoByte(proto string) byte {
	if proto == "" {
		return 't'
	}
	return proto[0]
}

// Addr says who has an address. It allocates nothing.
func (x *Index) Addr(a netip.Addr) Holder {
	if x == nil {
		return Holder{}
	}
	h, ok := x.addrs.get(a)
	if !ok {
		return Holder{}
	}
	var out Holder
	if h.pod > 0 {
		out.Pod = &x.objs.Pods[h.pod-1]
	}
	if h.former > 0 {
		out.Former = &x.objs.Pods[h.former-1]
	}
	if h.service > 0 {
		out.Service = &x.objs.Services[h.service-1]
	}
	if h.node > 0 {
		out.Node = &x.objs.Nodes[h.node-1]
	}
	return out
}

// ServicePort is the Service port at an address: of a ClusterIP, an external IP, a load balancer, or a NodePort at a node's address.
func (x *Index) ServicePort(proto string, a netip.Addr, port uint16) (*Service, *ServicePort) {
	if x == nil {
		return nil, nil
	}
	h, ok := x.vips.get(vip{a, port, protoByte(proto)})
	if !ok {
		if at, _ := x.addrs.get(a); at.node > 0 {
			h, ok = x.nodePorts.get(vip{port: port, proto: protoByte(proto)})
		}
	}
	return x.at(h, ok)
}

// EndpointOf is the Service port that has an address as its endpoint; the first when there are several.
func (x *Index) EndpointOf(proto string, a netip.Addr, port uint16) (*Service, *ServicePort) {
	if x == nil {
		return nil, nil
	}
	h, ok := x.ends.get(vip{a, port, protoByte(proto)})
	return x.at(h, ok)
}

func (x *Index) at(h hit, ok bool) (*Service, *ServicePort) {
	if !ok {
		return nil, nil
	}
	s := &x.objs.Services[h.service]
	return s, &s.Ports[h.port]
}

// Pod, PodByUID, Service, Node and Namespace find an object by its name; nil when it is not known.
func (x *Index) Pod(namespace, name string) *Pod {
	if x == nil {
		return nil
	}
	return pick(x.pods, key{namespace, name}, x.objs.Pods)
}

// PodByUID finds a pod by metadata.uid, a static one also by the UID that kubelet gave it.
func (x *Index) PodByUID(uid string) *Pod {
	if x == nil || uid == "" {
		return nil
	}
	return pick(x.uids, uid, x.objs.Pods)
}

// Service finds a Service.
func (x *Index) Service(namespace, name string) *Service {
	if x == nil {
		return nil
	}
	return pick(x.services, key{namespace, name}, x.objs.Services)
}

// Node finds a node.
func (x *Index) Node(name string) *Node {
	if x == nil {
		return nil
	}
	return pick(x.nodes, name, x.objs.Nodes)
}

// Namespace finds a namespace.
func (x *Index) Namespace(name string) *Namespace {
	if x == nil {
		return nil
	}
	return pick(x.namespaces, name, x.objs.Namespaces)
}

func pick[K comparable, V any](m map[K]int32, k K, all []V) *V {
	if i, ok := m[k]; ok {
		return &all[i]
	}
	return nil
}

// Slices are the EndpointSlices of a Service.
func (x *Index) Slices(s *Service) []*EndpointSlice {
	if x == nil || s == nil {
		return nil
	}
	var out []*EndpointSlice
	for _, i := range x.slices[key{s.Namespace, s.Name}] {
		out = append(out, &x.objs.Slices[i])
	}
	return out
}

// NodeOfNetwork is the node whose pod network begins with an address: CNI plugins give it to a tunnel device or bridge of the node. Other
// addresses of a pod network may be pods that are not known, and name no node.
func (x *Index) NodeOfNetwork(a netip.Addr) *Node {
	if x == nil {
		return nil
	}
	for i := range x.objs.Nodes {
		n := &x.objs.Nodes[i]
		for _, c := range n.PodCIDRs {
			if n.Deleted.IsZero() && c.Contains(a) && (a == c.Addr() || a == c.Addr().Next()) {
				return n
			}
		}
	}
	return nil
}

// InPodNetwork reports whether an address is of some node's pod network: it is a pod's, although perhaps of one that is not known.
func (x *Index) InPodNetwork(a netip.Addr) bool {
	if x == nil {
		return false
	}
	for i := range x.objs.Nodes {
		for _, c := range x.objs.Nodes[i].PodCIDRs {
			if c.Contains(a) {
				return true
			}
		}
	}
	return false
}

// NeedsNamespaces reports whether a policy selects by namespaces' labels.
func (x *Index) NeedsNamespaces() bool { return x != nil && x.objs.selectsNamespaces() }

// PoliciesUnread reports whether a namespace is one whose NetworkPolicies could not be read.
func (x *Index) PoliciesUnread(namespace string) bool {
	return x != nil && slices.Contains(x.objs.PoliciesUnread, namespace)
}

// Objects are those that the index was built over; they must not be changed.
func (x *Index) Objects() *Objects {
	if x == nil {
		return &Objects{}
	}
	return x.objs
}
