// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/lab"
)

// Two journeys, three hops with rules: what is there is not missing, whatever the journey; what is not is told with what is.
func TestMissingRules(t *testing.T) {
	rule := func(chain string, n int) journey.Hop {
		return journey.Hop{Rule: &journey.Rule{Backend: "iptables-nft", Table: "filter", Chain: chain, Number: n, Verdict: "DROP"}}
	}
	js := []journey.Journey{{Hops: []journey.Hop{{}, rule("A", 1)}}, {Hops: []journey.Hop{rule("B", 0), rule("A", 1)}}}
	for _, tc := range []struct {
		want []lab.Rule
		miss int
		text string
	}{
		{nil, 0, ""},
		{[]lab.Rule{"iptables-nft filter/A 1 DROP", "iptables-nft filter/B 0 DROP"}, 0, ""},
		{[]lab.Rule{"iptables-nft filter/A 2 DROP"}, 1, `no hop has rule "iptables-nft filter/A 2 DROP" (there are: iptables-nft filter/A 1 DROP, iptables-nft filter/B 0 DROP)`},
		{[]lab.Rule{"iptables-legacy filter/A 1 DROP", "iptables-nft filter/B 0 DROP", "nft x/y 1 REJECT"}, 2, "iptables-legacy"},
	} {
		got := missingRules(tc.want, js, false)
		if len(got) != tc.miss || !strings.Contains(strings.Join(got, "\n"), tc.text) {
			t.Errorf("%q: %q", tc.want, got)
		}
	}
	exact := lab.Rule("iptables-nft filter/A 1 DROP exact")
	if missingRules([]lab.Rule{exact}, js, false) != nil || len(missingRules([]lab.Rule{exact}, js, true)) != 1 {
		t.Error("inferred where functions were traced must be missing, and only there")
	}
}
