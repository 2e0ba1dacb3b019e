// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// endpoint is one end of a flow as the user named it.
type endpoint struct {
	text  string
	any   bool
	addrs []netip.Addr
	port  uint16
	netns string // path of its namespace, "" when unknown
}

// lookup answers what an endpoint's name means on this machine.
type lookup struct {
	snapshot *netstate.Snapshot
	refs     []netstate.Ref
}

// parseEndpoint reads one of: ADDRESS, ADDRESS:PORT, [ADDRESS]:PORT, host, host:PORT, netns:NAME, netns:NAME:PORT, pid:N, and any.
func (l *lookup) parseEndpoint(text string, source bool) (*endpoint, error) {
	if text == "any" {
		if !source {
			return nil, fmt.Errorf("the destination cannot be 'any': name an address")
		}
		return &endpoint{text: text, any: true}, nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return l.address(text, a, 0)
	}
	if strings.HasPrefix(text, "[") || strings.Count(text, ":") == 1 && !strings.HasPrefix(text, "netns:") && !strings.HasPrefix(text, "pid:") {
		return l.withPort(text)
	}
	switch {
	case text == "host":
		return l.namespace(text, netns.Self, 0)
	case strings.HasPrefix(text, "netns:"), strings.HasPrefix(text, "pid:"):
		name, port, err := cutPort(text)
		if err != nil {
			return nil, err
		}
		path, err := netns.Path(strings.TrimPrefix(name, "netns:"))
		if err != nil {
			return nil, err
		}
		return l.namespace(text, path, port)
	}
	return nil, fmt.Errorf("%q is no address: use 10.0.0.1, [2001:db8::1]:80, netns:NAME, pid:N, host or any", text)
}

// cutPort takes a port off the end of "netns:NAME:80" and "pid:12:80".
func cutPort(text string) (string, uint16, error) {
	kind, rest, _ := strings.Cut(text, ":")
	i := strings.LastIndexByte(rest, ':')
	if i < 0 {
		return text, 0, nil
	}
	port, err := parsePort(rest[i+1:])
	return kind + ":" + rest[:i], port, err
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n < 1 || n > 65535 {
		return 0, fmt.Errorf("%q is no port: use a number from 1 to 65535", s)
	}
	return uint16(n), nil
}

// withPort reads an address, or host, with a port behind a colon.
func (l *lookup) withPort(text string) (*endpoint, error) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return nil, fmt.Errorf("%q lacks a port: write [ADDRESS]:PORT", text)
	}
	port, err := parsePort(text[i+1:])
	if err != nil {
		return nil, err
	}
	if text[:i] == "host" {
		return l.namespace(text, netns.Self, port)
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text[:i], "["), "]"))
	if err != nil {
		return nil, fmt.Errorf("%q is no address: use 10.0.0.1:80 or [2001:db8::1]:80", text)
	}
	return l.address(text, a, port)
}

func (l *lookup) address(text string, a netip.Addr, port uint16) (*endpoint, error) {
	if a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
		return nil, fmt.Errorf("%q cannot be one end of a flow: name a unicast address without a zone", text)
	}
	a = a.Unmap()
	e := &endpoint{text: a.String(), addrs: []netip.Addr{a}, port: port}
	for _, o := range l.snapshot.OwnersOf(a) {
		for i, r := range l.refs {
			if o.NS == &l.snapshot.Namespaces[i] {
				e.netns = r.Path
				return e, nil
			}
		}
	}
	return e, nil
}

// namespace takes all unicast addresses of a namespace that others can reach.
func (l *lookup) namespace(text, path string, port uint16) (*endpoint, error) {
	ino, err := netns.Inode(path)
	if err != nil {
		return nil, fmt.Errorf("no such namespace: %w; 'ip netns' lists the named ones", err)
	}
	e := &endpoint{text: text, port: port, netns: path}
	n := l.snapshot.ByInode(ino)
	if n == nil {
		return nil, fmt.Errorf("namespace %s could not be read: is it among the --scope namespaces?", text)
	}
	for _, link := range n.Links {
		for _, p := range link.Addrs {
			if a := p.Addr(); !a.IsLoopback() && !a.IsLinkLocalUnicast() {
				e.addrs = append(e.addrs, a)
			}
		}
	}
	if len(e.addrs) == 0 {
		return nil, fmt.Errorf("%s has no address: is its interface configured?", text)
	}
	return e, nil
}

// match leaves the addresses of the family that both ends have; with both, IPv4 first as clients without a preference do here.
func match(src, dst *endpoint) error {
	for _, v6 := range []bool{false, true} {
		d := family(dst.addrs, v6)
		s := family(src.addrs, v6)
		if len(d) > 0 && (src.any || len(s) > 0) {
			dst.addrs, src.addrs = d, s
			return nil
		}
	}
	return fmt.Errorf("%s has no address of the family of %s: one is IPv4, the other IPv6", src.text, dst.text)
}

func family(all []netip.Addr, v6 bool) []netip.Addr {
	var out []netip.Addr
	for _, a := range all {
		if a.Is6() == v6 {
			out = append(out, a)
		}
	}
	return out
}
