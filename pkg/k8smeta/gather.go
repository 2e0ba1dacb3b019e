// SPDX-License-Identifier: Apache-2.0

package k8smeta

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	networkingv1 "k8s.io/api/networking/v1"
)

// Question is what a flow needs to know of a cluster.
type Question struct {
	Src, Dst *Name        // nil when they are no Kubernetes names
	Addrs    []netip.Addr // ends that are addresses
	Nodes    []string     // whose pods are local here; at most two
}

// Gather asks an API server what a flow needs, with few requests: the named objects, a Service's slices, the pods of this node, the nodes
// on the way, and the policies of the namespaces. The requests that do not wait for one another run side by side. What was not found is
// missing in the answer, and a name that was not found brings its namespace's names, for near matches.
func Gather(ctx context.Context, a *API, q Question) Objects {
	g := &gathering{ctx: ctx, a: a, left: 2}
	for _, n := range q.Nodes[:min(len(q.Nodes), 2)] {
		g.ask(func() (Objects, bool) { return a.PodsOn(ctx, n) })
		g.ask(func() (Objects, bool) { return a.Node(ctx, n) })
	}
	g.named(q.Src, true)
	g.named(q.Dst, false)
	for _, ip := range q.Addrs {
		g.ends = append(g.ends, g.ask(func() (Objects, bool) { return g.at(ip) }))
	}
	all := g.wait()
	g.left = maxRequests - a.Requests()
	for _, end := range g.ends {
		g.spaces(end)
	}
	all = all.Merge(g.wait())
	g.behind(all, q.Nodes)
	return all.Merge(g.wait())
}

// gathering runs requests and keeps their answers in the order in which they were asked.
type gathering struct {
	ctx   context.Context
	a     *API
	wg    sync.WaitGroup
	parts []*Objects
	// namespaces are those of the ends
	namespaces []string
	// ends are the answers about addresses, which say in which namespaces the ends are
	ends []*Objects
	// left is in how many namespaces policies may still be asked for: an address can be several Services'
	left int
}

func (g *gathering) ask(f func() (Objects, bool)) *Objects {
	part := &Objects{}
	g.parts = append(g.parts, part)
	g.wg.Go(func() { *part, _ = f() })
	return part
}

func (g *gathering) wait() Objects {
	g.wg.Wait()
	var all Objects
	for _, p := range g.parts {
		all = all.Merge(*p)
	}
	g.parts = nil
	return all
}

// named asks for what a name means.
func (g *gathering) named(n *Name, source bool) {
	if n == nil {
		return
	}
	a, ctx := g.a, g.ctx
	part := g.ask(func() (Objects, bool) {
		switch n.Kind {
		case "node":
			return a.Node(ctx, n.Name)
		case "addr":
			return a.PodsAt(ctx, n.Addr)
		case "svc":
			return g.service(n)
		case "pod", "any":
			if o, ok := a.Pod(ctx, n.Namespace, n.Name); ok {
				return o, true
			}
			if n.Kind == "any" && !source {
				return g.service(n)
			}
		}
		return a.PodsIn(ctx, n.Namespace) // pods of a controller, or near matches
	})
	if n.Kind == "addr" {
		g.ends = append(g.ends, part)
	}
	g.policies(n.Namespace)
}

// spaces asks for the policies of the namespaces of who has an address. Policies are not for pods that share their node's network.
func (g *gathering) spaces(end *Objects) {
	for i := range end.Pods {
		if p := &end.Pods[i]; !p.HostNetwork && !p.Over() {
			g.policies(p.Namespace)
		}
	}
	for i := range end.Services { // its endpoints are there too
		g.policies(end.Services[i].Namespace)
	}
}

// policies asks for those of a namespace, once, and notes where they could not be read.
func (g *gathering) policies(namespace string) {
	if namespace == "" || slices.Contains(g.namespaces, namespace) {
		return
	}
	g.namespaces = append(g.namespaces, namespace)
	g.left--
	room := g.left >= 0
	g.ask(func() (Objects, bool) {
		var o Objects
		ok := false
		if room {
			o, ok = g.a.Policies(g.ctx, namespace)
		}
		if !ok {
			o.PoliciesUnread = []string{namespace}
		}
		return o, ok
	})
}

// selectsNamespaces reports whether a policy needs to know namespaces' labels.
func (o *Objects) selectsNamespaces() bool {
	for i := range o.Policies {
		s := &o.Policies[i].Spec
		for k := range s.Ingress {
			if slices.ContainsFunc(s.Ingress[k].From, byNamespace) {
				return true
			}
		}
		for k := range s.Egress {
			if slices.ContainsFunc(s.Egress[k].To, byNamespace) {
				return true
			}
		}
	}
	return false
}

func byNamespace(p networkingv1.NetworkPolicyPeer) bool { return p.NamespaceSelector != nil }

// service asks for a Service and its slices, or else for what its namespace has.
func (g *gathering) service(n *Name) (Objects, bool) {
	o, ok := g.a.Service(g.ctx, n.Namespace, n.Name)
	if !ok {
		o, _ = g.a.ServicesIn(g.ctx, n.Namespace)
		if n.Kind == "any" {
			p, _ := g.a.PodsIn(g.ctx, n.Namespace)
			o = o.Merge(p)
		}
		return o, false
	}
	s, _ := g.a.Slices(g.ctx, n.Namespace, n.Name)
	return o.Merge(s), true
}

// at asks who has an address.
func (g *gathering) at(ip netip.Addr) (Objects, bool) {
	if o, ok := g.a.PodsAt(g.ctx, ip); ok && len(o.Pods) > 0 {
		return o, true
	}
	o, ok := g.a.ServicesAt(g.ctx, ip)
	for _, s := range o.Services {
		sl, _ := g.a.Slices(g.ctx, s.Namespace, s.Name)
		o = o.Merge(sl)
	}
	return o, ok
}

// maxRequests is what a flow may ask at its start.
const maxRequests = 10

// behind asks for what the first answers point to, as far as the number of requests allows: the namespaces' labels when a policy selects by
// them, and at most two nodes that are not known, the sender's and an endpoint's.
func (g *gathering) behind(o Objects, known []string) {
	left := maxRequests - g.a.Requests()
	if o.selectsNamespaces() {
		for _, ns := range g.namespaces {
			if left--; left >= 0 {
				g.ask(func() (Objects, bool) { return g.a.NamespaceOf(g.ctx, ns) })
			}
		}
	}
	seen := map[string]bool{"": true}
	for _, n := range known {
		seen[n] = true
	}
	asked := 0
	want := func(node string) {
		if !seen[node] && asked < min(2, left) {
			seen[node] = true
			asked++
			g.ask(func() (Objects, bool) { return g.a.Node(g.ctx, node) })
		}
	}
	for _, sl := range o.Slices {
		for _, e := range sl.Endpoints {
			want(e.Node)
		}
	}
	for _, p := range o.Pods {
		want(p.Node)
	}
}

// GatherAddrs asks who has addresses that a trace came across.
func GatherAddrs(ctx context.Context, a *API, ips []netip.Addr) Objects {
	g := &gathering{ctx: ctx, a: a}
	for _, ip := range ips {
		g.ask(func() (Objects, bool) { return g.at(ip) })
	}
	return g.wait()
}

// Merge adds objects; of two with one name the later one stays, in the place of the first.
func (o Objects) Merge(more Objects) Objects {
	return Objects{
		PoliciesUnread: union(o.PoliciesUnread, more.PoliciesUnread),

		Pods:       mergeBy(o.Pods, more.Pods, func(p *Pod) key { return key{p.Namespace, p.Name + "/" + p.UID} }),
		Services:   mergeBy(o.Services, more.Services, func(s *Service) key { return key{s.Namespace, s.Name} }),
		Slices:     mergeBy(o.Slices, more.Slices, func(s *EndpointSlice) key { return key{s.Namespace, s.Name} }),
		Nodes:      mergeBy(o.Nodes, more.Nodes, func(n *Node) key { return key{"", n.Name} }),
		Namespaces: mergeBy(o.Namespaces, more.Namespaces, func(n *Namespace) key { return key{"", n.Name} }),
		Policies:   mergeBy(o.Policies, more.Policies, func(p *Policy) key { return key{p.Namespace, p.Name} }),
	}
}

func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

func mergeBy[T any](a, b []T, of func(*T) key) []T {
	if len(b) == 0 {
		return a
	}
	at := make(map[key]int, len(a)+len(b))
	out := make([]T, 0, len(a)+len(b))
	for _, list := range [][]T{a, b} {
		for i := range list {
			k := of(&list[i])
			if have, ok := at[k]; ok {
				out[have] = list[i]
				continue
			}
			at[k] = len(out)
			out = append(out, list[i])
		}
	}
	return out
}

// Empty reports that nothing is known.
func (o *Objects) Empty() bool {
	return len(o.Pods) == 0 && len(o.Services) == 0 && len(o.Slices) == 0 && len(o.Nodes) == 0 && len(o.Namespaces) == 0 && len(o.Policies) == 0
}
