// SPDX-License-Identifier: Apache-2.0

// Package pcap captures the packets of a followed flow at every device that they cross and writes them as pcapng.
//
// A Session (session.go) loads bpf/capture.bpf.c over a tracer's maps, so that both agree about what belongs to the flow, attaches it to
// both sides of every device (tcx.go; clsact.go where the kernel has no tcx, with a guardian, guard.go, that cleans up after a kill) and
// keeps what it reports (record.go, pure). At the end Match (match.go, pure) finds the journey's hop that each packet was captured at, and
// Write (write.go) writes the file: one interface for each device and namespace, a comment with journey and hop on each packet.
package pcap
