// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/internal/schematest"
	"github.com/nettrace-io/nettrace/pkg/tracer"
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

// retold is a recording of which a function has changed the notes.
func retold(t *testing.T, recording string, change func(name string, v any) any) string {
	t.Helper()
	whole, err := os.ReadFile(recording)
	if err != nil {
		t.Fatal(err)
	}
	in, err := tracer.NewReplay(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	rec := tracer.NewCapture(&out, in)
	dec := tracer.NewDecoder(rec)
	for {
		f, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		var e tracer.Event
		switch {
		case err != nil:
		case f.Note != nil:
			var v any
			if err = json.Unmarshal(f.Note.JSON, &v); err == nil {
				rec.Note(f.Note.Name, change(f.Note.Name, v))
			}
		case f.Tick != nil:
			rec.Tick(f.Tick.Now, f.Tick.Lost)
		default:
			err = dec.Decode(f.Event, &e)
			rec.Event(f.Event)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "retold.nt")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// hostileText is what a terminal obeys.
const hostileText = "\x1b]0;pwned\a\x1b[2J"

// soil makes every text in a note hostile, except under some keys.
func soil(v any, except ...string) any {
	switch x := v.(type) {
	case string:
		return hostileText
	case []any:
		for i := range x {
			x[i] = soil(x[i], except...)
		}
	case map[string]any:
		for k := range x {
			if !strings.Contains(" "+strings.Join(except, " ")+" ", " "+k+" ") {
				x[k] = soil(x[k], except...)
			}
		}
	}
	return v
}

// A recording that somebody sent has no power over the terminal on which it is replayed.
func TestReplayOfAHostileRecording(t *testing.T) {
	const recording = "../../testdata/recordings/no-endpoints.nt"
	file := retold(t, recording, func(name string, v any) any {
		if name != noteHeader && name != noteProbe {
			return v
		}
		return soil(v, "result", "proto", "src", "dst", "time")
	})
	for _, format := range []string{"story", "table", "json", "mermaid", "html"} {
		code, out, errs := call(t, "replay", file, "-o", format)
		if code != exitVerdict || errs != "" || strings.ContainsAny(out, "\x1b\a") || !strings.Contains(out, "pwned") {
			t.Errorf("%s: exit %d, %s: %q", format, code, errs, out)
		}
	}
	for _, result := range []string{hostileText, ""} {
		file := retold(t, recording, func(name string, v any) any {
			if m, ok := v.(map[string]any); ok && name == noteProbe {
				m["result"] = result
			}
			return v
		})
		code, out, errs := call(t, "replay", file)
		if code != exitUsage || strings.ContainsRune(out+errs, 0x1b) || !strings.Contains(errs, "which this nettrace does not know") {
			t.Errorf("exit %d, %q, %q", code, errs, out)
		}
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
