// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/tracer"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// lossy is a recording of which a part of the events never arrived. When it counts, the kernel told how many; when it does not, nobody did:
// worse than anything the ring buffer does, since a full buffer is always counted.
type lossy struct {
	recording
	random *rand.Rand
	share  float64
	counts bool
	lost   uint64
}

func (l *lossy) Next() (tracer.Frame, error) {
	for {
		f, err := l.recording.Next()
		if err != nil {
			return f, err
		}
		if f.Event != nil && l.random.Float64() < l.share {
			l.lost++
			continue
		}
		if f.Tick != nil && l.counts {
			t := *f.Tick
			t.Lost += l.lost
			f.Tick = &t
		}
		return f, nil
	}
}

// judgeLossy replays a recording with a share of its events gone; it returns nil when nothing was left to judge.
func judgeLossy(t *testing.T, file []byte, seed uint64, share float64, counts bool) (*verdict.Verdict, uint64) {
	t.Helper()
	r, err := tracer.NewReplay(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	l := &lossy{recording: recording{r}, random: rand.New(rand.NewPCG(seed, 7)), share: share, counts: counts}
	v, err := runPipeline(l, discard{}, false, nil)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	return v, l.lost
}

// lossTally counts what became of the runs of a test.
type lossTally struct{ confirmed, weaker, wrong atomic.Int64 }

// lose replays a recording many times with three events in ten lost, at random from fixed seeds, once counted by the kernel and once not. What is
// called confirmed must be what the whole recording says; and nothing is confirmed when the kernel counted what it lost.
func (n *lossTally) lose(t *testing.T, name string, file []byte, runs int) {
	whole, _ := judgeLossy(t, file, 0, 0, false)
	for seed := range uint64(runs) {
		v, lost := judgeLossy(t, file, seed, 0.3, true)
		if lost > 0 && v.Confidence == verdict.Confirmed {
			t.Errorf("%s, seed %d: confirmed, %s, with %d events lost", name, seed, v.Cause, lost)
		}
		v, _ = judgeLossy(t, file, seed, 0.3, false)
		switch {
		case v.Confidence != verdict.Confirmed:
			n.weaker.Add(1)
		case v.Outcome == whole.Outcome && v.Layer == whole.Layer && v.Cause == whole.Cause:
			n.confirmed.Add(1)
		default:
			n.wrong.Add(1)
			t.Errorf("%s, seed %d: confirmed %s %s (%s), and it was %s %s", name, seed, v.Outcome, v.Cause, v.Summary, whole.Outcome, whole.Cause)
		}
	}
}

// check tells what became of the runs; a loss that makes no difference, or leaves nothing, tests nothing.
func (n *lossTally) check(t *testing.T) {
	t.Helper()
	c, w := n.confirmed.Load(), n.weaker.Load()
	t.Logf("of %d runs with a loss that nobody counted: %d confirmed what was so, %d were less sure, %d confirmed what was not so", c+w+n.wrong.Load(), c, w, n.wrong.Load())
	if c == 0 || w == 0 {
		t.Error("the loss made no difference, or left nothing: the test does not test")
	}
}

// A hundred times over for the recordings that have goldens: those of other kernels and of functions too.
func TestLostEventsNeverConfirmTheWrongThing(t *testing.T) {
	var n lossTally
	t.Run("on", func(t *testing.T) {
		for _, name := range recordings(t) {
			t.Run(filepath.Base(name), func(t *testing.T) {
				t.Parallel()
				file, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				n.lose(t, filepath.Base(name), file, 100)
			})
		}
	})
	n.check(t)
}

const lossesDir = "../../testdata/losses"

// keepForLosses puts a case's recording where the next test finds it.
func keepForLosses(t *testing.T, name, recording string) {
	t.Helper()
	b, err := os.ReadFile(recording)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err = z.Write(b)
	if err := errors.Join(err, z.Close(), os.MkdirAll(lossesDir, 0o755), os.WriteFile(filepath.Join(lossesDir, name+".nt.gz"), out.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// The same for recordings of the lab's cases, of every layer and without points at functions; 'go test ./cmd/nettrace -run TestLabCases/NAME -update'
// as root makes one. A case without a recording loses its events in TestLabCases.
func TestLostEventsInTheCases(t *testing.T) {
	files, err := filepath.Glob(lossesDir + "/*.nt.gz")
	if err != nil {
		t.Fatal(err)
	}
	var n lossTally
	layers := map[string]int{}
	t.Run("of", func(t *testing.T) {
		for _, file := range files {
			c, err := lab.FindCase(strings.TrimSuffix(filepath.Base(file), ".nt.gz"))
			if err != nil {
				t.Errorf("a recording of a case that is gone: %v", err)
				continue
			}
			layers[c.Layer]++
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				f, err := os.Open(file)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = f.Close() }()
				z, err := gzip.NewReader(f)
				if err != nil {
					t.Fatal(err)
				}
				recorded, err := io.ReadAll(io.LimitReader(z, 64<<20))
				if err != nil {
					t.Fatal(err)
				}
				if v, _ := judgeLossy(t, recorded, 0, 0, false); v.Cause != c.Expect.Cause || string(v.Layer) != c.Layer {
					t.Errorf("the whole recording says %s %s, the case expects %s %s", v.Layer, v.Cause, c.Layer, c.Expect.Cause)
				}
				n.lose(t, c.Name, recorded, 12)
			})
		}
	})
	n.check(t)
	for _, l := range []string{"underlay", "pod-network", "service", "dns", "application"} {
		if layers[l] == 0 {
			t.Errorf("no recording is of layer %s", l)
		}
	}
}

// mustNotConfirmWrongly replays a recording with three events in ten missing, uncounted, twenty times.
func mustNotConfirmWrongly(t *testing.T, name string) {
	t.Helper()
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	whole, _ := judgeLossy(t, file, 0, 0, false)
	for seed := range uint64(20) {
		v, lost := judgeLossy(t, file, seed, 0.3, false)
		if v.Confidence == verdict.Confirmed && (v.Outcome != whole.Outcome || v.Layer != whole.Layer || v.Cause != whole.Cause) {
			t.Errorf("with %d events lost (seed %d): confirmed %s %s (%s), and it was %s %s", lost, seed, v.Outcome, v.Cause, v.Summary, whole.Outcome, whole.Cause)
		}
	}
}
