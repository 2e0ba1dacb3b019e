// SPDX-License-Identifier: Apache-2.0

package kubeproxy

import (
	"net/netip"
	"sync"
	"testing"
)

var kinds = []string{KindService, KindLocal, KindExternal, KindFirewall, KindEndpoint}

func TestTable(t *testing.T) {
	table := New()
	table.Add(named(svc1, "p80", "TCP"), []netip.AddrPort{pod4})
	table.Add(svc1, []netip.AddrPort{pod6}) // the slice of the other family
	table.Add(unnamed, nil)
	table.Add(longPort, []netip.AddrPort{longPod})

	for _, tt := range []Chain{
		{Port: svc1, Endpoint: pod4}, {Port: svc1, Endpoint: pod6}, {Port: unnamed}, {Port: longPort, Endpoint: longPod},
	} {
		for _, kind := range kinds {
			if kind == KindEndpoint && tt.Endpoint == none {
				continue
			}
			want := Chain{Kind: kind, Port: tt.Port}
			if kind == KindEndpoint {
				want.Endpoint = tt.Endpoint
			}
			for _, name := range []string{IPTablesChain(kind, tt.Port, tt.Endpoint), NFTablesChain(kind, tt.Port, tt.Endpoint)} {
				if got, ok := table.Lookup(name); !ok || got != want {
					t.Errorf("Lookup(%q) = %+v, %v, want %+v", name, got, ok, want)
				}
			}
		}
	}
}

func TestTableRefuses(t *testing.T) {
	table := New()
	table.Add(svc1, []netip.AddrPort{pod4})
	for why, chain := range map[string]string{
		"empty":                          "",
		"an unknown Service":             IPTablesChain(KindService, kubernetes, none),
		"an unknown endpoint":            IPTablesChain(KindEndpoint, svc1, pod6),
		"another protocol":               IPTablesChain(KindService, named(svc1, "p80", "udp"), none),
		"a forged hash":                  "KUBE-SVC-XPGD46QRK7WJZT7P",
		"half a hash":                    "KUBE-SVC-XPGD46QR",
		"no hash":                        "KUBE-SVC-",
		"more than a hash":               "KUBE-SVC-XPGD46QRK7WJZT7OA",
		"a Service's hash as endpoint's": "KUBE-SEP-XPGD46QRK7WJZT7O",
		"an endpoint's hash as a name":   "KUBE-SVC-SXIVWICOYRO3J4NJ",
		"before 1.24":                    "KUBE-XLB-XPGD46QRK7WJZT7O",
		"a chain always there":           "KUBE-EXTERNAL-SERVICES",
		"another":                        "KUBE-PROXY-FIREWALL",
		"of kube-router":                 "KUBE-POD-FW-XPGD46QRK7WJZT7O",
		"a forged hash of nftables mode": "service-AAAAAAAA-ns1/svc1/tcp/p80",
		"a cut name that is not known":   NFTablesChain(KindEndpoint, longPort, longPod),
	} {
		if got, ok := table.Lookup(chain); ok {
			t.Errorf("%s: Lookup(%q) = %+v", why, chain, got)
		}
	}
}

// TestTableStale: rules outlive endpoints and Services, and in nftables mode their names still say whose they were.
func TestTableStale(t *testing.T) {
	table := New()
	table.Add(svc1, nil)
	for _, want := range []Chain{
		{Kind: KindEndpoint, Port: svc1, Endpoint: pod4},   // of a known Service, hence with its port
		{Kind: KindService, Port: kubernetes.unnumbered()}, // of none
		{Kind: KindEndpoint, Port: dns.unnumbered(), Endpoint: dnsPod},
	} {
		if got, ok := table.Lookup(NFTablesChain(want.Kind, want.Port, want.Endpoint)); !ok || got != want {
			t.Errorf("Lookup = %+v, %v, want %+v", got, ok, want)
		}
	}
}

func TestTableConcurrently(t *testing.T) {
	table := New()
	table.Add(svc1, []netip.AddrPort{pod4})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, kind := range kinds {
				if _, ok := table.Lookup(IPTablesChain(kind, svc1, pod4)); !ok {
					t.Errorf("no %s chain", kind)
				}
			}
		})
	}
	wg.Wait()
}
