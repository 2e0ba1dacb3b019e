// SPDX-License-Identifier: Apache-2.0

package kubeproxy

import (
	"net/netip"
	"strings"
)

// Table is a dictionary of chain names. Once the last Add has returned it does not change, and any number of goroutines may use Lookup.
type Table struct {
	services  map[string]Port   // by the hash of iptables mode, which the four kinds of a Service port share
	endpoints map[string]Chain  // by the hash of iptables mode
	numbers   map[Port]uint16   // of the Service port, by the Port without its number: what a name of nftables mode lacks
	cut       map[string]string // names of nftables mode that kube-proxy cut, with the hash of iptables mode of the same endpoint
}

// New is an empty Table.
func New() *Table {
	return &Table{
		services:  map[string]Port{},
		endpoints: map[string]Chain{},
		numbers:   map[Port]uint16{},
		cut:       map[string]string{},
	}
}

// Add enters the chains of a Service port and of its endpoints, whether kube-proxy needs them or not: which of them exist on a node
// depends on traffic policies, on the node and on the moment. A port may be added again with more endpoints, as its EndpointSlices come.
func (t *Table) Add(p Port, endpoints []netip.AddrPort) {
	p.Proto = strings.ToLower(p.Proto) // the API writes TCP
	t.services[serviceHash(p)] = p
	t.numbers[p.unnumbered()] = p.Port
	for _, e := range endpoints {
		e = unmap(e)
		hash := endpointHash(p, e)
		t.endpoints[hash] = Chain{Kind: KindEndpoint, Port: p, Endpoint: e}
		if name := NFTablesChain(KindEndpoint, p, e); strings.HasSuffix(name, nftCut) {
			t.cut[name] = hash
		}
	}
}

// Lookup says what a chain of either mode stands for. A chain of iptables mode has to be in the Table. One of nftables mode need not be:
// it describes itself, and may outlive its Service; the number of its port is then 0.
func (t *Table) Lookup(chain string) (Chain, bool) {
	if strings.HasPrefix(chain, "KUBE-") {
		return t.iptables(chain)
	}
	if hash, ok := t.cut[chain]; ok {
		return t.endpoints[hash], true
	}
	c, ok := ParseNFT(chain)
	if !ok {
		return Chain{}, false
	}
	c.Port.Port = t.numbers[c.Port]
	return c, true
}

func (t *Table) iptables(chain string) (Chain, bool) {
	for kind, prefix := range iptPrefixes {
		hash, ok := strings.CutPrefix(chain, prefix)
		if !ok {
			continue
		}
		if kind == KindEndpoint {
			c, ok := t.endpoints[hash]
			return c, ok
		}
		p, ok := t.services[hash]
		if !ok {
			return Chain{}, false
		}
		return Chain{Kind: kind, Port: p}, true
	}
	return Chain{}, false
}

func (p Port) unnumbered() Port {
	p.Port = 0
	return p
}
