// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"net/netip"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

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
