// SPDX-License-Identifier: Apache-2.0

package ruletrace

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nettrace-io/nettrace/internal/netns"
)

// namespace makes a namespace with loopback up and runs commands in it.
func namespace(t *testing.T, commands ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces")
	}
	name := fmt.Sprintf("ruletrace-%d", os.Getpid())
	if err := netns.Create(name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netns.Delete(name) })
	path := filepath.Join(netns.Dir, name)
	sh(t, path, "ip link set lo up")
	for _, c := range commands {
		sh(t, path, c)
	}
	return path
}

func sh(t *testing.T, path, command string) string {
	t.Helper()
	var out []byte
	if err := netns.Do(path, func() (err error) {
		out, err = exec.Command("sh", "-c", command).CombinedOutput()
		return err
	}); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
	return string(out)
}

// listener is a UDP socket in the namespace, and send sends a datagram to it from there.
func listener(t *testing.T, path, network, address string) (at netip.AddrPort, send func(port string)) {
	t.Helper()
	var c net.PacketConn
	if err := netns.Do(path, func() (err error) {
		c, err = net.ListenPacket(network, address)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	at = netip.MustParseAddrPort(c.LocalAddr().String())
	return at, func(from string) {
		t.Helper()
		if err := netns.Do(path, func() error {
			var laddr *net.UDPAddr
			if from != "" {
				laddr = net.UDPAddrFromAddrPort(netip.MustParseAddrPort(from))
			}
			d, err := net.DialUDP(network, laddr, net.UDPAddrFromAddrPort(at))
			if err != nil {
				return err
			}
			defer func() { _ = d.Close() }()
			if _, err = d.Write([]byte("x")); errors.Is(err, unix.EPERM) {
				return nil // a rule of OUTPUT dropped it
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func options(path string, f Flow) Options {
	return Options{Flow: f, Namespaces: []Namespace{{Path: path, Name: "test", NFT: true, Legacy: []uint8{4, 6}}}, Warn: func(string) {},
		Guard: func() (*exec.Cmd, error) { return exec.Command("cat"), nil }}
}

// start starts a trace that ends with the test.
func start(t *testing.T, o Options) *Session {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// steps writes records as "backend table/chain type number-or-verdict".
func steps(all []Record) []string {
	var out []string
	for _, r := range all {
		what := r.Verdict
		if r.Backend == "iptables-legacy" {
			what = strconv.Itoa(r.Number)
		}
		out = append(out, fmt.Sprintf("%s %s/%s %s %s", r.Backend, r.Table, r.Chain, r.Type, what))
	}
	return out
}

// All three kinds of rules tell what a packet of the flow meets, for both families; a packet of another flow makes no record.
func TestRecords(t *testing.T) {
	path := namespace(t,
		"iptables-legacy -A OUTPUT -p udp -d 127.0.0.1 --dport 5000 -j ACCEPT; iptables-legacy -P INPUT ACCEPT",
		"ip6tables-legacy -A INPUT -p udp --dport 5000 -j DROP",
		"iptables-nft -t mangle -A INPUT -p udp --dport 5000 -j DROP",
		"nft 'table inet fw { chain out { type filter hook output priority 10; udp dport 5000 counter; }; }'")
	for _, tc := range []struct {
		name, network, address string
		want                   []string
	}{
		{"IPv4", "udp4", "127.0.0.1:5000", []string{
			"iptables-legacy filter/OUTPUT rule 1",
			"nft fw/out policy accept", "nft fw/out rule continue", "nft mangle/INPUT rule drop"}},
		{"IPv6", "udp6", "[::1]:5000", []string{
			"iptables-legacy filter/INPUT rule 1", "iptables-legacy filter/OUTPUT policy 1",
			"nft fw/out policy accept", "nft fw/out rule continue"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			at, send := listener(t, path, tc.network, tc.address)
			s := start(t, options(path, Flow{Proto: unix.IPPROTO_UDP, Src: []netip.Addr{at.Addr()}, Dst: []netip.AddrPort{at}}))
			send("")
			all := s.Drain()
			got := steps(all)
			slices.Sort(got)
			if got = slices.Compact(got); !slices.Equal(got, tc.want) {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
			for _, r := range all {
				if r.Packet.Src != at.Addr() || r.Packet.Dst != at.Addr() || r.Packet.Dport != 5000 || r.Packet.Proto != unix.IPPROTO_UDP {
					t.Errorf("the packet of %+v", r)
				}
			}
			if s.Lost() != 0 || s.Err() != nil {
				t.Errorf("lost %d, %v", s.Lost(), s.Err())
			}
			_, other := listener(t, path, tc.network, strings.Replace(tc.address, "5000", "5001", 1))
			other("")
			if more := s.Drain(); len(more) > 0 {
				t.Errorf("another flow is traced: %q", steps(more))
			}
		})
	}
}
