// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"hash/fnv"
	"slices"

	"github.com/nettrace-io/nettrace/pkg/lab"
)

// shares is into how many parts the cases are dealt that every kernel can run: fewer than there are kernels, so that each case runs on one at
// least.
const shares = 3

// InShare reports whether a case belongs to the share of the kernel at that place of the matrix. Cases that a kernel must have features for, and
// those named, are every kernel's: the machine's own may not have these features.
func InShare(c *lab.Case, place int, always []string) bool {
	if c.Points == lab.PointsFunctions || len(c.Modules) > 0 || slices.Contains(always, c.Name) {
		return true
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(c.Name))
	return int(h.Sum32()%shares) == place%shares
}
