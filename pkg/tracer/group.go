// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
)

// ofFunction tells programs of functions from those of tracepoints.
func ofFunction(program string) bool {
	return strings.HasPrefix(program, "kprobe_") || strings.HasPrefix(program, "fentry_")
}

// deal makes two groups; functions' programs are all in the second. With even both get about the same size, else the second gets no more:
// attaching its functions takes the longest.
func deal(programs map[string]*ebpf.ProgramSpec, even bool) (tracepoints, functions map[string]*ebpf.ProgramSpec) {
	tracepoints, functions = map[string]*ebpf.ProgramSpec{}, map[string]*ebpf.ProgramSpec{}
	names := slices.Sorted(maps.Keys(programs))
	slices.SortStableFunc(names, func(a, b string) int { return len(programs[b].Instructions) - len(programs[a].Instructions) })
	sizes := [2]int{}
	for _, name := range names {
		if ofFunction(name) {
			functions[name] = programs[name]
			sizes[1] += len(programs[name].Instructions)
		}
	}
	for _, name := range names {
		switch {
		case ofFunction(name):
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

// loadGroup loads programs over shared maps; the errors are by program. They are loaded without line numbers, which the kernel would check and
// keep for each; a group that the verifier refuses is loaded again one by one, with them, for its message and so that only the refused
// one is lost.
func loadGroup(spec *ebpf.CollectionSpec, options ebpf.CollectionOptions, group map[string]*ebpf.ProgramSpec) (map[string]*ebpf.Program, map[string]error) {
	bare := map[string]*ebpf.ProgramSpec{}
	for name, p := range group {
		bare[name] = withoutLines(p)
	}
	loaded, err := load(spec, options, bare)
	if err == nil {
		return loaded, nil
	}
	loaded = map[string]*ebpf.Program{}
	failed := map[string]error{}
	for name, p := range group {
		one, err := load(spec, options, map[string]*ebpf.ProgramSpec{name: p})
		if err != nil {
			failed[name] = err
			continue
		}
		maps.Copy(loaded, one)
	}
	return loaded, failed
}

func load(spec *ebpf.CollectionSpec, options ebpf.CollectionOptions, group map[string]*ebpf.ProgramSpec) (map[string]*ebpf.Program, error) {
	one := *spec
	one.Programs = group
	c, err := ebpf.NewCollectionWithOptions(&one, options)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	loaded := map[string]*ebpf.Program{}
	for name := range group {
		loaded[name] = c.DetachProgram(name)
	}
	return loaded, nil
}

func withoutLines(p *ebpf.ProgramSpec) *ebpf.ProgramSpec {
	p = p.Copy()
	for i, ins := range p.Instructions {
		if ins.Source() != nil {
			ins = ins.WithSource(nil)
		}
		p.Instructions[i] = ins
	}
	return p
}

// lastLine is the telling end of a verifier error.
func lastLine(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	return lines[len(lines)-1]
}
