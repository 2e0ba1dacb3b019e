// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

func init() {
	register("mermaid", func(w io.Writer, o Options) Renderer {
		return &mermaid{w: w, addresses: o.Addresses, seen: map[string]bool{}, places: map[string]string{}}
	})
}

// mermaid draws a sequence diagram (mermaid.js.org, sequenceDiagram) for issues, chats and lessons: a lifeline for each place, an arrow where the
// packet goes on to the next, and a note for what happens at one. Ways that look like one that was drawn are counted.
type mermaid struct {
	w         io.Writer
	addresses bool
	err       error
	seen      map[string]bool
	places    map[string]string // by name: the lifeline
	first     string
	last      string
	more      int
	cut       int
}

// Bounds of a diagram that can still be read.
const (
	maxWays  = 24
	maxSteps = 16 // in one note
)

func (m *mermaid) printf(format string, args ...any) {
	if m.err == nil {
		if _, err := fmt.Fprintf(m.w, format, args...); err != nil {
			m.err = fmt.Errorf("write the diagram: %w", err)
		}
	}
}

// lone is the word that ends a block in mermaid's grammar, also inside a text.
var lone = regexp.MustCompile(`(?i)\bend\b`)

// drawn makes a text harmless in a diagram: what the grammar or a browser would understand becomes entity codes.
func drawn(s string) string {
	s = strings.NewReplacer("#", "#35;", ";", "#59;", "<", "#lt;", ">", "#gt;", "%%", "#37;#37;").Replace(Escape(s))
	return lone.ReplaceAllStringFunc(s, func(w string) string { return fmt.Sprintf("#%d;%s", w[0], w[1:]) })
}

func (m *mermaid) Start(s Start) error {
	f := &s.Flow
	m.printf("sequenceDiagram\n  %%%% nettrace: %s %s → %s on %s, kernel %s\n", drawn(f.Proto), drawn(headed(f.SrcRef, f.Src, 0)), drawn(headed(f.DstRef, f.Dst, f.Dport)), drawn(s.Node), drawn(s.Kernel))
	return m.err
}

func (m *mermaid) Drop(Drop) error { return m.err }

// lifeline is the name of a place's lifeline in the diagram, which its first sight draws.
func (m *mermaid) lifeline(place string) string {
	id, ok := m.places[place]
	if !ok {
		id = fmt.Sprintf("p%d", len(m.places)+1)
		m.places[place], m.last = id, id
		if m.first == "" {
			m.first = id
		}
		m.printf("  participant %s as %s\n", id, drawn(place))
	}
	return id
}

// Journey draws a packet's way: the steps at each place in one note, an arrow to the next.
func (m *mermaid) Journey(j *journey.Journey) error {
	key := shape(j)
	switch {
	case m.seen[key]:
		m.more++
		return m.err
	case len(m.seen) >= maxWays:
		m.cut++
		return m.err
	}
	m.seen[key] = true
	at, sent := "", ""
	steps := []string{drawn(titleOf(j, m.addresses) + ", " + noteOf(j))}
	for i := range j.Hops {
		h := &j.Hops[i]
		next := m.lifeline(placeOf(h))
		switch {
		case at == "":
		case next == at:
			steps = append(steps, sent)
		default: // its last step there is that it went
			m.note(at, steps)
			m.printf("  %s->>%s: %s\n", at, next, sent)
			steps = nil
		}
		at, sent = next, drawn(h.What)
		if hasRule(h) {
			sent += "<br/>" + drawn(RuleText(h.Rule))
		}
	}
	if at == "" {
		at = m.lifeline(placeless)
	} else {
		steps = append(steps, sent)
	}
	m.note(at, steps)
	mark, t, text := endOf(j)
	arrow := "->>"
	if t == bad {
		arrow = "-x"
	}
	m.printf("  %s%s%s: %s %s\n", at, arrow, at, mark, drawn(text))
	return m.err
}

func (m *mermaid) note(at string, steps []string) {
	if len(steps) == 0 {
		return
	}
	lines := slices.Clone(steps[:min(len(steps), maxSteps)])
	if n := len(steps) - maxSteps; n > 0 {
		lines = append(lines, fmt.Sprintf("%d more", n))
	}
	m.printf("  Note over %s: %s\n", at, strings.Join(lines, "<br/>"))
}

func (m *mermaid) Verdict(v *verdict.Verdict) error {
	over := m.first
	if over == "" {
		over = m.lifeline(placeless)
	}
	if m.last != m.first && m.last != "" {
		over += "," + m.last
	}
	lines := []string{strings.ToUpper(string(v.Outcome)) + ": " + v.Summary, strings.Join(factsOf(v), " · ")}
	if m.more > 0 {
		lines = append(lines, fmt.Sprintf("%d more packets went these ways", m.more))
	}
	if m.cut > 0 {
		lines = append(lines, fmt.Sprintf("%d packets that went other ways are not drawn", m.cut))
	}
	if v.LostEvents > 0 {
		lines = append(lines, fmt.Sprintf("%d events were lost: hops may be missing", v.LostEvents))
	}
	for i, l := range lines {
		lines[i] = drawn(l)
	}
	m.printf("  Note over %s: %s\n", over, strings.Join(lines, "<br/>"))
	return m.err
}

// placeless is where a run without packets has its verdict.
const placeless = "this node"
