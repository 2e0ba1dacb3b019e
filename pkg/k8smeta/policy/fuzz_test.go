// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
)

// checkDecision holds a decision against what must be true of every one, whatever the policies.
func checkDecision(t *testing.T, policies []networkingv1.NetworkPolicy, f Flow, d Decision) {
	t.Helper()
	if d.Allowed != (d.Egress.Allowed && d.Ingress.Allowed) {
		t.Errorf("the sides do not make the whole: %+v", d)
	}
	checkSide(t, policies, f.Src.Pod, networkingv1.PolicyTypeEgress, d.Egress)
	checkSide(t, policies, f.Dst.Pod, networkingv1.PolicyTypeIngress, d.Ingress)
	checkUnion(t, policies, f, d)
}

func checkSide(t *testing.T, policies []networkingv1.NetworkPolicy, p *Pod, kind networkingv1.PolicyType, s Side) {
	t.Helper()
	if s.Why == "" || s.Isolated != (len(s.Selecting) > 0) || !slices.Equal(s.Selecting, Selecting(policies, p, kind)) {
		t.Errorf("%s: %+v", kind, s)
	}
	if !slices.IsSorted(s.Selecting) {
		t.Errorf("%s: not sorted: %v", kind, s.Selecting)
	}
	if !s.Isolated && (!s.Allowed || s.By != nil) || s.Node && (!s.Allowed || s.By != nil) || s.By != nil && !s.Allowed {
		t.Errorf("%s: contradicts itself: %+v", kind, s)
	}
	if s.By != nil && !slices.Contains(s.Selecting, s.By.Namespace+"/"+s.By.Policy) {
		t.Errorf("%s: allowed by %+v, which does not select the pod", kind, s.By)
	}
}

// checkUnion: an isolated side is allowed exactly if one of the selecting policies alone would allow it.
func checkUnion(t *testing.T, policies []networkingv1.NetworkPolicy, f Flow, d Decision) {
	t.Helper()
	var egress, ingress bool
	for i := range policies {
		one := Evaluate(policies[i:i+1], f)
		egress = egress || one.Egress.Isolated && one.Egress.Allowed
		ingress = ingress || one.Ingress.Isolated && one.Ingress.Allowed
	}
	if d.Egress.Isolated && d.Egress.Allowed != egress || d.Ingress.Isolated && d.Ingress.Allowed != ingress {
		t.Errorf("not the union of its policies: %+v", d)
	}
}

// fuzzFlows are one of each kind of connection.
var fuzzFlows = []string{
	"shop/client > shop/web tcp/8080", "blog/client > shop/web udp/53", "shop/web > shop/db sctp/5432", "shop/web > shop/web tcp/1",
	"node/n1 > shop/web tcp/8080", "ops/agent2 > shop/db tcp/5432", "shop/web > 203.0.113.9 icmp/0", "2001:db8::9 > shop/web tcp/443",
}

func FuzzEvaluate(f *testing.F) {
	for _, table := range [][]scenario{ingressScenarios, peerScenarios, egressScenarios, portScenarios, blockScenarios, malformedScenarios} {
		for _, s := range table {
			for _, p := range parse(f, s.policies) {
				b, err := json.Marshal(p)
				if err != nil {
					f.Fatal(err)
				}
				f.Add(b)
			}
		}
	}
	for _, s := range []string{`{}`, `null`, `{"spec":{"ingress":[null],"egress":[{"to":[null],"ports":[null]}]}}`, `{"spec":{"policyTypes":["Sideways",""]}}`} {
		f.Add([]byte(s))
	}
	c, fixed := newCluster(), parse(f, stacked)
	f.Fuzz(func(t *testing.T, b []byte) {
		var p networkingv1.NetworkPolicy
		if json.Unmarshal(b, &p) != nil {
			return
		}
		// Most random policies would be in a namespace without pods.
		p.Namespace = "shop"
		policies := append([]networkingv1.NetworkPolicy{p}, fixed...)
		for _, s := range fuzzFlows {
			flow := c.flow(t, s)
			checkDecision(t, policies, flow, Evaluate(policies, flow))
		}
	})
}
