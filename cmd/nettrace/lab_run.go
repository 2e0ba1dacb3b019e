// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/tracer"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

type labRunOptions struct {
	output
	all, shuffle, teach bool
	record, pcap        string
	backend             string
	traceRules          bool
}

func newLabRun(s streams) *cobra.Command {
	var o labRunOptions
	c := &cobra.Command{
		Use:   "run CASE | --all",
		Short: "Build the lab, break it, trace a probe, and compare the verdict with the expected one",
		Long: `Build a lab of its own, switch the case's failure on, send the probe and trace it, print the story, compare the verdict with the one that
the case expects, and remove the lab. Exit code 0 only if it matches. CASE is a name from 'nettrace lab list' or a path to a case file.`,
		Example: `  nettrace lab run no-endpoints
  nettrace lab run forward-policy-drop-legacy --teach
  nettrace lab run --all --shuffle`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeCases,
		RunE: func(c *cobra.Command, args []string) error {
			if o.all == (len(args) == 1) {
				return errors.New("name one case, or use --all; 'nettrace lab list' names them")
			}
			if err := o.check(c); err != nil {
				return err
			}
			if o.all {
				return runAll(c.Context(), s, o)
			}
			one, err := lab.FindCase(args[0])
			if err != nil {
				return err
			}
			return runOne(c.Context(), s, o, one)
		},
	}
	o.output.flags(c)
	c.Flags().BoolVar(&o.all, "all", false, "every case that this kernel can run, a line each")
	c.Flags().BoolVar(&o.shuffle, "shuffle", false, "with --all: in random order")
	c.Flags().BoolVar(&o.teach, "teach", false, "explain the case first")
	c.Flags().StringVar(&o.backend, "backend", tracer.BackendAuto, "how to attach to kernel functions: "+strings.Join(tracer.Backends(), ", "))
	_ = c.RegisterFlagCompletionFunc("backend", cobra.FixedCompletions(tracer.Backends(), cobra.ShellCompDirectiveNoFileComp))
	c.Flags().BoolVar(&o.traceRules, "trace-rules", false, "have the kernel tell which rules the probe's packets meet, as 'nettrace flow --trace-rules' does")
	c.Flags().StringVar(&o.pcap, "pcap", "", "also capture the probe's packets at every device they cross, as pcapng")
	c.Flags().StringVar(&o.record, "record", "", "also write a recording of the traced probe")
	return c
}

// check finds mistakes in flags before any work.
func (o *labRunOptions) check(c *cobra.Command) error {
	switch {
	case o.all && o.pcap != "":
		return errors.New("--pcap writes the packets of one case: name it instead of --all")
	case o.all && o.record != "":
		return errors.New("--record writes the recording of one case: name it instead of --all")
	case o.all && given(c, "output", "teach", "addresses"):
		return errors.New("--all prints a line for each case: name one case for its story, -o, --teach and --addresses")
	case o.shuffle && !o.all:
		return errors.New("--shuffle is for --all: one case has no order")
	case !slices.Contains(tracer.Backends(), o.backend):
		return fmt.Errorf("--backend %.64s: use one of %s", o.backend, strings.Join(tracer.Backends(), ", "))
	}
	_, err := render.New(o.format, io.Discard, render.Options{})
	return err
}

// runOne runs a case with its story on stdout.
func runOne(ctx context.Context, s streams, o labRunOptions, c lab.Case) error {
	if o.teach {
		fmt.Fprintf(s.err, "%s: %s\n%s\n", render.Escape(c.Name), render.Escape(c.Title), render.Escape(strings.TrimSpace(c.Teaches)))
	}
	wrong, err := runCase(ctx, s, o, c)
	if ctx.Err() != nil { // what was seen until then is no answer to compare
		return &exitError{code: exitInterrupted, err: err}
	}
	if err != nil {
		return err
	}
	if len(wrong) > 0 {
		return &exitError{code: exitVerdict, err: fmt.Errorf("case %s: the verdict is not the expected one: %s", c.Name, strings.Join(wrong, "; "))}
	}
	fmt.Fprintf(s.err, "case %s: as expected\n", c.Name)
	return nil
}

// runAll runs every case and prints a line for each. A case that this kernel cannot run is skipped, with the reason.
func runAll(ctx context.Context, s streams, o labRunOptions) error {
	if err := labNeedsRoot(); err != nil {
		return err
	}
	all, err := lab.Cases()
	if err != nil {
		return err
	}
	if o.shuffle {
		mathrand.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	}
	t := tally{out: s.out, of: len(all)}
	for _, c := range all {
		if err := labNeedsKernel(c); err != nil {
			t.skip(c.Name, err)
			continue
		}
		begin := time.Now()
		wrong, err := runCase(ctx, streams{s.in, io.Discard, io.Discard}, o, c)
		if ctx.Err() != nil {
			return &exitError{code: exitInterrupted}
		}
		if err != nil {
			wrong = []string{err.Error()}
		}
		t.ran(c.Name, time.Since(begin), wrong)
	}
	return t.end()
}

// tally prints a line for each case of a run and counts them.
type tally struct {
	out                     io.Writer
	of, ok, failed, skipped int
}

func (t *tally) line(mark, name, rest string) {
	fmt.Fprintf(t.out, "%-4s %3d/%d %-32s %s\n", mark, t.ok+t.failed+t.skipped, t.of, name, rest)
}

// ran counts a case; wrong is what was not as expected.
func (t *tally) ran(name string, took time.Duration, wrong []string) {
	mark := "ok"
	if len(wrong) > 0 {
		mark = "FAIL"
		t.failed++
	} else {
		t.ok++
	}
	t.line(mark, name, strings.TrimRight(fmt.Sprintf("%5.1f s  %s", took.Seconds(), render.Escape(strings.Join(wrong, "; "))), " "))
}

func (t *tally) skip(name string, why error) {
	t.skipped++
	t.line("skip", name, render.Escape(why.Error()))
}

// end says how the run went; an error when a case that ran got another verdict, or when none ran.
func (t *tally) end() error {
	ran := t.ok + t.failed
	if ran == 0 {
		return &exitError{code: exitPrivileges, err: errors.New("this kernel can run none of the cases: each says why")}
	}
	var skipped string
	if t.skipped > 0 {
		skipped = fmt.Sprintf("; %d cannot run on this kernel, each says why", t.skipped)
	}
	if t.failed > 0 {
		return &exitError{code: exitVerdict, err: fmt.Errorf("%d of %d cases did not get the expected verdict%s", t.failed, ran, skipped)}
	}
	fmt.Fprintf(t.out, "all %d cases got the expected verdict%s\n", ran, skipped)
	return nil
}

// freePrefix finds a prefix that no lab has.
func freePrefix() (string, error) {
	var b [3]byte
	for range 100 {
		if _, err := rand.Read(b[:]); err != nil {
			return "", fmt.Errorf("choose a prefix: %w", err)
		}
		p := "nt" + hex.EncodeToString(b[:])
		if _, err := lab.Attach(p); err != nil {
			return p, nil
		}
	}
	return "", errors.New("no free lab prefix: run 'nettrace lab down --all'")
}

// runCase builds, breaks, traces and removes a lab; it returns in what the verdict differs from the expected one.
func runCase(ctx context.Context, s streams, o labRunOptions, c lab.Case) (wrong []string, err error) {
	if err := labNeeds(c); err != nil {
		return nil, err
	}
	prefix, err := freePrefix()
	if err != nil {
		return nil, err
	}
	l, err := lab.Up(ctx, lab.Options{Prefix: prefix, Backend: c.Backend, Services: c.Services, Objects: c.Objects})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Down()) }()
	if err := l.Serve(); err != nil {
		return nil, err
	}
	if err := l.Apply(ctx, c); err != nil {
		return nil, err
	}
	objects, err := l.Cluster()
	if err != nil {
		return nil, err
	}
	see := &witness{}
	fo := flowOptions{output: o.output, probeOptions: probeOptions{http: c.Probe.HTTP, dns: c.Probe.DNS, mtu: c.Probe.MTU, compare: c.Probe.Compare},
		proto: c.Probe.Proto, probe: true, count: c.Probe.Count, size: c.Probe.Size, timeout: time.Duration(c.Probe.Timeout),
		nameOptions: nameOptions{objects: objects}, scope: caseScopes(l, c), record: o.record, pcap: o.pcap, traceRules: o.traceRules, ring: 8, backend: cmp.Or(o.backend, tracer.BackendAuto), watch: see.watch}
	v, err := runFlow(ctx, s, fo, "netns:"+l.NetNS(c.Probe.From), c.Probe.To)
	if err != nil {
		return nil, err
	}
	wrong = compare(c, v, see.journeys)
	wrong = append(wrong, missingRules(c.Expect.Rules, see.journeys, see.functions)...)
	if see.functions {
		wrong = append(missingHops(journey.Request, c.Expect.FunctionHops, see.journeys), wrong...)
		wrong = append(missingHops(journey.Reply, c.Expect.FunctionReplyHops, see.journeys), wrong...)
	}
	return wrong, nil
}

// caseScopes are the lab's nodes, and the external host when the probe starts there: it is not watched otherwise.
func caseScopes(l *lab.Lab, c lab.Case) []string {
	scopes := l.Scopes()
	if c.Probe.From == lab.External {
		scopes = append(scopes, lab.External+"="+l.NetNS(lab.External))
	}
	return scopes
}

// witness keeps the journeys of a run for the comparison.
type witness struct {
	render.Renderer
	journeys  []journey.Journey
	functions bool // points at kernel functions are attached
}

func (w *witness) Start(st render.Start) error {
	for _, p := range st.Points {
		w.functions = w.functions || (p.Attached && p.Backend != tracer.BackendTracepoint)
	}
	return w.Renderer.Start(st)
}

func (w *witness) watch(r render.Renderer) render.Renderer {
	w.Renderer = r
	return w
}

func (w *witness) Journey(j *journey.Journey) error {
	w.journeys = append(w.journeys, *j)
	return w.Renderer.Journey(j)
}

// compare lists what is not as the case expects.
func compare(c lab.Case, v *verdict.Verdict, js []journey.Journey) []string {
	var wrong []string
	differ := func(what, want, got string) {
		if want != got {
			wrong = append(wrong, fmt.Sprintf("%s is %q, expected %q", what, got, want))
		}
	}
	e := c.Expect
	differ("outcome", e.Outcome, string(v.Outcome))
	differ("layer", c.Layer, string(v.Layer))
	differ("cause", e.Cause, v.Cause)
	if e.Cause == "" { // a healthy case: whatever else is found is a false alarm
		for _, a := range v.Also {
			wrong = append(wrong, fmt.Sprintf("nothing is wrong, and %s (%s) was found: %s", a.Cause, a.Layer, a.Summary))
		}
	}
	if e.Node != "" {
		differ("node", e.Node, v.Node)
	}
	if e.Client != "" && v.Probe != nil {
		differ("the client's result", e.Client, string(v.Probe.Result))
	}
	if code := verdict.ExitCode(v); code != e.Exit {
		wrong = append(wrong, fmt.Sprintf("exit code is %d, expected %d", code, e.Exit))
	}
	if len(e.Confidence) > 0 && !strings.Contains(" "+strings.Join(e.Confidence, " ")+" ", " "+string(v.Confidence)+" ") {
		wrong = append(wrong, fmt.Sprintf("confidence is %q, expected %s", v.Confidence, strings.Join(e.Confidence, " or ")))
	}
	text := strings.Join(append(append([]string{v.Summary}, v.Evidence...), v.Fix...), "\n")
	for _, w := range e.Evidence {
		if !strings.Contains(text, w) {
			wrong = append(wrong, fmt.Sprintf("the evidence does not say %q", w))
		}
	}
	wrong = append(wrong, missingHops(journey.Request, e.Hops, js)...)
	wrong = append(wrong, missingHops(journey.Reply, e.ReplyHops, js)...)
	if len(wrong) > 0 && v.LostEvents > 0 {
		wrong = append(wrong, fmt.Sprintf("%d events %s", v.LostEvents, wereLost))
	}
	return wrong
}

// wereLost ends the sentence that explains a wrong verdict by lost events.
const wereLost = "were lost, which can explain it"

// missingHops checks that some journey in a direction has the hops in order. What is reported is the first hop that the best one lacks.
func missingHops(d journey.Direction, want []string, js []journey.Journey) []string {
	if len(want) == 0 {
		return nil
	}
	best := -1
	for i := range js {
		if js[i].Direction != d {
			continue
		}
		k := 0
		for n := range js[i].Hops {
			if k < len(want) && hopIs(&js[i].Hops[n], want[k]) {
				k++
			}
		}
		if k == len(want) {
			return nil
		}
		best = max(best, k)
	}
	if best < 0 {
		return []string{fmt.Sprintf("no %s was seen", d)}
	}
	return []string{fmt.Sprintf("no %s has hop %d of the expected way, %q", d, best+1, want[best])}
}

// hopIs compares a hop with "stage", "stage dev", "stage@node" or "stage dev@node".
func hopIs(h *journey.Hop, want string) bool {
	want, node, hasNode := strings.Cut(want, "@")
	stage, dev, hasDev := strings.Cut(want, " ")
	return string(h.Stage) == stage && (!hasDev || h.Dev == dev) && (!hasNode || (h.Node == node && h.Where != nil && h.Where.Kind == "host"))
}
