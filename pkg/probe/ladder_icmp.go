// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
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
	e := &echoer{r: r, f: &icmp4, header: 28, wait: firstWait}
	if r.Dst.Addr().Is6() {
		e.f, e.header = &icmp6, 48
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
	r      *Request
	f      *icmpFamily
	conn   net.PacketConn
	header int // bytes of IP and ICMP
	seq    int
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
	id := os.Getpid() & 0xffff
	msg := icmp.Message{Type: e.f.echo, Body: &icmp.Echo{ID: id, Seq: e.seq, Data: bytes.Repeat([]byte("x"), max(size-e.header, 0))}}
	b, err := msg.Marshal(nil)
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
	return e.await(id)
}

func (e *echoer) await(id int) (bool, *ICMP, error) {
	buf := make([]byte, 65535)
	for {
		n, from, err := e.conn.ReadFrom(buf)
		if err != nil {
			return false, nil, nil
		}
		if echoReply(e.f, buf[:n], id, e.seq) {
			return true, nil, nil
		}
		if mtu, echo := tooBig(e.f, buf[:n]); len(echo) >= 8 && int(binary.BigEndian.Uint16(echo[4:])) == id && int(binary.BigEndian.Uint16(echo[6:])) == e.seq&0xffff {
			return false, &ICMP{Type: fragNeeded, MTU: mtu, From: addressOf(from)}, nil
		}
	}
}

func echoReply(f *icmpFamily, b []byte, id, seq int) bool {
	m, err := icmp.ParseMessage(f.proto, b)
	if err != nil || m.Type != f.reply {
		return false
	}
	e, ok := m.Body.(*icmp.Echo)
	return ok && e.ID == id && e.Seq == seq
}

func addressOf(a net.Addr) string {
	if i, ok := a.(*net.IPAddr); ok {
		if ip, ok := netip.AddrFromSlice(i.IP); ok {
			return ip.Unmap().String()
		}
	}
	return ""
}

// tooBig reads "fragmentation needed" (RFC 1191, section 4) or "packet too big" (RFC 4443, 3.2): the MTU that it tells and what it returns of
// the packet, from behind its IP header. What it is about is nil when the message is another one.
func tooBig(f *icmpFamily, b []byte) (mtu int, about []byte) {
	if len(b) < 9 {
		return 0, nil
	}
	inner, header, told := b[8:], 40, binary.BigEndian.Uint32(b[4:])
	switch {
	case f.proto == 1 && b[0] == 3 && b[1] == 4:
		told &= 0xffff
		header = int(inner[0]&0xf) * 4
	case f.proto == 58 && b[0] == 2:
	default:
		return 0, nil
	}
	if header < 20 || len(inner) < header {
		return 0, nil
	}
	return int(min(told, 65535)), inner[header:]
}
