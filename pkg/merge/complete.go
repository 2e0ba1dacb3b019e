// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"fmt"
	"slices"
	"time"

	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// complete fills what every merged verdict has: the probe, the journeys, the clocks, what other nodes found besides, and what is wrong with
// the streams, which lowers the confidence.
func (e *evidence) complete(v *verdict.Verdict) {
	v.Journeys, v.LostEvents, v.Time = []int{}, 0, time.Time{}
	for _, c := range e.chains {
		v.Journeys = append(v.Journeys, c.id)
	}
	slices.Sort(v.Journeys)
	v.Journeys = slices.Compact(v.Journeys)
	for _, s := range e.verdicts() {
		v.LostEvents += s.verdict.LostEvents
		if t := s.verdict.Time; t.After(v.Time) {
			v.Time = t
		}
		if v.Probe == nil {
			v.Probe = s.verdict.Probe
		}
		e.also(v, s)
	}
	if len(e.all) > 1 {
		v.Clocks = e.clocks.report()
		v.Evidence = append(v.Evidence, clockEvidence(v.Clocks)...)
	}
	for _, r := range e.clocks.relations {
		if r.torn {
			v.Evidence = append(v.Evidence, fmt.Sprintf("clocks: no difference of the clocks of %s and %s lets every packet arrive after it was sent: one was set meanwhile; the order of such packets is kept (~)", r.a.node(), r.b.node()))
		}
	}
	v.Evidence = append(v.Evidence, e.problems...)
	if len(e.problems) > 0 && v.Confidence == verdict.Confirmed && (v.Outcome == verdict.Lost || v.Outcome == verdict.Unseen) {
		v.Confidence = verdict.Likely
	}
	if v.Evidence == nil {
		v.Evidence = []string{}
	}
	if v.Fix == nil {
		v.Fix = []string{}
	}
}

// also keeps what another node found. What it only lost sight of is no finding here: another node has the rest.
func (e *evidence) also(v *verdict.Verdict, s *stream) {
	have := func(cause string) bool {
		return cause == "" || cause == v.Cause || slices.ContainsFunc(v.Also, func(a verdict.Also) bool { return a.Cause == cause })
	}
	w := s.verdict
	if (w.Outcome == verdict.Dropped || w.Outcome == verdict.Rejected) && !have(w.Cause) {
		v.Also = append(v.Also, verdict.Also{Cause: w.Cause, Layer: w.Layer, Summary: s.node() + ": " + w.Summary})
	}
	for _, a := range w.Also {
		if !have(a.Cause) {
			v.Also = append(v.Also, verdict.Also{Cause: a.Cause, Layer: a.Layer, Summary: s.node() + ": " + a.Summary})
		}
	}
}
