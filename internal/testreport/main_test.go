// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
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
		{"a failing test is go test's matter", "# none", `{"Action":"fail","Package":"p","Test":"TestA"}` + "\n" + run[:strings.Index(run, "\n{\"Action\":\"output\"")], "", "1 tests passed, 0 skipped"},
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

func TestReadAllowances(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       int
		wantErr    string
	}{
		{"nothing", "", 0, ""},
		{"comments and blank lines", "# x\n\n  # y ; z\n", 0, ""},
		{"two", "A ; b ; c\nB/.* ; d ; e\n", 2, ""},
		{"two fields", "# x\nA ; b\n", 0, "line 2: want"},
		{"four fields", "A ; b ; c ; d\n", 0, "line 1: want"},
		{"a bad test pattern", "A( ; b ; c\n", 0, "line 1: error parsing regexp"},
		{"a bad reason pattern", "A ; b( ; c\n", 0, "line 1: error parsing regexp"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := readAllowances(strings.NewReader(tc.text))
			if (err == nil) != (tc.wantErr == "") || (err != nil && !strings.HasPrefix(err.Error(), tc.wantErr)) {
				t.Fatalf("error %v, want %q", err, tc.wantErr)
			}
			if len(got) != tc.want {
				t.Errorf("%d allowances, want %d", len(got), tc.want)
			}
		})
	}
}

func TestReadSkips(t *testing.T) {
	// Two packages have a test of the same name, side by side; a subtest is skipped; a package without tests is no skipped test.
	const events = `{"Action":"output","Package":"p","Test":"T","Output":"=== RUN   T\n"}
{"Action":"output","Package":"q","Test":"T","Output":"    q.go:1: of q\n"}
{"Action":"output","Package":"p","Test":"T","Output":"    p.go:1: first\n"}
{"Action":"output","Package":"p","Test":"T","Output":"        second\n"}
{"Action":"skip","Package":"p","Test":"T"}
{"Action":"skip","Package":"q","Test":"T"}
{"Action":"output","Package":"q","Test":"U/v6","Output":"    q.go:2: no IPv6\n"}
{"Action":"skip","Package":"q","Test":"U/v6"}
{"Action":"pass","Package":"q","Test":"U"}
{"Action":"skip","Package":"empty"}
`
	allowed, err := readAllowances(strings.NewReader("T ; first second ; x\nU/.* ; IPv6 ; y\n"))
	if err != nil {
		t.Fatal(err)
	}
	skips, passed, err := readSkips(strings.NewReader(events), allowed)
	if err != nil || passed != 1 {
		t.Errorf("%d passed, error %v; want 1 and none", passed, err)
	}
	want := []skip{{"p.T", "p.go:1: first second", true}, {"q.T", "q.go:1: of q", false}, {"q.U/v6", "q.go:2: no IPv6", true}}
	if !slices.Equal(skips, want) {
		t.Errorf("got %+v, want %+v", skips, want)
	}
}

func TestReportUsage(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no file":      {[]string{"testreport"}, "usage:"},
		"missing file": {[]string{"testreport", filepath.Join(t.TempDir(), "gone")}, "gone"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := report(tc.args, strings.NewReader(run), io.Discard); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestPrintable(t *testing.T) {
	if got, want := printable("a\x1b[31mb\tc→\u202e\xff"), "a?[31mb?c→?\uFFFD"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
