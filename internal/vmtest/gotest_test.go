// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"slices"
	"strings"
	"testing"
)

// A test binary's output, as 'go test -v' prints it; the expected results without those that only hold others.
func TestResults(t *testing.T) {
	const said = `=== RUN   TestLabCases
=== RUN   TestLabCases/a/1
    live_test.go:10: cause is wrong
    live_test.go:12: output:
=== RUN   TestLabCases/b/1
=== RUN   TestLabCases/c/1
    live_test.go:9: this kernel lacks it
--- FAIL: TestLabCases (9.00s)
    --- FAIL: TestLabCases/a/1 (3.00s)
    --- PASS: TestLabCases/b/1 (3.00s)
    --- SKIP: TestLabCases/c/1 (0.00s)
=== RUN   TestAlone
--- PASS: TestAlone (0.00s)
=== RUN   TestHolds
=== RUN   TestHolds/x
--- FAIL: TestHolds (0.00s)
    --- PASS: TestHolds/x (0.00s)
FAIL`
	var r Results
	for _, line := range strings.Split(said, "\n") {
		r.Add(line)
	}
	var got []string
	for _, one := range r.Done() {
		got = append(got, one.Status+" "+one.Name+" "+strings.TrimSpace(strings.Join(one.Output, "|")))
	}
	want := []string{
		"FAIL TestLabCases/a/1 live_test.go:10: cause is wrong|    live_test.go:12: output:", "PASS TestLabCases/b/1 ", "SKIP TestLabCases/c/1 live_test.go:9: this kernel lacks it",
		"PASS TestAlone ", "FAIL TestHolds ", "PASS TestHolds/x ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A run as a whole: tests that began and never ended, a binary that ended badly without a failed test, one that said nothing of its end.
func TestProblemsOfARun(t *testing.T) {
	for said, want := range map[string]string{
		"=== RUN   TestA\n--- PASS: TestA (1.00s)\nPASS\n@@code 0":                                      "",
		"=== RUN   TestA\n--- FAIL: TestA (1.00s)\nFAIL\n@@code 1":                                      "",
		"=== RUN   TestA\n--- PASS: TestA (1.00s)\nPASS":                                                "did not end",
		"=== RUN   TestA\n--- PASS: TestA (1.00s)\nfatal error\n@@code 2":                               "exit code 2, and no test failed",
		"=== RUN   TestA\n=== RUN   TestA/b\npanic: test timed out after 90m\n@@code 2":                 "within TestA, TestA/b; its last lines: panic: test timed out",
		"=== RUN   TestA\n--- FAIL: TestA (1.00s)\n=== RUN   TestB\nsignal: killed\n@@code 137":         `(exit code "137") within TestB`,
		"=== RUN   TestA\n=== PAUSE TestA\n=== CONT  TestA\n--- SKIP: TestA (0.00s)\n    why\n@@code 0": "",
	} {
		var r Results
		for _, line := range strings.Split(said, "\n") {
			r.Add(line)
		}
		if got := r.Problem(); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
}

// Releases are ordered by their numbers, the newest first.
func TestNewestRelease(t *testing.T) {
	got := []string{"6.12.9+deb12-cloud-amd64", "6.12.117+deb12-cloud-amd64", "6.12.90+deb12-cloud-amd64", "6.12.90+deb12.1-cloud-amd64", "6.12.100+deb12-cloud-amd64"}
	slices.SortFunc(got, newer)
	want := []string{"6.12.117+deb12-cloud-amd64", "6.12.100+deb12-cloud-amd64", "6.12.90+deb12.1-cloud-amd64", "6.12.90+deb12-cloud-amd64", "6.12.9+deb12-cloud-amd64"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	for _, k := range Kernels {
		if k.Why == "" || len(k.Suites) == 0 || len(k.Parts) == 0 || len(k.Rungs) == 0 {
			t.Errorf("kernel line %s says too little", k.Line)
		}
	}
}

// The guest's output starts behind the boot mark and ends with the job's exit code; a guest that crashes gives none.
func TestReadOutput(t *testing.T) {
	for _, tc := range []struct {
		said  string
		code  int
		lines string
	}{
		{"SeaBIOS\x1b[2J @@boot\r\none\r\ntwo\r\n@@exit 0\r\n", 0, "one two"},
		{"@@boot\nx\n@@exit 7\n", 7, "x"},
		{"@@boot\nx\n", -1, "x"},
		{"noise\n", -1, ""},
		{"@@boot\n@@exit many\n", -1, ""},
	} {
		var lines []string
		if code := readOutput(strings.NewReader(tc.said), func(s string) { lines = append(lines, s) }); code != tc.code || strings.Join(lines, " ") != tc.lines {
			t.Errorf("%q: code %d, lines %q", tc.said, code, lines)
		}
	}
}
