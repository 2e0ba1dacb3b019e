// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/ruletrace"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

const rejected = "../../testdata/recordings/no-endpoints.nt"

// withNote puts a note into a recording, ahead of its first event.
func withNote(t *testing.T, file string, note []byte) string {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r, err := tracer.NewReplay(in)
	if err != nil {
		t.Fatal(err)
	}
	name := t.TempDir() + "/told.nt"
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c := tracer.NewCapture(out, r)
	dec := tracer.NewDecoder(c)
	for sent := false; ; {
		f, err := r.Next()
		if err != nil {
			break
		}
		switch {
		case f.Note != nil:
			c.Note(f.Note.Name, json.RawMessage(f.Note.JSON))
		case f.Tick != nil:
			c.Tick(f.Tick.Now, f.Tick.Lost)
		case f.Event != nil:
			if !sent {
				sent = true
				c.Note(noteTraced, json.RawMessage(note))
			}
			var e tracer.Event
			if err := dec.Decode(f.Event, &e); err != nil { // stores the names that it needs
				t.Fatal(err)
			}
			c.Event(f.Event)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// A recorded rejection, of which the kernel is made to have named the rule: the rule is exact, and the evidence says what was lost.
func TestReplayOfTracedRules(t *testing.T) {
	plain := journeysOf(t, rejected, func(r recording) source { return r })
	at := plain[0].DropHop()
	if at < 0 || plain[0].Hops[at].Rule == nil || plain[0].Hops[at].Rule.Certainty != "inferred" {
		t.Fatal("the recording has no inferred rule: the test does not test")
	}
	p, rule := plain[0].Packet, plain[0].Hops[at].Rule
	record := ruletrace.Record{NetNS: plain[0].Hops[at].NetNS, Backend: rule.Backend, Family: 2, Table: rule.Table, Chain: rule.Chain, Type: "rule", Number: rule.Number,
		Packet: ruletrace.Packet{Src: p.Src, Sport: p.Sport, Dst: p.Dst, Dport: p.Dport, Proto: tracer.ProtoTCP, IPID: p.IPID, Seq: p.Seq}}
	for _, tc := range []struct {
		name string
		note tracedNote
		want string
	}{
		{"its rule", tracedNote{Records: []ruletrace.Record{record}, Lost: 3}, string(lab.RuleOf(rule)) + " exact"},
		{"nothing", tracedNote{}, string(lab.RuleOf(rule))},
	} {
		b, err := json.Marshal(tc.note)
		if err != nil {
			t.Fatal(err)
		}
		file := withNote(t, rejected, b)
		js := journeysOf(t, file, func(r recording) source { return r })
		if got := string(lab.RuleOf(js[0].Hops[at].Rule)); got != tc.want || js[0].End != journey.Rejected {
			t.Errorf("%s: %q, %s; want %q", tc.name, got, js[0].End, tc.want)
		}
		_, out, _ := call(t, "replay", file)
		if strings.Contains(out, "records of rules were lost 3 times") != (tc.note.Lost > 0) || strings.Contains(out, "exact)") != strings.HasSuffix(tc.want, "exact") {
			t.Errorf("%s: %s", tc.name, out)
		}
		if without := journeysOf(t, file, func(r recording) source { return withoutTrace{r} }); !slices.EqualFunc(without, plain, func(a, b journey.Journey) bool { return len(a.Hops) == len(b.Hops) && a.ID == b.ID }) {
			t.Errorf("%s: without the note it is another story", tc.name)
		}
	}
}

// What a recording says of rules is not trusted.
func TestReplayOfBadTracedRules(t *testing.T) {
	for _, note := range []string{`{"records":[{"netns":-1}]}`, `{"records":{}}`, `[]`, `{"lost":"x"}`} {
		code, _, errs := call(t, "replay", withNote(t, rejected, []byte(note)))
		if code != exitUsage || !strings.Contains(errs, "read the recording's traced") || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: exit %d, %q", note, code, errs)
		}
	}
	if code, _, errs := call(t, "replay", withNote(t, rejected, []byte(`{"records":[{},{"netns":1,"type":"rule","table":"x"},{"packet":{"src":"::1"}}]}`))); code != exitVerdict {
		t.Errorf("records that mean nothing: exit %d, %q", code, errs)
	}
}
