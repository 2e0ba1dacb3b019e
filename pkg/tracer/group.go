// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
)

// deal makes two groups; functions' programs are all in the second. With even both get about the same size, else the second gets no more:
// attaching its functions takes the longest.
func deal(programs map[string]*ebpf.ProgramSpec, even bool) (tracepoints, functions map[string]*ebpf.ProgramSpec) {
	tracepoints, functions = map[string]*ebpf.ProgramSpec{}, map[string]*ebpf.ProgramSpec{}
	names := slices.Sorted(maps.Keys(programs))
	slices.SortStableFunc(names, func(a, b string) int { return len(programs[b].Instructions) - len(programs[a].Instructions) })
	sizes := [2]int{}
	isFunction := func(name string) bool {
		return strings.HasPrefix(name, "kprobe_") || strings.HasPrefix(name, "fentry_")
	}
	for _, name := range names {
		if isFunction(name) {
			functions[name] = programs[name]
			sizes[1] += len(programs[name].Instructions)
		}
	}
	for _, name := range names {
		switch {
		case isFunction(name):
		case !even || sizes[0] <= sizes[1]:
			tracepoints[name] = programs[name]
			sizes[0] += len(programs[name].Instructions)
		default:
			functions[name] = programs[name]
			sizes[1] += len(programs[name].Instructions)
		}
	}
	return tracepoints, functions
}

// loadGroup loads programs over shared maps; the errors are by program.
func loadGroup(spec *ebpf.CollectionSpec, options ebpf.CollectionOptions, group map[string]*ebpf.ProgramSpec) (map[string]*ebpf.Program, map[string]error) {
	one := *spec
	one.Programs = group
	loaded, failed := map[string]*ebpf.Program{}, map[string]error{}
	c, err := ebpf.NewCollectionWithOptions(&one, options)
	if err == nil {
		defer c.Close()
		for name := range group {
			loaded[name] = c.DetachProgram(name)
		}
		return loaded, nil
	}
	for name, p := range group {
		if len(group) == 1 {
			return nil, map[string]error{name: err}
		}
		l, f := loadGroup(spec, options, map[string]*ebpf.ProgramSpec{name: p})
		maps.Copy(loaded, l)
		maps.Copy(failed, f)
	}
	return loaded, failed
}

// lastLine is the telling end of a verifier error.
func lastLine(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	return lines[len(lines)-1]
}
