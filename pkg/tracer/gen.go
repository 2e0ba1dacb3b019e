// SPDX-License-Identifier: Apache-2.0

package tracer

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -no-global-types -type point -type direction -type tunnel -type event_flag -type tuple -type event -type drop_event -type detail_event -type rule_event bpf ../../bpf/nettrace.bpf.c -- -I../../bpf -Wall -Werror
