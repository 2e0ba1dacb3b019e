// SPDX-License-Identifier: Apache-2.0

package main

import "runtime/debug"

// startMemory is what a start may use before garbage is collected all the same: it fits into a small debug pod.
const startMemory = 192 << 20

// hurry puts garbage collection off until restore is called. A start reads the kernel's types, about 40 MB that live until everything is
// attached: collecting meanwhile frees next to nothing and takes a fifth of the start.
func hurry() (restore func()) {
	percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(startMemory)
	return func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}
}
