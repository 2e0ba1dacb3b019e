// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// types are the running kernel's types for one half of a start. Each half has its own copy, because a module's types share the kernel's
// without a lock.
type types struct {
	kernel  *btf.Spec
	modules map[string]*btf.Spec // nil where a module has none, or is not loaded
	cache   *btf.Cache           // serves the library where it looks for what a program attaches to
	typed   bool                 // modules have types
	// addresses are those of the functions that are there, by name; nil where the kernel was not asked or does not tell.
	addresses map[string]uint64
}

const btfDir = "/sys/kernel/btf"

func newTypes(kernel *btf.Spec, cache *btf.Cache) *types {
	entries, err := os.ReadDir(btfDir)
	return &types{kernel: kernel, modules: map[string]*btf.Spec{}, cache: cache, typed: err == nil && len(entries) > 1}
}

// warm reads what every start looks at: types are read when they are first asked for, and the packet's leads to thousands of others.
func (t *types) warm() {
	var packet *btf.Struct
	_ = t.kernel.TypeByName("sk_buff", &packet) // a kernel without it fails with every program
	for _, p := range Points {
		_, _ = tracepointArgs(t.kernel, p.Name)
	}
}

// module is the types of a module, nil without.
func (t *types) module(name string) *btf.Spec {
	if spec, known := t.modules[name]; known {
		return spec
	}
	t.modules[name] = nil
	f, err := os.Open(filepath.Join(btfDir, name))
	if err != nil {
		return nil
	}
	defer f.Close()
	if spec, err := btf.LoadSplitSpecFromReader(f, t.kernel); err == nil {
		t.modules[name] = spec
	}
	return t.modules[name]
}

// inKernel reports whether the function is in the kernel itself.
func (t *types) inKernel(f *Function) bool {
	var fn *btf.Func
	return t.kernel.TypeByName(f.Name, &fn) == nil
}

// whyNot looks whether the function is there: by its address, else by its type in the kernel itself or in its module. A kernel without types for
// modules is asked when attaching.
func (t *types) whyNot(f *Function) (why string, needless bool) {
	if t.addresses[f.Name] != 0 || (t.addresses == nil && t.inKernel(f)) {
		return "", false
	}
	if f.Module == "" {
		return "this kernel has no function " + f.Name + " (renamed, or merged into its caller)", false
	}
	if _, err := os.Stat("/sys/module/" + f.Module); err != nil {
		return "module " + f.Module + " is not loaded: no packet passes there", true
	}
	if t.addresses == nil && (!t.typed || t.inModule(f.Module, f.Name)) {
		return "", false
	}
	if f.Else != "" && (t.addresses[f.Else] != 0 || (t.addresses == nil && t.inModule(f.Module, f.Else))) {
		return "the function " + f.Else + " tells it", true
	}
	return "module " + f.Module + " has no function " + f.Name + " (renamed, or merged into its caller)", false
}

// inModule reports whether a module may have a function: when its types cannot be read, attaching shows.
func (t *types) inModule(module, function string) bool {
	var fn *btf.Func
	spec := t.module(module)
	return spec == nil || spec.TypeByName(function, &fn) == nil
}

// typedModules hold types that programs read and that the kernel's own BTF lacks on some kernels.
var typedModules = []string{"x_tables", "nf_tables", "ip_vs"}

// relocations names the types that field accesses are relocated to: without it every module's would be read.
func (t *types) relocations(modules bool) ebpf.ProgramOptions {
	o := ebpf.ProgramOptions{KernelTypes: t.kernel}
	if !modules {
		return o
	}
	for _, m := range typedModules {
		if spec := t.module(m); spec != nil {
			o.ExtraRelocationTargets = append(o.ExtraRelocationTargets, spec)
		}
	}
	return o
}
