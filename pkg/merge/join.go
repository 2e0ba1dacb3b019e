// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

// chain is one packet's whole way: its parts in the order in which it went.
type chain struct {
	parts []*part
	id    int
}

func (c *chain) head() *part { return c.parts[0] }
func (c *chain) tail() *part { return c.parts[len(c.parts)-1] }

// chains are all packets in the order of their first hops by the reference's clock.
func chains(ps []*part, cs *clocks) []*chain {
	var out []*chain
	for _, p := range ps {
		if p.prev != nil {
			continue
		}
		c := &chain{}
		for q := p; q != nil; q = q.next {
			c.parts = append(c.parts, q)
		}
		c.time(cs)
		out = append(out, c)
	}
	slices.SortStableFunc(out, func(a, b *chain) int {
		return cmp.Or(cmp.Compare(a.head().base, b.head().base), cmp.Compare(a.head().j.Direction, b.head().j.Direction),
			cmp.Compare(a.head().s.node(), b.head().s.node()), cmp.Compare(a.head().j.ID, b.head().j.ID))
	})
	return out
}

// time puts the parts on the reference's clock. A packet does not come before it left: where the clocks say so, they are wrong, and the part
// begins when the one before it ended.
func (c *chain) time(cs *clocks) {
	end := int64(0)
	for i, p := range c.parts {
		p.base = cs.at(p.s, p.arrives())
		p.approx = i > 0 && cs.how(p.s) != knownExact
		if i > 0 && p.base < end {
			p.base, p.approx = end, true
		}
		end = p.base
		if n := len(p.j.Hops); n > 0 {
			end = p.base + p.last().T
		}
	}
	if len(c.parts) > 1 && cs.how(c.head().s) != knownExact { // the first part is what is guessed, and all are told relative to it
		for _, p := range c.parts[1:] {
			p.approx = true
		}
	}
}

// journey is the whole way as one.
func (c *chain) journey() *journey.Journey {
	head, tail := c.head(), c.tail()
	out := *head.j // with its attempt: who saw the packet sent knows how often it was
	out.ID, out.At, out.End, out.EndWhy = c.id, time.Unix(0, head.base).UTC(), tail.j.End, tail.j.EndWhy
	out.Hops = make([]journey.Hop, 0, len(head.j.Hops)*len(c.parts))
	out.Complete, out.Lost = true, 0
	for i, p := range c.parts {
		if p.translated {
			out.Hops = append(out.Hops, unseenNAT(c.parts[i-1], p, p.base-head.base))
		}
		for k := range p.j.Hops {
			h := p.j.Hops[k]
			h.T += p.base - head.base
			h.Approx = h.Approx || p.approx
			numbered(&h, out.Hops)
			out.Hops = append(out.Hops, h)
		}
		out.Complete = out.Complete && p.j.Complete
		out.Lost += p.j.Lost
	}
	if out.Packet.SrcRef == nil {
		out.Packet.SrcRef = tail.j.Packet.SrcRef
	}
	return &out
}

// numbered gives the hop of a packet that leaves a tunnel the VNI of the hop before at which it was put in, where the receiver did not tell one: a
// nettrace that wrote down only what it saw put in says 0. Without either the sentence names none.
func numbered(h *journey.Hop, before []journey.Hop) {
	if h.Stage != journey.StageTunnel || h.Tunnel == nil || h.Tunnel.Op != "decap" || h.Tunnel.VNI != 0 {
		return
	}
	t := *h.Tunnel // the part's own stays as it was read
	for i := len(before) - 1; i >= 0; i-- {
		if in := before[i].Tunnel; in != nil {
			if in.Op == "encap" && in.Type == t.Type && farEnd(in) == farEnd(&t) {
				t.VNI = in.VNI
			}
			break // an earlier one was left again
		}
	}
	h.Tunnel, h.What = &t, t.TakenOut()
}

// farEnd is where a tunnel's packet goes. A translator between the nodes may change where it comes from; who packs it anew sends it from
// somewhere to somewhere else.
func farEnd(t *journey.Tunnel) netip.AddrPort {
	return netip.AddrPortFrom(t.Outer.Dst.Unmap(), t.Outer.Dport)
}

// unseenNAT is the hop for what changed between two nodes.
func unseenNAT(from, to *part, t int64) journey.Hop {
	before, after := from.j.TupleAt(len(from.j.Hops)-1), to.j.Packet.Tuple
	return journey.Hop{T: t, Approx: true, Stage: journey.StageNAT, Where: to.j.Hops[0].Where, Node: to.j.Hops[0].Node, NetNS: to.j.Hops[0].NetNS, Tuple: &after,
		What: fmt.Sprintf("translated between the nodes, where nothing was watched: %s became %s", tupleText(before), tupleText(after))}
}
