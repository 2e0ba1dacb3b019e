// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/netns"
)

func pass(t *testing.T, kind ebpf.ProgramType, name string) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: kind, License: "Apache-2.0", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// Topology: a device in a namespace with a program of each kind. Action: read it. Expectation: each with its hook and name, and none at a device
// beside it.
func TestProgramsAreReadByName(t *testing.T) {
	ref := spaces(t, "netstate-prog", 1)[0]
	cls, tcxProgram, xdp := pass(t, ebpf.SchedCLS, "by_clsact"), pass(t, ebpf.SchedCLS, "by_tcx"), pass(t, ebpf.XDP, "by_xdp")
	hasTCX := true
	err := netns.Do(ref.Path, func() error {
		for _, name := range []string{"br0", "br1"} {
			if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}); err != nil {
				return err
			}
		}
		l, err := netlink.LinkByName("br0")
		if err != nil {
			return err
		}
		i := l.Attrs().Index
		q := &netlink.GenericQdisc{QdiscType: "clsact", QdiscAttrs: netlink.QdiscAttrs{LinkIndex: i, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}}
		f := &netlink.BpfFilter{Fd: cls.FD(), Name: "in the filter", DirectAction: true, FilterAttrs: netlink.FilterAttrs{LinkIndex: i, Parent: netlink.HANDLE_MIN_EGRESS, Handle: 1, Protocol: unix.ETH_P_ALL, Priority: 1}}
		if err := errors.Join(netlink.QdiscAdd(q), netlink.FilterAdd(f), netlink.LinkSetXdpFdWithFlags(l, xdp.FD(), 2)); err != nil { // 2: generic mode
			return err
		}
		at, err := link.AttachTCX(link.TCXOptions{Interface: i, Program: tcxProgram, Attach: ebpf.AttachTCXIngress})
		if errors.Is(err, link.ErrNotSupported) {
			hasTCX = false
			return nil
		}
		if err == nil {
			t.Cleanup(func() { _ = at.Close() })
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	n := &Read(context.Background(), []Ref{ref}).Namespaces[0]
	if len(n.Unread) > 0 {
		t.Errorf("unread: %q", n.Unread)
	}
	id := func(p *ebpf.Program) uint32 {
		info, err := p.Info()
		if err != nil {
			t.Fatal(err)
		}
		v, _ := info.ID()
		return uint32(v)
	}
	l := n.Link("br0")
	want := map[string][]Program{HookXDP: {{HookXDP, "by_xdp", id(xdp)}}, HookEgress: {{HookEgress, "by_clsact", id(cls)}}, HookIngress: nil}
	if hasTCX {
		want[HookIngress] = []Program{{HookIngress, "by_tcx", id(tcxProgram)}}
	}
	for hook, programs := range want {
		if got := l.ProgramsAt(hook); !reflect.DeepEqual(got, programs) {
			t.Errorf("%s: %v, want %v", hook, got, programs)
		}
	}
	if got := n.Link("br1").Programs; len(got) > 0 {
		t.Errorf("the device beside it has %v", got)
	}
	if got := programName(1 << 30); got != "" {
		t.Errorf("a program that is not there is called %q", got)
	}
	if got := n.Link("nothing").ProgramsAt(HookXDP); got != nil {
		t.Errorf("a device that is not there has %v", got)
	}
	for p, want := range map[Program]string{{}: "filter", {Name: "u32"}: "u32", {ID: 3}: "program (id 3)", {ID: 3, Name: "x"}: "x (id 3)"} {
		if p.String() != want {
			t.Errorf("%+v is %q, want %q", p, p.String(), want)
		}
	}
}
