// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"cmp"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

// part is a packet's way on one node.
type part struct {
	s          *stream
	j          *journey.Journey
	next, prev *part
	// translated says that the packet has other addresses on arrival than it had when it left, and nobody who was watched changed them.
	translated bool
	// base is the time of the first hop by the reference's clock, in ns; approx says that it is no better than a guess.
	base   int64
	approx bool
}

func (p *part) last() *journey.Hop { return &p.j.Hops[len(p.j.Hops)-1] }

// leaves is when it left by its own node's clock, and arrives when it came.
func (p *part) leaves() int64  { return p.j.At.UnixNano() + p.last().T }
func (p *part) arrives() int64 { return p.j.At.UnixNano() }

// departed reports whether the packet went out of its node, and entered whether it began where nodes receive.
func (p *part) departed() bool { return p.j.End == journey.LeftNode && len(p.j.Hops) > 0 }
func (p *part) entered() bool {
	return len(p.j.Hops) > 0 && p.j.Hops[0].Stage == journey.StageDeviceRx
}

// node is where the part ends.
func (p *part) node() string {
	if len(p.j.Hops) > 0 {
		if n := p.last().Node; n != "" {
			return n
		}
	}
	return p.s.node()
}

// print is what is the same of one packet on both sides of a wire.
type print struct {
	proto     string
	tuple     journey.Tuple
	direction journey.Direction
	flags     string
	icmp      string
	ipid      uint16
	seq       uint32
	len       uint32
}

func (p *part) print(leaving bool) print {
	k := &p.j.Packet
	f := print{proto: k.Proto, tuple: k.Tuple, direction: p.j.Direction, flags: k.Flags, icmp: k.ICMP, ipid: k.IPID, seq: k.Seq, len: k.Len}
	if leaving {
		f.tuple = p.j.TupleAt(len(p.j.Hops) - 1)
		if l := p.last().Len; l != 0 {
			f.len = l
		}
	}
	f.tuple.Src, f.tuple.Dst = f.tuple.Src.Unmap(), f.tuple.Dst.Unmap()
	return f
}

// The ways to recognise a packet, from the surest on. Segmentation and its undoing (GSO, GRO) change IP id, length and flags of TCP, never
// the sequence number of the first byte; a translator that was not watched changes addresses and ports, never the rest.
var passes = []struct {
	applies    func(print) bool
	key        func(print) print
	translated bool
}{
	{func(print) bool { return true }, func(f print) print { return f }, false},
	{func(f print) bool { return f.proto == "tcp" }, func(f print) print {
		return print{proto: f.proto, tuple: f.tuple, direction: f.direction, seq: f.seq, flags: order(f.flags)}
	}, false},
	{func(f print) bool { return f.proto == "tcp" && f.ipid != 0 && f.seq != 0 }, func(f print) print {
		return print{proto: f.proto, direction: f.direction, flags: f.flags, ipid: f.ipid, seq: f.seq, len: f.len}
	}, true},
}

// order keeps the flags that take a sequence number, and whether the packet is a reset.
func order(flags string) string {
	out := ""
	for _, f := range []string{"SYN", "FIN", "RST"} {
		if slices.Contains(strings.Split(flags, ","), f) {
			out += f
		}
	}
	return out
}

// parts are all journeys of all streams, in the order of streams and of first sight.
func parts(all []*stream) []*part {
	var out []*part
	for _, s := range all {
		js := slices.Clone(s.journeys)
		slices.SortStableFunc(js, func(a, b *journey.Journey) int { return cmp.Compare(a.ID, b.ID) })
		for _, j := range js {
			out = append(out, &part{s: s, j: j, base: j.At.UnixNano()})
		}
	}
	return out
}

// link finds for what left one node where it came to another. Packets that are alone with their print come first: they compare the clocks,
// by which the others are told apart.
func link(ps []*part, all []*stream) *clocks {
	cs := newClocks(all)
	for i := range passes {
		groups, keys := group(ps, i)
		for _, k := range keys {
			if g := groups[k]; len(g.left) == 1 && len(g.came) == 1 {
				pair(g.left[0], g.came[0], passes[i].translated)
			}
		}
		cs.compare(ps)
		if passes[i].translated {
			continue // one of several would be a guess
		}
		for _, k := range keys {
			if g := groups[k]; len(g.left) > 1 || len(g.came) > 1 {
				g.match(cs)
			}
		}
		cs.compare(ps)
	}
	return cs
}

// crowd are the packets with one print.
type crowd struct{ left, came []*part }

// group collects what is not paired yet, in a fixed order.
func group(ps []*part, pass int) (map[print]*crowd, []print) {
	groups := map[print]*crowd{}
	var keys []print
	at := func(p *part, leaving bool) *crowd {
		f := p.print(leaving)
		if !passes[pass].applies(f) {
			return &crowd{}
		}
		k := passes[pass].key(f)
		if groups[k] == nil {
			groups[k] = &crowd{}
			keys = append(keys, k)
		}
		return groups[k]
	}
	for _, p := range ps {
		if p.departed() && p.next == nil {
			g := at(p, true)
			g.left = append(g.left, p)
		}
		if p.entered() && p.prev == nil {
			g := at(p, false)
			g.came = append(g.came, p)
		}
	}
	return groups, keys
}

// pair joins two parts unless they are of one stream or would make a circle.
func pair(a, b *part, translated bool) bool {
	if a.s == b.s || a.next != nil || b.prev != nil {
		return false
	}
	for p := a; p != nil; p = p.prev {
		if p == b {
			return false
		}
	}
	a.next, b.prev, b.translated = b, a, translated
	return true
}
