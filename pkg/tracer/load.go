// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/ringbuf"
)

// Options are the settings of a live trace.
type Options struct {
	Filter Filter
	// Backend is the rung for kernel functions: one of Backends, "" for BackendAuto.
	Backend string
	// Busy leaves out the functions of modules that no rule uses at the start: no packet reaches them until one does.
	Busy bool
	// RingBytes is the size of the ring buffer; a power of two, at least a page. Default 8 MiB.
	RingBytes uint32
	// Prepared is what Prepare began to read for the same backend; nil to read it now.
	Prepared *Preparation
}

const defaultRing = 8 << 20

// Tracer is a running trace. Close ends it.
type Tracer struct {
	coll     *ebpf.Collection
	links    []io.Closer
	reader   *ringbuf.Reader
	points   []PointStatus // of Points, then of Functions
	rungs    rungs
	embedded map[string]*ebpf.ProgramSpec // of functions
	bodies   map[string]uint8             // of functions, by name
	names    *kernelNames
	attached time.Duration
}

// Start loads and attaches every point that the running kernel has. A point that cannot be attached is told by Points and does not fail
// the trace; a trace without any does. Errors of type *PrivilegeError and *FeatureError say what is missing.
func Start(o Options) (*Tracer, error) {
	begin := time.Now()
	if err := o.Filter.check(); err != nil {
		return nil, err
	}
	if err := checkPrivileges(); err != nil {
		return nil, err
	}
	m, err := o.Prepared.take(o.Backend)
	if err != nil {
		return nil, err
	}
	t := &Tracer{names: newKernelNames(m.kernel), rungs: m.rungs, bodies: m.bodies, points: make([]PointStatus, len(Points)+len(Functions))}
	tracepoints := t.takeEmbedded(m.spec)
	var (
		functions []*planned
		programs  map[string]*ebpf.ProgramSpec
		plan      sync.WaitGroup
	)
	plan.Go(func() { functions, programs = t.planFunctions(m.halves[1], &o) })
	t.dropMissing(tracepoints, m.kernel, &o.Filter)
	err = t.makeMaps(m, &o)
	plan.Wait()
	if err != nil {
		return nil, err
	}
	t.replaced(functions)
	maps.Copy(programs, tracepoints)
	if err := t.arm(&o.Filter); err != nil {
		_ = t.Close()
		return nil, err
	}
	if err := t.loadAndAttach(m, programs, functions); err != nil {
		_ = t.Close()
		return nil, err
	}
	t.attached = time.Since(begin)
	go t.names.ahead() // the first drop should not wait for it
	return t, nil
}

// makeMaps makes the maps and variables over which all programs are loaded.
func (t *Tracer) makeMaps(m *material, o *Options) error {
	if err := configure(m.spec, m.kernel, o, t.rungs.cookies); err != nil {
		return err
	}
	var err error
	if t.coll, err = ebpf.NewCollection(m.spec); err != nil {
		return explainLoad(err)
	}
	return nil
}

// tracepointArgs counts a tracepoint's arguments from BTF: the parameters of btf_trace_NAME less the first, which is private to the
// tracing code. ok is false when the kernel has no such tracepoint.
func tracepointArgs(kernel *btf.Spec, name string) (int, bool) {
	var def *btf.Typedef
	if kernel.TypeByName("btf_trace_"+name, &def) != nil {
		return 0, false
	}
	ptr, ok := def.Type.(*btf.Pointer)
	if !ok {
		return 0, false
	}
	proto, ok := ptr.Target.(*btf.FuncProto)
	if !ok {
		return 0, false
	}
	return len(proto.Params) - 1, true
}

// takeEmbedded takes the programs out of the spec, which keeps maps and variables: those of tracepoints are returned, those of functions are
// kept to choose from.
func (t *Tracer) takeEmbedded(spec *ebpf.CollectionSpec) (tracepoints map[string]*ebpf.ProgramSpec) {
	tracepoints, t.embedded = map[string]*ebpf.ProgramSpec{}, map[string]*ebpf.ProgramSpec{}
	for name, p := range spec.Programs {
		if ofFunction(name) {
			t.embedded[name] = p
			continue
		}
		tracepoints[name] = p
	}
	spec.Programs = map[string]*ebpf.ProgramSpec{}
	return tracepoints
}

// dropMissing sets the status of every tracepoint and takes the programs out whose tracepoint the kernel does not have, or that no packet of
// the flow can reach.
func (t *Tracer) dropMissing(programs map[string]*ebpf.ProgramSpec, kernel *btf.Spec, filter *Filter) {
	for i, p := range Points {
		s := &t.points[i]
		*s = PointStatus{Name: p.Name, Backend: BackendTracepoint}
		if !filter.mayReach(p.Family) {
			*s = PointStatus{Name: p.Name, Why: otherFamily(p.Family), Needless: true}
		} else if _, ok := tracepointArgs(kernel, p.Name); !ok {
			*s = PointStatus{Name: p.Name, Why: "this kernel has no tracepoint " + p.Name}
		}
		if s.Why != "" {
			delete(programs, p.Program)
		}
	}
}

// configure sets the constants and the initial contents of the variables of bpf/config.h and bpf/filter.h.
func configure(spec *ebpf.CollectionSpec, kernel *btf.Spec, o *Options, cookies bool) error {
	f := &o.Filter
	vars := map[string]any{
		"cfg_proto": f.Proto, "cfg_sport": f.Sport, "cfg_dport": f.Dport, "cfg_any_src": f.AnySrc,
		"addr_bits": f.addrBits(), "port_bits": f.portBits(), "similar_wanted": uint32(1),
		"cfg_cookies": cookies,
	}
	ports := [4]uint16{8472, 4789}
	copy(ports[2:], f.VXLANPorts)
	vars["cfg_vxlan_ports"] = ports
	for variable, tp := range map[string]string{"kfree_skb_args": "kfree_skb", "consume_skb_args": "consume_skb", "send_reset_args": "tcp_send_reset"} {
		if n, ok := tracepointArgs(kernel, tp); ok {
			vars[variable] = uint32(n)
		}
	}
	for name, value := range vars {
		v := spec.Variables[name]
		if v == nil {
			return fmt.Errorf("set %s: the embedded programs have no such variable; rebuild with 'make generate build'", name)
		}
		if err := v.Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	if o.RingBytes == 0 {
		o.RingBytes = defaultRing
	}
	spec.Maps[bpfMapEvents].MaxEntries = o.RingBytes
	return nil
}

// loadAndAttach loads the programs over the maps and attaches them, tracepoints and functions side by side: the verifier's time and the
// kernel's at each kprobe are most of the start. A group with a program that the verifier refuses is loaded again one by one, so that only
// that one is lost.
func (t *Tracer) loadAndAttach(m *material, programs map[string]*ebpf.ProgramSpec, functions []*planned) error {
	a := &attaching{t: t}
	load := func(here *types, modules bool, group map[string]*ebpf.ProgramSpec) {
		options := ebpf.CollectionOptions{MapReplacements: t.coll.Maps, Cache: here.cache, Programs: here.relocations(modules)}
		loaded, failed := loadGroup(m.spec, options, group)
		a.mu.Lock()
		defer a.mu.Unlock()
		maps.Copy(t.coll.Programs, loaded)
		for name, why := range failed {
			a.failed = why
			t.blind(name, lastLine(why))
		}
	}
	tracepoints, ofFunctions := deal(programs, t.rungs.multi)
	var wg sync.WaitGroup
	wg.Go(func() {
		load(m.halves[0], false, tracepoints)
		a.tracepoints()
	})
	found := make(chan error, 1)
	go func() {
		err := findAddresses(functions, m.addresses)
		arm(functions)
		found <- err
	}()
	wg.Go(func() {
		load(m.halves[1], true, ofFunctions)
		if programs[allBodies] != nil && a.program(allBodies) == nil {
			load(m.halves[1], true, separate(t.embedded, functions))
		}
		if err := errors.Join(<-found, a.nameAddresses(functions)); err != nil {
			a.failed = err
		}
		a.functions(functions)
	})
	wg.Wait()
	a.tracepoints() // those that were loaded beside the functions
	if len(t.coll.Programs) == 0 {
		return explainLoad(a.failed)
	}
	if len(t.links) == 0 {
		return explainLoad(fmt.Errorf("attach: %w", a.failed))
	}
	return nil
}

// blind marks what a program that did not load would have served.
func (t *Tracer) blind(program, why string) {
	for i := range Points {
		if Points[i].Program == program {
			t.points[i] = PointStatus{Name: Points[i].Name, Why: why}
		}
	}
	base, function, one := strings.Cut(program, "@")
	for i := range Functions {
		f := &Functions[i]
		if s := &t.points[len(Points)+i]; s.Why == "" && (function == f.Name || (!one && base == "kprobe_"+f.Program)) {
			*s = PointStatus{Name: f.Name, Why: why}
		}
	}
}

// arm fills the table of end addresses and opens the ring buffer, before the first event can come.
func (t *Tracer) arm(f *Filter) error {
	for a, r := range f.roles() {
		if err := t.coll.Maps[bpfMapEnds].Put(a, r); err != nil {
			return fmt.Errorf("set the flow's addresses: %w", err)
		}
	}
	var err error
	if t.reader, err = ringbuf.NewReader(t.coll.Maps[bpfMapEvents]); err != nil {
		return fmt.Errorf("open the ring buffer: %w", err)
	}
	return nil
}

// Points is the status of every point.
func (t *Tracer) Points() []PointStatus { return t.points }

// DropReasons reports whether the kernel says why it drops a packet: since 5.17. Where it does, it also tells of drops in TCP's tcp_drop.
func (t *Tracer) DropReasons() bool { return len(t.names.drop) > 0 }

// AttachTime is how long it took from Start to the last attached point.
func (t *Tracer) AttachTime() time.Duration { return t.attached }

// Close detaches everything. It is safe to call once, also on a half-started tracer.
func (t *Tracer) Close() error {
	var wg sync.WaitGroup
	for _, l := range t.links {
		wg.Go(func() { _ = l.Close() })
	}
	wg.Wait()
	t.links = nil
	var err error
	if t.reader != nil {
		err = t.reader.Close()
	}
	if t.coll != nil {
		t.coll.Close()
	}
	return err
}
