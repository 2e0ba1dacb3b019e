// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/guardian"
	"github.com/nettrace-io/nettrace/internal/netns"
)

// trace is what clsact leaves at a device, and what the guardian is told before it is made.
type trace struct {
	Path   string `json:"path"`   // of the namespace
	Inode  uint32 `json:"inode"`  // of the namespace: the path can come to mean another
	Index  int    `json:"index"`  // of the device
	Handle uint32 `json:"handle"` // of both filters
	Qdisc  bool   `json:"qdisc"`  // the queueing discipline is ours too, or another capture's
}

// The names and the priority of our filters: before all others, because one that decides ends the chain. The second name stands where a capture made
// the queueing discipline: one that finds it inherits the duty to remove it, which the last one does.
const (
	filterName     = "nettrace_pcap"
	withQdisc      = "nettrace_pcap_qdisc"
	filterPriority = 1
)

// sides are clsact's two hooks.
var sides = []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS}

// clsact attaches through filters of a queueing discipline. They do not end with the process, so a guardian watches over it.
type clsact struct {
	programs []*ebpf.Program // as sides
	handle   uint32
	traces   []trace
	guard    *guardian.Guardian
}

func newClsact(in, out *ebpf.Program, guard func() (*exec.Cmd, error)) (*clsact, error) {
	if guard == nil {
		return nil, errors.New("capture through clsact needs a guardian")
	}
	cmd, err := guard()
	if err != nil {
		return nil, fmt.Errorf("start the guardian of the capture: %w", err)
	}
	g, err := guardian.Start(cmd)
	if err != nil {
		return nil, err
	}
	c := &clsact{programs: []*ebpf.Program{in, out}, handle: 0x6e740000 | uint32(os.Getpid())&0xffff, guard: g}
	return c, nil
}

func (c *clsact) attach(ns *where, d *Device) error {
	link, err := ns.nl.LinkByIndex(int(d.Ifindex))
	if err != nil {
		return err
	}
	qdiscs, err := ns.nl.QdiscList(link)
	if err != nil {
		return err
	}
	t := trace{Path: ns.path, Inode: ns.inode, Index: int(d.Ifindex), Handle: c.handle, Qdisc: true}
	there := false
	for _, q := range qdiscs {
		switch q.Type() {
		case "clsact":
			there, t.Qdisc = true, inherited(ns.nl, link)
		case "ingress": // its place is clsact's, and it has no egress
			return errors.New("it has an ingress queueing discipline, beside which clsact has no place")
		}
	}
	if err := c.guard.Tell(t); err != nil {
		return err
	}
	c.traces = append(c.traces, t)
	if !there {
		q := &netlink.GenericQdisc{QdiscType: "clsact", QdiscAttrs: netlink.QdiscAttrs{LinkIndex: t.Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}}
		if err := ns.nl.QdiscAdd(q); err != nil {
			return fmt.Errorf("add a clsact queueing discipline: %w", err)
		}
	}
	for i, parent := range sides {
		if err := ns.nl.FilterAdd(t.filter(parent, c.programs[i].FD())); err != nil {
			return fmt.Errorf("add a filter: %w", err)
		}
	}
	return nil
}

// inherited reports whether a device's clsact was made by another capture, which has not ended yet.
func inherited(nl *netlink.Handle, link netlink.Link) bool {
	for _, parent := range sides {
		filters, err := nl.FilterList(link, parent)
		for _, f := range filters {
			if b, ok := f.(*netlink.BpfFilter); err == nil && ok && b.Name == withQdisc {
				return true
			}
		}
	}
	return false
}

func (t *trace) name() string {
	if t.Qdisc {
		return withQdisc
	}
	return filterName
}

func (t *trace) filter(parent uint32, fd int) *netlink.BpfFilter {
	return &netlink.BpfFilter{Fd: fd, Name: t.name(), DirectAction: true,
		FilterAttrs: netlink.FilterAttrs{LinkIndex: t.Index, Parent: parent, Handle: t.Handle, Priority: filterPriority, Protocol: unix.ETH_P_ALL}}
}

// Close takes the filters away, and then tells the guardian that there is nothing left to do.
func (c *clsact) Close() error {
	err := sweep(c.traces)
	return errors.Join(err, c.guard.End(err == nil))
}

// sweep removes what traces say, as far as it is still there and ours.
func sweep(traces []trace) error {
	byPath := map[string][]trace{}
	for _, t := range traces {
		byPath[t.Path] = append(byPath[t.Path], t)
	}
	var errs []error
	for path, list := range byPath {
		if inode, err := netns.Inode(path); err != nil || inode != list[0].Inode {
			continue // the namespace is gone, its devices with it
		}
		errs = append(errs, netns.Do(path, func() error {
			var errs []error
			for i := range list {
				errs = append(errs, list[i].remove())
			}
			return errors.Join(errs...)
		}))
	}
	return errors.Join(errs...)
}

// remove works in the current namespace.
func (t *trace) remove() error {
	link, err := netlink.LinkByIndex(t.Index)
	if err != nil {
		return nil // the device is gone
	}
	others := 0
	for _, parent := range sides {
		filters, err := netlink.FilterList(link, parent)
		if err != nil {
			continue // there is no such queueing discipline
		}
		for _, f := range filters {
			b, ok := f.(*netlink.BpfFilter)
			if !ok || b.Name != t.name() || b.Handle != t.Handle {
				others++
				continue
			}
			if err := netlink.FilterDel(t.filter(parent, -1)); err != nil {
				return fmt.Errorf("remove the filter of the capture from %s: %w", link.Attrs().Name, err)
			}
		}
	}
	if !t.Qdisc || others > 0 || !hasClsact(link) { // a removal does not say the kind: it would hit an ingress discipline too
		return nil
	}
	q := &netlink.GenericQdisc{QdiscType: "clsact", QdiscAttrs: netlink.QdiscAttrs{LinkIndex: t.Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}}
	if err := netlink.QdiscDel(q); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("remove the clsact queueing discipline from %s: %w", link.Attrs().Name, err)
	}
	return nil
}

func hasClsact(link netlink.Link) bool {
	qdiscs, err := netlink.QdiscList(link)
	for _, q := range qdiscs {
		if err == nil && q.Type() == "clsact" {
			return true
		}
	}
	return false
}
