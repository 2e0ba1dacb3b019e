// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"fmt"
	"net/netip"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

// loss is what left one node and never came to the node that it was sent to.
type loss struct {
	from, to *stream
	// elsewhere is set when the packets were sent to this address, which no watched node has, although `to` has their destination.
	elsewhere netip.Addr
	direction journey.Direction
	gone      []*part // in the order of the chains: by the reference's clock, then by id
	// arrived are the packets of the same direction that came from one to the other.
	arrived []*part
	// connections says that the packets are all that was sent of theirs.
	connections bool
	// sure are those of gone that the receiver cannot have missed; why says what makes the others unsure.
	sure []*part
	why  string
}

// losses are by sender, receiver and direction, in the order of the packets.
func losses(cs []*chain, seen *sights, all []*stream, k *clocks, live bool) []*loss {
	var out []*loss
	for _, c := range cs {
		p := c.tail()
		if !p.departed() || p.j.Direction == journey.Related {
			continue
		}
		to, elsewhere := receiver(p, all)
		if to == nil || seen.made(c) || seen.together(p, to) {
			continue
		}
		l := find(out, p, to, elsewhere)
		if l == nil {
			l = &loss{from: p.s, to: to, elsewhere: elsewhere, direction: p.j.Direction}
			out = append(out, l)
		}
		l.gone = append(l.gone, p)
		if why := missed(p, to, k, live); why == "" {
			l.sure = append(l.sure, p)
		} else if l.why == "" {
			l.why = why
		}
	}
	for _, l := range out {
		for _, c := range cs {
			for _, p := range c.parts {
				if p.s == l.from && p.next != nil && p.next.s == l.to && p.j.Direction == l.direction {
					l.arrived = append(l.arrived, p)
				}
			}
		}
	}
	return out
}

func find(all []*loss, p *part, to *stream, elsewhere netip.Addr) *loss {
	for _, l := range all {
		if l.from == p.s && l.to == to && l.direction == p.j.Direction && l.elsewhere == elsewhere {
			return l
		}
	}
	return nil
}

// receiver is the stream of the node that a packet was sent to: by the tunnel's destination, the next hop, or the packet's own destination. A
// packet that is sent to an address of nobody who is watched, for a pod of somebody who is, went elsewhere.
func receiver(p *part, all []*stream) (to *stream, elsewhere netip.Addr) {
	owner := func(a netip.Addr) *stream {
		for _, s := range all {
			if s != p.s && s.owns(a.Unmap()) {
				return s
			}
		}
		return nil
	}
	dst := p.j.TupleAt(len(p.j.Hops) - 1).Dst
	hop := nextHop(p)
	if hop.IsValid() {
		if s := owner(hop); s != nil {
			return s, netip.Addr{}
		}
		if p.last().Outer != nil { // a router on the way is nobody's, the far end of a tunnel is
			return owner(dst), hop
		}
	}
	return owner(dst), netip.Addr{}
}

// nextHop is the far end of the tunnel, else the gateway of the last route.
func nextHop(p *part) netip.Addr {
	if o := p.last().Outer; o != nil {
		return o.Dst
	}
	for i := len(p.j.Hops) - 1; i >= 0; i-- {
		if r := p.j.Hops[i].Route; r != nil && r.Gateway.IsValid() {
			return r.Gateway
		}
	}
	return netip.Addr{}
}

// sights finds packets by what of them may have arrived: a stream of thousands of segments is looked through once.
type sights struct {
	data map[dataKey][]*chain
	came map[cameKey][]print
}

// dataKey is where a packet's data begins, and cameKey the 64 KiB of it in which a larger packet began on a node.
type dataKey struct {
	proto string
	tuple journey.Tuple
	seq   uint32
}

type cameKey struct {
	to    *stream
	tuple journey.Tuple
	block uint32
}

func newSights(cs []*chain) *sights {
	s := &sights{map[dataKey][]*chain{}, map[cameKey][]print{}}
	for _, c := range cs {
		p := &c.head().j.Packet
		if p.Proto != "tcp" {
			continue
		}
		k := dataKey{p.Proto, p.Tuple, p.Seq}
		s.data[k] = append(s.data[k], c)
		for _, q := range c.parts {
			if q.entered() {
				g := q.print(false)
				b := cameKey{q.s, g.tuple, g.seq >> 16}
				s.came[b] = append(s.came[b], g)
			}
		}
	}
	return s
}

// made reports whether the same data came through in another packet: sent again, or with a FIN that overtook its acknowledgement.
func (s *sights) made(c *chain) bool {
	k := &c.head().j.Packet
	for _, o := range s.data[dataKey{k.Proto, k.Tuple, k.Seq}] {
		p := &o.head().j.Packet
		if o != c && p.Len >= k.Len && o.tail().j.End == journey.Delivered && (order(p.Flags) == order(k.Flags) || k.Flags == "ACK") {
			return true
		}
	}
	return false
}

// together reports whether a segment came inside a larger one: the receiving device puts segments in a row into one packet (GRO) before
// anything sees them.
func (s *sights) together(p *part, to *stream) bool {
	f := p.print(true)
	if f.proto != "tcp" {
		return false
	}
	for _, block := range []uint32{f.seq >> 16, (f.seq - 1<<16) >> 16} {
		for _, g := range s.came[cameKey{to, f.tuple, block}] {
			if g.len > f.len && f.seq-g.seq < g.len && order(g.flags) == "" {
				return true
			}
		}
	}
	return false
}

// missed says why a node may have missed a packet that was sent to it; "" when it cannot have.
func missed(p *part, to *stream, k *clocks, live bool) string {
	if ok, why := to.whole(); !ok {
		return why
	}
	if live && to.begun < p.s.begun && p.s.verdict != nil && to.ended > p.s.ended {
		return "" // its first line was read before the sender's first, and its last behind the sender's last
	}
	ok, slack := k.known(p.s, to)
	if !ok {
		slack = assumedSkew.Nanoseconds()
	}
	if to.start.Time.IsZero() || to.until().IsZero() {
		return "its records do not say how long it watched"
	}
	left := k.at(p.s, p.leaves())
	switch {
	case left-slack < k.at(to, to.start.Time.UnixNano()):
		return fmt.Sprintf("it may have begun to watch later, at %s", clockText(to.start.Time))
	case left+slack > k.at(to, to.until().UnixNano()):
		return fmt.Sprintf("it may have stopped watching before, at %s", clockText(to.until()))
	}
	return ""
}

// endText says for a way that ends between the nodes where its packet was expected.
func (c *chain) endText(all []*stream, seen *sights, otherwise string) string {
	p := c.tail()
	if !p.departed() {
		return otherwise
	}
	switch to, elsewhere := receiver(p, all); {
	case to == nil:
		return otherwise
	case elsewhere.IsValid():
		return fmt.Sprintf("sent to %s, which is not %s", elsewhere, to.node())
	case seen.together(p, to):
		return fmt.Sprintf("received on %s inside a larger packet (GRO)", to.node())
	default:
		return "not seen on " + to.node()
	}
}
