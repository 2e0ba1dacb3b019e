// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/pkg/debugpod"
	"github.com/nettrace-io/nettrace/pkg/render"
)

// How long programs in pods get to end in order, and how long it is waited for that their pods are gone.
const (
	podGrace = 2 * time.Second
	podGone  = 8 * time.Second
	// patientGrace is for programs that have something of the node to put back (--trace-rules), and where nobody waits.
	patientGrace = 20 * time.Second
	// begunWithin is how long the node that leads waits for the others to watch.
	begunWithin = 30 * time.Second
)

// podRun is one run of a command in pods.
type podRun struct {
	s       streams
	o       *podOptions
	session *debugpod.Session
	nodes   []*podNode
	grace   time.Duration
	until   bool // --until-drop: whoever sees the first drop ends all
	say     func(string)
}

// podNode is the program on one node.
type podNode struct {
	name   string
	args   []string
	input  []byte
	out    func([]byte) error // takes lines of stdout
	close  func()             // no more lines come
	begun  chan struct{}      // closed when it watches, or will not
	once   sync.Once
	drop   atomic.Bool // it told of one
	result debugpod.Result
	err    error
}

func (n *podNode) watches() { n.once.Do(func() { close(n.begun) }) }

// runPods is the whole of a command in pods: find the nodes, make the pods, show what they say, delete them.
func runPods(c *cobra.Command, s streams, o *podOptions, out *output, p podCommand, args []string) (err error) {
	ctx := c.Context()
	var mu sync.Mutex
	say := func(msg string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(s.err, "nettrace: %s\n", render.Escape(msg))
	}
	k, err := o.kube.connect()
	if err != nil {
		return err
	}
	plan, err := planPods(ctx, k, c, o, p, args, say)
	if err != nil {
		return err
	}
	input := []byte("\n")
	if p.objects {
		if input, err = plan.objects.List(); err != nil {
			return err
		}
	}
	guard := startGuard(c, say)
	clean := false
	defer func() { guard.done(clean) }()
	r := &podRun{s: s, o: o, say: say, until: given(c, "until-drop"), grace: podGrace}
	if given(c, "trace-rules") {
		r.grace = patientGrace
	}
	r.session = k.pods.NewSession(debugpod.Options{Namespace: k.podNamespace, Keep: o.keep, Say: say, Grace: r.grace, Gone: r.grace + podGone, Guard: guard.tell})
	defer func() { // also in a panic
		left := r.session.Close()
		clean, err = left == nil, closed(err, left)
	}()
	stopSignals := r.hurryAtSignals()
	defer stopSignals()
	if p.ends {
		args = plan.args
	}
	for _, node := range plan.nodes {
		r.nodes = append(r.nodes, &podNode{name: node, args: podArgs(c, p, args, k.namespace, plan.role(node, p.story)), input: input, begun: make(chan struct{})})
	}
	return r.run(ctx, newPodOutput(s, out, p, r), o.lifetime(c, p))
}

// closed adds what could not be deleted to how a run ended.
func closed(err, left error) error {
	if left == nil {
		return err
	}
	var ee *exitError
	if errors.As(err, &ee) {
		return &exitError{code: ee.code, err: errors.Join(ee.err, left)}
	}
	return errors.Join(err, left)
}

// planPods decides on which nodes to run.
func planPods(ctx context.Context, k *kubeClient, c *cobra.Command, o *podOptions, p podCommand, args []string, say func(string)) (*nodePlan, error) {
	n, err := k.names()
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, m := range n.api.Missing() {
			say(m)
		}
	}()
	if !p.ends {
		subject, err := subjectOf(c, k.namespace)
		if err != nil {
			return nil, err
		}
		return n.planNodes(ctx, o, p.objects, subject, say)
	}
	proto := ""
	if f := c.Flag("proto"); f != nil {
		proto = f.Value.String()
	}
	plan, err := n.planFlow(ctx, args[0], args[1], proto, o.nodes, say)
	if err == nil && !p.story {
		plan.nodes = plan.nodes[:1]
		plan.objects = plan.objects.Merge(n.dns(ctx))
	}
	return plan, err
}

// subjectOf is the pod or namespace that a command is about, as in dropNames; "" for all.
func subjectOf(c *cobra.Command, namespace string) (string, error) {
	f := c.Flag("pod")
	if f == nil {
		return "", nil
	}
	o := dropsOptions{pod: f.Value.String()}
	if c.Flag("namespace").Changed {
		o.namespace = namespace
	}
	return o.podFilter()
}

// hurryAtSignals deletes the pods without waiting at the second signal; the first one ends the run in order.
func (r *podRun) hurryAtSignals() (stop func()) {
	ch, done := make(chan os.Signal, 4), make(chan struct{})
	signal.Notify(ch, os.Interrupt, unix.SIGTERM, unix.SIGHUP)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-ch:
			case <-done:
				return
			}
			if n > 0 {
				_ = r.session.Delete(0)
				os.Exit(exitInterrupted)
			}
		}
	}()
	return func() {
		signal.Stop(ch)
		close(done)
	}
}

// run runs the program on all nodes until the first of them, which leads, has ended; what the others saw until then is waited for.
func (r *podRun) run(ctx context.Context, out podOutput, lifetime time.Duration) error {
	work, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	finish := make(chan struct{})
	end := sync.OnceFunc(func() { close(finish) })
	shown := make(chan error, 1)
	for _, n := range r.nodes {
		take, done := out.open(n.name, n.watches)
		n.close = done
		n.out = func(b []byte) error {
			if bytes.HasPrefix(b, []byte(`{"kind":"drop"`)) {
				n.drop.Store(true)
			}
			err := take(b)
			if err != nil { // stdout went away: the programs need not go on
				end()
			}
			return err
		}
	}
	go func() {
		err := r.guarded("show the output", func() error { return out.show(ctx) })
		if err != nil || out.together() { // stdout went away, or all is told
			end()
		}
		shown <- err
	}()
	go func() {
		select {
		case <-ctx.Done(): // Ctrl-C: the pods are deleted at once; what the programs say at their end is still read
			end()
			_ = r.session.Delete(r.grace)
			select {
			case <-time.After(r.grace + podGone):
				abort()
			case <-work.Done():
			}
		case <-work.Done():
		}
	}()
	var wg sync.WaitGroup
	for i, n := range r.nodes {
		wg.Go(func() {
			defer n.close()
			defer n.watches()
			n.err = r.guarded("run on "+n.name, func() error { return r.runOne(ctx, work, n, i == 0, lifetime, finish) })
			if r.endsAll(n, out) {
				end()
			}
			r.tell(ctx, n)
		})
	}
	wg.Wait()
	err := <-shown
	return out.conclude(ctx, r.nodes, err)
}

// endsAll reports whether the other nodes need not go on now that one has ended: it led, or it has the drop that --until-drop waits for. One that
// could not start, or was cut off, leaves it to the others.
func (r *podRun) endsAll(n *podNode, out podOutput) bool {
	return n == r.nodes[0] && out.together() || r.until && n.drop.Load()
}

// tell says what is missing of a node's output; why a node has none is an error when it is the only one.
func (r *podRun) tell(ctx context.Context, n *podNode) {
	for _, m := range n.result.Notes {
		r.say(m)
	}
	if n.err != nil && len(r.nodes) > 1 && ctx.Err() == nil {
		r.say(n.name + ": " + n.err.Error())
	}
}

// guarded turns a panic into an error, so that the pods are deleted.
func (r *podRun) guarded(what string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: this is a mistake in nettrace, please report it: %v\n%s", what, p, debug.Stack())
		}
	}()
	return f()
}

// runOne starts the pod of one node and feeds it. The one that leads is fed when all others watch.
func (r *podRun) runOne(ctx, work context.Context, n *podNode, leads bool, lifetime time.Duration, finish <-chan struct{}) error {
	if err := r.session.CheckNode(ctx, n.name); err != nil {
		return err
	}
	pod, err := r.session.Create(ctx, debugpod.Spec{Node: n.name, Image: r.o.image, Args: n.args, Deadline: lifetime, Keep: r.o.keep})
	if err != nil {
		return err
	}
	if err := r.session.WaitStarted(ctx, pod, n.name, r.o.start); err != nil {
		return err
	}
	if leads {
		r.awaitOthers(ctx, n)
	}
	in, feed := io.Pipe()
	go func() {
		_, _ = feed.Write(n.input)
		<-finish
		_ = feed.Close()
	}()
	defer func() { _ = in.Close() }()
	n.result, err = r.session.Run(work, pod, n.name, in, debugpod.Output{Out: n.out, Err: r.errLine(n.name)})
	return err
}

func (r *podRun) awaitOthers(ctx context.Context, lead *podNode) {
	late := time.After(begunWithin)
	for _, n := range r.nodes {
		if n == lead {
			continue
		}
		select {
		case <-n.begun:
		case <-ctx.Done():
			return
		case <-late:
			r.say(fmt.Sprintf("%s does not watch yet after %v: the probe is sent without it", n.name, begunWithin))
			return
		}
	}
}

// errLine shows what a program in a pod says on stderr; with several nodes it says which.
func (r *podRun) errLine(node string) func([]byte) error {
	return func(line []byte) error {
		text := strings.TrimPrefix(string(line), "nettrace: ")
		if len(r.nodes) > 1 {
			text = node + ": " + text
		}
		r.say(text)
		return nil
	}
}

// exitOf is the exit code of a program in a pod, as far as it is one of the contract.
func exitOf(code int) bool {
	return slices.Contains([]int{exitOK, exitUsage, exitVerdict, exitUnseen, exitPrivileges, exitInterrupted}, code)
}
