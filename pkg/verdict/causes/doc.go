// SPDX-License-Identifier: Apache-2.0

// Package causes lists every cause that a verdict can name, with its layers and one sentence. It is data: the checks of pkg/verdict find the
// causes, the cases of pkg/lab show them, and tests hold the three together.
package causes
