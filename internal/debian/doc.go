// SPDX-License-Identifier: Apache-2.0

// Package debian fetches packages of Debian's archive into a directory of our own. Signatures are checked, this machine's apt and its lists stay as
// they are, and nothing is installed: kernels for the guests of internal/vmtest and the tools of internal/image come this way.
package debian
