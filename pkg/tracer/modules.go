// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bufio"
	"io"
	"os"
	"strings"
)

// idleModules are the loaded modules that nothing uses. Matches, targets and expressions hold their module while a rule has them
// (net/netfilter/x_tables.c, nf_tables_api.c).
func idleModules() map[string]bool {
	f, err := os.Open("/proc/modules")
	if err != nil {
		return nil // a kernel without modules
	}
	defer f.Close()
	return idleIn(f)
}

// idleIn reads lines "NAME SIZE COUNT USERS STATE ADDRESS".
func idleIn(modules io.Reader) map[string]bool {
	idle := map[string]bool{}
	s := bufio.NewScanner(modules)
	for s.Scan() {
		if f := strings.Fields(s.Text()); len(f) >= 3 && f[2] == "0" {
			idle[f[0]] = true
		}
	}
	return idle
}
