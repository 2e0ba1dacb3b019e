// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/netns"
)

const (
	leastTCP   = 256                    // packets below it say nothing about a path; TCP_MAXSEG takes no less than 88
	ackWait    = 700 * time.Millisecond // the first retransmission comes after 200 ms (TCP_RTO_MIN in include/net/tcp.h)
	ackPoll    = 5 * time.Millisecond
	maxSegment = 32767 // MAX_TCP_WINDOW in include/net/tcp.h bounds TCP_MAXSEG
	timestamps = 12    // bytes of the option in each packet
)

// climbTCP finds the largest TCP packet that is acknowledged: a connection for each size, whose segments are no larger. The receiver's kernel
// acknowledges, so that the application decides nothing.
func climbTCP(ctx context.Context, r *Request) (*Result, error) {
	m, early, err := r.begin(ctx)
	if m == nil {
		return early, err
	}
	var refused error
	ear := r.listen()
	if ear != nil {
		defer ear.Close()
	}
	try := func(size int) (int, bool, *ICMP, error) {
		s := &segment{r: *r, size: size, ear: ear}
		ok, err := s.send(ctx)
		var se *setupError
		if errors.As(err, &se) {
			return 0, false, nil, se
		}
		if err != nil && len(m.Steps) == 0 {
			refused = err
		} else if err != nil { // a handshake has no large packet: this is no answer about the size
			return 0, false, nil, fmt.Errorf("%w: %s", errStop, words(err))
		}
		return s.size, ok, s.word, nil
	}
	low := min(max(smallest(r.Dst.Addr()), leastTCP), m.DeviceMTU)
	high := min(m.DeviceMTU, maxSegment+(&segment{r: *r}).headers())
	if err := m.climb(ctx, low, high, try); err != nil {
		return nil, err
	}
	if refused != nil && m.Passed == 0 {
		return &Result{Result: outcome(refused, false), Error: words(refused)}, nil
	}
	return m.end(Timeout), nil
}

// segment is one packet of a size on a connection of its own.
type segment struct {
	r    Request
	size int // asked for; afterwards what was sent
	word *ICMP
	ear  net.PacketConn // for ICMP; nil when there is none
}

// listen opens a socket for ICMP errors: TCP keeps them to itself (net/ipv4/tcp_ipv4.c, tcp_v4_err). Without it, who sent one is not told.
func (r *Request) listen() (ear net.PacketConn) {
	f := family(r)
	_ = netns.Do(r.NetNS, func() (err error) {
		ear, err = net.ListenPacket(f.network, f.any)
		return err
	})
	return ear
}

func (s *segment) headers() int {
	if s.r.Dst.Addr().Is6() {
		return 60
	}
	return 40
}

// send connects, sends one full segment and waits until it is acknowledged. An error means that there was no connection.
func (s *segment) send(ctx context.Context) (bool, error) {
	v6 := s.r.Dst.Addr().Is6()
	s.r.control = func(_, _ string, raw syscall.RawConn) error {
		err := dontFragment(raw, v6, unix.IP_PMTUDISC_DO)
		cerr := raw.Control(func(fd uintptr) {
			err = errors.Join(err, unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, s.size-s.headers()))
		})
		if err = errors.Join(err, cerr); err != nil {
			return &setupError{err}
		}
		return nil
	}
	s.r.Sport = 0 // of another connection a moment ago
	begin := now()
	c, err := dial(ctx, &s.r)
	if err != nil {
		return false, err
	}
	conn := c.(*net.TCPConn)
	defer func() { _ = conn.Close() }()
	wait := ackWait + 3*now().Sub(begin)
	raw, err := conn.SyscallConn()
	if err != nil {
		return false, &setupError{err}
	}
	room, err := s.room(raw)
	if err != nil {
		return false, &setupError{err}
	}
	_ = conn.SetDeadline(now().Add(wait))
	if _, err := conn.Write(payload(s.r.Dst.String(), room)[:room]); err != nil {
		return false, nil
	}
	if s.acknowledged(ctx, conn, raw, now().Add(wait)) && s.fits(raw) {
		farewell(conn)
		return true, nil
	}
	if mtu := pathMTU(raw, v6); s.word == nil && mtu > 0 && mtu < s.size { // heard by the kernel, and not by us
		s.word = &ICMP{Type: fragNeeded, MTU: mtu}
	}
	_ = conn.SetLinger(0) // no retransmissions behind the probe
	return false, nil
}

// fits reports whether it was one packet that was acknowledged: a kernel that was told of a smaller MTU meanwhile sends smaller ones.
func (s *segment) fits(raw syscall.RawConn) bool {
	mtu := pathMTU(raw, s.r.Dst.Addr().Is6())
	return mtu == 0 || mtu >= s.size
}

// farewell ends a connection without a reset: what the server has to say about half a request is read first.
func farewell(conn *net.TCPConn) {
	_ = conn.CloseWrite()
	_ = conn.SetReadDeadline(now().Add(leastWait))
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, maxHeader))
}

// room is the payload of one full packet, and sets the size to what that packet has.
func (s *segment) room(raw syscall.RawConn) (room int, err error) {
	options := 0
	cerr := raw.Control(func(fd uintptr) {
		var info *unix.TCPInfo
		if room, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG); err != nil {
			return
		}
		if info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil && info.Options&1 != 0 { // TCPI_OPT_TIMESTAMPS
			options = timestamps
		}
	})
	if err = errors.Join(err, cerr); err == nil && (room <= 0 || room > 65535) {
		err = errors.New("the kernel tells no segment size")
	}
	asked := s.size
	s.size = min(asked, room+options+s.headers())
	if mtu := pathMTU(raw, s.r.Dst.Addr().Is6()); mtu > 0 && mtu < asked && s.size == mtu {
		s.word = &ICMP{Type: fragNeeded, MTU: mtu} // to earlier packets
	}
	return room, err
}

// acknowledged waits until the send queue is empty (tcp(7), SIOCOUTQ).
func (s *segment) acknowledged(ctx context.Context, conn net.Conn, raw syscall.RawConn, until time.Time) bool {
	for {
		left, err := -1, error(nil)
		cerr := raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
		if cerr != nil || err != nil {
			return false
		}
		if left == 0 {
			return true
		}
		if ctx.Err() != nil || now().After(until) {
			return false
		}
		if s.word = s.hear(conn); s.word != nil {
			return false
		}
	}
}

// hear waits a moment for an ICMP error about this connection.
func (s *segment) hear(conn net.Conn) *ICMP {
	if s.ear == nil {
		time.Sleep(ackPoll)
		return nil
	}
	port := conn.LocalAddr().(*net.TCPAddr).Port
	_ = s.ear.SetReadDeadline(now().Add(ackPoll))
	buf := make([]byte, 2048)
	for {
		n, from, err := s.ear.ReadFrom(buf)
		if err != nil {
			return nil
		}
		mtu, about := tooBig(family(&s.r), buf[:n])
		if b := about.body; about.proto == unix.IPPROTO_TCP && len(b) >= 4 && int(binary.BigEndian.Uint16(b)) == port && binary.BigEndian.Uint16(b[2:]) == s.r.Dst.Port() {
			return &ICMP{Type: fragNeeded, MTU: mtu, From: addressOf(from)}
		}
	}
}

// pathMTU is what the kernel believes of the path of a connected socket (ip(7), IP_MTU); 0 when it does not tell.
func pathMTU(raw syscall.RawConn, v6 bool) (mtu int) {
	_ = raw.Control(func(fd uintptr) {
		level, option := unix.IPPROTO_IP, unix.IP_MTU
		if v6 {
			level, option = unix.IPPROTO_IPV6, unix.IPV6_MTU
		}
		if n, err := unix.GetsockoptInt(int(fd), level, option); err == nil {
			mtu = n
		}
	})
	return mtu
}
