// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"fmt"
	"slices"
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
	body     uint8
	cookies  bool
	address  uint64 // 0 where the function is named instead
	status   *PointStatus
	prog     *ebpf.Program
	armed    *perfKprobe // set at its address, nil where not
	refused  error       // why not
}

// cookie is what the function's program learns about itself (bpf/function.h).
func (f *planned) cookie() uint64 {
	return uint64(f.function.Point) | uint64(f.function.Skb)<<16 | uint64(f.body)<<24
}

// readBodies reads which numbers the bodies of bpf/points have, by name (enum function_body).
func readBodies(types *btf.Spec) (map[string]uint8, error) {
	var e *btf.Enum
	if err := types.TypeByName("function_body", &e); err != nil {
		return nil, fmt.Errorf("read the bodies of functions from the embedded programs: %w", err)
	}
	bodies := map[string]uint8{}
	for _, v := range e.Values {
		bodies[strings.TrimPrefix(v.Name, "BODY_")] = uint8(v.Value)
	}
	return bodies, nil
}

// outputBody looks at packets that are not followed yet, so it is a program of its own: the others cost nothing until there is one.
const outputBody = "local_out"

// allBodies is the program that serves every other function by kprobe; separate are the programs for verifiers that refuse it.
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

// planFunctions chooses a rung for every function. The programs that are needed for it are those returned.
func (t *Tracer) planFunctions(here *types, o *Options) ([]*planned, map[string]*ebpf.ProgramSpec) {
	programs := map[string]*ebpf.ProgramSpec{}
	ladder := t.rungs.ladder()
	if slices.Contains(ladder, BackendKprobeMulti) {
		here.ask()
	}
	var idle map[string]bool
	if o.Busy {
		idle = idleModules()
	}
	var out []*planned
	for i := range Functions {
		f := &Functions[i]
		status := &t.points[len(Points)+i]
		status.Name = f.Name
		if status.Why, status.Needless = t.whyNot(f, &o.Filter, ladder, here); status.Why != "" {
			continue
		}
		if f.Idle && idle[f.Module] {
			status.Why, status.Needless = "no rule uses module "+f.Module, true
			continue
		}
		p := &planned{function: f, status: status, body: t.bodies[f.Program], cookies: t.rungs.cookies, address: here.addresses[f.Name]}
		for _, p.backend = range ladder {
			if p.backend != BackendFentry || !f.NoFentry {
				break
			}
		}
		status.Backend = p.backend
		p.use(t.embedded, programs)
		out = append(out, p)
	}
	return out, programs
}

// replaced marks the tracepoints that the kernel does not have and functions stand in for.
func (t *Tracer) replaced(functions []*planned) {
	for _, f := range functions {
		for k := range Points {
			if tp := &t.points[k]; f.function.Instead == tp.Name && tp.Why != "" {
				tp.Why, tp.Needless = "the function "+f.function.Name+" tells it", true
			}
		}
	}
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
		if f.Program == outputBody {
			p.program = "kprobe_" + outputBody
		}
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
