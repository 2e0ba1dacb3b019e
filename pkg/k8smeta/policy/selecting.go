// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Selecting names, sorted and as "namespace/name", the policies that select the pod in the direction t and so isolate it there
// (NetworkPolicySpec.podSelector and .policyTypes). A pod in the network of its host is selected by none.
func Selecting(policies []networkingv1.NetworkPolicy, p *Pod, t networkingv1.PolicyType) []string {
	if p == nil || p.HostNetwork {
		return nil
	}
	found, _ := selecting(policies, p, t)
	return names(found)
}

// selecting orders what it finds by name, so that the order in which an API server or a file lists policies changes no answer. broken says
// which policies might have selected the pod if their selector could be understood.
func selecting(policies []networkingv1.NetworkPolicy, pod *Pod, t networkingv1.PolicyType) (found []*networkingv1.NetworkPolicy, broken []string) {
	for i := range policies {
		p := &policies[i]
		if p.Namespace != pod.Namespace || !affects(&p.Spec, t) {
			continue
		}
		ok, valid := selects(&p.Spec.PodSelector, pod.Labels)
		if !valid {
			broken = append(broken, "policy "+name(p)+" has a malformed podSelector, which selects nothing")
		}
		if ok {
			found = append(found, p)
		}
	}
	slices.SortStableFunc(found, func(a, b *networkingv1.NetworkPolicy) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(broken)
	return found, broken
}

// affects applies the default that the API server writes into policies, because those from a file still lack it.
func affects(s *networkingv1.NetworkPolicySpec, t networkingv1.PolicyType) bool {
	if len(s.PolicyTypes) > 0 {
		return slices.Contains(s.PolicyTypes, t)
	}
	return t == networkingv1.PolicyTypeIngress || t == networkingv1.PolicyTypeEgress && len(s.Egress) > 0
}

// selects is false for a selector that is not valid.
func selects(s *metav1.LabelSelector, set map[string]string) (ok, valid bool) {
	sel, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return false, false
	}
	return sel.Matches(labels.Set(set)), true
}

// rule is an ingress or an egress rule: they differ only in what the API calls their peers.
type rule struct {
	peers []networkingv1.NetworkPolicyPeer
	ports []networkingv1.NetworkPolicyPort
}

func rulesOf(p *networkingv1.NetworkPolicy, t networkingv1.PolicyType) []rule {
	var rules []rule
	if t == networkingv1.PolicyTypeEgress {
		for _, r := range p.Spec.Egress {
			rules = append(rules, rule{r.To, r.Ports})
		}
		return rules
	}
	for _, r := range p.Spec.Ingress {
		rules = append(rules, rule{r.From, r.Ports})
	}
	return rules
}

func names(policies []*networkingv1.NetworkPolicy) []string {
	var all []string
	for _, p := range policies {
		all = append(all, name(p))
	}
	return slices.Compact(all)
}

func name(p *networkingv1.NetworkPolicy) string { return p.Namespace + "/" + p.Name }
