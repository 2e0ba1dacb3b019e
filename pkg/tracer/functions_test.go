// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Every function has a number of its own in the range of functions, a role, a meaning, and a program on both rungs.
func TestEveryFunctionIsWhole(t *testing.T) {
	spec, err := loadBpf()
	if err != nil {
		t.Fatal(err)
	}
	bodies, err := readBodies(spec.Types)
	if err != nil {
		t.Fatal(err)
	}
	seen, names := map[Point]bool{}, map[string]bool{}
	for _, f := range Functions {
		if f.Point < firstFunction || f.Point >= bpfPointPOINT_MAX || seen[f.Point] || names[f.Name] {
			t.Errorf("%s: number %d is out of range or taken, or the name is", f.Name, f.Point)
		}
		seen[f.Point], names[f.Name] = true, true
		if f.Role == RoleNone || f.Meaning == "" || FuncOf(f.Point) != f.Name || RoleOf(f.Point) != f.Role || Meanings()[f.Name] != f.Meaning {
			t.Errorf("%s: role %d, meaning %q", f.Name, f.Role, f.Meaning)
		}
		if _, ok := bodies[f.Program]; !ok && f.Program != outputBody || spec.Programs["kprobe_"+f.Program] == nil {
			t.Errorf("%s: there is no program kprobe_%s", f.Name, f.Program)
		}
		fentry := "fentry_" + f.Program
		if f.Program == "skb" {
			fentry += fmt.Sprint(f.Skb)
		}
		if !f.NoFentry && spec.Programs[fentry] == nil {
			t.Errorf("%s: there is no program %s", f.Name, fentry)
		}
		if f.Instead != "" && !slices.ContainsFunc(Points, func(p PointInfo) bool { return p.Name == f.Instead }) {
			t.Errorf("%s stands in for %s, which is no point", f.Name, f.Instead)
		}
	}
	if RoleOf(PointRX) != RoleNone || FuncOf(999) != "" {
		t.Error("what is no function has a role or a name")
	}
}

// A recording's numbers never change: what they meant stays.
func TestFunctionNumbersAreForEver(t *testing.T) {
	for name, want := range map[string]Point{"__ip_local_out": 64, "nf_hook_slow": 66, "ipt_do_table": 67, "nft_do_chain": 69, "nf_conntrack_in": 70, "nf_nat_manip_pkt": 74,
		"ip_vs_nat_xmit": 85, "fib_validate_source": 90, "br_forward": 98, "vxlan_xmit": 101, "tcp_conn_request": 114, "skb_release_head_state": 117} {
		if FuncOf(want) != name {
			t.Errorf("number %d is %s, was %s", want, FuncOf(want), name)
		}
	}
}

// The cookie that a program gets holds number, argument and body, as bpf/function.h takes them apart.
func TestCookies(t *testing.T) {
	for i := range Functions {
		f := &planned{function: &Functions[i], body: uint8(i % 32)}
		c := f.cookie()
		if Point(c&0xffff) != f.function.Point || uint8(c>>16&7) != f.function.Skb || uint8(c>>24&31) != f.body || c == 0 {
			t.Errorf("%s: cookie %#x", f.function.Name, c)
		}
	}
}

// Each fentry program has one place for its cookie.
func TestFentryProgramsTakeOneCookie(t *testing.T) {
	spec, err := loadBpf()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for name, p := range spec.Programs {
		if !strings.HasPrefix(name, "fentry_") {
			continue
		}
		n++
		count := func(value int64) (k int) {
			for _, ins := range p.Instructions {
				if ins.OpCode.IsDWordLoad() && ins.Constant == value {
					k++
				}
			}
			return k
		}
		if count(fentryCookie) != 1 {
			t.Errorf("%s: %d places", name, count(fentryCookie))
		}
		setCookie(p.Instructions, 0x5a005a)
		if count(fentryCookie) != 0 || count(0x5a005a) != 1 {
			t.Errorf("%s: the cookie is not put in", name)
		}
	}
	if n == 0 {
		t.Error("no fentry programs")
	}
}

func TestLadder(t *testing.T) {
	all := rungs{kprobe: true, multi: true, fentry: true}
	for _, tc := range []struct {
		r    rungs
		want string
		out  string
		err  string
	}{
		{all, "", "kprobe-multi kprobe fentry", ""},
		{all, "auto", "kprobe-multi kprobe fentry", ""},
		{rungs{kprobe: true}, "auto", "kprobe", ""},
		{rungs{fentry: true}, "auto", "fentry", ""},
		{rungs{}, "auto", "", ""},
		{all, "tracepoint", "", ""},
		{all, "fentry", "fentry", ""},
		{all, "kprobe", "kprobe", ""},
		{rungs{fentry: true}, "kprobe", "", "this kernel does not have kprobe probes: it has fentry, tracepoint: use one of these or --backend auto"},
		{rungs{}, "kprobe-multi", "", "this kernel does not have kprobe-multi probes: it has tracepoint: use one of these or --backend auto"},
		{all, "uprobe", "", `unknown backend "uprobe"`},
	} {
		err := tc.r.force(tc.want)
		if tc.err != "" {
			var missing *FeatureError
			if err == nil || !strings.Contains(err.Error(), tc.err) || (tc.want != "uprobe" && !errors.As(err, &missing)) {
				t.Errorf("%+v %q: %v", tc.r, tc.want, err)
			}
			continue
		}
		if got := strings.Join(tc.r.ladder(), " "); err != nil || got != tc.out {
			t.Errorf("%+v %q: %q, %v", tc.r, tc.want, got, err)
		}
	}
}

// A function's place in the collection: one kprobe program for all, loaded for kprobe.multi when that is the rung; a copy each for fentry.
func TestProgramsOfAFunction(t *testing.T) {
	embedded := map[string]*ebpf.ProgramSpec{
		allBodies: {Type: ebpf.Kprobe}, "kprobe_hook": {Type: ebpf.Kprobe}, "kprobe_skb": {Type: ebpf.Kprobe},
		"fentry_skb1": {Type: ebpf.Tracing, AttachType: ebpf.AttachTraceFEntry, Instructions: asm.Instructions{asm.LoadImm(asm.R1, fentryCookie, asm.DWord), asm.Return()}},
	}
	flood := functionsByPoint[99]
	for _, tc := range []struct {
		backend, program string
		attach           ebpf.AttachType
	}{{BackendKprobeMulti, allBodies, ebpf.AttachTraceKprobeMulti}, {BackendKprobe, allBodies, ebpf.AttachNone}, {BackendFentry, "fentry_skb1@br_flood", ebpf.AttachTraceFEntry}} {
		into := map[string]*ebpf.ProgramSpec{}
		p := &planned{function: flood, backend: tc.backend}
		p.use(embedded, into)
		one := into[tc.program]
		if p.program != tc.program || one == nil || one.AttachType != tc.attach {
			t.Fatalf("%s: %s, %+v", tc.backend, p.program, one)
		}
		if tc.backend == BackendFentry && (one.AttachTo != "br_flood" || one.Instructions[0].Constant != int64(p.cookie())) {
			t.Errorf("fentry: attaches to %s with cookie %#x", one.AttachTo, one.Instructions[0].Constant)
		}
	}
	if embedded["fentry_skb1"].Instructions[0].Constant != fentryCookie || embedded[allBodies].AttachType != ebpf.AttachNone {
		t.Error("the embedded programs were changed")
	}
	hook := &planned{function: functionsByPoint[66], backend: BackendKprobe, program: allBodies}
	if out := separate(embedded, []*planned{hook}); hook.program != "kprobe_hook" || out["kprobe_hook"] == nil {
		t.Errorf("separate programs: %s, %v", hook.program, out)
	}
}

// What a function tells besides the packet is decoded; a record of a kernel side that told less is read as far as it goes.
func TestDecodeDetails(t *testing.T) {
	w := bpfDetailEvent{Hook: 2, Pf: 10, InIfindex: 3, OutIfindex: 4, Value: -5, Limit: 6}
	w.E.Point, w.E.Dir, w.E.Id = 66, uint8(DirRequest), 1
	copy(w.Name[:], "filter")
	copy(w.Chain[:], "forward")
	copy(w.InDev[:], "cni0")
	copy(w.OutDev[:], "eth0")
	w.From.Family, w.To.Family, w.To.Dport = 4, 4, 8080
	w.To.Daddr[0] = 10
	bytes := func(n int) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(&w)), detailSize)[:n] }
	d := NewDecoder(&Replay{})
	var e Event
	if err := d.Decode(bytes(detailSize), &e); err != nil {
		t.Fatal(err)
	}
	if e.Hook != 2 || e.PF != 10 || e.InDev != "cni0" || e.OutDev != "eth0" || e.InIndex != 3 || e.OutIndex != 4 || e.Value != -5 || e.Limit != 6 || e.Table != "filter" || e.Chain != "forward" || e.Words != "" {
		t.Errorf("%+v", e)
	}
	if e.Backend.Dport != 8080 || e.Backend.Dst.String() != "10.0.0.0" || !e.Virtual.Valid() {
		t.Errorf("IPVS: %v %v", e.Virtual, e.Backend)
	}
	w.E.Point = 71 // nf_ct_l4proto_log_invalid
	if err := d.Decode(bytes(detailSize), &e); err != nil || e.Words != "forward" || e.Chain != "" {
		t.Errorf("%v, words %q, chain %q", err, e.Words, e.Chain)
	}
	if err := d.Decode(bytes(eventSize), &e); err != nil || e.Words != "" {
		t.Errorf("without details: %v, %q", err, e.Words)
	}
	if err := d.Decode(bytes(eventSize-1), &e); err == nil {
		t.Error("a record that is too short was decoded")
	}
	for _, point := range []uint32{0, 40, 200, 1 << 31} {
		w.E.Point = point
		if err := d.Decode(bytes(detailSize), &e); err == nil || !strings.Contains(err.Error(), "unknown point") {
			t.Errorf("point %d: %v", point, err)
		}
	}
}

// What the user is told to do follows from what is missing.
func TestAdvice(t *testing.T) {
	good := Preflight{BTF: true, TraceFS: true, DropReasons: true, Lockdown: "none", Rungs: []string{BackendKprobe, BackendTracepoint},
		Points: []PointStatus{{Name: "a", Attached: true}, {Name: "b", Why: "no module", Needless: true}, {Name: "c", Why: "gone"}}}
	if got := good.Advice(); len(got) != 0 {
		t.Errorf("nothing is missing, advice %q", got)
	}
	if got := good.Blind(); len(got) != 1 || got[0] != "c: gone" {
		t.Errorf("blind: %q", got)
	}
	for _, tc := range []struct {
		change func(*Preflight)
		want   string
	}{
		{func(p *Preflight) { p.Missing = []string{"CAP_BPF", "CAP_PERFMON"} }, "give the pod CAP_BPF and CAP_PERFMON"},
		{func(p *Preflight) { p.BTF = false }, "CONFIG_DEBUG_INFO_BTF"},
		{func(p *Preflight) { p.Lockdown = "confidentiality" }, "lockdown=integrity"},
		{func(p *Preflight) { p.Rungs = []string{BackendTracepoint} }, "neither kprobes nor fentry"},
		{func(p *Preflight) { p.DropReasons = false }, "'inferred:'"},
		{func(p *Preflight) { p.Missing = []string{"CAP_NET_RAW"} }, "without CAP_NET_RAW the rules of iptables-legacy cannot be read"},
		{func(p *Preflight) { p.Hidden = "sysctl -w kernel.kptr_restrict=1" }, "kptr_restrict=1"},
	} {
		p := good
		tc.change(&p)
		if got := p.Advice(); len(got) != 1 || !strings.Contains(got[0], tc.want) {
			t.Errorf("want %q, got %q", tc.want, got)
		}
	}
}

// Functions that no packet of the flow can reach are left out: by family, the tunnel's included.
func TestFamilies(t *testing.T) {
	four, six := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
	for _, tc := range []struct {
		f         Filter
		four, six bool
	}{
		{Filter{AnySrc: true, Dst: []netip.Addr{four}}, true, false},
		{Filter{AnySrc: true, Dst: []netip.Addr{six}}, false, true},
		{Filter{AnySrc: true, Dst: []netip.Addr{netip.MustParseAddr("::ffff:10.0.0.1")}}, true, false},
		{Filter{Src: []netip.Addr{four}, Dst: []netip.Addr{four, six}}, true, true},
		{Filter{AnySrc: true, Dst: []netip.Addr{six}, Outer: []uint8{4}}, true, true},
		{Filter{AnySrc: true, Dst: []netip.Addr{four}, Outer: []uint8{4}}, true, false},
	} {
		if tc.f.mayReach(4) != tc.four || tc.f.mayReach(6) != tc.six || !tc.f.mayReach(0) {
			t.Errorf("%+v: IPv4 %v, IPv6 %v", tc.f, tc.f.mayReach(4), tc.f.mayReach(6))
		}
	}
}
