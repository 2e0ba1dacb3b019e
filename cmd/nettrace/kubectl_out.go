// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/nettrace-io/nettrace/pkg/merge"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// podOutput shows what the programs on the nodes write.
type podOutput interface {
	// open gives what takes a node's lines, and what says that no more come. watches is to be called when the node's program watches.
	open(node string, watches func()) (line func([]byte) error, done func())
	// show shows until no node has more.
	show(ctx context.Context) error
	// together reports whether the nodes end when the first one does.
	together() bool
	// conclude turns how the programs ended into the command's error, which has the exit code.
	conclude(ctx context.Context, nodes []*podNode, shown error) error
}

func newPodOutput(s streams, o *output, p podCommand, r *podRun) podOutput {
	if p.story {
		return &storyOutput{s: s, o: o, say: r.say}
	}
	return &plainOutput{s: s, several: func() bool { return len(r.nodes) > 1 }, blocks: !p.objects && o.format != "json", json: o.format == "json"}
}

// storyOutput makes one story of the records of all nodes.
type storyOutput struct {
	s       streams
	o       *output
	say     func(string)
	sources []merge.Source
	pipes   []*io.PipeReader
	verdict *verdict.Verdict
}

func (t *storyOutput) together() bool { return true }

func (t *storyOutput) open(node string, watches func()) (func([]byte) error, func()) {
	r, w := io.Pipe()
	t.sources = append(t.sources, merge.Source{Name: node, R: r})
	t.pipes = append(t.pipes, r)
	line := func(b []byte) error {
		if bytes.HasPrefix(b, []byte(`{"kind":"start"`)) {
			watches()
		}
		_, err := w.Write(append(bytes.Clone(b), '\n'))
		return err
	}
	return line, func() { _ = w.Close() }
}

func (t *storyOutput) show(ctx context.Context) (err error) {
	defer func() { // whoever still writes is told that nobody reads
		for _, p := range t.pipes {
			_ = p.CloseWithError(errors.Join(errStopped, err))
		}
	}()
	out, err := t.o.renderer(t.s)
	if err != nil {
		return err
	}
	if len(t.sources) > 1 {
		t.verdict, err = merge.Run(context.WithoutCancel(ctx), t.sources, out, merge.Options{Live: true, Warn: t.say})
		return err
	}
	return t.one(out)
}

// errStopped ends a program whose output nobody takes any more.
var errStopped = errors.New("the output is closed")

// one shows the records of a single node as that node's own run would.
func (t *storyOutput) one(out render.Renderer) error {
	r := merge.NewReader(t.sources[0].R, t.sources[0].Name)
	for {
		rec, err := r.Next()
		var bad *merge.LineError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &bad):
			t.say(bad.Error())
			continue
		case err != nil:
			return err
		case rec.Start != nil:
			err = out.Start(*rec.Start)
		case rec.Drop != nil:
			err = out.Drop(*rec.Drop)
		case rec.Journey != nil:
			err = out.Journey(rec.Journey)
		case rec.Verdict != nil:
			t.verdict = rec.Verdict
			err = out.Verdict(rec.Verdict)
		}
		if err != nil {
			return err
		}
	}
}

func (t *storyOutput) conclude(ctx context.Context, nodes []*podNode, shown error) error {
	lead := nodes[0]
	switch {
	case shown != nil && len(nodes) == 1:
		return errors.Join(lead.err, shown)
	case len(nodes) == 1 && lead.err == nil && (t.verdict != nil || ctx.Err() == nil):
		return ended(lead) // what that node's own run says
	case t.verdict != nil && ctx.Err() == nil:
		return conclude(ctx, t.verdict, errors.Join(lead.err, shown))
	case t.verdict != nil: // that the leading node did not end in order is what was asked for
		return conclude(ctx, t.verdict, shown)
	case ctx.Err() != nil:
		return &exitError{code: exitInterrupted}
	case lead.err != nil:
		return lead.err
	case shown != nil && hasVerdict(lead.result.Code):
		return shown
	}
	return ended(lead)
}

// hasVerdict reports whether a program ended with a verdict: any other end it has said itself.
func hasVerdict(code int) bool { return code == exitOK || code == exitVerdict || code == exitUnseen }

// ended is how a program in a pod ended that said why on stderr.
func ended(n *podNode) error {
	switch {
	case n.err != nil:
		return n.err
	case n.result.Code == exitOK:
		return nil
	case !exitOf(n.result.Code):
		return fmt.Errorf("nettrace on node %s was ended with exit code %d: did it run out of memory (137)? 'kubectl get events' may tell, and --keep leaves the pod there", n.name, n.result.Code)
	}
	return &exitError{code: n.result.Code}
}

// plainOutput shows each node's lines as they are; what is no JSON has no control characters.
type plainOutput struct {
	s       streams
	several func() bool
	blocks  bool // a node's lines are shown together at its end
	json    bool
	mu      sync.Mutex
}

func (t *plainOutput) together() bool             { return false }
func (t *plainOutput) show(context.Context) error { return nil }

func (t *plainOutput) open(node string, watches func()) (func([]byte) error, func()) {
	var block []string
	line := func(b []byte) error {
		watches()
		text := string(b)
		if !t.json {
			text = render.Escape(text)
		}
		if t.blocks {
			t.mu.Lock() // a line can be under way when the run is called off
			defer t.mu.Unlock()
			block = append(block, text)
			return nil
		}
		if t.several() && !t.json {
			text = node + ": " + text
		}
		return t.put(text)
	}
	return line, func() {
		t.mu.Lock()
		all := block
		t.mu.Unlock()
		if len(all) == 0 {
			return
		}
		if t.several() {
			all = append([]string{"node " + node}, all...)
		}
		_ = t.put(strings.Join(all, "\n"))
	}
}

func (t *plainOutput) put(text string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, err := fmt.Fprintln(t.s.out, text); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// conclude gives the worst of the nodes' exit codes: what could not be done comes first.
func (t *plainOutput) conclude(ctx context.Context, nodes []*podNode, _ error) error {
	rank := map[int]int{exitUsage: 5, exitPrivileges: 4, exitVerdict: 3, exitUnseen: 2, exitInterrupted: 1}
	var worst error
	most := 0
	for _, n := range nodes {
		err := ended(n)
		if ctx.Err() != nil && n.err != nil {
			err = &exitError{code: exitInterrupted}
		}
		code := exitUsage
		var ee *exitError
		if errors.As(err, &ee) {
			code = ee.code
		}
		if err != nil && rank[code] > most {
			worst, most = err, rank[code]
		}
	}
	var ee *exitError
	if worst != nil && len(nodes) > 1 && !errors.As(worst, &ee) {
		return &exitError{code: exitUsage} // it has been said
	}
	return worst
}
