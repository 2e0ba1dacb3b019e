// SPDX-License-Identifier: Apache-2.0

package policy

import networkingv1 "k8s.io/api/networking/v1"

// Evaluate judges the connection by all policies of the cluster, or at least by those of the namespaces of its two ends (NetworkPolicySpec in
// the networking.k8s.io/v1 API reference).
func Evaluate(policies []networkingv1.NetworkPolicy, f Flow) Decision {
	d := Decision{
		Egress:  (&direction{flow: &f, kind: networkingv1.PolicyTypeEgress, own: &f.Src, peer: &f.Dst}).side(policies),
		Ingress: (&direction{flow: &f, kind: networkingv1.PolicyTypeIngress, own: &f.Dst, peer: &f.Src}).side(policies),
	}
	d.Allowed = d.Egress.Allowed && d.Ingress.Allowed
	return d
}

// direction is a flow as seen by one of its ends.
type direction struct {
	flow      *Flow
	kind      networkingv1.PolicyType
	own, peer *End
}

func (d *direction) side(policies []networkingv1.NetworkPolicy) Side {
	if d.own.Pod == nil || d.own.Pod.HostNetwork {
		return d.unselectable()
	}
	found, broken := selecting(policies, d.own.Pod, d.kind)
	s := Side{Isolated: len(found) > 0, Allowed: true, Selecting: names(found)}
	if d.toItself() {
		s.Why = "a pod always reaches itself, and " + podName(d.own.Pod) + " is both ends"
		return s
	}
	if node := d.ownNode(); node != "" {
		s.Node, s.Why = true, "node "+node+" sends, and a node always reaches the pods that run on it"
		return s
	}
	if !s.Isolated {
		s.Why = d.whyOpen(broken)
		return s
	}
	s.By, broken = d.allowing(found, broken)
	if s.By != nil {
		s.Why = d.whyAllowed(s.By)
		return s
	}
	s.Allowed, s.Why = false, d.whyDenied(s.Selecting, broken)
	return s
}

// unselectable is the side of an end that no policy can select.
func (d *direction) unselectable() Side {
	s := Side{Allowed: true, Node: d.own.Pod != nil || d.own.Node != ""}
	switch {
	case d.own.Pod != nil:
		s.Why = "pod " + podName(d.own.Pod) + " is in the network of its node, where no policy selects it"
	case d.own.Node != "":
		s.Why = endName(d.own) + " is no pod, and policies select pods only"
	default:
		s.Why = endName(d.own) + " is no pod of this cluster, and policies select pods only"
	}
	return s
}

// toItself compares names and not pointers, since a caller may well have looked up both ends separately.
func (d *direction) toItself() bool {
	own, peer := d.own.Pod, d.peer.Pod
	if own == nil || peer == nil {
		return false
	}
	return own == peer || own.Name != "" && own.Name == peer.Name && own.Namespace == peer.Namespace
}

// ownNode is the node that sends to a pod that runs on it, or "". It looks at the address before the pod: what a pod sends through the
// node's address (masquerading) reaches the destination as the node's.
func (d *direction) ownNode() string {
	if d.kind != networkingv1.PolicyTypeIngress {
		return ""
	}
	node := d.peer.Node
	if node == "" && d.peer.Pod != nil && d.peer.Pod.HostNetwork {
		node = d.peer.Pod.Node
	}
	if node != d.own.Pod.Node {
		return ""
	}
	return node
}

// allowing is the first rule that matches. Without one it adds to broken what kept a rule from being understood.
func (d *direction) allowing(found []*networkingv1.NetworkPolicy, broken []string) (*Rule, []string) {
	for _, p := range found {
		for i, r := range rulesOf(p, d.kind) {
			ok, faults := d.matches(p, r)
			if ok {
				return &Rule{Namespace: p.Namespace, Policy: p.Name, Index: i}, nil
			}
			for _, f := range faults {
				broken = append(broken, d.ruleName(p, i)+" "+f)
			}
		}
	}
	return nil, broken
}

// matches needs both a peer and a port. Faults are given only if the rule might have matched without them, lest they distract.
func (d *direction) matches(p *networkingv1.NetworkPolicy, r rule) (bool, []string) {
	peer, peerFaults := d.anyPeer(p.Namespace, r.peers)
	port, portFaults := d.anyPort(r.ports)
	if peer && port {
		return true, nil
	}
	if !peer && len(peerFaults) == 0 || !port && len(portFaults) == 0 {
		return false, nil
	}
	if peer {
		return false, portFaults
	}
	if port {
		return false, peerFaults
	}
	return false, append(peerFaults, portFaults...)
}
