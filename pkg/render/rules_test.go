// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/internal/schematest"
	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

func dryStart() RulesStart {
	return RulesStart{Kind: "start", Schema: Schema, Node: "node1", DryRun: true, Rules: []string{"iptables-legacy ip of host"}, Assume: []string{"it comes in at cni0"},
		Flow: verdict.Flow{Proto: "tcp", Src: "10.244.1.10", Dst: "10.96.0.80", Dport: 80, DstRef: web()}}
}

func drySteps() []RuleStep {
	host := &journey.Where{Kind: "host", Name: "node1"}
	pod := &journey.Where{Kind: "pod", Namespace: "shop", Name: "client"}
	return []RuleStep{
		{Kind: "rule", N: 1, Node: "node1", Where: pod, Hook: "OUTPUT", Backend: "nft", Family: "inet", Table: "mesh", Base: "out", Priority: -100, Chain: "out", Number: 1, Handle: 7, Text: "counter", Probability: 1, Certain: true},
		{Kind: "rule", N: 2, Node: "node1", Where: host, Hook: "PREROUTING", Backend: "iptables-legacy", Family: "ip", Table: "nat", Base: "PREROUTING", Priority: -100, Chain: "PREROUTING", Number: 1, Text: "-j KUBE-SERVICES", Verdict: "KUBE-SERVICES", Path: []string{"PREROUTING"}, Probability: 1, Certain: true},
		{Kind: "rule", N: 3, Node: "node1", Where: host, Hook: "PREROUTING", Backend: "iptables-legacy", Family: "ip", Table: "nat", Base: "PREROUTING", Priority: -100, Chain: "KUBE-SEP-A", Number: 2, Text: "-j DNAT --to-destination 10.244.1.20:8080", Verdict: "DNAT", To: "10.244.1.20:8080",
			Path: []string{"PREROUTING", "KUBE-SERVICES", "KUBE-SEP-A"}, Owner: "kube-proxy", Ref: web(), Probability: 0.333333, Certain: true, For: []string{"a", "b", "c", "d", "e"}},
		{Kind: "rule", N: 4, Node: "node1", Where: host, Hook: "FORWARD", Backend: "iptables-legacy", Family: "ip", Table: "filter", Base: "FORWARD", Chain: "FORWARD", Number: 3, Text: "-m bpf -j DROP", Comment: "a note", Verdict: "DROP", Path: []string{"FORWARD"}, Probability: 0.5, Unknown: []string{"-m bpf"}},
		{Kind: "rule", N: 5, Node: "node1", Where: host, Hook: "FORWARD", Backend: "iptables-legacy", Family: "ip", Table: "filter", Base: "FORWARD", Chain: "FORWARD", Verdict: "DROP", Path: []string{"FORWARD"}, Probability: 1},
	}
}

func dryRuling() Ruling {
	return Ruling{Kind: "ruling", End: "unknown", Summary: "the rules do not decide", Unknown: []string{"-m bpf is not known"}, Ends: []RuleEnd{
		{End: "accept", To: "10.244.1.20:8080", Ref: client(), From: "192.168.50.1", Dev: "eth0", Probability: 0.5, Certain: true},
		{End: "drop", Rule: 4, To: "10.244.1.20:8080", Probability: 0.5},
		{End: "accept", To: "10.244.1.21:8080", Node: "node1", Where: &journey.Where{Kind: "pod", Namespace: "shop", Name: "web-a"}, Local: true, Probability: 0.125, Certain: true},
	}}
}

// dryTell renders a whole dry run.
func dryTell(t *testing.T, format string, o Options, steps []RuleStep, end Ruling) string {
	t.Helper()
	var b bytes.Buffer
	r, err := NewRules(format, &b, o)
	if err != nil {
		t.Fatal(err)
	}
	err = r.Start(dryStart())
	for _, s := range steps {
		err = errors.Join(err, r.Rule(s))
	}
	if err = errors.Join(err, r.Ruling(end)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTheStoryOfADryRun(t *testing.T) {
	out := dryTell(t, "story", Options{Width: 100}, drySteps(), dryRuling())
	for _, want := range []string{
		"tcp 10.244.1.10 → svc/shop/web:http (10.96.0.80:80) a dry run on node1: no packet is sent\n",
		"rules: iptables-legacy ip of host\n", "assumed: it comes in at cni0\n",
		"\npod shop/client on node1\n  OUTPUT\n    nft inet mesh, out, priority -100\n      out handle 7: counter\n",
		"\nnode node1\n  PREROUTING\n    iptables-legacy nat\n      PREROUTING rule 1: -j KUBE-SERVICES\n          KUBE-SEP-A rule 2: -j DNAT --to-destination 10.244.1.20:8080\n            one of several: 33.3 % of the connections\n            for a, b, c, d and 1 more\n",
		"  FORWARD\n    iptables-legacy filter\n      FORWARD rule 3: -m bpf -j DROP\n        one of several: at most 50 % of the connections\n        may match: not known is -m bpf\n        comment: a note\n",
		"      FORWARD policy DROP\n        maybe: a match before is not known\n",
		"\nUNDECIDED: the rules do not decide\n", "  50 %: accept shop/client (10.244.1.20:8080) from 192.168.50.1, out of eth0\n", "maybe, at most 50 %: drop 10.244.1.20:8080, by filter/FORWARD rule 3\n",
		"12.5 %: accept 10.244.1.21:8080, to a socket of pod shop/web-a on node1\n", "not decided, because:\n  - -m bpf is not known\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the story lacks %q:\n%s", want, out)
		}
	}
	for _, l := range strings.Split(dryTell(t, "story", Options{Width: 60}, drySteps(), dryRuling()), "\n") {
		if len([]rune(l)) > 60 && !strings.Contains(l, "dry run") {
			t.Errorf("a line is wider than 60 columns: %q", l)
		}
	}
	none := dryTell(t, "story", Options{}, nil, Ruling{Kind: "ruling", End: "accept", Summary: "no rule stops it"})
	if !strings.Contains(none, "\nno rule matches\n\nACCEPTED: no rule stops it\n") {
		t.Error(none)
	}
}

func TestADryRunOfFilesHasNoPlace(t *testing.T) {
	s := drySteps()[1]
	s.Where, s.Node = nil, ""
	out := dryTell(t, "story", Options{}, []RuleStep{s}, dryRuling())
	if strings.Contains(out, "\nnode") || strings.Contains(out, "namespace 0") || !strings.Contains(out, "\n\n  PREROUTING\n") {
		t.Error(out)
	}
}

func TestTheTableOfADryRun(t *testing.T) {
	out := dryTell(t, "table", Options{}, drySteps(), dryRuling())
	for _, want := range []string{"pod shop/client on node1", "handle 7", "33.3 %", "DNAT 10.244.1.20:8080", "DROP (maybe: -m bpf)", "DROP (maybe)", "UNDECIDED"} {
		if !strings.Contains(out, want) {
			t.Errorf("the table lacks %q:\n%s", want, out)
		}
	}
}

func TestTheJSONOfADryRunFollowsTheSchema(t *testing.T) {
	kinds := schematest.Lines(t, []byte(dryTell(t, "json", Options{}, drySteps(), dryRuling())))
	for kind, n := range map[string]int{"start": 1, "rule": 5, "ruling": 1} {
		if len(kinds[kind]) != n {
			t.Errorf("%d %s records", len(kinds[kind]), kind)
		}
	}
}

func TestHostileRulesAreEscaped(t *testing.T) {
	s, e := drySteps(), dryRuling()
	const bad = "\x1b[2J\u202e"
	s[3].Text, s[3].Chain, s[3].Table, s[3].Comment, s[3].Unknown, s[3].Verdict, s[3].Hook, s[3].For, s[3].To = bad, bad, bad, bad, []string{bad}, bad, bad, []string{bad}, bad
	s[3].Where = &journey.Where{Kind: "pod", Name: bad}
	e.Summary, e.Unknown, e.End, e.Ends[0].From, e.Ends[0].Dev, e.Ends[2].Where.Name = bad, []string{bad}, bad, bad, bad, bad
	for _, format := range []string{"story", "table"} {
		if out := dryTell(t, format, Options{}, s, e); strings.ContainsAny(out, "\x1b\u202e") {
			t.Errorf("%s lets an escape through:\n%q", format, out)
		}
	}
	if out := dryTell(t, "json", Options{}, s, e); strings.ContainsRune(out, 0x1b) {
		t.Error("json lets an escape through")
	}
}

func TestDryRunsHaveColoursByMeaning(t *testing.T) {
	out := dryTell(t, "story", Options{Color: true}, drySteps(), Ruling{End: "drop", Summary: "x"})
	for _, want := range []string{"\x1b[1;31mDROPPED: x\x1b[0m", "\x1b[36mKUBE-SEP-A rule 2", "\x1b[33mmay match", "\x1b[1;31mFORWARD policy DROP\x1b[0m"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing:\n%q", want, out)
		}
	}
}

func TestManyEndsAreCut(t *testing.T) {
	end := dryRuling()
	for range 50 {
		end.Ends = append(end.Ends, end.Ends[0])
	}
	if out := dryTell(t, "story", Options{}, nil, end); !strings.Contains(out, "21 more ends; -o json has them") {
		t.Error(out)
	}
}

func TestFormatsOfADryRun(t *testing.T) {
	for _, f := range RulesFormats() {
		r, err := NewRules(f, full{}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(r.Start(dryStart()), r.Rule(drySteps()[0]), r.Ruling(dryRuling())); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("%s: %v", f, err)
		}
	}
	if _, err := NewRules("yaml", nil, Options{}); err == nil || !strings.Contains(err.Error(), "json, story, table") {
		t.Errorf("%v", err)
	}
}
