// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// ns is one namespace of the lab with its netlink handle.
type ns struct {
	path string
	fd   vns.NsHandle
	nl   *netlink.Handle
}

func openNS(path string) (*ns, error) {
	fd, err := vns.GetFromPath(path)
	if err != nil {
		return nil, fmt.Errorf("open namespace %s: %w", path, err)
	}
	nl, err := netlink.NewHandleAt(fd, unix.NETLINK_ROUTE)
	if err != nil {
		fd.Close()
		return nil, fmt.Errorf("open netlink in %s: %w", path, err)
	}
	return &ns{path: path, fd: fd, nl: nl}, nil
}

func (n *ns) close() {
	n.nl.Close()
	_ = n.fd.Close()
}

// builder makes devices and addresses in namespaces and keeps the first error, so that a topology reads as a list.
type builder struct {
	spaces map[string]*ns
	err    error
}

func (b *builder) do(what string, f func() error) {
	if b.err != nil {
		return
	}
	if err := f(); err != nil {
		b.err = fmt.Errorf("%s: %w", what, err)
	}
}

func (b *builder) link(space, name string) netlink.Link {
	if b.err != nil {
		return nil
	}
	l, err := b.spaces[space].nl.LinkByName(name)
	if err != nil {
		b.err = fmt.Errorf("find %s in %s: %w", name, space, err)
	}
	return l
}

func (b *builder) add(space string, l netlink.Link) {
	b.do("add "+l.Attrs().Name+" in "+space, func() error { return b.spaces[space].nl.LinkAdd(l) })
}

// veth joins two namespaces; neither end is ever in the caller's namespace.
func (b *builder) veth(space, name, peerSpace, peerName string) {
	if b.err != nil {
		return
	}
	v := netlink.NewVeth(netlink.LinkAttrs{Name: name})
	v.PeerName = peerName
	v.PeerNamespace = netlink.NsFd(b.spaces[peerSpace].fd)
	b.add(space, v)
}

func (b *builder) up(space, name string) {
	if l := b.link(space, name); l != nil {
		b.do("set "+name+" up", func() error { return b.spaces[space].nl.LinkSetUp(l) })
	}
}

func (b *builder) mtu(space, name string, mtu int) {
	if l := b.link(space, name); l != nil {
		b.do("set the MTU of "+name, func() error { return b.spaces[space].nl.LinkSetMTU(l, mtu) })
	}
}

func (b *builder) master(space, name, bridge string, hairpin bool) {
	l, m := b.link(space, name), b.link(space, bridge)
	if b.err != nil {
		return
	}
	b.do("put "+name+" on "+bridge, func() error {
		if err := b.spaces[space].nl.LinkSetMaster(l, m); err != nil || !hairpin {
			return err
		}
		return b.spaces[space].nl.LinkSetHairpin(l, true)
	})
}

func (b *builder) address(space, dev string, a netip.Addr, bits int) {
	l := b.link(space, dev)
	if b.err != nil {
		return
	}
	n := &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(bits, a.BitLen())}}
	if a.Is6() {
		n.Flags = unix.IFA_F_NODAD // usable at once
	}
	b.do("add "+a.String()+" to "+dev, func() error { return b.spaces[space].nl.AddrAdd(l, n) })
}

// route adds a route via gw over dev; an invalid dst is the default route.
func (b *builder) route(space, dev string, dst netip.Prefix, gw netip.Addr, onlink bool) {
	l := b.link(space, dev)
	if b.err != nil {
		return
	}
	r := &netlink.Route{LinkIndex: l.Attrs().Index, Gw: gw.AsSlice()}
	if dst.IsValid() {
		r.Dst = &net.IPNet{IP: dst.Addr().AsSlice(), Mask: net.CIDRMask(dst.Bits(), dst.Addr().BitLen())}
	}
	if onlink {
		r.Flags = int(netlink.FLAG_ONLINK)
	}
	b.do(fmt.Sprintf("route %v in %s", dst, space), func() error { return b.spaces[space].nl.RouteAdd(r) })
}

func (b *builder) neighbour(space, dev string, ip netip.Addr, mac net.HardwareAddr, fdbDst netip.Addr) {
	l := b.link(space, dev)
	if b.err != nil {
		return
	}
	n := &netlink.Neigh{LinkIndex: l.Attrs().Index, State: unix.NUD_PERMANENT, HardwareAddr: mac}
	if fdbDst.IsValid() {
		n.Family, n.Flags, n.IP = unix.AF_BRIDGE, unix.NTF_SELF, fdbDst.AsSlice()
	} else {
		n.IP = ip.AsSlice()
	}
	b.do("add a neighbour in "+space, func() error { return b.spaces[space].nl.NeighSet(n) })
}

// sysctl sets kernel settings, "net.ipv4.ip_forward=1", in a namespace. One that the kernel does not have is passed over when it is
// marked so with a leading '?'.
func (b *builder) sysctl(space string, settings ...string) {
	b.do("set sysctls in "+space, func() error {
		return netns.Do(b.spaces[space].path, func() error {
			for _, s := range settings {
				optional := strings.HasPrefix(s, "?")
				name, value, _ := strings.Cut(strings.TrimPrefix(s, "?"), "=")
				err := os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0o644)
				if err != nil && (!optional || !errors.Is(err, os.ErrNotExist)) {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			return nil
		})
	})
}

func (b *builder) close() {
	for _, s := range b.spaces {
		s.close()
	}
}
