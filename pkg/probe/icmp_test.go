// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"testing"
)

// mail is a socket that has got messages, and gets no more.
type mail struct {
	net.PacketConn
	messages [][]byte
}

func (m *mail) ReadFrom(b []byte) (int, net.Addr, error) {
	if len(m.messages) == 0 {
		return 0, nil, os.ErrDeadlineExceeded
	}
	n := copy(b, m.messages[0])
	m.messages = m.messages[1:]
	return n, &net.IPAddr{}, nil
}

// ip4 and ip6 put a packet of a protocol behind an IP header.
func ip4(proto byte, dst string, packet []byte) []byte {
	h := append([]byte{0x45, 0, 0, byte(20 + len(packet)), 0, 0, 0, 0, 64, proto, 0, 0, 192, 0, 2, 1}, netip.MustParseAddr(dst).AsSlice()...)
	return append(h, packet...)
}

func ip6(next byte, dst string, packet []byte) []byte {
	h := append([]byte{0x60, 0, 0, 0, 0, byte(len(packet)), next, 64}, netip.MustParseAddr("2001:db8::1").AsSlice()...)
	return append(append(h, netip.MustParseAddr(dst).AsSlice()...), packet...)
}

// ping is an ICMP echo of a type.
func ping(kind byte, id, seq uint16) []byte {
	b := []byte{kind, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, id)
	return append(binary.BigEndian.AppendUint16(b, seq), "xxxxxxxx"...)
}

func icmpErr(kind, code byte, about []byte) []byte {
	return append([]byte{kind, code, 0, 0, 0, 0, 0, 0}, about...)
}

// A raw socket gets what all programs of the namespace get: only what is about its own echo ends a probe.
func TestEchoesAreToldApart(t *testing.T) {
	const v4, v6, other4, other6 = "192.0.2.7", "2001:db8::7", "192.0.2.8", "2001:db8::8"
	fragment := func(next byte, b []byte) []byte { return append([]byte{next, 0, 0, 1, 0, 0, 0, 9}, b...) }
	for _, tc := range []struct {
		name    string
		dst     string
		message []byte
		want    Outcome
	}{
		{"its reply", v4, ping(0, 7, 300), Connected},
		{"its reply, IPv6", v6, ping(129, 7, 300), Connected},
		{"an earlier echo's reply", v4, ping(0, 7, 299), NoAnswer},
		{"another program's reply", v4, ping(0, 8, 300), NoAnswer},
		{"the request itself, on loopback", v4, ping(8, 7, 300), NoAnswer},
		{"an error about it", v4, icmpErr(3, 1, ip4(1, v4, ping(8, 7, 300))), Unreachable},
		{"an error about it, IPv6", v6, icmpErr(1, 3, ip6(58, v6, ping(128, 7, 300))), Unreachable},
		{"an error about its first fragment, IPv6", v6, icmpErr(1, 3, ip6(44, v6, fragment(58, ping(128, 7, 300)))), Unreachable},
		{"an error about a ping to another host", v4, icmpErr(3, 1, ip4(1, other4, ping(8, 7, 300))), NoAnswer},
		{"an error about a ping to another host, IPv6", v6, icmpErr(1, 3, ip6(58, other6, ping(128, 7, 300))), NoAnswer},
		{"an error about another program's ping", v4, icmpErr(3, 1, ip4(1, v4, ping(8, 8, 300))), NoAnswer},
		{"an error about an earlier echo", v4, icmpErr(3, 1, ip4(1, v4, ping(8, 7, 299))), NoAnswer},
		{"an error about a DNS query", v4, icmpErr(3, 3, ip4(17, v4, ping(8, 7, 300))), NoAnswer},
		{"an error about a TCP segment, IPv6", v6, icmpErr(1, 4, ip6(6, v6, ping(128, 7, 300))), NoAnswer},
		{"an error that says too little", v4, icmpErr(3, 1, ip4(1, v4, nil)), NoAnswer},
		{"half an error", v4, []byte{3, 1, 0}, NoAnswer},
		{"nothing", v4, nil, NoAnswer},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dst := netip.MustParseAddr(tc.dst)
			e := echo{f: family(&Request{Dst: netip.AddrPortFrom(dst, 0)}), dst: dst, id: 7, seq: 300}
			res := &Result{Result: NoAnswer}
			e.await(&mail{messages: [][]byte{tc.message}}, res)
			if res.Result != tc.want || res.Acked != (tc.want == Connected) {
				t.Errorf("%+v, want %s", res, tc.want)
			}
		})
	}
}

// What is about others is passed over, and what comes behind it counts; the same in a ladder.
func TestAnEchoIsAwaitedAmongOthers(t *testing.T) {
	dst := netip.MustParseAddr("192.0.2.7")
	e := echo{f: &icmp4, dst: dst, id: 7, seq: 300}
	others := [][]byte{icmpErr(3, 1, ip4(1, "192.0.2.8", ping(8, 7, 300))), ping(0, 7, 299)}
	res := &Result{Result: NoAnswer}
	e.await(&mail{messages: append(others, ping(0, 7, 300))}, res)
	if res.Result != Connected {
		t.Errorf("%+v", res)
	}
	tooBig := func(dst string) []byte {
		b := icmpErr(3, 4, ip4(1, dst, ping(8, 7, 300)))
		b[6], b[7] = 0x05, 0x78
		return b
	}
	l := &echoer{echo: e, conn: &mail{messages: [][]byte{tooBig("192.0.2.8"), tooBig("192.0.2.7")}}}
	if ok, word, err := l.answer(); ok || err != nil || word == nil || word.MTU != 1400 {
		t.Errorf("%v, %+v, %v", ok, word, err)
	}
	if left := len(l.conn.(*mail).messages); left != 0 {
		t.Errorf("%d messages were not read: an error about another host's ping ended the wait", left)
	}
	r := &Request{Dst: netip.AddrPortFrom(dst, 0)}
	numbers := map[uint16]bool{}
	for range 20 {
		numbers[newEcho(r).seq] = true
	}
	if len(numbers) < 15 {
		t.Errorf("20 echoes have %d numbers", len(numbers))
	}
}
