// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/internal/schematest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// recordings lists the recorded lab cases with the exit code of their verdict.
func recordings(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../testdata/recordings/*.nt")
	if err != nil || len(files) < 8 {
		t.Fatalf("recordings: %v, %v", files, err)
	}
	return files
}

// Every recorded case replays, in every format, to the committed output.
func TestReplayGoldens(t *testing.T) {
	for _, file := range recordings(t) {
		for _, format := range []string{"story", "table", "json", "mermaid"} { // html: TestMergeGoldens, and pkg/render
			t.Run(filepath.Base(file)+" "+format, func(t *testing.T) {
				_, out, errs := call(t, "replay", file, "-o", format)
				if errs != "" {
					t.Errorf("stderr: %s", errs)
				}
				golden := strings.TrimSuffix(file, ".nt") + "." + format
				if *update {
					if err := os.WriteFile(golden, []byte(out), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if out != string(want) {
					t.Errorf("output differs from %s; if that is right, run go test ./cmd/nettrace -update", golden)
				}
				if format == "json" {
					kinds := schematest.Lines(t, []byte(out))
					if len(kinds["start"]) != 1 || len(kinds["verdict"]) != 1 || len(kinds["journey"]) == 0 {
						t.Errorf("records: %d start, %d journey, %d verdict", len(kinds["start"]), len(kinds["journey"]), len(kinds["verdict"]))
					}
				}
			})
		}
	}
}

// A recording that ends early is judged as far as it goes, and says where it ends.
func TestReplayOfATruncatedRecording(t *testing.T) {
	whole, err := os.ReadFile("../../testdata/recordings/no-endpoints.nt")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cut.nt")
	seen := map[string]bool{}
	for _, cut := range []int{len(whole) - 1, len(whole) - 100, len(whole) / 2, 300, 40, 22} {
		if err := os.WriteFile(file, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, errs := call(t, "replay", file, "-o", "json")
		if !strings.Contains(errs, "ends early at byte") {
			t.Errorf("cut at %d: stderr %q does not say where it ends", cut, errs)
		}
		if out == "" {
			seen["nothing to judge"] = code == exitUsage
			continue
		}
		seen["judged"] = true
		kinds := schematest.Lines(t, []byte(out))
		if len(kinds["verdict"]) != 1 {
			t.Errorf("cut at %d: no verdict", cut)
		}
	}
	if !seen["judged"] || !seen["nothing to judge"] {
		t.Errorf("the cuts did not show both ends: %v", seen)
	}
}

// The pipeline takes any bytes without a panic.
func FuzzReplay(f *testing.F) {
	whole, err := os.ReadFile("../../testdata/recordings/no-endpoints.nt")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/3])
	f.Add([]byte("nettrace recording 1\nN\x10\x00\x00\x00\x06header{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file := filepath.Join(t.TempDir(), "x.nt")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		call(t, "replay", file, "-o", "story")
	})
}
