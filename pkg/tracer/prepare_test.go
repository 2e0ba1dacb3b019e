// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"strings"
	"testing"
)

// Topology: this kernel. Action: prepare for one backend and take it for the same and for another one. Expectation: the same one's is what was
// prepared, and another backend gets its own; an unknown backend is refused with the known ones.
func TestPreparation(t *testing.T) {
	needRoot(t)
	p := Prepare(BackendTracepoint)
	m, err := p.take(BackendTracepoint)
	if err != nil {
		t.Fatal(err)
	}
	if m != p.m || m.spec == nil || m.kernel == nil || len(m.bodies) == 0 || m.rungs.want != BackendTracepoint {
		t.Errorf("prepared %+v, took %+v", p.m, m)
	}
	if m.halves[0].kernel == m.halves[1].kernel {
		t.Error("both halves of a start read modules' types over the same copy of the kernel's")
	}
	other, err := p.take(BackendAuto)
	if err != nil {
		t.Fatal(err)
	}
	if other == m || other.rungs.want != BackendAuto {
		t.Errorf("another backend's start took what was prepared for %q", other.rungs.want)
	}
	if _, err := Prepare("magic").take("magic"); err == nil || !strings.Contains(err.Error(), BackendTracepoint) {
		t.Errorf("an unknown backend: %v", err)
	}
	var none *Preparation
	if m, err := none.take(BackendTracepoint); err != nil || m.spec == nil {
		t.Errorf("nothing was prepared: %v", err)
	}
}
