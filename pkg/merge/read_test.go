// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/internal/schematest"
	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

const startLine = `{"kind":"start","schema":"nettrace/v1","node":"node1","flow":{"proto":"tcp","src":"10.0.0.1","dst":"10.0.0.2","dport":80}}`

// A line that is no record is one error, with its number, and reading goes on behind it.
func TestReaderOnBadLines(t *testing.T) {
	long := `{"kind":"journey","x":"` + strings.Repeat("a", maxLine) + `"}`
	many := `{"kind":"journey","id":1,"direction":"request","end":"open","packet":{"src":"10.0.0.1","dst":"10.0.0.2"},"hops":[` + strings.TrimSuffix(strings.Repeat(`{"stage":"drop"},`, maxHops+1), ",") + `]}`
	for _, tc := range []struct{ line, want string }{
		{"no JSON", "invalid character"},
		{`[]`, "cannot unmarshal array"},
		{`{}`, "it has no kind"},
		{long, "it is longer than 4194304 bytes"},
		{`{"kind":"start","schema":"nettrace/v2","node":"n"}`, `its schema is "nettrace/v2", and this nettrace reads nettrace/v1: use the same version of nettrace on all nodes`},
		{`{"kind":"start","schema":"nettrace/v1"}`, "names no node"},
		{`{"kind":"start","schema":"nettrace/v1","node":"n","time":"9999-01-01T00:00:00Z"}`, "its time is in the year 9999"},
		{`{"kind":"journey"}`, "the journey has no id"},
		{`{"kind":"journey","id":1,"direction":"up","end":"open","packet":{"src":"10.0.0.1","dst":"10.0.0.2"}}`, `direction is "up"`},
		{`{"kind":"journey","id":1,"direction":"request","end":"over","packet":{"src":"10.0.0.1","dst":"10.0.0.2"}}`, `end is "over"`},
		{`{"kind":"journey","id":1,"direction":"request","end":"open","packet":{"src":"x"}}`, "ParseAddr"},
		{`{"kind":"journey","id":1,"direction":"request","end":"open","packet":{}}`, "has no addresses"},
		{`{"kind":"journey","id":1,"direction":"request","end":"open","packet":{"src":"10.0.0.1","dst":"10.0.0.2"},"hops":[{"stage":"route"}]}`, "hop 1 is a route without a route"},
		{`{"kind":"journey","id":1,"direction":"request","end":"open","packet":{"src":"10.0.0.1","dst":"10.0.0.2"},"hops":[{"stage":"\u001b[2J"}]}`, "the stage of hop 1"},
		{`{"kind":"journey","id":1,"direction":"request","end":"open","packet":{"src":"10.0.0.1","dst":"10.0.0.2"},"hops":[{"stage":"drop","t":-5}]}`, "the time of hop 1 is -5 ns"},
		{many, "has 1025 hops"},
		{`{"kind":"verdict","outcome":"fine","confidence":"likely"}`, `outcome is "fine"`},
		{`{"kind":"verdict","outcome":"lost","confidence":"quite"}`, `confidence is "quite"`},
		{`{"kind":"verdict","outcome":"lost","confidence":"likely","probe":{"result":"a\u0007b"}}`, "the probe's result"},
		{`{"kind":"verdict","outcome":"lost","confidence":"likely","evidence":["` + strings.Repeat(`","`, maxTexts) + `"]}`, "too many sentences"},
	} {
		r := NewReader(strings.NewReader(startLine+"\n\n"+`{"kind":"news"}`+"\n"+tc.line+"\n"+startLine+"\n"), "x.jsonl")
		if rec, err := r.Next(); err != nil || rec.Start == nil || rec.Line != 1 {
			t.Fatalf("%.60s: first line: %+v, %v", tc.line, rec, err)
		}
		_, err := r.Next()
		var le *LineError
		if !errors.As(err, &le) || le.Line != 4 || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "x.jsonl line 4 is no record of 'nettrace flow -o json' and was left out: ") {
			t.Errorf("%.60s: %v, want %q", tc.line, err, tc.want)
		}
		if len(err.Error()) > 400 {
			t.Errorf("%.60s: the error has %d bytes", tc.line, len(err.Error()))
		}
		if rec, err := r.Next(); err != nil || rec.Start == nil || rec.Line != 5 {
			t.Errorf("%.60s: the line behind it: %+v, %v", tc.line, rec, err)
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("%.60s: the end: %v", tc.line, err)
		}
	}
}

// tryMerge merges texts; what each is wrong about is an error or a warning.
func tryMerge(texts ...string) (*told, error) {
	c := &told{}
	var sources []Source
	for i, s := range texts {
		sources = append(sources, Source{Name: fmt.Sprintf("%c.jsonl", 'a'+i), R: strings.NewReader(s)})
	}
	_, err := Run(context.Background(), sources, c, Options{Warn: func(s string) { c.warnings = append(c.warnings, s) }})
	return c, err
}

// What cannot be one run is refused, in one sentence.
func TestNoOneRun(t *testing.T) {
	w := newWorld(1)
	w.send(w.tcp(journey.Request, "SYN", 1, 60))
	a, b := string(w.lines(t, w.a)), string(w.lines(t, w.b))
	for _, tc := range []struct {
		name  string
		texts []string
		want  string
	}{
		{"nothing", nil, "nothing to merge: name the files of two or more nodes"},
		{"too many", slices.Repeat([]string{a}, 17), "17 sources are more than the 16 that are merged"},
		{"an empty file", []string{a, ""}, "b.jsonl has no start record: write it with 'nettrace flow … -o json' on one of the nodes"},
		{"a file of something else", []string{a, "hello\nworld\n"}, "b.jsonl has no start record"},
		{"another version", []string{a, strings.Replace(b, "nettrace/v1", "nettrace/v2", 1)}, "b.jsonl line 2 comes before a start record"},
		{"one node twice", []string{a, a}, "a.jsonl and b.jsonl are both of node1: give one file for each node"},
		{"two runs in a file", []string{a + a, b}, "a.jsonl line 4 begins a second run: give one file for each run"},
		{"without times", []string{strings.ReplaceAll(a, `"at":`, `"when":`), b}, "a.jsonl does not say when its packets were seen: an older nettrace wrote it"},
	} {
		c, err := tryMerge(tc.texts...)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
		if c.verdict != nil {
			t.Errorf("%s: there is a verdict", tc.name)
		}
	}
}

// What is wrong with one of the streams is told with file and line, stands in the evidence, and keeps an absence from being confirmed.
func TestStreamsThatAreNotWhole(t *testing.T) {
	w := newWorld(1)
	w.alone()
	w.lose()
	w.now += 3000 * ms
	a, b := string(w.lines(t, w.a)), string(w.lines(t, w.b))
	lines := strings.SplitAfter(b, "\n")
	for _, tc := range []struct{ name, a, b, want string }{
		{"cut between lines", a, lines[0], "b.jsonl ends after line 1 without a verdict: what came behind it is missing"},
		{"cut in a line", a, b[:len(b)-20], "b.jsonl ends after line 2 without a verdict"},
		{"a bad line", a, lines[0] + "nettrace: a warning on stderr\n" + lines[1], "b.jsonl line 2 is no record of 'nettrace flow -o json' and was left out"},
		{"many bad lines", a, lines[0] + strings.Repeat("x\n", 30) + lines[1], "b.jsonl has 25 more lines that are no records"},
		{"another flow", a, strings.Replace(b, `"dst":"10.96.0.80","dport":80`, `"dst":"10.96.0.99","dport":80`, 1), "a.jsonl follows tcp 10.244.1.10 → 10.96.0.80:80 and b.jsonl follows tcp 10.244.1.10 → 10.96.0.99:80: run nettrace for the same flow on all nodes"},
		{"another time", a, strings.ReplaceAll(b, "2026-11-25T1", "2026-11-26T1"), "a.jsonl and b.jsonl do not overlap in time"},
	} {
		if tc.name == "another flow" {
			tc.b = strings.Replace(tc.b, `"endpoints":[{"addr":"10.244.2.20:8080"`, `"endpoints":[{"addr":"10.244.9.9:8080"`, 1)
		}
		c, err := tryMerge(tc.a, tc.b)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		has := func(all []string) bool {
			return slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, tc.want) })
		}
		if !has(c.warnings) || !has(c.verdict.Evidence) || c.verdict.Confidence == verdict.Confirmed {
			t.Errorf("%s: %s; warnings %q, evidence %q", tc.name, c.verdict.Confidence, c.warnings, c.verdict.Evidence)
		}
	}
	// one follows the Service, the other its endpoint: the same flow
	if c, err := tryMerge(a, strings.Replace(b, `"dst":"10.96.0.80","dport":80`, `"dst":"10.244.2.20","dport":8080`, 1)); err != nil || len(c.warnings) > 0 || c.verdict.Confidence != verdict.Confirmed {
		t.Errorf("endpoint: %v, %q", err, c.warnings)
	}
}

// A journey whose halves come one after the other is told once, whole; one whose other half never comes is told after the hold; and the verdict
// when all have ended.
func TestLive(t *testing.T) {
	w := skewed(2)
	w.send(w.tcp(journey.Request, "SYN", 1, 60))
	p := w.tcp(journey.Request, "ACK", 2, 52)
	p.lost = true
	w.send(p)
	split := func(n *node) (start string, journeys []string, end string) {
		l := strings.SplitAfter(strings.TrimSpace(string(w.lines(t, n)))+"\n", "\n")
		return l[0], l[1 : len(l)-2], l[len(l)-2]
	}
	w.rng = newWorld(0).rng
	aStart, aJourneys, aEnd := split(w.a)
	bStart, bJourneys, bEnd := split(w.b)
	ar, aw := io.Pipe()
	br, bw := io.Pipe()
	c := &told{}
	seen := make(chan *journey.Journey, 4)
	c.on = func(j *journey.Journey) { seen <- j }
	done := make(chan error, 1)
	go func() {
		_, err := Run(context.Background(), []Source{{"a", ar}, {"b", br}}, c, Options{Live: true, Hold: 50 * time.Millisecond})
		done <- err
	}()
	put := func(w io.Writer, lines ...string) {
		for _, l := range lines {
			if _, err := io.WriteString(w, l); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(bw, bStart)
	put(aw, aStart)
	put(bw, bJourneys...)
	put(aw, aJourneys...)
	var got []string
	for range 2 {
		j := <-seen
		got = append(got, fmt.Sprintf("#%d %s %s", j.ID, j.End, j.EndWhy))
	}
	if !slices.Equal(got, []string{"#1 delivered socket", "#2 left-node not seen on node2"}) {
		t.Errorf("told %q", got)
	}
	put(aw, aEnd)
	put(bw, bEnd)
	_, _ = aw.Close(), bw.Close()
	if err := <-done; err != nil || c.verdict == nil || len(c.journeys) != 2 || len(c.starts) != 1 {
		t.Errorf("%v, %d journeys, %d starts, verdict %+v", err, len(c.journeys), len(c.starts), c.verdict)
	}
}

// Live, a node that never began is left out; a run that is called off is judged as far as it came.
func TestLiveEnds(t *testing.T) {
	w := newWorld(1)
	w.alone()
	w.lose()
	a := w.lines(t, w.a)
	c := &told{}
	_, err := Run(context.Background(), []Source{{"a", bytes.NewReader(a)}, {"pod b", strings.NewReader("")}}, c, Options{Live: true, Hold: time.Millisecond, Warn: func(s string) { c.warnings = append(c.warnings, s) }})
	if err != nil || !slices.Equal(c.warnings, []string{"pod b ended before it began to trace: the story is told without it"}) || c.verdict.Cause != "tunnel-lost-in-fabric" || c.verdict.Confidence != verdict.Inconclusive {
		t.Errorf("%v, %q, %+v", err, c.warnings, c.verdict)
	}
	if _, err := Run(context.Background(), []Source{{"a", strings.NewReader("")}}, &told{}, Options{Live: true}); err == nil || !strings.Contains(err.Error(), "no node began to trace") {
		t.Errorf("nobody began: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r, pw := io.Pipe()
	t.Cleanup(func() { _ = pw.Close() })
	c = &told{on: func(*journey.Journey) { cancel() }}
	go func() {
		_, _ = pw.Write(a[:bytes.LastIndexByte(bytes.TrimSpace(a), '\n')+1]) // all but the verdict
	}()
	if _, err := Run(ctx, []Source{{"a", r}}, c, Options{Live: true, Hold: 10 * time.Millisecond}); err != nil || c.verdict == nil || c.verdict.Outcome != verdict.Unseen || len(c.journeys) == 0 {
		t.Errorf("called off: %v, %+v", err, c.verdict)
	}
}

// What a merge writes is described by the schema.
func TestMergedJSONFitsTheSchema(t *testing.T) {
	for seed := range uint64(5) {
		w := skewed(seed)
		w.connection()
		kinds := schematest.Lines(t, []byte(rendered(t, "json", w.lines(t, w.a), w.lines(t, w.b))))
		if len(kinds["start"]) != 1 || len(kinds["verdict"]) != 1 || len(kinds["journey"]) == 0 {
			t.Errorf("%d start, %d journey, %d verdict", len(kinds["start"]), len(kinds["journey"]), len(kinds["verdict"]))
		}
	}
}

// Any bytes: no panic, no line of a terminal that the renderer did not mean, every format.
func FuzzMerge(f *testing.F) {
	w := skewed(1)
	_, came := w.send(w.tcp(journey.Request, "SYN", 1, 60))
	w.send(packet{p: w.tcp(journey.Reply, "SYN,ACK", 5, 60).p, dir: journey.Reply, after: came})
	a, b := w.lines(f, w.a), w.lines(f, w.b)
	f.Add(a, b)
	f.Add(a[:len(a)/2], b)
	f.Add([]byte(startLine+"\n"), b)
	f.Add([]byte("{}\n"), []byte(nil))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		for _, format := range render.Formats() {
			var out bytes.Buffer
			r, err := render.New(format, &out, render.Options{})
			if err != nil {
				t.Fatal(err)
			}
			_, _ = Run(context.Background(), []Source{{"a", bytes.NewReader(a)}, {"b", bytes.NewReader(b)}}, r, Options{})
			if format != "table" && bytes.ContainsAny(out.Bytes(), "\x1b\x07\x00") {
				t.Errorf("%s writes control characters: %q", format, out.Bytes())
			}
		}
	})
}

// Live, a packet that came from a watched node is waited for longer than one that is lost: that it came says that it was sent.
func TestLiveWaitsForASlowSender(t *testing.T) {
	w := newWorld(2)
	w.send(w.tcp(journey.Request, "SYN", 1, 60))
	w.b.out[0].Hops[0].Outer.Src = w.a.under
	aLines := strings.SplitAfter(strings.TrimSpace(string(w.lines(t, w.a)))+"\n", "\n")
	bLines := strings.SplitAfter(strings.TrimSpace(string(w.lines(t, w.b)))+"\n", "\n")
	ar, aw := io.Pipe()
	br, bw := io.Pipe()
	c := &told{}
	hold := 200 * time.Millisecond
	done := make(chan error, 1)
	go func() {
		_, err := Run(context.Background(), []Source{{"a", ar}, {"b", br}}, c, Options{Live: true, Hold: hold})
		done <- err
	}()
	put := func(w *io.PipeWriter, lines []string) {
		for _, l := range lines {
			if _, err := io.WriteString(w, l); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(aw, aLines[:1])
	put(bw, bLines[:2])
	<-time.After(2 * hold) // longer than a departure waits, shorter than an arrival does
	put(aw, aLines[1:])
	put(bw, bLines[2:])
	_, _ = aw.Close(), bw.Close()
	if err := <-done; err != nil || len(c.journeys) != 1 || c.journeys[0].End != journey.Delivered || c.journeys[0].Hops[0].Node != "node1" {
		t.Errorf("%v, %d journeys: %+v", err, len(c.journeys), c.journeys[0])
	}
}

// Live, a packet that waits for a neighbour on the node that it was sent to is told late. Those behind it are told before; and should it come
// later still, it is told again under its id, with the drop that was not told.
func TestLiveWaitsForASlowReceiver(t *testing.T) {
	w := newWorld(2)
	p := w.tcp(journey.Request, "SYN", 1, 60)
	p.dropped = "NEIGH_FAILED"
	w.send(p)
	w.now += 100 * ms
	w.send(w.tcp(journey.Request, "SYN", 2, 60))
	lines := func(n *node) []string { return strings.SplitAfter(strings.TrimSpace(string(w.lines(t, n)))+"\n", "\n") }
	from, to := lines(w.a), lines(w.b)
	var slow, fast []string
	for _, l := range to[1 : len(to)-1] {
		if strings.Contains(l, "NEIGH_FAILED") {
			slow = append(slow, l)
		} else {
			fast = append(fast, l)
		}
	}
	ar, aw := io.Pipe()
	br, bw := io.Pipe()
	seen := make(chan string, 9)
	c := &told{on: func(j *journey.Journey) { seen <- fmt.Sprintf("#%d seq %d %s", j.ID, j.Packet.Seq, j.End) }}
	done := make(chan error, 1)
	go func() {
		_, err := Run(context.Background(), []Source{{"b", br}, {"a", ar}}, c, Options{Live: true, Hold: 400 * time.Millisecond})
		done <- err
	}()
	put := func(w io.Writer, lines ...string) {
		for _, l := range lines {
			if _, err := io.WriteString(w, l); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(bw, to[0])
	put(aw, from[:len(from)-1]...)
	put(bw, fast...)
	got := []string{<-seen, <-seen}
	put(bw, slow...)
	got = append(got, <-seen)
	put(aw, from[len(from)-1])
	put(bw, to[len(to)-1])
	_, _ = aw.Close(), bw.Close()
	if err := <-done; err != nil || !slices.Equal(got, []string{"#1 seq 2 delivered", "#2 seq 1 left-node", "#2 seq 1 dropped"}) || len(c.drops) != 1 || c.drops[0].Journey != 2 || len(c.journeys) != 3 {
		t.Errorf("%v, told %q, drops %+v", err, got, c.drops)
	}
}

// Which source is which does not depend on the order of the nodes' names, nor on those that never begin.
func TestLiveSourcesInAnyOrder(t *testing.T) {
	w := newWorld(2)
	w.send(w.tcp(journey.Request, "SYN", 1, 60))
	c := &told{}
	_, err := Run(context.Background(), []Source{{"none", strings.NewReader("")}, {"b", bytes.NewReader(w.lines(t, w.b))}, {"a", bytes.NewReader(w.lines(t, w.a))}}, c, Options{Live: true, Hold: time.Minute})
	if err != nil || len(c.journeys) == 0 || c.journeys[0].Hops[0].Node != "node1" || c.journeys[len(c.journeys)-1].End != journey.Delivered {
		t.Errorf("%v: %+v", err, c.journeys)
	}
}

// With patience, what is told live is what is told of the files, however the lines come.
func TestLiveIsTheSameStory(t *testing.T) {
	for seed := range uint64(20) {
		w := skewed(seed)
		w.connection()
		a, b := w.lines(t, w.a), w.lines(t, w.b)
		want := rendered(t, "story", a, b)
		ar, aw := io.Pipe()
		br, bw := io.Pipe()
		var out bytes.Buffer
		r, err := render.New("story", &out, render.Options{})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := Run(context.Background(), []Source{{"a.jsonl", ar}, {"b.jsonl", br}}, r, Options{Live: true, Hold: time.Minute})
			done <- err
		}()
		for len(a) > 0 || len(b) > 0 {
			from, to := &a, aw
			if len(a) == 0 || len(b) > 0 && w.rng.IntN(2) == 0 {
				from, to = &b, bw
			}
			n := min(len(*from), 1+w.rng.IntN(3000))
			if _, err := to.Write((*from)[:n]); err != nil {
				t.Fatal(err)
			}
			if *from = (*from)[n:]; len(*from) == 0 {
				_ = to.Close()
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("seed %d: live and offline differ", seed)
		}
	}
}
