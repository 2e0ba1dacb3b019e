// SPDX-License-Identifier: Apache-2.0

// Package ruleset reads iptables rules as iptables-save prints them, the ipsets that they ask for as 'ipset save' does, nftables rules as 'nft -j'
// does, and the servers of IPVS as /proc or ipvsadm do; it finds the rule that dropped or translated a packet, and says whose rule it is. It is
// pure: text in, answer out. A match that it does not know makes an answer uncertain, never wrong: such a rule may or may not apply, and both
// ways are followed. Its answers are compared with the kernel's over random rules, sets and packets.
package ruleset
