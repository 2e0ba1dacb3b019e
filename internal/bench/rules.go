// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"github.com/nettrace-io/nettrace/pkg/k8smeta/kubeproxy"
	"github.com/nettrace-io/nettrace/pkg/lab"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// attribution prints how long it takes to read kube-proxy's rules for many Services, and to find one rule in them.
func attribution(context.Context) error {
	for _, mode := range []string{"iptables", "nftables"} {
		for _, n := range []int{1000, 5000, 10000} {
			c, err := measureRules(mode, n)
			if err != nil {
				return err
			}
			fmt.Printf("%s rules of %6d Services (%5.1f MB): parsed in %4.0f ms, %4.0f MB; the DNAT of one packet found in %.2f ms, a refusal in %.2f ms\n", mode, n, float64(c.size)/1e6, c.parse.Seconds()*1e3, c.bytes/1e6, c.dnat.Seconds()*1e3, c.drop.Seconds()*1e3)
		}
	}
	return nil
}

// rulesCost is what measureRules found.
type rulesCost struct {
	size       int
	parse      time.Duration
	bytes      float64
	dnat, drop time.Duration // the first question each
}

// servicesWithRules are Services with three endpoints each; the last one has none.
func servicesWithRules(n int) []lab.Service {
	var out []lab.Service
	for i := range n {
		s := lab.Service{Namespace: fmt.Sprintf("namespace-%d", i%500), Name: fmt.Sprintf("application-%d", i), PortName: "http", Proto: "tcp", ClusterIP: serviceIP(i), Port: 80}
		if i < n-1 {
			for e := range 3 {
				s.Endpoints = append(s.Endpoints, lab.Endpoint{Addr: netip.AddrPortFrom(podIP(i*3+e), 8080)})
			}
		}
		out = append(out, s)
	}
	return out
}

func measureRules(mode string, n int) (rulesCost, error) {
	services := servicesWithRules(n)
	text, backend := saved(lab.KubeProxyRules("node1", lab.ClusterCIDR.String(), services)), "iptables-legacy"
	if mode == "nftables" {
		text, backend = nftListing(services), "nft"
	}
	c := rulesCost{size: len(text)}
	before, begin := heap(), time.Now()
	var set ruleset.Ruleset
	var warnings []string
	var err error
	if mode == "nftables" {
		set.Backend = backend
		set.NFT, warnings, err = ruleset.ParseNFT(strings.NewReader(text), nil)
	} else {
		set, warnings, err = ruleset.Parse(strings.NewReader(text), backend, "ip")
	}
	c.parse = time.Since(begin)
	if err != nil || len(warnings) > 0 {
		return c, errors.Join(err, fmt.Errorf("%s rules of %d Services: %v", mode, n, warnings))
	}
	c.bytes = heap() - before
	no := false
	p := ruleset.Packet{Proto: "tcp", Src: netip.MustParseAddr("10.244.1.10"), Sport: 40000, Dst: serviceIP(n / 2), Dport: 80, CTState: "NEW", In: "cni0", LocalSrc: &no, LocalDst: &no}
	begin = time.Now()
	found := ruleset.Find([]ruleset.Ruleset{set}, ruleset.Question{Hook: "PREROUTING", Verdict: "dnat", To: netip.AddrPortFrom(podIP(n/2*3+1), 8080).String(), Packet: p})
	c.dnat = time.Since(begin)
	p.Dst = serviceIP(n - 1)
	begin = time.Now()
	refused := ruleset.Find([]ruleset.Ruleset{set}, ruleset.Question{Hook: "FORWARD", Verdict: "drop", Reject: true, Packet: p})
	c.drop = time.Since(begin)
	if len(found) != 1 || len(refused) != 1 || found[0].Owner.Service != services[n/2].Name || refused[0].Owner.Service != services[n-1].Name {
		return c, fmt.Errorf("%s rules of %d Services: found %v and %v", mode, n, found, refused)
	}
	runtime.KeepAlive(text)
	runtime.KeepAlive(services)
	return c, nil
}

// saved declares the built-in chains, which a whole save has.
func saved(rules string) string {
	return strings.NewReplacer("*filter\n", "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n",
		"*nat\n", "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n").Replace(rules)
}

// nftListing is what 'nft -j -a list ruleset' prints for a kube-proxy in nftables mode with the Services, as the fixture has it.
func nftListing(services []lab.Service) string {
	w := &listing{handle: 1}
	w.add("table", map[string]any{"name": "kube-proxy"})
	w.chain("services", nil)
	w.chain("reject-chain", nil)
	w.chain("service-endpoints-check", nil)
	w.chain("mark-for-masquerade", nil)
	w.chain("nat-prerouting", map[string]any{"type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"})
	w.chain("filter-forward", map[string]any{"type": "filter", "hook": "forward", "prio": -110, "policy": "accept"})
	var ways, none []any
	daddr, dport := map[string]any{"payload": map[string]any{"protocol": "ip", "field": "daddr"}}, map[string]any{"payload": map[string]any{"protocol": "th", "field": "dport"}}
	saddr, l4 := map[string]any{"payload": map[string]any{"protocol": "ip", "field": "saddr"}}, map[string]any{"meta": map[string]any{"key": "l4proto"}}
	for i := range services {
		s := &services[i]
		port := kubeproxy.Port{Namespace: s.Namespace, Service: s.Name, PortName: s.PortName, Proto: s.Proto}
		key := map[string]any{"concat": []any{s.ClusterIP.String(), s.Proto, s.Port}}
		if len(s.Endpoints) == 0 {
			none = append(none, []any{map[string]any{"elem": map[string]any{"val": key, "comment": s.Namespace + "/" + s.Name + ":" + s.PortName}}, to("goto", "reject-chain")})
			continue
		}
		name := kubeproxy.NFTablesChain(kubeproxy.KindService, port, netip.AddrPort{})
		w.chain(name, nil)
		ways = append(ways, []any{key, to("goto", name)})
		var draw []any
		for k, e := range s.Endpoints {
			ep := kubeproxy.NFTablesChain(kubeproxy.KindEndpoint, port, e.Addr)
			w.chain(ep, nil)
			w.rule(ep, match("==", saddr, e.Addr.Addr().String()), to("jump", "mark-for-masquerade"))
			w.rule(ep, match("==", l4, s.Proto), map[string]any{"dnat": map[string]any{"addr": e.Addr.Addr().String(), "port": e.Addr.Port()}})
			draw = append(draw, []any{k, to("goto", ep)})
		}
		w.rule(name, match("==", daddr, s.ClusterIP.String()), match("!=", saddr, map[string]any{"prefix": map[string]any{"addr": "10.244.0.0", "len": 16}}), to("jump", "mark-for-masquerade"))
		w.rule(name, map[string]any{"vmap": map[string]any{"key": map[string]any{"numgen": map[string]any{"mode": "random", "mod": len(draw), "offset": 0}}, "data": map[string]any{"set": draw}}})
	}
	key := map[string]any{"concat": []any{daddr, l4, dport}}
	w.add("map", map[string]any{"table": "kube-proxy", "name": "service-ips", "map": "verdict", "elem": ways})
	w.add("map", map[string]any{"table": "kube-proxy", "name": "no-endpoint-services", "map": "verdict", "elem": none})
	w.rule("services", map[string]any{"vmap": map[string]any{"key": key, "data": "@service-ips"}})
	w.rule("service-endpoints-check", map[string]any{"vmap": map[string]any{"key": key, "data": "@no-endpoint-services"}})
	w.rule("nat-prerouting", to("jump", "services"))
	w.rule("filter-forward", match("in", map[string]any{"ct": map[string]any{"key": "state"}}, "new"), to("jump", "service-endpoints-check"))
	w.rule("reject-chain", map[string]any{"reject": map[string]any{"type": "icmp", "expr": "port-unreachable"}})
	return `{"nftables": [` + strings.Join(w.parts, ", ") + "]}"
}

func to(how, chain string) map[string]any {
	return map[string]any{how: map[string]any{"target": chain}}
}

func match(op string, left, right any) map[string]any {
	return map[string]any{"match": map[string]any{"op": op, "left": left, "right": right}}
}

// listing collects entries.
type listing struct {
	parts  []string
	handle int
}

func (l *listing) add(kind string, fields map[string]any) {
	l.handle++
	fields["family"], fields["handle"] = "ip", l.handle
	b, err := json.Marshal(map[string]any{kind: fields})
	if err != nil {
		panic(err) // of maps and strings
	}
	l.parts = append(l.parts, string(b))
}

func (l *listing) chain(name string, base map[string]any) {
	fields := map[string]any{"table": "kube-proxy", "name": name}
	for k, v := range base {
		fields[k] = v
	}
	l.add("chain", fields)
}

func (l *listing) rule(chain string, expr ...any) {
	l.add("rule", map[string]any{"table": "kube-proxy", "chain": chain, "expr": expr})
}
