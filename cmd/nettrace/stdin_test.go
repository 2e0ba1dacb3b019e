// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// through runs nettrace with something on stdin.
func through(t *testing.T, in io.Reader, args ...string) (int, string, string) {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(context.Background(), args, streams{in, &out, &errs})
	return code, out.String(), errs.String()
}

func TestClusterFromStdin(t *testing.T) {
	objects, err := os.Open(shopFile(t))
	if err != nil {
		t.Fatal(err)
	}
	defer objects.Close()
	code, _, errs := through(t, objects, "flow", "shop/clinet", "10.0.0.2:80", "--cluster", "-")
	if code != 1 || errs != "nettrace: no pod or Service shop/clinet; did you mean shop/client?\n" {
		t.Errorf("exit %d: %s", code, errs)
	}
	code, _, errs = through(t, strings.NewReader("kind: Pod\nmetadata: {name: 7}\n"), "flow", "shop/client", "10.0.0.2:80", "--cluster", "-")
	if code != 1 || !strings.HasPrefix(errs, "nettrace: the objects on stdin: document 1, line 1: Pod: ") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// The first line is the input; what a command does ends when stdin does.
func TestUntilStdinCloses(t *testing.T) {
	line := `{"kind":"Pod","metadata":{"namespace":"shop","name":"client"}}` + "\n"
	code, _, errs := through(t, strings.NewReader(line+"more\n"), "flow", "shop/clinet", "10.0.0.2:80", "--cluster", "-", "--until-stdin-closes")
	if code != 1 || errs != "nettrace: no pod or Service shop/clinet; did you mean shop/client?\nnettrace: end of output\n" {
		t.Errorf("exit %d: %s", code, errs)
	}
	for in, want := range map[string]string{"": "stdin closed before a whole line came", strings.TrimSpace(line): "stdin closed before a whole line came"} {
		code, out, errs := through(t, strings.NewReader(in), "flow", "shop/client", "10.0.0.2:80", "--cluster", "-", "--until-stdin-closes")
		if code != 1 || out != "" || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 2 {
			t.Errorf("%q: exit %d: %s", in, code, errs)
		}
	}
}

func TestFirstLineIsNotWaitedForLong(t *testing.T) {
	r, w := io.Pipe()
	defer func() { _ = w.Close() }()
	if _, _, err := lineWithin(r, time.Millisecond); err == nil || !strings.Contains(err.Error(), "nothing came on stdin within 1ms") {
		t.Error(err)
	}
}

// A run that waits for packets ends in order when stdin closes, long before its time is up.
func TestFlowEndsWithStdin(t *testing.T) {
	needRoot(t)
	r, w := io.Pipe()
	var errs bytes.Buffer
	out := &closesAt{mark: `"kind":"start"`, w: w}
	go func() { _, _ = io.WriteString(w, "\n") }()
	code := run(context.Background(), []string{"flow", "host", "192.0.2.7:9", "--no-kubernetes", "--timeout", "5m", "-o", "json", "--until-stdin-closes"}, streams{r, out, &errs})
	if code != exitInterrupted || !strings.Contains(out.all.String(), `"outcome":"unseen"`) {
		t.Errorf("exit %d: %s\n%s", code, errs.String(), out.all.String())
	}
}

// closesAt closes a pipe when a mark was written.
type closesAt struct {
	all  bytes.Buffer
	mark string
	w    *io.PipeWriter
}

func (c *closesAt) Write(p []byte) (int, error) {
	c.all.Write(p)
	if c.mark != "" && strings.Contains(c.all.String(), c.mark) {
		c.mark = ""
		_ = c.w.Close()
	}
	return len(p), nil
}
