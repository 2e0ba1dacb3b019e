// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"net/netip"
	"sort"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
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
