// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// What a run comes to: the verdict's exit code; with an error beside a good verdict (a recording that is not whole, a table that is left) not 0.
func TestConclude(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	full := errors.New("write the recording: no space left on device")
	good, bad, unseen := &verdict.Verdict{Outcome: verdict.Delivered}, &verdict.Verdict{Outcome: verdict.Dropped}, &verdict.Verdict{Outcome: verdict.Unseen}
	for _, tc := range []struct {
		name string
		ctx  context.Context
		v    *verdict.Verdict
		err  error
		code int
		says string
	}{
		{"delivered", t.Context(), good, nil, exitOK, ""},
		{"delivered, and an error", t.Context(), good, full, exitUsage, "no space left"},
		{"dropped", t.Context(), bad, nil, exitVerdict, ""},
		{"dropped, and an error", t.Context(), bad, full, exitVerdict, "no space left"},
		{"interrupted before anything was seen", ended, unseen, nil, exitInterrupted, ""},
		{"interrupted with a verdict", ended, bad, nil, exitVerdict, ""},
		{"no verdict", t.Context(), nil, full, exitUsage, "no space left"},
	} {
		err := conclude(tc.ctx, tc.v, tc.err)
		code := exitOK
		var ee *exitError
		switch {
		case errors.As(err, &ee):
			code = ee.code
		case err != nil:
			code = exitUsage
		}
		if code != tc.code || tc.says != "" && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: exit %d, %v", tc.name, code, err)
		}
	}
}

// A disk that is full while a recording is written is told, and the story all the same.
func TestRecordingThatCannotBeWritten(t *testing.T) {
	needRoot(t)
	code, out, errs := call(t, "lab", "run", "healthy-same-node", "--record", "/dev/full")
	if code != exitUsage || !strings.Contains(errs, "no space left on device") || !strings.Contains(out, "DELIVERED") {
		t.Errorf("exit %d, %q\n%s", code, errs, out)
	}
}
