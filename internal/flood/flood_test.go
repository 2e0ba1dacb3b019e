// SPDX-License-Identifier: Apache-2.0

package flood

import (
	"os"
	"testing"
	"time"
)

// A flood does what it says: the kernel drops nearly all that was sent, and the namespace goes at the end.
func TestSend(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces and tracing")
	}
	s, err := New("flood-test")
	if err != nil {
		t.Fatal(err)
	}
	sent, err := s.Send(t.Context(), 20000, 500*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	full, err := s.Full()
	if err != nil || sent < 1000 || full == 0 || full > sent {
		t.Errorf("%d sent, %d dropped, %v", sent, full, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.Path()); err == nil {
		t.Error("the namespace is still there")
	}
}

func TestMeasure(t *testing.T) {
	if _, err := Measure(-1); err == nil {
		t.Error("no error for a process that there is not")
	}
}
