// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"net/netip"
	"sort"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Policy is a NetworkPolicy.
type Policy struct {
	Namespace, Name string
	Spec            networkingv1.NetworkPolicySpec
}

// Port is a port that a container declares; Proto is tcp, udp or sctp.
type Port struct {
	Name, Proto string
	Port        uint16
}

// Pod is a pod as policies see it.
type Pod struct {
	Namespace, Name string
	Node            string
	Labels          map[string]string
	HostNetwork     bool
	Ports           []Port
}

// End is one end of a connection. Pod is nil for an address of no pod; Node is set when the address is a node's own.
type End struct {
	Pod             *Pod
	NamespaceLabels map[string]string
	Addr            netip.Addr
	Node            string
}

// String is "shop/client", or the address.
func (e *End) String() string {
	switch {
	case e.Pod != nil:
		return e.Pod.Namespace + "/" + e.Pod.Name
	case e.Node != "":
		return "node " + e.Node
	}
	return e.Addr.String()
}

// Flow is a connection as its first packet makes it: after DNAT, so that Dst is a Service's endpoint and Port the endpoint's.
type Flow struct {
	Src, Dst End
	Proto    string // tcp, udp, sctp
	Port     uint16 // at Dst
}

// Rule is one rule of a policy; Index counts from 0 in its list of ingress or egress rules.
type Rule struct {
	Namespace, Policy string
	Index             int
}

// Side is what the policies of one pod say.
type Side struct {
	Isolated  bool     // some policy selects the pod in this direction
	Allowed   bool     // the connection may pass
	Selecting []string // those policies, "namespace/name", sorted
	By        *Rule    // the rule that allows it; nil when none has to
	Why       string   // one sentence
}

// Decision is what both ends' policies say.
type Decision struct {
	Allowed         bool
	Egress, Ingress Side
}

// Evaluate decides a connection. Policies of all namespaces may be given; each counts in its own.
func Evaluate(all []Policy, f Flow) Decision {
	d := Decision{Egress: evaluate(all, &f, networkingv1.PolicyTypeEgress), Ingress: evaluate(all, &f, networkingv1.PolicyTypeIngress)}
	d.Allowed = d.Egress.Allowed && d.Ingress.Allowed
	return d
}

// Selecting lists the policies that select a pod for a direction, sorted.
func Selecting(all []Policy, p *Pod, t networkingv1.PolicyType) []string {
	var out []string
	for i := range all {
		if all[i].selects(p, t) {
			out = append(out, all[i].Namespace+"/"+all[i].Name)
		}
	}
	sort.Strings(out)
	return out
}

// selects: a policy of the pod's namespace whose podSelector matches and whose types have the direction. A hostNetwork pod is the node to the
// pod network: policies do not select it.
func (p *Policy) selects(pod *Pod, t networkingv1.PolicyType) bool {
	return pod != nil && !pod.HostNetwork && p.Namespace == pod.Namespace && p.has(t) && matches(&p.Spec.PodSelector, pod.Labels)
}

// has: without policyTypes a policy is for ingress, and for egress when it has egress rules.
func (p *Policy) has(t networkingv1.PolicyType) bool {
	if len(p.Spec.PolicyTypes) == 0 {
		return t == networkingv1.PolicyTypeIngress || len(p.Spec.Egress) > 0
	}
	for _, have := range p.Spec.PolicyTypes {
		if have == t {
			return true
		}
	}
	return false
}

func evaluate(all []Policy, f *Flow, t networkingv1.PolicyType) Side {
	own, other, verb := &f.Src, &f.Dst, "to"
	if t == networkingv1.PolicyTypeIngress {
		own, other, verb = &f.Dst, &f.Src, "from"
	}
	direction := strings.ToLower(string(t))
	if s, ok := exempt(own, other, t); ok {
		return s
	}
	s := Side{Selecting: Selecting(all, own.Pod, t)}
	s.Isolated = len(s.Selecting) > 0
	if !s.Isolated {
		s.Allowed, s.Why = true, fmt.Sprintf("no policy selects %s for %s", own, direction)
		return s
	}
	var odd []string
	for i := range all {
		p := &all[i]
		if !p.selects(own.Pod, t) {
			continue
		}
		n, strange := p.allows(f, other, t)
		odd = append(odd, strange...)
		if n >= 0 {
			s.Allowed, s.By = true, &Rule{p.Namespace, p.Name, n}
			s.Why = fmt.Sprintf("rule %d of policy %s/%s allows %s/%d %s %s", n+1, p.Namespace, p.Name, f.Proto, f.Port, verb, other)
			return s
		}
	}
	s.Why = fmt.Sprintf("%s %s for %s, and no rule allows %s/%d %s %s", selectedBy(s.Selecting), own, direction, f.Proto, f.Port, verb, other)
	if len(odd) > 0 {
		s.Why += "; " + strings.Join(odd, "; ")
	}
	return s
}

func selectedBy(names []string) string {
	if len(names) == 1 {
		return "policy " + names[0] + " selects"
	}
	return "policies " + strings.Join(names, ", ") + " select"
}

// exempt is what policies do not decide: what is no pod, hostNetwork pods, a pod talking to itself, and a pod's own node, whose kubelet must
// reach it.
func exempt(own, other *End, t networkingv1.PolicyType) (Side, bool) {
	allow := func(why string) (Side, bool) { return Side{Allowed: true, Why: why}, true }
	switch {
	case own.Pod == nil:
		return allow(fmt.Sprintf("%s is no pod: policies do not apply to it", own))
	case own.Pod.HostNetwork:
		return allow(fmt.Sprintf("%s uses its node's network: policies do not apply to it", own))
	case other.Pod != nil && other.Pod.Namespace == own.Pod.Namespace && other.Pod.Name == own.Pod.Name:
		return allow("a pod may always talk to itself")
	case t == networkingv1.PolicyTypeIngress && own.Pod.Node != "" && nodeOf(other) == own.Pod.Node:
		return allow(fmt.Sprintf("traffic from the pod's own node %s is always allowed", own.Pod.Node))
	}
	return Side{}, false
}

// nodeOf is the node whose address an end has.
func nodeOf(e *End) string {
	if e.Pod != nil && e.Pod.HostNetwork {
		return e.Pod.Node
	}
	if e.Pod == nil {
		return e.Node
	}
	return ""
}

// allows returns the rule that allows the connection, -1 when none does, and what in the policy cannot be understood.
func (p *Policy) allows(f *Flow, other *End, t networkingv1.PolicyType) (int, []string) {
	var odd []string
	if t == networkingv1.PolicyTypeIngress {
		for i := range p.Spec.Ingress {
			r := &p.Spec.Ingress[i]
			ok, strange := p.peers(r.From, other)
			odd = append(odd, strange...)
			if ok && ports(r.Ports, f) {
				return i, nil
			}
		}
		return -1, odd
	}
	for i := range p.Spec.Egress {
		r := &p.Spec.Egress[i]
		ok, strange := p.peers(r.To, other)
		odd = append(odd, strange...)
		if ok && ports(r.Ports, f) {
			return i, nil
		}
	}
	return -1, odd
}

// peers: an empty or missing list is everybody.
func (p *Policy) peers(list []networkingv1.NetworkPolicyPeer, e *End) (bool, []string) {
	if len(list) == 0 {
		return true, nil
	}
	var odd []string
	for i := range list {
		ok, err := p.peer(&list[i], e)
		if err != nil {
			odd = append(odd, fmt.Sprintf("policy %s/%s: %v", p.Namespace, p.Name, err))
		}
		if ok {
			return true, nil
		}
	}
	return false, odd
}

// peer: an ipBlock, or a podSelector in the policy's own namespace or in those that a namespaceSelector matches. Selectors match pods only,
// and no hostNetwork pods, which cannot be told from their node.
func (p *Policy) peer(peer *networkingv1.NetworkPolicyPeer, e *End) (bool, error) {
	if peer.IPBlock != nil {
		return inBlock(peer.IPBlock, e.Addr)
	}
	if e.Pod == nil || e.Pod.HostNetwork || peer.PodSelector == nil && peer.NamespaceSelector == nil {
		return false, nil
	}
	for _, s := range []*metav1.LabelSelector{peer.NamespaceSelector, peer.PodSelector} {
		if _, err := metav1.LabelSelectorAsSelector(s); err != nil {
			return false, fmt.Errorf("a selector cannot be understood: %w", err)
		}
	}
	if peer.NamespaceSelector == nil {
		return e.Pod.Namespace == p.Namespace && matches(peer.PodSelector, e.Pod.Labels), nil
	}
	return matches(peer.NamespaceSelector, e.NamespaceLabels) && (peer.PodSelector == nil || matches(peer.PodSelector, e.Pod.Labels)), nil
}

// matches: an empty selector matches everything, one that cannot be understood nothing.
func matches(s *metav1.LabelSelector, have map[string]string) bool {
	sel, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && sel.Matches(labels.Set(have))
}

func inBlock(b *networkingv1.IPBlock, a netip.Addr) (bool, error) {
	in, err := netip.ParsePrefix(b.CIDR)
	if err != nil {
		return false, fmt.Errorf("ipBlock %q is no CIDR", b.CIDR)
	}
	if !in.Masked().Contains(a.Unmap()) {
		return false, nil
	}
	for _, e := range b.Except {
		out, err := netip.ParsePrefix(e)
		if err != nil {
			return false, fmt.Errorf("except %q of ipBlock %s is no CIDR", e, b.CIDR)
		}
		if out.Masked().Contains(a.Unmap()) {
			return false, nil
		}
	}
	return true, nil
}

// ports: an empty or missing list is every port of every protocol.
func ports(list []networkingv1.NetworkPolicyPort, f *Flow) bool {
	if len(list) == 0 {
		return true
	}
	for i := range list {
		if port(&list[i], f) {
			return true
		}
	}
	return false
}

// port compares protocol (TCP when none is given) and number, range or name. A name is that of a port which a container of the receiving pod
// declares.
func port(p *networkingv1.NetworkPolicyPort, f *Flow) bool {
	proto := "tcp"
	if p.Protocol != nil {
		proto = strings.ToLower(string(*p.Protocol))
	}
	switch {
	case proto != f.Proto:
		return false
	case p.Port == nil:
		return true
	case p.Port.StrVal != "":
		return named(f.Dst.Pod, p.Port.StrVal, proto, f.Port)
	}
	first, last := p.Port.IntVal, p.Port.IntVal
	if p.EndPort != nil {
		last = *p.EndPort
	}
	return int32(f.Port) >= first && int32(f.Port) <= last
}

func named(pod *Pod, name, proto string, number uint16) bool {
	if pod == nil {
		return false // a name says nothing about an address of no pod
	}
	for _, c := range pod.Ports {
		if c.Name == name && c.Proto == proto && c.Port == number {
			return true
		}
	}
	return false
}
