// SPDX-License-Identifier: Apache-2.0

// Package vmtest boots the kernels of the matrix (kernels.go) under qemu, each with the same small user space and the programs to run, and
// reports what they printed. Nothing is installed: kernels come from the Debian archive into a cache, tools are copied from this machine.
package vmtest
