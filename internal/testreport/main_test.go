// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const run = `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:7: needs root: raw sockets\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p"}
`

func TestReport(t *testing.T) {
	for _, tc := range []struct{ name, allow, events, wantErr, wantOut string }{
		{"an allowed skip is listed", "TestB ; needs root ; CI is root", run, "", "skipped (allowed): p.TestB: b_test.go:7: needs root: raw sockets"},
		{"another reason is not allowed", "TestB ; needs a kernel ; no", run, "1 skips are not justified", "NOT ALLOWED"},
		{"another test is not allowed", "TestBB ; needs root ; no", run, "1 skips are not justified", "NOT ALLOWED"},
		{"an allowance without a reason is no allowance", "TestB ; needs root ;", run, "line 1", ""},
		{"a run without tests fails", "# none", `{"Action":"pass","Package":"p"}`, "no test ran", ""},
		{"broken events fail", "# none", `{"Action":`, "read the test events", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "skips.txt")
			if err := os.WriteFile(file, []byte(tc.allow), 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			err := report([]string{"testreport", file}, strings.NewReader(tc.events), &out)
			if (err == nil) != (tc.wantErr == "") || (err != nil && !strings.Contains(err.Error(), tc.wantErr)) {
				t.Errorf("error %v, want %q", err, tc.wantErr)
			}
			if !strings.Contains(out.String(), tc.wantOut) {
				t.Errorf("output %q lacks %q", out.String(), tc.wantOut)
			}
		})
	}
}
