// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"slices"
	"strings"
)

// setMatch answers the condition i of a rule, which is --match-set NAME src,dst, with those that belong to it: they stand behind it, up to
// the next match. It is the answer without the condition's "!".
func setMatch(conds []condition, i int, p *Packet) answer {
	nomatch, a := false, yes
	for _, c := range conds[i+1:] {
		if c.option == "-m" || c.option == "--match" {
			break
		}
		switch c.option {
		case "--return-nomatch":
			nomatch = true
		case "--packets-eq", "--packets-lt", "--packets-gt", "--bytes-eq", "--bytes-lt", "--bytes-gt":
			a = maybe // counters go on after the snapshot
		}
	}
	found := p.Sets.member(conds[i].arg(0), strings.Split(conds[i].arg(1), ","), p, nomatch, false)
	if found == no {
		return no
	}
	return min(found, a)
}

// ofSetMatch are options that say no more about a packet than --match-set, which has answered for them.
func ofSetMatch(option string) bool {
	switch option {
	case "--return-nomatch", "--update-counters", "--update-subcounters", "--packets-eq", "--packets-lt", "--packets-gt", "--bytes-eq", "--bytes-lt", "--bytes-gt":
		return true
	}
	return false
}

// Contains says that a packet surely is in a set, looked up as --match-set NAME DIRECTIONS does. It works on nil.
func (s *IPSets) Contains(name, directions string, p *Packet) bool {
	return s.member(name, strings.Split(directions, ","), p, false, false) == yes
}

// member says whether a packet is in a set, looked up with its source or destination in each dimension. With nomatch, those elements count
// that are exceptions. What the kernel does with a set of more dimensions or of another family is in net/netfilter/ipset/ip_set_core.c,
// ip_set_test: it does not match.
func (s *IPSets) member(name string, dirs []string, p *Packet, nomatch, inList bool) answer {
	set := s.Set(name)
	if set == nil || set.Strange || !directions(dirs) || !p.Src.IsValid() || !p.Dst.IsValid() {
		return maybe
	}
	set.prepare()
	if len(set.dims) == 0 { // a recording can say anything
		return maybe
	}
	if len(dirs) < len(set.dims) || (set.Family == "inet" && p.Dst.Is6()) || (set.Family == "inet6" && !p.Dst.Is6()) {
		return no
	}
	if set.Type == "list:set" {
		if inList { // the kernel allows no list in a list
			return maybe
		}
		return s.list(set, dirs, p, nomatch)
	}
	return set.has(dirs, p, nomatch && slices.Contains(set.dims, dimNet))
}

func directions(dirs []string) bool {
	for _, d := range dirs {
		if d != "src" && d != "dst" {
			return false
		}
	}
	return len(dirs) <= 6 // libxt_set's bound
}

// list asks the sets of a list in their order (net/netfilter/ipset/ip_set_list_set.c, list_set_ktest).
func (s *IPSets) list(set *IPSet, dirs []string, p *Packet, nomatch bool) answer {
	a := no
	if set.Partial {
		a = maybe
	}
	for i := range set.lists {
		m := s.member(set.lists[i].set, dirs, p, nomatch, true)
		if set.lists[i].expires {
			m = min(m, maybe)
		}
		a = max(a, m)
	}
	return a
}

// has looks up what the packet has in the set's dimensions. The first element that is met decides; networks are asked for by length, the most
// specific first.
func (s *IPSet) has(dirs []string, p *Packet, nomatch bool) answer {
	miss := no
	if s.Partial {
		miss = maybe
	}
	var k key
	iface, at := "", 0
	sides := [maxAddresses]part{}
	for i, d := range s.dims {
		src := dirs[i] == "src"
		switch d {
		case dimIP, dimNet:
			a := p.Dst
			if src {
				a = p.Src
			}
			sides[at], _ = placeOf(a, a.BitLen())
			at++
		case dimPort:
			proto, port, known := s.port(p, src)
			if !known {
				return max(miss, maybe)
			}
			if proto == noPort {
				return no
			}
			k.proto, k.port = proto, port
		case dimIface:
			if iface = p.Out; src {
				iface = p.In
			}
			if iface == "" {
				return no
			}
		}
	}
	// A length that no packet's address has cannot match; an address that is no part of the type has no bits.
	for _, k.first.bits = range s.firstBits {
		k.first.addr = cut(sides[0], k.first.bits, p)
		for _, k.second.bits = range s.secondBits {
			k.second.addr = cut(sides[1], k.second.bits, p)
			if a := s.decide(k, iface, nomatch, miss); a != undecided {
				return a
			}
			// Elements of the same network for other devices only: the kernel does not look at wider networks then
			// (net/netfilter/ipset/ip_set_hash_gen.h, mtype_test_cidrs, "multi").
			if iface != "" && len(s.members[k]) > 0 {
				return miss
			}
		}
	}
	return miss
}

// noPort is the protocol of a packet that a set with ports never has; undecided is no answer.
const (
	noPort    uint8  = 255
	undecided answer = -1
)

// port is what a dimension of ports looks up (net/netfilter/ipset/ip_set_getport.c): hash types with the protocol, bitmap:port for TCP and UDP
// alike. Of ICMP it would be type and code.
func (s *IPSet) port(p *Packet, src bool) (proto uint8, port uint16, known bool) {
	if port = p.Dport; src {
		port = p.Sport
	}
	proto = protocols[p.Proto]
	switch {
	case proto == 0:
		return 0, 0, false
	case s.Type == "bitmap:port" && proto != 6 && proto != 17:
		return noPort, 0, true
	case s.Type == "bitmap:port":
		return 0, port, true
	case proto == 1 || proto == 58:
		return noPort, 0, !s.icmp
	}
	return proto, port, true
}

// cut is the network of so many bits in which an address is.
func cut(at part, bits uint8, p *Packet) [16]byte {
	a := p.Dst
	if at.bits == 0 || int(bits) > a.BitLen() {
		return [16]byte{}
	}
	keep := int(bits)
	if !a.Is6() {
		keep += 96
	}
	out := at.addr
	for i := range out {
		switch {
		case keep >= 8:
			keep -= 8
		case keep > 0:
			out[i] &= 0xff << (8 - keep)
			keep = 0
		default:
			out[i] = 0
		}
	}
	return out
}

// decide says what the elements at a key answer.
func (s *IPSet) decide(k key, iface string, nomatch bool, miss answer) answer {
	a := undecided
	for i := range s.members[k] {
		m := &s.members[k][i]
		switch {
		case m.iface == "" || m.iface == iface && !m.physdev, m.wildcard && strings.HasPrefix(iface, m.iface) && !m.physdev:
		case m.physdev: // asked for bridge ports only by who asks for those
			return maybe
		default:
			continue
		}
		here := is(m.nomatch == nomatch)
		switch {
		case m.expires, a != undecided && a != here: // which of two the kernel finds first is not known
			a = maybe
		case miss == maybe && slices.Contains(s.dims, dimNet): // what is missing may be more specific
			a = maybe
		default:
			a = here
		}
	}
	return a
}
