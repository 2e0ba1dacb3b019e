// SPDX-License-Identifier: Apache-2.0

package k8smeta

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Target is what an endpoint's name stands for.
type Target struct {
	Ref       Ref
	Addrs     []netip.Addr // where packets are sent; for a Service its ClusterIPs
	Port      uint16       // 0 when the name has none
	Proto     string       // of a Service's or container's port, "" when the name does not say
	Node      string       // where a pod runs
	Endpoints []Backend    // of a Service
}

// Backend is one endpoint of a Service's port.
type Backend struct {
	Addr  netip.AddrPort
	Pod   string // "namespace/name"; "" for an endpoint that is no pod
	Node  string
	Ready bool
}

// Want narrows what a name may mean.
type Want struct {
	Source bool   // the name is the sender's: it is no Service
	Proto  string // asked for; "" leaves it to the name
	Node   string // pods of a Deployment on this node are preferred: a probe can be sent from them
}

// NotFoundError says that a name means nothing that is known, with the names that are near.
type NotFoundError struct {
	Name Name
	Near []string
}

func (e *NotFoundError) Error() string {
	what := map[string]string{"pod": "pod", "svc": "Service", "deploy": "pod of Deployment", "sts": "pod of StatefulSet", "ds": "pod of DaemonSet", "node": "node", "addr": "pod with address", "any": "pod or Service"}[e.Name.Kind]
	s := fmt.Sprintf("no %s %s", what, e.Name.plain())
	if len(e.Near) > 0 {
		return s + "; did you mean " + strings.Join(e.Near, ", ") + "?"
	}
	return s + " is known: look at its name and namespace"
}

func (n *Name) plain() string {
	switch {
	case n.Kind == "addr":
		return n.Addr.String()
	case n.Namespace != "":
		return n.Namespace + "/" + n.Name
	}
	return n.Name
}

// Find resolves a name among the objects of the index. The error is a NotFoundError, or says what is ambiguous or wrong.
func (x *Index) Find(n Name, w Want) (Target, error) {
	switch n.Kind {
	case "node":
		if node := x.Node(n.Name); node != nil {
			return x.nodeTarget(n, node)
		}
	case "pod", "any":
		if p := x.Pod(n.Namespace, n.Name); p != nil && !(n.Kind == "any" && p.Over() && !w.Source && x.Service(n.Namespace, n.Name) != nil) {
			return podTarget(n, p, w)
		}
		if s := x.Service(n.Namespace, n.Name); n.Kind == "any" && s != nil {
			if w.Source {
				return Target{}, fmt.Errorf("%s/%s is a Service: a sender is a pod, a node or an address", n.Namespace, n.Name)
			}
			return x.serviceTarget(n, s, w)
		}
	case "addr":
		if p := x.Addr(n.Addr).Pod; p != nil {
			return podTarget(n, p, w)
		}
	case "svc":
		if w.Source {
			return Target{}, fmt.Errorf("%s is a Service: a sender is a pod, a node or an address", quoted(n.Text))
		}
		if s := x.Service(n.Namespace, n.Name); s != nil {
			return x.serviceTarget(n, s, w)
		}
	default:
		if p := x.podOf(n, w.Node); p != nil {
			return podTarget(n, p, w)
		}
	}
	return Target{}, &NotFoundError{n, x.near(n, w.Source)}
}

func (x *Index) nodeTarget(n Name, node *Node) (Target, error) {
	if len(node.Addrs) == 0 {
		return Target{}, fmt.Errorf("node %s has no address", node.Name)
	}
	t := Target{Ref: node.Ref(), Addrs: node.Addrs, Node: node.Name}
	if n.Port == "" {
		return t, nil
	}
	v, err := strconv.ParseUint(n.Port, 10, 16)
	if err != nil {
		return t, fmt.Errorf("%s: a node's ports have no names: use a number", quoted(n.Text))
	}
	t.Port = uint16(v)
	if h, ok := x.nodePorts.get(vip{port: t.Port, proto: 't'}); ok {
		t.Endpoints, t.Proto = x.Backends(&x.objs.Services[h.service], &x.objs.Services[h.service].Ports[h.port]), "tcp"
	}
	return t, nil
}

func podTarget(n Name, p *Pod, w Want) (Target, error) {
	if len(p.IPs) == 0 {
		state := p.Phase
		if state == "" {
			state = "of unknown phase"
		}
		return Target{}, fmt.Errorf("pod %s/%s has no address yet: it is %s; 'kubectl describe pod -n %s %s' says why", p.Namespace, p.Name, state, p.Namespace, p.Name)
	}
	if p.Over() {
		return Target{}, fmt.Errorf("pod %s/%s has ended: its address may be another pod's by now", p.Namespace, p.Name)
	}
	t := Target{Ref: p.Ref(), Addrs: p.IPs, Node: p.Node}
	if n.Port == "" {
		return t, nil
	}
	if v, err := strconv.ParseUint(n.Port, 10, 16); err == nil {
		t.Port = uint16(v)
		return t, nil
	}
	var names []string
	for _, c := range p.Ports {
		if c.Name == n.Port && (w.Proto == "" || c.Proto == w.Proto) {
			t.Port, t.Proto, t.Ref.Port = c.Port, c.Proto, c.Name
			return t, nil
		}
		if c.Name != "" {
			names = append(names, c.Name)
		}
	}
	return Target{}, noPort("pod "+p.Namespace+"/"+p.Name, n.Port, names)
}

func noPort(whose, port string, have []string) error {
	if len(have) == 0 {
		return fmt.Errorf("%s has no port %s; use a number", whose, quoted(port))
	}
	return fmt.Errorf("%s has no port %s: it has %s", whose, quoted(port), strings.Join(have[:min(len(have), 20)], ", "))
}

func (x *Index) serviceTarget(n Name, s *Service, w Want) (Target, error) {
	name := "Service " + s.Namespace + "/" + s.Name
	if s.Type == "ExternalName" {
		return Target{}, fmt.Errorf("%s is an ExternalName, another word for %s: name that instead", name, s.ExternalName)
	}
	p, err := choosePort(n, s, w, name)
	if err != nil {
		return Target{}, err
	}
	t := Target{Ref: s.Ref(p), Addrs: s.ClusterIPs}
	if p != nil {
		t.Port, t.Proto, t.Endpoints = p.Port, p.Proto, x.Backends(s, p)
	}
	if !s.Headless() {
		return t, nil
	}
	for _, e := range t.Endpoints { // the name of a headless Service stands for the pods
		if e.Ready || s.NotReady {
			t.Addrs, t.Port = append(t.Addrs, e.Addr.Addr()), e.Addr.Port()
		}
	}
	if p == nil {
		t.Addrs = x.readyAddrs(s)
	}
	if len(t.Addrs) == 0 {
		return Target{}, fmt.Errorf("%s is headless and has no ready endpoints: its name stands for no address", name)
	}
	return t, nil
}

// readyAddrs are the addresses of a headless Service's endpoints, whatever their ports: where none is asked for, as with ICMP.
func (x *Index) readyAddrs(s *Service) (out []netip.Addr) {
	for _, sl := range x.Slices(s) {
		for i := range sl.Endpoints {
			e := &sl.Endpoints[i]
			if !e.Usable() && !s.NotReady {
				continue
			}
			for _, a := range e.Addrs {
				if !slices.Contains(out, a) {
					out = append(out, a)
				}
			}
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// choosePort finds the port that a name means. Without one, a Service with a single port leaves no doubt.
func choosePort(n Name, s *Service, w Want, name string) (*ServicePort, error) {
	var fit []*ServicePort
	var have []string
	number, err := strconv.ParseUint(n.Port, 10, 16)
	for i := range s.Ports {
		p := &s.Ports[i]
		have = append(have, fmt.Sprintf("%s (%d/%s)", p.Label(), p.Port, p.Proto))
		if w.Proto != "" && p.Proto != w.Proto {
			continue
		}
		if n.Port == "" || p.Name == n.Port || err == nil && uint64(p.Port) == number {
			fit = append(fit, p)
		}
	}
	switch {
	case len(fit) == 1:
		return fit[0], nil
	case w.Proto == "icmp", n.Port == "" && len(s.Ports) == 0 && s.Headless():
		return nil, nil
	case len(fit) == 0 && n.Port != "":
		return nil, noPort(name, n.Port, have)
	case len(fit) == 0:
		return nil, fmt.Errorf("%s has no %s port", name, w.Proto)
	case n.Port != "": // one number for tcp and udp, as of DNS, whose customary protocol is udp
		for _, p := range fit {
			if number == 53 && p.Proto == "udp" {
				return p, nil
			}
		}
		return nil, fmt.Errorf("%s has port %s more than once: add --proto; it has %s", name, n.Port, strings.Join(have, ", "))
	}
	return nil, fmt.Errorf("%s has %d ports: name one of %s", name, len(fit), strings.Join(have[:min(len(have), 20)], ", "))
}

// Backends are the endpoints of a Service's port, ready ones first; nil when no EndpointSlice of the Service is known, which is not the same as
// none: a Service without endpoints has an empty slice.
func (x *Index) Backends(s *Service, p *ServicePort) []Backend {
	all := x.Slices(s)
	if len(all) == 0 {
		return nil
	}
	out := []Backend{}
	for _, sl := range all {
		for _, ep := range sl.Ports {
			if ep.Name != p.Name || ep.Proto != p.Proto {
				continue
			}
			for i := range sl.Endpoints {
				out = appendBackends(out, sl, &sl.Endpoints[i], ep.Port)
			}
		}
	}
	sort.SliceStable(out, func(i, k int) bool {
		if out[i].Ready != out[k].Ready {
			return out[i].Ready
		}
		return out[i].Addr.Compare(out[k].Addr) < 0
	})
	return out
}

// Endpoints are the addresses of a Service's port, whatever their state.
func (x *Index) Endpoints(s *Service, p *ServicePort) []netip.AddrPort {
	var out []netip.AddrPort
	for _, b := range x.Backends(s, p) {
		out = append(out, b.Addr)
	}
	return out
}

func appendBackends(out []Backend, sl *EndpointSlice, e *Endpoint, port uint16) []Backend {
	for _, a := range e.Addrs {
		b := Backend{Addr: netip.AddrPortFrom(a, port), Node: e.Node, Ready: e.Usable()}
		if e.Pod != "" {
			b.Pod = sl.Namespace + "/" + e.Pod
		}
		out = append(out, b)
	}
	return out
}

// podOf is a pod of a controller: a running one, on the wanted node if there is one. A Deployment owns its pods through ReplicaSets, whose
// names are its own with a hash behind.
func (x *Index) podOf(n Name, node string) *Pod {
	if x == nil {
		return nil
	}
	best, bestRank := (*Pod)(nil), 0
	for i := range x.objs.Pods {
		p := &x.objs.Pods[i]
		if p.Namespace != n.Namespace || !p.ownedBy(n.Kind, n.Name) || p.Over() || len(p.IPs) == 0 {
			continue
		}
		rank := 1
		if p.Ready {
			rank += 1
		}
		if node != "" && p.Node == node {
			rank += 2
		}
		if rank > bestRank || rank == bestRank && p.Name < best.Name {
			best, bestRank = p, rank
		}
	}
	return best
}

func (p *Pod) ownedBy(kind, name string) bool {
	if p.OwnerKind != ownerKinds[kind] {
		return false
	}
	if kind != "deploy" {
		return p.OwnerName == name
	}
	i := strings.LastIndexByte(p.OwnerName, '-')
	return i > 0 && p.OwnerName[:i] == name
}
