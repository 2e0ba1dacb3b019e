// SPDX-License-Identifier: Apache-2.0

// Package diagnose looks at what the way of a flow is made of before a packet is sent: nodes, tunnels, routes, rules, Services, DNS, listeners
// and policies, bottom-up in five layers.
//
// A static check is one file NAME.go that registers itself: a pure function of an Input, which is a snapshot of this kernel's namespaces, what
// Kubernetes has, and the answers to the few questions that were asked beforehand. What it finds is a hypothesis: rules may not be met, and a
// wrong entry may not be used. The traced packet confirms or refutes it; who runs both joins them. A check that cannot look says why, which is
// an answer too. The package imports names, state and rules only.
package diagnose
