// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// rival makes a race certain to be lost: "@rival QUEUE ADDRESS:PORT". The first UDP packet that a rule sends to the queue waits there,
// translated and not yet in the conntrack table. Meanwhile a connection of the same socket to the other address is entered, with the same
// replies; then the packet goes on. It lasts as long as this process.
const rival = "@rival "

// Messages of nfnetlink_queue (include/uapi/linux/netfilter/nfnetlink_queue.h). The library that is usual for them cannot be had everywhere,
// and this is all that the lab needs of them.
const (
	queuePacket  = unix.NFNL_SUBSYS_QUEUE << 8 // message 0
	queueVerdict = unix.NFNL_SUBSYS_QUEUE<<8 | 1
	queueConfig  = unix.NFNL_SUBSYS_QUEUE<<8 | 2

	attrConfigCommand, attrConfigParams = 1, 2
	attrHeader, attrVerdict, attrData   = 1, 2, 10

	commandBind, copyPacket, accept = 1, 2, 1
)

// rivalQueue answers for the packets of one queue.
type rivalQueue struct {
	s      *nl.NetlinkSocket
	number uint16
	enter  func(src, dst netip.AddrPort) error
}

// newRival starts to answer in the namespace of the calling thread.
func newRival(args string) (io.Closer, error) {
	number, address, _ := strings.Cut(strings.TrimSpace(args), " ")
	n, err := strconv.ParseUint(number, 10, 16)
	to, err2 := netip.ParseAddrPort(strings.TrimSpace(address))
	if err != nil || err2 != nil || !to.Addr().Is4() {
		return nil, fmt.Errorf("%q is not of the form 'QUEUE ADDRESS:PORT'", args)
	}
	space, err := vns.Get()
	if err != nil {
		return nil, fmt.Errorf("open the namespace: %w", err)
	}
	defer func() { _ = space.Close() }()
	table, err := netlink.NewHandleAt(space, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("open the conntrack table: %w", err)
	}
	s, err := nl.Subscribe(unix.NETLINK_NETFILTER)
	if err != nil {
		table.Close()
		return nil, fmt.Errorf("open a netfilter queue: %w", err)
	}
	q := &rivalQueue{s: s, number: uint16(n), enter: func(src, dst netip.AddrPort) error { return enterRival(table, src, dst, to) }}
	if err := q.bind(); err != nil {
		s.Close()
		table.Close()
		return nil, fmt.Errorf("read netfilter queue %d: %w", n, err)
	}
	go func() {
		defer table.Close()
		q.answer()
	}()
	return q, nil
}

// Close implements io.Closer.
func (q *rivalQueue) Close() error {
	q.s.Close()
	return nil
}

// enterRival puts the rival of src → dst into the table: the same socket's connection to another address, which leads to the same dst.
func enterRival(table *netlink.Handle, src, dst, to netip.AddrPort) error {
	err := table.ConntrackCreate(netlink.ConntrackTable, unix.AF_INET, &netlink.ConntrackFlow{
		FamilyType: unix.AF_INET, TimeOut: 30,
		Forward: netlink.IPTuple{Protocol: unix.IPPROTO_UDP, SrcIP: src.Addr().AsSlice(), SrcPort: src.Port(), DstIP: to.Addr().AsSlice(), DstPort: to.Port()},
		Reverse: netlink.IPTuple{Protocol: unix.IPPROTO_UDP, SrcIP: dst.Addr().AsSlice(), SrcPort: dst.Port(), DstIP: src.Addr().AsSlice(), DstPort: src.Port()},
	})
	if err != nil {
		return fmt.Errorf("enter the rival: %w", err)
	}
	return nil
}

func (q *rivalQueue) bind() error {
	command := []byte{commandBind, 0, 0, 0}
	binary.BigEndian.PutUint16(command[2:], unix.AF_INET)
	params := []byte{0, 0, 0xff, 0xff, copyPacket}
	if err := q.ask(attrConfigCommand, command); err != nil { // first: a queue that nobody reads takes no settings
		return err
	}
	return q.ask(attrConfigParams, params)
}

// ask sets something up and waits until the kernel has done it.
func (q *rivalQueue) ask(attr int, value []byte) error {
	if err := q.send(queueConfig, unix.NLM_F_ACK, attr, value); err != nil {
		return err
	}
	for {
		messages, _, err := q.s.Receive()
		if err != nil {
			return err
		}
		for _, m := range messages {
			if m.Header.Type != unix.NLMSG_ERROR {
				continue
			}
			if len(m.Data) < 4 {
				return errors.New("an answer without a number")
			}
			if errno := -int32(binary.NativeEndian.Uint32(m.Data)); errno != 0 {
				return unix.Errno(errno)
			}
			return nil
		}
	}
}

func (q *rivalQueue) send(kind, flags, attr int, value []byte) error {
	r := nl.NewNetlinkRequest(kind, flags)
	r.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_INET, ResId: swap(q.number)})
	r.AddData(nl.NewRtAttr(attr, value))
	return q.s.Send(r)
}

// swap puts a number into network byte order in memory.
func swap(n uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], n)
	return binary.NativeEndian.Uint16(b[:])
}

// answer lets every packet go on, the first one after its rival. It ends when the socket is closed.
func (q *rivalQueue) answer() {
	entered := false
	for {
		messages, _, err := q.s.Receive()
		if errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EBADF) || errors.Is(err, syscall.EINVAL) {
			return
		}
		for _, m := range messages {
			if m.Header.Type != queuePacket {
				continue
			}
			id, src, dst, ok := parseQueued(m.Data)
			if !ok {
				continue
			}
			if !entered && src.IsValid() {
				entered = q.enter(src, dst) == nil
			}
			verdict := make([]byte, 8)
			binary.BigEndian.PutUint32(verdict, accept)
			binary.BigEndian.PutUint32(verdict[4:], id)
			if q.send(queueVerdict, 0, attrVerdict, verdict) != nil {
				return
			}
		}
	}
}

// parseQueued reads a packet's number and, of UDP over IPv4, its addresses.
func parseQueued(b []byte) (id uint32, src, dst netip.AddrPort, ok bool) {
	if len(b) < nl.SizeofNfgenmsg {
		return 0, src, dst, false
	}
	attrs, err := nl.ParseRouteAttr(b[nl.SizeofNfgenmsg:])
	if err != nil {
		return 0, src, dst, false
	}
	for _, a := range attrs {
		switch a.Attr.Type & nl.NLA_TYPE_MASK {
		case attrHeader:
			if len(a.Value) >= 4 {
				id, ok = binary.BigEndian.Uint32(a.Value), true
			}
		case attrData:
			src, dst = udpEnds(a.Value)
		}
	}
	return id, src, dst, ok
}

func udpEnds(p []byte) (src, dst netip.AddrPort) {
	if len(p) < 20 || p[0]>>4 != 4 || p[9] != unix.IPPROTO_UDP {
		return src, dst
	}
	head := int(p[0]&0xf) * 4
	if head < 20 || len(p) < head+4 {
		return src, dst
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[12:16])), binary.BigEndian.Uint16(p[head:])),
		netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[16:20])), binary.BigEndian.Uint16(p[head+2:]))
}
