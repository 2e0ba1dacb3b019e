// SPDX-License-Identifier: Apache-2.0

package render

import (
	_ "embed"
	"fmt"
	"io"
	"strings"

	"golang.org/x/net/html"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

func init() {
	register("html", func(w io.Writer, o Options) Renderer {
		return &page{w: w, addresses: o.Addresses, seen: map[string]*way{}}
	})
}

//go:embed page.css
var pageStyle string

// page is one HTML page that stands alone, for a ticket or a report: the verdict, then each packet's way. It is written when the verdict is known.
// Ways that look like one that is there are counted with it. It is a tree of the html library, which escapes; html/template would keep every
// exported method of the program, a fifth of its size.
type page struct {
	w         io.Writer
	addresses bool
	flow      string
	head      []*html.Node
	seen      map[string]*way
	ways      []*way
	cut       int
}

// way is a packet's part of the page.
type way struct {
	title, note, end *html.Node
	hops             []*html.Node
	wrong            bool
	again            int
}

// maxPageWays bounds a page.
const maxPageWays = 500

// classes are the tones in page.css.
var classes = map[tone]string{good: "good", bad: "bad", warning: "warning", change: "change", quiet: "quiet"}

func (p *page) Start(s Start) error {
	f := &s.Flow
	p.flow = fmt.Sprintf("%s %s → %s", f.Proto, headed(f.SrcRef, f.Src, 0), headed(f.DstRef, f.Dst, f.Dport))
	p.head = []*html.Node{element("h1", "", said(p.flow)), element("div", "quiet", said(fmt.Sprintf("on %s, kernel %s, %s", s.Node, s.Kernel, watched(s))))}
	if text := standsFor(f); text != "" {
		p.head = append(p.head, element("div", "quiet", said(text)))
	}
	for _, l := range blind(s.Points) {
		p.head = append(p.head, element("div", "warning", said(l)))
	}
	return nil
}

func (p *page) Drop(Drop) error { return nil }

func (p *page) Journey(j *journey.Journey) error {
	key := shape(j)
	switch {
	case p.seen[key] != nil:
		p.seen[key].again++
		return nil
	case len(p.ways) >= maxPageWays:
		p.cut++
		return nil
	}
	mark, t, text := endOf(j)
	w := &way{title: element("b", "", said(titleOf(j, p.addresses))), note: element("span", "quiet", said(noteOf(j))), end: element("span", classes[t], said(mark+" "+text)), wrong: t == bad}
	last := ""
	for i := range j.Hops {
		h := &j.Hops[i]
		if place := placeOf(h); place != last {
			w.hops = append(w.hops, element("tr", "", spanning("th", "", 4, said(place))))
			last = place
		}
		w.hops = append(w.hops, element("tr", "", element("td", "time", said(rowTime(h)+" ms")), element("td", "", said(string(h.Stage))), element("td", "", said(h.Dev)),
			element("td", classes[toneOfStage(h.Stage)], said(h.What))))
		if hasRule(h) {
			w.hops = append(w.hops, element("tr", "", spanning("td", "", 3), element("td", "rule", said(RuleText(h.Rule)))))
		}
	}
	p.seen[key] = w
	p.ways = append(p.ways, w)
	return nil
}

func (p *page) Verdict(v *verdict.Verdict) error {
	outcome := strings.ToUpper(string(v.Outcome))
	body := append(p.head, lined("section", "verdict "+classes[toneOf(v.Outcome)], judged(v, outcome)...))
	open := !p.hasWrong()
	for _, w := range p.ways {
		body = append(body, w.details(w.wrong || open))
		open = false
	}
	if p.cut > 0 {
		body = append(body, element("p", "warning", said(fmt.Sprintf("%d packets that went other ways are left out: -o json has all of them", p.cut))))
	}
	if err := html.Render(p.w, document(outcome+": "+p.flow, body)); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

func (p *page) hasWrong() bool {
	for _, w := range p.ways {
		if w.wrong {
			return true
		}
	}
	return false
}

// details is a way that can be opened; open says that it is.
func (w *way) details(open bool) *html.Node {
	summary := element("summary", "", w.title, said(" "), w.note, said(" "), w.end)
	if w.again > 0 {
		summary.AppendChild(said(" "))
		summary.AppendChild(element("span", "quiet", said(fmt.Sprintf("and %d more like it", w.again))))
	}
	d := lined("details", "", summary, lined("table", "", w.hops...))
	if open {
		d.Attr = append(d.Attr, html.Attribute{Key: "open"})
	}
	return d
}

// judged is what the box of the verdict has.
func judged(v *verdict.Verdict, outcome string) []*html.Node {
	out := []*html.Node{element("strong", "", said(outcome+": "+v.Summary)), element("div", "quiet", said(strings.Join(factsOf(v), " · ")))}
	var also []string
	for _, a := range v.Also {
		also = append(also, a.Summary)
	}
	out = append(out, listed("evidence", v.Evidence)...)
	out = append(out, listed("what to do", v.Fix)...)
	out = append(out, listed("also", also)...)
	if v.Probe != nil {
		out = append(out, element("div", "", said(fmt.Sprintf("probe: %s after %d ms", v.Probe.Result, v.Probe.MS))))
	}
	if v.LostEvents > 0 {
		out = append(out, element("div", "warning", said(fmt.Sprintf("%d events were lost: hops may be missing", v.LostEvents))))
	}
	return out
}

func listed(title string, lines []string) []*html.Node {
	if len(lines) == 0 {
		return nil
	}
	var items []*html.Node
	for _, l := range lines {
		items = append(items, element("li", "", said(l)))
	}
	return []*html.Node{lined("div", "", element("h2", "", said(title)), lined("ul", "", items...))}
}
