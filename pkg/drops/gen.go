// SPDX-License-Identifier: Apache-2.0

package drops

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -no-global-types -type drop_key -type drop_count -type prefix -type drop_filter bpf ../../bpf/drops.bpf.c -- -I../../bpf -Wall -Werror -Wno-unused-function
