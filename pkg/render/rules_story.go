// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

// rulesStory tells a dry run for people: by namespace, hook and table, rules indented under the one that jumped to their chain.
type rulesStory struct {
	*story
	place, hook, table string
	rules              int
	names              map[int]string // of rules that refuse, which ends name
}

func (s *rulesStory) Start(st RulesStart) error {
	f := &st.Flow
	on := "of the rules given"
	if st.Node != "" {
		on = "on " + st.Node
	}
	s.printf("%s %s\n", s.pal.paint(strong, fmt.Sprintf("%s %s → %s", f.Proto, headed(f.SrcRef, f.Src, 0), headed(f.DstRef, f.Dst, f.Dport))),
		s.pal.paint(quiet, "a dry run "+on+": no packet is sent"))
	s.endpoints(f)
	for _, line := range []string{"rules: " + strings.Join(st.Rules, ", ")} {
		s.lines(0, quiet, line)
	}
	for _, line := range st.Assume {
		s.lines(0, warning, "assumed: "+line)
	}
	return s.err
}

// lines writes text in one tone, broken to the width.
func (s *rulesStory) lines(indent int, t tone, text string) {
	for _, l := range wrap(Escape(text), max(s.width-indent, 20)) {
		s.printf("%*s%s\n", indent, "", s.pal.paint(t, l))
	}
}

// whereText is the namespace of a step in words; "" when the rules came from files.
func whereText(node string, w *journey.Where) string {
	if w == nil {
		return ""
	}
	return placeOf(&journey.Hop{Node: node, Where: w})
}

// note counts a rule, and keeps the name of one that may be an end.
func (s *rulesStory) note(r *RuleStep) {
	s.rules++
	if s.names == nil {
		s.names = map[int]string{}
	}
	name := fmt.Sprintf("%s/%s rule %d", r.Table, r.Chain, r.Number)
	switch {
	case r.Number == 0:
		name = fmt.Sprintf("policy %s of %s/%s", r.Verdict, r.Table, r.Chain)
	case r.Handle != 0:
		name = fmt.Sprintf("%s/%s handle %d", r.Table, r.Chain, r.Handle)
	}
	s.names[r.N] = name
}

func (s *rulesStory) Rule(r RuleStep) error {
	place := whereText(r.Node, r.Where)
	if s.rules == 0 || place != s.place {
		s.printf("\n")
		if place != "" {
			s.printf("%s\n", s.pal.paint(strong, place))
		}
		s.place, s.hook = place, ""
	}
	if r.Hook != s.hook {
		s.printf("  %s\n", s.pal.paint(strong, r.Hook))
		s.hook, s.table = r.Hook, ""
	}
	if table := tableText(&r); table != s.table {
		s.printf("    %s\n", s.pal.paint(quiet, table))
		s.table = table
	}
	s.note(&r)
	at := 6 + 2*min(max(len(r.Path)-1, 0), 12)
	head := fmt.Sprintf("%s %s", r.Chain, ruleName(&r))
	t := tone("")
	switch r.Verdict {
	case "DROP", "REJECT":
		t = bad
	case "DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP":
		t = change
	case "ACCEPT":
		t = good
	}
	for i, l := range wrap(Escape(head), max(s.width-at, 40)) {
		in := at
		if i > 0 {
			in += 2
		}
		if t != "" {
			l = s.pal.paint(t, l)
		}
		s.printf("%*s%s\n", in, "", l)
	}
	for _, n := range notes(&r) {
		tn := quiet
		if strings.HasPrefix(n, "may") {
			tn = warning
		}
		s.lines(at+2, tn, n)
	}
	return s.err
}

func tableText(r *RuleStep) string {
	if r.Backend == "nft" {
		return fmt.Sprintf("nft %s %s, %s, priority %d", r.Family, r.Table, r.Base, r.Priority)
	}
	return fmt.Sprintf("%s %s", r.Backend, r.Table)
}

func ruleName(r *RuleStep) string {
	switch {
	case r.Number == 0:
		return "policy " + r.Verdict
	case r.Handle != 0:
		return fmt.Sprintf("handle %d: %s", r.Handle, r.Text)
	}
	return fmt.Sprintf("rule %d: %s", r.Number, r.Text)
}

// notes say how likely a rule is met, by which connections, and what is not known of it.
func notes(r *RuleStep) []string {
	var out []string
	if r.Probability < 0.9999 {
		out = append(out, "one of several: "+pickText(r.Certain, "", "at most ")+percent(r.Probability)+" of the connections")
	}
	if len(r.For) > 0 {
		out = append(out, "for "+shortList(r.For))
	}
	switch {
	case len(r.Unknown) > 0:
		out = append(out, "may match: not known is "+strings.Join(r.Unknown, "; "))
	case !r.Certain:
		out = append(out, "maybe: a match before is not known")
	}
	if r.Comment != "" && !strings.Contains(r.Text, r.Comment) {
		out = append(out, "comment: "+r.Comment)
	}
	return out
}

func pickText(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

func shortList(all []string) string {
	const most = 4
	if n := len(all) - most; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), n)
	}
	return strings.Join(all, ", ")
}

// percent writes a share.
func percent(p float64) string {
	s := fmt.Sprintf("%.1f", p*100)
	return strings.TrimSuffix(s, ".0") + " %"
}

var rulingWords = map[string]string{"accept": "ACCEPTED", "drop": "DROPPED", "reject": "REJECTED", "no-route": "NO ROUTE", "unknown": "UNDECIDED"}

func (s *rulesStory) Ruling(r Ruling) error {
	if s.rules == 0 {
		s.printf("\n%s\n", s.pal.paint(quiet, "no rule matches"))
	}
	t := warning
	switch r.End {
	case "accept":
		t = good
	case "drop", "reject", "no-route":
		t = bad
	}
	word := rulingWords[r.End]
	if word == "" {
		word = strings.ToUpper(r.End)
	}
	s.printf("\n%s\n", s.pal.paint(t, word+": "+r.Summary))
	const most = 32
	for _, e := range r.Ends[:min(len(r.Ends), most)] {
		s.lines(2, "", s.endText(&e))
	}
	if n := len(r.Ends) - most; n > 0 {
		s.lines(2, quiet, fmt.Sprintf("%d more ends; -o json has them", n))
	}
	s.list("not decided, because", r.Unknown)
	return s.err
}

func (s *rulesStory) endText(e *RuleEnd) string {
	to := e.To
	if e.Ref != nil {
		to = e.Ref.Short(0) + " (" + e.To + ")"
	}
	share := percent(e.Probability)
	if !e.Certain {
		share = "maybe, at most " + percent(e.Probability)
	}
	text := fmt.Sprintf("%s: %s %s", share, e.End, to)
	if e.From != "" {
		text += " from " + e.From
	}
	switch {
	case e.Rule > 0:
		text += ", by " + s.names[e.Rule]
	case e.Local:
		text += ", to a socket here"
		if place := whereText(e.Node, e.Where); place != "" {
			text = strings.TrimSuffix(text, " here") + " of " + place
		}
	case e.Dev != "":
		text += ", out of " + e.Dev
	}
	return text
}
