// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nettrace-io/nettrace/pkg/probe"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// probeOptions are the flags that say what a probe does besides connecting.
type probeOptions struct {
	http    string // path; "" for no request
	https   string
	dns     string // name
	mtu     bool
	compare bool
}

func (o *probeOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.http, "http", "", "probe with one HEAD request for a path: --http=/healthz (default path /)")
	f.StringVar(&o.https, "https", "", "the same with TLS; the certificate is reported and not verified")
	f.Lookup("http").NoOptDefVal, f.Lookup("https").NoOptDefVal = "/", "/"
	f.StringVar(&o.dns, "dns", "", "probe by asking for a name as programs in SRC do: with its resolv.conf, search list, A and AAAA")
	f.BoolVar(&o.mtu, "mtu", false, "probe for the largest packet that gets through: acknowledged by TCP, or echoed with --proto icmp")
	f.BoolVar(&o.compare, "compare", false, "also probe other ways to DST: the Service's endpoints on this node and others, its DNS name")
}

// any reports whether one of them was given, which means --probe.
func (o *probeOptions) any() bool {
	return o.http != "" || o.https != "" || o.dns != "" || o.mtu || o.compare
}

// check finds flags that exclude one another.
func (o *probeOptions) check(size int, proto string) error {
	var kinds []string
	for _, k := range []struct {
		on   bool
		flag string
	}{{o.http != "", "--http"}, {o.https != "", "--https"}, {o.dns != "", "--dns"}, {o.mtu, "--mtu"}, {size > 0, "--size"}} {
		if k.on {
			kinds = append(kinds, k.flag)
		}
	}
	if len(kinds) > 1 {
		return fmt.Errorf("%s exclude one another: a probe does one of them", strings.Join(kinds, " and "))
	}
	path := cmp.Or(o.http, o.https)
	switch {
	case path != "" && (path[0] != '/' || len(path) > 1000 || strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r == 0x7f })):
		return fmt.Errorf("%q is no path: write %s=/healthz", path, kinds[0])
	case path != "" && proto != "" && proto != "tcp":
		return fmt.Errorf("%s needs tcp, not %s", kinds[0], proto)
	case o.mtu && proto != "" && proto != "tcp" && proto != "icmp":
		return fmt.Errorf("--mtu needs something that is answered whatever its size: use --proto tcp or icmp, not %s", proto)
	case o.dns != "" && proto != "" && proto != "udp" && proto != "tcp":
		return fmt.Errorf("--dns needs udp or tcp, not %s", proto)
	case o.compare && proto == "sctp":
		return errors.New("--compare probes, and sctp probes cannot be sent")
	}
	if o.dns != "" {
		return probe.CheckDNSName(o.dns)
	}
	return nil
}

// customaryName is what a server on port 53 is asked for without --dns: whatever it answers shows that it does.
const customaryName = "kubernetes.default.svc.cluster.local."

// fill adds to a probe what the flags say; the flow's protocol and port are known by now.
func (o *flowOptions) fill(ctx context.Context, p *plan, r *probe.Request, warn func(string)) error {
	switch path := cmp.Or(o.http, o.https); {
	case path != "" && p.proto != "tcp":
		return fmt.Errorf("--http needs tcp, and the flow is %s", p.proto)
	case path != "":
		r.HTTP = &probe.HTTPRequest{Path: path, TLS: o.https != "", Host: p.httpHost()}
	case o.mtu && p.proto != "tcp" && p.proto != "icmp":
		return fmt.Errorf("--mtu needs tcp or icmp, and the flow is %s: add --proto icmp", p.proto)
	case o.mtu:
		r.MTU = true
	case o.dns != "" && p.dst.port == 53:
		d := &probe.DNSRequest{Name: o.dns}
		d.Resolv, d.Source = resolvConf(ctx, "/", p.src.netns)
		r.DNS = d
		switch {
		case d.Resolv == nil:
			warn(fmt.Sprintf("the resolv.conf of %s is not known (%s): DST is asked for the name as it is", p.src.text, d.Source))
		case !slices.Contains(d.Resolv.Servers, p.dst.addrs[0]):
			warn(fmt.Sprintf("the resolv.conf of %s names %v and not %s, which is asked here", p.src.text, d.Resolv.Servers, p.dst.addrs[0]))
			d.Named, d.Resolv.Servers = d.Resolv.Servers, p.dst.addrs[:1]
		}
	case o.dns != "":
		r.DNS = &probe.DNSRequest{Name: o.dns, Source: "not looked at: DST is not port 53"}
	case p.dst.port == 53 && o.size == 0 && (p.proto == "udp" || p.proto == "tcp"):
		r.DNS = &probe.DNSRequest{Name: customaryName}
	}
	return nil
}

// httpHost is the Host header: the name that the user wrote, when it is one of DNS.
func (p *plan) httpHost() string {
	if p.dst.ref != nil && p.dst.ref.Kind == "Service" && p.dst.port != 0 {
		return fmt.Sprintf("%s.%s.svc:%d", p.dst.ref.Name, p.dst.ref.Namespace, p.dst.port)
	}
	return ""
}

// probeTimeout is how long a probe may take in all.
func (o *flowOptions) probeTimeout() time.Duration { return cmp.Or(o.timeout, 10*time.Second) }

// variants are the other ways to the destination. Endpoints that are not ready get no traffic of the Service and are left out.
func (p *plan) variants(ctx context.Context) []probe.Variant {
	var out []probe.Variant
	src := p.senderNode()
	seen := map[probe.VariantKind]int{}
	for _, e := range p.dst.endpoints {
		a, err := netip.ParseAddrPort(e.Addr)
		if err != nil || !e.Ready || a == netip.AddrPortFrom(p.dst.addrs[0], p.dst.port) || a.Addr().Is6() != p.dst.addrs[0].Is6() {
			continue
		}
		v := endpointVariant(e, a, src)
		if seen[v.Kind]++; seen[v.Kind] <= 2 {
			out = append(out, v)
		}
	}
	if p.names.index == nil || p.proto == "icmp" {
		return out
	}
	if s, port := p.names.index.EndpointOf(p.proto, p.dst.addrs[0], p.dst.port); s != nil {
		for _, ip := range s.ClusterIPs {
			if ip.Is6() == p.dst.addrs[0].Is6() {
				out = append(out, probe.Variant{What: "the Service " + s.Namespace + "/" + s.Name, Kind: probe.ByService, Dst: netip.AddrPortFrom(ip, port.Port)})
			}
		}
	}
	if s, port := p.names.index.ServicePort(p.proto, p.dst.addrs[0], p.dst.port); s != nil && port != nil && p.dst.port != 53 {
		conf, _ := resolvConf(ctx, "/", p.src.netns)
		name := s.Name + "." + s.Namespace + ".svc"
		out = append(out, probe.Variant{What: "the DNS name " + name, Kind: probe.ByName, Name: name, Resolv: conf, Dst: netip.AddrPortFrom(p.dst.addrs[0], p.dst.port)})
	}
	return out
}

func endpointVariant(e verdict.Endpoint, a netip.AddrPort, src string) probe.Variant {
	what := "the endpoint"
	if e.Ref != nil {
		what += " " + e.Ref.Namespace + "/" + e.Ref.Name
	}
	switch {
	case e.Node == "" || src == "":
		return probe.Variant{What: what, Kind: probe.Endpoint, Dst: a}
	case e.Node == src:
		return probe.Variant{What: what + " on the same node", Kind: probe.SameNode, Dst: a}
	}
	return probe.Variant{What: what + " on " + e.Node, Kind: probe.OtherNode, Dst: a}
}

// senderNode is the node of the sender, "" when it is not known.
func (p *plan) senderNode() string {
	if p.src.node != "" {
		return p.src.node
	}
	for i, r := range p.refs {
		if r.Path == p.src.netns && i < len(p.before.Namespaces) {
			return p.before.Namespaces[i].Node
		}
	}
	return ""
}
