// SPDX-License-Identifier: Apache-2.0

package render

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

func init() {
	register("html", func(w io.Writer, o Options) Renderer {
		return &page{w: w, addresses: o.Addresses, seen: map[string]int{}}
	})
}

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is one HTML page that stands alone, for a ticket or a report: the verdict, then each packet's way. It is written when the verdict is known.
// Ways that look like one that is there are counted with it.
type page struct {
	w         io.Writer
	addresses bool
	seen      map[string]int // shape of a way → its place in ways
	data      pageData
}

// pageData is what the template shows; everything in it has been escaped for people, and the template escapes it for browsers.
type pageData struct {
	Flow, Where string
	Endpoints   string
	Blind       []string
	Tone        string // of the outcome: good, warning, bad
	Word        string
	Summary     string
	Facts       string
	Lists       []pageList
	Ways        []pageWay
	Cut         int
	Probe       string
	Lost        uint64
}

type pageList struct {
	Title string
	Lines []string
}

type pageWay struct {
	Title, Note string
	Tone        string
	End         string
	Again       int
	Open        bool
	Hops        []pageHop
}

type pageHop struct {
	Place string // "" when it is that of the hop before
	Time  string
	Stage string
	Dev   string
	What  string
	Rule  string
	Tone  string
}

// maxPageWays bounds a page.
const maxPageWays = 500

var toneNames = map[tone]string{good: "good", bad: "bad", warning: "warning", change: "change"}

func (p *page) Start(s Start) error {
	f := &s.Flow
	p.data.Flow = Escape(fmt.Sprintf("%s %s → %s", f.Proto, headed(f.SrcRef, f.Src, 0), headed(f.DstRef, f.Dst, f.Dport)))
	p.data.Where = Escape(fmt.Sprintf("on %s, kernel %s, %s", s.Node, s.Kernel, watched(s)))
	p.data.Endpoints = Escape(standsFor(f))
	for _, l := range blind(s.Points) {
		p.data.Blind = append(p.data.Blind, Escape(l))
	}
	return nil
}

func (p *page) Drop(Drop) error { return nil }

func (p *page) Journey(j *journey.Journey) error {
	key := shape(j)
	if i, ok := p.seen[key]; ok {
		p.data.Ways[i].Again++
		return nil
	}
	if len(p.data.Ways) >= maxPageWays {
		p.data.Cut++
		return nil
	}
	p.seen[key] = len(p.data.Ways)
	mark, t, text := endOf(j)
	w := pageWay{Title: Escape(titleOf(j, p.addresses)), Note: Escape(noteOf(j)), Tone: toneNames[t], End: Escape(mark + " " + text), Open: t == bad}
	last := ""
	for i := range j.Hops {
		h := &j.Hops[i]
		row := pageHop{Time: rowTime(h), Stage: string(h.Stage), Dev: Escape(h.Dev), What: Escape(h.What), Tone: toneNames[toneOfStage(h.Stage)]}
		if place := placeOf(h); place != last {
			row.Place, last = Escape(place), place
		}
		if hasRule(h) {
			row.Rule = Escape(RuleText(h.Rule))
		}
		w.Hops = append(w.Hops, row)
	}
	p.data.Ways = append(p.data.Ways, w)
	return nil
}

func (p *page) Verdict(v *verdict.Verdict) error {
	d := &p.data
	d.Tone, d.Word, d.Summary, d.Facts = toneNames[toneOf(v.Outcome)], Escape(strings.ToUpper(string(v.Outcome))), Escape(v.Summary), Escape(strings.Join(factsOf(v), " · "))
	d.list("evidence", v.Evidence)
	d.list("what to do", v.Fix)
	var also []string
	for _, a := range v.Also {
		also = append(also, a.Summary)
	}
	d.list("also", also)
	if v.Probe != nil {
		d.Probe = Escape(fmt.Sprintf("%s after %d ms", v.Probe.Result, v.Probe.MS))
	}
	d.Lost = v.LostEvents
	if len(d.Ways) > 0 && !p.hasOpen() {
		d.Ways[0].Open = true
	}
	if err := pageTemplate.Execute(p.w, d); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

func (p *page) hasOpen() bool {
	for i := range p.data.Ways {
		if p.data.Ways[i].Open {
			return true
		}
	}
	return false
}

func (d *pageData) list(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	l := pageList{Title: title}
	for _, s := range lines {
		l.Lines = append(l.Lines, Escape(s))
	}
	d.Lists = append(d.Lists, l)
}
