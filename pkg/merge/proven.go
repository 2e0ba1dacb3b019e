// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

const (
	// repeated is how many packets that a node cannot have missed make a loss that is no accident: what is lost once, TCP sends again.
	repeated = 2
	// smallMTU is a length in bytes that every network between nodes lets through: packets up to it are not lost for their size.
	smallMTU = 576
)

// lostBeside is what was lost beside packets that were answered, where it is more than networks lose and TCP makes good: large packets do not
// come through, or a connection does not.
func lostBeside(e *evidence) *verdict.Verdict {
	all := e.losses()
	if len(all) == 0 {
		return nil
	}
	s := newSigns(e)
	for _, l := range all {
		if large := s.tooLarge(l); large != nil {
			return large.verdict()
		}
		if silent := s.unanswered(l); silent != nil {
			return silent.verdict()
		}
	}
	return nil
}

// tooLarge is what of a loss is larger than all that arrives; nil when that is too little to tell.
func (s *signs) tooLarge(l *loss) *loss {
	if len(l.arrived) == 0 {
		return nil
	}
	most := max(largest(l.arrived), smallMTU)
	return l.only(func(p *part) bool { return p.print(true).len > most && !s.covered(p, l.to) })
}

// unanswered is what of a loss is of connections of which nothing arrives, although it was sent repeatedly; nil when there are none.
func (s *signs) unanswered(l *loss) *loss {
	sure := map[journey.Tuple]int{}
	for _, p := range l.sure {
		sure[p.print(true).tuple]++
	}
	out := l.only(func(p *part) bool {
		t := p.print(true).tuple
		return sure[t] >= repeated && !s.arrives(l, t) && !s.goesOn(p)
	})
	if out != nil {
		out.connections = true
	}
	return out
}

// only is what of a loss some packets are; nil when too few of them are sure.
func (l *loss) only(these func(*part) bool) *loss {
	out := *l
	others := func(p *part) bool { return !these(p) }
	out.sure = slices.DeleteFunc(slices.Clone(l.sure), others)
	if len(out.sure) < repeated {
		return nil
	}
	out.gone = slices.DeleteFunc(slices.Clone(l.gone), others)
	return &out
}

// signs are what other packets say of one that was not seen to arrive.
type signs struct {
	seen     *sights
	came     map[onNode]bool          // connections of which something arrived
	pieces   map[datagram]bool        // arrived
	heard    map[echo]bool            // connections whose other direction was heard
	shortest map[journey.Tuple]uint32 // packet of a connection
}

type onNode struct {
	to    *stream
	tuple journey.Tuple
}

// datagram is what its fragments have in common.
type datagram struct {
	onNode
	proto string
	ipid  uint16
}

// echo is a packet by which those of the other direction are known to come through.
type echo struct {
	other journey.Direction
	tuple journey.Tuple
}

func newSigns(e *evidence) *signs {
	s := &signs{e.seen, map[onNode]bool{}, map[datagram]bool{}, map[echo]bool{}, map[journey.Tuple]uint32{}}
	for _, c := range e.chains {
		s.hear(c)
		for _, p := range c.parts {
			if len(p.j.Hops) > 0 {
				s.note(p)
			}
		}
	}
	return s
}

func (s *signs) note(p *part) {
	came, left := p.print(false), p.print(true)
	if p.entered() {
		on := onNode{p.s, came.tuple}
		s.came[on] = true
		s.pieces[datagram{on, came.proto, came.ipid}] = true
	}
	if f := order(came.flags); came.proto != "tcp" || f == "SYN" || f == "RST" {
		return // these have other options than packets with data
	}
	for _, t := range []journey.Tuple{bothWays(came.tuple), bothWays(left.tuple)} {
		if n := s.shortest[t]; n == 0 || came.len < n {
			s.shortest[t] = came.len
		}
	}
}

// hear notes a reply, or a request that acknowledges one.
func (s *signs) hear(c *chain) {
	head, tail := c.head().j, c.tail().j
	other := journey.Request
	if head.Direction == journey.Request {
		other = journey.Reply
	}
	says := head.Direction == journey.Reply || head.Direction == journey.Request && slices.Contains(strings.Split(head.Packet.Flags, ","), "ACK")
	if !says || tail.End != journey.Delivered {
		return
	}
	for _, t := range []journey.Tuple{head.Packet.Tuple, tail.TupleAt(len(tail.Hops) - 1)} {
		s.heard[echo{other, t}] = true
	}
}

// goesOn reports whether the other direction of a packet's connection was heard: it came through by a way that was not watched.
func (s *signs) goesOn(p *part) bool {
	first := p
	for first.prev != nil {
		first = first.prev
	}
	return s.heard[echo{p.j.Direction, reversed(first.j.Packet.Tuple)}] || s.heard[echo{p.j.Direction, reversed(p.j.TupleAt(len(p.j.Hops) - 1))}]
}

// arrives reports whether anything of a connection came where a loss is missed, translated on the way or not.
func (s *signs) arrives(l *loss, t journey.Tuple) bool {
	return s.came[onNode{l.to, t}] || slices.ContainsFunc(l.arrived, func(p *part) bool { return p.print(true).tuple == t })
}

// covered reports whether a packet's first byte came to a node in another one, of whatever length: what the sender gives to its device in one
// piece (TSO) is several on the wire, and each of these can have been sent again.
func (s *signs) covered(p *part, to *stream) bool {
	f := p.print(true)
	if f.proto != "tcp" {
		return f.ipid != 0 && s.pieces[datagram{onNode{to, f.tuple}, f.proto, f.ipid}]
	}
	head := s.headers(f.tuple)
	for _, block := range []uint32{f.seq >> 16, (f.seq - 1<<16) >> 16} {
		for _, g := range s.seen.came[cameKey{to, f.tuple, block}] {
			if g.len > head && f.seq-g.seq < g.len-head {
				return true
			}
		}
	}
	return false
}

// headers is the length of a connection's headers: its shortest packet has no data. Where each has some, timestamps are taken for the only option.
func (s *signs) headers(t journey.Tuple) uint32 {
	usual := uint32(52)
	if t.Dst.Is6() {
		usual = 72
	}
	if n := s.shortest[bothWays(t)]; n > 0 {
		return min(n, usual)
	}
	return usual
}

// bothWays is the same for a connection's packets in either direction.
func bothWays(t journey.Tuple) journey.Tuple {
	if netip.AddrPortFrom(t.Dst, t.Dport).Compare(netip.AddrPortFrom(t.Src, t.Sport)) < 0 {
		return reversed(t)
	}
	return t
}

func reversed(t journey.Tuple) journey.Tuple {
	return journey.Tuple{Src: t.Dst, Sport: t.Dport, Dst: t.Src, Dport: t.Sport}
}
