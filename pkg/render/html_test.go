// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// parsed is a page as a browser reads it: its elements and its text.
func parsed(t *testing.T, page string) (elements map[string]int, text string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	elements = map[string]int{}
	var b strings.Builder
	for n := range root.Descendants() {
		switch {
		case n.Type == html.ElementNode:
			elements[n.Data]++
			for _, a := range n.Attr {
				if a.Key == "open" {
					elements["open "+n.Data]++
				}
				if strings.HasPrefix(a.Key, "on") || a.Key == "src" || a.Key == "href" || a.Key == "style" {
					t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
				}
			}
		case n.Type == html.TextNode && n.Parent.Data != "style":
			b.WriteString(n.Data)
		}
	}
	return elements, b.String()
}

// A run of three packets, two of one way: the verdict, a part for each way with a row for each hop, open where something went wrong.
func TestHTML(t *testing.T) {
	good := sample(3)
	good.End, good.Hops[1].Stage = journey.Delivered, journey.StageSocket
	out := tell(t, "html", Options{}, sample(1), sample(2), good)
	elements, text := parsed(t, out)
	for element, n := range map[string]int{"html": 1, "details": 2, "table": 2, "script": 0, "img": 0, "link": 0, "iframe": 0, "section": 1} {
		if elements[element] != n {
			t.Errorf("%d <%s>, want %d", elements[element], element, n)
		}
	}
	for _, want := range []string{
		"tcp 10.0.0.1 → [fd00::2]:80", "on node1, kernel 6.12, 1 of 2 points attached in 12 ms", "blind: icmp_send",
		"DROPPED: it was dropped", "layer: pod network · cause: forward-policy-drop · confirmed · on node1", "fix it", "and DNS", "probe: timeout after 3012 ms",
		"7 events were lost: hops may be missing", "#1 request tcp SYN 10.0.0.1:40001 → 10.0.0.2:80", "✗ dropped and 1 more like it", "✓ delivered",
		"pod shop/client on node1", "node node1", "1.500 ms", "iptables-legacy filter/FORWARD policy DROP (inferred, 2 more fit)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if elements["open details"] != 1 || strings.Contains(text, "#2 request") {
		t.Errorf("what is open, and what is told:\n%s", out)
	}
	if _, title, ok := strings.Cut(out, "<title>DROPPED: tcp 10.0.0.1 → [fd00::2]:80</title>"); !ok || title == "" {
		t.Error("the page has no title")
	}
}

// When everything was delivered the first way is open; a Service's endpoints stand below the title, a run without packets has its verdict alone.
func TestHTMLOfAGoodRun(t *testing.T) {
	var b bytes.Buffer
	r, err := New("html", &b, Options{Addresses: true})
	if err != nil {
		t.Fatal(err)
	}
	s := start()
	s.Flow.DstRef, s.Flow.Endpoints = &journey.Ref{Kind: "Service", Namespace: "shop", Name: "web", Port: "http"}, []verdict.Endpoint{}
	good := sample(1)
	good.End, good.Packet.SrcRef = journey.Delivered, &journey.Ref{Kind: "Pod", Namespace: "shop", Name: "client"}
	if err := errors.Join(r.Start(s), r.Journey(good), r.Verdict(&verdict.Verdict{Outcome: verdict.Delivered, Summary: "it works", Confidence: verdict.Confirmed})); err != nil {
		t.Fatal(err)
	}
	elements, text := parsed(t, b.String())
	for _, want := range []string{"svc/shop/web:http has no endpoints", "DELIVERED: it works", "shop/client:40001 (10.0.0.1:40001)"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	if !strings.Contains(b.String(), `class="verdict good"`) || elements["open details"] != 1 {
		t.Error("the good end is not marked, or no way is open")
	}
	if elements, _ := parsed(t, tell(t, "html", Options{})); elements["details"] != 0 || elements["section"] != 1 {
		t.Errorf("without packets: %v", elements)
	}
}

func FuzzHTML(f *testing.F) {
	f.Add("<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`)
	f.Add("</title><svg onload=1>", "\x1b[2J\xff\u202e")
	f.Fuzz(func(t *testing.T, what, name string) {
		j := sample(1)
		j.Hops[0].What, j.Hops[0].Dev, j.Hops[0].Where.Name = what, name, name
		j.Hops[1].Rule.Text, j.Hops[1].Rule.Number = what, 1
		var b bytes.Buffer
		r, err := New("html", &b, Options{})
		if err != nil {
			t.Fatal(err)
		}
		v := result()
		v.Summary, v.Evidence = what, []string{name}
		s := start()
		s.Kernel = name
		if err := errors.Join(r.Start(s), r.Journey(j), r.Verdict(v)); err != nil {
			t.Fatal(err)
		}
		elements, text := parsed(t, b.String())
		for _, e := range []string{"script", "img", "svg", "iframe", "object", "link"} {
			if elements[e] > 0 {
				t.Errorf("<%s> in the page", e)
			}
		}
		if i := strings.IndexFunc(text, func(r rune) bool { return r < 0x20 && r != '\n' || r == 0x7f || r == 0x202e }); i >= 0 {
			t.Errorf("%q in the page's text", text[i])
		}
	})
}

// A page stays one that a browser can show; what is left out is counted.
func TestHTMLIsBounded(t *testing.T) {
	var many []*journey.Journey
	for i := range maxPageWays + 3 {
		j := sample(i + 1)
		j.Hops[1].Location = strings.Repeat("x", i+1)
		many = append(many, j)
	}
	elements, text := parsed(t, tell(t, "html", Options{}, many...))
	if elements["details"] != maxPageWays || !strings.Contains(text, "3 packets that went other ways are left out") {
		t.Errorf("%d ways", elements["details"])
	}
	if !slices.Contains(Formats(), "html") {
		t.Error("html is no format")
	}
}
