// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

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

// Three events in ten are lost, at random, a hundred times over for every recorded failure and every healthy one. What is called confirmed must be
// what the whole recording says; and nothing is confirmed when the kernel counted what it lost.
func TestLostEventsNeverConfirmTheWrongThing(t *testing.T) {
	const runs = 100
	confirmed, weaker, wrong := 0, 0, 0
	for _, name := range recordings(t) {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		whole, _ := judgeLossy(t, file, 0, 0, false)
		for seed := range uint64(runs) {
			v, lost := judgeLossy(t, file, seed, 0.3, true)
			if lost > 0 && v.Confidence == verdict.Confirmed {
				t.Errorf("%s, seed %d: confirmed, %s, with %d events lost", filepath.Base(name), seed, v.Cause, lost)
			}
			v, _ = judgeLossy(t, file, seed, 0.3, false)
			switch {
			case v.Confidence != verdict.Confirmed:
				weaker++
			case v.Outcome == whole.Outcome && v.Layer == whole.Layer && v.Cause == whole.Cause:
				confirmed++
			default:
				wrong++
				t.Errorf("%s, seed %d: confirmed %s %s (%s), and it was %s %s", filepath.Base(name), seed, v.Outcome, v.Cause, v.Summary, whole.Outcome, whole.Cause)
			}
		}
	}
	t.Logf("of %d runs with a loss that nobody counted: %d confirmed what was so, %d were less sure, %d confirmed what was not so",
		confirmed+weaker+wrong, confirmed, weaker, wrong)
	if confirmed == 0 || weaker == 0 {
		t.Error("the loss made no difference, or left nothing: the test does not test")
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
