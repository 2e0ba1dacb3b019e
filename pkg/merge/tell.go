// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"cmp"
	"slices"
	"time"

	"github.com/nettrace-io/nettrace/pkg/render"
)

// progress tells what is settled, in order, while more may come.
func (m *merger) progress() error {
	if ok, err := m.begin(); !ok || err != nil {
		return err
	}
	if !m.news && !m.waiting() {
		return nil
	}
	m.news = false
	ps := parts(m.all)
	cs := link(ps, m.all)
	all := chains(ps, cs)
	seen := newSights(all)
	return m.tellAll(all, cs, seen)
}

// tellAll tells the ways that are ripe and were not told, up to the first that those behind it have to wait for.
func (m *merger) tellAll(all []*chain, cs *clocks, seen *sights) error {
	taken := map[int]bool{}
	for _, c := range all {
		if id, more := m.toldAs(c); !more {
			c.id, taken[id] = id, true
		}
	}
	for _, c := range all {
		if c.id != 0 {
			continue
		}
		id, _ := m.toldAs(c)
		if taken[id] { // with more packets its parts have found others than before
			id = 0
		}
		switch m.ripe(c, seen) {
		case notYet:
			if id != 0 {
				continue // its place in the order is behind us
			}
			return nil
		case later:
			continue
		}
		if err := m.tell(c, id, cs, seen); err != nil {
			return err
		}
		taken[c.id] = true
	}
	return nil
}

// waiting reports whether journeys were read that are not told.
func (m *merger) waiting() bool { return len(m.told) < len(m.read) }

// toldAs is the id under which a part of a way was told, 0 when none was. more is true when a part was not told: it came later, and belongs to the
// same journey.
func (m *merger) toldAs(c *chain) (id int, more bool) {
	for _, p := range c.parts {
		id = cmp.Or(id, m.told[p.j])
		more = more || m.told[p.j] == 0
	}
	return id, more
}

// Whether a way is told.
const (
	now    = iota
	later  // and those behind it need not wait for it
	notYet // nor are those behind it
)

// ripe reports whether nothing more is expected of a way: it is whole and its times are known, or what is missing had time enough to come.
// A way that began before may end later, and is read when it ends: every way waits for half of Hold, so that they are told in order.
func (m *merger) ripe(c *chain, seen *sights) int {
	mine, others := false, false
	for _, s := range m.all {
		mine = mine || (s == c.head().s && !s.done)
		others = others || (s != c.head().s && !s.done)
	}
	newest := time.Time{}
	for _, p := range c.parts {
		if t := m.read[p.j]; t.After(newest) {
			newest = t
		}
	}
	waited := time.Since(newest)
	whole := !c.tail().departed() && !c.head().entered()
	guessed := slices.ContainsFunc(c.parts, func(p *part) bool { return p.approx }) // a packet the other way would compare the clocks
	patience := m.opt.Hold
	switch {
	case !mine && !others:
		return now
	case !others, whole && !guessed:
		patience /= 2
	case c.head().entered() && m.sentByOther(c.head()): // it was sent by a node that is watched, and that one has not told it yet: it is slow
		patience *= slowSender
	case waited >= patience && waited < slowReceiver*patience && m.expected(c.tail(), seen):
		return later
	}
	if waited < patience {
		return notYet
	}
	return now
}

// tell writes a way with the drops on it, under an id that it has or, with 0, the next one.
func (m *merger) tell(c *chain, id int, cs *clocks, seen *sights) error {
	if id == 0 {
		m.last++
		id = m.last
	}
	c.id = id
	j := c.journey()
	for _, p := range c.parts {
		was := m.told[p.j]
		if m.told[p.j] = id; was != 0 {
			continue
		}
		for _, d := range p.s.drops[p.j.ID] {
			if err := m.drop(p.s, d, c.id, cs); err != nil {
				return err
			}
		}
	}
	j.EndWhy = c.endText(m.all, seen, j.EndWhy)
	return m.out.Journey(j)
}

func (m *merger) drop(s *stream, d *render.Drop, id int, cs *clocks) error {
	out := *d
	out.Kind, out.Journey = "drop", id
	if t, err := time.Parse(time.RFC3339Nano, d.Time); err == nil && checkTime(t) == nil {
		out.Time = utc(cs.at(s, t.UnixNano())).Format(time.RFC3339Nano)
	}
	return m.out.Drop(out)
}

// slowSender is how many times longer than Hold the first half of a way is waited for: that a packet arrived says that it was sent.
const slowSender = 5

// slowReceiver is how many times longer than Hold the rest of a way is waited for where it leads to a watched node. There a packet may wait for a
// neighbour, 5 s until it is given up (pkg/journey), and is written when that is over.
const slowReceiver = 6

// expected reports whether a packet that left its node is still to come on another one.
func (m *merger) expected(p *part, seen *sights) bool {
	if !p.departed() {
		return false
	}
	to, elsewhere := receiver(p, m.all)
	return to != nil && !elsewhere.IsValid() && !to.done && to.receives() && !seen.together(p, to)
}

// sentByOther reports whether a packet came in a tunnel from another watched node, or from an end of the flow that is there.
func (m *merger) sentByOther(p *part) bool {
	from := p.j.Packet.Src
	if o := p.j.Hops[0].Outer; o != nil {
		from = o.Src
	}
	return slices.ContainsFunc(m.all, func(s *stream) bool { return s != p.s && !s.done && s.owns(from.Unmap()) })
}
