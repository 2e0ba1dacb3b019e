// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nettrace-io/nettrace/pkg/drops"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// dropDisplay shows drops; each format has one.
type dropDisplay interface {
	// start is called once, before anything else.
	start(*dropWatch) error
	// drop takes a sample. shown is false when it was left out.
	drop(*dropWatch, *render.DropLine) (shown bool, err error)
	// tick is called every second, after the counts were read.
	tick(*dropWatch) error
	// finish sums up; err says why the run ends early, nil when it does not.
	finish(*dropWatch) error
}

// dropTotals are the sums of a run; Counted = Hidden + Shown + NotShown.
type dropTotals struct {
	counted, hidden, shown uint64
}

func (t dropTotals) notShown() uint64 {
	return t.counted - min(t.counted, t.hidden+t.shown)
}

// whyGroup and placeGroup are what the table sums up by.
type whyGroup struct{ reason, location string }
type placeGroup struct{ place string }

// dropWatch is a run of 'nettrace drops'.
type dropWatch struct {
	ses      *drops.Session
	names    *dropNames
	filter   *dropFilter
	opt      *dropsOptions
	show     dropDisplay
	warn     func(string)
	attached time.Duration

	begin  time.Time
	polled time.Time
	totals dropTotals
	lost   drops.Lost
	why    drops.Table[whyGroup]
	where  drops.Table[placeGroup]
	quiet  map[string]uint64 // hidden drops by why they are no fault
	last   map[whyGroup]*render.DropLine
	main   map[placeGroup]string // the reason that a place drops most for
}

// maxLast bounds the samples that the table keeps.
const maxLast = 4096

// pollEvery is how often counts are read.
const pollEvery = time.Second

// run shows drops until the context ends, or as many or as long as was asked for.
func (w *dropWatch) run(ctx context.Context) error {
	w.begin = time.Now()
	w.last, w.quiet = map[whyGroup]*render.DropLine{}, map[string]uint64{}
	if err := w.setPods(); err != nil {
		return err
	}
	if err := w.show.start(w); err != nil {
		return err
	}
	if w.opt.started != nil {
		w.opt.started()
	}
	err := w.follow(ctx)
	if err == nil {
		err = w.drain()
	}
	if end := w.show.finish(w); err == nil {
		err = end
	}
	if err != nil {
		return err
	}
	if ctx.Err() != nil && (w.opt.duration > 0 || w.opt.count > 0) && !w.over() {
		return &exitError{code: exitInterrupted} // before what was asked for was there
	}
	return nil
}

// follow reads samples and, every second, the counts.
func (w *dropWatch) follow(ctx context.Context) error {
	var e tracer.Event
	next := w.begin.Add(pollEvery)
	for ctx.Err() == nil {
		now := time.Now()
		end := w.begin.Add(w.opt.duration)
		if w.over() || w.opt.duration > 0 && !now.Before(end) {
			return nil
		}
		if !now.Before(next) {
			if err := w.tick(ctx); err != nil {
				return err
			}
			next = now.Add(pollEvery)
		}
		until := min(next.Sub(now), 100*time.Millisecond) // a signal is noticed that fast
		if w.opt.duration > 0 {
			until = min(until, end.Sub(now))
		}
		ok, err := w.ses.Read(now.Add(until), &e)
		if err != nil {
			return err
		}
		if ok {
			if err := w.sample(&e); err != nil {
				return err
			}
		}
	}
	return nil
}

// over reports whether enough drops were shown.
func (w *dropWatch) over() bool {
	return w.opt.count > 0 && w.totals.shown >= uint64(w.opt.count)
}

// drain takes what came until the end: the samples that wait, and the last counts.
func (w *dropWatch) drain() error {
	if err := w.ses.Stop(); err != nil {
		return err
	}
	var e tracer.Event
	for deadline := time.Now().Add(200 * time.Millisecond); !w.over(); {
		ok, err := w.ses.Read(deadline, &e)
		if err != nil || !ok {
			break
		}
		if err := w.sample(&e); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			break
		}
		deadline = time.Now().Add(10 * time.Millisecond)
	}
	return w.poll()
}

func (w *dropWatch) setPods() error {
	if !w.opt.wantsPods() {
		return nil
	}
	return w.ses.SetPods(w.names.filter())
}

func (w *dropWatch) tick(ctx context.Context) error {
	if w.names.stale(time.Now()) {
		if err := w.names.refresh(ctx); err != nil {
			return err
		}
		if err := w.setPods(); err != nil {
			return err
		}
	}
	if err := w.poll(); err != nil {
		return err
	}
	return w.show.tick(w)
}

// poll reads the counts and sums them up.
func (w *dropWatch) poll() error {
	counts, lost, err := w.ses.Counts()
	if err != nil {
		return err
	}
	now := time.Now()
	since := now.Sub(w.polled)
	if w.polled.IsZero() {
		since = now.Sub(w.begin)
	}
	w.polled, w.lost = now, lost
	w.sum(counts, since)
	return nil
}

// sum takes the totals of all kinds.
func (w *dropWatch) sum(counts []drops.Count, since time.Duration) {
	w.totals.counted, w.totals.hidden = 0, 0
	clear(w.quiet)
	wanted := counts[:0]
	most := map[placeGroup]uint64{}
	w.main = map[placeGroup]string{}
	for i := range counts {
		c := &counts[i]
		c.Kind = c.Infer()
		if c.Packets == 0 || !w.filter.wants(&c.Kind) {
			continue
		}
		w.totals.counted += c.Packets
		if why := drops.Noise(&c.Kind); why != "" && !w.opt.all {
			w.totals.hidden += c.Packets
			w.quiet[why] += c.Packets
			continue
		}
		wanted = append(wanted, *c)
		if g := w.placeOf(c); c.Packets > most[g] {
			most[g], w.main[g] = c.Packets, shownReason(c.Reason)
		}
	}
	w.why.Update(wanted, func(c *drops.Count) (whyGroup, bool) { return whyOf(&c.Kind), true }, since)
	w.where.Update(wanted, func(c *drops.Count) (placeGroup, bool) { return w.placeOf(c), true }, since)
}

func (w *dropWatch) placeOf(c *drops.Count) placeGroup { return placeGroup{w.names.text(c.NetNS)} }

func whyOf(k *drops.Kind) whyGroup { return whyGroup{shownReason(k.Reason), k.Location} }

// shownReason is a reason as it is shown: kernels without reasons have none at most places.
func shownReason(reason string) string {
	if reason == "" {
		return "no reason given"
	}
	return reason
}

// kindOf is the kind that a sample was counted as.
func kindOf(e *tracer.Event) drops.Kind {
	k := drops.Kind{Location: e.Location, Reason: e.Reason, NetNS: e.NetNS, Ifindex: e.Ifindex, Proto: e.Tuple.Proto}
	switch {
	case e.Outer.Valid():
		k.Proto = e.Outer.Proto
	case e.Tuple.Proto == tracer.ProtoICMP:
		k.Type = e.ICMPType
		if e.Tuple.Src.Is6() {
			k.Proto = 58
		}
	case e.Tuple.Proto == tracer.ProtoTCP:
		k.Type = e.TCPFlags & 4
	}
	return k.Infer()
}

// lostText says what was not counted; "" when nothing was.
func (w *dropWatch) lostText() string {
	s := ""
	if w.lost.Uncounted > 0 {
		s = fmt.Sprintf("%d drops of further kinds are not in the table, which holds 4096 kinds", w.lost.Uncounted)
	}
	if w.lost.Unparsed > 0 {
		if s != "" {
			s += "; "
		}
		s += fmt.Sprintf("%d drops came while another one was being counted and are missing", w.lost.Unparsed)
	}
	return s
}
