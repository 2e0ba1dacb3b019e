// SPDX-License-Identifier: Apache-2.0

package policy

import "net/netip"

// Port is one port that a container of a pod declares (core/v1 ContainerPort). Only its name ever matters to a policy.
type Port struct {
	Name string
	// Proto is "tcp", "udp" or "sctp"; empty is "tcp", as in the API.
	Proto string
	Port  uint16
}

// Pod is what policies look at in a pod.
type Pod struct {
	Namespace, Name string
	Labels          map[string]string
	HostNetwork     bool
	// Node is the name of the node the pod runs on.
	Node  string
	Ports []Port
}

// End is one end of a connection.
type End struct {
	// Pod is nil if the address is no pod's.
	Pod *Pod
	// NamespaceLabels are all labels of the pod's namespace, among them kubernetes.io/metadata.name, which nothing here adds. A label
	// left out is a label the namespace does not have.
	NamespaceLabels map[string]string
	Addr            netip.Addr
	// Node is set only when the address is a node's own, never to say where a pod with an address of its own runs.
	Node string
}

// Flow is the first packet of a connection. Replies are implied: a policy never judges them.
type Flow struct {
	Src, Dst End
	// Proto is "tcp", "udp", "sctp" or another name in lower case.
	Proto string
	// Port is the destination's.
	Port uint16
}

// Rule names one item of spec.ingress or spec.egress.
type Rule struct {
	Namespace, Policy string
	// Index counts from 0.
	Index int
}

// Side is the answer of one end: the egress of the source or the ingress of the destination.
type Side struct {
	// Isolated says that a policy selects the pod in this direction.
	Isolated bool
	Allowed  bool
	// Selecting are these policies as "namespace/name", sorted.
	Selecting []string
	// By is the rule that allows the connection: the first one, by name of the policy and then by index. It is nil when nothing had to.
	By *Rule
	// Why is one plain sentence.
	Why string
	// Node says that policies do not apply because the end is a node (or a pod in a node's network), or because the pod's own node sends.
	Node bool
}

// Decision is what all policies together make of a connection. It is allowed if both sides allow it.
type Decision struct {
	Allowed         bool
	Egress, Ingress Side
}
