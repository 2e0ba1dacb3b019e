// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// kprobe.multi takes names, for which the kernel walks over all its symbols and those of all modules, and expands each: a fifth of a start.
// By address it is quick, and kernels with kprobe.multi find the address of one name in a sorted table (since 6.2; kernel/kallsyms.c).

// symbolRequest is what the looking up program gets and gives: a name with a 0 behind it, then the address.
const (
	symbolName    = 64 // bytes
	symbolRequest = symbolName + 8
)

// lookUp asks the kernel for the addresses of symbols, its own or a module's; those that it does not know are missing. It fails where the kernel
// has no such help (before 5.16), or does not show addresses to this process (kptr_restrict).
func lookUp(names []string) (map[string]uint64, error) {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "nettrace_lookup", Type: ebpf.Syscall, Flags: unix.BPF_F_SLEEPABLE, License: "Dual BSD/GPL", Instructions: lookUpProgram()})
	if err != nil {
		return nil, fmt.Errorf("load the program that looks up symbols: %w", err)
	}
	defer func() { _ = prog.Close() }()
	out := map[string]uint64{}
	for _, name := range names {
		address, err := lookUpOne(prog, name)
		if err != nil {
			return nil, fmt.Errorf("look up %s: %w", name, err)
		}
		if address != 0 {
			out[name] = address
		}
	}
	return out, nil
}

// lookUpProgram copies the name from its argument to its stack, where the help wants it, and the address back.
func lookUpProgram() asm.Instructions {
	const name, address = -symbolRequest, -8 // on the stack
	insns := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	for at := int16(0); at < symbolName; at += 8 {
		insns = append(insns, asm.LoadMem(asm.R1, asm.R6, at, asm.DWord), asm.StoreMem(asm.RFP, name+at, asm.R1, asm.DWord))
	}
	return append(insns,
		asm.Mov.Imm(asm.R3, 0), // flags
		asm.StoreMem(asm.RFP, address, asm.R3, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.RFP),
		asm.Add.Imm(asm.R1, name),
		asm.Mov.Imm(asm.R2, symbolName),
		asm.Mov.Reg(asm.R4, asm.RFP),
		asm.Add.Imm(asm.R4, address),
		asm.FnKallsymsLookupName.Call(),
		asm.LoadMem(asm.R1, asm.RFP, address, asm.DWord),
		asm.StoreMem(asm.R6, symbolName, asm.R1, asm.DWord),
		asm.Return(),
	)
}

func lookUpOne(prog *ebpf.Program, name string) (uint64, error) {
	if len(name) >= symbolName {
		return 0, errors.New("the name is too long")
	}
	request := append([]byte(name), bytes.Repeat([]byte{0}, symbolRequest-len(name))...)
	answer := make([]byte, symbolRequest)
	status, err := prog.Run(&ebpf.RunOptions{Context: request, ContextOut: answer})
	if err != nil {
		return 0, err
	}
	if errno := -int32(status); errno != 0 && unix.Errno(errno) != unix.ENOENT {
		return 0, unix.Errno(errno)
	}
	return binary.NativeEndian.Uint64(answer[symbolName:]), nil
}

// ask takes the addresses of all functions that may be points from the kernel: that also tells which there are, for less than reading the types
// of every module. Where the kernel does not tell, the types do, and functions are attached by name. Asked again it only looks for those that were
// missing: a module may have come.
func (t *types) ask() {
	var names []string
	for i := range Functions {
		if t.addresses[Functions[i].Name] == 0 {
			names = append(names, Functions[i].Name)
		}
	}
	if len(names) == 0 {
		return
	}
	found, err := lookUp(names)
	if err != nil {
		return
	}
	if t.addresses == nil {
		t.addresses = map[string]uint64{}
	}
	maps.Copy(t.addresses, found)
}
