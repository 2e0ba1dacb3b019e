// SPDX-License-Identifier: Apache-2.0

// Package drops watches every drop of this kernel.
//
// A Session (session.go) loads bpf/drops.bpf.c, which counts all drops by kind (reason, place, device, protocol) in a per-CPU map and sends
// a few samples a second of each kind through a ring buffer. Counts are exact; samples are what a line or the last packet of a table row is
// made from. Table (table.go, pure) turns polled counts into rates and sums; Noise (noise.go, pure) knows the ends of packets that are drops
// in name only.
package drops
