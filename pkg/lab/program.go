// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// The steps of a case that no command of the usual tools can make without a compiler: programs that drop every IPv4 packet. They stay
// attached without this process, as those of a CNI plugin do, and go with the namespace.
const (
	tcDrop  = "@tc-drop "  // at the ingress of a device, in a clsact
	xdpDrop = "@xdp-drop " // at a device, in the kernel's generic mode
)

// Returned by programs (include/uapi/linux/pkt_cls.h, bpf.h).
const (
	tcActShot = 2
	xdpPass   = 2
	xdpDrops  = 1
)

// program makes a step that starts with '@'.
func (l *Lab) program(space, command string) error {
	return netns.Do(l.Path(space), func() error {
		var attach func(netlink.Link) error
		dev := ""
		switch {
		case strings.HasPrefix(command, tcDrop):
			dev, attach = strings.TrimPrefix(command, tcDrop), attachTC
		case strings.HasPrefix(command, xdpDrop):
			dev, attach = strings.TrimPrefix(command, xdpDrop), attachXDP
		case strings.HasPrefix(command, rival):
			c, err := newRival(strings.TrimPrefix(command, rival))
			if err == nil {
				l.keep(c)
			}
			return err
		default:
			return fmt.Errorf("%q is none of %q and %q with a device, and %q with a queue and an address", command, strings.TrimSpace(tcDrop), strings.TrimSpace(xdpDrop), strings.TrimSpace(rival))
		}
		link, err := netlink.LinkByName(strings.TrimSpace(dev))
		if err != nil {
			return fmt.Errorf("find %s: %w", dev, err)
		}
		return attach(link)
	})
}

func attachTC(link netlink.Link) error {
	const ethIPv4 = 0x0008 // skb->protocol is in network byte order
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "lab_tc_drop", Type: ebpf.SchedCLS, License: "Apache-2.0", Instructions: asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 16, asm.Word), // struct __sk_buff, protocol
		asm.Mov.Imm(asm.R0, -1),                   // TC_ACT_UNSPEC: go on
		asm.JNE.Imm(asm.R2, ethIPv4, "out"),
		asm.Mov.Imm(asm.R0, tcActShot),
		asm.Return().WithSymbol("out"),
	}})
	if err != nil {
		return fmt.Errorf("load the dropping program: %w", err)
	}
	defer func() { _ = p.Close() }()
	index := link.Attrs().Index
	q := &netlink.GenericQdisc{QdiscType: "clsact", QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}}
	if err := netlink.QdiscAdd(q); err != nil {
		return fmt.Errorf("add clsact: %w", err)
	}
	f := &netlink.BpfFilter{Fd: p.FD(), Name: "lab_tc_drop", DirectAction: true,
		FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Protocol: unix.ETH_P_ALL, Priority: 1}}
	if err := netlink.FilterAdd(f); err != nil {
		return fmt.Errorf("add the dropping filter: %w", err)
	}
	return nil
}

func attachXDP(link netlink.Link) error {
	const ethIPv4 = 0x0008
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "lab_xdp_drop", Type: ebpf.XDP, License: "Apache-2.0", Instructions: asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), // struct xdp_md, data
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word), // data_end
		asm.Mov.Imm(asm.R0, xdpPass),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, 14),
		asm.JGT.Reg(asm.R4, asm.R3, "out"),
		asm.LoadMem(asm.R5, asm.R2, 12, asm.Half),
		asm.JNE.Imm(asm.R5, ethIPv4, "out"),
		asm.Mov.Imm(asm.R0, xdpDrops),
		asm.Return().WithSymbol("out"),
	}})
	if err != nil {
		return fmt.Errorf("load the dropping program: %w", err)
	}
	defer func() { _ = p.Close() }()
	const generic = 1 << 1 // XDP_FLAGS_SKB_MODE (include/uapi/linux/if_link.h)
	if err := netlink.LinkSetXdpFdWithFlags(link, p.FD(), generic); err != nil {
		return fmt.Errorf("attach the dropping program: %w", err)
	}
	return nil
}
