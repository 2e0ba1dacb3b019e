// SPDX-License-Identifier: Apache-2.0

// Package ruletrace decodes what the kernel itself tells about the rules that a packet meets once its nftrace flag is set: trace events of
// nftables (iptables-nft included) and the TRACE records that iptables-legacy writes through nfnetlink_log. Decoding is a pure function of
// bytes; nothing here touches the node.
package ruletrace
