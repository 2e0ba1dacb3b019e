// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
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

// findAddresses gives the functions without cookies their address. One whose name stands for several keeps 0.
func findAddresses(functions []*planned) error {
	want := map[string]*planned{}
	for _, f := range functions {
		if f.backend == BackendKprobe && !f.cookies {
			want[f.function.Name] = f
		}
	}
	if len(want) == 0 {
		return nil
	}
	file, err := os.Open("/proc/kallsyms")
	if err != nil {
		return fmt.Errorf("read the addresses of functions: %w", err)
	}
	defer file.Close()
	return addressesFrom(file, want)
}

func addressesFrom(kallsyms io.Reader, want map[string]*planned) error {
	times := map[string]int{}
	s := bufio.NewScanner(kallsyms)
	for s.Scan() {
		address, rest, _ := bytes.Cut(s.Bytes(), []byte(" "))
		if len(rest) < 3 {
			continue
		}
		name, _, _ := bytes.Cut(rest[2:], []byte("\t"))
		f := want[string(name)]
		if f == nil {
			continue
		}
		times[f.function.Name]++
		f.address, _ = strconv.ParseUint(string(address), 16, 64)
	}
	for name, n := range times {
		if n > 1 {
			want[name].address = 0
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("read the addresses of functions: %w", err)
	}
	return nil
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

// kprobeAt sets a kprobe at an address and runs the program there.
func kprobeAt(address uint64, prog *ebpf.Program) (*perfKprobe, error) {
	b, err := os.ReadFile("/sys/bus/event_source/devices/kprobe/type")
	if err != nil {
		return nil, fmt.Errorf("find the kprobe device: %w", err)
	}
	kind, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil {
		return nil, fmt.Errorf("find the kprobe device: %w", err)
	}
	attr := unix.PerfEventAttr{Type: uint32(kind), Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Ext2: address} // config2: kprobe_addr
	fd, err := unix.PerfEventOpen(&attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("set a kprobe: %w", err)
	}
	p := &perfKprobe{fd: fd}
	err = unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, prog.FD())
	if err == nil {
		err = unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_ENABLE, 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("run a program at a kprobe: %w", err), p.Close())
	}
	return p, nil
}
