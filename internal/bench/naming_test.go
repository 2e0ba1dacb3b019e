// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

// What does not depend on the machine is held: memory, allocations, requests.
func TestNamingCosts(t *testing.T) {
	c, err := measureNaming()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", c)
	if c.allocs != 0 {
		t.Errorf("a lookup makes %v allocations", c.allocs)
	}
	if c.bytes > 300e6 || c.bytes < 1e6 {
		t.Errorf("objects and index take %.0f MB, want at most 300", c.bytes/1e6)
	}
	n, err := requestsOfAFlow(t.Context())
	if err != nil || n > 10 || n < 3 {
		t.Errorf("%d API requests for a flow, %v; want at most 10", n, err)
	}
}
