// SPDX-License-Identifier: Apache-2.0

package kubeproxy

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const testdata = "../../../testdata"

// What the tests need of the API's Services and EndpointSlices.
type (
	meta struct {
		Namespace, Name string
		Labels          map[string]string
	}
	service struct {
		Metadata meta
		Spec     struct {
			ClusterIP string
			Ports     []struct {
				Name, Protocol string
				Port           uint16
			}
		}
	}
	slice struct {
		Metadata  meta
		Endpoints []struct{ Addresses []netip.Addr }
		Ports     []struct {
			Name, Protocol string
			Port           uint16
		}
	}
)

func items[T any](t *testing.T, name string) []T {
	t.Helper()
	var list struct{ Items []T }
	if err := json.Unmarshal(read(t, "api/"+name), &list); err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	return list.Items
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testdata, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// cluster is the Table of the API objects that kube-proxy wrote the fixtures for, and the virtual address of each Service port.
func cluster(t *testing.T) (*Table, map[Port]string) {
	t.Helper()
	table, vips := New(), map[Port]string{}
	slices := items[slice](t, "endpointslices.json")
	for _, s := range items[service](t, "services.json") {
		if s.Spec.ClusterIP == "None" { // kube-proxy ignores headless Services
			continue
		}
		for _, sp := range s.Spec.Ports {
			p := Port{Namespace: s.Metadata.Namespace, Service: s.Metadata.Name, PortName: sp.Name, Proto: sp.Protocol, Port: sp.Port}
			table.Add(p, endpoints(slices, p))
			p.Proto = strings.ToLower(p.Proto)
			vips[p] = s.Spec.ClusterIP
		}
	}
	return table, vips
}

func endpoints(slices []slice, p Port) (all []netip.AddrPort) {
	for _, s := range slices {
		if s.Metadata.Namespace != p.Namespace || s.Metadata.Labels["kubernetes.io/service-name"] != p.Service {
			continue
		}
		for _, sp := range s.Ports {
			if sp.Name != p.PortName || sp.Protocol != p.Proto {
				continue
			}
			for _, e := range s.Endpoints {
				all = append(all, netip.AddrPortFrom(e.Addresses[0], sp.Port))
			}
		}
	}
	return all
}

var (
	iptDeclared = regexp.MustCompile(`(?m)^:(KUBE-(?:SVC|SVL|EXT|FW|SEP)-\S+) `)
	iptDNAT     = regexp.MustCompile(`-A (\S+) -p (\w+) .*--comment "([^"]+)" .*--to-destination (\S+)`)
	iptVIP      = regexp.MustCompile(`-A KUBE-SERVICES -d (\S+)/32 -p (\w+) .*--comment "(\S+) cluster IP" .*--dport (\d+) -j (\S+)`)
	iptOutside  = regexp.MustCompile(`-A (KUBE-EXT-\S+) .*--comment "pod traffic for (\S+) external destinations"`)
)

// iptSays is what the rules of a ruleset say about a chain, in the words of means.
func iptSays(rules string) map[string]string {
	says := map[string]string{}
	for _, m := range iptDNAT.FindAllStringSubmatch(rules, -1) {
		says[m[1]] = "endpoint " + m[3] + " " + m[2] + " " + m[4]
	}
	for _, m := range iptVIP.FindAllStringSubmatch(rules, -1) {
		says[m[5]] = "service " + m[3] + " " + m[2] + " " + m[1] + ":" + m[4]
	}
	for _, m := range iptOutside.FindAllStringSubmatch(rules, -1) {
		says[m[1]] = "external " + m[2]
	}
	return says
}

func means(c Chain, vips map[Port]string) string {
	s := c.Kind + " " + c.Port.String()
	switch c.Kind {
	case KindEndpoint:
		return s + " " + c.Port.Proto + " " + c.Endpoint.String()
	case KindService:
		return s + " " + c.Port.Proto + " " + netip.AddrPortFrom(netip.MustParseAddr(vips[c.Port]), c.Port.Port).String()
	}
	return s
}

func TestIPTablesFixtures(t *testing.T) {
	table, vips := cluster(t)
	for _, name := range []string{"iptables-legacy.save", "iptables-nft.save"} {
		rules := string(read(t, "kube-proxy-1.31/"+name))
		says, kinds := iptSays(rules), map[string]int{}
		for _, m := range iptDeclared.FindAllStringSubmatch(rules, -1) {
			c, ok := table.Lookup(m[1])
			if !ok {
				t.Errorf("%s: %s is not in the table; its rules say %q", name, m[1], says[m[1]])
				continue
			}
			kinds[c.Kind]++
			if got := means(c, vips); got != says[m[1]] {
				t.Errorf("%s: %s means %q, its rules say %q", name, m[1], got, says[m[1]])
			}
		}
		if kinds[KindService] != 6 || kinds[KindEndpoint] != 8 || kinds[KindExternal] != 1 {
			t.Errorf("%s declares %v, want 6 services, 8 endpoints and an external one", name, kinds)
		}
	}
}

var (
	nftDeclared = regexp.MustCompile(`(?m)^\tchain (\S+/\S+) \{`) // only per-Service names have a slash: isServiceChainName in proxier.go
	nftDNAT     = regexp.MustCompile(`(?s)\tchain (\S+/\S+) \{[^}]*(?:\{[^}]*\}[^}]*)*?meta l4proto (\w+) dnat to (\S+)`)
	nftVIP      = regexp.MustCompile(`([\d.]+) \. (\w+) \. (\d+) : goto (service-\S+\w)`)
)

func TestNFTablesFixture(t *testing.T) {
	table, vips := cluster(t)
	rules := string(read(t, "kube-proxy-1.31/nftables.nft"))
	says := map[string]string{}
	for _, m := range nftDNAT.FindAllStringSubmatch(rules, -1) {
		says[m[1]] = m[2] + " " + m[3]
	}
	for _, m := range nftVIP.FindAllStringSubmatch(rules, -1) {
		says[m[4]] = m[2] + " " + m[1] + ":" + m[3]
	}
	kinds := map[string]int{}
	for _, m := range nftDeclared.FindAllStringSubmatch(rules, -1) {
		c, ok := table.Lookup(m[1])
		if !ok || vips[c.Port] == "" {
			t.Errorf("Lookup(%q) = %+v, %v", m[1], c, ok)
			continue
		}
		kinds[c.Kind]++
		if again := NFTablesChain(c.Kind, c.Port, c.Endpoint); again != m[1] {
			t.Errorf("%s reads as %+v, which makes %s", m[1], c, again)
		}
		// The destination is what the rules add to the name; that of an external chain is another chain.
		if got := means(c, vips); c.Kind != KindExternal && (says[m[1]] == "" || !strings.HasSuffix(got, " "+says[m[1]])) {
			t.Errorf("%s means %q, its rules say %q", m[1], got, says[m[1]])
		}
	}
	if kinds[KindService] != 6 || kinds[KindEndpoint] != 8 || kinds[KindExternal] != 1 {
		t.Errorf("the fixture declares %v, want 6 services, 8 endpoints and an external one", kinds)
	}
}
