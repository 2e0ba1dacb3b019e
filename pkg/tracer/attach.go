// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"io"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// attaching is what the two halves of a start share.
type attaching struct {
	t      *Tracer
	mu     sync.Mutex
	failed error // of a program or an attachment; for the message when nothing works
}

func (a *attaching) program(name string) *ebpf.Program {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.t.coll.Programs[name]
}

func (a *attaching) done(status *PointStatus, l io.Closer, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		*status = PointStatus{Name: status.Name, Why: "attach: " + lastLine(err)}
		a.failed = errors.Join(a.failed, err)
		return
	}
	status.Attached = true
	if l != nil {
		a.t.links = append(a.t.links, l)
	}
}

// tracepoints attaches those that are loaded and not yet attached.
func (a *attaching) tracepoints() {
	for i, p := range Points {
		status := &a.t.points[i]
		a.mu.Lock()
		prog, open := a.t.coll.Programs[p.Program], !status.Attached && status.Why == ""
		a.mu.Unlock()
		if prog == nil || !open {
			continue
		}
		l, err := link.AttachTracing(link.TracingOptions{Program: prog})
		a.done(status, l, err)
	}
}

// functions attaches one function after the other: side by side the kernel takes several times as long for kprobes, which all wait for the
// same lock and for each other's grace periods.
func (a *attaching) functions(functions []*planned) {
	var multi []*planned
	for _, f := range functions {
		if f.prog = a.program(f.program); f.prog == nil {
			f.disarm()
			continue
		}
		if f.backend == BackendKprobeMulti {
			multi = append(multi, f)
			continue
		}
		l, err := f.attach()
		a.done(f.status, l, err)
	}
	for _, group := range byProgram(multi) {
		attachMulti(group, a.done)
	}
	a.replaced(functions)
}

// replaced marks functions that this kernel does not have because it has another in their place.
func (a *attaching) replaced(functions []*planned) {
	attached := map[string]bool{}
	for _, f := range functions {
		attached[f.function.Name] = f.status.Attached
	}
	for _, f := range functions {
		if !f.status.Attached && attached[f.function.Else] {
			*f.status = PointStatus{Name: f.function.Name, Why: "the function " + f.function.Else + " tells it", Needless: true}
		}
	}
}

func (f *planned) attach() (io.Closer, error) {
	if f.backend == BackendFentry {
		l, err := link.AttachTracing(link.TracingOptions{Program: f.prog})
		if errors.Is(err, ebpf.ErrNotSupported) {
			err = errors.New("this kernel's fentry cannot trace a function with so many arguments")
		}
		return l, err
	}
	switch {
	case f.armed != nil:
		return f.runArmed()
	case f.refused != nil:
		return nil, f.refused
	case f.byAddress():
		return nil, errors.New("the address of the function is not known or not only one's, and this kernel gives kprobes no cookies (before 5.15)")
	}
	return link.Kprobe(f.function.Name, f.prog, &link.KprobeOptions{Cookie: f.cookie()})
}

// arm sets the kprobes of functions whose address is known, while their program is still being verified: the kernel takes its time for both.
func arm(functions []*planned) {
	for _, f := range functions {
		if f.byAddress() && f.address != 0 {
			f.armed, f.refused = armKprobe(f.address)
		}
	}
}

// disarm takes back what was set for a function whose program was not loaded.
func (f *planned) disarm() {
	if f.armed != nil {
		_ = f.armed.Close()
		f.armed = nil
	}
}

func (f *planned) runArmed() (io.Closer, error) {
	if err := f.armed.run(f.prog); err != nil {
		f.disarm()
		return nil, err
	}
	return f.armed, nil
}

func byProgram(functions []*planned) map[*ebpf.Program][]*planned {
	m := map[*ebpf.Program][]*planned{}
	for _, f := range functions {
		m[f.prog] = append(m[f.prog], f)
	}
	return m
}

// attachMulti attaches a program to all its functions in one call. When the kernel refuses one of them, which it does not name, the group
// is halved until that one is alone.
func attachMulti(group []*planned, done func(*PointStatus, io.Closer, error)) {
	o := link.KprobeMultiOptions{}
	for _, f := range group {
		if f.address != 0 { // of all or of none
			o.Addresses = append(o.Addresses, uintptr(f.address))
		} else {
			o.Symbols = append(o.Symbols, f.function.Name)
		}
		o.Cookies = append(o.Cookies, f.cookie())
	}
	l, err := link.KprobeMulti(group[0].prog, o)
	if err != nil && len(group) > 1 {
		half := len(group) / 2
		attachMulti(group[:half], done)
		attachMulti(group[half:], done)
		return
	}
	for i, f := range group {
		if i > 0 { // the link is one for all
			done(f.status, nil, err)
			continue
		}
		done(f.status, l, err)
	}
}
