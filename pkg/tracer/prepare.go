// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"fmt"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// Preparation is what a start needs whatever flow it will follow: the programs, the kernel's types and its abilities. It leaves nothing in
// the kernel, and serves one Start.
type Preparation struct {
	backend string
	ready   chan struct{} // closed when m or err is set
	m       *material
	err     error
}

// Prepare begins a Preparation in the background, for a Start with the same backend; what fails is told by that Start.
func Prepare(backend string) *Preparation {
	p := &Preparation{backend: backend, ready: make(chan struct{})}
	go func() {
		defer close(p.ready)
		if p.err = checkPrivileges(); p.err != nil {
			return // what comes would fail one by one
		}
		removeMemlock()
		p.m, p.err = readMaterial(backend)
	}()
	return p
}

// take waits for the preparation. Without one, or with one for another backend, everything is read now.
func (p *Preparation) take(backend string) (*material, error) {
	if p == nil || p.backend != backend {
		p = Prepare(backend)
	}
	<-p.ready
	return p.m, p.err
}

// material is what a start is made from.
type material struct {
	spec   *ebpf.CollectionSpec
	bodies map[string]uint8 // of functions, by name
	rungs  rungs
	kernel *btf.Spec
	halves [2]*types // of the tracepoints' half of the start and of the functions'
	// addresses are those of functions where kprobes are set by them: they are still being read, and this waits for them.
	addresses func() map[string]uint64
}

// readMaterial reads the embedded programs and, side by side with them, the kernel's types and its abilities.
func readMaterial(backend string) (*material, error) {
	m, cache := &material{}, btf.NewCache()
	var (
		read    sync.WaitGroup
		specErr error
	)
	read.Go(func() {
		if m.spec, specErr = loadBpf(); specErr == nil {
			m.bodies, specErr = readBodies(m.spec.Types)
		}
	})
	kernel, err := cache.Kernel()
	if err == nil {
		m.kernel, m.rungs = kernel, findRungs(backend, kernel)
		err = m.rungs.force(backend)
	} else {
		err = &FeatureError{What: "BTF (/sys/kernel/btf/vmlinux)", Next: "use a kernel built with CONFIG_DEBUG_INFO_BTF", Err: err}
	}
	read.Wait()
	if err != nil {
		return nil, err
	}
	if specErr != nil {
		return nil, fmt.Errorf("read the embedded programs: %w", specErr)
	}
	m.divide(cache)
	return m, nil
}

// divide gives each half of a start its types, and reads those that every start needs.
func (m *material) divide(cache *btf.Cache) {
	m.halves = [2]*types{newTypes(m.kernel, cache), newTypes(m.kernel.Copy(), cache)}
	ladder := m.rungs.ladder()
	if slices.Contains(ladder, BackendFentry) { // for which the library reads modules itself
		m.halves[1].cache = btf.NewCache()
	}
	var read sync.WaitGroup
	for _, half := range m.halves {
		read.Go(half.warm)
	}
	switch {
	case slices.Contains(ladder, BackendKprobeMulti):
		m.halves[1].ask()
	case slices.Contains(ladder, BackendKprobe) && !m.rungs.cookies:
		m.addresses = sync.OnceValue(allAddresses)
		go m.addresses()
	}
	read.Wait()
}

// allAddresses are those of every function that may be a point. A start asks again for what is missing, and tells why.
func allAddresses() map[string]uint64 {
	want := map[string]bool{}
	for i := range Functions {
		want[Functions[i].Name] = true
	}
	found, _ := readAddresses(want)
	return found
}
