// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: run 'sudo make test'")
	}
}

// Topology: this kernel. Action: ask it for the addresses of its functions. Expectation: what /proc/kallsyms says; a name that it does not have is
// missing, one that is too long an error.
func TestLookUp(t *testing.T) {
	needRoot(t)
	names := []string{"nf_hook_slow", "ip_rcv_core", "tcp_v4_syn_recv_sock", "no_such_function_anywhere"}
	got, err := lookUp(names)
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	for _, name := range names {
		asked[name] = true
	}
	want, err := readAddresses(asked)
	if err != nil {
		t.Fatal(err)
	}
	if len(want) != 3 || len(got) != 3 {
		t.Fatalf("%d and %d addresses", len(got), len(want))
	}
	for name, address := range want {
		if got[name] != address {
			t.Errorf("%s is at %x, and %x was found", name, address, got[name])
		}
	}
	if _, err := lookUp([]string{strings.Repeat("x", symbolName)}); err == nil {
		t.Error("a name that does not fit is looked up")
	}
}

// Topology: this kernel, or one that does not tell addresses. Action: ask what may be a point. Expectation: functions of the kernel are there, as
// its types say; one of a module that is not loaded is needless, one of no name blind.
func TestAskedFunctionsAreThere(t *testing.T) {
	needRoot(t)
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	byType, asked := newTypes(kernel, btf.NewCache()), newTypes(kernel, btf.NewCache())
	asked.ask()
	if len(asked.addresses) == 0 {
		t.Fatal("no addresses")
	}
	const known = "nf_hook_slow"
	again := &types{kernel: kernel, addresses: map[string]uint64{known: 1}}
	again.ask() // a module came
	if again.addresses[known] != 1 || len(again.addresses) != len(asked.addresses) || asked.addresses[known] <= 1 {
		t.Errorf("asked again: %x, first %x", again.addresses, asked.addresses)
	}
	there := 0
	for i := range Functions {
		f := &Functions[i]
		why, needless := asked.whyNot(f)
		if wantWhy, want := byType.whyNot(f); (why == "") != (wantWhy == "") || needless != want {
			t.Errorf("%s: by address %q (needless: %v), by type %q (%v)", f.Name, why, needless, wantWhy, want)
		}
		if why == "" {
			there++
		}
	}
	if there < 10 {
		t.Errorf("%d functions", there)
	}
	for name, f := range map[string]*Function{"renamed": {Name: "no_such_function"}, "in no module": {Name: "no_such_function", Module: "no_such_module"}} {
		why, needless := asked.whyNot(f)
		if why == "" || needless != (f.Module != "") {
			t.Errorf("%s: %q, needless %v", name, why, needless)
		}
	}
	elsewhere := &types{addresses: map[string]uint64{"other": 1}, kernel: kernel}
	if why, needless := elsewhere.whyNot(&Function{Name: "old", Module: "kernel", Else: "other"}); !needless || why != "the function other tells it" {
		t.Errorf("%q", why)
	}
}
