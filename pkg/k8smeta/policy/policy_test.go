// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/goccy/go-yaml"
)

// scenario restates one case of the NetworkPolicy tests of Kubernetes, or one sentence of the specification, in the cluster of newCluster.
type scenario struct {
	name     string
	policies string // YAML documents
	change   func(cluster)
	probes   []probe
}

// probe is one connection: "from > to proto/port". want is "allow", or "deny" with the sides that deny: "egress", "ingress" or "both".
type probe struct {
	flow, want string
	by         string // "egress ns/policy#0", "ingress …", or both with ", " between
	why        string // "egress: sentence" or "ingress: sentence"
}

// cluster has the ends by name: "ns/pod", "node/name". An address stands for itself.
type cluster map[string]*End

func newCluster() cluster {
	c := cluster{}
	c.pod("shop/web", "n1", "10.0.1.10", "app=web,tier=front",
		Port{"http", "tcp", 8080}, Port{"metrics", "tcp", 9090}, Port{"dns", "udp", 53}, Port{"signal", "sctp", 3868})
	c.pod("shop/client", "n2", "10.0.1.11", "app=client,tier=front")
	c.pod("shop/db", "n2", "10.0.1.12", "app=db,tier=back", Port{"sql", "", 5432})
	c.pod("blog/web", "n1", "10.0.2.10", "app=web", Port{"http", "tcp", 80})
	c.pod("blog/client", "n2", "10.0.2.11", "app=client")
	c.pod("ops/prom", "n1", "10.0.3.10", "app=prom,role=monitor")
	c.pod("ops/six", "n1", "2001:db8:1::10", "app=six")
	for _, n := range []string{"1", "2"} {
		c.pod("ops/agent"+n, "n"+n, "192.168.0."+n, "app=agent", Port{"health", "tcp", 10250})
		c["ops/agent"+n].Pod.HostNetwork = true
		c["ops/agent"+n].Node = "n" + n
		c["node/n"+n] = &End{Addr: netip.MustParseAddr("192.168.0." + n), Node: "n" + n}
	}
	return c
}

func (c cluster) pod(name, node, addr, labels string, ports ...Port) {
	ns, pod, _ := strings.Cut(name, "/")
	team := map[string]string{"shop": "team=red", "blog": "team=blue", "ops": "team=red,tier=infra"}[ns]
	c[name] = &End{
		Pod:             &Pod{Namespace: ns, Name: pod, Labels: set(labels), Node: node, Ports: ports},
		NamespaceLabels: set("kubernetes.io/metadata.name=" + ns + "," + team),
		Addr:            netip.MustParseAddr(addr),
	}
}

func set(s string) map[string]string {
	m := map[string]string{}
	for kv := range strings.SplitSeq(s, ",") {
		k, v, _ := strings.Cut(kv, "=")
		m[k] = v
	}
	return m
}

func (c cluster) flow(t *testing.T, s string) Flow {
	t.Helper()
	f := strings.Fields(s)
	if len(f) != 4 || f[1] != ">" {
		t.Fatalf("a flow is \"from > to proto/port\", not %q", s)
	}
	end := func(name string) End {
		if e := c[name]; e != nil {
			return *e
		}
		return End{Addr: netip.MustParseAddr(name)}
	}
	proto, port, _ := strings.Cut(f[3], "/")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return Flow{Src: end(f[0]), Dst: end(f[2]), Proto: proto, Port: uint16(n)}
}

// parse is strict, lest a misspelt field make a test that proves nothing.
func parse(t testing.TB, docs string) []networkingv1.NetworkPolicy {
	t.Helper()
	var all []networkingv1.NetworkPolicy
	for doc := range strings.SplitSeq(docs, "---\n") {
		if strings.TrimSpace(doc) == "" {
			continue
		}
		b, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		var p networkingv1.NetworkPolicy
		if err := d.Decode(&p); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		all = append(all, p)
	}
	return all
}

func TestScenarios(t *testing.T) {
	seen := map[string]bool{}
	for _, table := range [][]scenario{ingressScenarios, peerScenarios, egressScenarios, portScenarios, blockScenarios, exemptScenarios, unionScenarios, malformedScenarios} {
		for _, s := range table {
			if seen[s.name] {
				t.Errorf("two scenarios are called %q", s.name)
			}
			seen[s.name] = true
			t.Run(s.name, func(t *testing.T) { s.run(t) })
		}
	}
	if len(seen) < 48 {
		t.Errorf("only %d scenarios", len(seen))
	}
}

func (s scenario) run(t *testing.T) {
	policies, c := parse(t, s.policies), newCluster()
	if s.change != nil {
		s.change(c)
	}
	for _, p := range s.probes {
		d := Evaluate(policies, c.flow(t, p.flow))
		if got := verdict(d); got != p.want {
			t.Errorf("%s: %s, want %s\negress: %s\ningress: %s", p.flow, got, p.want, d.Egress.Why, d.Ingress.Why)
		}
		if got := by(d); p.by != "" && got != p.by {
			t.Errorf("%s: by %q, want %q", p.flow, got, p.by)
		}
		side, why, ok := strings.Cut(p.why, ": ")
		if p.why != "" && (!ok || side != "egress" && side != "ingress") {
			t.Fatalf("why must begin with its side: %q", p.why)
		}
		got := map[string]string{"egress": d.Egress.Why, "ingress": d.Ingress.Why}[side]
		if got != why {
			t.Errorf("%s: %s: %s\nwant %s", p.flow, side, got, why)
		}
		checkDecision(t, policies, c.flow(t, p.flow), d)
	}
}

func verdict(d Decision) string {
	switch {
	case d.Allowed:
		return "allow"
	case d.Egress.Allowed:
		return "deny ingress"
	case d.Ingress.Allowed:
		return "deny egress"
	}
	return "deny both"
}

func by(d Decision) string {
	var all []string
	if r := d.Egress.By; r != nil {
		all = append(all, fmt.Sprintf("egress %s/%s#%d", r.Namespace, r.Policy, r.Index))
	}
	if r := d.Ingress.By; r != nil {
		all = append(all, fmt.Sprintf("ingress %s/%s#%d", r.Namespace, r.Policy, r.Index))
	}
	return strings.Join(all, ", ")
}
