// SPDX-License-Identifier: Apache-2.0

package debugpod

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
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
	r := newReading(o)
	in := &firstRead{r: input}
	cutErr := s.attachWith(ctx, name, in, r)
	if err := r.failure(); err != nil {
		return Result{}, err
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
	if !r.isWhole() { // a connection that was cut can look like one that was closed
		s.recover(name, node, r, &res)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("the pod on node %s has not ended within %v after its connection did: is the node there? 'kubectl get node %s' tells", node, endWithin, node)
	}
	r.finish(node, &res)
	return res, errors.Join(err, r.failure())
}

func (s *Session) endedWithin(ctx context.Context, name, node string, d time.Duration) (int, error) {
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), d)
	defer cancel()
	return s.Ended(late, name, node)
}

// attachWith attaches, again when it could not.
func (s *Session) attachWith(ctx context.Context, name string, in *firstRead, r *reading) error {
	defer r.detach()
	out, errs := &Lines{Each: r.attached(r.outLine)}, &Lines{Each: r.attached(r.errLine)}
	for try := 1; ; try++ {
		err := s.Attach(ctx, name, Streams{In: in, Out: out, Err: errs})
		if err == nil {
			if line, ok := out.Flush(); ok {
				_ = r.outLine(line, true)
			}
			if line, ok := errs.Flush(); ok {
				_ = r.errLine(line, true)
			}
		}
		r.passedOver(out, errs)
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

// reading hands lines on, each once. The attach has a goroutine for each of the program's streams, and client-go leaves them behind when it is
// aborted: what they still bring then is refused, and read from the log.
type reading struct {
	out, errs oneStream

	mu          sync.Mutex // for what follows, and for what was seen of both streams; not held while a line is handed on, which may block
	long, taken int
	whole       bool  // the end mark came
	detached    bool  // the attach is over
	err         error // of the callee
}

// oneStream is one of a program's streams.
type oneStream struct {
	hand sync.Mutex // held while a line is handed on: they go on one by one, in their order
	to   func([]byte) error
	seen *Resumed
}

func newReading(o Output) *reading {
	return &reading{out: oneStream{to: o.Out, seen: NewResumed()}, errs: oneStream{to: o.Err, seen: NewResumed()}}
}

// errDetached ends who still copies from an attach that was aborted.
var errDetached = errors.New("the attach is over")

func (r *reading) detach() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.detached = true
}

// attached is what takes an attach's lines.
func (r *reading) attached(take func([]byte, bool) error) func([]byte) error {
	return func(b []byte) error { return take(b, true) }
}

func (r *reading) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *reading) isWhole() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.whole
}

func (r *reading) passedOver(all ...*Lines) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range all {
		r.long += int(l.Long.Load())
	}
}

func (r *reading) outLine(b []byte, live bool) error { return r.take(&r.out, b, live) }
func (r *reading) errLine(b []byte, live bool) error {
	if string(b) == EndMark {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.whole = true
		return nil
	}
	return r.take(&r.errs, b, live)
}

// take hands on a line that is new; live is false for one from the log.
func (r *reading) take(l *oneStream, b []byte, live bool) error {
	l.hand.Lock()
	defer l.hand.Unlock()
	if fresh, err := r.admit(l, b, live); !fresh {
		return err
	}
	err := l.to(b)
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.err = cmp.Or(r.err, err)
	}
	return err
}

// admit reports whether a line is to be handed on.
func (r *reading) admit(l *oneStream, b []byte, live bool) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if live && r.detached {
		return false, errDetached
	}
	if !l.seen.New(b) {
		return false, nil
	}
	r.taken++
	return true, nil
}

// again says that both streams begin anew, and returns how many lines were handed on before.
func (r *reading) again() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out.seen.Again()
	r.errs.seen.Again()
	return r.taken
}

func (r *reading) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken
}

// stderrPrefix begins what the program writes to stderr; a log has both streams.
var stderrPrefix = []byte("nettrace: ")

// either takes a line of the log.
func (r *reading) either(b []byte) error {
	if bytes.HasPrefix(b, stderrPrefix) {
		return r.errLine(b, false)
	}
	return r.outLine(b, false)
}

// recover reads from the log what a cut connection did not bring. A log stream that is cut is read again.
func (s *Session) recover(name, node string, r *reading, res *Result) {
	ctx, cancel := context.WithTimeout(context.Background(), logWithin)
	defer cancel()
	var err error
	for try := 1; try <= attempts && ctx.Err() == nil; try++ {
		before := r.again()
		if err = s.readLog(ctx, name, r); err == nil && r.count() == before {
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
	r.passedOver(lines)
	return err
}

func (r *reading) finish(node string, res *Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.out.seen.Gap {
		res.Notes = append(res.Notes, fmt.Sprintf("a part of what the pod on node %s wrote is missing: its log was cut off meanwhile", node))
	}
	if r.long > 0 {
		res.Notes = append(res.Notes, fmt.Sprintf("%d lines of the pod on node %s were longer than %d MiB and are missing", r.long, node, MaxLine>>20))
	}
}
