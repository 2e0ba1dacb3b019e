// SPDX-License-Identifier: Apache-2.0

package gobuild

import (
	"strings"
	"testing"
	"time"
)

func TestEpoch(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	if at, err := Epoch(t.Context()); err != nil || !at.Equal(time.Unix(1700000000, 0)) || at.Location() != time.UTC {
		t.Errorf("%v, %v", at, err)
	}
	for _, bad := range []string{"yesterday", "-1", "1.5"} {
		t.Setenv("SOURCE_DATE_EPOCH", bad)
		if _, err := Epoch(t.Context()); err == nil || !strings.Contains(err.Error(), "give seconds since 1970") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	t.Setenv("SOURCE_DATE_EPOCH", "")
	if Commit(t.Context()) != "" {
		if at, err := Epoch(t.Context()); err != nil || at.Before(time.Unix(1600000000, 0)) {
			t.Errorf("of the last commit: %v, %v", at, err)
		}
		return
	}
	if _, err := Epoch(t.Context()); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
		t.Errorf("without git: %v", err)
	}
}

// What a program says before it fails is in the error.
func TestOutput(t *testing.T) {
	if got, err := Output(t.Context(), []string{"GREETING=hello"}, "sh", "-c", "echo $GREETING"); err != nil || got != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := Output(t.Context(), nil, "sh", "-c", "echo why >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "why") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("%v", err)
	}
}
