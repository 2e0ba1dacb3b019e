// SPDX-License-Identifier: Apache-2.0

package debugpod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"
)

// Output takes what a program writes, line by line. Both are called from one goroutine at a time each.
type Output struct {
	Out, Err func(line []byte) error
}

// Result is how a program ended.
type Result struct {
	Code int // exit code
	// Notes say what of the output is missing, or that the run was shorter than asked for: one sentence each.
	Notes []string
}

// How long things are waited for once the connection has ended: the pod's end, which takes its time when the connection was cut and the
// program ends because of that; and its log.
const (
	soonEnded = 3 * time.Second
	endWithin = 40 * time.Second
	logWithin = 30 * time.Second
	attempts  = 4
)

// EndMark is the last line that a program writes to stderr: what was read up to it is all.
const EndMark = "nettrace: end of output"

// Run feeds a started program with an input and hands on its output until it ends. When the connection is cut, the program ends with its
// stdin, and what it wrote meanwhile is read from its log. The error says in one sentence why there is no exit code; what was written until
// then has been handed on.
func (s *Session) Run(ctx context.Context, name, node string, input io.Reader, o Output) (Result, error) {
	r := &reading{Output: o, outSeen: NewResumed(), errSeen: NewResumed()}
	in := &firstRead{r: input}
	cutErr := s.attachWith(ctx, name, in, r)
	if r.err != nil {
		return Result{}, r.err
	}
	if ctx.Err() != nil && !s.deletedByUs(name) {
		return Result{}, ctx.Err()
	}
	if cutErr != nil && !in.began.Load() && !s.hasEnded(name) {
		return Result{}, attachTrouble(cutErr, node, s.opt.Namespace)
	}
	code, err := s.endedWithin(ctx, name, node, soonEnded)
	if errors.Is(err, context.DeadlineExceeded) {
		code, err = s.endedWithin(ctx, name, node, endWithin)
	}
	res := Result{Code: code}
	if !r.whole { // a connection that was cut can look like one that was closed
		s.recover(name, node, r, &res)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("the pod on node %s has not ended within %v after its connection did: is the node there? 'kubectl get node %s' tells", node, endWithin, node)
	}
	r.finish(node, &res)
	return res, errors.Join(err, r.err)
}

func (s *Session) endedWithin(ctx context.Context, name, node string, d time.Duration) (int, error) {
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), d)
	defer cancel()
	return s.Ended(late, name, node)
}

// attachWith attaches, again when it could not.
func (s *Session) attachWith(ctx context.Context, name string, in *firstRead, r *reading) error {
	out, errs := &Lines{Each: r.out}, &Lines{Each: r.errLine}
	for try := 1; ; try++ {
		err := s.Attach(ctx, name, Streams{In: in, Out: out, Err: errs})
		if err == nil {
			if line, ok := out.Flush(); ok {
				_ = r.out(line)
			}
			if line, ok := errs.Flush(); ok {
				_ = r.errLine(line)
			}
		}
		r.long += out.Long + errs.Long
		if err == nil || in.began.Load() || try == attempts || forbidden(err) || s.hasEnded(name) {
			return err
		}
		select {
		case <-time.After(time.Duration(try) * 300 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func forbidden(err error) bool { return strings.Contains(strings.ToLower(err.Error()), "forbidden") }

func (s *Session) hasEnded(name string) bool {
	p, known, _, _ := s.state(name)
	if !known || p == nil {
		return known
	}
	st, _ := look(p, nil)
	return st == ended || st == hopeless
}

func attachTrouble(err error, node, namespace string) error {
	if forbidden(err) {
		return fmt.Errorf("RBAC does not allow you to create pods/attach in namespace %s: ask for that right, or use another --context or --pod-namespace", namespace)
	}
	return fmt.Errorf("the API server does not connect to the pod on node %s: %s; can it reach the node's kubelet (port 10250)?", node, oneLine(err))
}

// firstRead notes that somebody has begun to read: the connection was there.
type firstRead struct {
	r     io.Reader
	began atomic.Bool
}

func (f *firstRead) Read(p []byte) (int, error) {
	f.began.Store(true)
	return f.r.Read(p)
}

// reading hands lines on, each once.
type reading struct {
	Output
	outSeen, errSeen *Resumed
	long, taken      int
	whole            bool  // the end mark came
	err              error // of the callee
}

func (r *reading) out(line []byte) error { return r.take(r.outSeen, r.Out, line) }
func (r *reading) errLine(line []byte) error {
	if string(line) == EndMark {
		r.whole = true
		return nil
	}
	return r.take(r.errSeen, r.Err, line)
}

func (r *reading) take(seen *Resumed, to func([]byte) error, line []byte) error {
	if !seen.New(line) {
		return nil
	}
	r.taken++
	if err := to(line); err != nil && r.err == nil {
		r.err = err
	}
	return r.err
}

// stderrPrefix begins what the program writes to stderr; a log has both streams.
var stderrPrefix = []byte("nettrace: ")

func (r *reading) either(line []byte) error {
	if bytes.HasPrefix(line, stderrPrefix) {
		return r.errLine(line)
	}
	return r.out(line)
}

// recover reads from the log what a cut connection did not bring. A log stream that is cut is read again.
func (s *Session) recover(name, node string, r *reading, res *Result) {
	ctx, cancel := context.WithTimeout(context.Background(), logWithin)
	defer cancel()
	var err error
	for try := 1; try <= attempts && ctx.Err() == nil; try++ {
		r.outSeen.Again()
		r.errSeen.Again()
		before := r.taken
		if err = s.readLog(ctx, name, r); err == nil && r.taken == before {
			return // nothing was missing: the program was killed
		}
		if err == nil {
			res.Notes = append(res.Notes, fmt.Sprintf("the connection to the pod on node %s was cut: its run ended there; what it wrote was read from its log", node))
			return
		}
		select {
		case <-time.After(time.Duration(try) * 300 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	res.Notes = append(res.Notes, fmt.Sprintf("the connection to the pod on node %s was cut, and its log cannot be read (%s): what it wrote after the cut is missing", node, oneLine(Explain(err, "get pods/log", s.opt.Namespace))))
}

// readLog reads the whole log of a program that has ended, or is about to.
func (s *Session) readLog(ctx context.Context, name string, r *reading) error {
	body, err := s.c.log(ctx, s.opt.Namespace, name, true)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := &Lines{Each: r.either}
	_, err = io.Copy(lines, body)
	r.long += lines.Long
	return err
}

func (r *reading) finish(node string, res *Result) {
	if r.outSeen.Gap {
		res.Notes = append(res.Notes, fmt.Sprintf("a part of what the pod on node %s wrote is missing: its log was cut off meanwhile", node))
	}
	if r.long > 0 {
		res.Notes = append(res.Notes, fmt.Sprintf("%d lines of the pod on node %s were longer than %d MiB and are missing", r.long, node, MaxLine>>20))
	}
}
