// SPDX-License-Identifier: Apache-2.0

// Package netstate reads what the network of this kernel looks like, namespace by namespace: links, addresses, routes, neighbours,
// forwarding entries, sysctls, counters, listening sockets, iptables and nftables rules, ipsets and the servers of IPVS. It changes nothing.
// What cannot be read is said in the snapshot and never an error of the whole; what is read is bounded.
package netstate
