// SPDX-License-Identifier: Apache-2.0

package tracer

import "github.com/cilium/ebpf/btf"

// RunningKernel is what other packages need to load tracing programs of their own (pkg/drops).
type RunningKernel struct {
	types *btf.Spec
	names *kernelNames
}

// OpenKernel checks privileges and reads the kernel's types. Errors are of type *PrivilegeError and *FeatureError, as Start has them.
func OpenKernel() (*RunningKernel, error) {
	if err := checkPrivileges(); err != nil {
		return nil, err
	}
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, &FeatureError{What: "BTF (/sys/kernel/btf/vmlinux)", Next: "use a kernel built with CONFIG_DEBUG_INFO_BTF", Err: err}
	}
	removeMemlock()
	k := &RunningKernel{types: spec, names: newKernelNames(spec)}
	go k.names.ahead() // the first drop should not wait for it
	return k, nil
}

// Types are the kernel's own types.
func (k *RunningKernel) Types() *btf.Spec { return k.types }

// Names resolves symbols and reasons.
func (k *RunningKernel) Names() Names { return k.names }

// Function is the name of the function at a code address, as Event.Location has it.
func (k *RunningKernel) Function(addr uint64) string {
	if addr == 0 {
		return ""
	}
	return functionName(k.names.Symbol(addr))
}

// TracepointArgs counts a tracepoint's arguments; ok is false when the kernel has no such tracepoint.
func (k *RunningKernel) TracepointArgs(name string) (n int, ok bool) {
	return tracepointArgs(k.types, name)
}

// ExplainLoad turns an error of loading or attaching programs into what the user can do about it.
func ExplainLoad(err error) error { return explainLoad(err) }
