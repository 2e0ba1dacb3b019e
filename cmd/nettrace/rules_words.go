// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
	"github.com/nettrace-io/nettrace/pkg/render"
)

// placeOf is the node and the place that a key of the dry run stands for; nothing for rules from files.
func (d *dryRun) placeOf(key string) (string, *journey.Where) {
	i, err := strconv.Atoi(key)
	if err != nil || i < 0 || i >= len(d.plan.before.Namespaces) {
		return "", nil
	}
	n := &d.plan.before.Namespaces[i]
	return n.Node, places(d.plan.before, d.plan.names.index)[n.Inode].Where
}

func (d *dryRun) ruleStep(n int, s *ruleset.Step) render.RuleStep {
	r := render.RuleStep{Kind: "rule", N: n, Hook: s.Hook, Backend: s.Backend, Family: s.Family, Table: s.Table, Base: s.Base, Priority: s.Priority, Chain: s.Chain,
		Number: s.Number, Handle: s.Handle, Text: s.Text, Comment: s.Comment, Verdict: s.Verdict, Path: s.Path, To: s.To, Owner: s.Owner.By,
		Probability: round(s.Share), Certain: s.Sure, Unknown: s.Unknown, For: s.For}
	r.Node, r.Where = d.placeOf(s.Place)
	if s.Owner.Service != "" {
		r.Ref = &journey.Ref{Kind: "Service", Namespace: s.Owner.Namespace, Name: s.Owner.Service, Port: s.Owner.Port}
	}
	return r
}

// round keeps the digits of a share that mean something: iptables writes probabilities with ten, and they are multiplied.
func round(p float64) float64 { return math.Round(p*1e6) / 1e6 }

func (d *dryRun) ruling(r *ruleset.DryRun, l *labeller) render.Ruling {
	out := render.Ruling{Kind: "ruling", End: ruleset.Decision(r.Ends), Ends: []render.RuleEnd{}}
	for i := range r.Ends {
		e := &r.Ends[i]
		x := render.RuleEnd{End: e.Verdict, Rule: e.Step, To: e.To.String(), From: e.From, Local: e.Local, Probability: round(e.Share), Certain: e.Sure,
			Ref: l.ref(d.plan.proto, e.To.Addr(), e.To.Port())}
		if e.To.Port() == 0 {
			x.To = e.To.Addr().String()
		}
		if e.Out != ruleset.UnknownDevice && !e.Local {
			x.Dev = e.Out
		}
		x.Node, x.Where = d.placeOf(e.Place)
		out.Ends = append(out.Ends, x)
	}
	if len(d.unread) > 0 && out.End == ruleset.EndAccept {
		out.End = ruleset.EndUnknown // what was not read may stop it
	}
	out.Summary = summary(out.End, r)
	if out.End == ruleset.EndUnknown {
		out.Unknown = slices.Concat(d.unread, undecided(r))
	}
	return out
}

// undecided are the reasons for which the rules do not decide.
func undecided(r *ruleset.DryRun) []string {
	const most = 8
	var out []string
	for i := range r.Steps {
		s := &r.Steps[i]
		for _, u := range s.Unknown {
			out = append(out, fmt.Sprintf("%s %s/%s %s: %s is not known", s.Backend, s.Table, s.Chain, numbered(s), u))
		}
	}
	for i := range r.Ends {
		e := &r.Ends[i]
		switch {
		case e.Verdict == ruleset.EndQueue:
			out = append(out, "a program outside of the kernel decides about what is queued to it")
		case e.Verdict == ruleset.EndUnknown:
			out = append(out, "what happens to "+e.To.String()+" behind a rule is not known: its target is not followed, or there are too many ways")
		case len(r.Ends) > 1 && e.Sure && e.Share < 1:
			out = append(out, fmt.Sprintf("%.3g %% of the connections end with %s", e.Share*100, e.Verdict))
		}
	}
	out = slices.Compact(out)
	if n := len(out) - most; n > 0 {
		out = append(out[:most], fmt.Sprintf("and %d more reasons of this kind", n))
	}
	return out
}

func numbered(s *ruleset.Step) string {
	if s.Handle != 0 {
		return fmt.Sprintf("handle %d", s.Handle)
	}
	return fmt.Sprintf("rule %d", s.Number)
}

// summary is the end in one sentence.
func summary(end string, r *ruleset.DryRun) string {
	var by *ruleset.Step
	to := map[string]bool{}
	for i := range r.Ends {
		e := &r.Ends[i]
		to[e.To.String()] = true
		if e.Step > 0 && by == nil {
			by = &r.Steps[e.Step-1]
		}
	}
	switch end {
	case ruleset.EndAccept:
		if len(to) > 1 {
			return fmt.Sprintf("no rule stops it; one of %d destinations is chosen", len(to))
		}
		return "no rule stops it"
	case ruleset.EndDrop, ruleset.EndReject:
		if by == nil {
			return "it is refused"
		}
		text := fmt.Sprintf("%s %s/%s %s", by.Backend, by.Table, by.Chain, numbered(by))
		if by.Number == 0 {
			text = fmt.Sprintf("policy %s of %s %s/%s", by.Verdict, by.Backend, by.Table, by.Chain)
		}
		if by.Comment != "" {
			text += fmt.Sprintf(" (%q)", by.Comment)
		}
		return text + " " + map[string]string{ruleset.EndDrop: "drops it", ruleset.EndReject: "rejects it"}[end] + ownerText(&by.Owner)
	case ruleset.EndNoRoute:
		return "there is no route to " + r.Ends[0].To.Addr().String()
	}
	return "the rules do not decide"
}

func ownerText(o *ruleset.Owner) string {
	parts := []string{o.By + "'s rule"}
	if o.Service != "" {
		parts = append(parts, "Service "+o.Namespace+"/"+o.Service)
	}
	if o.Why != "" {
		parts = append(parts, o.Why)
	}
	return ": " + strings.Join(parts, ", ")
}
