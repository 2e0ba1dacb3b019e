// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode"
)

// event is what of a test2json event is needed here (go doc test2json).
type event struct {
	Action, Package, Test, Output string
}

// allowance permits the skips of tests that match, when the reason matches too.
type allowance struct{ test, reason *regexp.Regexp }

// readAllowances reads lines of "TEST-PATTERN ; REASON-PATTERN ; why it is justified"; # starts a comment.
func readAllowances(r io.Reader) ([]allowance, error) {
	var out []allowance
	s := bufio.NewScanner(r)
	for n := 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, ";")
		if len(f) != 3 || strings.TrimSpace(f[2]) == "" {
			return nil, fmt.Errorf("line %d: want 'test ; reason ; why it is justified'", n)
		}
		test, err := regexp.Compile("^(?:" + strings.TrimSpace(f[0]) + ")$")
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		reason, err := regexp.Compile(strings.TrimSpace(f[1]))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		out = append(out, allowance{test, reason})
	}
	return out, s.Err()
}

// skip is one skipped test.
type skip struct {
	name, reason string
	allowed      bool
}

// readSkips collects the skipped tests of a run and how many tests passed.
func readSkips(r io.Reader, allowed []allowance) (skips []skip, passed int, err error) {
	said := map[string]string{}
	d := json.NewDecoder(r)
	for {
		var e event
		if err := d.Decode(&e); err == io.EOF {
			return skips, passed, nil
		} else if err != nil {
			return nil, 0, fmt.Errorf("read the test events: %w", err)
		}
		if e.Test == "" {
			continue
		}
		name := e.Package + "." + e.Test
		switch e.Action {
		case "output":
			if !strings.HasPrefix(strings.TrimSpace(e.Output), "---") && !strings.HasPrefix(e.Output, "===") {
				said[name] += e.Output
			}
		case "pass":
			passed++
		case "skip":
			s := skip{name: name, reason: strings.Join(strings.Fields(said[name]), " ")}
			for _, a := range allowed {
				s.allowed = s.allowed || (a.test.MatchString(e.Test) && a.reason.MatchString(s.reason))
			}
			skips = append(skips, s)
		}
	}
}

func main() {
	if err := report(os.Args, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
}

func report(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: testreport ALLOWED-SKIPS < events.json")
	}
	f, err := os.Open(args[1])
	if err != nil {
		return err
	}
	defer f.Close()
	allowed, err := readAllowances(f)
	if err != nil {
		return fmt.Errorf("%s: %w", args[1], err)
	}
	skips, passed, err := readSkips(in, allowed)
	if err != nil {
		return err
	}
	bad := 0
	for _, s := range skips {
		mark := "allowed"
		if !s.allowed {
			mark = "NOT ALLOWED"
			bad++
		}
		fmt.Fprintf(out, "skipped (%s): %s: %s\n", mark, printable(s.name), printable(s.reason))
	}
	fmt.Fprintf(out, "%d tests passed, %d skipped\n", passed, len(skips))
	switch {
	case bad > 0:
		return fmt.Errorf("%d skips are not justified in %s", bad, args[1])
	case passed == 0:
		return fmt.Errorf("no test ran")
	}
	return nil
}

// printable replaces what a terminal would obey: tests of hostile input print it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
