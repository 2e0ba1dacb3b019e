// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/probe"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

var protos = map[string]uint8{"tcp": tracer.ProtoTCP, "udp": tracer.ProtoUDP, "icmp": tracer.ProtoICMP, "sctp": tracer.ProtoSCTP}

// plan is a flow with every name resolved.
type plan struct {
	node     string
	refs     []netstate.Ref
	before   *netstate.Snapshot
	src, dst *endpoint
	proto    string
	filter   tracer.Filter
}

func makePlan(ctx context.Context, o *flowOptions, srcText, dstText string) (*plan, error) {
	node, refs, err := scopes(o.scope)
	if err != nil {
		return nil, err
	}
	p := &plan{node: node, refs: refs, before: netstate.Read(ctx, refs), proto: o.proto}
	l := &lookup{p.before, refs}
	if p.src, err = l.parseEndpoint(srcText, true); err != nil {
		return nil, err
	}
	if p.dst, err = l.parseEndpoint(dstText, false); err != nil {
		return nil, err
	}
	if err := match(p.src, p.dst); err != nil {
		return nil, err
	}
	if p.proto == "" {
		p.proto = "tcp"
		if p.dst.port == 53 {
			p.proto = "udp"
		}
	}
	if p.proto == "icmp" && p.dst.port != 0 {
		return nil, fmt.Errorf("icmp has no ports: write %s without :%d", p.dst.addrs[0], p.dst.port)
	}
	if o.probe {
		if p.dst.port == 0 && p.proto != "icmp" {
			return nil, fmt.Errorf("a %s probe needs a port: write DST:PORT", p.proto)
		}
		if p.src.netns == "" {
			return nil, fmt.Errorf("no namespace on this node has the address %s: run the probe on the sender's node, or leave --probe out", p.src.text)
		}
	}
	p.filter = tracer.Filter{Proto: protos[p.proto], AnySrc: p.src.any, Src: p.src.addrs, Dst: p.dst.addrs, Sport: o.sport, Dport: p.dst.port, VXLANPorts: vxlanPorts(p.before), Outer: outerFamilies(p.before)}
	if p.src.port != 0 {
		p.filter.Sport = p.src.port
	}
	return p, nil
}

// vxlanPorts are ports of this node's tunnels besides the customary ones.
func vxlanPorts(s *netstate.Snapshot) []uint16 {
	var out []uint16
	for _, n := range s.Namespaces {
		for _, l := range n.Links {
			if l.VXLAN != nil && l.VXLAN.Port != 8472 && l.VXLAN.Port != 4789 && !slices.Contains(out, uint16(l.VXLAN.Port)) && len(out) < 2 {
				out = append(out, uint16(l.VXLAN.Port))
			}
		}
	}
	return out
}

// outerFamilies are those of the packets that this node's tunnels send: of VXLAN by its addresses, of other tunnels either.
func outerFamilies(s *netstate.Snapshot) []uint8 {
	four, six := false, false
	for _, n := range s.Namespaces {
		for _, l := range n.Links {
			switch l.Kind {
			case "vxlan":
				four = four || l.VXLAN == nil || !l.VXLAN.Local.Is6()
				six = six || (l.VXLAN != nil && l.VXLAN.Local.Is6())
			case "ipip", "gre", "gretap", "sit":
				four = true
			case "geneve", "wireguard", "ip6tnl", "ip6gre", "ip6gretap", "openvswitch":
				four, six = true, true
			}
		}
		for _, e := range n.FDB {
			six = six || (e.Dst.Is6() && !e.Dst.Is4In6())
		}
	}
	var out []uint8
	if four {
		out = append(out, 4)
	}
	if six {
		out = append(out, 6)
	}
	return out
}

// sayUnread tells what of the node could not be read; verdicts that need it will be less sure.
func sayUnread(s *netstate.Snapshot, warn func(string)) {
	const most = 5
	n := 0
	for i := range s.Namespaces {
		ns := &s.Namespaces[i]
		for _, u := range append(slices.Clone(ns.Unread), ns.TruncNote) {
			if u == "" {
				continue
			}
			if n++; n <= most {
				warn(fmt.Sprintf("in namespace %s: %s", ns.Name, u))
			}
		}
	}
	if n > most {
		warn(fmt.Sprintf("%d more things of this kind could not be read", n-most))
	}
}

func (p *plan) probe(o *flowOptions) *probe.Request {
	if !o.probe {
		return nil
	}
	timeout := o.timeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	r := &probe.Request{NetNS: p.src.netns, Proto: p.proto, Sport: p.filter.Sport, Dst: netip.AddrPortFrom(p.dst.addrs[0], p.dst.port), Size: o.size, Timeout: timeout}
	if p.src.netns == "" || len(p.src.addrs) == 1 {
		r.Src = p.src.addrs[0]
	}
	return r
}
