// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/netns"
)

func now() time.Time { return time.Now() }

// How long a size has for its answer: several round trips of the smallest one, and never less than a busy host takes.
const (
	leastWait  = 250 * time.Millisecond
	mostWait   = 2 * time.Second
	firstWait  = time.Second
	waitRounds = 5
	triesASize = 2 // a single packet may be lost for another reason
)

// climbICMP finds the largest echo that is answered with the don't-fragment bit set.
func climbICMP(ctx context.Context, r *Request) (*Result, error) {
	m, early, err := r.begin(ctx)
	if m == nil {
		return early, err
	}
	e := &echoer{echo: newEcho(r), r: r, header: 28, wait: firstWait}
	if r.Dst.Addr().Is6() {
		e.header = 48
	}
	if err := e.open(); err != nil {
		return nil, err
	}
	defer e.conn.Close()
	low := min(smallest(r.Dst.Addr()), m.DeviceMTU)
	if err := m.climb(ctx, low, m.DeviceMTU, func(size int) (int, bool, *ICMP, error) { return e.try(ctx, size) }); err != nil {
		return nil, err
	}
	return m.end(NoAnswer), nil
}

// echoer sends echo requests of given sizes.
type echoer struct {
	echo   // the last one
	r      *Request
	conn   net.PacketConn
	header int // bytes of IP and ICMP
	wait   time.Duration
}

func (e *echoer) open() error {
	local := e.f.any
	if e.r.Src.IsValid() {
		local = e.r.Src.String()
	}
	return netns.Do(e.r.NetNS, func() (err error) {
		if e.conn, err = net.ListenPacket(e.f.network, local); err != nil {
			return err
		}
		raw, err := e.conn.(syscall.Conn).SyscallConn()
		if err != nil {
			return err
		}
		return dontFragment(raw, e.r.Dst.Addr().Is6(), unix.IP_PMTUDISC_PROBE)
	})
}

// dontFragment sets the don't-fragment bit (ip(7), IP_MTU_DISCOVER; the values for IPv6 are the same). IP_PMTUDISC_PROBE has the kernel ignore
// what it knows of the path; TCP sets the bit with IP_PMTUDISC_DO only (ip_dont_fragment in include/net/ip.h).
func dontFragment(raw syscall.RawConn, v6 bool, how int) (err error) {
	if cerr := raw.Control(func(fd uintptr) {
		if v6 {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, how)
			return
		}
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, how)
	}); cerr != nil {
		return cerr
	}
	return err
}

func (e *echoer) try(ctx context.Context, size int) (int, bool, *ICMP, error) {
	for range triesASize {
		begin := now()
		ok, word, err := e.once(ctx, size)
		if ok && e.wait == firstWait {
			e.wait = min(max(waitRounds*now().Sub(begin), leastWait), mostWait)
		}
		if ok || word != nil || err != nil {
			return size, ok, word, err
		}
	}
	return size, false, nil, nil
}

func (e *echoer) once(ctx context.Context, size int) (bool, *ICMP, error) {
	e.seq++
	b, err := e.message(max(size-e.header, 0))
	if err != nil {
		return false, nil, err
	}
	until := now().Add(e.wait)
	if d, ok := ctx.Deadline(); ok && d.Before(until) {
		until = d
	}
	_ = e.conn.SetDeadline(until)
	stop := context.AfterFunc(ctx, func() { _ = e.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := e.conn.WriteTo(b, &net.IPAddr{IP: e.r.Dst.Addr().AsSlice()}); err != nil {
		if errors.Is(err, unix.EMSGSIZE) {
			return false, &ICMP{Type: localMTU}, nil
		}
		return false, nil, nil // the outcome of the smallest one tells
	}
	return e.answer()
}

// answer waits for the reply, or for the word of somebody who did not take the packet.
func (e *echoer) answer() (bool, *ICMP, error) {
	buf := make([]byte, 65535)
	for {
		n, from, err := e.conn.ReadFrom(buf)
		if err != nil {
			return false, nil, nil
		}
		if e.is(e.f.reply, buf[:n]) {
			return true, nil, nil
		}
		if mtu, about := tooBig(e.f, buf[:n]); e.in(about) {
			return false, &ICMP{Type: fragNeeded, MTU: mtu, From: addressOf(from)}, nil
		}
	}
}

func addressOf(a net.Addr) string {
	if i, ok := a.(*net.IPAddr); ok {
		if ip, ok := netip.AddrFromSlice(i.IP); ok {
			return ip.Unmap().String()
		}
	}
	return ""
}
