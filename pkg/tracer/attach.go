// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// attach attaches everything that was loaded: several at a time, because the kernel waits for every processor at each one.
func (t *Tracer) attach(functions []*planned) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		slots = make(chan struct{}, 2*runtime.GOMAXPROCS(0))
	)
	done := func(status *PointStatus, l io.Closer, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			*status = PointStatus{Name: status.Name, Why: "attach: " + lastLine(err)}
			first = errors.Join(first, err)
			return
		}
		status.Attached = true
		if l != nil {
			t.links = append(t.links, l)
		}
	}
	start := func(f func()) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f()
		})
	}
	for i, p := range Points {
		if prog := t.coll.Programs[p.Program]; prog != nil {
			start(func() {
				l, err := link.AttachTracing(link.TracingOptions{Program: prog})
				done(&t.points[i], l, err)
			})
		}
	}
	var multi []*planned
	for _, f := range functions {
		prog := t.coll.Programs[f.program]
		if prog == nil {
			continue
		}
		f.prog = prog
		if f.backend == BackendKprobeMulti {
			multi = append(multi, f)
			continue
		}
		start(func() {
			l, err := f.attach()
			done(f.status, l, err)
		})
	}
	for _, group := range byProgram(multi) {
		start(func() { attachMulti(group, done) })
	}
	wg.Wait()
	if len(t.links) == 0 {
		return explainLoad(fmt.Errorf("attach tracepoints: %w", first))
	}
	return nil
}

func (f *planned) attach() (link.Link, error) {
	if f.backend == BackendFentry {
		return link.AttachTracing(link.TracingOptions{Program: f.prog})
	}
	o := &link.KprobeOptions{}
	if f.cookies {
		o.Cookie = f.cookie()
	}
	return link.Kprobe(f.function.Name, f.prog, o)
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
		o.Symbols = append(o.Symbols, f.function.Name)
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
