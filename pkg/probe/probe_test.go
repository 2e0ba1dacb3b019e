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
				var kept []net.Conn // one that nothing holds is closed by the garbage collector, in the midst of a test
				defer func() {
					for _, c := range kept {
						_ = c.Close()
					}
				}()
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					kept = append(kept, c)
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

// closing is a server that closes when its client has, and says each time that it did.
func closing(t *testing.T) (dst netip.AddrPort, closed chan struct{}) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	closed = make(chan struct{}, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, c)
			c.Close()
			closed <- struct{}{}
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort(), closed
}

// freePort is one that nobody has, from outside the range that the kernel gives to others.
func freePort(t *testing.T) uint16 {
	t.Helper()
	for port := uint16(20011); port < 20111; port++ {
		c, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)})
		if err == nil {
			c.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// The same probe from the same port a moment later: the first one's connection is in TIME-WAIT.
func TestTheSendersPortIsUsedAgain(t *testing.T) {
	dst, closed := closing(t)
	r := Request{Proto: "tcp", Dst: dst, Sport: freePort(t), Timeout: time.Second}
	for range 3 {
		res, err := Send(context.Background(), r)
		if stamps, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_timestamps"); strings.TrimSpace(string(stamps)) == "0" && err != nil { // the kernel refuses then
			if !strings.Contains(err.Error(), "TIME-WAIT") {
				t.Error(err)
			}
			return
		}
		if err != nil || res.Result != Connected {
			t.Fatalf("%+v, %v", res, err)
		}
		<-closed
	}
}

// A port of the sender that cannot be had is no answer of the network.
func TestTheSendersPortIsTaken(t *testing.T) {
	dst, _ := closing(t)
	port := freePort(t)
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)}
	check := func(what string, r Request, want string) {
		t.Helper()
		r.Dst, r.Sport, r.Timeout = dst, port, time.Second
		res, err := Send(context.Background(), r)
		var se *setupError
		if !errors.As(err, &se) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v", what, res, err)
		}
	}
	l, err := net.ListenTCP("tcp", local)
	if err != nil {
		t.Fatal(err)
	}
	check("somebody listens on it", Request{Proto: "tcp"}, "is in use, or a connection with it ended less than a minute ago (TIME-WAIT): choose another --sport")
	check("HTTP", Request{Proto: "tcp", HTTP: &HTTPRequest{Path: "/"}}, "choose another --sport")
	check("DNS", Request{Proto: "tcp", DNS: &DNSRequest{Name: "example.com"}}, "choose another --sport")
	l.Close()
	c, err := (&net.Dialer{LocalAddr: local, Control: reusePort}).Dial("tcp", dst.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	check("it has this very connection", Request{Proto: "tcp"}, "choose another --sport")
	u, err := net.ListenUDP("udp", &net.UDPAddr{IP: local.IP, Port: int(port)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = u.Close() }()
	check("UDP", Request{Proto: "udp"}, "is in use: choose another --sport")
}
