// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Kernels before 5.15 give kprobes no cookies: there a program learns from the probed address which function it is at, so the addresses are
// needed, and with them the probe can be set by address. The library sets it by name, which these kernels look up in a walk over all their
// symbols: as long as everything else that a probe takes.

// byAddress reports whether the function's kprobe needs its address.
func (f *planned) byAddress() bool { return f.backend == BackendKprobe && !f.cookies }

// findAddresses gives the functions that need it their address, from those that are known already; if one is missing there, a module may have
// come, and the kernel is asked again. A function whose name stands for several keeps 0.
func findAddresses(functions []*planned, known func() map[string]uint64) error {
	want := map[string]bool{}
	for _, f := range functions {
		if !f.byAddress() {
			continue
		}
		if f.address = known()[f.function.Name]; f.address == 0 {
			want[f.function.Name] = true
		}
	}
	if len(want) == 0 {
		return nil
	}
	more, err := readAddresses(want)
	for _, f := range functions {
		if f.byAddress() && f.address == 0 {
			f.address = more[f.function.Name]
		}
	}
	return err
}

// readAddresses reads the addresses of these symbols, which takes the kernel as long as everything else of a start.
func readAddresses(want map[string]bool) (map[string]uint64, error) {
	file, err := os.Open("/proc/kallsyms")
	if err != nil {
		return nil, fmt.Errorf("read the addresses of functions: %w", err)
	}
	defer file.Close()
	return addressesFrom(file, want)
}

// addressesFrom leaves out names that stand for several symbols.
func addressesFrom(kallsyms io.Reader, want map[string]bool) (map[string]uint64, error) {
	times := map[string]int{}
	found := map[string]uint64{}
	s := bufio.NewScanner(kallsyms)
	for s.Scan() {
		address, rest, _ := bytes.Cut(s.Bytes(), []byte(" "))
		if len(rest) < 3 {
			continue
		}
		name, _, _ := bytes.Cut(rest[2:], []byte("\t"))
		if !want[string(name)] {
			continue
		}
		times[string(name)]++
		if n, err := strconv.ParseUint(string(address), 16, 64); err == nil {
			found[string(name)] = n
		}
	}
	maps.DeleteFunc(found, func(name string, _ uint64) bool { return times[name] > 1 })
	if err := s.Err(); err != nil {
		return found, fmt.Errorf("read the addresses of functions: %w", err)
	}
	return found, nil
}

// landingPad is how far behind the function's start a kprobe sits where the first instruction is one for indirect branches.
const landingPad = 4

// nameAddresses tells the kernel side which function is at which address.
func (a *attaching) nameAddresses(functions []*planned) error {
	var failed error
	for _, f := range functions {
		if f.address == 0 || f.cookies {
			continue
		}
		for _, at := range []uint64{f.address, f.address + landingPad} {
			failed = errors.Join(failed, a.t.coll.Maps[bpfMapFunctions].Put(at, f.cookie()))
		}
	}
	return failed
}

// perfKprobe is a kprobe of this process: gone when the descriptor is closed, also by the end of the process.
type perfKprobe struct{ fd int }

func (p *perfKprobe) Close() error { return unix.Close(p.fd) }

// armKprobe sets a kprobe at an address. What takes long is done then, but nothing runs there yet.
func armKprobe(address uint64) (*perfKprobe, error) {
	b, err := os.ReadFile("/sys/bus/event_source/devices/kprobe/type")
	if err != nil {
		return nil, fmt.Errorf("find the kprobe device: %w", err)
	}
	kind, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil {
		return nil, fmt.Errorf("find the kprobe device: %w", err)
	}
	attr := unix.PerfEventAttr{Type: uint32(kind), Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Ext2: address, Bits: unix.PerfBitDisabled} // config2: kprobe_addr
	fd, err := unix.PerfEventOpen(&attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("set a kprobe: %w", err)
	}
	return &perfKprobe{fd: fd}, nil
}

// run has the kprobe run the program.
func (p *perfKprobe) run(prog *ebpf.Program) error {
	err := unix.IoctlSetInt(p.fd, unix.PERF_EVENT_IOC_SET_BPF, prog.FD())
	if err == nil {
		err = unix.IoctlSetInt(p.fd, unix.PERF_EVENT_IOC_ENABLE, 0)
	}
	if err != nil {
		return fmt.Errorf("run a program at a kprobe: %w", err)
	}
	return nil
}
