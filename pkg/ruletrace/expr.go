// SPDX-License-Identifier: Apache-2.0

package ruletrace

import (
	"encoding/binary"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// regFirst is the register that everything is loaded into. Concatenations, which take two, are left alone: nft (1.0.6 at least) aborts when
// it lists some of them.
const regFirst = unix.NFT_REG_1

// headers say where a packet's own headers lie: in its network and transport header, or behind a tunnel's.
type headers struct {
	family    uint8
	network   expr.PayloadBase
	start     uint32 // of the IP header in its base
	transport expr.PayloadBase
	ports     uint32 // offset of the ports in their base
}

func plain(family uint8) headers {
	return headers{family: family, network: expr.PayloadBaseNetworkHeader, transport: expr.PayloadBaseTransportHeader}
}

// inside is a packet whose IP header begins at an offset of the outer packet's transport header. IPv4 options are not stepped over: the
// rules ask for a header without.
func inside(family uint8, at uint32) headers {
	return headers{family: family, network: expr.PayloadBaseTransportHeader, start: at, transport: expr.PayloadBaseTransportHeader,
		ports: at + map[uint8]uint32{4: 20, 6: 40}[family]}
}

// Offsets and lengths of addresses (RFC 791, RFC 8200).
func (h *headers) address(reply bool) (offset, length uint32) {
	offset, length = 12, 4
	if h.family == 6 {
		offset, length = 8, 16
	}
	if reply {
		offset += length
	}
	return h.start + offset, length
}

func load(base expr.PayloadBase, offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: regFirst, Base: base, Offset: offset, Len: length}
}

func equals(data ...byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: regFirst, Data: data}
}

func lookup(s *nftables.Set) expr.Any {
	return &expr.Lookup{SourceRegister: regFirst, SetName: s.Name, SetID: s.ID}
}

func l4proto(proto uint8) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: regFirst}, equals(proto)}
}

func port(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }

// mark sets the flag that makes the kernel tell of the rules behind.
func mark() []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: regFirst, Data: []byte{1}},
		&expr.Meta{Key: expr.MetaKeyNFTRACE, SourceRegister: true, Register: regFirst},
	}
}

// legSets are the sets of one leg; src is nil for any sender, port 0 stands for any.
type legSets struct {
	src, dst     *nftables.Set
	sport, dport uint16
}

// match is a leg's condition in one direction.
func (h *headers) match(l *legSets, reply bool) []expr.Any {
	var out []expr.Any
	if l.src != nil {
		at, n := h.address(reply)
		out = append(out, load(h.network, at, n), lookup(l.src))
	}
	sport, dport := h.ports, h.ports+2
	if reply {
		sport, dport = dport, sport
	}
	if l.sport != 0 {
		out = append(out, load(h.transport, sport, 2), equals(port(l.sport)...))
	}
	if l.dport != 0 {
		out = append(out, load(h.transport, dport, 2), equals(port(l.dport)...))
	}
	at, n := h.address(!reply)
	return append(out, load(h.network, at, n), lookup(l.dst))
}

// protocol asks for the protocol of a packet that lies inside another; that of a plain one is asked through meta, which steps over IPv6
// extension headers.
func (h *headers) protocol(proto uint8) []expr.Any {
	if h.family == 6 {
		return []expr.Any{load(h.network, h.start+6, 1), equals(proto)}
	}
	return []expr.Any{load(h.network, h.start, 1), equals(0x45), load(h.network, h.start+9, 1), equals(proto)}
}

// maxPairs bounds the rules that ask for connections, of which each pair of addresses has two: for its packets, and for ICMP errors.
const maxPairs = 64

// connections are a leg's conditions on the connection as it was begun, which hold in both directions and behind NAT: one for each pair of
// addresses, because nft (1.0.6 at least) aborts when it lists a lookup of a connection's address.
func (l *leg) connections() [][]expr.Any {
	ct := func(key expr.CtKey, data []byte) []expr.Any {
		return []expr.Any{&expr.Ct{Key: key, Register: regFirst, Direction: 0}, equals(data...)} // IP_CT_DIR_ORIGINAL
	}
	var out [][]expr.Any
	for _, dst := range l.dst {
		rule := ct(expr.CtKeyDST, dst.AsSlice())
		if l.sport != 0 {
			rule = append(rule, ct(expr.CtKeyPROTOSRC, port(l.sport))...)
		}
		if l.dport != 0 {
			rule = append(rule, ct(expr.CtKeyPROTODST, port(l.dport))...)
		}
		if l.any {
			out = append(out, rule)
		}
		for _, src := range l.src {
			out = append(out, append(slices.Clone(rule), ct(expr.CtKeySRC, src.AsSlice())...))
		}
	}
	return out
}
