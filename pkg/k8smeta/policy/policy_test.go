// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

// The cluster of the scenarios, as in the upstream NetworkPolicy tests: namespaces x, y and z with pods a, b and c each, labelled pod=NAME;
// the namespaces are labelled ns=NAME. Each pod serves 80 and 81 of every protocol; port 80 of TCP is named serve-80-tcp and so on.
func pod(ref string) End {
	ns, name, _ := strings.Cut(ref, "/")
	third := map[string]string{"x": "1", "y": "2", "z": "3"}[ns]
	last := map[string]string{"a": "10", "b": "11", "c": "12"}[name]
	p := &Pod{Namespace: ns, Name: name, Node: map[string]string{"a": "node1", "b": "node2", "c": "node2"}[name], Labels: map[string]string{"pod": name}}
	for _, proto := range []string{"tcp", "udp", "sctp"} {
		p.Ports = append(p.Ports, Port{"serve-80-" + proto, proto, 80}, Port{"serve-81-" + proto, proto, 81})
	}
	return End{Pod: p, NamespaceLabels: map[string]string{"ns": ns, "kubernetes.io/metadata.name": ns}, Addr: netip.MustParseAddr("10.0." + third + "." + last)}
}

// end is a pod "x/a", a node "node:node1", or an address; "x/a+k=v" is a pod with another label.
func end(text string) End {
	if n, ok := strings.CutPrefix(text, "node:"); ok {
		return End{Node: n, Addr: netip.MustParseAddr("192.168.0.1")}
	}
	if n, ok := strings.CutPrefix(text, "host:"); ok { // a hostNetwork pod
		e := pod(n)
		e.Pod.HostNetwork, e.Addr = true, netip.MustParseAddr("192.168.0.1")
		return e
	}
	if !strings.Contains(text, "/") {
		return End{Addr: netip.MustParseAddr(text)}
	}
	ref, label, more := strings.Cut(text, "+")
	e := pod(ref)
	if k, v, ok := strings.Cut(label, "="); more && ok {
		e.Pod.Labels[k] = v
	}
	return e
}

// policies reads specs by name: "x/deny" → spec.
func policies(t *testing.T, specs map[string]string) []Policy {
	t.Helper()
	var out []Policy
	for ref, text := range specs {
		ns, name, _ := strings.Cut(ref, "/")
		p := Policy{Namespace: ns, Name: name}
		if err := yaml.UnmarshalStrict([]byte(text), &p.Spec); err != nil {
			t.Fatalf("%s: %v", ref, err)
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Policy) int { return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) })
	return out
}

// Policies that many scenarios use.
const (
	denyIn       = `{podSelector: {}, policyTypes: [Ingress]}`
	denyOut      = `{podSelector: {}, policyTypes: [Egress]}`
	denyAll      = `{podSelector: {}, policyTypes: [Ingress, Egress]}`
	allowIn      = `{podSelector: {}, ingress: [{}], policyTypes: [Ingress]}`
	allowOut     = `{podSelector: {}, egress: [{}], policyTypes: [Egress]}`
	fromB        = `{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}`
	fromNsY      = `{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: "y"}}}]}]}`
	fromNsYPodB  = `{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: "y"}}, podSelector: {matchLabels: {pod: b}}}]}]}`
	fromNsYOrB   = `{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: "y"}}}, {podSelector: {matchLabels: {pod: b}}}]}]}`
	fromNotX     = `{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: ns, operator: NotIn, values: [x]}]}}]}]}`
	fromPodIn    = `{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchExpressions: [{key: pod, operator: In, values: [b, c]}]}}]}]}`
	fromAnyNs    = `{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {}}]}]}`
	port80       = `{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{port: 80}]}]}`
	port81FromY  = `{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: "y"}}}], ports: [{port: 81}]}]}`
	namedIn      = `{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{port: serve-80-tcp}]}]}`
	namedOut     = `{podSelector: {matchLabels: {pod: a}}, egress: [{ports: [{port: serve-80-tcp}]}], policyTypes: [Egress]}`
	udpOnly      = `{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{protocol: UDP, port: 80}]}]}`
	udpAllPorts  = `{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{protocol: UDP}]}]}`
	sctpOnly     = `{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{protocol: SCTP, port: 80}]}]}`
	rangeOut     = `{podSelector: {matchLabels: {pod: a}}, egress: [{ports: [{port: 80, endPort: 90}]}], policyTypes: [Egress]}`
	rangeIn      = `{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{port: 32768, endPort: 32868}]}]}`
	toBlock      = `{podSelector: {matchLabels: {pod: a}}, egress: [{to: [{ipBlock: {cidr: 10.0.2.0/24}}]}], policyTypes: [Egress]}`
	toBlockNot11 = `{podSelector: {matchLabels: {pod: a}}, egress: [{to: [{ipBlock: {cidr: 10.0.2.0/24, except: [10.0.2.11/32]}}]}], policyTypes: [Egress]}`
	toOnly11     = `{podSelector: {matchLabels: {pod: a}}, egress: [{to: [{ipBlock: {cidr: 10.0.2.11/32}}]}], policyTypes: [Egress]}`
	toY          = `{podSelector: {matchLabels: {pod: a}}, egress: [{to: [{namespaceSelector: {matchLabels: {ns: "y"}}}]}], policyTypes: [Egress]}`
	dnsOut       = `{podSelector: {}, egress: [{ports: [{protocol: UDP, port: 53}]}], policyTypes: [Egress]}`
)

type scenario struct {
	name     string
	policies map[string]string
	src, dst string
	port     string // "tcp/80" when empty
	allowed  bool
	by       string // "x/policy#1": the rule that allows at the isolated side
	why      string // words of the deciding side's sentence
}

// scenarios restate the upstream conformance and end-to-end scenarios of NetworkPolicy (test/e2e/network/netpol), one line each.
var scenarios = []scenario{
	{"without policies everything passes", nil, "y/b", "x/a", "", true, "", "no policy selects x/a for ingress"},
	{"default deny ingress isolates every pod of its namespace", map[string]string{"x/deny": denyIn}, "y/b", "x/a", "", false, "", "policy x/deny selects x/a for ingress, and no rule allows tcp/80 from y/b"},
	{"default deny ingress holds inside of the namespace too", map[string]string{"x/deny": denyIn}, "x/b", "x/a", "", false, "", ""},
	{"default deny ingress leaves other namespaces alone", map[string]string{"x/deny": denyIn}, "x/b", "y/a", "", true, "", ""},
	{"default deny ingress does not stop what the pods send", map[string]string{"x/deny": denyIn}, "x/a", "y/b", "", true, "", ""},
	{"default deny egress stops what the pods send", map[string]string{"x/deny": denyOut}, "x/a", "y/b", "", false, "", "for egress"},
	{"default deny egress lets connections in", map[string]string{"x/deny": denyOut}, "y/b", "x/a", "", true, "", ""},
	{"default deny all stops both ways: in", map[string]string{"x/deny": denyAll}, "y/b", "x/a", "", false, "", ""},
	{"default deny all stops both ways: out", map[string]string{"x/deny": denyAll}, "x/a", "y/b", "", false, "", ""},
	{"a pod may always talk to itself", map[string]string{"x/deny": denyAll}, "x/a", "x/a", "", true, "", ""},
	{"an empty ingress rule allows everything", map[string]string{"x/allow": allowIn}, "y/b", "x/a", "", true, "x/allow#1", "rule 1 of policy x/allow allows tcp/80 from y/b"},
	{"an empty egress rule allows everything", map[string]string{"x/allow": allowOut}, "x/a", "y/b", "", true, "x/allow#1", ""},
	{"allow adds to deny whatever their order", map[string]string{"x/a-allow": allowIn, "x/z-deny": denyIn}, "y/b", "x/a", "", true, "x/a-allow#1", ""},
	{"ingress by podSelector: the pod", map[string]string{"x/p": fromB}, "x/b", "x/a", "", true, "x/p#1", ""},
	{"ingress by podSelector: another pod", map[string]string{"x/p": fromB}, "x/c", "x/a", "", false, "", ""},
	{"ingress by podSelector is for the policy's own namespace", map[string]string{"x/p": fromB}, "y/b", "x/a", "", false, "", ""},
	{"a policy leaves pods alone that it does not select", map[string]string{"x/p": fromB}, "x/c", "x/b", "", true, "", ""},
	{"ingress by podSelector with matchExpressions: in", map[string]string{"x/p": fromPodIn}, "x/c", "x/a", "", true, "", ""},
	{"ingress by podSelector with matchExpressions: not in", map[string]string{"x/p": fromPodIn}, "x/a", "x/a+pod=a", "", true, "", "itself"},
	{"ingress by namespaceSelector: the namespace", map[string]string{"x/p": fromNsY}, "y/c", "x/a", "", true, "x/p#1", ""},
	{"ingress by namespaceSelector: another namespace", map[string]string{"x/p": fromNsY}, "z/c", "x/a", "", false, "", ""},
	{"ingress by namespaceSelector: the policy's own namespace is no exception", map[string]string{"x/p": fromNsY}, "x/b", "x/a", "", false, "", ""},
	{"ingress by namespaceSelector with NotIn: outside", map[string]string{"x/p": fromNotX}, "z/c", "x/a", "", true, "", ""},
	{"ingress by namespaceSelector with NotIn: inside", map[string]string{"x/p": fromNotX}, "x/b", "x/a", "", false, "", ""},
	{"an empty namespaceSelector is every namespace", map[string]string{"x/p": fromAnyNs}, "z/c", "x/a", "", true, "", ""},
	{"an empty namespaceSelector is pods only", map[string]string{"x/p": fromAnyNs}, "203.0.113.7", "x/a", "", false, "", ""},
	{"both selectors in one peer: both fit", map[string]string{"x/p": fromNsYPodB}, "y/b", "x/a", "", true, "", ""},
	{"both selectors in one peer: the namespace alone is not enough", map[string]string{"x/p": fromNsYPodB}, "y/c", "x/a", "", false, "", ""},
	{"both selectors in one peer: the pod alone is not enough", map[string]string{"x/p": fromNsYPodB}, "x/b", "x/a", "", false, "", ""},
	{"two peers in one rule: the first", map[string]string{"x/p": fromNsYOrB}, "y/c", "x/a", "", true, "", ""},
	{"two peers in one rule: the second", map[string]string{"x/p": fromNsYOrB}, "x/b", "x/a", "", true, "", ""},
	{"two peers in one rule: neither", map[string]string{"x/p": fromNsYOrB}, "z/b", "x/a", "", false, "", ""},
	{"a port: the port", map[string]string{"x/p": port80}, "y/b", "x/a", "tcp/80", true, "x/p#1", ""},
	{"a port: another port", map[string]string{"x/p": port80}, "y/b", "x/a", "tcp/81", false, "", "no rule allows tcp/81"},
	{"a port without a protocol is TCP", map[string]string{"x/p": port80}, "y/b", "x/a", "udp/80", false, "", ""},
	{"peer and port belong together: both", map[string]string{"x/p": port81FromY}, "y/b", "x/a", "tcp/81", true, "", ""},
	{"peer and port belong together: the wrong port", map[string]string{"x/p": port81FromY}, "y/b", "x/a", "tcp/80", false, "", ""},
	{"peer and port belong together: the wrong peer", map[string]string{"x/p": port81FromY}, "z/b", "x/a", "tcp/81", false, "", ""},
	{"policies add up: port 80 from all", map[string]string{"x/p1": port80, "x/p2": port81FromY}, "z/b", "x/a", "tcp/80", true, "x/p1#1", ""},
	{"policies add up: port 81 from y", map[string]string{"x/p1": port80, "x/p2": port81FromY}, "y/b", "x/a", "tcp/81", true, "x/p2#1", ""},
	{"policies add up: port 81 from z is nobody's", map[string]string{"x/p1": port80, "x/p2": port81FromY}, "z/b", "x/a", "tcp/81", false, "", "policies x/p1, x/p2 select x/a"},
	{"a named port of the receiver: ingress", map[string]string{"x/p": namedIn}, "y/b", "x/a", "tcp/80", true, "", ""},
	{"a named port of the receiver: another port", map[string]string{"x/p": namedIn}, "y/b", "x/a", "tcp/81", false, "", ""},
	{"a named port is looked up at the receiver: egress", map[string]string{"x/p": namedOut}, "x/a", "y/b", "tcp/80", true, "", ""},
	{"a named port in egress: another port", map[string]string{"x/p": namedOut}, "x/a", "y/b", "tcp/81", false, "", ""},
	{"a named port in egress says nothing about an address of no pod", map[string]string{"x/p": namedOut}, "x/a", "203.0.113.7", "tcp/80", false, "", ""},
	{"UDP: allowed", map[string]string{"x/p": udpOnly}, "y/b", "x/a", "udp/80", true, "", ""},
	{"UDP: TCP is not meant", map[string]string{"x/p": udpOnly}, "y/b", "x/a", "tcp/80", false, "", ""},
	{"a protocol without a port is all its ports", map[string]string{"x/p": udpAllPorts}, "y/b", "x/a", "udp/9999", true, "", ""},
	{"a protocol without a port is no other protocol", map[string]string{"x/p": udpAllPorts}, "y/b", "x/a", "sctp/80", false, "", ""},
	{"SCTP: allowed", map[string]string{"x/p": sctpOnly}, "y/b", "x/a", "sctp/80", true, "", ""},
	{"SCTP: another port", map[string]string{"x/p": sctpOnly}, "y/b", "x/a", "sctp/81", false, "", ""},
	{"SCTP does not allow TCP", map[string]string{"x/p": sctpOnly}, "y/b", "x/a", "tcp/80", false, "", ""},
	{"endPort: the first", map[string]string{"x/p": rangeOut}, "x/a", "y/b", "tcp/80", true, "", ""},
	{"endPort: the last", map[string]string{"x/p": rangeOut}, "x/a", "y/b", "tcp/90", true, "", ""},
	{"endPort: behind it", map[string]string{"x/p": rangeOut}, "x/a", "y/b", "tcp/91", false, "", ""},
	{"endPort: ingress", map[string]string{"x/p": rangeIn}, "y/b", "x/a", "tcp/32800", true, "", ""},
	{"endPort: in front of it", map[string]string{"x/p": rangeIn}, "y/b", "x/a", "tcp/80", false, "", ""},
	{"egress to an ipBlock: inside", map[string]string{"x/p": toBlock}, "x/a", "y/b", "", true, "", ""},
	{"egress to an ipBlock: outside", map[string]string{"x/p": toBlock}, "x/a", "z/b", "", false, "", ""},
	{"egress to an ipBlock: an address of no pod", map[string]string{"x/p": toBlock}, "x/a", "10.0.2.200", "", true, "", ""},
	{"except takes out of the ipBlock", map[string]string{"x/p": toBlockNot11}, "x/a", "y/b", "", false, "", ""},
	{"except leaves the rest of the ipBlock", map[string]string{"x/p": toBlockNot11}, "x/a", "y/c", "", true, "", ""},
	{"except of one policy does not take away what another allows", map[string]string{"x/p1": toBlockNot11, "x/p2": toOnly11}, "x/a", "y/b", "", true, "x/p2#1", ""},
	{"egress to a namespace: there", map[string]string{"x/p": toY}, "x/a", "y/c", "", true, "", ""},
	{"egress to a namespace: elsewhere", map[string]string{"x/p": toY}, "x/a", "z/c", "", false, "", ""},
	{"both sides must allow: ingress denies what egress allows", map[string]string{"x/out": toY, "y/in": denyIn}, "x/a", "y/b", "", false, "", "policy y/in selects y/b"},
	{"both sides must allow: egress denies what ingress allows", map[string]string{"x/out": denyOut, "y/in": allowIn}, "x/a", "y/b", "", false, "", "policy x/out selects x/a"},
	{"both sides allow", map[string]string{"x/out": toY, "y/in": allowIn}, "x/a", "y/b", "", true, "", ""},
	{"egress for DNS only: DNS", map[string]string{"x/dns": dnsOut}, "x/a", "y/b", "udp/53", true, "", ""},
	{"egress for DNS only: the rest", map[string]string{"x/dns": dnsOut}, "x/a", "y/b", "tcp/80", false, "", ""},
	{"policyTypes absent: egress rules make it an egress policy", map[string]string{"x/p": `{podSelector: {}, egress: [{to: [{podSelector: {matchLabels: {pod: b}}}]}]}`}, "x/a", "x/c", "", false, "", "for egress"},
	{"policyTypes absent: it is an ingress policy too", map[string]string{"x/p": `{podSelector: {}, egress: [{}]}`}, "y/b", "x/a", "", false, "", "for ingress"},
	{"policyTypes absent and no egress rules: no egress policy", map[string]string{"x/p": `{podSelector: {}}`}, "x/a", "y/b", "", true, "", ""},
	{"policyTypes Egress alone does not isolate ingress, whatever its rules", map[string]string{"x/p": `{podSelector: {}, policyTypes: [Egress], ingress: [{from: [{podSelector: {}}]}]}`}, "y/b", "x/a", "", true, "", ""},
	{"a changed label takes the pod out of a policy", map[string]string{"x/p": fromB}, "x/c", "x/a+pod=other", "", true, "", ""},
	{"a changed label lets a sender in", map[string]string{"x/p": fromB}, "x/c+pod=b", "x/a", "", true, "", ""},
	{"an address of no pod needs an ipBlock", map[string]string{"x/p": fromNsY}, "203.0.113.7", "x/a", "", false, "", ""},
	{"ingress from an ipBlock", map[string]string{"x/p": `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}]}`}, "203.0.113.7", "x/a", "", true, "", ""},
	{"an IPv6 ipBlock", map[string]string{"x/p": `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "2001:db8::/32"}}]}]}`}, "2001:db8::7", "x/a", "", true, "", ""},
	{"an IPv6 ipBlock has no IPv4 address", map[string]string{"x/p": `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "::/0"}}]}]}`}, "203.0.113.7", "x/a", "", false, "", ""},
	{"the pod's own node may always come in", map[string]string{"x/deny": denyIn}, "node:node1", "x/a", "", true, "", "own node"},
	{"another node may not", map[string]string{"x/deny": denyIn}, "node:node2", "x/a", "", false, "", ""},
	{"a hostNetwork pod cannot be selected", map[string]string{"x/deny": denyAll}, "y/b", "host:x/a", "", true, "", "uses its node's network"},
	{"a hostNetwork pod is no pod for selectors", map[string]string{"x/p": fromNsY}, "host:y/b", "x/a", "", false, "", ""},
	{"a hostNetwork pod on the pod's own node may come in as the node does", map[string]string{"x/deny": denyIn}, "host:y/a", "x/a", "", true, "", ""},
	{"namespaces by their name's label", map[string]string{"x/p": `{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: z}}}]}]}`}, "z/c", "x/a", "", true, "", ""},
	{"a second rule of a policy allows", map[string]string{"x/p": `{podSelector: {}, ingress: [{ports: [{port: 81}]}, {ports: [{port: 80}]}]}`}, "z/c", "x/a", "", true, "x/p#2", ""},
	{"a broken ipBlock allows nothing and is named", map[string]string{"x/p": `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: nonsense}}]}]}`}, "203.0.113.7", "x/a", "", false, "", `ipBlock "nonsense" is no CIDR`},
	{"a broken except allows nothing", map[string]string{"x/p": `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [x]}}]}]}`}, "203.0.113.7", "x/a", "", false, "", "except"},
	{"a broken selector allows nothing", map[string]string{"x/p": `{podSelector: {}, ingress: [{from: [{podSelector: {matchExpressions: [{key: a, operator: Sometimes}]}}]}]}`}, "x/b", "x/a", "", false, "", "selector"},
}

func TestConformance(t *testing.T) {
	if len(scenarios) < 40 {
		t.Fatalf("%d scenarios", len(scenarios))
	}
	seen := map[string]bool{}
	for _, sc := range scenarios {
		if seen[sc.name] {
			t.Errorf("two scenarios are named %q", sc.name)
		}
		seen[sc.name] = true
		t.Run(sc.name, func(t *testing.T) {
			f := Flow{Src: end(sc.src), Dst: end(sc.dst), Proto: "tcp", Port: 80}
			if proto, port, ok := strings.Cut(sc.port, "/"); ok {
				f.Proto, f.Port = proto, netip.MustParseAddrPort("0.0.0.0:"+port).Port()
			}
			d := Evaluate(policies(t, sc.policies), f)
			if d.Allowed != sc.allowed {
				t.Errorf("allowed is %v\negress: %+v\ningress: %+v", d.Allowed, d.Egress, d.Ingress)
			}
			by := ""
			for _, s := range []Side{d.Ingress, d.Egress} {
				if s.By != nil {
					by = s.By.Namespace + "/" + s.By.Policy + "#" + string(rune('1'+s.By.Index))
				}
			}
			if sc.by != "" && by != sc.by {
				t.Errorf("by %q, want %q", by, sc.by)
			}
			if !strings.Contains(d.Egress.Why+"\n"+d.Ingress.Why, sc.why) {
				t.Errorf("%q and %q lack %q", d.Egress.Why, d.Ingress.Why, sc.why)
			}
			// the answers of an allowed connection are no connection of their own; and both sides always say why
			if d.Egress.Why == "" || d.Ingress.Why == "" {
				t.Error("a side does not say why")
			}
			if d.Egress.Isolated != (len(d.Egress.Selecting) > 0) || d.Ingress.Isolated != (len(d.Ingress.Selecting) > 0) {
				t.Error("isolated without a policy, or not in spite of one")
			}
		})
	}
}

func TestSelecting(t *testing.T) {
	all := policies(t, map[string]string{"x/b": denyIn, "x/a": denyAll, "x/c": fromB, "y/d": denyAll, "x/e": denyOut})
	p := pod("x/a").Pod
	if got := strings.Join(Selecting(all, p, networkingv1.PolicyTypeIngress), " "); got != "x/a x/b x/c" {
		t.Errorf("ingress: %s", got)
	}
	if got := strings.Join(Selecting(all, p, networkingv1.PolicyTypeEgress), " "); got != "x/a x/e" {
		t.Errorf("egress: %s", got)
	}
	if got := Selecting(all, nil, networkingv1.PolicyTypeEgress); got != nil {
		t.Errorf("no pod: %v", got)
	}
}

// What anybody may write into a policy must not stop a trace.
func FuzzEvaluate(f *testing.F) {
	for _, s := range []string{denyIn, fromNsYPodB, rangeOut, toBlockNot11, namedIn} {
		b, err := yaml.YAMLToJSON([]byte(s))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"ingress":[{"from":[{"podSelector":{"matchExpressions":[{"key":"","operator":""}]}}],"ports":[{"endPort":-1}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := Policy{Namespace: "x", Name: "p"}
		if json.Unmarshal(b, &p.Spec) != nil {
			return
		}
		for _, src := range []string{"y/b", "203.0.113.7", "node:node1", "x/a"} {
			d := Evaluate([]Policy{p}, Flow{Src: end(src), Dst: end("x/a"), Proto: "tcp", Port: 80})
			if !d.Allowed && !d.Ingress.Isolated && !d.Egress.Isolated {
				t.Errorf("denied although nobody is isolated: %+v", d)
			}
		}
	})
}
