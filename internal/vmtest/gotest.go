// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"regexp"
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
	if m := runLine.FindStringSubmatch(line); m != nil {
		r.current = m[1]
		return
	}
	if m := endLine.FindStringSubmatch(line); m != nil {
		r.All = append(r.All, Result{Name: m[2], Status: m[1]})
		r.current = ""
		return
	}
	if r.current != "" && len(r.output[r.current]) < maxOutput {
		r.output[r.current] = append(r.output[r.current], line)
	}
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
