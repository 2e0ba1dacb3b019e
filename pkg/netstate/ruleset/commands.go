// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"fmt"
	"strings"
)

// ToolOf is the command for a family: what is said of "iptables-nft" holds for "ip6tables-nft".
func ToolOf(backend, family string) string {
	if family == "ip6" {
		return strings.Replace(backend, "iptables", "ip6tables", 1)
	}
	return backend
}

// PolicyCommand is the command that makes a base chain accept what none of its rules decides (iptables(8), nft(8): policies of base chains).
func PolicyCommand(backend, family, table, chain string) string {
	if backend == "nft" {
		return fmt.Sprintf("nft chain %s %s %s '{ policy accept; }'", family, table, chain)
	}
	return fmt.Sprintf("%s -P %s ACCEPT", ToolOf(backend, family), chain)
}
