// SPDX-License-Identifier: Apache-2.0

package ruletrace

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Registers: an address is loaded into the first of 16 bytes, the port of a concatenation into the 4 bytes or the 16 behind it.
const (
	regFirst  = unix.NFT_REG_1
	regPort4  = unix.NFT_REG32_01
	regPort6  = unix.NFT_REG_2
	protoVXLN = unix.IPPROTO_UDP
)

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

func load(base expr.PayloadBase, offset, length, register uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: base, Offset: offset, Len: length}
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

// legSets are the sets of one leg; src is nil for any sender, ports says that the set of destinations has them.
type legSets struct {
	src, dst *nftables.Set
	ports    bool
	sport    uint16
}

// match is a leg's condition in one direction.
func (h *headers) match(l *legSets, reply bool) []expr.Any {
	var out []expr.Any
	if l.src != nil {
		at, n := h.address(reply)
		out = append(out, load(h.network, at, n, regFirst), lookup(l.src))
	}
	sport, dport := h.ports, h.ports+2
	if reply {
		sport, dport = dport, sport
	}
	if l.sport != 0 {
		out = append(out, load(h.transport, sport, 2, regFirst), equals(port(l.sport)...))
	}
	at, n := h.address(!reply)
	out = append(out, load(h.network, at, n, regFirst))
	if l.ports {
		out = append(out, load(h.transport, dport, 2, portRegister(h.family)))
	}
	return append(out, lookup(l.dst))
}

func portRegister(family uint8) uint32 {
	if family == 6 {
		return regPort6
	}
	return regPort4
}

// protocol asks for the protocol of a packet that lies inside another; that of a plain one is asked through meta, which steps over IPv6
// extension headers.
func (h *headers) protocol(proto uint8) []expr.Any {
	if h.family == 6 {
		return []expr.Any{load(h.network, h.start+6, 1, regFirst), equals(proto)}
	}
	return []expr.Any{load(h.network, h.start, 1, regFirst), equals(0x45), load(h.network, h.start+9, 1, regFirst), equals(proto)}
}

// conntrackMatch is a leg's condition on the connection as it was begun, which holds in both directions and behind NAT.
func conntrackMatch(l *legSets, family uint8) []expr.Any {
	ct := func(key expr.CtKey, register uint32) expr.Any {
		return &expr.Ct{Key: key, Register: register, Direction: 0} // IP_CT_DIR_ORIGINAL
	}
	var out []expr.Any
	if l.src != nil {
		out = append(out, ct(expr.CtKeySRC, regFirst), lookup(l.src))
	}
	if l.sport != 0 {
		out = append(out, ct(expr.CtKeyPROTOSRC, regFirst), equals(port(l.sport)...))
	}
	out = append(out, ct(expr.CtKeyDST, regFirst))
	if l.ports {
		out = append(out, ct(expr.CtKeyPROTODST, portRegister(family)))
	}
	return append(out, lookup(l.dst))
}

// element is a destination as a set of addresses, or of addresses with ports, has it: each part is padded to 4 bytes.
func element(a netip.AddrPort, ports bool) nftables.SetElement {
	key := a.Addr().AsSlice()
	if ports {
		key = append(key, port(a.Port())...)
		key = append(key, 0, 0)
	}
	return nftables.SetElement{Key: key}
}
