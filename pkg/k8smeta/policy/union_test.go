// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
)

const stacked = `
metadata: {namespace: shop, name: b-client}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 8080}]}]}
---
metadata: {namespace: shop, name: a-front}
spec: {podSelector: {matchLabels: {tier: front}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}}], ports: [{port: 9090}]}]}
`

var unionScenarios = []scenario{
	{
		name:     "stacked policies with overlapping selectors add up",
		policies: stacked,
		probes: []probe{
			{flow: "shop/client > shop/web tcp/8080", want: "allow", by: "ingress shop/b-client#0"},
			{flow: "blog/client > shop/web tcp/9090", want: "allow", by: "ingress shop/a-front#0"},
			{flow: "shop/client > shop/web tcp/9090", want: "deny ingress",
				why: "ingress: policies shop/a-front and shop/b-client select pod shop/web and no rule of them allows tcp/9090 from shop/client"},
			{flow: "blog/client > shop/web tcp/8080", want: "deny ingress"},
			{flow: "blog/web > shop/client tcp/9090", want: "allow", by: "ingress shop/a-front#0"},
		},
	},
	{
		name: "an ingress policy that allows all takes precedence",
		policies: denyIngress + `---
metadata: {namespace: shop, name: z-allow-all}
spec: {podSelector: {}, ingress: [{}]}
`,
		probes: []probe{{flow: "blog/client > shop/web tcp/8080", want: "allow", by: "ingress shop/z-allow-all#0"}},
	},
	{
		name: "an egress policy that allows all takes precedence",
		policies: denyBoth + `---
metadata: {namespace: shop, name: z-allow-all}
spec: {podSelector: {}, policyTypes: [Egress], egress: [{}]}
`,
		probes: []probe{
			{flow: "shop/client > blog/web tcp/80", want: "allow", by: "egress shop/z-allow-all#0"},
			{flow: "shop/client > shop/web tcp/8080", want: "deny ingress", by: "egress shop/z-allow-all#0"},
		},
	},
	{
		name: "an allow in another namespace does not help",
		policies: denyIngress + `---
metadata: {namespace: blog, name: allow-all}
spec: {podSelector: {}, ingress: [{}]}
`,
		probes: []probe{{flow: "blog/client > shop/web tcp/8080", want: "deny ingress"}},
	},
	{
		name: "three policies are listed in one sentence",
		policies: denyIngress + `---
metadata: {namespace: shop, name: c}
spec: {podSelector: {}}
---
metadata: {namespace: shop, name: b}
spec: {podSelector: {}}
`,
		probes: []probe{{flow: "shop/db > shop/web tcp/8080", want: "deny ingress",
			why: "ingress: policies shop/b, shop/c and shop/deny-all select pod shop/web and no rule of them allows tcp/8080 from shop/db"}},
	},
	{
		name: "the first rule by name and index is the one named",
		policies: `
metadata: {namespace: shop, name: many}
spec: {podSelector: {}, ingress: [{ports: [{port: 1}]}, {from: [{podSelector: {}}]}, {}]}
`,
		probes: []probe{
			{flow: "shop/db > shop/web tcp/8080", want: "allow", by: "ingress shop/many#1"},
			{flow: "blog/web > shop/web tcp/8080", want: "allow", by: "ingress shop/many#2"},
		},
	},
}

// A policy that is updated or deleted works from the next call on, since nothing is kept.
func TestUpdateAndDelete(t *testing.T) {
	c := newCluster()
	f := c.flow(t, "blog/client > shop/web tcp/8080")
	policies := parse(t, denyIngress)
	if Evaluate(policies, f).Allowed {
		t.Error("allowed before the update")
	}
	policies[0].Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}}
	if !Evaluate(policies, f).Allowed {
		t.Error("denied after the update")
	}
	policies[0].Spec.Ingress = nil
	if !Evaluate(policies[:0], f).Allowed {
		t.Error("denied after the deletion")
	}
}

func TestOrderOfPoliciesDoesNotMatter(t *testing.T) {
	c, policies := newCluster(), parse(t, stacked+"---"+denyBoth)
	turned := slices.Clone(policies)
	slices.Reverse(turned)
	for _, s := range []string{"shop/client > shop/web tcp/8080", "blog/client > shop/web tcp/9090", "ops/prom > shop/web tcp/1"} {
		f := c.flow(t, s)
		a, b := Evaluate(policies, f), Evaluate(turned, f)
		if by(a) != by(b) || a.Ingress.Why != b.Ingress.Why || a.Egress.Why != b.Egress.Why {
			t.Errorf("%s: %+v and %+v", s, a, b)
		}
	}
}

func TestSelecting(t *testing.T) {
	c, policies := newCluster(), parse(t, stacked+"---"+denyBoth)
	tests := []struct {
		pod  string
		t    networkingv1.PolicyType
		want []string
	}{
		{"shop/web", networkingv1.PolicyTypeIngress, []string{"shop/a-front", "shop/b-client", "shop/deny-all"}},
		{"shop/web", networkingv1.PolicyTypeEgress, []string{"shop/deny-all"}},
		{"shop/client", networkingv1.PolicyTypeIngress, []string{"shop/a-front", "shop/deny-all"}},
		{"blog/web", networkingv1.PolicyTypeIngress, nil},
		{"ops/prom", networkingv1.PolicyTypeEgress, []string{"ops/deny-all"}},
		{"ops/agent1", networkingv1.PolicyTypeIngress, nil},
		{"shop/web", "Sideways", nil},
	}
	for _, tt := range tests {
		if got := Selecting(policies, c[tt.pod].Pod, tt.t); !slices.Equal(got, tt.want) {
			t.Errorf("%s %s: %v, want %v", tt.pod, tt.t, got, tt.want)
		}
	}
	if got := Selecting(policies, nil, networkingv1.PolicyTypeIngress); got != nil {
		t.Errorf("no pod: %v", got)
	}
}
