// SPDX-License-Identifier: Apache-2.0

package ruletrace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// left is what a trace leaves in a namespace while it runs, and must not afterwards: its tables and the loggers.
func left(t *testing.T, path string) string {
	t.Helper()
	tables := 0
	for _, line := range strings.Split(sh(t, path, "nft list tables"), "\n") {
		if strings.Contains(line, TablePrefix) {
			tables++
		}
	}
	return sh(t, path, "cat /proc/sys/net/netfilter/nf_log/2 /proc/sys/net/netfilter/nf_log/10") + strings.Repeat("table\n", tables)
}

func udpFlow(at ...string) Flow {
	f := Flow{Proto: unix.IPPROTO_UDP}
	for _, a := range at {
		f.Dst = append(f.Dst, netip.MustParseAddrPort(a))
	}
	return f
}

// Several traces at once have a table each; the second one says that it cannot have the records of iptables-legacy. When they are over nothing
// is left, in whatever order they end.
func TestSeveralAtOnce(t *testing.T) {
	path := namespace(t, "iptables-legacy -A OUTPUT -p udp --dport 5000 -j ACCEPT", "ip6tables-legacy -P INPUT ACCEPT", "nft 'table ip fw { chain out { type filter hook output priority 10; udp dport 5000 counter; }; }'")
	before := left(t, path)
	_, send := listener(t, path, "udp4", "127.0.0.1:5000")
	var said []string
	o := options(path, udpFlow("127.0.0.1:5000"))
	o.Warn = func(s string) { said = append(said, s) }
	first, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	if len(said) != 3 || !strings.Contains(said[0], first.Table()) || !strings.Contains(said[0], "net.netfilter.nf_log in 1 namespace") || !strings.Contains(said[2], "another program, perhaps another nettrace, has log group 0") {
		t.Errorf("said %q", said)
	}
	if got := left(t, path); got != "nfnetlink_log\nnfnetlink_log\ntable\ntable\n" {
		t.Errorf("while they run: %q", got)
	}
	send("")
	legacy, nft := "iptables-legacy filter/OUTPUT rule 1", "nft fw/out rule continue"
	for i, s := range []*Session{first, second} {
		got := steps(s.Drain())
		if slices.Contains(got, legacy) != (i == 0) || !slices.Contains(got, nft) {
			t.Errorf("trace %d: %q", i+1, got)
		}
	}
	if err := errors.Join(first.Stop(), second.Stop(), second.Stop()); err != nil {
		t.Error(err)
	}
	if got := left(t, path); got != before {
		t.Errorf("afterwards: %q, before: %q", got, before)
	}
}

// The guardian of a trace that was killed puts the loggers back; what others have set since stays.
func TestGuardRestoresLoggers(t *testing.T) {
	path := namespace(t)
	before := left(t, path)
	inode, err := netns.Inode(path)
	if err != nil {
		t.Fatal(err)
	}
	told := `{"path":"` + path + `","inode":` + fmt.Sprint(inode) + `,"family":4,"was":"nf_log_ipv4"}` + "\n"
	sh(t, path, "echo nfnetlink_log > /proc/sys/net/netfilter/nf_log/2; echo NONE > /proc/sys/net/netfilter/nf_log/10")
	for _, said := range []string{told + "done\n", strings.Replace(told, fmt.Sprint(inode), "1", 1), strings.Replace(told, path, "/nonexistent", 1)} {
		if err := Guard(strings.NewReader(said)); err != nil || left(t, path) != "nfnetlink_log\nNONE\n" {
			t.Errorf("%q: %v, %q", said, err, left(t, path))
		}
	}
	if err := Guard(strings.NewReader(told + strings.Replace(told, `"family":4`, `"family":6`, 1) + `{"pa`)); err != nil {
		t.Error(err)
	}
	if got := left(t, path); got != strings.Split(before, "\n")[0]+"\nNONE\n" {
		t.Errorf("afterwards: %q", got)
	}
	if err := Guard(strings.NewReader(strings.Replace(told, "nf_log_ipv4", "garbage", 1))); err != nil {
		t.Errorf("a logger that is not ours: %v", err)
	}
	sh(t, path, "echo nfnetlink_log > /proc/sys/net/netfilter/nf_log/2")
	if err := Guard(strings.NewReader(strings.Replace(told, "nf_log_ipv4", "garbage", 1))); err == nil || !strings.Contains(err.Error(), "put net.netfilter.nf_log back to garbage") {
		t.Errorf("a logger that is none: %v", err)
	}
}

// Behind NAT the connection tells that a packet belongs to the flow. Where there is no NAT, connection tracking is not started.
func TestTranslatedAndReplies(t *testing.T) {
	path := namespace(t, "iptables-nft -t nat -A OUTPUT -p udp -d 127.0.0.9 --dport 6000 -j DNAT --to-destination 127.0.0.1:5000",
		"iptables-nft -t mangle -A OUTPUT -p udp --sport 5000 -j ACCEPT")
	var c net.PacketConn
	if err := netns.Do(path, func() (err error) {
		c, err = net.ListenPacket("udp4", "127.0.0.1:5000")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	o := options(path, udpFlow("127.0.0.9:6000"))
	o.Namespaces[0].Legacy, o.Namespaces[0].Conntrack = nil, true
	s := start(t, o)
	if err := netns.Do(path, func() error {
		d, err := net.Dial("udp4", "127.0.0.9:6000")
		if err != nil {
			return err
		}
		defer d.Close()
		if _, err := d.Write([]byte("?")); err != nil {
			return err
		}
		b := make([]byte, 10)
		_, from, err := c.ReadFrom(b)
		if err != nil {
			return err
		}
		_, err = c.WriteTo([]byte("!"), from)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	got := steps(s.Drain())
	for _, want := range []string{"nft nat/OUTPUT rule accept", "nft mangle/OUTPUT rule accept"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
}

func TestConntrackIsNotStarted(t *testing.T) {
	path := namespace(t, "nft 'table ip fw { chain out { type filter hook output priority 10; udp dport 5000 counter; }; }'")
	_, send := listener(t, path, "udp4", "127.0.0.1:5000")
	s := start(t, options(path, udpFlow("127.0.0.1:5000")))
	send("")
	if len(s.Drain()) == 0 {
		t.Error("nothing is traced: the test does not test")
	}
	if n := sh(t, path, "cat /proc/sys/net/netfilter/nf_conntrack_count"); n != "0\n" {
		t.Errorf("conntrack has %s entries", n)
	}
}

// inner is an IPv4 packet without a payload, or an IPv6 one, of TCP from port 40000 to 80.
func inner(src, dst string) []byte {
	s, d := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp, 40000)
	binary.BigEndian.PutUint16(tcp[2:], 80)
	if s.Is6() {
		return slices.Concat([]byte{0x60, 0, 0, 0, 0, 20, 6, 64}, s.AsSlice(), d.AsSlice(), tcp)
	}
	return slices.Concat([]byte{0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0}, s.AsSlice(), d.AsSlice(), tcp)
}

// swapped has the ports the other way round.
func swapped(packet []byte) []byte {
	p := packet[20:]
	p[0], p[1], p[2], p[3] = p[2], p[3], p[0], p[1]
	return packet
}

// vxlan puts a packet behind the headers of VXLAN and Ethernet.
func vxlan(packet []byte) []byte {
	kind := uint16(unix.ETH_P_IP)
	if packet[0]>>4 == 6 {
		kind = unix.ETH_P_IPV6
	}
	return append(binary.BigEndian.AppendUint16(make([]byte, 8+12), kind), packet...)
}

// What carries or quotes a packet of the flow is traced, and what does so with another's is not.
func TestPacketsInside(t *testing.T) {
	path := namespace(t, "nft 'table inet fw { chain in { type filter hook input priority 10; counter; }; }'")
	f := Flow{Proto: unix.IPPROTO_TCP, Outer: []uint8{4, 6}, VXLANPorts: []uint16{9999},
		Src: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}, Dst: []netip.AddrPort{netip.MustParseAddrPort("10.96.0.80:443"), netip.MustParseAddrPort("[fd00:96::80]:443")},
		Ends: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.2:80"), netip.MustParseAddrPort("[fd00::2]:80")}, Via: []netip.Addr{netip.MustParseAddr("10.0.0.9")}}
	o := options(path, f)
	o.Namespaces[0].Legacy = nil
	s := start(t, o)
	for _, tc := range []struct {
		name, network, address string
		payload                []byte
		want                   bool
	}{
		{"VXLAN", "udp4", "127.0.0.1:8472", vxlan(inner("10.0.0.1", "10.0.0.2")), true},
		{"VXLAN on another port", "udp4", "127.0.0.1:9999", vxlan(inner("10.0.0.1", "10.0.0.2")), true},
		{"masqueraded", "udp4", "127.0.0.1:4789", vxlan(inner("10.0.0.9", "10.0.0.2")), true},
		{"masqueraded, not translated", "udp4", "127.0.0.1:4789", vxlan(inner("10.0.0.9", "10.96.0.80")), false},
		{"IPv6 inside", "udp4", "127.0.0.1:8472", vxlan(inner("fd00::1", "fd00::2")), true},
		{"IPv6 outside", "udp6", "[::1]:8472", vxlan(inner("10.0.0.1", "10.0.0.2")), true},
		{"IP in IP", "ip4:4", "127.0.0.1", inner("10.0.0.1", "10.0.0.2"), true},
		{"another flow", "udp4", "127.0.0.1:8472", vxlan(inner("10.0.0.3", "10.0.0.2")), false},
		{"another flow in IP", "ip4:4", "127.0.0.1", inner("10.0.0.1", "10.0.0.3"), false},
		{"an ICMP error", "ip4:1", "127.0.0.1", append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, inner("10.0.0.1", "10.0.0.2")...), true},
		{"an ICMP error about a reply", "ip4:1", "127.0.0.1", append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, swapped(inner("10.0.0.2", "10.0.0.1"))...), true},
		{"an ICMP error about another flow", "ip4:1", "127.0.0.1", append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, inner("10.0.0.3", "10.0.0.2")...), false},
		{"no tunnel's port", "udp4", "127.0.0.1:8473", vxlan(inner("10.0.0.1", "10.0.0.2")), false},
		{"too short", "udp4", "127.0.0.1:8472", vxlan(inner("10.0.0.1", "10.0.0.2"))[:40], false},
	} {
		if err := netns.Do(path, func() error {
			d, err := net.Dial(tc.network, tc.address)
			if err != nil {
				return err
			}
			defer d.Close()
			_, err = d.Write(tc.payload)
			return err
		}); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if got := steps(s.Drain()); slices.Contains(got, "nft fw/in rule continue") != tc.want {
			t.Errorf("%s: %q", tc.name, got)
		}
	}
}

// What cannot be is said before anything is added, or takes all of it away again.
func TestStartErrors(t *testing.T) {
	path := namespace(t, "iptables-legacy -P INPUT ACCEPT")
	before := left(t, path)
	o := options(path, Flow{Proto: 6})
	if _, err := Start(o); err == nil || !strings.Contains(err.Error(), "name one") {
		t.Errorf("no destination: %v", err)
	}
	o = options(path, udpFlow("127.0.0.1:5000"))
	for range maxAddresses {
		o.Flow.Dst = append(o.Flow.Dst, o.Flow.Dst[0])
	}
	if _, err := Start(o); err == nil || !strings.Contains(err.Error(), "name a narrower") {
		t.Errorf("too many: %v", err)
	}
	var said []string
	o = options(path, udpFlow("127.0.0.1:5000"))
	o.Warn = func(s string) { said = append(said, s) }
	o.Guard = func() (*exec.Cmd, error) { return nil, errors.New("no guardian today") }
	o.Namespaces = append(o.Namespaces, Namespace{Path: "/run/netns/gone", Name: "gone", NFT: true})
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	if len(said) != 3 || !strings.Contains(said[1], "no guardian today") || !strings.Contains(said[1], "iptables-legacy's rules are not traced") || !strings.Contains(said[2], "/run/netns/gone") {
		t.Errorf("said %q", said)
	}
	if err := s.Stop(); err != nil || left(t, path) != before {
		t.Errorf("%v; afterwards: %q, before: %q", err, left(t, path), before)
	}
	var nobody *Session
	if nobody.Stop() != nil || nobody.Drain() != nil {
		t.Error("a session that is none does something")
	}
}

func TestExplain(t *testing.T) {
	var privilege *tracer.PrivilegeError
	var feature *tracer.FeatureError
	if !errors.As(explain(&os.SyscallError{Err: unix.EPERM}), &privilege) || !errors.As(explain(unix.EOPNOTSUPP), &feature) || !errors.Is(explain(unix.EIO), unix.EIO) {
		t.Error("errors are not told apart")
	}
	for _, tc := range []struct {
		quiet, nft bool
		want       string
	}{{true, true, "iptables-legacy's rules are"}, {false, true, "neither iptables-legacy's nor nftables' rules are"}, {false, false, "the rules are"}} {
		if got := lacking(tc.quiet, tc.nft); got != tc.want {
			t.Errorf("%+v: %q", tc, got)
		}
	}
	if kernelLogs(noLogger) || kernelLogs(ourLogger) {
		t.Error("the kernel logs without a logger")
	}
}

// A record that does not show its packet is about the one that was shown last under its number; after a loss, about none.
func TestFollower(t *testing.T) {
	var f follower
	p := Packet{Proto: 6, Sport: 1}
	for _, step := range []struct {
		r    Record
		ok   bool
		want Packet
	}{
		{Record{ID: 1}, false, Packet{}}, {Record{ID: 1, Packet: p}, true, p}, {Record{ID: 1}, true, p}, {Record{ID: 2}, false, Packet{}},
	} {
		r := step.r
		if ok := f.complete(&r); ok != step.ok || r.Packet != step.want {
			t.Errorf("%+v: %v, %+v", step.r, ok, r.Packet)
		}
	}
	f.forget()
	if f.complete(&Record{ID: 1}) {
		t.Error("it is remembered after a loss")
	}
	for i := range uint32(maxFollowed + 5) {
		f.complete(&Record{ID: i, Packet: p})
	}
	if len(f.packets) > maxFollowed {
		t.Errorf("%d packets are followed", len(f.packets))
	}
}

// Records that were not read in time are counted.
func TestLostRecords(t *testing.T) {
	path := namespace(t, "nft 'table ip fw { chain out { type filter hook output priority 10; udp dport 5000 counter; }; }'")
	_, send := listener(t, path, "udp4", "127.0.0.1:5000")
	o := options(path, udpFlow("127.0.0.1:5000"))
	o.Namespaces[0].Legacy = nil
	s := start(t, o)
	if err := s.places[0].nft.conn.SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		send("")
	}
	some := len(s.Drain())
	if s.Lost() != 1 || some == 0 {
		t.Errorf("lost %d times, %d records", s.Lost(), some)
	}
	if err := s.places[0].nft.conn.SetReadBuffer(receiveBuffer); err != nil {
		t.Fatal(err)
	}
	send("")
	if len(s.Drain()) == 0 || s.Lost() != 1 || s.Err() != nil {
		t.Errorf("behind the loss: lost %d, %v", s.Lost(), s.Err())
	}
}
