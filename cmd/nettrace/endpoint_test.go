// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// here is a snapshot in which this process's namespace has one address of each family.
func here(t *testing.T) *lookup {
	t.Helper()
	ino, err := netns.Inode(netns.Self)
	if err != nil {
		t.Fatal(err)
	}
	s := &netstate.Snapshot{Namespaces: []netstate.Namespace{{Inode: ino, Name: "host", Host: true, Links: []netstate.Link{
		{Name: "lo", Addrs: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8")}},
		{Name: "eth0", Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24"), netip.MustParsePrefix("2001:db8::7/64"), netip.MustParsePrefix("fe80::7/64")}}}}}}
	return &lookup{snapshot: s, refs: []netstate.Ref{{Path: netns.Self, Name: "host"}}, names: &names{why: k8smeta.ErrNoCluster}}
}

func TestParseEndpoint(t *testing.T) {
	l := here(t)
	for in, want := range map[string]string{
		"10.0.0.1":                "[10.0.0.1] 0 ",
		"10.0.0.1:80":             "[10.0.0.1] 80 ",
		"2001:db8::1":             "[2001:db8::1] 0 ",
		"[2001:db8::1]:443":       "[2001:db8::1] 443 ",
		"::ffff:10.0.0.1":         "[10.0.0.1] 0 ",
		"192.0.2.7:22":            "[192.0.2.7] 22 /proc/self/ns/net",
		"host":                    "[192.0.2.7 2001:db8::7] 0 /proc/self/ns/net",
		"host:8080":               "[192.0.2.7 2001:db8::7] 8080 /proc/self/ns/net",
		"netns:/proc/self/ns/net": "[192.0.2.7 2001:db8::7] 0 /proc/self/ns/net",
		"any":                     "[] 0  any",
	} {
		e, err := l.parseEndpoint(t.Context(), in, true)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		got := fmt.Sprintf("%v %d %s", e.addrs, e.port, e.netns)
		if e.any {
			got += " any"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestParseEndpointErrors(t *testing.T) {
	l := here(t)
	for in, want := range map[string]string{
		"": "is no endpoint", "10.0.0": "is no endpoint", "10.0.0.1:": "is no port", "10.0.0.1:+80": "is no port", "10.0.0.1:65536": "is no port", "[2001:db8::1]": "is no port",
		"[2001:db8::1": "is no endpoint", "fe80::1%eth0": "without a zone", "0.0.0.0:80": "unicast", "ff02::1": "unicast", "netns:": "is empty", "netns:x:0": "is no port", "pid:": "is no process id", "web:80": "is no endpoint",
	} {
		if e, err := l.parseEndpoint(t.Context(), in, true); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v; want %q", in, e, err, want)
		}
	}
}

func TestMatchFamilies(t *testing.T) {
	four, six := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
	both := func() *endpoint { return &endpoint{text: "both", addrs: []netip.Addr{six, four}} }
	for _, tc := range []struct {
		src, dst *endpoint
		want     string
	}{
		{both(), both(), "[10.0.0.1] [10.0.0.1]"},
		{both(), &endpoint{addrs: []netip.Addr{six}}, "[2001:db8::1] [2001:db8::1]"},
		{&endpoint{any: true}, &endpoint{addrs: []netip.Addr{six}}, "[] [2001:db8::1]"},
	} {
		if err := match(tc.src, tc.dst); err != nil || fmt.Sprint(tc.src.addrs, tc.dst.addrs) != tc.want {
			t.Errorf("%v %v, %v; want %s", tc.src.addrs, tc.dst.addrs, err, tc.want)
		}
	}
	if err := match(&endpoint{text: "a", addrs: []netip.Addr{four}}, &endpoint{text: "b", addrs: []netip.Addr{six}}); err == nil {
		t.Error("IPv4 matches IPv6")
	}
}

func FuzzParseEndpoint(f *testing.F) {
	for _, s := range []string{"10.0.0.1:80", "[::1]:1", "netns:x:y", "pid:1:2", ":::", "\x1b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l := &lookup{names: &names{why: k8smeta.ErrNoCluster}}
		if e, err := l.parseEndpoint(t.Context(), s, false); err == nil && len(e.addrs) == 0 {
			t.Errorf("%q has no address and no error", s)
		}
	})
}
