// SPDX-License-Identifier: Apache-2.0

// Package policy says what NetworkPolicies (networking.k8s.io/v1) make of a connection, by the specification and not by any CNI plugin's
// implementation. Policies add up: a pod that any policy selects for a direction is isolated in it, and then only what some rule of some such
// policy allows may pass. Both sides must allow: the sender's egress and the receiver's ingress. Answers of an allowed connection are allowed.
//
// Where the specification leaves room, the answer is that of its wording, and Why says so: addresses in ipBlocks are compared with the address
// that the connection has at the pod, although CNI plugins differ for addresses of pods and Services.
package policy
