// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"strings"
)

func init() {
	register(check{name: "dns-search-expansion", answered: dnsSearchExpansion})
}

// fewWasted is what a name costs that the search list is for: a Service of another namespace is the second or third name, with an A and an
// AAAA query each.
const fewWasted = 4

// dnsSearchExpansion: the search list made several names of one, and all but the last were asked for in vain.
func dnsSearchExpansion(in *Input) *Finding {
	d := in.resolvers()
	if d == nil || d.Wasted <= fewWasted {
		return nil
	}
	return &Finding{
		Layer: DNS, Cause: "dns-search-expansion", Confidence: Confirmed,
		Summary:  fmt.Sprintf("%d queries for one name: the search list makes %d names of %s, and %d queries (%d ms) were in vain", len(d.Queries), d.Names, d.Name, d.Wasted, d.WastedMS),
		Evidence: []string{fmt.Sprintf("state: ndots is %d, and %s has %d dots: the search list %s comes first", d.Ndots, d.Name, strings.Count(d.Name, "."), strings.Join(d.Search, " "))},
		Fix: []string{fmt.Sprintf("write the name with a dot at its end in the application's configuration: %s.", strings.TrimSuffix(d.Name, ".")),
			`or lower ndots for the pod: spec.dnsConfig.options [{name: ndots, value: "2"}]`},
	}
}
