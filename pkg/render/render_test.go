// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"unicode"

	"github.com/nettrace-io/nettrace/internal/schematest"
	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/probe"
	"github.com/nettrace-io/nettrace/pkg/tracer"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"plain text":         "plain text",
		"grüße → 10.0.0.1":   "grüße → 10.0.0.1",
		"\x1b[31mred\x1b[0m": `\x1b[31mred\x1b[0m`,
		"a\nb\tc\r":          `a\x0ab\x09c\x0d`,
		"\xff\xfe":           `\xff\xfe`,
		"\u009b31m":          `\x9b31m`,
		"user\u202etxt.exe":  `user\u202etxt.exe`,
		"zero\u200bwidth":    `zero\u200bwidth`,
		"\x7f":               `\x7f`,
		"":                   "",
	} {
		if got := Escape(in); got != want {
			t.Errorf("Escape(%q) = %q, want %q", in, got, want)
		}
	}
	if got := Escape(strings.Repeat("x", 1<<20)); len(got) > maxText+8 {
		t.Errorf("a long string is %d bytes long", len(got))
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("\x1b]0;title\x07")
	f.Add("\u2067\u2066")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Escape(s) {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
				t.Fatalf("%q has %U", Escape(s), r)
			}
		}
	})
}

func start() Start {
	return Start{Kind: "start", Schema: Schema, Node: "node1", Kernel: "6.12", Lockdown: "none", AttachMS: 12,
		Flow:   verdict.Flow{Proto: "tcp", Src: "10.0.0.1", Dst: "fd00::2", Dport: 80},
		Points: []tracer.PointStatus{{Name: "kfree_skb", Backend: "tracepoint", Attached: true}, {Name: "icmp_send", Why: "this kernel has no tracepoint icmp_send"}}}
}

func sample(id int) *journey.Journey {
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	return &journey.Journey{ID: id, Direction: journey.Request, Attempt: 1, End: journey.Dropped, Complete: true,
		Packet: journey.Packet{Proto: "tcp", Tuple: journey.Tuple{Src: a, Sport: 40000 + uint16(id), Dst: b, Dport: 80}, Flags: "SYN", Len: 60},
		Hops: []journey.Hop{
			{Stage: journey.StageDeviceTx, Dev: "eth0", What: "sent out of eth0 (veth)", Where: &journey.Where{Kind: "pod", Namespace: "shop", Name: "client"}, Node: "node1"},
			{T: 1500000, Stage: journey.StageDrop, What: "dropped", Verdict: "drop", Reason: "NETFILTER_DROP", Node: "node1", Where: &journey.Where{Kind: "host", Name: "node1"},
				Rule: &journey.Rule{Backend: "iptables-legacy", Table: "filter", Chain: "FORWARD", Verdict: "DROP", Certainty: "inferred", Alternatives: 2}},
		}}
}

func result() *verdict.Verdict {
	return &verdict.Verdict{Outcome: verdict.Dropped, Layer: verdict.PodNetwork, Cause: "forward-policy-drop", Summary: "it was dropped", Node: "node1", Confidence: verdict.Confirmed,
		Evidence: []string{strings.Repeat("long evidence ", 20)}, Fix: []string{"fix it"}, Also: []verdict.Also{{Cause: "x", Layer: verdict.DNS, Summary: "and DNS"}},
		Probe: &probe.Result{Result: probe.Timeout, MS: 3012}, Journeys: []int{1}, LostEvents: 7}
}

// tell renders a whole run.
func tell(t *testing.T, format string, o Options, js ...*journey.Journey) string {
	t.Helper()
	var b bytes.Buffer
	r, err := New(format, &b, o)
	if err != nil {
		t.Fatal(err)
	}
	err = r.Start(start())
	for _, j := range js {
		err = errors.Join(err, r.Drop(Drop{Kind: "drop", Time: "2026-01-02T03:04:05Z", Journey: j.ID, Hop: j.Hops[len(j.Hops)-1]}), r.Journey(j))
	}
	if err = errors.Join(err, r.Verdict(result())); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestStory(t *testing.T) {
	out := tell(t, "story", Options{Width: 80}, sample(1))
	for _, want := range []string{
		"tcp 10.0.0.1 → [fd00::2]:80 on node1, kernel 6.12, 1 of 2 points attached in 12 ms\n",
		"blind: icmp_send: this kernel has no tracepoint icmp_send\n",
		"#1 request tcp SYN 10.0.0.1:40001 → 10.0.0.2:80 60 bytes\n",
		"  pod shop/client on node1\n", "  node node1\n",
		"        1.500 ms drop       dropped\n",
		"iptables-legacy filter/FORWARD policy DROP\n", "(inferred, 2 more fit)\n",
		"  ✗ dropped\n", "DROPPED: it was dropped\n", "layer: pod network · cause: forward-policy-drop · confirmed · on node1\n",
		"what to do:\n  - fix it\n", "also:\n  - and DNS\n", "probe: timeout after 3012 ms\n", "7 events were lost: hops may be missing",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the story lacks %q:\n%s", want, out)
		}
	}
	for _, l := range strings.Split(out, "\n") {
		if strings.HasPrefix(l, "  - ") && len([]rune(l)) > 80 {
			t.Errorf("a line is wider than 80 columns: %q", l)
		}
	}
	if strings.ContainsRune(out, '\x1b') {
		t.Error("colours without being asked for")
	}
}

func TestColoursAreByMeaning(t *testing.T) {
	out := tell(t, "story", Options{Color: true}, sample(1))
	for _, want := range []string{"\x1b[1;31mDROPPED: it was dropped\x1b[0m", "\x1b[1;31mdropped\x1b[0m", "\x1b[33mblind: "} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestHostileNamesAreEscapedInEveryTextFormat(t *testing.T) {
	j := sample(1)
	j.Hops[0].What, j.Hops[0].Dev, j.Hops[0].Where.Name = "\x1b[2Jwhat", "\x1b[2Jdev", "\x1b[2Jname"
	j.Hops[1].Rule.Text, j.Hops[1].Rule.Number = "\x1b[2Jrule", 1
	for _, format := range Formats() {
		if out := tell(t, format, Options{}, j); strings.ContainsRune(out, '\x1b') {
			t.Errorf("%s lets an escape through", format)
		}
	}
}

func TestSameWaysCollapse(t *testing.T) {
	again := sample(3)
	again.Attempt = 2
	other := sample(4)
	other.Hops[1].Reason = "TCP_CSUM"
	out := tell(t, "story", Options{}, sample(1), sample(2), again, other, sample(5))
	for _, want := range []string{"2 more like #1 (1 sent again)\n", "#4 request", "1 more like #1\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	for _, told := range []string{"#2 request", "#3 request", "#5 request"} {
		if strings.Contains(out, told) {
			t.Errorf("%s is told again", told)
		}
	}
}

func TestTable(t *testing.T) {
	out := tell(t, "table", Options{}, sample(1))
	for _, want := range []string{"pod shop/client on node1", "device-tx", "1.500", "DROPPED: it was dropped"} {
		if !strings.Contains(out, want) {
			t.Errorf("the table lacks %q:\n%s", want, out)
		}
	}
}

func TestJSONFollowsTheSchema(t *testing.T) {
	kinds := schematest.Lines(t, []byte(tell(t, "json", Options{}, sample(1))))
	for kind, n := range map[string]int{"start": 1, "drop": 1, "journey": 1, "verdict": 1} {
		if len(kinds[kind]) != n {
			t.Errorf("%d %s records", len(kinds[kind]), kind)
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	if _, err := New("yaml", nil, Options{}); err == nil || !strings.Contains(err.Error(), "html, json, mermaid, story, table") {
		t.Errorf("%v", err)
	}
}

// full is a writer without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriteErrorsAreReturned(t *testing.T) {
	for _, f := range Formats() {
		r, err := New(f, full{}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(r.Start(start()), r.Journey(sample(1)), r.Verdict(result())); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, tc := range []struct {
		text  string
		width int
		want  string
	}{
		{"one two three", 7, "one two|three"}, {"", 10, ""}, {"incomprehensibilities x", 5, "incomprehensibilities|x"}, {"ä ö ü", 3, "ä ö|ü"},
	} {
		if got := strings.Join(wrap(tc.text, tc.width), "|"); got != tc.want {
			t.Errorf("wrap(%q, %d) = %q, want %q", tc.text, tc.width, got, tc.want)
		}
	}
}
