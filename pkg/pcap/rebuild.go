// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"encoding/binary"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

// rebuilt are the packets of journeys that ended in a drop before any device: only their headers are known, and only as far as a journey
// tells them. Checksums are 0. A packet whose protocol cannot be rebuilt gets its IP header.
func rebuilt(journeys []journey.Journey, last map[int]int) (packets []Packet, notes [][]string) {
	for i := range journeys {
		j := &journeys[i]
		h := j.DropHop()
		if _, captured := last[i]; h < 0 || captured {
			continue
		}
		data := headers(&j.Packet)
		packets = append(packets, Packet{Time: j.Start + uint64(j.Hops[h].T), Side: Egress, NetNS: j.Hops[h].NetNS, Data: data, Len: max(int(j.Packet.Len), len(data))})
		notes = append(notes, []string{dropComment(j), "never captured at a device: these are its headers as the trace read them"})
	}
	return packets, notes
}

var protocols = map[string]byte{"icmp": 1, "tcp": 6, "udp": 17, "sctp": 132}

// headers builds the IP and transport header of a packet.
func headers(p *journey.Packet) []byte {
	proto := protocols[p.Proto]
	v6 := p.Src.Is6() && !p.Src.Is4In6()
	if v6 && proto == 1 {
		proto = 58
	}
	l4 := transport(p, proto, v6)
	if v6 {
		b := make([]byte, 40, 40+len(l4))
		b[0] = 6 << 4
		binary.BigEndian.PutUint16(b[4:], uint16(max(int(p.Len)-40, len(l4))))
		b[6], b[7] = proto, 64
		copy(b[8:], p.Src.AsSlice())
		copy(b[24:], p.Dst.AsSlice())
		return append(b, l4...)
	}
	b := make([]byte, 20, 20+len(l4))
	b[0] = 4<<4 | 5
	binary.BigEndian.PutUint16(b[2:], uint16(max(int(p.Len), 20+len(l4))))
	binary.BigEndian.PutUint16(b[4:], p.IPID)
	b[8], b[9] = 64, proto
	copy(b[12:16], p.Src.Unmap().AsSlice())
	copy(b[16:20], p.Dst.Unmap().AsSlice())
	return append(b, l4...)
}

func transport(p *journey.Packet, proto byte, v6 bool) []byte {
	var b []byte
	switch proto {
	case 6:
		b = make([]byte, 20)
		binary.BigEndian.PutUint32(b[4:], p.Seq)
		b[12], b[13] = 5<<4, tcpFlags(p.Flags)
	case 17:
		b = make([]byte, 8)
		ip := 20
		if v6 {
			ip = 40
		}
		binary.BigEndian.PutUint16(b[4:], uint16(min(max(int(p.Len)-ip, 8), 65535)))
	case 132:
		b = make([]byte, 12)
	default:
		return nil
	}
	binary.BigEndian.PutUint16(b, p.Sport)
	binary.BigEndian.PutUint16(b[2:], p.Dport)
	return b
}

// tcpFlags reads the contract's form, "SYN,ACK".
func tcpFlags(s string) byte {
	var b byte
	for _, f := range strings.Split(s, ",") {
		for i, name := range []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG"} {
			if f == name {
				b |= 1 << i
			}
		}
	}
	return b
}
