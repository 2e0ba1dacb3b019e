// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/nettrace-io/nettrace/internal/netns"
	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// endpoint is one end of a flow as the user named it.
type endpoint struct {
	text  string
	any   bool
	addrs []netip.Addr
	port  uint16
	netns string // path of its namespace, "" when unknown
	// what follows is known of Kubernetes names
	proto     string
	node      string
	ref       *journey.Ref
	endpoints []verdict.Endpoint
}

// lookup answers what an endpoint's name means on this machine.
type lookup struct {
	snapshot *netstate.Snapshot
	refs     []netstate.Ref
	names    *names
	node     string // this one
	proto    string // asked for, "" for none
	// resolve asks the node's resolver; nil for none
	resolve func(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// hasOwnForm reports the endpoints that are no names: netns: and pid:, whose paths may look like names.
func hasOwnForm(text string) bool {
	return strings.HasPrefix(text, "netns:") || strings.HasPrefix(text, "pid:")
}

// parseEndpoint reads one of: ADDRESS, ADDRESS:PORT, [ADDRESS]:PORT, host, host:PORT, netns:NAME, netns:NAME:PORT, pid:N, any, and the names of
// Kubernetes and of DNS.
func (l *lookup) parseEndpoint(ctx context.Context, text string, source bool) (*endpoint, error) {
	if text == "any" {
		if !source {
			return nil, fmt.Errorf("the destination cannot be 'any': name an address")
		}
		return &endpoint{text: text, any: true}, nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return l.address(text, a, 0)
	}
	if !hasOwnForm(text) {
		name, ok, err := k8smeta.ParseName(text, l.names.namespace)
		switch {
		case err != nil:
			return nil, err
		case ok:
			return l.named(name, source)
		}
	}
	if strings.HasPrefix(text, "[") || strings.Count(text, ":") == 1 && !hasOwnForm(text) {
		return l.withPort(ctx, text)
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
	if e, err := l.dns(ctx, text, 0); e != nil || err != nil {
		return e, err
	}
	return nil, fmt.Errorf("%q is no endpoint: use NAMESPACE/POD, svc/NAMESPACE/NAME:PORT, 10.0.0.1, [2001:db8::1]:80, netns:NAME, pid:N, host or any", text)
}

// named resolves a name of Kubernetes.
func (l *lookup) named(n k8smeta.Name, source bool) (*endpoint, error) {
	if l.names.index == nil {
		return nil, fmt.Errorf("%q is a name of Kubernetes, and nobody can be asked for it: %w; use --kubeconfig, --cluster FILE or addresses", n.Text, l.names.why)
	}
	want := k8smeta.Want{Source: source, Node: l.node}
	if !source {
		want.Proto = l.proto
	}
	t, err := l.names.index.Find(n, want)
	var missing *k8smeta.NotFoundError
	if l.names.api != nil && errors.As(err, &missing) {
		if why := l.names.api.Unasked(n); why != nil {
			return nil, fmt.Errorf("%q cannot be looked up: %w", n.Text, why)
		}
	}
	if err != nil {
		return nil, err
	}
	e := &endpoint{text: t.Ref.String(), addrs: t.Addrs, port: t.Port, proto: t.Proto, node: t.Node, ref: toRef(t.Ref)}
	e.endpoints = toEndpoints(t.Endpoints)
	for _, a := range e.addrs {
		e.netns = cmp.Or(e.netns, l.netnsOf(a))
	}
	return e, nil
}

// toEndpoints keeps what is not known, nil, apart from none.
func toEndpoints(all []k8smeta.Backend) []verdict.Endpoint {
	if all == nil {
		return nil
	}
	out := []verdict.Endpoint{}
	for _, b := range all {
		v := verdict.Endpoint{Addr: b.Addr.String(), Node: b.Node, Ready: b.Ready}
		if ns, name, ok := strings.Cut(b.Pod, "/"); ok {
			v.Ref = &journey.Ref{Kind: "Pod", Namespace: ns, Name: name}
		}
		out = append(out, v)
	}
	return out
}

// dns asks the node's resolver for a name outside of the cluster; nil without an error for what is no DNS name.
func (l *lookup) dns(ctx context.Context, host string, port uint16) (*endpoint, error) {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if l.resolve == nil || !strings.Contains(host, ".") || last == "" || strings.Trim(last, "0123456789") == "" || len(validation.IsDNS1123Subdomain(strings.ToLower(host))) > 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	all, err := l.resolve(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("%q is no name of a Service or pod, and the resolver of this node does not know it: %w", host, err)
	}
	e := &endpoint{text: host, port: port}
	for _, a := range all {
		e.addrs = append(e.addrs, a.Unmap())
	}
	return e, nil
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
func (l *lookup) withPort(ctx context.Context, text string) (*endpoint, error) {
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
		if e, err := l.dns(ctx, text[:i], port); e != nil || err != nil {
			return e, err
		}
		return nil, fmt.Errorf("%q is no endpoint: use NAMESPACE/POD, svc/NAMESPACE/NAME:PORT, 10.0.0.1:80 or [2001:db8::1]:80", text)
	}
	return l.address(text, a, port)
}

func (l *lookup) address(text string, a netip.Addr, port uint16) (*endpoint, error) {
	if a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
		return nil, fmt.Errorf("%q cannot be one end of a flow: name a unicast address without a zone", text)
	}
	a = a.Unmap()
	return &endpoint{text: a.String(), addrs: []netip.Addr{a}, port: port, netns: l.netnsOf(a)}, nil
}

// netnsOf is the namespace on this machine that has an address.
func (l *lookup) netnsOf(a netip.Addr) string {
	for _, o := range l.snapshot.OwnersOf(a) {
		for i, r := range l.refs {
			if o.NS == &l.snapshot.Namespaces[i] {
				return r.Path
			}
		}
	}
	return ""
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
	if len(e.addrs) == 0 && len(n.Links) == 0 {
		if err := mayEnter(); err != nil {
			return nil, fmt.Errorf("namespace %s could not be read: %w", text, err)
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
