// SPDX-License-Identifier: Apache-2.0

package ruletrace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// receiveBuffer is what the kernel may keep for us, in bytes; a record takes about 500.
const receiveBuffer = 16 << 20

// socket is a netlink socket of one namespace that trace records come from.
type socket struct {
	conn *netlink.Conn
	fd   int
}

// dial opens a netfilter socket in the current thread's namespace.
func dial() (*socket, error) {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, err
	}
	s := &socket{conn: c}
	raw, err := c.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { s.fd = int(fd) })
	}
	if err == nil {
		err = c.SetReadBuffer(receiveBuffer)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return s, nil
}

func (s *socket) close() error {
	if s == nil {
		return nil
	}
	return s.conn.Close()
}

// listenNFT hears nftables' trace events in the current thread's namespace.
func listenNFT() (*socket, error) {
	s, err := dial()
	if err != nil {
		return nil, err
	}
	if err := s.conn.JoinGroup(unix.NFNLGRP_NFTRACE); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// Attributes of NFULNL_MSG_CONFIG: enum nfulnl_attr_config, and their values (include/uapi/linux/netfilter/nfnetlink_log.h).
const (
	nfulaCfgCmd     = 1
	nfulaCfgMode    = 2
	nfulaCfgTimeout = 4
	nfulaCfgQThresh = 5

	nfulnlMsgPacket  = 0
	nfulnlMsgConfig  = 1
	nfulnlCmdBind    = 1
	nfulnlCopyPacket = 2
)

// copyRange is how many bytes of a logged packet are asked for: the headers.
const copyRange = 128

// listenLog binds log group 0 of the current thread's namespace, to which TRACE records go, and asks for each record at once. The kernel
// gives a group to one socket: it is EPERM for a second one.
func listenLog() (*socket, error) {
	s, err := dial()
	if err != nil {
		return nil, err
	}
	ae := netlink.NewAttributeEncoder()
	ae.ByteOrder = binary.BigEndian
	ae.Uint8(nfulaCfgCmd, nfulnlCmdBind)
	ae.Bytes(nfulaCfgMode, append(be(copyRange), nfulnlCopyPacket, 0))
	ae.Uint32(nfulaCfgTimeout, 1)
	ae.Uint32(nfulaCfgQThresh, 1)
	attrs, err := ae.Encode()
	if err == nil {
		_, err = s.conn.Execute(netlink.Message{
			Header: netlink.Header{Type: unix.NFNL_SUBSYS_ULOG<<8 | nfulnlMsgConfig, Flags: netlink.Request | netlink.Acknowledge},
			Data:   append([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0}, attrs...),
		})
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func be(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// maxDatagrams bounds what one reading takes from a socket; the rest is left for the next.
const maxDatagrams = 10000

// read takes what waits in the socket and hands on each netlink message. lost is true when the kernel had to throw records away: then the
// socket is empty behind what was read, because the kernel adds nothing before that.
func (s *socket) read(buf []byte, each func(kind uint16, payload []byte)) (lost bool, err error) {
	for range maxDatagrams {
		n, _, err := unix.Recvfrom(s.fd, buf, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return lost, nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS):
			lost = true
			continue
		case err != nil:
			return lost, fmt.Errorf("read trace records: %w", err)
		case n > len(buf):
			lost = true
			continue
		}
		msgs, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			lost = true
			continue
		}
		for i := range msgs {
			each(msgs[i].Header.Type, msgs[i].Data)
		}
	}
	return lost, nil
}
