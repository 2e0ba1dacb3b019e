// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"strconv"

	networkingv1 "k8s.io/api/networking/v1"
)

// anyPeer says whether one of the peers is the other end. A fault is a peer that cannot be understood.
func (d *direction) anyPeer(namespace string, peers []networkingv1.NetworkPolicyPeer) (bool, []string) {
	if len(peers) == 0 {
		return true, nil
	}
	var faults []string
	for i := range peers {
		ok, fault := d.isPeer(namespace, &peers[i])
		if ok {
			return true, nil
		}
		if fault != "" {
			faults = append(faults, fault)
		}
	}
	return false, faults
}

func (d *direction) isPeer(namespace string, p *networkingv1.NetworkPolicyPeer) (ok bool, fault string) {
	selector := p.PodSelector != nil || p.NamespaceSelector != nil
	if p.IPBlock != nil && selector {
		return false, "has a peer with both an ipBlock and a selector, which never matches"
	}
	if p.IPBlock != nil {
		return inBlock(p.IPBlock, d.peer.Addr)
	}
	if !selector {
		return false, "has a peer that names nothing, which never matches"
	}
	pod := d.peer.Pod
	if pod == nil || pod.HostNetwork {
		return false, ""
	}
	if p.NamespaceSelector == nil && pod.Namespace != namespace {
		return false, ""
	}
	if p.NamespaceSelector != nil {
		ok, valid := selects(p.NamespaceSelector, d.peer.NamespaceLabels)
		if !valid {
			return false, "has a malformed namespaceSelector, which never matches"
		}
		if !ok {
			return false, ""
		}
	}
	if p.PodSelector == nil {
		return true, ""
	}
	ok, valid := selects(p.PodSelector, pod.Labels)
	if !valid {
		return false, "has a malformed podSelector among its peers, which never matches"
	}
	return ok, ""
}

// inBlock lets the whole block fail when an except that might cover the address cannot be read: to allow what someone meant to leave out
// is the worse mistake.
func inBlock(b *networkingv1.IPBlock, a netip.Addr) (ok bool, fault string) {
	a = a.Unmap().WithZone("")
	in, valid := cidr(b.CIDR)
	if !valid {
		return false, "has a malformed cidr " + strconv.Quote(b.CIDR) + ", which never matches"
	}
	if !in.Contains(a) {
		return false, ""
	}
	for _, e := range b.Except {
		out, valid := cidr(e)
		if !valid {
			fault = "has a malformed except " + strconv.Quote(e) + ", so that its ipBlock never matches"
		}
		if valid && out.Contains(a) {
			return false, ""
		}
	}
	return fault == "", fault
}

// cidr accepts bits behind the mask, as the API does, and turns IPv4 written as IPv6 into IPv4, as addresses are.
func cidr(s string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96), true
	}
	return p, true
}
