// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"net"
	"os"
	"strings"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// icmpFamily is what differs between ping in IPv4 and IPv6.
type icmpFamily struct {
	network, any string
	proto        int
	echo, reply  icmp.Type
	unreachable  icmp.Type
}

var (
	icmp4 = icmpFamily{"ip4:icmp", "0.0.0.0", 1, ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply, ipv4.ICMPTypeDestinationUnreachable}
	icmp6 = icmpFamily{"ip6:ipv6-icmp", "::", 58, ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, ipv6.ICMPTypeDestinationUnreachable}
)

func family(r *Request) *icmpFamily {
	if r.Dst.Addr().Is6() {
		return &icmp6
	}
	return &icmp4
}

// sendICMP sends one echo request and waits for its reply or an error about it.
func sendICMP(ctx context.Context, r *Request) (*Result, error) {
	f := family(r)
	local := f.any
	if r.Src.IsValid() {
		local = r.Src.String()
	}
	var conn *icmp.PacketConn
	err := netns.Do(r.NetNS, func() (err error) {
		conn, err = icmp.ListenPacket(f.network, local)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	id := os.Getpid() & 0xffff
	size := max(r.Size, 8)
	msg := icmp.Message{Type: f.echo, Body: &icmp.Echo{ID: id, Seq: 1, Data: []byte(strings.Repeat("x", size))}}
	b, err := msg.Marshal(nil)
	if err != nil {
		return nil, err
	}
	res := &Result{Result: NoAnswer, Sent: size}
	if _, err := conn.WriteTo(b, &net.IPAddr{IP: r.Dst.Addr().AsSlice()}); err != nil {
		res.Result, res.Error = outcome(err, false), words(err)
		return res, nil
	}
	return awaitEcho(conn, f, id, res), nil
}

func awaitEcho(conn *icmp.PacketConn, f *icmpFamily, id int, res *Result) *Result {
	buf := make([]byte, 65535)
	for {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			res.Error = words(err)
			return res
		}
		m, err := icmp.ParseMessage(f.proto, buf[:n])
		if err != nil {
			continue
		}
		switch body := m.Body.(type) {
		case *icmp.Echo:
			if m.Type == f.reply && body.ID == id {
				res.Result, res.Acked = Connected, true
				return res
			}
		case *icmp.DstUnreach:
			if m.Type == f.unreachable {
				res.Result, res.Error = Unreachable, "destination unreachable"
				return res
			}
		}
	}
}
