// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// Variant is another way to what a probe was sent to: an endpoint of a Service, or its name.
type Variant struct {
	What string // "the endpoint shop/web-a on the same node"
	Kind VariantKind
	Dst  netip.AddrPort // port 0 for icmp; the port alone counts for a name
	Name string         // to be asked for with Resolv, when it is not empty
	// Resolv is the sender's; nil when it is not known, which leaves the name out.
	Resolv *ResolvConf
}

// VariantKind is how a variant differs from the destination.
type VariantKind string

// The kinds of variants.
const (
	SameNode  VariantKind = "same-node"  // an endpoint on the sender's node
	OtherNode VariantKind = "other-node" // an endpoint on another node
	Endpoint  VariantKind = "endpoint"   // an endpoint, where is not known
	ByService VariantKind = "service"    // the Service in front of the pod
	ByName    VariantKind = "name"       // the DNS name instead of the address
)

// Compared is what a variant gave.
type Compared struct {
	What   string      `json:"what"`
	Kind   VariantKind `json:"kind"`
	Dst    string      `json:"dst,omitempty"` // address:port
	Result Outcome     `json:"result"`
	MS     int64       `json:"ms"`
	Error  string      `json:"error,omitempty"`
	ICMP   *ICMP       `json:"icmp,omitempty"`
}

// MaxVariants bounds a comparison.
const MaxVariants = 8

// variantTimeout bounds each variant: what works answers within it.
const variantTimeout = 3 * time.Second

// Compare probes variants one after the other, each like the request and as plain as possible. It stops with its context.
func Compare(ctx context.Context, r Request, all []Variant) ([]Compared, error) {
	out := []Compared{}
	for _, v := range all[:min(len(all), MaxVariants)] {
		if ctx.Err() != nil {
			break
		}
		sub := r
		sub.DNS, sub.MTU, sub.Sport, sub.Dst = r.DNS, false, 0, v.Dst
		sub.Timeout = min(r.Timeout, variantTimeout)
		if sub.DNS != nil { // the server is compared, not the search list
			sub.DNS = &DNSRequest{Name: r.DNS.Name}
		}
		c := Compared{What: v.What, Kind: v.Kind}
		if v.Name != "" {
			a, err := lookup(ctx, sub, &v)
			if err != nil {
				return out, err
			}
			if !a.addr.IsValid() {
				c.Result, c.Error, c.MS = a.result, a.why, a.ms
				out = append(out, c)
				continue
			}
			sub.Dst = netip.AddrPortFrom(a.addr, v.Dst.Port())
		}
		c.Dst = sub.Dst.String()
		if sub.Dst.Port() == 0 {
			c.Dst = sub.Dst.Addr().String()
		}
		res, err := Send(ctx, sub)
		if err != nil {
			return out, err
		}
		c.Result, c.MS, c.Error, c.ICMP = res.Result, res.MS, res.Error, res.ICMP
		out = append(out, c)
	}
	return out, nil
}

// found is what a name gave.
type found struct {
	addr   netip.Addr
	result Outcome
	why    string
	ms     int64
}

// lookup asks for a variant's name as the sender's programs do.
func lookup(ctx context.Context, r Request, v *Variant) (found, error) {
	if v.Resolv == nil {
		return found{result: NoAnswer, why: "the sender's resolv.conf is not known"}, nil
	}
	ask := r
	ask.Proto, ask.HTTP, ask.Size, ask.DNS = "udp", nil, 0, &DNSRequest{Name: v.Name, Resolv: v.Resolv}
	res, err := Send(ctx, ask)
	if err != nil {
		return found{}, err
	}
	f := found{result: res.Result, why: res.Error, ms: res.MS}
	for _, s := range res.DNS.Answers {
		if a, err := netip.ParseAddr(s); err == nil && a.Is6() == v.Dst.Addr().Is6() {
			f.addr = a
			return f, nil
		}
	}
	if res.Result == Connected {
		f.result, f.why = Unreachable, fmt.Sprintf("the name has no address: %s", res.DNS.Rcode)
	}
	return f, nil
}
