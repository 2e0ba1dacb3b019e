// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// Maps are the tracer's maps by name, for programs of other objects that share them. They are the tracer's: do not close them.
func (t *Tracer) Maps() map[string]*ebpf.Map { return t.coll.Maps }

// Share prepares another object for loading beside a running trace, so that both agree about what belongs to the flow: the constants of
// bpf/config.h become the trace's, and the maps that both have are returned, to replace the object's own.
func (t *Tracer) Share(spec *ebpf.CollectionSpec) (map[string]*ebpf.Map, error) {
	for name, v := range spec.Variables {
		mine := t.coll.Variables[name]
		if v.SectionName != ".rodata" || mine == nil {
			continue
		}
		value := make([]byte, mine.Size())
		if err := mine.Get(value); err != nil {
			return nil, fmt.Errorf("read %s of the running trace: %w", name, err)
		}
		if err := v.Set(value); err != nil {
			return nil, fmt.Errorf("set %s: %w", name, err)
		}
	}
	shared := map[string]*ebpf.Map{}
	for name := range spec.Maps {
		if m := t.coll.Maps[name]; m != nil && name != ".rodata" && name != ".bss" && name != ".data" {
			shared[name] = m
		}
	}
	return shared, nil
}
