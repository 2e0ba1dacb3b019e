// SPDX-License-Identifier: Apache-2.0

// Package policy says what Kubernetes NetworkPolicies, read by the letter of their specification, make of one connection. It imports no
// other package of nettrace, asks no cluster and keeps nothing between two calls: the same arguments give the same Decision, word for word.
//
// The specification is the networking.k8s.io/v1 API reference and the page "Network Policies" of kubernetes.io; endPort comes from KEP-2079
// and the label kubernetes.io/metadata.name from KEP-2161. In short:
//
//   - A pod is isolated in a direction as soon as one policy of its own namespace selects it there. A connection between two pods needs
//     both the egress of its source and the ingress of its destination; an end that is no pod never refuses.
//   - Policies only add up: an isolated pod may do what any rule of any policy that selects it allows. Neither order nor denial exists.
//   - A list "from", "to" or "ports" that is empty restricts nothing, just as one that is absent. A policy without rules allows nothing.
//   - A pod always reaches itself, and a node always reaches the pods that run on it. The API reference names only this direction: a pod
//     needs an egress rule for its own node. (The page "Network Policies" speaks of both directions; many network plugins exempt both.)
//   - A pod in the network of its host is a piece of the node: no policy selects it, no pod or namespace selector finds it, and it has no
//     named ports. Only an ipBlock, or an empty list of peers, covers it. The specification leaves this open; most plugins do it so.
//   - An ipBlock is compared with the address of the end, be it a pod's or not. Network plugins differ for the addresses of pods: some
//     (Cilium by default) never let an ipBlock match a pod. They differ as well in whether they see the address before or after NAT: the
//     caller gives the address, and the destination behind a Service, that the plugin judges by.
//   - Protocols without ports (ICMP) are outside the specification. Here a rule without ports covers them and a rule with ports does not.
//
// What the API server would have refused (a policy may come from a file) never matches: a malformed cidr or selector, an except that cannot
// be read, a peer that names nothing or too much, a port out of range, an endPort below its port or beside a name. Side.Why then says so
// where it mattered. The same holds for an address with leading zeros, which old API servers accepted and plugins read differently.
package policy
