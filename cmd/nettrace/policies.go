// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/k8smeta/policy"
)

// policies says what the NetworkPolicies make of a connection, in one sentence; "" when those of an end's namespace, the pods, or the labels of
// namespaces that they select by, are not known.
func (l *labeller) policies(proto string, src, dst netip.Addr, port uint16) (sentence string, allowed bool) {
	if l.index == nil || len(l.objs.Policies) == 0 {
		return "", false
	}
	f := policy.Flow{Src: l.policyEnd(src), Dst: l.policyEnd(dst), Proto: proto, Port: port}
	if f.Src.Pod == nil && f.Dst.Pod == nil || !l.knownEnd(&f.Src) || !l.knownEnd(&f.Dst) {
		return "", false
	}
	all := make([]networkingv1.NetworkPolicy, 0, len(l.objs.Policies))
	for _, p := range l.objs.Policies {
		all = append(all, networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}, Spec: p.Spec})
	}
	d := policy.Evaluate(all, f)
	switch {
	case !d.Egress.Allowed:
		return d.Egress.Why, false
	case !d.Ingress.Allowed:
		return d.Ingress.Why, false
	case d.Ingress.Isolated:
		return d.Ingress.Why, true
	}
	return d.Egress.Why, true
}

// knownEnd reports whether enough is known of an end: an address of the pod network is a pod, whose labels decide.
func (l *labeller) knownEnd(e *policy.End) bool {
	if e.Pod == nil {
		return e.Node != "" || !l.index.InPodNetwork(e.Addr)
	}
	if l.index.PoliciesUnread(e.Pod.Namespace) {
		return false
	}
	return l.index.Namespace(e.Pod.Namespace) != nil || !l.index.NeedsNamespaces()
}

// policyEnd is an end of a connection as policies see it.
func (l *labeller) policyEnd(a netip.Addr) policy.End {
	e := policy.End{Addr: a}
	h := l.index.Addr(a)
	if h.Pod == nil {
		if h.Node != nil {
			e.Node = h.Node.Name
		} else {
			e.Node = l.hosts[a]
		}
		return e
	}
	e.Pod = policyPod(h.Pod)
	if ns := l.index.Namespace(h.Pod.Namespace); ns != nil {
		e.NamespaceLabels = ns.Labels
	} else { // the API server gives every namespace the label of its name
		e.NamespaceLabels = map[string]string{"kubernetes.io/metadata.name": h.Pod.Namespace}
	}
	return e
}

func policyPod(p *k8smeta.Pod) *policy.Pod {
	out := &policy.Pod{Namespace: p.Namespace, Name: p.Name, Node: p.Node, Labels: p.Labels, HostNetwork: p.HostNetwork}
	for _, c := range p.Ports {
		out.Ports = append(out.Ports, policy.Port{Name: c.Name, Proto: c.Proto, Port: c.Port})
	}
	return out
}
