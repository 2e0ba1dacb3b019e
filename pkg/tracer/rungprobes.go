// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
)

// CanTraceFunctions reports whether the running kernel has any rung besides the tracepoints.
func CanTraceFunctions() bool { return haveKprobe() || haveFentry() }

// haveKprobe looks for perf's kprobe device (CONFIG_KPROBE_EVENTS).
func haveKprobe() bool {
	for _, path := range []string{"/sys/bus/event_source/devices/kprobe/type", "/sys/kernel/tracing/kprobe_events"} {
		if _, err := os.Stat(path); err == nil {
			return true
		}
	}
	return false
}

// hasFprobe looks for what kprobe.multi attaches by (CONFIG_FPROBE; include/linux/fprobe.h): the kernel has links for kprobe.multi since it has
// that, 5.18. Attaching a program for the answer takes a walk over all symbols and a grace period.
func hasFprobe(kernel *btf.Spec) bool {
	var fn *btf.Func
	return kernel.TypeByName("register_fprobe_ips", &fn) == nil
}

// haveMulti attaches a program that does nothing to one function by kprobe.multi.
func haveMulti() bool {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "nettrace_probe", Type: ebpf.Kprobe, AttachType: ebpf.AttachTraceKprobeMulti,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}, License: "Dual BSD/GPL"})
	if err != nil {
		return false
	}
	defer func() { _ = prog.Close() }()
	l, err := link.KprobeMulti(prog, link.KprobeMultiOptions{Symbols: []string{quietFunction}})
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// haveFentry does the same by fentry.
func haveFentry() bool {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "nettrace_probe", Type: ebpf.Tracing, AttachType: ebpf.AttachTraceFEntry, AttachTo: quietFunction,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}, License: "Dual BSD/GPL"})
	if err != nil {
		return false
	}
	defer func() { _ = prog.Close() }()
	l, err := link.AttachTracing(link.TracingOptions{Program: prog})
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// quietFunction exists on every kernel and is hardly ever called.
const quietFunction = "ip_mc_output"
