// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

// A command that there is not, and wrong arguments: one sentence that says what to do next, exit code 1, nothing on stdout. A command that only
// has others gives its help.
func TestUnknownCommands(t *testing.T) {
	for _, tc := range []struct {
		args, want string
	}{
		{"flwo", "nettrace: there is no 'nettrace flwo'; did you mean flow?\n"},
		{"xyzzy", "nettrace: there is no 'nettrace xyzzy'; 'nettrace --help' lists the commands\n"},
		{"lab runn no-endpoints", "nettrace: there is no 'nettrace lab runn'; did you mean run?\n"},
		{"lab xyzzy", "nettrace: there is no 'nettrace lab xyzzy'; 'nettrace lab --help' lists the commands\n"},
		{"flow 10.0.0.1", "nettrace: accepts 2 arg(s), received 1; 'nettrace flow --help' shows how\n"},
		{"drops here", "nettrace: unknown command \"here\" for \"nettrace drops\"; 'nettrace drops --help' shows how\n"},
	} {
		code, out, errs := call(t, strings.Fields(tc.args)...)
		if code != exitUsage || out != "" || errs != tc.want {
			t.Errorf("%s: exit %d, stdout %q, stderr %q, want %q", tc.args, code, out, errs, tc.want)
		}
	}
	for _, args := range [][]string{nil, {"lab"}} {
		if code, out, errs := call(t, args...); code != exitOK || !strings.Contains(out, "Available Commands:") || errs != "" {
			t.Errorf("%v: exit %d, %q, %q", args, code, out, errs)
		}
	}
}
