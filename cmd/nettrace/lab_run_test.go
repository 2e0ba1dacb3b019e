// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// A run of all cases ends well only when every case that this kernel can run got its verdict; what it cannot run is named and counted apart.
func TestTally(t *testing.T) {
	run := func(do func(*tally)) (string, error) {
		var out strings.Builder
		tl := tally{out: &out, of: 3}
		do(&tl)
		err := tl.end()
		return out.String(), err
	}
	skip := func(tl *tally) { tl.skip("needs-ipvs", errors.New("no module ip_vs\x1b[2J")) }
	for _, tt := range []struct {
		name      string
		do        func(*tally)
		out, fail string
		code      int
	}{
		{name: "all as expected",
			do:  func(tl *tally) { tl.ran("a", time.Second, nil); tl.ran("b", 1500*time.Millisecond, nil) },
			out: "ok     1/3 a                                  1.0 s\nok     2/3 b                                  1.5 s\nall 2 cases got the expected verdict\n"},
		{name: "one skipped",
			do: func(tl *tally) { tl.ran("a", time.Second, nil); skip(tl) },
			out: "ok     1/3 a                                  1.0 s\nskip   2/3 needs-ipvs                       no module ip_vs\\x1b[2J\n" +
				"all 1 cases got the expected verdict; 1 cannot run on this kernel, each says why\n"},
		{name: "one wrong beside one skipped",
			do: func(tl *tally) {
				tl.ran("a", time.Second, nil)
				tl.ran("b", time.Second, []string{"x", "y\n"})
				skip(tl)
			},
			out: "ok     1/3 a                                  1.0 s\nFAIL   2/3 b                                  1.0 s  x; y\\x0a\n" +
				"skip   3/3 needs-ipvs                       no module ip_vs\\x1b[2J\n",
			fail: "1 of 2 cases did not get the expected verdict; 1 cannot run on this kernel, each says why", code: exitVerdict},
		{name: "none could run",
			do:   skip,
			out:  "skip   1/3 needs-ipvs                       no module ip_vs\\x1b[2J\n",
			fail: "this kernel can run none of the cases: each says why", code: exitPrivileges},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := run(tt.do)
			if out != tt.out {
				t.Errorf("printed\n%s\nexpected\n%s", out, tt.out)
			}
			var ee *exitError
			switch {
			case tt.fail == "" && err != nil:
				t.Error(err)
			case tt.fail != "" && (!errors.As(err, &ee) || ee.Error() != tt.fail || ee.code != tt.code):
				t.Errorf("ended with %v, expected code %d, %q", err, tt.code, tt.fail)
			}
		})
	}
}
