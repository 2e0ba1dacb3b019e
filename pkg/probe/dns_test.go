// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// responder is a DNS server on loopback for UDP and TCP on one port; it answers with what f makes of a query.
func responder(t *testing.T, f func(q *dnsmessage.Message, proto string) []byte) netip.AddrPort {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	addr := pc.LocalAddr().(*net.UDPAddr).AddrPort()
	ln, err := net.Listen("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	reply := func(b []byte, proto string) []byte {
		var q dnsmessage.Message
		if err := q.Unpack(b); err != nil {
			return nil
		}
		return f(&q, proto)
	}
	go func() {
		b := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			if a := reply(b[:n], "udp"); a != nil {
				_, _ = pc.WriteTo(a, from)
			}
		}
	}()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 2048)
			if _, err := io.ReadFull(c, b[:2]); err == nil {
				n := int(binary.BigEndian.Uint16(b))
				if _, err := io.ReadFull(c, b[2:2+n]); err == nil {
					a := reply(b[2:2+n], "tcp")
					_, _ = c.Write(append([]byte{byte(len(a) >> 8), byte(len(a))}, a...))
				}
			}
			c.Close()
		}
	}()
	return addr
}

// answer is a reply to a query with addresses of its type.
func answer(q *dnsmessage.Message, rcode dnsmessage.RCode, addrs ...string) []byte {
	m := *q
	m.Response, m.RCode = true, rcode
	for _, s := range addrs {
		a := netip.MustParseAddr(s)
		h := dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 5}
		if a.Is4() && q.Questions[0].Type == dnsmessage.TypeA {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
		}
		if a.Is6() && q.Questions[0].Type == dnsmessage.TypeAAAA {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

// resolve makes a name's whole way through a resolv.conf whose servers are all the responder; its port is not 53.
func resolve(t *testing.T, server netip.AddrPort, name string, c ResolvConf, timeout time.Duration) (*DNSResult, Outcome) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	out := &DNSResult{Name: name}
	c.Servers = []netip.Addr{server.Addr()}
	a := &asking{ctx: ctx, r: &Request{NetNS: "/proc/self/ns/net", Proto: "udp"}, conf: c, port: server.Port(), out: out}
	if err := a.all(c.expand(name), []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA}); err != nil {
		t.Fatal(err)
	}
	return out, a.outcome
}

func TestSearchExpansionIsCounted(t *testing.T) {
	server := responder(t, func(q *dnsmessage.Message, _ string) []byte {
		if q.Questions[0].Name.String() == "example.com." {
			return answer(q, 0, "192.0.2.1", "2001:db8::1")
		}
		return answer(q, dnsmessage.RCodeNameError)
	})
	conf := ParseResolvConf([]byte("search shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5 timeout:1\n"))
	d, result := resolve(t, server, "example.com", conf, 5*time.Second)
	if len(d.Queries) != 8 || d.Names != 4 || d.Wasted != 6 || result != Connected {
		t.Errorf("%d queries for %d names, %d wasted, %s; want 8, 4, 6: %+v", len(d.Queries), d.Names, d.Wasted, result, d.Queries)
	}
	if want := []string{"192.0.2.1", "2001:db8::1"}; !reflect.DeepEqual(d.Answers, want) {
		t.Errorf("answers %v, want %v", d.Answers, want)
	}
	if q := d.Queries[0]; q.Suffix != "shop.svc.cluster.local" || q.Rcode != "NXDOMAIN" || q.Type != "A" {
		t.Errorf("first query %+v", q)
	}
	for _, name := range []string{"example.com.", "example.com"} {
		conf.Ndots = 1
		if d, _ := resolve(t, server, name, conf, 5*time.Second); len(d.Queries) != 2 || d.Wasted != 0 {
			t.Errorf("%s with ndots:1 took %d queries, %d wasted, want 2 and 0", name, len(d.Queries), d.Wasted)
		}
	}
}

// Queries over TCP follow each other at once, and one port cannot be used for all of them: the first has the one that was asked for.
func TestQueriesOverTCPFromAPort(t *testing.T) {
	from := make(chan string, 10)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			from <- c.RemoteAddr().String()
			b := make([]byte, 2048)
			n, _ := c.Read(b)
			var q dnsmessage.Message
			if n > 2 && q.Unpack(b[2:n]) == nil {
				a := answer(&q, 0, "192.0.2.1", "2001:db8::1")
				_, _ = c.Write(append([]byte{byte(len(a) >> 8), byte(len(a))}, a...))
			}
			_, _ = io.Copy(io.Discard, c) // the client closes first
			c.Close()
		}
	}()
	server := l.Addr().(*net.TCPAddr).AddrPort()
	port := freePort(t)
	d := &DNSResult{Name: "example.com."}
	a := &asking{ctx: t.Context(), r: &Request{NetNS: "/proc/self/ns/net", Proto: "tcp", Sport: port}, port: server.Port(), out: d,
		conf: ResolvConf{Servers: []netip.Addr{server.Addr()}, Timeout: time.Second, Attempts: 1, TCP: true}}
	if err := a.all([]expansion{{name: "example.com."}}, []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA}); err != nil {
		t.Fatal(err)
	}
	first := netip.AddrPortFrom(server.Addr(), port).String()
	if len(d.Queries) != 2 || len(d.Answers) != 2 {
		t.Fatalf("%+v", d.Queries)
	}
	if a, b := <-from, <-from; a != first || b == first {
		t.Errorf("from %s and %s, want only the first from %s", a, b, first)
	}
}

// A probe that had no time for a query has a result of the contract all the same.
func TestNoTimeForAQuery(t *testing.T) {
	res, err := Send(context.Background(), Request{Proto: "udp", Dst: netip.MustParseAddrPort("127.0.0.1:53"), DNS: &DNSRequest{Name: "example.com"}, Timeout: -time.Second})
	if err != nil || res.Result != NoAnswer || res.DNS.Cut == "" {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestTruncatedAnswersAreAskedForAgainOverTCP(t *testing.T) {
	server := responder(t, func(q *dnsmessage.Message, proto string) []byte {
		if proto == "udp" {
			m := *q
			m.Response, m.Truncated = true, true
			b, _ := m.Pack()
			return b
		}
		return answer(q, 0, "192.0.2.7")
	})
	d, result := resolve(t, server, "big.example.", ParseResolvConf(nil), 5*time.Second)
	if result != Connected || len(d.Queries) != 4 || d.Queries[1].Proto != "tcp" || len(d.Answers) != 1 {
		t.Errorf("%s, %+v", result, d)
	}
}

func TestSilentAndForgedAnswers(t *testing.T) {
	conf := ParseResolvConf([]byte("options timeout:1 attempts:2"))
	conf.Timeout = 50 * time.Millisecond
	for name, tc := range map[string]struct {
		f       func(q *dnsmessage.Message, _ string) []byte
		want    Outcome
		queries int
	}{
		"silent": {func(*dnsmessage.Message, string) []byte { return nil }, Timeout, 2},
		"other id": {func(q *dnsmessage.Message, _ string) []byte {
			q.ID++
			return answer(q, 0, "192.0.2.1")
		}, Timeout, 2},
		"no response": {func(q *dnsmessage.Message, _ string) []byte { b, _ := q.Pack(); return b }, Timeout, 2},
		"other name": {func(q *dnsmessage.Message, _ string) []byte {
			q.Questions[0].Name = dnsmessage.MustNewName("evil.example.")
			return answer(q, 0, "192.0.2.1")
		}, Timeout, 2},
		"pointer loop": {func(q *dnsmessage.Message, _ string) []byte {
			return []byte{byte(q.ID >> 8), byte(q.ID), 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1}
		}, Connected, 2},
		"servfail": {func(q *dnsmessage.Message, _ string) []byte { return answer(q, dnsmessage.RCodeServerFailure) }, Connected, 4},
	} {
		t.Run(name, func(t *testing.T) {
			d, got := resolve(t, responder(t, tc.f), "a.example.", conf, 5*time.Second)
			if got != tc.want || len(d.Queries) != tc.queries || len(d.Answers) > 0 {
				t.Errorf("%s after %d queries, want %s after %d: %+v", got, len(d.Queries), tc.want, tc.queries, d.Queries)
			}
		})
	}
}

func TestAskingEndsWithItsTime(t *testing.T) {
	server := responder(t, func(*dnsmessage.Message, string) []byte { return nil })
	begin := time.Now()
	d, _ := resolve(t, server, "a.example", ParseResolvConf(nil), 100*time.Millisecond)
	if took := time.Since(begin); took > 3*time.Second || d.Cut == "" {
		t.Errorf("took %v, cut %q", took, d.Cut)
	}
}

func TestQueryOfOneServer(t *testing.T) {
	server := responder(t, func(q *dnsmessage.Message, _ string) []byte { return answer(q, 0, "10.96.0.1") })
	for _, proto := range []string{"udp", "tcp"} {
		res, err := Send(context.Background(), Request{Proto: proto, Dst: server, Timeout: time.Second, DNS: &DNSRequest{Name: "kubernetes.default.svc.cluster.local"}})
		if err != nil || res.Result != Connected || len(res.DNS.Queries) != 1 || res.DNS.Queries[0].Proto != proto || res.DNS.Answers[0] != "10.96.0.1" {
			t.Errorf("%s: %+v, %v", proto, res, err)
		}
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := pc.LocalAddr().(*net.UDPAddr).AddrPort()
	pc.Close()
	res, err := Send(context.Background(), Request{Proto: "udp", Dst: closed, Timeout: time.Second, DNS: &DNSRequest{Name: "a.example"}})
	if err != nil || res.Result != Refused || res.ICMP == nil || res.ICMP.Type != "port-unreachable" || res.ICMP.From != "127.0.0.1" {
		t.Errorf("closed port: %+v, %v", res, err)
	}
}

func TestCheckDNSName(t *testing.T) {
	for _, ok := range []string{"example.com", "example.com.", "web", "_http._tcp.web"} {
		if err := CheckDNSName(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{"", "a b", "a..b", strings.Repeat("x", 64) + ".com", strings.Repeat("ab.", 100)} {
		if CheckDNSName(bad) == nil {
			t.Errorf("%q passed", bad)
		}
	}
}

func TestParseResolvConf(t *testing.T) {
	got := ParseResolvConf([]byte("# comment\nnameserver 10.96.0.10\nnameserver bad\nnameserver 2001:db8::1\ndomain old.example\nsearch a.b. c.d\noptions ndots:5 timeout:2 attempts:9 use-vc ndots:x\n"))
	want := ResolvConf{Servers: []netip.Addr{netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("2001:db8::1")}, Search: []string{"a.b", "c.d"}, Ndots: 5, Timeout: 2 * time.Second, Attempts: 5, TCP: true}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if d := ParseResolvConf(nil); d.Servers[0].String() != "127.0.0.1" || d.Ndots != 1 || d.Timeout != 5*time.Second || d.Attempts != 2 {
		t.Errorf("defaults: %+v", d)
	}
}

func FuzzParseResolvConf(f *testing.F) {
	f.Add([]byte("nameserver 10.96.0.10\nsearch a b c\noptions ndots:5\n"))
	f.Add([]byte("options timeout:99999999999 attempts:-1 ndots:999\nnameserver fe80::1%eth0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := ParseResolvConf(b)
		if len(c.Servers) == 0 || len(c.Servers) > maxNameservers || len(c.Search) > maxSearch || c.Ndots < 0 || c.Ndots > maxNdots ||
			c.Timeout < time.Second || c.Timeout > maxDNSTimeout || c.Attempts < 1 || c.Attempts > maxDNSAttempts {
			t.Errorf("out of bounds: %+v", c)
		}
		for _, e := range c.expand("web.shop") {
			if len(e.name) > maxDNSName {
				t.Errorf("%d bytes", len(e.name))
			}
		}
	})
}

func TestReadResolvConfStaysInItsRoot(t *testing.T) {
	root, out := t.TempDir(), t.TempDir()
	write := func(path, text string) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(root, "etc/real"), "nameserver 10.0.0.1\n")
	write(filepath.Join(out, "secret"), "nameserver 10.0.0.9\n")
	link := func(to, name string) {
		if err := os.Symlink(to, filepath.Join(root, "etc", name)); err != nil {
			t.Fatal(err)
		}
	}
	link("/etc/real", "absolute")
	link(filepath.Join(out, "secret"), "escape")
	if err := syscall.Mkfifo(filepath.Join(root, "etc/fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{"etc/real": true, "etc/absolute": true, "etc/escape": false, "etc/fifo": false, "etc/none": false} {
		c, err := ReadResolvConf(root, name)
		if (err == nil) != ok || (ok && c.Servers[0].String() != "10.0.0.1") {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}
