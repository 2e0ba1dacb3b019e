// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"hash/fnv"
	"os"
	"slices"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/lab"
)

// shares is into how many parts the cases are dealt that every kernel can run: fewer than there are kernels, so that each case runs on one at
// least.
const shares = 3

// inShare reports whether a case belongs to the share of the kernel at that place of the matrix. Cases that a kernel must have features for, and
// those named, are every kernel's: the machine's own may not have these features.
func inShare(c *lab.Case, place int, always []string) bool {
	if c.Points == lab.PointsFunctions || len(c.Modules) > 0 || slices.Contains(always, c.Name) {
		return true
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(c.Name))
	return int(h.Sum32()%shares) == place%shares
}

// leftOut are the cases that are not this kernel's share.
func leftOut(k Kernel) []string {
	cases, err := lab.Cases()
	if err != nil || os.Getenv(wholeEnv) != "" || os.Getenv(casesEnv) != "" {
		return nil
	}
	place := slices.IndexFunc(Kernels, func(o Kernel) bool { return o.Line == k.Line })
	var out []string
	for i := range cases {
		if !inShare(&cases[i], place, rungCases) && k.Unable[cases[i].Name] == "" {
			out = append(out, cases[i].Name)
		}
	}
	return out
}

// Every case is in the share of one kernel at least, those that need a kernel's features in all; no share is much larger than the others.
func TestSharesCoverTheLab(t *testing.T) {
	cases, err := lab.Cases()
	if err != nil {
		t.Fatal(err)
	}
	var size [shares]int
	for i := range cases {
		c := &cases[i]
		in := 0
		for place := range Kernels {
			if inShare(c, place, rungCases) {
				in++
				if place < shares {
					size[place]++
				}
			}
		}
		if in == 0 {
			t.Errorf("no kernel runs %s", c.Name)
		}
		if (c.Points == lab.PointsFunctions || len(c.Modules) > 0 || slices.Contains(rungCases, c.Name)) && in != len(Kernels) {
			t.Errorf("%s is every kernel's, and %d run it", c.Name, in)
		}
	}
	t.Logf("%d cases, shares of %v", len(cases), size)
	if slices.Max(size[:]) > 2*slices.Min(size[:]) {
		t.Errorf("shares of %v: one is much larger than another", size)
	}
	t.Setenv(wholeEnv, "1")
	if out := leftOut(Kernels[0]); out != nil {
		t.Errorf("the whole lab, and left out: %v", out)
	}
}
