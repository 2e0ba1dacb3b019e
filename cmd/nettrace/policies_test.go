// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
)

// withPolicy is the shop with one NetworkPolicy for its web pods.
func withPolicy(t *testing.T, spec string, change func(*k8smeta.Objects)) *labeller {
	t.Helper()
	o, err := k8smeta.Read(strings.NewReader("kind: NetworkPolicy\nmetadata: {namespace: shop, name: p}\nspec: " + spec + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return labelled(t, func(all *k8smeta.Objects) {
		all.Policies = o.Policies
		if change != nil {
			change(all)
		}
	})
}

func TestPoliciesInAVerdict(t *testing.T) {
	const (
		fromFrontend = "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: frontend}}}]}]}"
		fromClients  = "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: client}}}]}]}"
		fromTeam     = "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}]}]}"
		noEgress     = "{podSelector: {matchLabels: {app: client}}, policyTypes: [Egress]}"
	)
	forget := func(o *k8smeta.Objects) { o.Namespaces = nil }
	for _, tc := range []struct {
		name, spec, src string
		change          func(*k8smeta.Objects)
		says            string
		allowed         bool
	}{
		{"denied", fromFrontend, "10.244.1.10", nil, "policy shop/p selects pod shop/web-7d9c5b8f4-abcde", false},
		{"allowed", fromClients, "10.244.1.10", nil, "shop/p", true},
		{"denied at the sender", noEgress, "10.244.1.10", nil, "policy shop/p selects pod shop/client", false},
		{"by the namespace's label", fromTeam, "10.244.1.10", nil, "shop/p", true},
		{"by a namespace's label that is not known", fromTeam, "10.244.1.10", forget, "", false},
		{"labels of namespaces are not needed", fromFrontend, "10.244.1.10", forget, "policy shop/p selects", false},
		{"from outside", fromFrontend, "203.0.113.9", nil, "policy shop/p selects", false},
		{"from a pod that is not known", fromFrontend, "10.244.1.99", nil, "", false},
		{"from the pod's own node", fromFrontend, "192.168.50.2", nil, "node2", true},
	} {
		l := withPolicy(t, tc.spec, tc.change)
		got, allowed := l.policies("tcp", netip.MustParseAddr(tc.src), netip.MustParseAddr("10.244.2.20"), 8080)
		if tc.says == "" && got != "" || !strings.Contains(got, tc.says) || allowed != tc.allowed {
			t.Errorf("%s: %q %v, want %q %v", tc.name, got, allowed, tc.says, tc.allowed)
		}
	}
	l := withPolicy(t, fromFrontend, nil)
	if got, _ := l.policies("tcp", netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2"), 80); got != "" {
		t.Errorf("no pod at either end: %q", got)
	}
}
