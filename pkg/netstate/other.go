// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"bytes"
	"context"
	"os"
	"os/exec"
)

// OtherRulesets names what decides about packets in this namespace besides iptables: "nftables" for tables that no iptables made, "ipvs" for
// virtual servers. What cannot be read is not named.
func OtherRulesets(ctx context.Context) []string {
	var out []string
	if nftPresent() {
		list, err := exec.CommandContext(ctx, "nft", "list", "tables").Output()
		for _, line := range bytes.Split(bytes.TrimSpace(list), []byte("\n")) {
			if err == nil && len(line) > 0 && !iptablesTable(line) {
				out = append(out, "nftables")
				break
			}
		}
	}
	if b, err := os.ReadFile("/proc/self/net/ip_vs"); err == nil && bytes.Count(b, []byte("\n")) > 3 { // three lines of heading
		out = append(out, "ipvs")
	}
	return out
}

// iptablesTable recognises the tables that iptables-nft makes: "table ip filter" and the like.
func iptablesTable(line []byte) bool {
	f := bytes.Fields(line)
	if len(f) != 3 || (string(f[1]) != "ip" && string(f[1]) != "ip6") {
		return false
	}
	switch string(f[2]) {
	case "filter", "nat", "mangle", "raw", "security":
		return true
	}
	return false
}
