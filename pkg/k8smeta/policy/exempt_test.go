// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"testing"
)

const denyBoth = `
metadata: {namespace: shop, name: deny-all}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
metadata: {namespace: ops, name: deny-all}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
`

var exemptScenarios = []scenario{
	{
		name:     "a pod always reaches itself",
		policies: denyBoth,
		probes: []probe{
			{flow: "shop/web > shop/web tcp/8080", want: "allow", why: "ingress: a pod always reaches itself, and shop/web is both ends"},
			{flow: "shop/web > shop/db tcp/5432", want: "deny both"},
			{flow: "blog/web > shop/web tcp/8080", want: "deny ingress"},
		},
	},
	{
		name:     "a node always reaches its own pods",
		policies: denyBoth,
		probes: []probe{
			{flow: "node/n1 > shop/web tcp/8080", want: "allow", why: "ingress: node n1 sends, and a node always reaches the pods that run on it"},
			{flow: "node/n1 > shop/web tcp/8080", want: "allow", why: "egress: node n1 is no pod, and policies select pods only"},
			{flow: "node/n2 > shop/web tcp/8080", want: "deny ingress",
				why: "ingress: policy shop/deny-all selects pod shop/web and no rule of it allows tcp/8080 from node n2"},
		},
	},
	{
		name:     "a pod does not always reach its own node",
		policies: denyBoth,
		probes: []probe{
			{flow: "shop/web > node/n1 tcp/10250", want: "deny egress", why: "ingress: node n1 is no pod, and policies select pods only"},
			{flow: "blog/web > node/n1 tcp/10250", want: "allow"},
		},
	},
	{
		name:     "a pod that sends through its node's address is taken for the node",
		policies: denyIngress,
		change: func(c cluster) {
			c["blog/web"].Addr, c["blog/web"].Node = netip.MustParseAddr("192.168.0.1"), "n1"
		},
		probes: []probe{
			{flow: "blog/web > shop/web tcp/8080", want: "allow"},
			{flow: "blog/web > shop/db tcp/5432", want: "deny ingress"},
		},
	},
	{
		name:     "no policy selects a pod in the host's network",
		policies: denyBoth,
		probes: []probe{
			{flow: "blog/client > ops/agent1 tcp/10250", want: "allow",
				why: "ingress: pod ops/agent1 is in the network of its node, where no policy selects it"},
			{flow: "ops/agent1 > blog/web tcp/80", want: "allow"},
			{flow: "ops/agent1 > ops/agent1 tcp/10250", want: "allow"},
		},
	},
	{
		name:     "a pod in the host's network is its node for the pods there",
		policies: denyBoth,
		change:   func(c cluster) { c["ops/agent1"].Node = "" },
		probes: []probe{
			{flow: "ops/agent1 > shop/web tcp/8080", want: "allow"},
			{flow: "ops/agent1 > shop/db tcp/5432", want: "deny ingress"},
			{flow: "ops/agent2 > shop/web tcp/8080", want: "deny ingress"},
		},
	},
	{
		name:     "no selector finds a pod in the host's network",
		policies: ingressFrom(`[{namespaceSelector: {}}, {namespaceSelector: {}, podSelector: {matchLabels: {app: agent}}}]`),
		probes:   join(from("allow", "ops/prom"), from("deny ingress", "ops/agent2")),
	},
	{
		name:     "an address block finds a pod in the host's network",
		policies: ingressFrom(`[{ipBlock: {cidr: 192.168.0.2/32}}]`),
		probes:   join(from("allow", "ops/agent2", "node/n2"), from("deny ingress", "ops/prom")),
	},
	{
		name:     "egress to a pod in the host's network needs an address block",
		policies: egressTo(`[{namespaceSelector: {}}, {ipBlock: {cidr: 192.168.0.1/32}}]`),
		probes:   join(reach("allow", "ops/agent1", "node/n1", "ops/prom"), reach("deny egress", "ops/agent2", "node/n2")),
	},
}

// The flags of both sides are what a renderer shows, so each kind of end is looked at whole.
func TestFlags(t *testing.T) {
	policies, c := parse(t, denyBoth), newCluster()
	tests := []struct {
		flow                         string
		egressIsolated, egressNode   bool
		ingressIsolated, ingressNode bool
	}{
		{"shop/web > shop/web tcp/8080", true, false, true, false},
		{"node/n1 > shop/web tcp/8080", false, true, true, true},
		{"node/n2 > shop/web tcp/8080", false, true, true, false},
		{"ops/agent1 > shop/web tcp/8080", false, true, true, true},
		{"ops/agent2 > shop/web tcp/8080", false, true, true, false},
		{"shop/web > ops/agent2 tcp/1", true, false, false, true},
		{"blog/web > 203.0.113.9 tcp/1", false, false, false, false},
		{"node/n1 > blog/web tcp/80", false, true, false, true},
	}
	for _, tt := range tests {
		d := Evaluate(policies, c.flow(t, tt.flow))
		if d.Egress.Isolated != tt.egressIsolated || d.Egress.Node != tt.egressNode {
			t.Errorf("%s: egress %+v", tt.flow, d.Egress)
		}
		if d.Ingress.Isolated != tt.ingressIsolated || d.Ingress.Node != tt.ingressNode {
			t.Errorf("%s: ingress %+v", tt.flow, d.Ingress)
		}
	}
}

// A pod looked up by nothing but its address has no name: two of these are not one.
func TestNamelessPodsAreNotItself(t *testing.T) {
	policies := parse(t, "metadata: {name: deny-all}\nspec: {podSelector: {}}\n")
	a, b := End{Pod: &Pod{}}, End{Pod: &Pod{}}
	if d := Evaluate(policies, Flow{Src: a, Dst: b, Proto: "tcp", Port: 80}); d.Allowed {
		t.Errorf("two pods without names were taken for one: %s", d.Ingress.Why)
	}
	if d := Evaluate(policies, Flow{Src: a, Dst: a, Proto: "tcp", Port: 80}); !d.Allowed {
		t.Errorf("one pod was not taken for itself: %s", d.Ingress.Why)
	}
}
