// SPDX-License-Identifier: Apache-2.0

package kubeproxy

import (
	"net/netip"
	"strings"
	"testing"
)

var (
	kubernetes = Port{Namespace: "default", Service: "kubernetes", PortName: "https", Proto: "tcp", Port: 443}
	dns        = Port{Namespace: "kube-system", Service: "kube-dns", PortName: "dns", Proto: "udp", Port: 53}
	svc1       = Port{Namespace: "ns1", Service: "svc1", PortName: "p80", Proto: "tcp", Port: 80}
	unnamed    = Port{Namespace: "ns1", Service: "svc1", Proto: "tcp", Port: 80}

	none   netip.AddrPort
	dnsPod = netip.MustParseAddrPort("10.244.0.2:53")
	pod4   = netip.MustParseAddrPort("10.180.0.1:80")
	pod6   = netip.MustParseAddrPort("[fd00:10:180::1]:80")
)

// named is p with another name and protocol of the port.
func named(p Port, name, proto string) Port {
	p.PortName, p.Proto = name, proto
	return p
}

// TestIPTablesChain: the vectors of kube-system and default are of a cluster; ns1/svc1 is of pkg/proxy/iptables/proxier_test.go; those
// without a port name and of IPv6 were computed apart from this package.
func TestIPTablesChain(t *testing.T) {
	for _, tt := range []struct {
		want, kind string
		port       Port
		endpoint   netip.AddrPort
	}{
		{"KUBE-SVC-NPX46M4PTMTKRN6Y", KindService, kubernetes, none},
		{"KUBE-SVC-TCOU7JCQXEZGVUNU", KindService, dns, none},
		{"KUBE-SVC-ERIFXISQEP7F7OF4", KindService, named(dns, "dns-tcp", "tcp"), none},
		{"KUBE-SVC-JD5MR3NA4I4DYORP", KindService, named(dns, "metrics", "tcp"), none},
		{"KUBE-SVC-JD5MR3NA4I4DYORP", KindService, named(dns, "metrics", "TCP"), none}, // as the API writes it
		{"KUBE-SEP-YIL6JZP7A3QYXJU2", KindEndpoint, dns, dnsPod},
		{"KUBE-SVC-XPGD46QRK7WJZT7O", KindService, svc1, none},
		{"KUBE-SVC-XPGD46QRK7WJZT7O", KindService, svc1, pod4}, // an endpoint has no part in it
		{"KUBE-SVL-XPGD46QRK7WJZT7O", KindLocal, svc1, none},
		{"KUBE-EXT-XPGD46QRK7WJZT7O", KindExternal, svc1, none},
		{"KUBE-FW-XPGD46QRK7WJZT7O", KindFirewall, svc1, none},
		{"KUBE-SEP-SXIVWICOYRO3J4NJ", KindEndpoint, svc1, pod4},
		{"KUBE-SEP-SXIVWICOYRO3J4NJ", KindEndpoint, svc1, netip.MustParseAddrPort("[::ffff:10.180.0.1]:80")},
		{"KUBE-SEP-OGYCNMB4EMRUSJ6N", KindEndpoint, svc1, pod6},
		{"KUBE-SVC-AQI2S6QIMU7PVVRP", KindService, unnamed, none},
		{"", "affinity", svc1, none},
	} {
		if got := IPTablesChain(tt.kind, tt.port, tt.endpoint); got != tt.want {
			t.Errorf("IPTablesChain(%q, %v, %v) = %q, want %q", tt.kind, tt.port, tt.endpoint, got, tt.want)
		}
	}
}

// TestNFTablesChain: ns1/svc1 is of the comments in pkg/proxy/nftables/proxier.go.
func TestNFTablesChain(t *testing.T) {
	for _, tt := range []struct {
		want, kind string
		port       Port
		endpoint   netip.AddrPort
	}{
		{"service-2QRHZV4L-default/kubernetes/tcp/https", KindService, kubernetes, none},
		{"service-ULMVA6XW-ns1/svc1/tcp/p80", KindService, svc1, none},
		{"service-ULMVA6XW-ns1/svc1/tcp/p80", KindService, named(svc1, "p80", "TCP"), pod4},
		{"local-ULMVA6XW-ns1/svc1/tcp/p80", KindLocal, svc1, none},
		{"external-ULMVA6XW-ns1/svc1/tcp/p80", KindExternal, svc1, none},
		{"firewall-ULMVA6XW-ns1/svc1/tcp/p80", KindFirewall, svc1, none},
		{"endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80", KindEndpoint, svc1, pod4},
		{"endpoint-ZVRFLKHO-ns1/svc1/tcp/p80__fd00.10.180..1/80", KindEndpoint, svc1, pod6},
		{"service-ORSFS6WO-ns1/svc1/sctp/", KindService, named(svc1, "", "sctp"), none},
		{"", "affinity", svc1, none}, // a set
		{"", "", svc1, none},
	} {
		if got := NFTablesChain(tt.kind, tt.port, tt.endpoint); got != tt.want {
			t.Errorf("NFTablesChain(%q, %v, %v) = %q, want %q", tt.kind, tt.port, tt.endpoint, got, tt.want)
		}
	}
}

// longPort and longPod are as long as names can be: their endpoint is the one case that kube-proxy cuts.
var (
	longPort = Port{Namespace: strings.Repeat("n", 63), Service: strings.Repeat("s", 63), PortName: strings.Repeat("p", 63), Proto: "sctp", Port: 9}
	longPod  = netip.MustParseAddrPort("[2001:db8:1111:2222:3333:4444:5555:6666]:65535")
)

func TestNFTablesChainIsCut(t *testing.T) {
	whole := NFTablesChain(KindExternal, longPort, none)
	if strings.HasSuffix(whole, nftCut) {
		t.Errorf("a Service port was cut: %q", whole)
	}
	if c, ok := ParseNFT(whole); !ok || c.Port != longPort.unnumbered() {
		t.Errorf("ParseNFT(%q) = %+v, %v", whole, c, ok)
	}
	cut := NFTablesChain(KindEndpoint, longPort, longPod)
	if want := len("endpoint-") + nftBaseMax; len(cut) != want || !strings.HasSuffix(cut, nftCut) {
		t.Errorf("%q has %d bytes, want %d that end in %s", cut, len(cut), want, nftCut)
	}
	if c, ok := ParseNFT(cut); ok {
		t.Errorf("ParseNFT believed a name that cannot be verified: %+v", c)
	}
}
