// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// attacher puts the two programs at a device of the namespace that the calling thread is in. Close takes all of them away.
type attacher interface {
	attach(ns *where, d *Device) error
	io.Closer
}

// where is a namespace while something is attached in it.
type where struct {
	path  string
	inode uint32
	nl    *netlink.Handle
}

// attachAll attaches at every device of every namespace and returns the devices. ebpf.ErrNotSupported ends it at once.
func attachAll(a attacher, o *Options) ([]Device, error) {
	var all []Device
	var first error
	missed := 0
	for _, n := range o.Namespaces {
		inode, err := netns.Inode(n.Path)
		if err == nil {
			err = netns.Do(n.Path, func() error {
				done, failed, err := attachIn(a, &where{path: n.Path, inode: inode}, n.Label)
				all = append(all, done...)
				missed += failed
				return err
			})
		}
		if errors.Is(err, ebpf.ErrNotSupported) {
			return nil, err
		}
		if err != nil && first == nil {
			first = fmt.Errorf("%s: %w", n.Label, err)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("--pcap found no device to capture at: %w", errors.Join(first, errNoDevice))
	}
	if first != nil && o.Warn != nil {
		o.Warn(fmt.Sprintf("--pcap does not capture everywhere (%d devices are missing): %v", missed, first))
	}
	return all, nil
}

var errNoDevice = errors.New("name namespaces with --scope that have devices")

// attachIn attaches at the devices of the current namespace. A device that fails is counted; the first reason is returned.
func attachIn(a attacher, ns *where, label string) (done []Device, failed int, err error) {
	if ns.nl, err = netlink.NewHandle(); err != nil {
		return nil, 0, fmt.Errorf("open netlink: %w", err)
	}
	defer ns.nl.Close()
	links, err := ns.nl.LinkList()
	if err != nil {
		return nil, 0, fmt.Errorf("list devices: %w", err)
	}
	for _, l := range links {
		at := l.Attrs()
		d := Device{NetNS: ns.inode, Ifindex: uint32(at.Index), Name: at.Name, Kind: kindOf(l), Label: label + " " + at.Name,
			Raw: at.EncapType != "ether" && at.EncapType != "loopback"}
		if e := a.attach(ns, &d); errors.Is(e, ebpf.ErrNotSupported) {
			return nil, 0, e
		} else if e != nil {
			failed++
			if err == nil {
				err = fmt.Errorf("capture at %s: %w", at.Name, e)
			}
			continue
		}
		done = append(done, d)
	}
	return done, failed, err
}

// kindOf names the kind of a device as the tracer does.
func kindOf(l netlink.Link) string {
	switch {
	case l.Attrs().Flags&net.FlagLoopback != 0:
		return "loopback"
	case l.Type() == "device":
		return "phys"
	}
	return l.Type()
}

// tcx attaches through links that end with the process (Linux 6.6, e420bed02507).
type tcx struct {
	in, out *ebpf.Program
	links   []link.Link
}

func (t *tcx) attach(_ *where, d *Device) error {
	for program, side := range map[*ebpf.Program]ebpf.AttachType{t.in: ebpf.AttachTCXIngress, t.out: ebpf.AttachTCXEgress} {
		// first, because a program that decides ends the chain
		l, err := link.AttachTCX(link.TCXOptions{Interface: int(d.Ifindex), Program: program, Attach: side, Anchor: link.Head()})
		if err != nil {
			return err
		}
		t.links = append(t.links, l)
	}
	return nil
}

// Close detaches side by side: each detachment waits for the processors to leave the program.
func (t *tcx) Close() error {
	errs := make([]error, len(t.links))
	var wg sync.WaitGroup
	for i, l := range t.links {
		wg.Go(func() { errs[i] = l.Close() })
	}
	wg.Wait()
	t.links = nil
	return errors.Join(errs...)
}
