// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// icmpFamily is what differs between ping in IPv4 and IPv6.
type icmpFamily struct {
	network, any string
	proto        int
	echo, reply  icmp.Type
	unreachable  byte
}

var (
	icmp4 = icmpFamily{"ip4:icmp", "0.0.0.0", unix.IPPROTO_ICMP, ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply, byte(ipv4.ICMPTypeDestinationUnreachable)}
	icmp6 = icmpFamily{"ip6:ipv6-icmp", "::", unix.IPPROTO_ICMPV6, ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, byte(ipv6.ICMPTypeDestinationUnreachable)}
)

func family(r *Request) *icmpFamily {
	if r.Dst.Addr().Is6() {
		return &icmp6
	}
	return &icmp4
}

// echo is what tells an echo request from all others: a raw socket gets every ICMP message of its namespace.
type echo struct {
	f       *icmpFamily
	dst     netip.Addr
	id, seq uint16
}

// newEcho numbers the first echo at random: the answer to an earlier probe of this process may be late, and programs in other containers have its id.
func newEcho(r *Request) echo {
	return echo{f: family(r), dst: r.Dst.Addr().WithZone(""), id: uint16(os.Getpid()), seq: newID()}
}

// message is the echo with so many bytes of payload.
func (e *echo) message(size int) ([]byte, error) {
	m := icmp.Message{Type: e.f.echo, Body: &icmp.Echo{ID: int(e.id), Seq: int(e.seq), Data: bytes.Repeat([]byte("x"), size)}}
	b, err := m.Marshal(nil)
	if err != nil {
		return nil, fmt.Errorf("make the echo: %w", err)
	}
	return b, nil
}

// is reports whether an ICMP message is this echo or its reply, by the type.
func (e *echo) is(t icmp.Type, b []byte) bool {
	m, err := icmp.ParseMessage(e.f.proto, b)
	if err != nil || m.Type != t {
		return false
	}
	body, ok := m.Body.(*icmp.Echo)
	return ok && body.ID == int(e.id) && body.Seq == int(e.seq)
}

// in reports whether an ICMP error is about this echo.
func (e *echo) in(q quoted) bool {
	return q.proto == e.f.proto && q.dst == e.dst && e.is(e.f.echo, q.body)
}

// sendICMP sends one echo request and waits for its reply or an error about it.
func sendICMP(ctx context.Context, r *Request) (*Result, error) {
	e := newEcho(r)
	local := e.f.any
	if r.Src.IsValid() {
		local = r.Src.String()
	}
	var conn net.PacketConn
	err := netns.Do(r.NetNS, func() (err error) {
		conn, err = net.ListenPacket(e.f.network, local)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	size := max(r.Size, 8)
	b, err := e.message(size)
	if err != nil {
		return nil, err
	}
	res := &Result{Result: NoAnswer, Sent: size}
	if _, err := conn.WriteTo(b, &net.IPAddr{IP: r.Dst.Addr().AsSlice()}); err != nil {
		res.Result, res.Error = outcome(err, false), words(err)
		return res, nil
	}
	e.await(conn, res)
	return res, nil
}

// await reads until the echo is answered, until an error about it comes, or until the connection's deadline.
func (e *echo) await(conn net.PacketConn, res *Result) {
	buf := make([]byte, 65535)
	for {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			res.Error = words(err)
			return
		}
		b := buf[:n]
		switch {
		case e.is(e.f.reply, b):
			res.Result, res.Acked = Connected, true
			return
		case n > 0 && b[0] == e.f.unreachable && e.in(quote(e.f, b)):
			res.Result, res.Error = Unreachable, "destination unreachable"
			return
		}
	}
}
