// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/internal/schematest"
	"github.com/nettrace-io/nettrace/pkg/lab"
)

// How TestLabCases runs in the guests of internal/vmtest.
const (
	testRounds  = "NETTRACE_TEST_ROUNDS"  // default 2
	testBackend = "NETTRACE_TEST_BACKEND" // default auto
	testTrace   = "NETTRACE_TEST_TRACE"   // --trace-rules in the first round too
)

// Every case of the lab gets its verdict, twice, in random order; the second time with --trace-rules, when the kernel's word must be what was
// inferred.
func TestLabCases(t *testing.T) {
	needRoot(t)
	mustLeaveNothing(t)
	cases, err := lab.Cases()
	if err != nil {
		t.Fatal(err)
	}
	rounds := 2
	if n, err := strconv.Atoi(os.Getenv(testRounds)); err == nil {
		rounds = n
	}
	for round := 1; round <= rounds; round++ {
		rand.Shuffle(len(cases), func(i, k int) { cases[i], cases[k] = cases[k], cases[i] })
		for _, c := range cases {
			t.Run(fmt.Sprintf("%s/%d", c.Name, round), func(t *testing.T) {
				var out bytes.Buffer
				o := labRunOptions{output: output{format: "json"}, backend: os.Getenv(testBackend), record: filepath.Join(t.TempDir(), "case.nt"), traceRules: round > 1 || os.Getenv(testTrace) != ""}
				var lacks *exitError
				if err := labNeeds(c); errors.As(err, &lacks) && lacks.code == exitPrivileges {
					t.Skip(err)
				}
				wrong, err := runCase(t.Context(), streams{strings.NewReader(""), &out, io.Discard}, o, c)
				for again := 0; again < 4 && err == nil && lostEvents(verdictOf(t, out.Bytes())) && (again == 0 || len(wrong) > 0); again++ { // a slow machine loses events: that must be said, and was
					t.Logf("tried again, since events were lost: %s", strings.Join(wrong, "; "))
					out.Reset()
					wrong, err = runCase(t.Context(), streams{strings.NewReader(""), &out, io.Discard}, o, c)
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, w := range wrong {
					t.Error(w)
				}
				tellCase(t, c.Name, verdictOf(t, out.Bytes()))
				if strings.Contains(out.String(), `"0.0.0.0:0"`) {
					t.Error("a translation from or to no address")
				}
				if *update && !t.Failed() {
					keepForLosses(t, c.Name, o.record)
				}
				if o.traceRules {
					mustAgree(t, c.Name, o.record)
				}
				if round > 1 { // once is enough, and the guests run one round
					mustNotConfirmWrongly(t, o.record)
				}
				if t.Failed() {
					t.Logf("output:\n%s", out.String())
				}
			})
		}
	}
}

// tellCase writes what a case got in a line that internal/vmtest reads: "@@case NAME OUTCOME CAUSE CONFIDENCE", or "@@lost NAME" when events were
// lost: then it says nothing about what this kernel can decide.
func tellCase(t *testing.T, name string, v map[string]any) {
	t.Helper()
	if lostEvents(v) {
		t.Logf("@@lost %s", name)
		return
	}
	word := func(field string) string { s, _ := v[field].(string); return cmp.Or(s, "-") }
	t.Logf("@@case %s %s %s %s", name, word("outcome"), word("cause"), word("confidence"))
}

// verdictOf is the one verdict of a run's JSON lines.
func verdictOf(t *testing.T, lines []byte) map[string]any {
	t.Helper()
	verdicts := schematest.Lines(t, lines)["verdict"]
	if len(verdicts) != 1 {
		t.Fatalf("%d verdicts", len(verdicts))
	}
	return verdicts[0]
}

// lostEvents reports whether a verdict says that events were lost.
func lostEvents(v map[string]any) bool {
	n, _ := v["lostEvents"].(float64)
	return n > 0
}
