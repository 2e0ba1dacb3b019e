// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/probe"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// crossing is a packet between two streams, sent and received at true times, written by clocks that are off.
func crossing(a, b *stream, off map[*stream]int64, sent, came int64) *part {
	left := &journey.Journey{ID: 1, Direction: journey.Request, At: utc(epoch.UnixNano() + sent + off[a]), End: journey.LeftNode, Hops: []journey.Hop{{Stage: journey.StageDeviceTx}}}
	in := &journey.Journey{ID: 1, Direction: journey.Request, At: utc(epoch.UnixNano() + came + off[b]), End: journey.Delivered, Hops: []journey.Hop{{Stage: journey.StageDeviceRx}}}
	p, q := &part{s: a, j: left}, &part{s: b, j: in}
	p.next, q.prev = q, p
	return p
}

// Clocks in a row: each is compared over its neighbour, whichever comes first, and a better way is preferred to a direct one.
func TestClocksInARow(t *testing.T) {
	a, b, c := named("a"), named("b"), named("c")
	off := map[*stream]int64{a: 5 * ms, b: -300 * ms, c: 700 * ms}
	var ps []*part
	for i := range int64(4) {
		at := i * 100 * ms
		ps = append(ps, crossing(a, b, off, at, at+200_000), crossing(b, a, off, at+ms, at+ms+200_000),
			crossing(c, b, off, at, at+300_000), crossing(b, c, off, at+ms, at+ms+300_000))
	}
	ps = append(ps, crossing(a, c, off, 0, 90*ms)) // one way only, and slow
	for _, all := range [][]*stream{{a, b, c}, {c, b, a}, {b, c, a}} {
		cs := newClocks(all)
		cs.reference = a
		cs.compare(ps)
		for _, s := range all {
			for _, at := range []int64{0, 50 * ms, 10_000 * ms} {
				want := epoch.UnixNano() + at + off[a]
				got := cs.at(s, epoch.UnixNano()+at+off[s])
				if d := got - want; max(d, -d) > 600_000 {
					t.Errorf("%s at %d: off by %d ns", s.name, at, d)
				}
			}
			if cs.how(s) != knownExact {
				t.Errorf("%s is known as %s", s.name, cs.how(s))
			}
		}
		if n := len(cs.way[c]); n != 2 {
			t.Errorf("c is compared over %d clocks, want 2: the direct way is one way only", n)
		}
		if ok, slack := cs.known(b, c); !ok || slack < 400_000 || slack > 800_000 {
			t.Errorf("b and c: %v, %d ns", ok, slack)
		}
	}
}

// Without a packet between two nodes their clocks are left alone, and that is said.
func TestClocksThatCannotBeCompared(t *testing.T) {
	a, b := named("a"), named("b")
	cs := newClocks([]*stream{a, b})
	cs.compare(nil)
	if ok, _ := cs.known(a, b); ok || cs.how(b) != knownNone || cs.at(b, 12345) != 12345 {
		t.Errorf("known %v, %s, %d", ok, cs.how(b), cs.at(b, 12345))
	}
	want := []verdict.Clock{{Node: "b", Reference: "a", Known: knownNone}}
	if got := cs.report(); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Property: whatever offsets, drifts and delays there are, no packet of those that were compared is received before it was sent, and the truth lies
// within the uncertainty where clocks do not drift.
func TestFitKeepsCausality(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		offset, drift := rng.Float64()*2e9-1e9, 0.0
		if seed%3 == 0 {
			drift = (rng.Float64()*2 - 1) * 5e-4
		}
		var upper, lower []bound
		for range 2 + rng.IntN(30) {
			at := epoch.UnixNano() + rng.Int64N(20_000*ms)
			truth := offset + drift*float64(at-epoch.UnixNano())
			if rng.IntN(2) == 0 {
				upper = append(upper, bound{at, truth + 1e4 + rng.Float64()*1e6})
			} else {
				lower = append(lower, bound{at, truth - 1e4 - rng.Float64()*1e6})
			}
		}
		r := fit(upper, lower)
		if r.torn {
			t.Fatalf("seed %d: torn", seed)
		}
		for _, b := range upper {
			if float64(r.ahead(b.t)) > b.d+2 {
				t.Errorf("seed %d: %d ns ahead, at most %g", seed, r.ahead(b.t), b.d)
			}
		}
		for _, b := range lower {
			if float64(r.ahead(b.t)) < b.d-2 {
				t.Errorf("seed %d: %d ns ahead, at least %g", seed, r.ahead(b.t), b.d)
			}
		}
		if off := r.offset - offset; drift == 0 && r.known == knownExact && max(off, -off) > float64(r.uncertainty)+1 {
			t.Errorf("seed %d: offset %g ± %d, truth %g", seed, r.offset, r.uncertainty, offset)
		}
	}
}

// The reference is who probes, else who saw a request before any device received it, else the first.
func TestReference(t *testing.T) {
	sender, receiver := halves()
	sent := named("b")
	sent.journeys = []*journey.Journey{sender.j}
	took := named("a")
	took.journeys = []*journey.Journey{receiver.j}
	probes := named("c")
	probes.verdict = &verdict.Verdict{Probe: &probe.Result{}}
	for _, tc := range []struct {
		all  []*stream
		want *stream
	}{{nil, nil}, {[]*stream{took}, took}, {[]*stream{took, sent}, sent}, {[]*stream{took, sent, probes}, probes}} {
		if got := referenceOf(tc.all); got != tc.want {
			t.Errorf("%d streams: %+v", len(tc.all), got)
		}
	}
}

// What the verdict says of clocks, in words.
func TestClockWords(t *testing.T) {
	for _, tc := range []struct {
		c    verdict.Clock
		want string
	}{
		{verdict.Clock{Node: "b", Reference: "a", OffsetNS: 500_012_345, UncertaintyNS: 16_000, Samples: 6, Known: knownExact}, "clocks: b's is 500.0 ms ahead of a's, give or take 0.016 ms (6 packets, both ways)"},
		{verdict.Clock{Node: "b", Reference: "a", OffsetNS: -1_500_000_000, UncertaintyNS: 250_000, Samples: 2, Known: knownExact, DriftPPB: 20_500}, "clocks: b's is 1.5 s behind a's, give or take 0.2 ms (2 packets, both ways); it gains 20.5 µs a second"},
		{verdict.Clock{Node: "b", Reference: "a", Samples: 4, Known: knownBound}, "clocks: packets crossed one way only (4), which bounds how far b's clock is from a's from one side: times there (~) are as if the quickest took no time"},
		{verdict.Clock{Node: "b", Reference: "a", Known: knownNone}, "clocks: no packet crossed that could compare b's with a's; they are taken to agree within 1.0 s"},
	} {
		if got := clockEvidence([]verdict.Clock{tc.c}); len(got) != 1 || got[0] != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
	for ns, want := range map[int64]string{0: "0.000 ms", 99_000: "0.099 ms", 150_000: "0.1 ms", 12_345_678: "12.3 ms", 2_500 * ms: "2.5 s"} {
		if got := duration(ns); got != want {
			t.Errorf("%d ns: %q, want %q", ns, got, want)
		}
	}
	if got := fmt.Sprint(prefixed("node1", []string{"kernel: x", "node1: y"})); got != "[node1: kernel: x node1: y]" {
		t.Errorf("prefixed: %s", got)
	}
}
