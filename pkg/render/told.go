// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// titleOf names a packet: its number, direction, protocol, flags and ends.
func titleOf(j *journey.Journey, addresses bool) string {
	p := &j.Packet
	what := p.Flags
	if p.ICMP != "" {
		what = p.ICMP
	}
	return fmt.Sprintf("#%d %s %s %s → %s", j.ID, j.Direction, strings.TrimSpace(p.Proto+" "+what), named(p.SrcRef, p.Src, p.Sport, addresses), named(p.DstRef, p.Dst, p.Dport, addresses))
}

// noteOf is what else a packet's title says.
func noteOf(j *journey.Journey) string {
	note := fmt.Sprintf("%d bytes", j.Packet.Len)
	if j.Attempt > 1 {
		note += fmt.Sprintf(", attempt %d", j.Attempt)
	}
	return note
}

// endOf is how a journey ended: its mark, its tone, and in words.
func endOf(j *journey.Journey) (mark string, t tone, text string) {
	mark, t, text = "?", warning, "no further sight of it"
	switch j.End {
	case journey.Delivered:
		mark, t, text = "✓", good, "delivered"
	case journey.Dropped:
		mark, t, text = "✗", bad, "dropped"
	case journey.Rejected:
		mark, t, text = "✗", bad, "rejected"
	case journey.LeftNode:
		mark, t, text = "→", warning, "left the node"
	}
	if j.End == journey.LeftNode && j.EndWhy != "" && j.EndWhy != journey.NoFurtherSight {
		text += ", " + j.EndWhy
	}
	if j.Lost > 0 {
		text += fmt.Sprintf("; %d events were lost meanwhile, hops may be missing", j.Lost)
	}
	return mark, t, text
}

// toneOf is the tone of an outcome.
func toneOf(o verdict.Outcome) tone {
	switch o {
	case verdict.Delivered:
		return good
	case verdict.Unseen, verdict.Lost:
		return warning
	}
	return bad
}

// factsOf are a verdict's layer, cause, confidence and node.
func factsOf(v *verdict.Verdict) []string {
	facts := []string{string(v.Confidence)}
	if v.Layer != "" {
		facts = append([]string{"layer: " + v.Layer.Title(), "cause: " + v.Cause}, facts...)
	}
	if v.Node != "" && v.Outcome != verdict.Delivered {
		facts = append(facts, "on "+v.Node)
	}
	return facts
}

// hasRule reports whether a hop's rule is worth naming: it decided.
func hasRule(h *journey.Hop) bool {
	return h.Rule != nil && (h.Stage == journey.StageDrop || h.Stage == journey.StageNAT || h.Stage == journey.StageIPVS)
}

// toneOfStage is the tone of a hop; "" for most.
func toneOfStage(s journey.Stage) tone {
	switch s {
	case journey.StageNAT, journey.StageTunnel:
		return change
	case journey.StageDrop:
		return bad
	case journey.StageSocket:
		return good
	}
	return ""
}
