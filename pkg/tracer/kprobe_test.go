// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"strings"
	"testing"
)

// Topology: any kernel. Action: arm kprobes at an address at which no function is. Expectation: none is set and the reason is
// told; functions without an address, on another rung or with cookies are left alone.
func TestArm(t *testing.T) {
	const nowhere = 1
	wrong := &planned{function: &Function{Name: "wrong"}, backend: BackendKprobe, address: nowhere}
	hidden := &planned{function: &Function{Name: "hidden"}, backend: BackendKprobe}
	multi := &planned{function: &Function{Name: "multi"}, backend: BackendKprobeMulti, address: nowhere}
	named := &planned{function: &Function{Name: "named"}, backend: BackendKprobe, cookies: true, address: nowhere}
	arm([]*planned{wrong, hidden, multi, named})
	for _, f := range []*planned{wrong, hidden, multi, named} {
		if f.armed != nil {
			t.Errorf("%s is armed", f.function.Name)
		}
	}
	if hidden.refused != nil || multi.refused != nil || named.refused != nil {
		t.Errorf("asked for kprobes that nobody planned: %v, %v, %v", hidden.refused, multi.refused, named.refused)
	}
	if _, err := wrong.attach(); err == nil || err != wrong.refused {
		t.Errorf("attached with the error %v, refused was %v", err, wrong.refused)
	}
	if _, err := hidden.attach(); err == nil || !strings.Contains(err.Error(), "address") {
		t.Errorf("without address and cookies: %v", err)
	}
	wrong.disarm() // has nothing to close
}

// Topology: a table of symbols. Action: look for names in it. Expectation: each has its address; a name of two symbols, a broken line and a name that
// is not asked for are left out.
func TestAddressesFrom(t *testing.T) {
	const table = "ffff0100 T one\nffff0200 t twice\nffff0300 t twice\nffff0400 t in_module\t[m]\nbroken\nzz T bad\nffff0500 T other\n"
	got, err := addressesFrom(strings.NewReader(table), map[string]bool{"one": true, "twice": true, "in_module": true, "bad": true, "missing": true})
	if err != nil || len(got) != 2 || got["one"] != 0xffff0100 || got["in_module"] != 0xffff0400 {
		t.Errorf("%x, %v", got, err)
	}
	if _, err := addressesFrom(strings.NewReader("0 T "+strings.Repeat("x", 1<<17)), nil); err == nil {
		t.Error("a line without end is no error")
	}
}

// Topology: this kernel, of which some addresses are known already. Action: find those of a start. Expectation: the known one is taken as it is, the
// other one is read, and functions that need none get none.
func TestFindAddresses(t *testing.T) {
	needRoot(t)
	known := &planned{function: &Function{Name: "nf_hook_slow"}, backend: BackendKprobe}
	late := &planned{function: &Function{Name: "ip_rcv_core"}, backend: BackendKprobe}
	named := &planned{function: &Function{Name: "ip_rcv_core"}, backend: BackendKprobe, cookies: true}
	if err := findAddresses([]*planned{known, late, named}, func() map[string]uint64 { return map[string]uint64{"nf_hook_slow": 7} }); err != nil {
		t.Fatal(err)
	}
	if known.address != 7 || late.address <= 7 || named.address != 0 {
		t.Errorf("%x, %x, %x", known.address, late.address, named.address)
	}
}
