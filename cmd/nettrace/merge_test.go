// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/internal/schematest"
)

// mergedRuns are what nettrace wrote on the lab's two nodes, whose clocks were 500 ms apart, with the exit code of the merged verdict.
var mergedRuns = map[string]int{"healthy-service": exitOK, "tunnel-lost-in-fabric": exitVerdict}

// The recorded runs of two nodes merge to the committed story, in every format, in either order of the files.
func TestMergeGoldens(t *testing.T) {
	for name, want := range mergedRuns {
		base := "../../testdata/merged/" + name
		one, two := base+".node1.jsonl", base+".node2.jsonl"
		for _, format := range []string{"story", "table", "json", "mermaid", "html"} {
			code, out, errs := call(t, "merge", one, two, "-o", format)
			if code != want || errs != "" {
				t.Errorf("%s: exit code %d, stderr %q", name, code, errs)
			}
			if _, other, _ := call(t, "merge", two, one, "-o", format); other != out {
				t.Errorf("%s: %s differs with the order of the files", name, format)
			}
			golden := base + "." + format
			if *update {
				if err := os.WriteFile(golden, []byte(out), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			committed, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if out != string(committed) {
				t.Errorf("output differs from %s; if that is right, run go test ./cmd/nettrace -update", golden)
			}
			if format == "json" {
				schematest.Lines(t, []byte(out))
			}
		}
	}
}

// One of the files can be the standard input.
func TestMergeReadsStdin(t *testing.T) {
	base := "../../testdata/merged/healthy-service"
	two, err := os.ReadFile(base + ".node2.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"merge", base + ".node1.jsonl", "-"}, streams{bytes.NewReader(two), &out, &errs}); code != exitOK {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	want, err := os.ReadFile(base + ".story")
	if err != nil || out.String() != string(want) {
		t.Errorf("%v; the story from stdin differs from the one from a file", err)
	}
}

// Mistakes get one sentence and exit code 1.
func TestMergeBadInput(t *testing.T) {
	one := "../../testdata/merged/healthy-service.node1.jsonl"
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{one}, "one file is one node's story: name the files of two or more nodes"},
		{[]string{one, "/nonexistent.jsonl"}, "no such file"},
		{[]string{one, one}, "are both of node1: give one file for each node"},
		{[]string{"-", "-"}, "the standard input can be read once"},
		{[]string{one, "../../testdata/recordings/no-endpoints.nt"}, "no-endpoints.nt has no start record: write it with 'nettrace flow … -o json' on one of the nodes"},
		{[]string{one, one, "-o", "xml"}, "unknown output format"},
	} {
		code, out, errs := call(t, append([]string{"merge"}, tc.args...)...)
		if code != exitUsage || out != "" || !strings.Contains(errs, tc.want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: exit code %d, stdout %q, stderr %q, want %q", tc.args, code, out, errs, tc.want)
		}
	}
}

// The README shows what merging the recorded runs prints.
func TestREADMEShowsTheMergedStory(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	story, err := os.ReadFile("../../testdata/merged/tunnel-lost-in-fabric.story")
	if err != nil {
		t.Fatal(err)
	}
	want := "$ nettrace merge node1.jsonl node2.jsonl\n" + string(story) + "```\n<!-- /merged -->\n"
	if !strings.Contains(string(readme), want) {
		t.Error("README.md: the block of merged:tunnel-lost-in-fabric is not testdata/merged/tunnel-lost-in-fabric.story: copy it")
	}
}
