// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// translatedPlan is what --translated makes of a flow on node2 of the lab.
func translatedPlan(t *testing.T, src, dst string) (*plan, []string) {
	t.Helper()
	b, err := lab.ClusterYAML(lab.Services())
	if err != nil {
		t.Fatal(err)
	}
	same := `---
{kind: Service, apiVersion: v1, metadata: {namespace: shop, name: same}, spec: {clusterIPs: [10.96.0.90], ports: [{name: http, port: 8080}]}}
---
{kind: EndpointSlice, apiVersion: discovery.k8s.io/v1, metadata: {namespace: shop, name: same-1, labels: {kubernetes.io/service-name: same}}, addressType: IPv4,
  ports: [{name: http, port: 8080}], endpoints: [{addresses: [10.244.2.20], nodeName: node2, conditions: {ready: true}}]}
---
{kind: Service, apiVersion: v1, metadata: {namespace: shop, name: two}, spec: {clusterIPs: [10.96.0.91], ports: [{name: http, port: 80}]}}
---
{kind: EndpointSlice, apiVersion: discovery.k8s.io/v1, metadata: {namespace: shop, name: two-1, labels: {kubernetes.io/service-name: two}}, addressType: IPv4,
  ports: [{name: http, port: 8080}], endpoints: [{addresses: [10.244.2.20], nodeName: node2, conditions: {ready: true}}]}
---
{kind: EndpointSlice, apiVersion: discovery.k8s.io/v1, metadata: {namespace: shop, name: two-2, labels: {kubernetes.io/service-name: two}}, addressType: IPv4,
  ports: [{name: http, port: 8081}], endpoints: [{addresses: [10.244.2.21], nodeName: node2, conditions: {ready: true}}]}
`
	objs, err := k8smeta.Read(strings.NewReader(string(b) + same))
	if err != nil {
		t.Fatal(err)
	}
	n := &names{namespace: "shop", now: time.Now()}
	n.set(*objs)
	l := &lookup{snapshot: &netstate.Snapshot{}, names: n, node: "node2"}
	p := &plan{proto: "tcp", names: n, refs: []netstate.Ref{{Node: "node2", Host: true}}}
	if p.src, err = l.parseEndpoint(context.Background(), src, true); err != nil {
		t.Fatal(err)
	}
	if p.dst, err = l.parseEndpoint(context.Background(), dst, false); err != nil {
		t.Fatal(err)
	}
	if err := match(p.src, p.dst); err != nil {
		t.Fatal(err)
	}
	if s, port := n.index.ServicePort("tcp", p.dst.addrs[0], p.dst.port); p.dst.endpoints == nil && s != nil {
		p.dst.endpoints = toEndpoints(n.index.Backends(s, port))
	}
	p.filter = tracer.Filter{Proto: tracer.ProtoTCP, AnySrc: p.src.any, Src: p.src.addrs, Dst: p.dst.addrs, Dport: p.dst.port}
	var said []string
	p.translate(func(s string) { said = append(said, s) })
	return p, said
}

// A node that does not have the sender follows the endpoints, and beside them what comes here to be translated, where the kernel side can tell it
// from other packets: it compares one port.
func TestTranslatedFilter(t *testing.T) {
	const outside, pod = "203.0.113.9", "shop/client"
	different := "the endpoints of svc/shop/two:http have different ports: packets to any of their ports are followed"
	fromThere := "packets to svc/shop/web:http are followed here from where they are translated to an endpoint, which has another port; name SRC to follow them before that"
	for _, tc := range []struct {
		src, dst string
		to       string
		said     string
	}{
		{pod, "svc/shop/web:http", "[10.244.1.20 10.244.2.20] 8080", ""}, // node1 has translated it
		{"10.244.1.10", "10.96.0.80:80", "[10.244.1.20 10.244.2.20] 8080", ""},
		{"node/node1", "svc/shop/web:http", "[10.244.1.20 10.244.2.20] 8080", ""},
		{pod, "svc/shop/two:http", "[10.244.2.20 10.244.2.21] 0", different},
		{pod, "svc/shop/same:http", "[10.244.2.20 10.96.0.90] 8080", ""},
		{pod, "shop/web-7d9c5b8f4-abcde:8080", "[10.244.2.20] 8080", ""},
		{pod, "svc/shop/empty:http", "[10.96.0.82] 80", ""},
		{outside, "svc/shop/same:http", "[10.244.2.20 10.96.0.90] 8080", ""},
		{outside, "svc/shop/web:http", "[10.244.1.20 10.244.2.20 10.96.0.80] 0", "the endpoints of svc/shop/web:http have other ports than it has: packets to any of their ports are followed"},
		{outside, "192.168.50.2:30080", "[192.168.50.2] 30080", ""}, // this node's port
		{outside, "192.168.50.1:30080", "[10.244.2.20] 8080", ""},   // node1's: it comes from there
		{"any", "svc/shop/same:http", "[10.244.2.20 10.96.0.90] 8080", ""},
		{"any", "svc/shop/web:http", "[10.244.1.20 10.244.2.20] 8080", fromThere},
		{"any", "192.168.50.2:30080", "[192.168.50.2] 30080", ""},
		{"any", "192.168.50.1:30080", "[10.244.2.20] 8080", ""},
	} {
		p, said := translatedPlan(t, tc.src, tc.dst)
		if got := fmt.Sprint(p.filter.Dst, p.filter.Dport); got != tc.to || strings.Join(said, "\n") != tc.said {
			t.Errorf("%s → %s: %s, want %s; %q", tc.src, tc.dst, got, tc.to, said)
		}
		masqueraded := false
		for _, a := range p.filter.Src {
			masqueraded = masqueraded || a == netip.MustParseAddr("192.168.50.1")
		}
		if masqueraded != (tc.src != "any") {
			t.Errorf("%s → %s: from %v", tc.src, tc.dst, p.filter.Src)
		}
	}
}
