// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

func TestRules(t *testing.T) {
	veth := Pods()[2].hostVeth()
	have := journey.Rule{Backend: "nft", Family: "ip", Table: "kube-proxy", Chain: "endpoint-X-shop/web/tcp/http__10.244.2.20/8080", Number: 2, Handle: 77, Verdict: "DNAT"}
	pod := journey.Rule{Backend: "iptables-legacy", Table: "filter", Chain: "cali-tw-" + veth, Number: 5, Verdict: "DROP"}
	server := journey.Rule{Backend: "ipvs", Text: "-a -t 10.96.0.90:80 -r 10.244.2.20:8080 -m -w 1", Certainty: "exact"}
	for _, tc := range []struct {
		rule      Rule
		have      *journey.Rule
		functions bool
		want      bool
	}{
		{RuleOf(&have), &have, false, true},
		{"nft kube-proxy/endpoint-X-shop/web/tcp/http__10.244.2.20/8080 2 DNAT", &have, false, true},
		{"nft kube-proxy/endpoint-X-shop/web/tcp/http__10.244.2.20/8080 1 DNAT", &have, false, false},
		{"nft kube-proxy/endpoint-X 2 DNAT", &have, false, false},
		{"nft other/endpoint-X-shop/web/tcp/http__10.244.2.20/8080 2 DNAT", &have, false, false},
		{"iptables-nft kube-proxy/endpoint-X-shop/web/tcp/http__10.244.2.20/8080 2 DNAT", &have, false, false},
		{"nft kube-proxy/endpoint-X-shop/web/tcp/http__10.244.2.20/8080 2 SNAT", &have, false, false},
		{"iptables-legacy filter/cali-tw-{veth:web-b} 5 DROP", &pod, false, true},
		{"iptables-legacy filter/cali-tw-{veth:web-a} 5 DROP", &pod, false, false},
		{"iptables-legacy filter/cali-tw-{veth:web-b} 5 DROP", nil, false, false},
		{"iptables-legacy filter/cali-tw-{veth:web-b} 5 DROP exact", &pod, false, true},
		{"iptables-legacy filter/cali-tw-{veth:web-b} 5 DROP exact", &pod, true, false},
		{"iptables-legacy filter/cali-tw-{veth:web-b} 5 DROP", &pod, true, true},
		{RuleOf(&server), &server, true, true},
		{"ipvs -a -t 10.96.0.90:80 -r 10.244.2.20:8080 -m -w 1 exact", &server, true, true},
		{"ipvs -a -t 10.96.0.90:80 -r 10.244.2.21:8080 -m -w 1", &server, true, false},
	} {
		if got := tc.rule.Is(tc.have, tc.functions); got != tc.want {
			t.Errorf("%q and %+v: %v", tc.rule, tc.have, got)
		}
	}
	for rule, want := range map[Rule]string{
		"nft a/b 1":                "is not of the form 'BACKEND",
		"nft a/b 1 DROP exact x":   "is not of the form 'BACKEND",
		"nft ab 1 DROP":            "is not of the form TABLE/CHAIN",
		"nft /b 1 DROP":            "is not of the form TABLE/CHAIN",
		"nft a/ 1 DROP":            "is not of the form TABLE/CHAIN",
		"nft a/b -1 DROP":          "is no number",
		"nft a/b 99999999999 DROP": "is no number",
	} {
		if _, err := rule.parts(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", rule, err, want)
		}
	}
}

// For DROP, REJECT, a policy's DROP, DNAT and MASQUERADE there is a case with each backend that names the rule.
func TestEveryVerdictInEveryBackend(t *testing.T) {
	cases, err := Cases()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for _, c := range cases {
		for _, r := range c.Expect.Rules {
			p, err := r.parts()
			if err != nil {
				t.Fatal(err)
			}
			if p.number == 0 {
				p.verdict = "policy " + p.verdict
			}
			have[p.backend+" "+p.verdict] = c.Name
		}
	}
	for _, backend := range []string{"iptables-legacy", "iptables-nft", "nft"} {
		for _, verdict := range []string{"DROP", "REJECT", "policy DROP", "DNAT", "MASQUERADE"} {
			if have[backend+" "+verdict] == "" {
				t.Errorf("no case expects a rule of %s with %s", backend, verdict)
			}
		}
	}
}
