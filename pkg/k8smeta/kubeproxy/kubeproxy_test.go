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

// Vectors of kube-proxy's own unit tests and of a real cluster.
func TestIPTablesNames(t *testing.T) {
	dns := netip.MustParseAddrPort("10.244.0.2:53")
	for _, tc := range []struct {
		kind Kind
		port Port
		end  netip.AddrPort
		want string
	}{
		{Cluster, Port{"default", "kubernetes", "https", "tcp"}, netip.AddrPort{}, "KUBE-SVC-NPX46M4PTMTKRN6Y"},
		{Cluster, Port{"kube-system", "kube-dns", "dns", "udp"}, netip.AddrPort{}, "KUBE-SVC-TCOU7JCQXEZGVUNU"},
		{Cluster, Port{"kube-system", "kube-dns", "dns-tcp", "tcp"}, netip.AddrPort{}, "KUBE-SVC-ERIFXISQEP7F7OF4"},
		{Cluster, Port{"kube-system", "kube-dns", "metrics", "tcp"}, netip.AddrPort{}, "KUBE-SVC-JD5MR3NA4I4DYORP"},
		{Local, Port{"default", "kubernetes", "https", "tcp"}, netip.AddrPort{}, "KUBE-SVL-NPX46M4PTMTKRN6Y"},
		{External, Port{"default", "kubernetes", "https", "tcp"}, netip.AddrPort{}, "KUBE-EXT-NPX46M4PTMTKRN6Y"},
		{Firewall, Port{"default", "kubernetes", "https", "tcp"}, netip.AddrPort{}, "KUBE-FW-NPX46M4PTMTKRN6Y"},
		{Endpoint, Port{"kube-system", "kube-dns", "dns", "udp"}, dns, "KUBE-SEP-YIL6JZP7A3QYXJU2"},
	} {
		if got := IPTablesChain(tc.kind, tc.port, tc.end); got != tc.want {
			t.Errorf("%v: %s, want %s", tc.port, got, tc.want)
		}
	}
}

func TestNFTablesNames(t *testing.T) {
	long := strings.Repeat("x", 63)
	for _, tc := range []struct {
		kind Kind
		port Port
		end  string
		want string
	}{
		{Cluster, Port{"default", "kubernetes", "https", "tcp"}, "", "service-2QRHZV4L-default/kubernetes/tcp/https"},
		{External, Port{"shop", "web-node", "http", "tcp"}, "", "external-DSKKHZSV-shop/web-node/tcp/http"},
		{Endpoint, Port{"shop", "web", "http", "tcp"}, "10.244.1.20:8080", "endpoint-QRUXMKQS-shop/web/tcp/http__10.244.1.20/8080"},
	} {
		var end netip.AddrPort
		if tc.end != "" {
			end = netip.MustParseAddrPort(tc.end)
		}
		got := NFTablesChain(tc.kind, tc.port, end)
		if got != tc.want {
			t.Errorf("%v: %s, want %s", tc.port, got, tc.want)
		}
		c, ok := ParseNFT(got)
		if !ok || c.Kind != tc.kind || c.Port != tc.port || c.Endpoint != end {
			t.Errorf("%s is read as %+v, %v", got, c, ok)
		}
	}
	six := netip.MustParseAddrPort("[fd00:10:244:1::20]:8080")
	if c, ok := ParseNFT(NFTablesChain(Endpoint, Port{"shop", "web", "http", "tcp"}, six)); !ok || c.Endpoint != six {
		t.Errorf("IPv6 endpoint: %+v, %v", c, ok)
	}
	cut := NFTablesChain(Cluster, Port{long, long, long, "tcp"}, netip.AddrPort{})
	if len(cut) > len("service-")+maxChain {
		t.Errorf("%d characters", len(cut))
	}
	tab := New()
	tab.Add(Port{long, long, long, "tcp"}, nil)
	if c, ok := tab.Lookup(cut); ok != (len(cut) < len("service-")+maxChain || strings.HasSuffix(cut, "...")) || ok && c.Port.Service != long {
		t.Errorf("a name that was cut is %+v, %v", c, ok)
	}
}

func TestForgedNamesAreNotBelieved(t *testing.T) {
	tab := New()
	tab.Add(Port{"shop", "web", "http", "tcp"}, []netip.AddrPort{netip.MustParseAddrPort("10.244.1.20:8080")})
	for _, name := range []string{
		"", "-", "service-", "service-KHN6ECMT-", "service-AAAAAAAA-shop/web/tcp/http", "service-KHN6ECMT-shop/other/tcp/http", "KUBE-SVC-AAAAAAAAAAAAAAAA", "KUBE-SVC-", "KUBE-SERVICES",
		"endpoint-KHN6ECMT-shop/web/tcp/http", "nonsense-KHN6ECMT-shop/web/tcp/http", "service-KHN6ECMT/shop/web/tcp/http", "firewall-check", "cluster-ips-check",
	} {
		if c, ok := tab.Lookup(name); ok {
			t.Errorf("%q is %+v", name, c)
		}
	}
	var none *Table
	if _, ok := none.Lookup("KUBE-SVC-NPX46M4PTMTKRN6Y"); ok {
		t.Error("a nil table knows a hash")
	}
	if _, ok := none.Lookup("service-2QRHZV4L-default/kubernetes/tcp/https"); !ok {
		t.Error("a name that describes itself needs no table")
	}
}

// objects are the Services and endpoints from which the fixtures' rulesets were written.
func objects(t *testing.T) *Table {
	t.Helper()
	var services struct {
		Items []struct {
			Metadata struct{ Namespace, Name string }
			Spec     struct{ Ports []struct{ Name, Protocol string } }
		}
	}
	var slices struct {
		Items []struct {
			Metadata struct {
				Namespace string
				Labels    map[string]string
			}
			Ports []struct {
				Name, Protocol string
				Port           uint16
			}
			Endpoints []struct{ Addresses []string }
		}
	}
	for name, into := range map[string]any{"services": &services, "endpointslices": &slices} {
		b, err := os.ReadFile(filepath.Join(testdata, "api", name+".json"))
		if err == nil {
			err = json.Unmarshal(b, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	tab := New()
	for _, s := range services.Items {
		for _, p := range s.Spec.Ports {
			var ends []netip.AddrPort
			for _, sl := range slices.Items {
				if sl.Metadata.Namespace != s.Metadata.Namespace || sl.Metadata.Labels["kubernetes.io/service-name"] != s.Metadata.Name {
					continue
				}
				for _, sp := range sl.Ports {
					for _, e := range sl.Endpoints {
						if sp.Name == p.Name {
							ends = append(ends, netip.AddrPortFrom(netip.MustParseAddr(e.Addresses[0]), sp.Port))
						}
					}
				}
			}
			tab.Add(Port{s.Metadata.Namespace, s.Metadata.Name, p.Name, strings.ToLower(p.Protocol)}, ends)
		}
	}
	return tab
}

// Every chain of a real kube-proxy maps to the Service, port and endpoint that its own comments name.
func TestFixturesOfIPTablesMode(t *testing.T) {
	tab := objects(t)
	declared := regexp.MustCompile(`(?m)^:(KUBE-(?:SVC|SVL|EXT|FW|SEP)-\S+)`)
	for _, file := range []string{"iptables-legacy.save", "iptables-nft.save"} {
		b, err := os.ReadFile(filepath.Join(testdata, "kube-proxy-1.31", file))
		if err != nil {
			t.Fatal(err)
		}
		found := declared.FindAllStringSubmatch(string(b), -1)
		if len(found) < 15 {
			t.Fatalf("%s declares %d chains", file, len(found))
		}
		for _, m := range found {
			name := m[1]
			c, ok := tab.Lookup(name)
			if !ok {
				t.Errorf("%s: %s is nobody's", file, name)
				continue
			}
			if !strings.HasPrefix(name, prefixes[c.Kind]) {
				t.Errorf("%s: %s is a chain for %s", file, name, c.Kind)
			}
			checkIPTables(t, string(b), name, c)
		}
	}
}

// checkIPTables compares with what the ruleset says about a chain elsewhere.
func checkIPTables(t *testing.T, save, name string, c Chain) {
	t.Helper()
	said := 0
	for _, line := range strings.Split(save, "\n") {
		mentions := strings.HasPrefix(line, "-A "+name+" ") || strings.HasSuffix(line, "-j "+name)
		comment := regexp.MustCompile(`--comment "([^"]*)"`).FindStringSubmatch(line)
		if !mentions || comment == nil {
			continue
		}
		said++
		if !strings.Contains(comment[1], c.Port.portName()) {
			t.Errorf("%s is %v, and kube-proxy says %q", name, c.Port, comment[1])
		}
		if _, to, ok := strings.Cut(line, "--to-destination "); ok && to != c.Endpoint.String() {
			t.Errorf("%s is %v, and sends to %s", name, c.Endpoint, to)
		}
	}
	if said == 0 {
		t.Errorf("no rule says anything about %s", name)
	}
}

func TestFixturesOfNFTablesMode(t *testing.T) {
	tab := objects(t)
	b, err := os.ReadFile(filepath.Join(testdata, "kube-proxy-1.31", "nftables.nft"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`chain ((?:service|local|external|firewall|endpoint)-\S*/\S*)`).FindAllStringSubmatch(string(b), -1)
	if len(found) < 14 {
		t.Fatalf("%d chains", len(found))
	}
	for _, m := range found {
		known, ok := tab.chains[m[1]]
		if !ok {
			t.Errorf("%s is nobody's", m[1])
			continue
		}
		read, ok := ParseNFT(m[1])
		if !ok || read != known {
			t.Errorf("%s is read as %+v (%v), and computed as %+v", m[1], read, ok, known)
		}
		if known.Kind == Endpoint && !strings.Contains(string(b), "dnat to "+known.Endpoint.Addr().String()+":") && !strings.Contains(string(b), "dnat to "+known.Endpoint.String()) {
			t.Errorf("no rule sends to %v", known.Endpoint)
		}
	}
}

func FuzzParseNFT(f *testing.F) {
	f.Add("service-2QRHZV4L-default/kubernetes/tcp/https")
	f.Add("endpoint-QRUXMKQS-shop/web/tcp/http__10.244.1.20/8080")
	f.Add("endpoint-AAAAAAAA-a/b/c/d__/")
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := ParseNFT(s)
		if !ok {
			return
		}
		if back := NFTablesChain(c.Kind, c.Port, c.Endpoint); back != s && len(s) <= maxChain && c.Kind != Endpoint {
			t.Errorf("%q is read as %+v, whose name is %q", s, c, back)
		}
	})
}
