// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/rlimit"
)

// rungs are the ways in which the running kernel lets functions be traced. They are probed, never read from a version.
type rungs struct {
	kprobe  bool // perf's kprobe device: CONFIG_KPROBE_EVENTS
	multi   bool // CONFIG_FPROBE and the link for it
	fentry  bool // BPF trampolines
	cookies bool // kprobes can have a cookie
	want    string
}

// findRungs probes what is needed for the wanted backend: each probe costs time at the start.
func findRungs(want string) rungs {
	var r rungs
	r.kprobe = haveKprobe()
	if r.kprobe {
		r.cookies = features.HaveProgramHelper(ebpf.Kprobe, asm.FnGetAttachCookie) == nil
	}
	auto := want == BackendAuto || want == ""
	r.multi = r.kprobe && (auto || want == BackendKprobeMulti) && haveMulti()
	if !auto || !r.kprobe {
		r.fentry = haveFentry()
	}
	return r
}

// force checks that the wanted rung is there.
func (r *rungs) force(want string) error {
	have := map[string]bool{BackendAuto: true, "": true, BackendTracepoint: true, BackendKprobe: r.kprobe, BackendKprobeMulti: r.multi, BackendFentry: r.fentry}
	ok, known := have[want]
	if !known {
		return fmt.Errorf("unknown backend %q: use one of %s", want, strings.Join(Backends(), ", "))
	}
	if !ok {
		have[BackendKprobeMulti] = r.kprobe && haveMulti()
		var names []string
		for _, b := range []string{BackendFentry, BackendKprobeMulti, BackendKprobe} {
			if have[b] {
				names = append(names, b)
			}
		}
		return &FeatureError{What: want + " probes", Next: "it has " + strings.Join(append(names, BackendTracepoint), ", ") + ": use one of these or --backend auto"}
	}
	r.want = want
	return nil
}

// ladder is the order in which rungs are tried for a function. kprobe.multi comes first where it exists: one call attaches and detaches all
// functions, while each fentry is a program of its own to verify and a trampoline of its own to build.
func (r *rungs) ladder() []string {
	switch r.want {
	case BackendTracepoint:
		return nil
	case BackendAuto, "":
	default:
		return []string{r.want}
	}
	var out []string
	if r.multi {
		out = append(out, BackendKprobeMulti)
	}
	if r.kprobe {
		out = append(out, BackendKprobe)
	}
	if r.fentry {
		out = append(out, BackendFentry)
	}
	return out
}

// planned is a function with the rung that will serve it.
type planned struct {
	function *Function
	backend  string
	program  string // name in the collection
	cookies  bool
	status   *PointStatus
	prog     *ebpf.Program
}

// cookie is what the function's program learns about itself (bpf/function.h).
func (f *planned) cookie() uint64 {
	return uint64(f.function.Point) | uint64(f.function.Skb)<<16 | uint64(bodies[f.function.Program])<<24
}

// bodies are the bodies of bpf/points that serve functions.
var bodies = map[string]bpfFunctionBody{
	"skb": bpfFunctionBodyBODY_SKB, "skb_value": bpfFunctionBodyBODY_SKB_VALUE, "release": bpfFunctionBodyBODY_RELEASE, "local_out": bpfFunctionBodyBODY_LOCAL_OUT,
	"hook": bpfFunctionBodyBODY_HOOK, "table": bpfFunctionBodyBODY_TABLE, "chain": bpfFunctionBodyBODY_CHAIN, "invalid": bpfFunctionBodyBODY_INVALID,
	"early_drop": bpfFunctionBodyBODY_EARLY_DROP, "nat": bpfFunctionBodyBODY_NAT, "ipvs": bpfFunctionBodyBODY_IPVS, "bridge_port": bpfFunctionBodyBODY_BRIDGE_PORT,
	"syn": bpfFunctionBodyBODY_SYN, "accept": bpfFunctionBodyBODY_ACCEPT,
}

// allBodies is the program that serves every function by kprobe; separate are the programs for verifiers that refuse it.
const allBodies = "kprobe_all"

func separate(embedded map[string]*ebpf.ProgramSpec, functions []*planned) map[string]*ebpf.ProgramSpec {
	out := map[string]*ebpf.ProgramSpec{}
	for _, f := range functions {
		if f.program != allBodies {
			continue
		}
		f.program = "kprobe_" + f.function.Program
		if out[f.program] == nil {
			out[f.program] = f.kprobe(embedded)
		}
	}
	return out
}

// kprobe is the spec of a kprobe program for the function's rung.
func (f *planned) kprobe(embedded map[string]*ebpf.ProgramSpec) *ebpf.ProgramSpec {
	one := embedded[f.program].Copy()
	if f.backend == BackendKprobeMulti {
		one.AttachType = ebpf.AttachTraceKprobeMulti
	}
	return one
}

// planFunctions chooses a rung for every function and leaves the programs in the spec that are needed for it.
func (t *Tracer) planFunctions(spec *ebpf.CollectionSpec, types *btf.Cache) []*planned {
	base := len(t.points)
	t.points = append(t.points, make([]PointStatus, len(Functions))...)
	t.embedded = map[string]*ebpf.ProgramSpec{}
	for name, p := range spec.Programs {
		if strings.HasPrefix(name, "kprobe_") || strings.HasPrefix(name, "fentry_") {
			t.embedded[name] = p
			delete(spec.Programs, name)
		}
	}
	here := newPresence(types)
	ladder := t.rungs.ladder()
	var out []*planned
	for i := range Functions {
		f := &Functions[i]
		status := &t.points[base+i]
		status.Name = f.Name
		if status.Why, status.Needless = t.whyNot(f, ladder, here); status.Why != "" {
			continue
		}
		p := &planned{function: f, status: status, cookies: t.rungs.cookies}
		for _, p.backend = range ladder {
			if p.backend != BackendFentry || !f.NoFentry {
				break
			}
		}
		status.Backend = p.backend
		p.use(t.embedded, spec.Programs)
		out = append(out, p)
		for k := range Points {
			if tp := &t.points[k]; f.Instead == tp.Name && tp.Why != "" { // chosen because there is no such tracepoint
				tp.Why, tp.Needless = "the function "+f.Name+" tells it", true
			}
		}
	}
	return out
}

// whyNot says why a function is no point here, "" when it is one, and whether nothing is missed by it.
func (t *Tracer) whyNot(f *Function, ladder []string, here *presence) (why string, needless bool) {
	if f.Instead != "" {
		if _, ok := tracepointArgs(here.kernel, f.Instead); ok {
			return "the tracepoint " + f.Instead + " tells it", true
		}
	}
	if len(ladder) == 0 {
		if t.rungs.want == BackendTracepoint {
			return "--backend tracepoint", false
		}
		return "this kernel has neither kprobes nor fentry", false
	}
	if len(ladder) == 1 && ladder[0] == BackendFentry && f.NoFentry {
		return "fentry cannot trace a function with variable arguments", false
	}
	if why, needless = here.whyNot(f); why == "" && len(ladder) == 1 && ladder[0] == BackendFentry && !here.typed && !here.inKernel(f) {
		why = "module " + f.Module + " has no BTF, which fentry needs"
	}
	return why, needless
}

// use puts the function's program among those to load.
func (p *planned) use(embedded, into map[string]*ebpf.ProgramSpec) {
	f := p.function
	switch p.backend {
	case BackendFentry:
		name := "fentry_" + f.Program
		if f.Program == "skb" {
			name += strconv.Itoa(int(f.Skb))
		}
		p.program = name + "@" + f.Name
		one := embedded[name].Copy()
		one.Name, one.AttachTo, one.SectionName = f.Name, f.Name, "fentry/"+f.Name
		setCookie(one.Instructions, p.cookie())
		into[p.program] = one
	default:
		p.program = allBodies
		if into[p.program] == nil {
			into[p.program] = p.kprobe(embedded)
		}
	}
}

// fentryCookie stands in bpf/function.h where a copy's own cookie belongs.
const fentryCookie = 0x7ace00000000

func setCookie(insns asm.Instructions, cookie uint64) {
	for i := range insns {
		if insns[i].OpCode.IsDWordLoad() && insns[i].Constant == fentryCookie {
			insns[i].Constant = int64(cookie)
		}
	}
}

// presence knows which functions the running kernel has, from BTF: that of the kernel, and of each module where modules have it.
type presence struct {
	types  *btf.Cache
	kernel *btf.Spec
	typed  bool // modules have BTF
}

func newPresence(types *btf.Cache) *presence {
	p := &presence{types: types}
	p.kernel, _ = types.Kernel()
	entries, err := os.ReadDir("/sys/kernel/btf")
	p.typed = err == nil && len(entries) > 1
	return p
}

// inKernel reports whether the function is in the kernel itself.
func (p *presence) inKernel(f *Function) bool {
	var fn *btf.Func
	return p.kernel.TypeByName(f.Name, &fn) == nil
}

// whyNot looks where the function is: in the kernel itself, else in its module. A kernel without types for modules is asked when attaching.
func (p *presence) whyNot(f *Function) (why string, needless bool) {
	var fn *btf.Func
	if p.kernel.TypeByName(f.Name, &fn) == nil {
		return "", false
	}
	if f.Module == "" {
		return "this kernel has no function " + f.Name + " (renamed, or merged into its caller)", false
	}
	if _, err := os.Stat("/sys/module/" + f.Module); err != nil {
		return "module " + f.Module + " is not loaded: no packet passes there", true
	}
	if !p.typed {
		return "", false
	}
	if spec, err := p.types.Module(f.Module); err == nil && spec.TypeByName(f.Name, &fn) != nil {
		return "module " + f.Module + " has no function " + f.Name + " (renamed, or merged into its caller)", false
	}
	return "", false
}

// typedModules hold types that programs read and that the kernel's own BTF lacks on some kernels.
var typedModules = []string{"x_tables", "nf_tables", "ip_vs"}

// relocations names the types that field accesses are relocated to: without it every module's would be read.
func relocations(types *btf.Cache, modules bool) ebpf.ProgramOptions {
	kernel, _ := types.Kernel()
	o := ebpf.ProgramOptions{KernelTypes: kernel}
	if !modules {
		return o
	}
	for _, m := range typedModules {
		if spec, err := types.Module(m); err == nil {
			o.ExtraRelocationTargets = append(o.ExtraRelocationTargets, spec)
		}
	}
	return o
}

// kprobeAddresses is the kernel side's table from function addresses to cookies, for kprobes that cannot have cookies; empty where they can. A
// kprobe sits at the first instruction or, where that is a landing pad for indirect branches, right behind it.
func kprobeAddresses(functions []*planned) map[uint64]uint64 {
	const landingPad = 4
	want, out := map[string]*planned{}, map[uint64]uint64{}
	for _, f := range functions {
		if f.backend == BackendKprobe && !f.cookies {
			want[f.function.Name] = f
		}
	}
	if len(want) == 0 {
		return out
	}
	file, err := os.Open("/proc/kallsyms")
	if err != nil {
		return out
	}
	defer file.Close()
	s := bufio.NewScanner(file)
	for s.Scan() {
		line := s.Bytes()
		if len(line) < 20 {
			continue
		}
		name, _, _ := bytes.Cut(line[19:], []byte("\t"))
		f := want[string(name)]
		if f == nil {
			continue
		}
		if addr, err := strconv.ParseUint(string(line[:16]), 16, 64); err == nil && addr != 0 {
			out[addr], out[addr+landingPad] = f.cookie(), f.cookie()
		}
	}
	return out
}

// removeMemlock lifts the limit on locked memory, which kernels before 5.11 count BPF maps against. Where it does not apply this does
// nothing; a refusal shows when the maps are made.
func removeMemlock() { _ = rlimit.RemoveMemlock() }
