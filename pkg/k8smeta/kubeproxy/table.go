// SPDX-License-Identifier: Apache-2.0

package kubeproxy

import (
	"net/netip"
	"strconv"
	"strings"
)

// Chain is what a chain's name means.
type Chain struct {
	Kind     Kind
	Port     Port
	Endpoint netip.AddrPort // of an endpoint's chain
}

// Table recognises the chains of Services that were added. It is read-only after that.
type Table struct{ chains map[string]Chain }

// New makes an empty table.
func New() *Table { return &Table{chains: map[string]Chain{}} }

// Add adds a Service's port with its endpoints: every name that kube-proxy may give to its chains, in both modes.
func (t *Table) Add(p Port, endpoints []netip.AddrPort) {
	for _, k := range []Kind{Cluster, Local, External, Firewall} {
		c := Chain{Kind: k, Port: p}
		t.chains[IPTablesChain(k, p, netip.AddrPort{})], t.chains[NFTablesChain(k, p, netip.AddrPort{})] = c, c
	}
	for _, e := range endpoints {
		c := Chain{Endpoint, p, e}
		t.chains[IPTablesChain(Endpoint, p, e)], t.chains[NFTablesChain(Endpoint, p, e)] = c, c
	}
}

// Len is the number of names.
func (t *Table) Len() int { return len(t.chains) }

// Lookup says what a chain of either mode is. It works on a nil Table, which knows nothing; names of nftables mode are understood without
// their Service having been added.
func (t *Table) Lookup(chain string) (Chain, bool) {
	if t != nil {
		if c, ok := t.chains[chain]; ok {
			return c, true
		}
	}
	return ParseNFT(chain)
}

// ParseNFT reads a chain name of nftables mode: KIND-HASH-NAMESPACE/SERVICE/PROTO/PORTNAME, and for an endpoint __ADDRESS/PORT behind it, with
// dots for the colons of IPv6. ok is false for any other name, for one whose hash is wrong, and for one that was cut.
func ParseNFT(chain string) (Chain, bool) {
	kind, rest, ok := strings.Cut(chain, "-")
	c := Chain{Kind: Kind(kind)}
	if !ok || prefixes[c.Kind] == "" || len(rest) < 10 || rest[8] != '-' {
		return Chain{}, false
	}
	body := rest[9:]
	if hash(body)[:8] != rest[:8] {
		return Chain{}, false
	}
	name := body
	if c.Kind == Endpoint {
		var at string
		if name, at, ok = cutLast(body, "__"); !ok {
			return Chain{}, false
		}
		if c.Endpoint, ok = endpointOf(at); !ok {
			return Chain{}, false
		}
	}
	parts := strings.Split(name, "/")
	if len(parts) != 4 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return Chain{}, false
	}
	c.Port = Port{parts[0], parts[1], parts[3], parts[2]}
	return c, true
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// endpointOf reads "10.0.0.1/80" and "fd00..1/80".
func endpointOf(s string) (netip.AddrPort, bool) {
	addr, port, ok := strings.Cut(s, "/")
	n, err := strconv.ParseUint(port, 10, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, false
	}
	a, err := netip.ParseAddr(addr)
	if err != nil {
		a, err = netip.ParseAddr(strings.ReplaceAll(addr, ".", ":"))
	}
	return netip.AddrPortFrom(a, uint16(n)), err == nil
}
