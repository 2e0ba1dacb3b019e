// SPDX-License-Identifier: Apache-2.0

package render

import (
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

func TestRuleText(t *testing.T) {
	for want, r := range map[string]journey.Rule{
		"iptables-legacy filter/FORWARD rule 3: -j DROP (inferred)":      {Backend: "iptables-legacy", Table: "filter", Chain: "FORWARD", Number: 3, Text: "-j DROP", Certainty: "inferred"},
		"iptables-nft filter/FORWARD policy DROP (inferred, 2 more fit)": {Backend: "iptables-nft", Table: "filter", Chain: "FORWARD", Verdict: "DROP", Certainty: "inferred", Alternatives: 2},
		"nft t/c handle 7: drop (exact)":                                 {Backend: "nft", Table: "t", Chain: "c", Number: 1, Handle: 7, Text: "drop", Certainty: "exact"},
		"ipvs -a -t 10.96.0.80:80 -r 10.244.2.20:8080 -m -w 1 (exact)":   {Backend: "ipvs", Text: "-a -t 10.96.0.80:80 -r 10.244.2.20:8080 -m -w 1", Verdict: "masquerading", Certainty: "exact"},
		"ipvs -A -t 10.96.0.82:80 -s rr (inferred)":                      {Backend: "ipvs", Text: "-A -t 10.96.0.82:80 -s rr", Verdict: "REJECT", Certainty: "inferred"},
	} {
		if got := RuleText(&r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The story tells the rule at the hop of IPVS too.
func TestStoryTellsTheServer(t *testing.T) {
	j := sample(1)
	j.Hops = append(j.Hops, journey.Hop{Stage: journey.StageIPVS, What: "IPVS has no real server for it", Rule: &journey.Rule{Backend: "ipvs", Text: "-A -t 10.96.0.82:80 -s rr", Certainty: "exact"}})
	if got := tell(t, "story", Options{Width: 120}, j); !strings.Contains(got, "ipvs -A -t 10.96.0.82:80 -s rr (exact)") {
		t.Error(got)
	}
}
