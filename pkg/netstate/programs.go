// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// Where programs of tc and XDP sit at a device.
const (
	HookIngress = "tc ingress"
	HookEgress  = "tc egress"
	HookXDP     = "xdp"
)

// Program is an eBPF program at a device, or another filter of tc.
type Program struct {
	Hook string `json:"hook"` // one of the above
	// Name is the program's name in the kernel, at most 15 bytes of whatever its owner called it: escape it before a terminal. For a filter that is
	// no program it is its kind: u32, flower, matchall.
	Name string `json:"name,omitempty"`
	ID   uint32 `json:"id,omitempty"` // of the program, as bpftool shows it
}

// String is "cil_from_contai (id 42)".
func (p Program) String() string {
	if p.ID == 0 {
		return cmp.Or(p.Name, "filter")
	}
	return fmt.Sprintf("%s (id %d)", cmp.Or(p.Name, "program"), p.ID)
}

// maxPrograms bounds what is kept of one device.
const maxPrograms = 64

// filters reads what is attached to the devices through clsact, the older way; it works through the namespace's netlink handle.
func (r *reader) filters() {
	for i := range r.n.Links {
		l := &r.n.Links[i]
		if l.XDP != 0 {
			l.Programs = append(l.Programs, Program{Hook: HookXDP, ID: l.XDP, Name: programName(l.XDP)})
		}
		if !l.Ingress {
			continue
		}
		dev := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: l.Index, Name: l.Name}}
		for _, at := range []struct {
			hook   string
			parent uint32
		}{{HookIngress, netlink.HANDLE_MIN_INGRESS}, {HookEgress, netlink.HANDLE_MIN_EGRESS}} {
			list, err := r.nl.FilterList(dev, at.parent)
			if err != nil && at.hook == HookIngress { // a discipline 'ingress' has no egress
				r.unread("the tc filters of "+l.Name, err)
			}
			for _, f := range list[:min(len(list), maxPrograms)] {
				p := Program{Hook: at.hook, Name: f.Type()}
				if b, ok := f.(*netlink.BpfFilter); ok {
					p.ID, p.Name = uint32(b.Id), b.Name
					p.Name = cmp.Or(programName(p.ID), p.Name)
				}
				l.Programs = append(l.Programs, p)
			}
		}
	}
}

// tcx reads what is attached the way of 6.6 and newer; it works on a thread inside the namespace. A kernel that does not know it has none.
func (r *reader) tcx() {
	for i := range r.n.Links {
		l := &r.n.Links[i]
		for hook, attach := range map[string]ebpf.AttachType{HookIngress: ebpf.AttachTCXIngress, HookEgress: ebpf.AttachTCXEgress} {
			res, err := link.QueryPrograms(link.QueryOptions{Target: l.Index, Attach: attach})
			if err != nil {
				return // older kernels, or no privilege: then what drops is known by its hook only
			}
			for _, p := range res.Programs[:min(len(res.Programs), maxPrograms)] {
				l.Programs = append(l.Programs, Program{Hook: hook, ID: uint32(p.ID), Name: programName(uint32(p.ID))})
			}
		}
	}
}

// programName asks the kernel for a program's name; "" when it is gone or may not be asked.
func programName(id uint32) string {
	if id == 0 {
		return ""
	}
	p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return ""
	}
	defer func() { _ = p.Close() }()
	info, err := p.Info()
	if err != nil {
		return ""
	}
	return info.Name
}

// ProgramsAt are those at one hook of a device; none of a nil device.
func (l *Link) ProgramsAt(hook string) []Program {
	var out []Program
	if l != nil {
		for _, p := range l.Programs {
			if p.Hook == hook {
				out = append(out, p)
			}
		}
	}
	return out
}
