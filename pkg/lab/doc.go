// SPDX-License-Identifier: Apache-2.0

// Package lab is a two-node cluster in network namespaces on this machine, with failures to switch on.
//
// A fabric switch joins two nodes and an external host; each node has a CNI bridge, a flannel-style VXLAN device, pods, and the iptables
// rules that kube-proxy and flannel would write. Everything lives in namespaces whose names start with a prefix, so labs can run
// side by side and leave nothing behind. A failure case is one file in cases/.
package lab
