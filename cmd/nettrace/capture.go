// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/pcap"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// capture is --pcap: it runs beside the trace and is written at its end, however that comes. A nil capture does nothing.
type capture struct {
	file    *os.File
	created bool // the file was not there before
	session *pcap.Session
	warn    func(string)
	clsact  bool   // as on kernels without tcx
	ring    uint32 // bytes; 0: the default
	wallNS  int64
	comment string
	until   uint64 // the trace was read up to here; later packets have no hops
	kept    kept
}

// openCapture creates the file, before anything is attached.
func openCapture(o *flowOptions) (*capture, error) {
	if o.pcap == "" {
		return nil, nil
	}
	_, absent := os.Stat(o.pcap)
	f, err := os.OpenFile(o.pcap, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create the capture file: %w", err)
	}
	c := &capture{file: f, created: absent != nil, clsact: o.clsact, ring: o.ringBytes}
	if isFile(f, o.record) {
		return nil, errors.Join(errors.New("--pcap and --record name the same file: give each its own"), c.finish())
	}
	return c, nil
}

// isFile reports whether a path, "" for none, leads to an open file.
func isFile(f *os.File, path string) bool {
	if path == "" {
		return false
	}
	a, err := f.Stat()
	b, berr := os.Stat(path)
	return err == nil && berr == nil && os.SameFile(a, b)
}

// start attaches beside a running trace.
func (c *capture) start(tr *tracer.Tracer, p *plan, warn func(string)) error {
	if c == nil {
		return nil
	}
	c.warn, c.wallNS = warn, time.Now().UnixNano()-int64(tracer.Now())
	c.comment = fmt.Sprintf("nettrace flow: %s %s to %s on %s", p.proto, p.src.text, p.dst.text, p.node)
	s, err := pcap.Start(tr, pcap.Options{Namespaces: captureNamespaces(p), Warn: warn, RingBytes: c.ring, Clsact: c.clsact, Guard: guardianOf(captureGuard)})
	c.session = s
	return err
}

// captureNamespaces are those of the scope, named as in the story.
func captureNamespaces(p *plan) []pcap.Namespace {
	known := places(p.before, p.names.index)
	out := make([]pcap.Namespace, 0, len(p.refs))
	for _, r := range p.refs {
		inode, err := netns.Inode(r.Path)
		if err != nil {
			continue // it ended since
		}
		out = append(out, pcap.Namespace{Path: r.Path, Label: placeLabel(&r, known[inode])})
	}
	return out
}

// placeLabel is "node1" for a node, "node1/pod shop/client" for what runs on it.
func placeLabel(r *netstate.Ref, p journey.Place) string {
	w := p.Where
	switch {
	case w == nil:
		return r.Node + "/netns " + r.Name
	case w.Kind == "host":
		return p.Node
	case w.Namespace != "":
		return p.Node + "/" + w.Kind + " " + w.Namespace + "/" + w.Name
	}
	return p.Node + "/" + w.Kind + " " + w.Name
}

// source notes up to when the trace was read.
func (c *capture) source(l *live) source {
	if c == nil {
		return l
	}
	return &captureClock{l, c}
}

type captureClock struct {
	*live
	c *capture
}

func (s *captureClock) Next() (tracer.Frame, error) {
	f, err := s.live.Next()
	if f.Tick != nil && s.closing <= 1 { // at the end the state is read again, the ring is not
		s.c.until = f.Tick.Now
	}
	return f, err
}

// watch sees the journeys on their way to the renderer.
func (c *capture) watch(r render.Renderer) render.Renderer {
	if c == nil {
		return r
	}
	return &captureJourneys{r, c}
}

type captureJourneys struct {
	render.Renderer
	c *capture
}

func (w *captureJourneys) Journey(j *journey.Journey) error {
	w.c.kept.take(j)
	return w.Renderer.Journey(j)
}

// finish detaches and writes the file. It is called once, after errors and interruptions too.
func (c *capture) finish() error {
	if c == nil {
		return nil
	}
	if c.session == nil {
		err := c.file.Close()
		if c.created { // no file is better than an empty one; what was there before, a pipe perhaps, is not ours
			err = errors.Join(err, os.Remove(c.file.Name()))
		}
		return err
	}
	got, err := c.session.Stop()
	f := pcap.File{Application: "nettrace " + version, Comment: c.comment, OS: "Linux " + tracer.Kernel(), Snap: pcap.MaxSnap, WallNS: c.wallNS,
		Devices: got.Devices, Journeys: c.kept.journeys}
	for _, p := range got.Packets {
		if p.Time <= c.until {
			f.Packets = append(f.Packets, p)
		}
	}
	if got.Lost > 0 {
		c.warn(fmt.Sprintf("%d packets could not be captured: the file lacks them", got.Lost))
	}
	return errors.Join(err, pcap.Write(c.file, &f), c.file.Close())
}
