// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/tracer"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

const (
	maxJourneys = 10000 // of a stream, and as many dropped ones more; what 'nettrace flow' judges
	maxFaults   = 5     // sentences about one stream's bad lines
)

// stream is what was read of one source so far.
type stream struct {
	name     string
	start    *render.Start
	journeys []*journey.Journey
	drops    map[int][]*render.Drop // by journey
	ndrops   int
	verdict  *verdict.Verdict
	faults   []string // what is wrong with it, one sentence each
	bad      int      // lines that are no records
	line     int      // the last one that was read
	done     bool
	skipped  int
	// begun and ended count the records of all streams, in the order in which they were read, at this one's start and verdict. They tell an
	// order of events only while streams are read as they are written.
	begun, ended int
}

func newStream(name string) *stream { return &stream{name: name, drops: map[int][]*render.Drop{}} }

// take adds one record; the order is that of reading over all streams. kept is false for a journey that there is no room for: drops are what is
// looked for, and have some of their own.
func (s *stream) take(r *Record, order int) (kept bool, err error) {
	s.line = r.Line
	switch {
	case r.Start != nil:
		if s.start != nil {
			return false, fmt.Errorf("%s line %d begins a second run: give one file for each run", s.name, r.Line)
		}
		s.start, s.begun = r.Start, order
	case s.start == nil:
		return false, fmt.Errorf("%s line %d comes before a start record: give whole outputs of 'nettrace flow -o json'", s.name, r.Line)
	case r.Journey != nil:
		most := maxJourneys
		if r.Journey.DropHop() >= 0 {
			most *= 2
		}
		if len(s.journeys) >= most {
			s.skipped++
			return false, nil
		}
		s.journeys = append(s.journeys, r.Journey)
	case r.Drop != nil:
		if s.ndrops++; s.ndrops <= maxJourneys {
			s.drops[r.Drop.Journey] = append(s.drops[r.Drop.Journey], r.Drop)
		}
	case r.Verdict != nil && s.verdict == nil:
		s.verdict, s.ended = r.Verdict, order
	}
	return true, nil
}

// fail takes an error of reading. What is no fault of one line ends the stream.
func (s *stream) fail(err error) (over bool) {
	var le *LineError
	switch {
	case errors.As(err, &le):
		s.line = le.Line
		if s.bad++; s.bad <= maxFaults && !errors.Is(err, errCut) {
			s.faults = append(s.faults, err.Error())
		}
		return false
	case err != nil && !errors.Is(err, io.EOF):
		s.faults = append(s.faults, fmt.Sprintf("%s could not be read beyond line %d: %v", s.name, s.line, err))
	}
	s.done = true
	if s.bad > maxFaults {
		s.faults = append(s.faults, fmt.Sprintf("%s has %d more lines that are no records", s.name, s.bad-maxFaults))
	}
	if s.skipped > 0 {
		s.faults = append(s.faults, fmt.Sprintf("%s has more than %d journeys: %d were left out", s.name, maxJourneys, s.skipped))
	}
	if s.start != nil && s.verdict == nil {
		s.faults = append(s.faults, fmt.Sprintf("%s ends after line %d without a verdict: what came behind it is missing", s.name, s.line))
	}
	return true
}

// node is the node that the stream is about; with several scopes the first.
func (s *stream) node() string { return s.start.Node }

// owns reports whether an address is one of the stream's nodes'.
func (s *stream) owns(a netip.Addr) bool {
	if s.start == nil || !a.IsValid() {
		return false
	}
	return slices.ContainsFunc(s.start.Nodes, func(n render.Node) bool { return slices.Contains(n.Addresses, a) })
}

// whole reports whether nothing of the stream is missing; why names what is.
func (s *stream) whole() (ok bool, why string) {
	switch {
	case s.verdict == nil:
		return false, "its records end early"
	case s.bad > 0:
		return false, fmt.Sprintf("%d of its lines could not be read", s.bad)
	case s.skipped > 0:
		return false, "some of its journeys were left out"
	case s.verdict.LostEvents > 0:
		return false, fmt.Sprintf("it lost %d events", s.verdict.LostEvents)
	case !s.receives():
		return false, "what its devices receive was not traced"
	}
	return true, ""
}

// receives reports whether the point that sees packets come in was attached.
func (s *stream) receives() bool {
	name := tracer.FuncOf(tracer.PointRX)
	return !slices.ContainsFunc(s.start.Points, func(p tracer.PointStatus) bool { return p.Name == name && !p.Attached })
}

// until is when it stopped watching; zero when that is not known.
func (s *stream) until() time.Time {
	if s.verdict == nil {
		return time.Time{}
	}
	return s.verdict.Time
}

// comparable says why the streams can not be of one run, or what about them lowers the confidence.
func comparable(all []*stream) (problems []string, err error) {
	for i, s := range all {
		if s.start != nil && slices.ContainsFunc(s.journeys, func(j *journey.Journey) bool { return j.At.IsZero() }) {
			return nil, fmt.Errorf("%s does not say when its packets were seen: an older nettrace wrote it; use this version on all nodes", s.name)
		}
		if s.start == nil {
			return nil, fmt.Errorf("%s has no start record: write it with 'nettrace flow … -o json' on one of the nodes", s.name)
		}
		for _, o := range all[:i] {
			if n := sameNode(s, o); n != "" {
				return nil, fmt.Errorf("%s and %s are both of %s: give one file for each node", o.name, s.name, n)
			}
			if p := differ(o, s); p != "" {
				problems = append(problems, p)
			}
			if p := apart(o, s); p != "" {
				problems = append(problems, p)
			}
		}
	}
	return problems, nil
}

func nodeNames(s *stream) []string {
	names := []string{s.start.Node}
	for _, n := range s.start.Nodes {
		if !slices.Contains(names, n.Name) {
			names = append(names, n.Name)
		}
	}
	return names
}

func sameNode(a, b *stream) string {
	for _, n := range nodeNames(a) {
		if slices.Contains(nodeNames(b), n) {
			return n
		}
	}
	return ""
}

// differ says that two streams follow different flows. Where one follows a Service, another may follow one of its endpoints; and anything may
// follow packets of any sender.
func differ(a, b *stream) string {
	x, y := &a.start.Flow, &b.start.Flow
	same := x.Dst == y.Dst && (x.Dport == y.Dport || x.Dport == 0 || y.Dport == 0)
	if x.Proto == y.Proto && (same || standsFor(x, y) || standsFor(y, x)) {
		return ""
	}
	return fmt.Sprintf("%s follows %s and %s follows %s: run nettrace for the same flow on all nodes", a.name, flowText(x), b.name, flowText(y))
}

func standsFor(service, endpoint *verdict.Flow) bool {
	return slices.ContainsFunc(service.Endpoints, func(e verdict.Endpoint) bool {
		p, err := netip.ParseAddrPort(e.Addr)
		return err == nil && p.Addr().String() == endpoint.Dst && (endpoint.Dport == 0 || p.Port() == endpoint.Dport)
	})
}

func flowText(f *verdict.Flow) string {
	return fmt.Sprintf("%s %s → %s", f.Proto, f.Src, strings.TrimSuffix(fmt.Sprintf("%s:%d", f.Dst, f.Dport), ":0"))
}

// apart says that two streams do not overlap in time, even if their clocks differ by as much as trusted clocks do.
func apart(a, b *stream) string {
	gone := func(first, second *stream) bool {
		return !first.until().IsZero() && !second.start.Time.IsZero() && first.until().Add(assumedSkew).Before(second.start.Time)
	}
	if gone(a, b) || gone(b, a) {
		return fmt.Sprintf("%s and %s do not overlap in time (%s to %s, %s to %s): what one did not see proves nothing", a.name, b.name,
			clockText(a.start.Time), clockText(a.until()), clockText(b.start.Time), clockText(b.until()))
	}
	return ""
}

// clockText is a time of day; the day is that of the run.
func clockText(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.UTC().Format("15:04:05.000")
}
