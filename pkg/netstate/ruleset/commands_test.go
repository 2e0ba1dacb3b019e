// SPDX-License-Identifier: Apache-2.0

package ruleset

import "testing"

func TestPolicyCommand(t *testing.T) {
	for _, tc := range []struct{ backend, family, table, chain, tool, want string }{
		{"iptables-legacy", "ip", "filter", "FORWARD", "iptables-legacy", "iptables-legacy -P FORWARD ACCEPT"},
		{"iptables-nft", "ip6", "filter", "FORWARD", "ip6tables-nft", "ip6tables-nft -P FORWARD ACCEPT"},
		{"nft", "inet", "firewall", "forward", "nft", "nft chain inet firewall forward '{ policy accept; }'"},
		{"nft", "ip6", "firewall", "forward", "nft", "nft chain ip6 firewall forward '{ policy accept; }'"},
	} {
		if got := ToolOf(tc.backend, tc.family); got != tc.tool {
			t.Errorf("%s %s: tool %q", tc.backend, tc.family, got)
		}
		if got := PolicyCommand(tc.backend, tc.family, tc.table, tc.chain); got != tc.want {
			t.Errorf("%s %s: %q, want %q", tc.backend, tc.family, got, tc.want)
		}
	}
}
