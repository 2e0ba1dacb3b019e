// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

// check is one diagnosis. Exactly one of drop, flow and answered is set.
type check struct {
	name     string
	drop     func(*dropAt) *Finding // judges one drop
	flow     func(*Input) *Finding  // judges what did not happen
	answered func(*Input) *Finding  // judges what an answer cost
	unsent   func(*Input) *Finding  // judges why the probe could not send anything: what was seen then is another connection's
	silences []string               // checks that say less about the same drop
}

var checks = map[string]check{}

// register adds a check; called from init only.
func register(c check) {
	if _, ok := checks[c.name]; ok {
		panic("verdict: check " + c.name + " is registered twice")
	}
	checks[c.name] = c
}

// names are the registered checks in a fixed order, so that verdicts do not depend on chance.
func names() []string {
	var out []string
	for n := range checks {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

func (in *Input) namespace(inode uint32) *netstate.Namespace {
	if n := in.After.ByInode(inode); n != nil {
		return n
	}
	return in.Before.ByInode(inode)
}

func (in *Input) snapshot() *netstate.Snapshot {
	if in.After != nil {
		return in.After
	}
	return in.Before
}

// Judge makes the verdict of a run.
func Judge(in *Input) Verdict {
	drops, harmless := dropFindings(in)
	var findings []Finding
	unsent := unsentFinding(in)
	switch {
	case unsent != nil:
		findings = append([]Finding{*unsent}, drops...)
	case in.answered():
		findings = append(answeredFindings(in), drops...)
	case in.hole() != nil && !in.largeDropped():
		if findings = append(flowFindings(in), drops...); len(findings) == 0 {
			findings = []Finding{undropped(in)}
		}
	case harmless:
		findings = append(flowFindings(in), drops...)
	case len(drops) > 0:
		findings = drops
	default:
		findings = flowFindings(in)
		if len(findings) == 0 {
			findings = []Finding{undropped(in)}
		}
	}
	return in.conclude(findings)
}

// answered: the probe got its answer; without a probe, requests and replies arrived, or went on from one another, and the last data that was dropped
// was sent again with success. A reset alone is no answer.
func (in *Input) answered() bool {
	if in.Probe != nil {
		return in.Probe.Result == probe.Connected && (in.Probe.Sent == 0 || in.Probe.Acked)
	}
	request, reply := false, in.acknowledged() > 0 && in.sentAgain() == nil
	for i := range in.Journeys {
		j := &in.Journeys[i]
		switch {
		case j.Direction == journey.Request && (j.End == journey.Delivered || j.End == journey.LeftNode):
			request = true
		case j.Direction == journey.Reply && j.End == journey.Delivered:
			reply = reply || !isReset(j)
		case j.DropHop() >= 0 && j.Direction != journey.Related && !in.madeGood(j):
			return false
		}
	}
	return request && reply && !in.refused()
}

// refused: a node that was watched refused a request.
func (in *Input) refused() bool {
	for i := range in.Journeys {
		if j := &in.Journeys[i]; j.Direction == journey.Request && j.End == journey.Rejected {
			return true
		}
	}
	return false
}

// madeGood reports whether the same data arrived in another packet: a later attempt, whether or not it was counted as one, or, for an ACK without data, a FIN that carries the
// same acknowledgement and overtook it.
func (in *Input) madeGood(j *journey.Journey) bool {
	for i := range in.Journeys {
		o := &in.Journeys[i]
		if o.Packet.Proto != "tcp" || o.Packet.Tuple != j.Packet.Tuple || o.Packet.Seq != j.Packet.Seq || o.End != journey.Delivered {
			continue
		}
		if o.Attempt > j.Attempt || (o.ID > j.ID && o.Packet.Len > pureACK && j.Packet.Len > pureACK) || (j.Packet.Flags == "ACK" && strings.HasPrefix(o.Packet.Flags, "FIN")) {
			return true
		}
	}
	return false
}

// dropFindings judges every drop of the flow, in the order in which they happened; a cause that repeats is one finding. Drops that did no
// harm, because the same data arrived in another packet or a faster one overtook it, are told after the others, and those of ICMP errors
// last. onlyHarmless says that none of them can be what stopped the flow.
func dropFindings(in *Input) (all []Finding, onlyHarmless bool) {
	var own, harmless, related []Finding
	content := in.Probe != nil && in.answered()
	for k := range in.Journeys {
		j := &in.Journeys[k]
		i := j.DropHop()
		if i < 0 || j.Direction == journey.Related && j.Packet.ICMP == "redirect" {
			continue // a redirect about a translated flow has no connection to belong to, and nobody needs it
		}
		d := &dropAt{in: in, j: j, i: i, h: &j.Hops[i]}
		if content && (d.afterClose() || d.outdated()) {
			continue // a probe that knows enough does not wait for the rest; all that it sent has arrived, in whatever packets
		}
		d.ns = in.namespace(d.h.NetNS)
		f := judgeDrop(d)
		switch {
		case j.Direction == journey.Related:
			related = merge(related, f)
		case in.madeGood(j) || in.passable(j) || in.overtaken(j):
			harmless = merge(harmless, f)
		default:
			own = merge(own, f)
		}
	}
	return slices.Concat(own, harmless, related), len(own) == 0 && len(harmless) > 0
}

func judgeDrop(d *dropAt) Finding {
	found := map[string]*Finding{}
	for _, n := range names() {
		if c := checks[n]; c.drop != nil {
			if f := c.drop(d); f != nil {
				found[n] = f
			}
		}
	}
	for _, n := range names() {
		if found[n] != nil {
			for _, s := range checks[n].silences {
				delete(found, s)
			}
		}
	}
	for _, n := range names() {
		if f := found[n]; f != nil {
			return complete(d, *f)
		}
	}
	return complete(d, generic(d))
}

// complete fills what every finding about a drop has.
func complete(d *dropAt, f Finding) Finding {
	f.Journey, f.Hop = d.j.ID, d.i
	if f.Outcome == "" {
		f.Outcome = Dropped
		if d.h.Verdict == "reject" && (d.h.Reason != journey.Inferred+"NO_SOCKET" || d.reason() == "NO_SOCKET") {
			f.Outcome = Rejected
		}
	}
	if d.h.Ref != nil {
		f.Refs = append(f.Refs, *d.h.Ref)
	}
	said := []string{dropEvidence(d)}
	if r := d.reason(); r != strings.TrimPrefix(d.h.Reason, journey.Inferred) {
		said = append(said, "the reason is inferred from what was counted there: "+r)
	}
	f.Evidence = append(said, f.Evidence...)
	return f
}

// merge adds a finding; one that repeats a cause only counts.
func merge(list []Finding, f Finding) []Finding {
	for i := range list {
		if list[i].Cause == f.Cause && list[i].Layer == f.Layer {
			list[i].times++
			return list
		}
	}
	f.times = 1
	return append(list, f)
}

// answeredFindings is the good end, or what is wrong although there was an answer.
func answeredFindings(in *Input) []Finding {
	good := delivered(in)
	for _, n := range names() {
		if c := checks[n]; c.answered != nil {
			if f := c.answered(in); f != nil {
				f.Outcome, f.Journey, f.Hop = good.Outcome, good.Journey, good.Hop
				f.Evidence = append(f.Evidence, good.Evidence...)
				return []Finding{*f}
			}
		}
	}
	return []Finding{good}
}

func unsentFinding(in *Input) *Finding {
	for _, n := range names() {
		if c := checks[n]; c.unsent != nil {
			if f := c.unsent(in); f != nil {
				return f
			}
		}
	}
	return nil
}

func flowFindings(in *Input) []Finding {
	var out []Finding
	silenced := map[string]bool{}
	for _, n := range names() {
		c := checks[n]
		if c.flow == nil {
			continue
		}
		if f := c.flow(in); f != nil {
			f.check = n
			out = append(out, *f)
			for _, s := range c.silences {
				silenced[s] = true
			}
		}
	}
	return slices.DeleteFunc(out, func(f Finding) bool { return silenced[f.check] })
}

// conclude turns the first finding into the verdict and the others into what is also worth knowing.
func (in *Input) conclude(findings []Finding) Verdict {
	f := findings[0]
	v := Verdict{Outcome: f.Outcome, Layer: f.Layer, Cause: f.Cause, Summary: f.Summary, Refs: f.Refs, Evidence: f.Evidence, Fix: f.Fix,
		Confidence: f.Confidence, Probe: in.Probe, LostEvents: in.Lost, Journeys: []int{}}
	if f.times > 1 {
		v.Evidence = append(v.Evidence, fmt.Sprintf("it happened to %d packets", f.times))
	}
	for i := range in.Journeys {
		j := &in.Journeys[i]
		v.Journeys = append(v.Journeys, j.ID)
		if j.ID == f.Journey && f.Hop >= 0 && f.Hop < len(j.Hops) {
			h := j.Hops[f.Hop]
			v.Hop, v.Where, v.Node = &h, h.Where, h.Node
		}
	}
	for _, o := range findings[1:] {
		v.Also = append(v.Also, Also{Cause: o.Cause, Layer: o.Layer, Summary: o.Summary})
	}
	if in.Probe != nil {
		v.Evidence = append(v.Evidence, probeEvidence(in.Probe)...)
	}
	in.lower(&v)
	if v.Evidence == nil {
		v.Evidence = []string{}
	}
	if v.Fix == nil {
		v.Fix = []string{}
	}
	return v
}

// lower takes the confidence down when events were lost: a drop that was seen is still likely, what was not seen proves nothing.
func (in *Input) lower(v *Verdict) {
	if in.Lost == 0 {
		return
	}
	v.Evidence = append(v.Evidence, fmt.Sprintf("%d events were lost (the ring buffer was full, or the kernel skipped a probe): hops and packets may be missing", in.Lost))
	if v.Outcome == Lost || v.Outcome == Unseen || v.Confidence != Confirmed {
		v.Confidence = Inconclusive
		return
	}
	v.Confidence = Likely
}

// ExitCode is the contract's exit code for a verdict.
func ExitCode(v *Verdict) int {
	switch {
	case v.Outcome == Unseen || v.Confidence == Inconclusive:
		return 3
	case v.Outcome == Delivered: // also when it cost too much, or the application does not answer: that is the cause's to say
		return 0
	}
	return 2
}
