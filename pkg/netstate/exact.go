// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"slices"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// commentMatch is the match that only says that its rule was reached: whether the rest of the rule fits is not known from it.
const commentMatch = "comment_mt"

// ranAt finds the rule that the kernel was seen to run at a hop: the last one that can have done what happened. Of the rules that were
// inferred it takes over the path to it. A comment that was reached last makes an inferred rule sure, and nothing else.
func ranAt(n *Namespace, h *journey.Hop, verdicts []string, fit []ruleset.Found, v6 bool) (ruleset.Found, bool) {
	for _, s := range slices.Backward(h.Seen) {
		f, ok := ruleset.At(n.Rulesets, ruleset.Place{Table: s.Table, Offset: s.Offset, Memory: s.Memory}, v6)
		if !ok || !slices.Contains(verdicts, f.Verdict) {
			continue
		}
		if s.Func == commentMatch {
			fit = sureFirst(fit)
		}
		for _, i := range fit {
			if i.Backend == f.Backend && i.Table == f.Table && i.Chain == f.Chain && i.Number == f.Number {
				return i, true
			}
		}
		if s.Func != commentMatch {
			return f, true
		}
	}
	return ruleset.Found{}, false
}

// sureFirst is the one rule that was inferred without doubt, if there is one.
func sureFirst(fit []ruleset.Found) []ruleset.Found {
	if len(fit) == 0 || !fit[0].Sure {
		return nil
	}
	return fit[:1]
}

// What the targets of rules are called that drop, or that translate.
var (
	dropTargets  = []string{"DROP", "REJECT"}
	queueTargets = []string{"QUEUE", "NFQUEUE"}
	dnatTargets  = []string{"DNAT", "REDIRECT"}
	snatTargets  = []string{"SNAT", "MASQUERADE"}
)
