// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

// A packet from a pod to its node, where it is dropped: two lifelines, an arrow between them, the rule in a note, and the verdict over both.
func TestMermaid(t *testing.T) {
	again := sample(2)
	want := `sequenceDiagram
  %% nettrace: tcp 10.0.0.1 → [fd00::2]:80 on node1, kernel 6.12
  participant p1 as pod shop/client on node1
  participant p2 as node node1
  Note over p1: #35;1 request tcp SYN 10.0.0.1:40001 → 10.0.0.2:80, 60 bytes
  p1->>p2: sent out of eth0 (veth)
  Note over p2: dropped<br/>iptables-legacy filter/FORWARD policy DROP (inferred, 2 more fit)
  p2-xp2: ✗ dropped
  Note over p1,p2: DROPPED: it was dropped<br/>layer: pod network · cause: forward-policy-drop · confirmed · on node1<br/>1 more packets went these ways<br/>7 events were lost: hops may be missing
`
	if got := tell(t, "mermaid", Options{}, sample(1), again); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// Every line is one of the grammar's, whatever names and ways there are.
var (
	statement = regexp.MustCompile(`^(sequenceDiagram|  %% .*|  participant p\d+ as .+|  p\d+(->>|-x)p\d+: .+|  Note over p\d+(,p\d+)?: .+)$`)
	entity    = regexp.MustCompile(`#(\d+|lt|gt);`)
)

func checkMermaid(t *testing.T, out string) {
	t.Helper()
	for i, l := range strings.Split(strings.TrimSuffix(out, "\n"), "\n") {
		text := strings.ReplaceAll(entity.ReplaceAllString(l, ""), "<br/>", "")
		if !statement.MatchString(l) || (i > 1 && strings.ContainsAny(strings.TrimLeft(text, " "), "<;#") || lone.MatchString(text)) {
			t.Errorf("line %d is not mermaid's: %q", i+1, l)
		}
	}
}

func TestMermaidOfHostileNames(t *testing.T) {
	j := sample(1)
	j.Hops[0].What = "end; <script>alert(1)</script> # %% \x1b[2J\nNote over p1: mine"
	j.Hops[0].Where.Name = "END\nparticipant x as y"
	j.Hops[1].Rule.Text, j.Hops[1].Rule.Number = "; end", 1
	out := tell(t, "mermaid", Options{}, j)
	checkMermaid(t, out)
	if strings.ContainsRune(out, '\x1b') || strings.Contains(out, "<script") {
		t.Errorf("%s", out)
	}
}

func FuzzMermaid(f *testing.F) {
	f.Add("end", "x;y")
	f.Add("#35;", "a\r\nb")
	f.Fuzz(func(t *testing.T, what, name string) {
		j := sample(1)
		j.Hops[0].What, j.Hops[0].Where.Name = what, name
		checkMermaid(t, tell(t, "mermaid", Options{}, j))
	})
}

// What can be drawn is bounded, and what is not drawn is counted; a run without packets has its verdict somewhere.
func TestMermaidIsBounded(t *testing.T) {
	var many []*journey.Journey
	for i := range maxWays + 5 {
		j := sample(i + 1)
		j.Hops[1].Location = strings.Repeat("x", i+1)
		many = append(many, j)
	}
	long := sample(1)
	for range maxSteps * 2 {
		long.Hops = append(long.Hops, long.Hops[1])
	}
	out := tell(t, "mermaid", Options{Addresses: true}, many...)
	if !strings.Contains(out, "5 packets that went other ways are not drawn") || strings.Count(out, "-x") != maxWays {
		t.Errorf("%d ways are drawn", strings.Count(out, "-x"))
	}
	if out := tell(t, "mermaid", Options{}, long); !strings.Contains(out, "<br/>17 more\n") {
		t.Errorf("a long note:\n%s", out)
	}
	if out := tell(t, "mermaid", Options{}); !strings.Contains(out, "participant p1 as this node\n  Note over p1: DROPPED") {
		t.Errorf("without packets:\n%s", out)
	}
	var b bytes.Buffer
	r, err := New("mermaid", &b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	none := sample(1)
	none.Hops = nil
	if err := errors.Join(r.Start(start()), r.Journey(none), r.Verdict(result())); err != nil {
		t.Fatal(err)
	}
	checkMermaid(t, b.String())
}

func TestMermaidReturnsWriteErrors(t *testing.T) {
	r, err := New("mermaid", full{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Drop(Drop{}), r.Verdict(result())); err == nil || !strings.Contains(err.Error(), "write the diagram: disk full") {
		t.Errorf("%v", err)
	}
}
