// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

// The measurement runs in both modes, finds the right Services, and stays within its memory.
func TestAttributionCosts(t *testing.T) {
	for _, mode := range []string{"iptables", "nftables"} {
		c, err := measureRules(mode, 10000)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %+v", mode, c)
		if c.bytes > 300e6 || c.bytes < 1e6 {
			t.Errorf("%s: %.0f MB, want at most 300", mode, c.bytes/1e6)
		}
	}
}
