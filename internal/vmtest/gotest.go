// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Result is one test of a test binary that ran in the guest.
type Result struct {
	Name   string // TestX/sub
	Status string // PASS, FAIL, SKIP
	Output []string
}

// Results reads the output of a test binary run with -test.v, line by line.
type Results struct {
	All     []Result
	current string
	output  map[string][]string
	open    []string // tests that began and have not ended
	code    string   // how the binary ended, "" while it runs
}

var (
	runLine = regexp.MustCompile(`^=== (?:RUN|CONT|NAME|PAUSE)\s+(\S+)`)
	endLine = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+) \(`)
)

const maxOutput = 400 // lines kept of one test

// Add takes the next line.
func (r *Results) Add(line string) {
	if r.output == nil {
		r.output = map[string][]string{}
	}
	if code, ok := strings.CutPrefix(line, codeLine); ok {
		r.code = code
		return
	}
	if m := runLine.FindStringSubmatch(line); m != nil {
		r.current = m[1]
		if strings.HasPrefix(line, "=== RUN") {
			r.open = append(r.open, m[1])
		}
		return
	}
	if m := endLine.FindStringSubmatch(line); m != nil {
		r.All = append(r.All, Result{Name: m[2], Status: m[1]})
		r.current = ""
		r.open = slices.DeleteFunc(r.open, func(name string) bool { return name == m[2] })
		return
	}
	if r.current != "" && len(r.output[r.current]) < maxOutput {
		r.output[r.current] = append(r.output[r.current], line)
	}
}

// codeLine begins the line that the guest writes behind a test binary: its exit code.
const codeLine = "@@code "

// Problem says what is wrong with the run as a whole, "" for nothing: a binary that ran out of time, panicked or was killed tells no test's failure.
func (r *Results) Problem() string {
	failed := slices.ContainsFunc(r.All, func(one Result) bool { return one.Status == "FAIL" })
	switch {
	case len(r.open) > 0:
		last := r.output[r.open[len(r.open)-1]]
		return fmt.Sprintf("the test binary ended (exit code %q) within %s; its last lines: %s", r.code, strings.Join(r.open, ", "), strings.Join(last[max(0, len(last)-20):], "\n"))
	case r.code == "":
		return "the test binary did not end"
	case r.code != "0" && !failed:
		return fmt.Sprintf("the test binary ended with exit code %s, and no test failed", r.code)
	}
	return ""
}

// Done gives each result its output and leaves out the tests that only hold others, unless they failed by themselves.
func (r *Results) Done() []Result {
	var out []Result
	for _, one := range r.All {
		one.Output = r.output[one.Name]
		holds, failedBelow := false, false
		for _, other := range r.All {
			if strings.HasPrefix(other.Name, one.Name+"/") {
				holds = true
				failedBelow = failedBelow || other.Status == "FAIL"
			}
		}
		if holds && (one.Status != "FAIL" || failedBelow) {
			continue
		}
		out = append(out, one)
	}
	return out
}
