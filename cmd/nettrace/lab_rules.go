// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/lab"
)

// missingRules lists the rules that a case expects and that no hop has, with those that the hops have instead. functions says that kernel
// functions were traced.
func missingRules(want []lab.Rule, js []journey.Journey, functions bool) []string {
	var wrong []string
	for _, w := range want {
		var have []string
		found := false
		for i := range js {
			for k := range js[i].Hops {
				r := js[i].Hops[k].Rule
				if r == nil {
					continue
				}
				found = found || w.Is(r, functions)
				if s := string(lab.RuleOf(r)); !slices.Contains(have, s) {
					have = append(have, s)
				}
			}
		}
		if !found {
			wrong = append(wrong, fmt.Sprintf("no hop has rule %q (there are: %s)", w, strings.Join(have, ", ")))
		}
	}
	return wrong
}
