// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// assumedSkew is by how much the clocks of nodes may differ that nothing compares: what keeps NTP from being called unsynchronised, and more
// than certificates and leases of a cluster tolerate well.
const assumedSkew = time.Second

// maxDrift is how much faster one clock may run than another: twice what NTP corrects at most (500 ppm).
const maxDrift = 1e-3

// How well a clock is known.
const (
	knownExact = "exact"
	knownBound = "bound"
	knownNone  = "none"
)

// relation is how far clock b is ahead of clock a: offset + drift·(t-t0), t by clock a, in ns.
type relation struct {
	a, b          *stream
	t0            int64
	offset, drift float64
	uncertainty   int64
	samples       int
	known         string
	// torn says that no offset and drift let every packet arrive after it was sent: a clock was set meanwhile.
	torn bool
}

// clocks translate every stream's times into those of the reference.
type clocks struct {
	all       []*stream
	reference *stream
	relations map[[2]*stream]*relation
	way       map[*stream][]*relation // from the stream to the reference
}

func newClocks(all []*stream) *clocks {
	return &clocks{all: all, reference: referenceOf(all), relations: map[[2]*stream]*relation{}, way: map[*stream][]*relation{}}
}

// referenceOf is the stream that has the sender: its probe, else a packet that was seen before any device received it.
func referenceOf(all []*stream) *stream {
	for _, s := range all {
		if s.verdict != nil && s.verdict.Probe != nil {
			return s
		}
	}
	for _, s := range all {
		for _, j := range s.journeys {
			if p := (&part{s: s, j: j}); j.Direction == "request" && len(j.Hops) > 0 && !p.entered() {
				return s
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[0]
}

// bound is one packet's word: at the time t of clock a, b is ahead of a by at most (or at least) d ns.
type bound struct {
	t int64
	d float64
}

// compare takes the packets that are paired so far.
func (cs *clocks) compare(ps []*part) {
	upper, lower := map[[2]*stream][]bound{}, map[[2]*stream][]bound{}
	index := map[*stream]int{}
	for i, s := range cs.all {
		index[s] = i
	}
	for _, p := range ps {
		if p.next == nil {
			continue
		}
		sent, came := p.leaves(), p.next.arrives()
		if index[p.s] < index[p.next.s] {
			k := [2]*stream{p.s, p.next.s}
			upper[k] = append(upper[k], bound{sent, float64(came - sent)})
		} else {
			k := [2]*stream{p.next.s, p.s}
			lower[k] = append(lower[k], bound{came, float64(sent - came)})
		}
	}
	clear(cs.relations)
	for i, a := range cs.all {
		for _, b := range cs.all[i+1:] {
			k := [2]*stream{a, b}
			if len(upper[k])+len(lower[k]) > 0 {
				r := fit(upper[k], lower[k])
				r.a, r.b = a, b
				cs.relations[k] = r
			}
		}
	}
	cs.routes()
}

// fit finds the offset between all bounds: the middle of what they leave. Where no constant fits, the clock that runs faster is looked for.
func fit(upper, lower []bound) *relation {
	r := &relation{samples: len(upper) + len(lower)}
	r.t0 = slices.MinFunc(slices.Concat(upper, lower), func(x, y bound) int { return cmp.Compare(x.t, y.t) }).t
	hi, lo := edges(upper, lower, r.t0, 0)
	switch {
	case len(lower) == 0:
		r.offset, r.known = hi, knownBound
		return r
	case len(upper) == 0:
		r.offset, r.known = lo, knownBound
		return r
	}
	r.known = knownExact
	if hi < lo {
		r.drift = bestDrift(upper, lower, r.t0)
		hi, lo = edges(upper, lower, r.t0, r.drift)
	}
	r.offset = (hi + lo) / 2
	r.torn = hi < lo-1 // the numbers are whole ns
	r.uncertainty = int64(math.Ceil(math.Abs(hi-lo) / 2))
	return r
}

// edges are the least upper and the greatest lower bound at t0 when the clock drifts.
func edges(upper, lower []bound, t0 int64, drift float64) (hi, lo float64) {
	hi, lo = math.Inf(1), math.Inf(-1)
	for _, b := range upper {
		hi = min(hi, b.d-drift*float64(b.t-t0))
	}
	for _, b := range lower {
		lo = max(lo, b.d-drift*float64(b.t-t0))
	}
	return hi, lo
}

// bestDrift leaves the most room between the bounds. The room is a concave function of the drift: a search by thirds finds its top.
func bestDrift(upper, lower []bound, t0 int64) float64 {
	room := func(drift float64) float64 {
		hi, lo := edges(upper, lower, t0, drift)
		return hi - lo
	}
	from, to := -maxDrift, maxDrift
	for range 100 {
		x, y := from+(to-from)/3, to-(to-from)/3
		if room(x) < room(y) {
			from = x
		} else {
			to = y
		}
	}
	best := (from + to) / 2
	enough := room(best) - math.Abs(room(best))/1000
	none := 0.0 // packets that went one way for a while allow any larger drift too: the least one that leaves as much room is taken
	for range 60 {
		if half := (none + best) / 2; room(half) >= enough {
			best = half
		} else {
			none = half
		}
	}
	return best
}

// routes finds for each stream the relations that lead to the reference, the surest first.
func (cs *clocks) routes() {
	clear(cs.way)
	if cs.reference == nil {
		return
	}
	done := map[*stream]bool{cs.reference: true}
	for {
		var best *relation
		for i, a := range cs.all {
			for _, b := range cs.all[i+1:] {
				r := cs.relations[[2]*stream{a, b}]
				if r != nil && done[a] != done[b] && (best == nil || r.better(best)) {
					best = r
				}
			}
		}
		if best == nil {
			return
		}
		from, over := best.a, best.b
		if done[from] {
			from, over = over, from
		}
		done[from] = true
		cs.way[from] = append([]*relation{best}, cs.way[over]...)
	}
}

func (r *relation) better(o *relation) bool {
	if r.known != o.known {
		return r.known == knownExact
	}
	return r.uncertainty < o.uncertainty
}

// ahead is how far clock b is ahead of a at a time of a.
func (r *relation) ahead(t int64) int64 {
	return int64(math.Round(r.offset + r.drift*float64(t-r.t0)))
}

// at is a stream's time by the reference's clock; unchanged where the clocks cannot be compared.
func (cs *clocks) at(s *stream, t int64) int64 {
	for _, r := range cs.way[s] {
		if s == r.b {
			t -= r.ahead(t - int64(r.offset))
			s = r.a
		} else {
			t += r.ahead(t)
			s = r.b
		}
	}
	return t
}

// known reports whether times of two streams can be compared, and how far off that can be.
func (cs *clocks) known(a, b *stream) (ok bool, slack int64) {
	for _, s := range []*stream{a, b} {
		if s == cs.reference {
			continue
		}
		if len(cs.way[s]) == 0 {
			return false, 0
		}
		for _, r := range cs.way[s] {
			slack += r.uncertainty
		}
	}
	return true, slack
}

// strayed is how far a clock can have gone from where packets last compared it, in ns.
func (cs *clocks) strayed(s *stream, t int64) (ns int64) {
	for _, r := range cs.way[s] {
		away := t - r.t0
		if s == r.b {
			away -= int64(r.offset)
		}
		ns += int64(maxDrift * math.Abs(float64(away)))
	}
	return ns
}

// how is the weakest link between a stream's clock and the reference.
func (cs *clocks) how(s *stream) string {
	if s == cs.reference {
		return knownExact
	}
	if len(cs.way[s]) == 0 {
		return knownNone
	}
	for _, r := range cs.way[s] {
		if r.known != knownExact {
			return r.known
		}
	}
	return knownExact
}

// report is the clocks of all streams but the reference's, for the verdict.
func (cs *clocks) report() []verdict.Clock {
	var out []verdict.Clock
	for _, s := range cs.all {
		if s == cs.reference {
			continue
		}
		c := verdict.Clock{Node: s.node(), Reference: cs.reference.node(), Known: cs.how(s)}
		if len(cs.way[s]) > 0 {
			base := cs.way[s][0].t0
			c.OffsetNS = base - cs.at(s, base)
			const second = int64(time.Second)
			c.DriftPPB = second - (cs.at(s, base+second) - cs.at(s, base))
		}
		for _, r := range cs.way[s] {
			c.UncertaintyNS += r.uncertainty
			c.Samples += r.samples
		}
		if c.DriftPPB > -10 && c.DriftPPB < 10 { // rounding
			c.DriftPPB = 0
		}
		out = append(out, c)
	}
	return out
}
