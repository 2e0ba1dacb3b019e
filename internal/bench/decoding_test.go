// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"testing"
)

// The benchmark runs, so that it cannot rot; what it measures that does not depend on the machine is held.
func TestDecodingAllocates(t *testing.T) {
	b, err := os.ReadFile("../../" + recording)
	if err != nil {
		t.Fatal(err)
	}
	rate, allocs, _, err := decodeRate(b)
	if err != nil || rate == 0 {
		t.Fatal(rate, err)
	}
	if allocs > 2 {
		t.Errorf("%.2f allocations per event, want at most 2", allocs)
	}
}

func TestMedian(t *testing.T) {
	if m := median([]float64{9, 1, 5}); m != 5 {
		t.Error(m)
	}
}
