// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

func TestPayloadHasTheSizeThatWasAsked(t *testing.T) {
	for _, size := range []int{150, 200, 999, 1000, 1001, 1380, 9999, 10000, 65536} {
		got := payload("10.0.0.1:80", size)
		if d := len(got) - size; d < 0 || d > 1 {
			t.Errorf("payload(%d) has %d bytes", size, len(got))
		}
		head, body, ok := strings.Cut(string(got), "\r\n\r\n")
		if !ok || !strings.Contains(head, "Content-Length: ") || strings.Trim(body, "x") != "" {
			t.Errorf("payload(%d) is no HTTP request: %q", size, head)
		}
	}
}

func TestOutcomes(t *testing.T) {
	listen := func(t *testing.T) *net.TCPListener {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	serve := func(f func(net.Conn)) func(*testing.T) netip.AddrPort {
		return func(t *testing.T) netip.AddrPort {
			l := listen(t)
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					f(c)
				}
			}()
			return l.Addr().(*net.TCPAddr).AddrPort()
		}
	}
	for _, tc := range []struct {
		name, proto string
		server      func(*testing.T) netip.AddrPort
		size        int
		want        Outcome
		acked       bool
	}{
		{"tcp accepted", "tcp", serve(func(c net.Conn) { c.Close() }), 0, Connected, false},
		{"tcp answered", "tcp", serve(func(c net.Conn) {
			_, _ = io.ReadFull(c, make([]byte, 500))
			_, _ = c.Write([]byte("ok"))
			c.Close()
		}), 500, Connected, true},
		{"tcp silent", "tcp", serve(func(net.Conn) {}), 500, Timeout, false},
		{"tcp reset", "tcp", serve(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1))
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}), 500, Reset, false},
		{"tcp closed port", "tcp", func(t *testing.T) netip.AddrPort {
			l := listen(t)
			defer l.Close()
			return l.Addr().(*net.TCPAddr).AddrPort()
		}, 0, Refused, false},
		{"udp echo", "udp", func(t *testing.T) netip.AddrPort {
			pc, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { pc.Close() })
			go func() {
				b := make([]byte, 2048)
				n, a, err := pc.ReadFrom(b)
				if err == nil {
					_, _ = pc.WriteTo(b[:n], a)
				}
			}()
			return pc.LocalAddr().(*net.UDPAddr).AddrPort()
		}, 0, Connected, true},
		{"udp closed port", "udp", func(t *testing.T) netip.AddrPort {
			pc, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer pc.Close()
			return pc.LocalAddr().(*net.UDPAddr).AddrPort()
		}, 0, Refused, false},
		{"udp silent", "udp", func(t *testing.T) netip.AddrPort {
			pc, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { pc.Close() })
			return pc.LocalAddr().(*net.UDPAddr).AddrPort()
		}, 0, NoAnswer, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res, err := Send(context.Background(), Request{Proto: tc.proto, Dst: tc.server(t), Size: tc.size, Timeout: 300 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if res.Result != tc.want || res.Acked != tc.acked {
				t.Errorf("result %+v, want %s acked %v", *res, tc.want, tc.acked)
			}
		})
	}
}

func TestPingLoopback(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: raw sockets")
	}
	for _, dst := range []string{"127.0.0.1", "::1"} {
		res, err := Send(context.Background(), Request{Proto: "icmp", Dst: netip.AddrPortFrom(netip.MustParseAddr(dst), 0), Size: 100, Timeout: time.Second})
		if err != nil || res.Result != Connected {
			t.Errorf("ping %s: %+v, %v", dst, res, err)
		}
	}
}

func TestWhatCannotBeSent(t *testing.T) {
	dst := netip.MustParseAddrPort("127.0.0.1:9")
	if _, err := Send(context.Background(), Request{Proto: "sctp", Dst: dst, Timeout: time.Second}); err == nil || !strings.Contains(err.Error(), "sctp") {
		t.Errorf("sctp probe: %v", err)
	}
	_, err := Send(context.Background(), Request{Proto: "tcp", NetNS: "/run/netns/there-is-none", Dst: dst, Timeout: time.Second})
	var se *setupError
	if !errors.As(err, &se) {
		t.Errorf("probe from a namespace that is not there: %v", err)
	}
}
