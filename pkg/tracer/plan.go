// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

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
func (t *Tracer) planFunctions(spec *ebpf.CollectionSpec, types *btf.Cache, filter *Filter) []*planned {
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
		if status.Why, status.Needless = t.whyNot(f, filter, ladder, here); status.Why != "" {
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
