// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// listCommand shows the chain of a rule.
func listCommand(r *journey.Rule) string {
	if r.Backend == "nft" {
		return fmt.Sprintf("nft list chain %s %s %s", r.Family, r.Table, r.Chain)
	}
	return fmt.Sprintf("%s -L %s -vn", tableTool(r), r.Chain)
}

// tableTool is iptables for the family and table of a rule; filter is its own default.
func tableTool(r *journey.Rule) string {
	tool := ruleset.ToolOf(r.Backend, r.Family)
	if r.Table != "" && r.Table != "filter" {
		tool += " -t " + r.Table
	}
	return tool
}

// letPass is the command that lets a tunnel's packets pass before the rule that dropped one; what is a match for iptables, and what in words. In
// nftables the rule itself has to change: what one base chain accepts the next one may still drop.
func letPass(d *dropAt, match, what string) string {
	r, src := d.h.Rule, d.h.Outer.Src
	tool, chain := pick(src.Is6(), "ip6tables", "iptables"), d.h.Hook
	switch {
	case r != nil && r.Backend == "nft":
		rule := fmt.Sprintf("its rule %d", r.Number)
		if r.IsPolicy() {
			rule = "its policy drops"
		}
		if r.Handle != 0 {
			rule = fmt.Sprintf("its rule with handle %d", r.Handle)
		}
		return fmt.Sprintf("%s: accept %s from %s before %s", listCommand(r), what, src, rule)
	case r != nil:
		tool, chain = tableTool(r), r.Chain
	case chain == "PREROUTING" || chain == "POSTROUTING": // which the filter table does not have
		return fmt.Sprintf("%s-save | grep %s: accept %s from %s before the rule that drops it", tool, chain, what, src)
	}
	return fmt.Sprintf("%s -I %s %s -s %s -j ACCEPT", tool, chain, match, src)
}
