// SPDX-License-Identifier: Apache-2.0

package kubeproxy

import (
	"net/netip"
	"strings"
	"testing"
)

// signed is the name that kube-proxy would make of a text, which need not be one that it would ever use.
func signed(kind, text string) string {
	return kind + "-" + digest(text, nftHash) + "-" + text
}

func TestParseNFT(t *testing.T) {
	for chain, want := range map[string]Chain{
		"service-2QRHZV4L-default/kubernetes/tcp/https":             {Kind: KindService, Port: kubernetes.unnumbered()},
		"firewall-ULMVA6XW-ns1/svc1/tcp/p80":                        {Kind: KindFirewall, Port: svc1.unnumbered()},
		"endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80":         {Kind: KindEndpoint, Port: svc1.unnumbered(), Endpoint: pod4},
		signed(KindEndpoint, "ns1/svc1/tcp/p80__fd00.10.180..1/80"): {Kind: KindEndpoint, Port: svc1.unnumbered(), Endpoint: pod6},
		signed(KindEndpoint, "ns1/svc1/tcp/__..1/80"): {Kind: KindEndpoint, Port: unnamed.unnumbered(),
			Endpoint: netip.MustParseAddrPort("[::1]:80")},
		signed(KindEndpoint, "ns1/svc1/tcp/__FD00.0..1/80"): {Kind: KindEndpoint, Port: unnamed.unnumbered(), // as somebody wrote it in an EndpointSlice
			Endpoint: netip.MustParseAddrPort("[fd00::1]:80")},
		signed(KindLocal, "ns1/svc1/tcp/"): {Kind: KindLocal, Port: unnamed.unnumbered()},
	} {
		if got, ok := ParseNFT(chain); !ok || got != want {
			t.Errorf("ParseNFT(%q) = %+v, %v, want %+v", chain, got, ok, want)
		}
	}
}

func TestParseNFTRefuses(t *testing.T) {
	for why, chain := range map[string]string{
		"empty":                      "",
		"only a kind":                "service-",
		"only a hash":                "service-2QRHZV4L",
		"nothing after the hash":     "service-2QRHZV4L-",
		"a chain always there":       "service-endpoints-check",
		"another chain always there": "firewall-check",
		"iptables mode":              "KUBE-SVC-NPX46M4PTMTKRN6Y",
		"a set":                      "affinity-SMRPEQGI-shop/sticky/tcp/http__10.244.1.20/8080",
		"another tool's":             "my-service-chain/with/slash/es",
		"a forged hash":              "service-AAAAAAAA-default/kubernetes/tcp/https",
		"another Service's hash":     "service-2QRHZV4L-default/kubernetes2/tcp/https",
		"a lower-case hash":          "service-2qrhzv4l-default/kubernetes/tcp/https",
		"a hash one digit short":     "service-2QRHZV4-default/kubernetes/tcp/https",
		"a hash one digit long":      "service-2QRHZV4LA-default/kubernetes/tcp/https",
		"an endpoint as a service":   signed(KindService, "ns1/svc1/tcp/p80__10.180.0.1/80"),
		"an endpoint without one":    signed(KindEndpoint, "ns1/svc1/tcp/p80"),
		"too few parts":              signed(KindService, "ns1/svc1/tcp"),
		"too many parts":             signed(KindService, "ns1/svc1/tcp/p80/x"),
		"no namespace":               signed(KindService, "/svc1/tcp/p80"),
		"no service":                 signed(KindService, "ns1//tcp/p80"),
		"an unknown protocol":        signed(KindService, "ns1/svc1/icmp/p80"),
		"an upper-case protocol":     signed(KindService, "ns1/svc1/TCP/p80"),
		"a terminal escape":          signed(KindService, "ns1/\x1b[31msvc1/tcp/p80"),
		"a namespace too long":       signed(KindService, strings.Repeat("n", 64)+"/svc1/tcp/p80"),
		"an endpoint without a port": signed(KindEndpoint, "ns1/svc1/tcp/p80__10.180.0.1"),
		"a port too large":           signed(KindEndpoint, "ns1/svc1/tcp/p80__10.180.0.1/65536"),
		"a port with a zero":         signed(KindEndpoint, "ns1/svc1/tcp/p80__10.180.0.1/080"),
		"a negative port":            signed(KindEndpoint, "ns1/svc1/tcp/p80__10.180.0.1/-1"),
		"no address":                 signed(KindEndpoint, "ns1/svc1/tcp/p80__/80"),
		"a name for an address":      signed(KindEndpoint, "ns1/svc1/tcp/p80__localhost/80"),
		"five groups":                signed(KindEndpoint, "ns1/svc1/tcp/p80__10.180.0.1.2/80"),
		"colons":                     signed(KindEndpoint, "ns1/svc1/tcp/p80__fd00::1/80"),
		"a zone":                     signed(KindEndpoint, "ns1/svc1/tcp/p80__fe80..1%eth0/80"),
		"an IPv4-mapped address":     signed(KindEndpoint, "ns1/svc1/tcp/p80__..ffff.a00.1/80"),
		"two endpoints":              signed(KindEndpoint, "ns1/svc1/tcp/p80__10.0.0.1/80__10.0.0.1/80"),
		"longer than kube-proxy's":   signed(KindService, strings.Repeat("n", 63)+"/"+strings.Repeat("s", 170)),
		"longer than the kernel's":   signed(KindService, strings.Repeat("n", 300)),
	} {
		if got, ok := ParseNFT(chain); ok {
			t.Errorf("%s: ParseNFT(%q) = %+v", why, chain, got)
		}
	}
}

func FuzzParseNFT(f *testing.F) {
	f.Add("service-2QRHZV4L-default/kubernetes/tcp/https")
	f.Add("endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80")
	f.Add(signed(KindEndpoint, "ns1/svc1/tcp/p80__fd00.10.180..1/80"))
	f.Add(NFTablesChain(KindEndpoint, longPort, longPod))
	f.Fuzz(func(t *testing.T, chain string) {
		checkParsed(t, chain)
		// The fuzzer does not find hashes: have it look behind them too.
		for kind := range iptPrefixes {
			checkParsed(t, signed(kind, chain))
		}
	})
}

// checkParsed checks that what was read from a name makes that name again, or for an address that is written unusually, one that reads alike.
func checkParsed(t *testing.T, chain string) {
	c, ok := ParseNFT(chain)
	if !ok {
		return
	}
	again := NFTablesChain(c.Kind, c.Port, c.Endpoint)
	if again == chain {
		return
	}
	if back, ok := ParseNFT(again); c.Kind != KindEndpoint || !c.Endpoint.Addr().Is6() || !ok || back != c {
		t.Errorf("%q reads as %+v, which makes %q, which reads as %+v, %v", chain, c, again, back, ok)
	}
}
