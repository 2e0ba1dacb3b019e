// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/internal/schematest"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// The report is one JSON object as the schema has it, with a line for every point; whatever is not attached has a reason.
func TestDoctorJSON(t *testing.T) {
	needRoot(t)
	code, out, errs := call(t, "doctor", "-o", "json")
	if code != exitOK || errs != "" {
		t.Fatalf("exit %d: %s", code, errs)
	}
	kinds := schematest.Lines(t, []byte(out))
	if len(kinds["doctor"]) != 1 {
		t.Fatalf("%d reports", len(kinds["doctor"]))
	}
	points, _ := kinds["doctor"][0]["points"].([]any)
	if want := len(tracer.Points) + len(tracer.Functions); len(points) != want {
		t.Errorf("%d points, want %d", len(points), want)
	}
	for _, p := range points {
		m := p.(map[string]any)
		if m["attached"] != true && m["why"] == nil {
			t.Errorf("%v is blind without a reason", m["name"])
		}
	}
}

// The text names every point and what it tells or why it is blind.
func TestDoctorText(t *testing.T) {
	needRoot(t)
	code, out, errs := call(t, "doctor", "--backend", "tracepoint")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, want := range []string{"kernel ", "BTF ", "lockdown ", "rungs ", "netif_receive_skb", "a device received the packet", "nf_hook_slow", "--backend tracepoint"} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
}

// Mistakes in flags are one sentence.
func TestDoctorBadFlags(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"doctor -o yaml", `unknown output format "yaml"`},
		{"doctor --backend ebpf", "--backend ebpf: use one of auto, fentry"},
		{"doctor please", "unknown command"},
		{"flow 10.0.0.1 10.0.0.2:80 --backend uprobe", "--backend uprobe: use one of auto, fentry"},
	} {
		code, _, errs := call(t, strings.Fields(tc.args)...)
		if code != exitUsage || !strings.Contains(errs, tc.want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: exit %d, %q", tc.args, code, errs)
		}
	}
}

// A rung that the kernel does not have: exit 4, and the sentence names those that it has.
func TestBackendThatIsNotThere(t *testing.T) {
	needRoot(t)
	have := strings.Join(tracer.Check(tracer.BackendTracepoint).Rungs, " ")
	for _, rung := range tracer.Backends() {
		code, _, errs := call(t, "flow", "192.0.2.1", "192.0.2.2:9", "--timeout", "1ms", "--backend", rung)
		switch there := rung == tracer.BackendAuto || strings.Contains(" "+have+" ", " "+rung+" "); {
		case there && code == exitPrivileges:
			t.Errorf("%s is there (%s), but: %s", rung, have, errs)
		case !there && (code != exitPrivileges || !strings.Contains(errs, "it has") || !strings.Contains(errs, "tracepoint") || strings.Count(errs, "\n") != 1):
			t.Errorf("%s: exit %d, %q, want 4 and the rungs %s", rung, code, errs, have)
		}
	}
}
