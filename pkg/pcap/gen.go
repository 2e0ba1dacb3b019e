// SPDX-License-Identifier: Apache-2.0

package pcap

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -no-global-types -type side -type captured bpf ../../bpf/capture.bpf.c -- -I../../bpf -Wall -Werror -Wno-unused-function
