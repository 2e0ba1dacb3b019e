// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/probe"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// liveOptions say when a live run ends.
type liveOptions struct {
	timeout   time.Duration // 0: until interrupted
	count     int           // connections to follow; 0: no limit
	untilDrop bool
	probe     *probe.Request
	variants  []probe.Variant // to compare it with
	warn      func(string)    // one sentence on stderr
	// lookup asks who has addresses that were met; nil when there is nobody to ask.
	lookup func(context.Context, []netip.Addr) clusterNote
}

// live is a source that reads the kernel. Everything that it hands out also goes into the recording, so that a replay sees the same.
type live struct {
	ctx      context.Context
	tr       *tracer.Tracer
	opt      liveOptions
	rec      *tracer.Capture // nil without --record
	rules    *ruleTrace      // nil without --trace-rules
	refs     []netstate.Ref
	before   *netstate.Snapshot
	mayCross func(*netstate.Namespace) bool // whether the flow was expected in a namespace
	pending  []tracer.Frame
	record   ringbuf.Record
	newest   uint64    // time of the newest event so far
	tick     time.Time // of the next tick
	end      time.Time // zero: none
	hush     time.Time // when to say that nothing was seen; zero: said
	progress progress
	probed   chan sent
	unsent   error // why no probe could be sent at all
	probing  bool
	settle   time.Time // after the probe: how long to wait for the last packets
	closing  int
	begun    bool
	unsaved  bool             // the last event is not yet in the recording
	asked    chan clusterNote // an answer is on its way; nil: none
	unknown  []netip.Addr     // to ask for next
}

const (
	tickEvery  = 50 * time.Millisecond
	silentFor  = 5 * time.Second
	settleTime = 400 * time.Millisecond
)

func (l *live) Names() tracer.Names {
	if l.rec != nil {
		return l.rec
	}
	return l.tr.Names()
}

// note queues a named value for the pipeline and the recording.
func (l *live) note(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("describe %s: %w", name, err)
	}
	l.pending = append(l.pending, tracer.Frame{Note: &tracer.Note{Name: name, JSON: b}})
	return nil
}

// Next implements source.
func (l *live) Next() (tracer.Frame, error) {
	if l.unsaved { // the pipeline has decoded it meanwhile, which stored the names that it needs
		l.rec.Event(l.record.RawSample)
		l.unsaved = false
	}
	for {
		if len(l.pending) > 0 {
			f := l.pending[0]
			l.pending = l.pending[1:]
			if f.Note != nil && l.rec != nil {
				l.rec.Note(f.Note.Name, json.RawMessage(f.Note.JSON))
			}
			l.unsaved = f.Event != nil && l.rec != nil
			return f, nil
		}
		if l.closing > 0 {
			return l.finale()
		}
		if !l.begun {
			l.begin()
		}
		if now := time.Now(); now.After(l.tick) {
			l.tick = now.Add(tickEvery)
			if err := l.tellRules(); err != nil {
				return tracer.Frame{}, err
			}
			if l.over(now) {
				l.closing = 1
			}
			if l.unsent != nil {
				return tracer.Frame{}, l.unsent
			}
			return l.ticked()
		}
		ok, err := l.tr.Read(l.tick, &l.record)
		if err != nil {
			return tracer.Frame{}, err
		}
		if ok {
			l.newest = max(l.newest, tracer.RecordTime(l.record.RawSample))
			if err := l.tellRules(); err != nil { // they were told before the packet came to this event
				return tracer.Frame{}, err
			}
			l.pending = append(l.pending, tracer.Frame{Event: l.record.RawSample})
		}
	}
}

// begin starts the clocks and the probe once the pipeline is ready.
func (l *live) begin() {
	l.begun = true
	now := time.Now()
	if l.opt.timeout > 0 {
		l.end = now.Add(l.opt.timeout)
	}
	if l.opt.probe == nil {
		l.hush = now.Add(silentFor)
		return
	}
	l.probing, l.probed = true, make(chan sent, 1)
	go func() { l.probed <- l.send() }()
}

// sent is what came of the probes.
type sent struct {
	result *probe.Result // nil: none was sent
	err    error         // why not
}

// send makes the probes one after the other; the last result that is no success is the one that is judged.
func (l *live) send() sent {
	var worst *probe.Result
	for range max(l.opt.count, 1) {
		r, err := probe.Send(l.ctx, *l.opt.probe)
		if err != nil && (worst == nil || l.ctx.Err() != nil) {
			return sent{worst, err}
		}
		if err != nil {
			l.opt.warn(err.Error() + "; those before are judged")
			break
		}
		if worst == nil || r.Result != probe.Connected {
			worst = r
		}
		if l.ctx.Err() != nil {
			break
		}
	}
	if worst != nil && len(l.opt.variants) > 0 {
		var err error
		if worst.Compare, err = probe.Compare(l.ctx, *l.opt.probe, l.opt.variants); err != nil {
			l.opt.warn(err.Error())
		}
	}
	return sent{result: worst}
}

func (l *live) ticked() (tracer.Frame, error) {
	lost, err := l.tr.Lost()
	if err != nil {
		return tracer.Frame{}, err
	}
	t := tracer.Tick{Now: tracer.Now(), Lost: lost}
	if l.closing == 0 && l.tr.Pending() { // what has not been read yet may be older: a busy reader is no silence of the packets
		t.Now = l.newest
	}
	if l.rec != nil {
		l.rec.Tick(t.Now, t.Lost)
	}
	return tracer.Frame{Tick: &t}, nil
}

// over decides at a tick whether the run ends.
func (l *live) over(now time.Time) bool {
	if l.progress.sawPackets && !l.hush.IsZero() {
		l.hush = time.Time{}
		_ = l.tr.StopSimilar()
	}
	if !l.hush.IsZero() && now.After(l.hush) {
		l.hush = time.Time{}
		l.opt.warn(silence(l.similar()))
	}
	l.ask(0)
	if l.probing {
		select {
		case r := <-l.probed:
			l.probing = false
			l.settle = now.Add(settleTime)
			if r.result != nil {
				_ = l.note(noteProbe, r.result)
			} else if l.ctx.Err() == nil {
				l.unsent = r.err
			}
		default:
		}
	}
	switch {
	case l.ctx.Err() != nil:
		return true
	case l.opt.probe != nil && !l.probing && l.tr.Pending():
		return now.After(l.settle.Add(10 * time.Second))
	case l.opt.untilDrop && l.progress.drops > 0:
		return true
	case l.opt.probe != nil:
		return !l.probing && now.After(l.settle) && (l.progress.open == 0 || now.After(l.settle.Add(2*time.Second)))
	case l.opt.count > 0 && l.progress.requests >= l.opt.count && l.progress.open == 0:
		return true
	}
	return !l.end.IsZero() && now.After(l.end)
}

// ask has the names of addresses looked up beside the trace, and hands on what came; it waits up to a time for an answer that is on its way.
func (l *live) ask(wait time.Duration) {
	if l.opt.lookup == nil {
		return
	}
	if l.asked != nil {
		select {
		case n := <-l.asked:
			l.asked = nil
			if !n.Objects.Empty() {
				_ = l.note(noteCluster, n)
			}
		case <-time.After(wait):
			return
		}
	}
	if len(l.unknown) == 0 {
		return
	}
	ips, answer := l.unknown, make(chan clusterNote, 1)
	l.unknown, l.asked = nil, answer
	go func() { answer <- l.opt.lookup(l.ctx, ips) }()
}

// finale tells what the run ends with, in order.
func (l *live) finale() (tracer.Frame, error) {
	l.closing++
	switch l.closing {
	case 2:
		if err := l.tellRules(); err != nil {
			return tracer.Frame{}, err
		}
		l.ask(time.Second)
		l.ask(time.Second)
		if s := l.similar(); !l.progress.sawPackets && len(s) > 0 {
			if err := l.note(noteSimilar, s); err != nil {
				return tracer.Frame{}, err
			}
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), 20*time.Second)
		defer cancel()
		if err := l.note(noteAfter, l.before.ReadAgain(ctx, l.refs, l.crossed, l.progress.dropped...)); err != nil {
			return tracer.Frame{}, err
		}
		return l.Next()
	case 3:
		return l.ticked()
	}
	return tracer.Frame{}, io.EOF
}

// crossed reports whether the flow has come into a namespace, or was on its way to it.
func (l *live) crossed(n *netstate.Namespace) bool {
	if n.Host || len(l.refs) <= fewNamespaces || l.progress.crossed[n.Inode] || l.mayCross(n) {
		return true
	}
	for a := range l.progress.met {
		if !a.IsLoopback() && n.IsLocal(a) {
			return true
		}
	}
	return false
}

// similar puts near misses into sentences.
func (l *live) similar() []string {
	var out []string
	for _, n := range l.tr.Similar() {
		if len(out) == 5 {
			break
		}
		t := n.Tuple
		dst := t.Dst.String()
		if t.Dport != 0 && t.Proto != tracer.ProtoICMP {
			dst = netip.AddrPortFrom(t.Dst, t.Dport).String()
		}
		out = append(out, fmt.Sprintf("similar traffic: %d packets %s %s → %s", n.Packets, journey.ProtoName(t.Proto), t.Src, dst))
	}
	return out
}

func silence(similar []string) string {
	s := fmt.Sprintf("nothing matching was seen in %v", silentFor)
	for _, x := range similar {
		s += "; " + x
	}
	return s + "; --probe sends a test connection"
}
