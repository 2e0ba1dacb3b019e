// SPDX-License-Identifier: Apache-2.0

// Package ruletrace has the kernel tell which rules the packets of a flow meet. A Session adds a table of its own to network namespaces
// (table.go, expr.go, tunnel.go), which sets the packets' nftrace flag, and takes in what the kernel then tells (socket.go): trace events of
// nftables, iptables-nft included, and the TRACE records that iptables-legacy writes through nfnetlink_log (nflog.go). It is the only part of
// nettrace that changes a node. Tables go with the socket that made them; loggers are put back, after a kill by a guardian.
//
// Decoding (decode.go, packet.go) is a pure function of bytes, which are untrusted.
package ruletrace
