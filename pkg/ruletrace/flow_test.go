// SPDX-License-Identifier: Apache-2.0

package ruletrace

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func addrs(all string) []netip.Addr {
	var out []netip.Addr
	for _, a := range strings.Fields(all) {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func ends(all string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, a := range strings.Fields(all) {
		out = append(out, netip.MustParseAddrPort(a))
	}
	return out
}

// A flow has a leg for each pair of ends that its packets have on their way, in each family; what is named twice is there once.
func TestLegs(t *testing.T) {
	both := Flow{Src: addrs("10.0.0.1 fd00::1 ::ffff:10.0.0.1"), Sport: 7, Dst: ends("10.96.0.80:80 [fd00:96::80]:80"), Ends: ends("10.0.0.2:8080 10.0.0.2:8080 [::ffff:10.0.0.2]:8080"), Via: addrs("192.168.50.1 fe80::1")}
	for _, tc := range []struct {
		name   string
		flow   Flow
		family uint8
		want   []string
	}{
		{"IPv4", both, 4, []string{"flow [10.0.0.1] 7 [10.96.0.80:80]", "translated [10.0.0.1] 7 [10.0.0.2:8080]", "masqueraded [192.168.50.1] 0 [10.0.0.2:8080]"}},
		{"IPv6", both, 6, []string{"flow [fd00::1] 7 [[fd00:96::80]:80]"}},
		{"from anywhere", Flow{Dst: ends("10.0.0.2:0"), Ends: ends("10.0.0.3:80"), Via: addrs("10.0.0.9")}, 4, []string{"flow any 0 [10.0.0.2:0]", "translated any 0 [10.0.0.3:80]"}},
		{"the sender has no address of the family", Flow{Src: addrs("fd00::1"), Dst: ends("10.0.0.2:0")}, 4, nil},
	} {
		var got []string
		for _, l := range tc.flow.legs(tc.family) {
			src := fmt.Sprint(l.src)
			if l.any {
				src = "any"
			}
			got = append(got, fmt.Sprintf("%s %s %d %v", l.name, src, l.sport, l.dst))
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestFamilies(t *testing.T) {
	for _, tc := range []struct {
		flow Flow
		want []uint8
	}{
		{Flow{Dst: ends("10.0.0.2:80")}, []uint8{4}},
		{Flow{Dst: ends("[fd00::2]:80")}, []uint8{6}},
		{Flow{Dst: ends("[fd00::2]:80"), Outer: []uint8{4}}, []uint8{4, 6}},
		{Flow{Dst: ends("10.0.0.2:80"), Outer: []uint8{4, 6}}, []uint8{4, 6}},
	} {
		if got := tc.flow.families(); !slices.Equal(got, tc.want) {
			t.Errorf("%+v: %v, want %v", tc.flow, got, tc.want)
		}
	}
}

// A sender's port and a destination without a port are matched as such, for IPv4 and IPv6, in both directions.
func TestPorts(t *testing.T) {
	path := namespace(t, "nft 'table inet fw { chain in { type filter hook input priority 10; counter; }; }'")
	for _, tc := range []struct {
		network, at, from, other string
	}{{"udp4", "127.0.0.1:5000", "127.0.0.1:41000", "127.0.0.1:41001"}, {"udp6", "[::1]:5000", "[::1]:41000", "[::1]:41001"}} {
		at, send := listener(t, path, tc.network, tc.at)
		from := netip.MustParseAddrPort(tc.from)
		for _, f := range []struct {
			flow Flow
			want [2]bool // from the port, from another
		}{
			{Flow{Src: []netip.Addr{from.Addr()}, Sport: from.Port(), Dst: []netip.AddrPort{at}}, [2]bool{true, false}},
			{Flow{Sport: from.Port(), Dst: []netip.AddrPort{netip.AddrPortFrom(at.Addr(), 0)}}, [2]bool{true, false}},
			{Flow{Dst: []netip.AddrPort{netip.AddrPortFrom(at.Addr(), 0)}}, [2]bool{true, true}},
			{Flow{Src: []netip.Addr{at.Addr()}, Dst: []netip.AddrPort{from}}, [2]bool{true, false}}, // as a reply
		} {
			f.flow.Proto = 17
			o := options(path, f.flow)
			o.Namespaces[0].Legacy = nil
			s, err := Start(o)
			if err != nil {
				t.Fatal(err)
			}
			for i, port := range []string{tc.from, tc.other} {
				send(port)
				if got := steps(s.Drain()); slices.Contains(got, "nft fw/in rule continue") != f.want[i] {
					t.Errorf("%+v from %s: %q", f.flow, port, got)
				}
			}
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		}
	}
}
