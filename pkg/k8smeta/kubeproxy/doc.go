// SPDX-License-Identifier: Apache-2.0

// Package kubeproxy knows the names of kube-proxy's chains, both ways. In iptables mode a name is a hash, which can be recognised only by
// computing the names of all Services; in nftables mode a name describes itself, with a hash in front. A name is believed only when its hash
// is right: anybody may make a chain.
package kubeproxy
