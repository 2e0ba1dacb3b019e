// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/internal/schematest"
	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/merge"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// twoNodes is one run of two nettrace processes, each of which sees one of the lab's nodes, while their output is merged.
type twoNodes struct {
	node1, node2 []byte // what each wrote
	alone        *verdict.Verdict
	live         *verdict.Verdict
	journeys     []journey.Journey
}

// A minute's Hold makes the live story independent of how slow the machine is: ways are told when they are whole, or when a node has ended.
//
// traceTwo starts nettrace on node2 with a clock that is ahead by skew, then on node1 with the probe, and ends node2's when node1's has ended.
func traceTwo(t *testing.T, l *lab.Lab, dst string, skew time.Duration, flags ...string) *twoNodes {
	t.Helper()
	objects := clusterFile(t)
	scope := func(k int) string { return l.Scopes()[k] }
	far := nettrace(t, nil, "flow", "10.244.1.10", dst, "--translated", "--clock-skew", skew.String(), "--scope", scope(1), "--cluster", objects, "--timeout", "0", "-o", "json")
	near := nettrace(t, nil, append([]string{"flow", "10.244.1.10", dst, "--probe", "--scope", scope(0), "--cluster", objects, "-o", "json"}, flags...)...)
	run := &twoNodes{}
	var one, two bytes.Buffer
	oneOut, twoOut := pipe(t, near, &one), pipe(t, far, &two)
	see := &witness{Renderer: discard{}}
	merged := make(chan error, 1)
	ready := &firstLine{r: twoOut, seen: make(chan struct{})}
	twoOut.start(far)
	go func() {
		v, err := merge.Run(context.Background(), []merge.Source{{Name: "node1", R: oneOut}, {Name: "node2", R: ready}}, see, merge.Options{Live: true, Hold: time.Minute, Warn: func(s string) { t.Errorf("warning: %s", s) }})
		run.live = v
		merged <- err
	}()
	<-ready.seen
	oneOut.start(near)
	_ = near.Wait() // its exit code is the verdict's
	if err := far.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = far.Wait()
	if err := <-merged; err != nil {
		t.Fatal(err)
	}
	run.node1, run.node2, run.journeys = one.Bytes(), two.Bytes(), see.journeys
	schematest.Lines(t, run.node2)
	run.alone = lastVerdict(t, run.node1)
	return run
}

// piped is a command's output, which is kept as well. It ends with the command, once started was called.
type piped struct {
	io.Reader
	ours *os.File
	t    *testing.T
}

// pipe gives a command its output. exec's own pipe would lose what is not read when the command ends.
func pipe(t *testing.T, c *exec.Cmd, keep io.Writer) *piped {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	c.Stdout, c.Stderr = w, os.Stderr
	return &piped{io.TeeReader(r, keep), w, t}
}

// start starts the command and leaves the pipe to it.
func (p *piped) start(c *exec.Cmd) {
	p.t.Helper()
	err := c.Start()
	_ = p.ours.Close()
	if err != nil {
		p.t.Fatal(err)
	}
}

// firstLine tells when something came.
type firstLine struct {
	r    io.Reader
	seen chan struct{}
	done bool
}

func (f *firstLine) Read(b []byte) (int, error) {
	n, err := f.r.Read(b)
	if !f.done && (bytes.IndexByte(b[:n], '\n') >= 0 || err != nil) {
		f.done = true
		close(f.seen)
	}
	return n, err
}

func lastVerdict(t *testing.T, lines []byte) *verdict.Verdict {
	t.Helper()
	kinds := schematest.Lines(t, lines)
	if len(kinds["verdict"]) != 1 {
		t.Fatalf("no verdict in %q", lines)
	}
	b, err := json.Marshal(kinds["verdict"][0])
	if err != nil {
		t.Fatal(err)
	}
	v := &verdict.Verdict{}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
	return v
}

// offline merges what was written.
func (r *twoNodes) offline(t *testing.T, format string, one, two []byte) string {
	t.Helper()
	dir := t.TempDir()
	a, b := filepath.Join(dir, "node1.jsonl"), filepath.Join(dir, "node2.jsonl")
	for file, bytes := range map[string][]byte{a: one, b: two} {
		if err := os.WriteFile(file, bytes, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, out, errs := call(t, "merge", a, b, "-o", format)
	_, other, _ := call(t, "merge", b, a, "-o", format)
	if errs != "" || out != other {
		t.Errorf("stderr %q; the order of the files matters: %v", errs, out != other)
	}
	return out
}

// reclocked is a stream as a node would have written it whose clock is ahead by another amount.
func reclocked(t *testing.T, lines []byte, by time.Duration) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := render.New("json", &out, render.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for r := merge.NewReader(bytes.NewReader(lines), "x"); ; {
		rec, err := r.Next()
		if err != nil {
			break
		}
		switch {
		case rec.Start != nil:
			rec.Start.Time = rec.Start.Time.Add(by)
			err = w.Start(*rec.Start)
		case rec.Journey != nil:
			rec.Journey.At = rec.Journey.At.Add(by)
			err = w.Journey(rec.Journey)
		case rec.Drop != nil:
			err = w.Drop(*rec.Drop)
		case rec.Verdict != nil:
			rec.Verdict.Time = rec.Verdict.Time.Add(by)
			err = w.Verdict(rec.Verdict)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// ways are the journeys of a merged output without what the clocks decide: which packets there were, in their order, and through which nodes.
func ways(t *testing.T, lines string) []string {
	t.Helper()
	var out []string
	for _, line := range strings.Split(strings.TrimSpace(lines), "\n") {
		var j struct {
			Kind string
			journey.Journey
		}
		if err := json.Unmarshal([]byte(line), &j); err != nil {
			t.Fatal(err)
		}
		if j.Kind == "journey" {
			out = append(out, wayOf(t, &j.Journey))
		}
	}
	return out
}

func wayOf(t *testing.T, j *journey.Journey) string {
	t.Helper()
	var nodes []string
	for i := range j.Hops {
		if i > 0 && j.Hops[i].T < j.Hops[i-1].T {
			t.Errorf("#%d: hop %d comes before the one before it", j.ID, i+1)
		}
		if n := j.Hops[i].Node; len(nodes) == 0 || nodes[len(nodes)-1] != n {
			nodes = append(nodes, n)
		}
	}
	return fmt.Sprintf("#%d %s %s %d %s %s %s", j.ID, j.Direction, j.Packet.Flags, j.Packet.Seq, strings.Join(nodes, ">"), j.End, j.EndWhy)
}

// Topology: the lab, whose nodes two processes watch that know nothing of each other, with clocks 500 ms apart. Action: each case's probe from
// node1. Expectation: the merged verdict is confirmed and names the losing side, where the sender's node alone could not decide; live and
// offline agree.
func TestTwoNodes(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	for i, tc := range []struct {
		name, cause, node string
		layer             verdict.Layer
		says              []string
		never             string // a cause of one node that the other refutes
	}{
		{"host-firewall-drops-tunnel", "host-firewall-drops-tunnel", "node2", verdict.Underlay, []string{"node2's firewall drops VXLAN", "node2: it came in at eth0"}, "tunnel-lost-in-fabric"},
		{"tunnel-lost-in-fabric", "tunnel-lost-in-fabric", "node1", verdict.Underlay, []string{"is lost between node1 and node2", "and node2 never received it", "and lost no events"}, "fdb-wrong-host"},
		{"fdb-wrong-host", "fdb-wrong-host", "node1", verdict.PodNetwork, []string{"to 192.168.50.100, which is not node2", "none of its addresses is 192.168.50.100"}, "tunnel-lost-in-fabric"},
		{"reply-route-missing", "reply-route-missing", "node2", verdict.PodNetwork, []string{"node2 has no route for the reply", "node2: it was delivered to its socket"}, "tunnel-lost-in-fabric"},
		{"underlay-mtu-silent", "underlay-mtu-silent", "node1", verdict.Underlay, []string{"are lost between node1 and node2, those up to 60 bytes arrive"}, "tunnel-lost-in-fabric"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := lab.FindCase(tc.name)
			if err != nil {
				t.Fatal(err)
			}
			l := serve(t, fmt.Sprintf("two%d", i))
			if err := l.Apply(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			r := traceTwo(t, l, c.Probe.To, 500*time.Millisecond, "--timeout", "4s", "--size", fmt.Sprint(c.Probe.Size))
			if r.alone.Confidence != verdict.Inconclusive {
				t.Errorf("node1 alone: %s, %s", r.alone.Cause, r.alone.Confidence)
			}
			merged := lastVerdict(t, []byte(r.offline(t, "json", r.node1, r.node2)))
			for how, v := range map[string]*verdict.Verdict{"live": r.live, "offline": merged} {
				text := strings.Join(append([]string{v.Summary}, v.Evidence...), "\n")
				if v.Cause != tc.cause || v.Layer != tc.layer || v.Node != tc.node || v.Confidence != verdict.Confirmed || verdict.ExitCode(v) != exitVerdict {
					t.Errorf("%s: %s %s/%s %s on %s\n%s", how, v.Outcome, v.Layer, v.Cause, v.Confidence, v.Node, text)
				}
				for _, s := range tc.says {
					if !strings.Contains(text, s) {
						t.Errorf("%s: it does not say %q:\n%s", how, s, text)
					}
				}
				if slices.ContainsFunc(v.Also, func(a verdict.Also) bool { return a.Cause == tc.never }) {
					t.Errorf("%s: also %+v", how, v.Also)
				}
			}
		})
	}
}

// Topology: the lab, clocks 500 ms apart either way. Action: a Service's healthy connection, five times; each recorded pair of streams is merged
// again with 20 other differences of the clocks. Expectation: each time the same order, every packet's whole way in one journey, delivered.
func TestTwoNodesInOrder(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "twoh")
	rng := rand.New(rand.NewPCG(11, 13))
	merges := 0
	for round := range 5 {
		skew := []time.Duration{500 * time.Millisecond, -500 * time.Millisecond}[round%2]
		r := traceTwo(t, l, "10.96.0.81:80", skew)
		want := ways(t, r.offline(t, "json", r.node1, r.node2))
		mustBeOrdered(t, want)
		if r.live.Outcome != verdict.Delivered || r.live.Confidence != verdict.Confirmed || len(r.live.Clocks) != 1 || r.live.Clocks[0].Known != "exact" {
			t.Errorf("live: %+v", r.live)
		}
		if off := time.Duration(r.live.Clocks[0].OffsetNS) - skew; off.Abs() > 20*time.Millisecond+time.Duration(r.live.Clocks[0].UncertaintyNS) {
			t.Errorf("clocks %+v, set apart by %v", r.live.Clocks, skew)
		}
		var live []string
		for i := range r.journeys {
			live = append(live, wayOf(t, &r.journeys[i]))
		}
		if !slices.Equal(live, want) {
			t.Errorf("live and offline differ:\n%s\n%s", strings.Join(live, "\n"), strings.Join(want, "\n"))
		}
		for range 20 {
			by := time.Duration(rng.Int64N(int64(time.Second))) - 500*time.Millisecond
			got := ways(t, r.offline(t, "json", reclocked(t, r.node1, -by/2), reclocked(t, r.node2, by/2)))
			if !slices.Equal(got, want) {
				t.Errorf("clocks moved by %v:\n%s\nwant\n%s", by, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			merges++
		}
	}
	if merges != 100 {
		t.Errorf("%d merges", merges)
	}
}

// mustBeOrdered checks the ways of one TCP connection that worked.
func mustBeOrdered(t *testing.T, all []string) {
	t.Helper()
	if len(all) < 3 || !strings.Contains(all[0], "request SYN ") || !strings.Contains(all[1], "reply SYN,ACK ") || !strings.Contains(all[2], "request ACK ") {
		t.Errorf("the handshake is not told in order:\n%s", strings.Join(all, "\n"))
	}
	for _, w := range all {
		if !strings.Contains(w, " node1>node2 delivered ") && !strings.Contains(w, " node2>node1 delivered ") {
			t.Errorf("not one whole way: %s", w)
		}
	}
}

// Topology: the lab; node2's nettrace follows a Service. Action: connections to its endpoint as they look behind another node's NAT: with the
// client's address, and masqueraded to the other node's. Expectation: with --translated both are seen, without it neither.
func TestTranslated(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	l := serve(t, "transl")
	objects := clusterFile(t)
	for flag, want := range map[string]int{"--translated": 2, "--timeout=3s": 0} {
		far := nettrace(t, nil, "flow", "10.244.1.10", "10.96.0.81:80", flag, "--scope", l.Scopes()[1], "--cluster", objects, "--timeout", "3s", "-o", "json")
		var out bytes.Buffer
		output := pipe(t, far, &out)
		ready := &firstLine{r: output, seen: make(chan struct{})}
		output.start(far)
		rest := make(chan error, 1)
		go func() { _, err := io.Copy(io.Discard, ready); rest <- err }()
		<-ready.seen
		connect(l, "10.244.2.20:8080")
		_ = netns.Do(l.Path("node1"), func() error { return dial("10.244.2.20:8080") })
		_ = far.Wait()
		if err := <-rest; err != nil {
			t.Fatal(err)
		}
		senders := map[any]bool{}
		for _, j := range schematest.Lines(t, out.Bytes())["journey"] {
			p, _ := j["packet"].(map[string]any)
			if j["direction"] == "request" && p["dst"] == "10.244.2.20" {
				senders[p["src"]] = true
			}
		}
		if len(senders) != want {
			t.Errorf("%s: requests of %v were seen, want %d senders", flag, senders, want)
		}
	}
}
