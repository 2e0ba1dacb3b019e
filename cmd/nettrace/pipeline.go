// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/probe"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/tracer"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// The notes of a recording: what the steps after the tracer need besides events.
const (
	noteHeader  = "header"
	noteBefore  = "before"
	noteAfter   = "after"
	noteProbe   = "probe"
	noteSimilar = "similar"
	noteCluster = "cluster" // names; may come again with more
	noteTraced  = "traced"  // rules that the kernel told of, ahead of the events behind them; comes again and again
)

// header is the first note of a run.
type header struct {
	Start  render.Start `json:"start"`
	Scoped bool         `json:"scoped"`
	// WallNS is the wall clock less the monotonic clock, for the times of drops.
	WallNS int64 `json:"wallNs"`
	// DropReasons says that the kernel gives reasons; recordings from before this was told lack it.
	DropReasons bool `json:"dropReasons,omitempty"`
}

// source is the first step: live from the kernel, or a recording. Next returns io.EOF at the end of the run.
type source interface {
	Next() (tracer.Frame, error)
	Names() tracer.Names
}

// progress is what the pipeline tells a live source, which has to know when to stop.
type progress struct {
	open, requests, drops int
	sawPackets            bool
	unknown               []netip.Addr // addresses without a name, met since the last time
	// crossed are the namespaces, by inode, in which the flow was seen, and met the addresses that it went to or came from: both only grow.
	crossed map[uint32]bool
	met     map[netip.Addr]bool
	last    uint32 // the last one that was noted in crossed
	// dropped are packets that netfilter dropped, the first ones.
	dropped []netstate.Asked
}

// pipeline is the one place that sees every step: tracer → journey → names and rules → verdict → render.
type pipeline struct {
	out      render.Renderer
	dec      *tracer.Decoder
	asm      *journey.Assembler
	head     *header
	in       verdict.Input
	names    labeller
	progress progress
	kept     kept
	now      uint64 // monotonic, of the newest tick
	traced   *netstate.Traced
	untold   uint64 // times that records of rules were lost
}

// runPipeline takes a source to its end and returns the verdict. A recording that ends early is judged as far as it goes, with an error
// that says so beside the verdict.
func runPipeline(src source, out render.Renderer, addresses bool, tell func(progress)) (*verdict.Verdict, error) {
	p := &pipeline{out: out, dec: tracer.NewDecoder(src.Names()), names: labeller{addresses: addresses, unknown: map[netip.Addr]bool{}}}
	var early error
	for {
		f, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, tracer.ErrTruncated) {
			early = err
			break
		}
		if err == nil {
			err = p.take(f)
		}
		if err != nil {
			return nil, err
		}
		if tell != nil {
			tell(p.progress)
		}
	}
	if p.asm == nil {
		return nil, errors.Join(errors.New("the recording does not say which flow it followed"), early)
	}
	return p.finish(early)
}

func (p *pipeline) take(f tracer.Frame) error {
	switch {
	case f.Note != nil:
		return p.note(f.Note)
	case p.asm == nil:
		return errors.New("the recording has events before it says which flow they belong to")
	case f.Tick != nil:
		p.now = max(p.now, f.Tick.Now)
		p.asm.Advance(f.Tick.Now, f.Tick.Lost)
	case f.Event != nil:
		var e tracer.Event
		if err := p.dec.Decode(f.Event, &e); err != nil {
			return err
		}
		p.asm.Add(&e)
		if e.ID != 0 {
			p.progress.crosses(e.NetNS)
		}
		p.progress.sawPackets = p.progress.sawPackets || e.ID != 0
	}
	return p.emit()
}

func (p *pipeline) note(n *tracer.Note) error {
	var cluster clusterNote
	var traced tracedNote
	into := map[string]func() any{
		noteHeader:  func() any { p.head = &header{}; return p.head },
		noteBefore:  func() any { p.in.Before = &netstate.Snapshot{}; return p.in.Before },
		noteAfter:   func() any { p.in.After = &netstate.Snapshot{}; return p.in.After },
		noteProbe:   func() any { p.in.Probe = &probe.Result{}; return p.in.Probe },
		noteSimilar: func() any { return &p.in.Similar },
		noteCluster: func() any { return &cluster },
		noteTraced:  func() any { return &traced },
	}[n.Name]
	if into == nil {
		return nil // of a newer version
	}
	if err := json.Unmarshal(n.JSON, into()); err != nil {
		return fmt.Errorf("read the recording's %s: %w", n.Name, err)
	}
	if n.Name == noteProbe && !p.in.Probe.Result.Known() {
		return fmt.Errorf("the recording's probe has the result %.40q, which this nettrace does not know: replay it with the version that made it", p.in.Probe.Result)
	}
	p.rules(&traced)
	if n.Name == noteCluster {
		p.names.learn(&cluster)
		p.names.see(p.in.Before)
	}
	// the snapshot comes right behind the header, and names between them
	if n.Name == noteBefore && p.head != nil && p.asm == nil {
		p.in.Flow, p.in.DropReasons = p.head.Start.Flow, p.head.DropReasons
		p.names.see(p.in.Before)
		p.asm = journey.New(journey.Options{Places: places(p.in.Before, p.names.index), Scoped: p.head.Scoped, IsLocal: p.in.Before.LocalIn(),
			BridgeOf: p.in.Before.BridgeOf(), Backends: backends(p.head.Start.Points)})
		p.head.Start.Nodes = watchedNodes(p.in.Before, &p.in.Flow)
		return p.out.Start(p.head.Start)
	}
	return nil
}

// rules keeps what the kernel told of rules for the journeys that follow.
func (p *pipeline) rules(n *tracedNote) {
	for i := range n.Records {
		if p.traced == nil {
			p.traced = &netstate.Traced{}
		}
		p.traced.Add(p.in.Before, &n.Records[i])
	}
	p.untold = max(p.untold, n.Lost)
}

// backends says by name how each point was attached.
func backends(points []tracer.PointStatus) map[string]string {
	m := map[string]string{}
	for _, p := range points {
		if p.Attached {
			m[p.Name] = p.Backend
		}
	}
	return m
}

// emit hands on what the assembler has ready: drops first, since they are news.
func (p *pipeline) emit() error {
	drops, done := p.asm.Drops(), p.asm.Done()
	for i := range done {
		j := &done[i]
		j.At = p.wall(j.Start)
		netstate.Attribute(p.in.Before, p.traced, j)
		p.names.label(j)
		journey.Describe(j, p.names.words())
	}
	for _, d := range drops {
		p.progress.drops++
		h := d.Hop
		for i := range done { // with its rule and sentence
			if k := done[i].DropHop(); done[i].ID == d.Journey && k >= 0 {
				h = done[i].Hops[k]
			}
		}
		when := p.wall(d.Time).Format(time.RFC3339Nano)
		if err := p.out.Drop(render.Drop{Kind: "drop", Time: when, Journey: d.Journey, Hop: h}); err != nil {
			return err
		}
	}
	for i := range done {
		j := &done[i]
		p.progress.meet(j)
		if j.Direction == journey.Request && j.Attempt == 1 {
			p.progress.requests++
		}
		p.kept.take(j)
		if err := p.out.Journey(j); err != nil {
			return err
		}
	}
	p.progress.open = p.asm.OpenLen()
	p.progress.unknown = p.names.wanted()
	return nil
}

// wall is a monotonic time by the node's wall clock.
func (p *pipeline) wall(ns uint64) time.Time { return time.Unix(0, int64(ns)+p.head.WallNS).UTC() }

// maxMet bounds the addresses that are remembered of a run; a flow has few.
const maxMet = 1024

// crosses notes that the flow was seen in a namespace.
func (p *progress) crosses(inode uint32) {
	if inode == p.last {
		return
	}
	if p.last = inode; p.crossed == nil {
		p.crossed = map[uint32]bool{}
	}
	p.crossed[inode] = true
}

// meet notes between which addresses a journey was, and whether netfilter ended it.
func (p *progress) meet(j *journey.Journey) {
	if p.met == nil {
		p.met = map[netip.Addr]bool{}
	}
	const mostDropped = 16
	if k := j.DropHop(); k >= 0 && j.Hops[k].Hook != "" && j.Hops[k].Outer == nil && len(p.dropped) < mostDropped {
		p.dropped = append(p.dropped, netstate.Asked{NetNS: j.Hops[k].NetNS, Proto: j.Packet.Proto, Tuple: j.TupleAt(k)})
	}
	for i := range j.Hops {
		t := j.TupleAt(i)
		for _, a := range []netip.Addr{t.Src, t.Dst} {
			if len(p.met) < maxMet {
				p.met[a] = true
			}
		}
	}
}

func (p *pipeline) finish(early error) (*verdict.Verdict, error) {
	p.asm.Flush()
	if err := p.emit(); err != nil {
		return nil, err
	}
	p.in.Journeys = p.kept.journeys
	journey.SortByID(p.in.Journeys)
	p.in.Lost = p.asm.Lost()
	if p.names.index != nil {
		p.in.Name, p.in.Policies = p.names.name, p.names.policies
	}
	v := verdict.Judge(&p.in)
	if p.now > 0 {
		v.Time = p.wall(p.now)
	}
	if p.kept.skipped > 0 {
		v.Evidence = append(v.Evidence, fmt.Sprintf("%d further packets were followed and not judged", p.kept.skipped))
	}
	if p.untold > 0 {
		v.Evidence = append(v.Evidence, fmt.Sprintf("records of rules were lost %d times: rules that they would have named are inferred", p.untold))
	}
	if early != nil {
		v.Evidence = append(v.Evidence, early.Error())
		if v.Confidence == verdict.Confirmed { // what came after it may say something else
			v.Confidence = verdict.Likely
		}
	}
	if err := p.out.Verdict(&v); err != nil {
		return nil, err
	}
	return &v, early
}
