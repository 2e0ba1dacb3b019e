// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

func shopName(proto string, a netip.Addr, port uint16) string {
	switch a.String() {
	case "10.96.0.80":
		return "svc/shop/web:http"
	case "10.0.0.1":
		if port == 0 {
			return "shop/client"
		}
		return fmt.Sprintf("shop/client:%d", port)
	}
	return ""
}

// Verdicts have names with their addresses: at night both are needed.
func TestVerdictsHaveNames(t *testing.T) {
	in := &Input{Flow: Flow{Proto: "tcp", Src: "10.0.0.1", Dst: "10.96.0.80", Dport: 80}, Name: shopName}
	v := Judge(in)
	if want := "no packet from shop/client (10.0.0.1) to svc/shop/web:http (10.96.0.80:80) was seen on this node"; v.Summary != want {
		t.Errorf("%q, want %q", v.Summary, want)
	}
	in.Flow.Src, in.Flow.Dst = "any", "10.9.9.9"
	if v := Judge(in); v.Summary != "no packet from any to 10.9.9.9:80 was seen on this node" {
		t.Errorf("%q", v.Summary)
	}
	for text, want := range map[string]string{"10.96.0.80:80": "svc/shop/web:http (10.96.0.80:80)", "10.0.0.1": "shop/client (10.0.0.1)", "10.9.9.9:1": "10.9.9.9:1", "nonsense": "nonsense"} {
		if got := in.text("tcp", text); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What the API's NetworkPolicies say stands beside the rule that dropped; a contradiction is told.
func TestPoliciesAreCompared(t *testing.T) {
	j := journey.Journey{ID: 1, Direction: journey.Request, End: journey.Dropped, Packet: journey.Packet{Proto: "tcp", Tuple: journey.Tuple{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2"), Dport: 8080}},
		Hops: []journey.Hop{{Stage: journey.StageDrop, Hook: "FORWARD", Verdict: "drop", Reason: "NETFILTER_DROP", Node: "node2", Where: &journey.Where{Kind: "host", Name: "node2"},
			Rule: &journey.Rule{Backend: "iptables-legacy", Table: "filter", Chain: "cali-tw-x", Number: 5, Owner: "Calico", Policy: true, Certainty: "inferred"}}}}
	for _, tc := range []struct {
		sentence string
		allowed  bool
		want     string
	}{
		{"policy shop/p selects shop/web", false, "the NetworkPolicies of the API deny it: policy shop/p selects shop/web"},
		{"rule 1 of policy shop/p allows tcp/8080", true, "the NetworkPolicies of the API allow it (rule 1 of policy shop/p allows tcp/8080): the CNI plugin's rules are older than they"},
		{"", true, ""},
	} {
		v := Judge(&Input{Journeys: []journey.Journey{j}, Policies: func(proto string, src, dst netip.Addr, port uint16) (string, bool) {
			if proto != "tcp" || src.String() != "10.0.0.1" || dst.String() != "10.0.0.2" || port != 8080 {
				t.Errorf("asked for %s %s %s %d", proto, src, dst, port)
			}
			return tc.sentence, tc.allowed
		}})
		all := strings.Join(v.Evidence, "\n")
		if v.Cause != "network-policy-drop" || !strings.Contains(all, tc.want) || tc.want == "" && strings.Contains(all, "NetworkPolicies of the API") {
			t.Errorf("%s: %s", v.Cause, all)
		}
	}
}
