// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// placed is a node whose filter table has places: rule 1 of FORWARD jumps, rule 2 rejects port 80, rule 3 drops with a comment, rule 4 rejects all.
func placed() *Namespace {
	rule := func(n int, text, target, comment string) ruleset.Rule {
		return ruleset.Rule{Number: n, Text: text, Target: target, Comment: comment, Begin: uint32(n * 1000), End: uint32(n*1000 + 999)}
	}
	return &Namespace{Inode: 1, Node: "node1", Host: true, Rulesets: []ruleset.Ruleset{{Backend: "iptables-legacy", Family: "ip", Tables: []ruleset.Table{{Name: "filter", Chains: []ruleset.Chain{
		{Name: "FORWARD", Policy: "ACCEPT", Rules: []ruleset.Rule{
			rule(1, "-j OTHER", "OTHER", ""), rule(2, "-p tcp -m tcp --dport 80 -j REJECT", "REJECT", ""),
			rule(3, `-m comment --comment "no" -j DROP`, "DROP", "no"), rule(4, "-j REJECT", "REJECT", "")}},
		{Name: "OTHER", Rules: []ruleset.Rule{{Number: 1, Text: "-m geoip --source-country XX -j DROP", Target: "DROP", Begin: 6000, End: 6500}}},
	}}}}}}
}

// dropAt80 is a packet that FORWARD dropped or rejected, with what was seen of the rules.
func dropAt80(verdict string, dport uint16, seen ...journey.Sighting) *journey.Journey {
	return &journey.Journey{Direction: journey.Request, Packet: journey.Packet{Proto: "tcp", Flags: "SYN", Tuple: journey.Tuple{Src: ip("10.244.1.10"), Sport: 4000, Dst: ip("10.244.2.20"), Dport: dport}},
		Hops: []journey.Hop{{NetNS: 1, Stage: journey.StageDrop, Location: "nf_hook_slow", Reason: "NETFILTER_DROP", Hook: "FORWARD", Verdict: verdict, Seen: seen}}}
}

// The kernel's word stands above what fits; a comment that was reached makes an inferred rule sure, and no other.
func TestExactRules(t *testing.T) {
	target := func(offset uint32) journey.Sighting {
		return journey.Sighting{Func: "reject_tg", Table: "filter", Offset: offset}
	}
	comment := func(offset uint32) journey.Sighting {
		return journey.Sighting{Func: commentMatch, Table: "filter", Offset: offset}
	}
	for _, tc := range []struct {
		name string
		j    *journey.Journey
		want int // number in FORWARD, 0 for none
		is   string
	}{
		{"nothing was seen", dropAt80("reject", 80), 2, inferred},
		{"the target was seen", dropAt80("reject", 80, target(2500)), 2, exact},
		{"another one than fits best", dropAt80("reject", 80, target(4500)), 4, exact},
		{"the last one that was seen decides", dropAt80("reject", 80, target(4500), target(2500)), 2, exact},
		{"a place without a rule", dropAt80("reject", 80, target(9500)), 2, inferred},
		{"a rule that does not drop", dropAt80("reject", 80, target(1500)), 2, inferred},
		{"a comment, and another rule may have dropped before", dropAt80("drop", 443, comment(3500)), 1, inferred},
		{"a comment of a rule that does not fit", dropAt80("reject", 443, comment(3500)), 0, ""},
	} {
		n := placed()
		Attribute(&Snapshot{Namespaces: []Namespace{*n}}, nil, tc.j)
		r := tc.j.Hops[0].Rule
		if tc.want == 0 && r == nil {
			continue
		}
		if r == nil || r.Number != tc.want || r.Certainty != tc.is {
			t.Errorf("%s: %+v", tc.name, r)
		}
	}
	n := placed()
	n.Rulesets[0].Tables[0].Chains[0].Rules = n.Rulesets[0].Tables[0].Chains[0].Rules[2:]
	j := dropAt80("drop", 443, comment(3500))
	Attribute(&Snapshot{Namespaces: []Namespace{*n}}, nil, j)
	if r := j.Hops[0].Rule; r == nil || r.Number != 3 || r.Certainty != exact || r.Alternatives != 0 {
		t.Errorf("a comment of the rule that is sure: %+v", r)
	}
}
