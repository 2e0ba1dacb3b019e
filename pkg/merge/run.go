// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// maxSources bounds how many nodes one story may have.
const maxSources = 16

// Source is the output of 'nettrace flow -o json' on one node.
type Source struct {
	Name string // what messages call it: a file, a pod
	R    io.Reader
}

// Options are the settings of Run.
type Options struct {
	// Live means that the sources are read as they are written, and that the journeys are told while they come. A packet that left a node waits
	// up to Hold for its sight on another, one that was sent to a watched node six times as long (those behind it do not wait for it then), and one
	// that came from a watched node five times as long for having been sent. A part that comes later still makes its way be told again, with the
	// same id. A source that ends without a first record is said and left out. When the record that a node started was read before another's, that
	// node is known to have watched first, whatever the clocks say: start the node that probes last, and end the others after its verdict.
	Live bool
	Hold time.Duration // default 1 s
	// Warn takes one sentence about what is wrong with a source; nil drops them.
	Warn func(string)
}

// Run reads all sources to their ends, or until ctx is done, and tells one story through out. It returns the verdict, for verdict.ExitCode.
// Sources that cannot be one run (no start record, two of one node, another schema) are an error; what else is wrong with one is told
// by Warn, stands in the evidence, and lowers the confidence. When ctx is done what was read until then is judged; the caller closes the
// sources then, so that nobody goes on reading them.
func Run(ctx context.Context, sources []Source, out render.Renderer, o Options) (*verdict.Verdict, error) {
	switch n := len(sources); {
	case n == 0:
		return nil, errors.New("nothing to merge: name the files of two or more nodes")
	case n > maxSources:
		return nil, fmt.Errorf("%d sources are more than the %d that are merged: leave out nodes that the flow does not cross", n, maxSources)
	}
	if o.Hold <= 0 {
		o.Hold = time.Second
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	m := &merger{out: out, opt: o, told: map[*journey.Journey]int{}, read: map[*journey.Journey]time.Time{}}
	for _, s := range sources {
		m.all = append(m.all, newStream(s.Name))
	}
	if err := m.readAll(ctx, sources); err != nil {
		return nil, err
	}
	return m.finish()
}

// merger is a run under way.
type merger struct {
	out   render.Renderer
	opt   Options
	all   []*stream
	began bool // the start record is out
	told  map[*journey.Journey]int
	read  map[*journey.Journey]time.Time // when, while live
	last  int                            // the newest id
	order int                            // records read
	news  bool
}

// message is what a source's reader sends.
type message struct {
	source int
	rec    *Record
	err    error
}

func (m *merger) readAll(ctx context.Context, sources []Source) error {
	streams := slices.Clone(m.all) // begin sorts them, and leaves some out
	ch, stop := make(chan message), make(chan struct{})
	defer close(stop)
	for i, s := range sources {
		go pump(i, s, ch, stop)
	}
	tick := time.NewTimer(m.opt.Hold / 5)
	defer tick.Stop()
	for open := len(sources); open > 0; {
		select {
		case msg := <-ch:
			s := streams[msg.source]
			if msg.err != nil {
				if s.fail(msg.err) {
					open--
				}
			} else {
				m.order++
				if err := m.take(s, msg.rec); err != nil {
					return err
				}
			}
			m.news = true
		case <-tick.C:
			if !m.opt.Live {
				continue
			}
			began := time.Now()
			if err := m.progress(); err != nil {
				return err
			}
			tick.Reset(max(m.opt.Hold/5, 4*time.Since(began))) // all that was read is looked at: most of the time is for reading
		case <-ctx.Done():
			for _, s := range m.all {
				if !s.done {
					s.fail(io.EOF)
				}
			}
			return nil
		}
	}
	return nil
}

// take adds a record to its stream.
func (m *merger) take(s *stream, r *Record) error {
	kept, err := s.take(r, m.order)
	if err != nil || !m.opt.Live {
		return err
	}
	switch {
	case r.Start != nil:
		_, err = m.begin()
	case r.Journey != nil && kept:
		m.read[r.Journey] = time.Now()
	case r.Journey != nil && s.skipped == 1:
		m.opt.Warn(fmt.Sprintf("%s has more than %d journeys: of those to come only the dropped ones are told", s.name, maxJourneys))
	}
	return err
}

func pump(i int, s Source, ch chan<- message, stop <-chan struct{}) {
	r := NewReader(s.R, s.Name)
	for {
		rec, err := r.Next()
		select {
		case ch <- message{i, rec, err}:
		case <-stop:
			return
		}
		var line *LineError
		if err != nil && !errors.As(err, &line) {
			return
		}
	}
}

// begin writes the start record once every source has begun or will not.
func (m *merger) begin() (bool, error) {
	if m.began {
		return true, nil
	}
	for _, s := range m.all {
		if s.start == nil && !s.done {
			return false, nil
		}
	}
	if m.opt.Live {
		m.all = slices.DeleteFunc(m.all, func(s *stream) bool {
			if s.start == nil {
				m.opt.Warn(fmt.Sprintf("%s ended before it began to trace: the story is told without it", s.name))
			}
			return s.start == nil
		})
		if len(m.all) == 0 {
			return false, errors.New("no node began to trace: what each of them wrote to stderr says why")
		}
	}
	sortStreams(m.all)
	if _, err := comparable(m.all); err != nil {
		return false, err
	}
	m.began = true
	return true, m.out.Start(start(m.all))
}

// sortStreams makes the result independent of the order of the sources.
func sortStreams(all []*stream) {
	slices.SortStableFunc(all, func(a, b *stream) int {
		if a.start == nil || b.start == nil {
			return cmp.Compare(a.name, b.name)
		}
		return cmp.Or(cmp.Compare(a.node(), b.node()), cmp.Compare(a.name, b.name))
	})
}

// finish tells the rest and the verdict.
func (m *merger) finish() (*verdict.Verdict, error) {
	for _, s := range m.all {
		s.done = true
	}
	if _, err := m.begin(); err != nil {
		return nil, err
	}
	problems, err := comparable(m.all)
	if err != nil {
		return nil, err
	}
	for _, s := range m.all {
		problems = append(problems, s.faults...)
	}
	for _, p := range problems {
		m.opt.Warn(p)
	}
	ps := parts(m.all)
	cs := link(ps, m.all)
	all := chains(ps, cs)
	seen := newSights(all)
	if err := m.tellAll(all, cs, seen); err != nil {
		return nil, err
	}
	v := judge(&evidence{all: m.all, chains: all, seen: seen, clocks: cs, live: m.opt.Live, problems: problems})
	return v, m.out.Verdict(v)
}
