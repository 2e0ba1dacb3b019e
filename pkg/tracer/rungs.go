// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"fmt"
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
func findRungs(want string, kernel *btf.Spec) rungs {
	var r rungs
	r.kprobe = haveKprobe()
	if r.kprobe {
		r.cookies = features.HaveProgramHelper(ebpf.Kprobe, asm.FnGetAttachCookie) == nil
	}
	auto := want == BackendAuto || want == ""
	r.multi = r.kprobe && hasFprobe(kernel)
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

func otherFamily(family uint8) string { return fmt.Sprintf("no IPv%d packet is followed", family) }

// whyNot says why a function is no point here, "" when it is one, and whether nothing is missed by it.
func (t *Tracer) whyNot(f *Function, filter *Filter, ladder []string, here *types) (why string, needless bool) {
	if !filter.mayReach(f.Family) {
		return otherFamily(f.Family), true
	}
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

// removeMemlock lifts the limit on locked memory, which kernels before 5.11 count BPF maps against. Where it does not apply this does
// nothing; a refusal shows when the maps are made.
func removeMemlock() { _ = rlimit.RemoveMemlock() }
