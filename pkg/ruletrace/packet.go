// SPDX-License-Identifier: Apache-2.0

package ruletrace

import (
	"encoding/binary"
	"net/netip"
)

// Packet is what the start of a packet tells. What is not there is zero.
type Packet struct {
	Src   netip.Addr `json:"src,omitzero"`
	Dst   netip.Addr `json:"dst,omitzero"`
	Proto uint8      `json:"proto,omitempty"`
	Sport uint16     `json:"sport,omitempty"` // TCP, UDP, SCTP
	Dport uint16     `json:"dport,omitempty"`
	IPID  uint16     `json:"ipid,omitempty"` // IPv4
	Seq   uint32     `json:"seq,omitempty"`  // TCP
}

// decodePacket reads a network header, and a transport header that is given apart or follows it. IPv6 extension headers are not walked.
func decodePacket(network, transport []byte) Packet {
	var p Packet
	if len(network) < 1 {
		return p
	}
	size := 0
	switch network[0] >> 4 {
	case 4:
		if size = int(network[0]&15) * 4; size < 20 || len(network) < 20 {
			return p
		}
		p.Src, p.Dst = netip.AddrFrom4([4]byte(network[12:])), netip.AddrFrom4([4]byte(network[16:]))
		p.Proto, p.IPID = network[9], binary.BigEndian.Uint16(network[4:])
		if binary.BigEndian.Uint16(network[6:])&0x1fff != 0 { // a later fragment has no ports
			return p
		}
	case 6:
		if size = 40; len(network) < size {
			return p
		}
		p.Src, p.Dst, p.Proto = netip.AddrFrom16([16]byte(network[8:])), netip.AddrFrom16([16]byte(network[24:])), network[6]
	default:
		return p
	}
	if transport == nil && len(network) > size {
		transport = network[size:]
	}
	if (p.Proto == 6 || p.Proto == 17 || p.Proto == 132) && len(transport) >= 4 {
		p.Sport, p.Dport = binary.BigEndian.Uint16(transport), binary.BigEndian.Uint16(transport[2:])
	}
	if p.Proto == 6 && len(transport) >= 8 {
		p.Seq = binary.BigEndian.Uint32(transport[4:])
	}
	return p
}
