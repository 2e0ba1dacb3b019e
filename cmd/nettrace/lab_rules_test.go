// SPDX-License-Identifier: Apache-2.0

package main

import (
	"reflect"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

// Rules that a case expects are looked for in requests, in the words of the story.
func TestMissingRules(t *testing.T) {
	rule := journey.Rule{Backend: "ipvs", Text: "-a -t 10.96.0.90:80 -r 10.244.2.20:8080 -m -w 1", Certainty: "exact"}
	other := journey.Rule{Backend: "iptables-legacy", Table: "filter", Chain: "FORWARD", Verdict: "DROP", Certainty: "inferred"}
	js := []journey.Journey{
		{Direction: journey.Reply, Hops: []journey.Hop{{Rule: &other}}},
		{Direction: journey.Request, Hops: []journey.Hop{{}, {Rule: &rule}}},
	}
	const (
		ipvs   = "ipvs -a -t 10.96.0.90:80 -r 10.244.2.20:8080 -m -w 1 (exact)"
		policy = "iptables-legacy filter/FORWARD policy DROP (inferred)"
	)
	if got := missingRules([]string{ipvs}, js); got != nil {
		t.Errorf("%q", got)
	}
	want := []string{`no hop of a request has the rule "` + policy + `"`}
	if got := missingRules([]string{policy, ipvs}, js); !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
	if got := missingRules([]string{ipvs}, nil); len(got) != 1 {
		t.Errorf("without journeys: %q", got)
	}
}
