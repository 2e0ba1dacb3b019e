// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"strings"

	"github.com/olekukonko/tablewriter"

	"github.com/nettrace-io/nettrace/pkg/diagnose"
	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// diagnosisStory writes for a person who is in a hurry: the layers first, the packet's way to where it failed, and last, where the eye is when
// the output stops, what is wrong and what to do.
type diagnosisStory struct {
	*story
	table   bool // a row for each check
	start   Start
	checks  []diagnose.Result
	journey []journey.Journey
	verdict *verdict.Verdict
}

// maxKept bounds the journeys among which the one that failed is looked for; the first ones decide.
const maxKept = 1000

func (s *diagnosisStory) Start(st Start) error {
	s.start = st
	f := &st.Flow
	s.printf("%s %s\n", s.pal.paint(strong, fmt.Sprintf("%s %s → %s", f.Proto, headed(f.SrcRef, f.Src, 0), headed(f.DstRef, f.Dst, f.Dport))),
		s.pal.paint(quiet, fmt.Sprintf("on %s, kernel %s", st.Node, st.Kernel)))
	s.endpoints(f)
	return s.err
}

func (s *diagnosisStory) Check(r diagnose.Result) error {
	s.checks = append(s.checks, r)
	return s.err
}

func (s *diagnosisStory) Journey(j *journey.Journey) error {
	if len(s.journey) < maxKept {
		s.journey = append(s.journey, *j)
	}
	return s.err
}

func (s *diagnosisStory) Verdict(v *verdict.Verdict) error {
	s.verdict = v
	return s.err
}

func (s *diagnosisStory) Diagnosis(d *Diagnosis) error {
	s.printf("\n")
	if s.table {
		if err := s.rows(); err != nil {
			return err
		}
	}
	s.layers(d)
	s.unmade(d)
	s.way(d)
	s.warnings(d)
	s.conclusion(d)
	return s.err
}

// marks are what a layer's line begins with.
var marks = map[diagnose.Status]struct {
	mark string
	tone tone
}{diagnose.OK: {"✓", good}, diagnose.Wrong: {"✗", bad}, diagnose.Unknown: {"?", warning}, diagnose.NotApplicable: {"–", quiet}}

// layerIndent is where a layer's reason starts: behind its mark and the longest title.
const layerIndent = 25

func (s *diagnosisStory) layers(d *Diagnosis) {
	for _, l := range d.Layers {
		m := marks[l.Status]
		lead := s.pal.paint(m.tone, m.mark+" "+fmt.Sprintf("%-*s", layerIndent-5, l.Layer.Title()))
		for i, part := range wrap(Escape(l.Reason), s.width-layerIndent) {
			if l.Decides {
				part = s.pal.paint(strong, part)
			}
			switch {
			case i > 0:
				s.printf("%*s%s\n", layerIndent, "", part)
			default:
				s.printf("  %s %s\n", lead, part)
			}
		}
	}
}

// unmade says which checks could not be made: one line for each reason.
func (s *diagnosisStory) unmade(d *Diagnosis) {
	var whys []string
	by := map[string][]string{}
	for _, u := range d.Unmade {
		if by[u.Why] == nil {
			whys = append(whys, u.Why)
		}
		by[u.Why] = append(by[u.Why], u.Check)
	}
	var out []string
	for _, why := range whys {
		out = append(out, strings.Join(by[why], ", ")+": "+why)
	}
	if !d.Traced {
		out = append(out, "traced probe: "+d.NotTraced)
	} else if b := blind(s.start.Points); len(b) > 0 && !s.through() {
		out = append(out, "the trace is "+b[0])
	}
	if len(out) > 0 {
		s.printf("\n")
		s.list("not seen", out)
	}
}

// way tells the packet's way to where it failed.
func (s *diagnosisStory) way(d *Diagnosis) {
	if d.Layer == "" || s.verdict == nil || s.through() {
		return
	}
	if j := s.failed(); j != nil {
		s.tell(j)
	}
}

// through reports whether the probe got its answer: what the trace cannot see did not stop it.
func (s *diagnosisStory) through() bool {
	return s.verdict != nil && s.verdict.Layer == "" && s.verdict.Outcome == verdict.Delivered
}

// failed is the journey that the verdict is about: the one with its hop, or the first that did not arrive.
func (s *diagnosisStory) failed() *journey.Journey {
	var first *journey.Journey
	for i := range s.journey {
		j := &s.journey[i]
		for k := range j.Hops {
			h, at := &j.Hops[k], s.verdict.Hop
			if at != nil && h.T == at.T && h.NetNS == at.NetNS && h.Stage == at.Stage && h.What == at.What {
				return j
			}
		}
		if first == nil && j.End != journey.Delivered {
			first = j
		}
	}
	return first
}

func (s *diagnosisStory) warnings(d *Diagnosis) {
	if len(d.Warnings) == 0 {
		return
	}
	s.printf("\n")
	var out []string
	for i := range d.Warnings {
		w := &d.Warnings[i]
		text := w.Summary
		if len(w.Fix) > 0 {
			text += ". " + w.Fix[0]
		}
		out = append(out, text)
	}
	title := "also wrong"
	switch {
	case d.Layer == "" && d.Traced && d.Outcome == verdict.Delivered:
		title = "wrong, although the probe got through"
	case d.Layer == "":
		title = "wrong, and no reason for the flow to fail"
	}
	s.list(title, out)
}

func (s *diagnosisStory) conclusion(d *Diagnosis) {
	t, word := bad, strings.ToUpper(string(d.Outcome))
	switch {
	case d.Layer == "" && d.Outcome == verdict.Delivered:
		t = good
	case d.Layer == "" && !d.Traced:
		t, word = warning, "NOT TRIED"
	case d.Confidence == verdict.Inconclusive:
		t, word = warning, "UNDECIDED"
	case d.Outcome == verdict.Delivered || d.Outcome == verdict.Unseen:
		t, word = bad, "FAULT"
	}
	s.printf("\n%s\n", s.pal.paint(t, word+": "+d.Summary))
	facts := []string{string(d.Confidence)}
	if d.Layer != "" {
		facts = append([]string{"layer: " + d.Layer.Title(), "cause: " + d.Cause}, facts...)
	}
	if d.Node != "" && d.Layer != "" {
		facts = append(facts, "on "+d.Node)
	}
	if d.Traced && d.Probe != nil {
		facts = append(facts, fmt.Sprintf("probe: %s after %d ms", d.Probe.Result, d.Probe.MS))
	}
	s.printf("%s\n", s.pal.paint(quiet, strings.Join(facts, " · ")))
	s.list("evidence", d.Evidence)
	for _, a := range d.Also {
		s.list("also", []string{a.Summary})
	}
	if d.LostEvents > 0 {
		s.printf("%s\n", s.pal.paint(warning, fmt.Sprintf("%d events were lost: hops may be missing; --ring makes the buffer larger", d.LostEvents)))
	}
	s.list("what to do", d.Fix)
}

// rowIndent is what the other columns of a row take.
const rowIndent = 53

// rows is a row for each check.
func (s *diagnosisStory) rows() error {
	tw := tablewriter.NewWriter(s.w)
	tw.Header("layer", "check", "", "what")
	for i := range s.checks {
		c := &s.checks[i]
		what := strings.Join(wrap(Escape(c.Summary), max(s.width-rowIndent, 30)), "\n")
		if err := tw.Append(Escape(verdict.Layer(c.Layer).Title()), Escape(c.Check), marks[c.Status].mark, what); err != nil {
			return fmt.Errorf("write the table: %w", err)
		}
	}
	if err := tw.Render(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	s.printf("\n")
	return s.err
}
