// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

func TestSymbols(t *testing.T) {
	addrs, names := parseKallsyms(strings.NewReader("ffff0300 T tcp_v4_rcv\nffff0100 t ip_rcv\nffff0200 D some_data\nffff0150 T ip_forward\t[mod]\n0000 T hidden\nbroken line\nzz T bad\n"))
	if want := []uint64{0xffff0100, 0xffff0150, 0xffff0300}; !slices.Equal(addrs, want) {
		t.Fatalf("addresses %x, want %x", addrs, want)
	}
	k := &kernelNames{addrs: addrs, names: names, known: map[uint64]string{}, proc: t.TempDir()}
	for addr, want := range map[uint64]string{0xffff00ff: "", 0xffff0100: "ip_rcv", 0xffff014f: "ip_rcv", 0xffff0150: "ip_forward", 0xffff9999: "tcp_v4_rcv"} {
		if got := k.Symbol(addr); got != want {
			t.Errorf("Symbol(%x) = %q, want %q", addr, got, want)
		}
	}
	if _, names := parseKallsyms(strings.NewReader("0000 T a\n0000 T b\n")); len(names) != 0 {
		t.Errorf("hidden addresses name %v", names)
	}
}

// Where the kernel hides its addresses, asking for one reads nothing again: every packet that ends asks.
func TestSymbolsThatAreHidden(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "kallsyms"), []byte("0000 T ip_rcv\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k := &kernelNames{known: map[uint64]string{}, proc: dir}
	for range 2 {
		if got := k.Symbol(0xffff0100); got != "" {
			t.Errorf("a hidden address is %q", got)
		}
		if err := os.WriteFile(filepath.Join(dir, "kallsyms"), []byte("ffff0100 T ip_rcv\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "modules"), []byte("veth 20480 0 - Live 0xffff0000\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A module is loaded while a trace runs: the first address in it is not taken for the module's before it. A use count that changes is no reason to read
// the symbols again, and addresses that were asked for are remembered only until then.
func TestSymbolsOfNewModules(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k := &kernelNames{known: map[uint64]string{}, proc: dir}
	says := func(addr uint64, want string) {
		t.Helper()
		if got := k.Symbol(addr); got != want {
			t.Errorf("Symbol(%x) = %q, want %q", addr, got, want)
		}
	}
	write("modules", "veth 20480 0 - Live 0xffff0000\n")
	write("kallsyms", "ffff0100 t veth_xmit\t[veth]\n")
	says(0xffff0100, "veth_xmit")
	says(0xffff2000, "veth_xmit")
	write("kallsyms", "ffff0100 t veth_xmit\t[veth]\nffff2000 t vxlan_xmit\t[vxlan]\n")
	write("modules", "veth 20480 7 - Live 0xffff0000\n")
	says(0xffff2010, "veth_xmit")
	write("modules", "vxlan 20480 0 - Live 0xffff2000\nveth 20480 7 - Live 0xffff0000\n")
	says(0xffff2020, "vxlan_xmit")
	says(0xffff2000, "vxlan_xmit")
	for addr := range uint64(2 * maxKnownSymbols) {
		k.Symbol(0xffff3000 + addr)
	}
	if len(k.known) != maxKnownSymbols {
		t.Errorf("%d addresses are remembered", len(k.known))
	}
}

func TestReasonsComeFromBTF(t *testing.T) {
	b, err := btf.NewBuilder([]btf.Type{
		&btf.Enum{Name: "skb_drop_reason", Size: 4, Values: []btf.EnumValue{{Name: "SKB_NOT_DROPPED_YET", Value: 0}, {Name: "SKB_DROP_REASON_NO_SOCKET", Value: 3}}},
		&btf.Enum{Name: "skb_drop_reason_subsys", Size: 4, Values: []btf.EnumValue{{Name: "SKB_DROP_REASON_SUBSYS_CORE", Value: 0}, {Name: "SKB_DROP_REASON_SUBSYS_QDISC", Value: 3}}},
		&btf.Enum{Name: "qdisc_drop_reason", Size: 4, Values: []btf.EnumValue{{Name: "QDISC_DROP_OVERLIMIT", Value: 3<<16 | 1}}},
		&btf.Enum{Name: "sk_rst_reason", Size: 4, Values: []btf.EnumValue{{Name: "SK_RST_REASON_NO_SOCKET", Value: 9}}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := b.Spec()
	if err != nil {
		t.Fatal(err)
	}
	k := newKernelNames(spec)
	for r, want := range map[uint32]string{3: "NO_SOCKET", 0: "SKB_NOT_DROPPED_YET", 3<<16 | 1: "OVERLIMIT", 3<<16 | 9: "3:9", 500: "0:500"} {
		if got := k.DropReason(r); got != want {
			t.Errorf("DropReason(%#x) = %q, want %q", r, got, want)
		}
	}
	if got := k.ResetReason(9); got != "NO_SOCKET" {
		t.Errorf("ResetReason(9) = %q", got)
	}
	if got := reasonName(nil, 0); got != "" {
		t.Errorf("a kernel without reasons names 0 %q", got)
	}
}

func TestMissingPrivilegesAreNamed(t *testing.T) {
	for have, want := range map[uint64]string{
		1 << unix.CAP_SYS_ADMIN:                      "",
		1<<unix.CAP_BPF | 1<<unix.CAP_PERFMON:        "",
		1 << unix.CAP_BPF:                            "missing CAP_PERFMON:",
		1 << unix.CAP_NET_ADMIN:                      "missing CAP_BPF and CAP_PERFMON:",
		1<<unix.CAP_PERFMON | 1<<unix.CAP_SYS_PTRACE: "missing CAP_BPF:",
	} {
		err := missingPrivileges(have)
		var pe *PrivilegeError
		if (want == "") != (err == nil) || (err != nil && (!errors.As(err, &pe) || !strings.HasPrefix(err.Error(), want))) {
			t.Errorf("with %#x: %v, want %q", have, err, want)
		}
	}
}

func TestLockdownModes(t *testing.T) {
	for in, want := range map[string]string{
		"none [integrity] confidentiality\n": "integrity", "[none] integrity confidentiality\n": "none", "none integrity [confidentiality]\n": "confidentiality",
		"": "none", "[": "none", "[\x1b]": "none",
	} {
		if got := parseLockdown(in); got != want {
			t.Errorf("parseLockdown(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLoadErrorsSayWhatToDo(t *testing.T) {
	var fe *FeatureError
	if err := explainLoad(unix.EPERM); !errors.As(err, &fe) || !strings.Contains(err.Error(), ": ") {
		t.Errorf("EPERM: %v", err)
	}
	if err := explainLoad(unix.E2BIG); errors.As(err, &fe) || !errors.Is(err, unix.E2BIG) {
		t.Errorf("E2BIG: %v", err)
	}
}

func TestFilter(t *testing.T) {
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
	for _, tc := range []struct {
		name string
		f    Filter
		want string
	}{
		{"whole", Filter{Src: []netip.Addr{a}, Dst: []netip.Addr{a}}, ""},
		{"any source", Filter{AnySrc: true, Dst: []netip.Addr{b}}, ""},
		{"no destination", Filter{AnySrc: true}, "no destination"},
		{"no source", Filter{Dst: []netip.Addr{a}}, "no source"},
		{"too many", Filter{Dst: make([]netip.Addr, maxEnds+1), AnySrc: true}, "more than"},
	} {
		if err := tc.f.check(); (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
	f := Filter{Src: []netip.Addr{a}, Dst: []netip.Addr{a, b}, Dport: 80, Sport: 65535}
	if r := f.roles(); r[wireAddress(a)] != roleSrc|roleDst || r[wireAddress(b)] != roleDst {
		t.Errorf("roles %v", r)
	}
	bits := f.portBits()
	for p, want := range map[int]bool{80: true, 65535: true, 81: false, 0: false} {
		if got := bits[p>>6]>>(p&63)&1 == 1; got != want {
			t.Errorf("port %d is %v in the bitmap", p, got)
		}
	}
	if any := (&Filter{}).portBits(); any[0] != ^uint64(0) || any[bitmapWords-1] != ^uint64(0) {
		t.Error("without ports every port must pass")
	}
}

func TestProgramsAreDealtOutEvenlyWithFunctionsTogether(t *testing.T) {
	programs := map[string]*ebpf.ProgramSpec{}
	for name, n := range map[string]int{"a": 100, "b": 90, "c": 50, "kprobe_all": 120, "kprobe_local_out": 10, "d": 5} {
		programs[name] = &ebpf.ProgramSpec{Instructions: make(asm.Instructions, n)}
	}
	one, two := deal(programs, true)
	size := func(group map[string]*ebpf.ProgramSpec) (n int) {
		for _, p := range group {
			n += len(p.Instructions)
		}
		return n
	}
	if len(one)+len(two) != len(programs) || two["kprobe_all"] == nil || two["kprobe_local_out"] == nil {
		t.Errorf("%d and %d programs", len(one), len(two))
	}
	if a, b := size(one), size(two); a < 150 || b < 150 {
		t.Errorf("the groups have %d and %d instructions", a, b)
	}
}

func TestEveryPointHasARow(t *testing.T) {
	spec, err := loadBpf()
	if err != nil {
		t.Fatal(err)
	}
	for p := bpfPointPOINT_NONE + 1; p < bpfPointPOINT_TRACEPOINTS; p++ {
		if FuncOf(p) == "" {
			t.Errorf("point %d has no row in Points", p)
		}
	}
	for _, p := range Points {
		prog := spec.Programs[p.Program]
		if prog == nil || prog.AttachTo != p.Name || p.Meaning == "" || p.Blind == "" {
			t.Errorf("%s: program %q attaches to %v", p.Name, p.Program, prog)
		}
	}
	functions := 0
	for name := range spec.Programs {
		if strings.HasPrefix(name, "kprobe_") || strings.HasPrefix(name, "fentry_") {
			functions++
		}
	}
	if len(spec.Programs)-functions != len(Points) {
		t.Errorf("%d programs, %d rows", len(spec.Programs), len(Points))
	}
}
