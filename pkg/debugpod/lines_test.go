// SPDX-License-Identifier: Apache-2.0

package debugpod

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	for _, size := range []int{1, 2, 3, 7, 100} {
		var got []string
		l := &Lines{Each: func(b []byte) error { got = append(got, string(b)); return nil }}
		for part := range slices.Chunk([]byte("one\n\ntwo three\nfour"), size) {
			if n, err := l.Write(part); n != len(part) || err != nil {
				t.Fatal(n, err)
			}
		}
		rest, ok := l.Flush()
		if strings.Join(got, "|") != "one||two three" || string(rest) != "four" || !ok || l.Long.Load() != 0 {
			t.Errorf("in parts of %d: %q, rest %q", size, got, rest)
		}
		if _, ok := l.Flush(); ok {
			t.Error("a rest twice")
		}
	}
}

func TestLongLinesArePassedOver(t *testing.T) {
	var got []string
	l := &Lines{Each: func(b []byte) error { got = append(got, string(b)); return nil }}
	for _, p := range []string{"a\n", strings.Repeat("x", MaxLine), "y", "z\nb\n", strings.Repeat("x", MaxLine+1) + "\nc\n"} {
		_, _ = l.Write([]byte(p))
	}
	if strings.Join(got, "|") != "a|b|c" || l.Long.Load() != 2 {
		t.Errorf("%d lines, %d long", len(got), l.Long.Load())
	}
}

func TestLinesStopAtAnError(t *testing.T) {
	stop := errors.New("stop")
	l := &Lines{Each: func([]byte) error { return stop }}
	if _, err := l.Write([]byte("a\nb\n")); !errors.Is(err, stop) {
		t.Error(err)
	}
}

// Streams that begin anew go on where they were, or say that something is missing.
func TestResumed(t *testing.T) {
	for _, tc := range []struct {
		name    string
		streams []string
		want    string
		gap     bool
	}{
		{"once", []string{"a b c"}, "abc", false},
		{"from the beginning", []string{"a b", "a b c d"}, "abcd", false},
		{"cut twice", []string{"a", "a b", "a b c"}, "abc", false},
		{"nothing before", []string{"", "a b"}, "ab", false},
		{"nothing after", []string{"a b", ""}, "ab", false},
		{"equal lines", []string{"a a", "a a a b"}, "aaab", false},
		{"the beginning is gone", []string{"a b c", "b c d"}, "abcd", false},
		{"only the last is there", []string{"a b c", "c d"}, "abcd", false},
		{"more is gone", []string{"a b c", "e f"}, "abcef", true},
		{"another stream", []string{"a b c", "a x c"}, "abcxc", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, got := NewResumed(), ""
			for _, s := range tc.streams {
				r.Again()
				for _, line := range strings.Fields(s) {
					if r.New([]byte(line)) {
						got += line
					}
				}
			}
			if got != tc.want || r.Gap != tc.gap {
				t.Errorf("%s, gap %v; want %s, %v", got, r.Gap, tc.want, tc.gap)
			}
		})
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb"), 1)
	f.Add([]byte("\n\n"), 3)
	f.Fuzz(func(t *testing.T, all []byte, size int) {
		var got [][]byte
		l := &Lines{Each: func(b []byte) error { got = append(got, bytes.Clone(b)); return nil }}
		for part := range slices.Chunk(all, max(1, size%64)) {
			_, _ = l.Write(part)
		}
		rest, _ := l.Flush()
		if back := bytes.Join(append(got, rest), []byte("\n")); !bytes.Equal(back, all) {
			t.Errorf("%q became %q", all, back)
		}
	})
}
