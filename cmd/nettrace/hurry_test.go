// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime/debug"
	"testing"
)

func TestHurryIsOver(t *testing.T) {
	percent, limit := debug.SetGCPercent(77), debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetGCPercent(percent) })
	restore := hurry()
	if got := debug.SetGCPercent(-1); got != -1 {
		t.Errorf("collected at %d %% while in a hurry", got)
	}
	if got := debug.SetMemoryLimit(-1); got != startMemory {
		t.Errorf("the limit is %d while in a hurry", got)
	}
	restore()
	if got := debug.SetMemoryLimit(-1); got != limit {
		t.Errorf("the limit is %d afterwards, want %d", got, limit)
	}
	if got := debug.SetGCPercent(77); got != 77 {
		t.Errorf("collected at %d %% afterwards", got)
	}
}
