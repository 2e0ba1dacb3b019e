// SPDX-License-Identifier: Apache-2.0

package debugpod

import (
	"errors"
	"strings"
	"sync"
	"testing"
)

// A copier that an aborted attach leaves behind is refused, and what it held is read from the log, once and in order. One that hangs in handing
// its line on stops neither the other stream nor whoever asks how far it came.
func TestCopiersThatAreLeftBehind(t *testing.T) {
	var got []string
	hold, blocked := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r := newReading(Output{
		Out: func(b []byte) error {
			once.Do(func() {
				close(blocked)
				<-hold
			})
			got = append(got, string(b))
			return nil
		},
		Err: func([]byte) error { return nil },
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.attached(r.outLine)([]byte("a")); err != nil {
			t.Error(err)
		}
	})
	<-blocked
	if err := r.attached(r.errLine)([]byte("nettrace: b")); err != nil || r.failure() != nil || r.isWhole() {
		t.Error(err)
	}
	r.detach()
	wg.Go(func() {
		if err := r.attached(r.outLine)([]byte("late")); !errors.Is(err, errDetached) {
			t.Errorf("a late line: %v", err)
		}
	})
	if before := r.again(); before != 2 {
		t.Errorf("%d lines", before)
	}
	wg.Go(func() {
		for _, l := range []string{"a", "nettrace: b", "late", EndMark} {
			if err := r.either([]byte(l)); err != nil {
				t.Error(err)
			}
		}
	})
	close(hold)
	wg.Wait()
	if strings.Join(got, "|") != "a|late" || !r.isWhole() || r.count() != 3 {
		t.Errorf("%q, %d lines", got, r.count())
	}
}

// What one stream's callee says ends that stream, and is told.
func TestCalleesError(t *testing.T) {
	full, others := errors.New("full"), 0
	r := newReading(Output{Out: func([]byte) error { return full }, Err: func([]byte) error { others++; return nil }})
	if err := r.outLine([]byte("a"), true); !errors.Is(err, full) {
		t.Error(err)
	}
	if err := r.errLine([]byte("nettrace: b"), true); err != nil || others != 1 || !errors.Is(r.failure(), full) {
		t.Errorf("%v, %d lines, %v", err, others, r.failure())
	}
}
