// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/diagnose"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// join makes one diagnosis of what the checks found and what the trace saw. Checks look at what could stop a packet, the trace at what did:
// its verdict stands when it names a fault, and a check that found the same makes it surer. When the probe got through, what checks found wrong
// is refuted, at least for this packet, unless it was measured too. When the trace does not decide, the most telling check does, as likely.
// v is nil when nothing was traced, and why says why.
func join(results []diagnose.Result, v *verdict.Verdict, why string) *render.Diagnosis {
	x := &render.Diagnosis{Kind: "diagnosis", Traced: v != nil, NotTraced: why, Unmade: unmade(results)}
	suspects := diagnose.Suspects(results)
	var decisive *diagnose.Result
	switch {
	case v == nil:
		decisive = untraced(x, suspects, results)
	case v.Layer != "" && v.Confidence != verdict.Inconclusive:
		adopt(x, v)
		decisive = strengthen(x, v, suspects)
	case v.Layer == "" && v.Outcome == verdict.Delivered:
		adopt(x, v)
		decisive = measured(x, suspects)
	default:
		adopt(x, v)
		decisive = presume(x, v, suspects)
	}
	for i := range suspects {
		if decisive == nil || suspects[i].Check != decisive.Check {
			x.Warnings = append(x.Warnings, suspects[i])
		}
	}
	if x.Evidence == nil {
		x.Evidence = []string{}
	}
	if x.Fix == nil {
		x.Fix = []string{}
	}
	x.Layers = layerTable(x, results, suspects)
	return x
}

func unmade(results []diagnose.Result) []render.Unmade {
	var out []render.Unmade
	for _, r := range results {
		if r.Status == diagnose.Unknown {
			out = append(out, render.Unmade{Check: r.Check, Layer: r.Layer, Why: r.Summary})
		}
	}
	return out
}

func adopt(x *render.Diagnosis, v *verdict.Verdict) {
	x.Outcome, x.Layer, x.Cause, x.Summary, x.Node, x.Confidence = v.Outcome, v.Layer, v.Cause, v.Summary, v.Node, v.Confidence
	x.Evidence, x.Fix, x.Also, x.Probe, x.LostEvents = slices.Clone(v.Evidence), slices.Clone(v.Fix), v.Also, v.Probe, v.LostEvents
}

// take makes a check's result the verdict.
func take(x *render.Diagnosis, r *diagnose.Result) {
	x.Layer, x.Cause, x.Summary, x.Node, x.Confidence = r.Layer, r.Cause, r.Summary, r.Node, verdict.Likely
	x.Fix = slices.Clone(r.Fix)
	x.Evidence = append(slices.Clone(r.Evidence), x.Evidence...)
}

// untraced: only checks speak. What stops the flow is likely its fault.
func untraced(x *render.Diagnosis, suspects, results []diagnose.Result) *diagnose.Result {
	x.Outcome, x.Confidence = verdict.Unseen, verdict.Inconclusive
	if len(suspects) > 0 && (suspects[0].Stops || suspects[0].Measured) {
		take(x, &suspects[0])
		return &suspects[0]
	}
	made := 0
	for _, r := range results {
		if r.Status == diagnose.OK {
			made++
		}
	}
	x.Summary = fmt.Sprintf("%d checks found nothing that stops the flow, and no packet was sent", made)
	if len(x.Unmade) > 0 {
		x.Summary += fmt.Sprintf("; %d checks could not be made", len(x.Unmade))
	}
	if x.NotTraced != "" && !strings.HasPrefix(x.NotTraced, "--no-probe") {
		x.Fix = []string{x.NotTraced}
	} else {
		x.Fix = []string{"leave --no-probe out: a traced probe shows what a real packet meets"}
	}
	return nil
}

// strengthen looks for a check that found what the trace saw. A drop that the kernel told of and state that explains it are a confirmation, if nothing
// was lost; what is concluded from packets that were not seen again stays likely.
func strengthen(x *render.Diagnosis, v *verdict.Verdict, suspects []diagnose.Result) *diagnose.Result {
	for i := range suspects {
		r := &suspects[i]
		if r.Cause != v.Cause || r.Layer != v.Layer {
			continue
		}
		if v.Confidence == verdict.Likely && v.LostEvents == 0 && (v.Outcome == verdict.Dropped || v.Outcome == verdict.Rejected) {
			x.Confidence = verdict.Confirmed
		}
		x.Node = cmp.Or(x.Node, r.Node)
		x.Evidence = append(x.Evidence, "before the probe, check "+r.Check+" had found: "+r.Summary)
		if len(x.Fix) == 0 {
			x.Fix = slices.Clone(r.Fix)
		}
		return r
	}
	return nil
}

// measured: the probe got through, and something that was tried did not work: a client that uses the name, or sends much, sees a fault.
func measured(x *render.Diagnosis, suspects []diagnose.Result) *diagnose.Result {
	for i := range suspects {
		if r := &suspects[i]; r.Measured {
			good := x.Summary
			take(x, r)
			x.Evidence = append(x.Evidence, "the probe to the address got through: "+good)
			return r
		}
	}
	return nil
}

// presume: the trace does not decide, a check does. What was measured beside the probe, such as a name that is not answered, need not be why the
// probe failed: whatever stops the probe may have stopped that too.
func presume(x *render.Diagnosis, v *verdict.Verdict, suspects []diagnose.Result) *diagnose.Result {
	if len(suspects) == 0 || !suspects[0].Stops {
		return nil
	}
	r := &suspects[0]
	fix := x.Fix
	take(x, r)
	x.Evidence = append(x.Evidence, "the trace does not contradict it: "+v.Summary)
	x.Fix = append(x.Fix, fix...)
	return r
}

// layerTable says of each layer what the checks and the trace come to.
func layerTable(x *render.Diagnosis, results, suspects []diagnose.Result) []render.LayerStatus {
	var out []render.LayerStatus
	through := x.Traced && x.Layer == "" && x.Outcome == verdict.Delivered
	for _, layer := range diagnose.Layers() {
		l := render.LayerStatus{Layer: layer}
		// a name is asked for beside the probe, unless the probe is a query
		l.Status, l.Reason = layerOf(layer, results, suspects, through && (layer != diagnose.DNS || x.Probe != nil && x.Probe.DNS != nil))
		if l.Layer == x.Layer && x.Layer != "" {
			l.Status, l.Reason, l.Decides = diagnose.Wrong, x.Summary, true
			if x.Confidence == verdict.Inconclusive {
				l.Status = diagnose.Unknown
			}
		}
		out = append(out, l)
	}
	return out
}

// layerOf is what the checks alone say of a layer; through says that the probe got its answer.
func layerOf(layer diagnose.Layer, results, suspects []diagnose.Result, through bool) (diagnose.Status, string) {
	var fine, unseen, none []string
	for _, r := range results {
		switch {
		case r.Layer != layer:
		case r.Status == diagnose.OK:
			fine = append(fine, r.Check)
		case r.Status == diagnose.Unknown:
			unseen = append(unseen, r.Check)
		case r.Status == diagnose.NotApplicable:
			none = append(none, r.Summary)
		}
	}
	i := slices.IndexFunc(suspects, func(r diagnose.Result) bool { return r.Layer == layer })
	made := strings.Join(fine, ", ")
	switch {
	case i >= 0 && !through:
		return diagnose.Wrong, suspects[i].Summary
	case i >= 0:
		return diagnose.OK, "the probe passed; a warning: " + suspects[i].Summary
	case len(unseen) > 0 && through:
		return diagnose.OK, strings.TrimSuffix("the probe passed; not seen: "+strings.Join(unseen, ", ")+"; fine: "+made, "; fine: ")
	case len(unseen) > 0:
		return diagnose.Unknown, strings.TrimSuffix("not seen: "+strings.Join(unseen, ", ")+"; fine: "+made, "; fine: ")
	case len(fine) > 0:
		return diagnose.OK, made
	case len(none) > 0:
		return diagnose.NotApplicable, none[0]
	}
	return diagnose.NotApplicable, "nothing to check"
}

// diagnosisCode is the exit code: without a probe every check that applies must be fine for a 0.
func diagnosisCode(x *render.Diagnosis, results []diagnose.Result) int {
	switch {
	case x.Layer != "" && x.Confidence != verdict.Inconclusive:
		return exitVerdict
	case x.Traced && x.Outcome == verdict.Delivered && x.Layer == "" && x.Confidence != verdict.Inconclusive:
		return exitOK
	case x.Traced:
		return exitUnseen
	}
	for _, r := range results {
		if r.Status == diagnose.Wrong || r.Status == diagnose.Unknown {
			return exitUnseen
		}
	}
	return exitOK
}
