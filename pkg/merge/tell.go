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
	for _, c := range all {
		if m.known(c) {
			continue
		}
		if !m.settled(c) {
			return nil
		}
		if err := m.tell(c, cs, seen); err != nil {
			return err
		}
	}
	return nil
}

// waiting reports whether journeys were read that are not told.
func (m *merger) waiting() bool { return len(m.told) < len(m.read) }

// known reports whether a part of a way was told; a part that came later belongs to the same journey.
func (m *merger) known(c *chain) bool {
	id := 0
	for _, p := range c.parts {
		id = cmp.Or(id, m.told[p.j])
	}
	if id != 0 {
		c.id = id
		for _, p := range c.parts {
			m.told[p.j] = id
		}
	}
	return id != 0
}

// settled reports whether nothing more is expected of a way: it is whole, or its other half had time enough to come.
func (m *merger) settled(c *chain) bool {
	others := false
	for _, s := range m.all {
		others = others || (s != c.head().s && !s.done)
	}
	if !others || (!c.tail().departed() && !c.head().entered()) {
		return true
	}
	newest := time.Time{}
	for _, p := range c.parts {
		if t := m.read[p.j]; t.After(newest) {
			newest = t
		}
	}
	patience := m.opt.Hold
	if c.head().entered() && m.sentByOther(c.head()) { // it was sent by a node that is watched, and that one has not told it yet: it is slow
		patience *= slowSender
	}
	return time.Since(newest) >= patience
}

// tell writes a way with the drops on it.
func (m *merger) tell(c *chain, cs *clocks, seen *sights) error {
	m.last++
	c.id = m.last
	j := c.journey()
	for _, p := range c.parts {
		m.told[p.j] = c.id
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

// sentByOther reports whether a packet came in a tunnel from another watched node, or from an end of the flow that is there.
func (m *merger) sentByOther(p *part) bool {
	from := p.j.Packet.Src
	if o := p.j.Hops[0].Outer; o != nil {
		from = o.Src
	}
	return slices.ContainsFunc(m.all, func(s *stream) bool { return s != p.s && !s.done && s.owns(from.Unmap()) })
}
