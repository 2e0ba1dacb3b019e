// SPDX-License-Identifier: Apache-2.0

// Package kubeproxy computes and reads back the names of kube-proxy's per-Service chains, in iptables and in nftables mode.
//
// A name in iptables mode is a hash and says nothing: a Table, filled with the Service ports and endpoints that the API server knows, is
// its dictionary. A name in nftables mode describes itself and can be read without a Table (ParseNFT), also when its Service or endpoint
// is gone, which is what a stale rule looks like.
//
// A chain is a name that somebody with CAP_NET_ADMIN chose. Both ways of reading verify kube-proxy's hash and the alphabet of Kubernetes
// names, so a chain that merely looks like kube-proxy's, by accident or because it holds terminal escapes, is not taken for one. The hash
// has no key: it does not protect from somebody who computes it.
//
// Sources: pkg/proxy/iptables/proxier.go and pkg/proxy/nftables/proxier.go of Kubernetes (the same in 1.31 and 1.34).
package kubeproxy
