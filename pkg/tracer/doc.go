// SPDX-License-Identifier: Apache-2.0

// Package tracer attaches nettrace's programs to the kernel and turns what they report into Events.
//
// The kernel side lives in bpf/. This package loads it (load.go), says for each point whether and why not it is attached
// (points.go), reads the ring buffer (live.go), decodes records (decode.go, pure) and writes and reads recordings (capture.go).
// Event is the only thing the rest of nettrace sees of the kernel; a recording yields the same Events as the live run did.
package tracer
