// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// dimension is what one part of a set's type is looked up with.
type dimension string

const (
	dimIP    dimension = "ip"
	dimNet   dimension = "net"
	dimPort  dimension = "port"
	dimIface dimension = "iface"
	dimSet   dimension = "set"
)

const (
	maxDimensions = 3 // IPSET_DIM_MAX, include/uapi/linux/netfilter/ipset/ip_set.h
	maxAddresses  = 2 // of an element; no type of the kernel has more
)

// dimensions are those of a type such as "hash:ip,port"; nil for one that is not understood.
func dimensions(kind string) []dimension {
	method, list, _ := strings.Cut(kind, ":")
	var out []dimension
	for d := range strings.SplitSeq(list, ",") {
		out = append(out, dimension(d))
	}
	if len(out) > maxDimensions {
		return nil
	}
	switch {
	case kind == "list:set", kind == "bitmap:ip", kind == "bitmap:port":
		return out
	case method != "hash" || out[0] == dimPort || out[0] == dimIface || slices.Contains(out, dimSet):
		return nil
	}
	addresses := 0
	for i, d := range out {
		if d != dimIP && d != dimNet && d != dimPort && (d != dimIface || i != 1) {
			return nil
		}
		if d == dimIP || d == dimNet {
			addresses++
		}
	}
	if addresses > maxAddresses {
		return nil
	}
	return out
}

// part is where an address, a port or a device is in an element.
type part struct {
	addr [16]byte
	bits uint8 // of the address that count, in the family's own number; the family is the set's
}

// key is an element without its device.
type key struct {
	first, second part
	port          uint16
	proto         uint8
}

// member is an element taken apart.
type member struct {
	key
	iface                      string
	nomatch, wildcard, physdev bool
	expires                    bool // it has a timeout, and may be gone by now
	set                        string
}

// index finds elements by what a packet has; it is made when the set is asked first.
type index struct {
	dims    []dimension
	members map[key][]member
	// firstBits and secondBits are the lengths of the networks that the elements have, longest first.
	firstBits, secondBits []uint8
	icmp                  bool // an element is for ICMP, of which types are not known
	lists                 []member
}

func (s *IPSet) prepare() {
	s.once.Do(func() {
		s.dims = dimensions(s.Type)
		s.members = make(map[key][]member, len(s.Elements))
		for _, text := range s.Elements {
			m, ok := parseMember(s, text)
			if !ok { // a snapshot from elsewhere
				s.Partial = true
				continue
			}
			if m.set != "" {
				s.lists = append(s.lists, m)
				continue
			}
			s.icmp = s.icmp || m.proto == 1 || m.proto == 58
			s.firstBits, s.secondBits = withBits(s.firstBits, m.first.bits), withBits(s.secondBits, m.second.bits)
			s.members[m.key] = append(s.members[m.key], m)
		}
	})
}

// withBits inserts a length, longest first: the kernel asks for the most specific network first (net/netfilter/ipset/ip_set_hash_gen.h,
// mtype_test_cidrs).
func withBits(list []uint8, bits uint8) []uint8 {
	i, found := slices.BinarySearchFunc(list, bits, func(a, b uint8) int { return int(b) - int(a) })
	if found {
		return list
	}
	return slices.Insert(list, i, bits)
}

// protocols are those of which packets are known (ipset(8) prints their names).
var protocols = map[string]uint8{"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "ipv6-icmp": 58, "sctp": 132, "udplite": 136}

// parseMember takes an element apart as its set's type says.
func parseMember(s *IPSet, text string) (member, bool) {
	var m member
	what, options, _ := strings.Cut(text, " ")
	// a comment may hold any words; it is printed last
	options, _, _ = strings.Cut(" "+options, " comment ")
	for w := range strings.FieldsSeq(options) {
		switch w {
		case "nomatch":
			m.nomatch = true
		case "wildcard":
			m.wildcard = true
		case "timeout":
			m.expires = true
		}
	}
	dims := dimensions(s.Type)
	parts := strings.SplitN(what, ",", max(len(dims), 1))
	if len(parts) != len(dims) {
		return m, false
	}
	addresses := 0
	for i, d := range dims {
		ok := true
		switch d {
		case dimIP, dimNet:
			at := &m.first
			if addresses++; addresses > 1 {
				at = &m.second
			}
			*at, ok = parsePlace(s, parts[i], d)
		case dimPort:
			m.proto, m.port, ok = parsePort(s, parts[i])
		case dimIface:
			m.iface, m.physdev = strings.CutPrefix(parts[i], "physdev:")
			ok = m.iface != ""
		case dimSet:
			m.set = parts[i]
			ok = m.set != ""
		}
		if !ok {
			return m, false
		}
	}
	return m, true
}

func parsePlace(s *IPSet, text string, d dimension) (part, bool) {
	if a, bits, ok := strings.Cut(text, "/"); ok {
		n, err := strconv.ParseUint(bits, 10, 8)
		addr, err2 := netip.ParseAddr(a)
		// of a set with a netmask the first address of each network is meant, with or without its length
		if err != nil || err2 != nil || (d == dimIP && int(n) != s.Bits) {
			return part{}, false
		}
		return placeOf(addr, int(n))
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return part{}, false
	}
	bits := addr.BitLen()
	if d == dimIP && s.Bits != 0 {
		bits = s.Bits
	}
	return placeOf(addr, bits)
}

func placeOf(a netip.Addr, bits int) (part, bool) {
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return part{}, false
	}
	return part{addr: p.Addr().As16(), bits: uint8(bits)}, true
}

// parsePort reads "tcp:80" and, for bitmap:port, which knows no protocols, "80". Of ICMP the type and code are left out: packets are known
// without them.
func parsePort(s *IPSet, text string) (proto uint8, port uint16, ok bool) {
	name, number, has := strings.Cut(text, ":")
	if !has {
		n, err := strconv.ParseUint(text, 10, 16)
		return 0, uint16(n), err == nil && s.Type == "bitmap:port"
	}
	proto = protocols[name]
	if proto == 1 || proto == 58 {
		return proto, 0, true
	}
	n, err := strconv.ParseUint(number, 10, 16)
	return proto, uint16(n), err == nil
}
