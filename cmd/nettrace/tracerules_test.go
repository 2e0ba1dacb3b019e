// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
	"github.com/nettrace-io/nettrace/pkg/ruletrace"
	"github.com/nettrace-io/nettrace/pkg/tracer"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// balancedPlan is a flow to a Service that node1's rules send to a pod of the node or to another node's, with the node's address for a source.
func balancedPlan(t *testing.T) *plan {
	t.Helper()
	save := "*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n" +
		"-A PREROUTING -d 10.96.0.80/32 -p tcp -m tcp --dport 80 -m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.244.1.11:8080\n" +
		"-A PREROUTING -d 10.96.0.80/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.2.20:8080\n-A POSTROUTING -o eth0 -j MASQUERADE\nCOMMIT\n"
	rules, _, err := ruleset.Parse(strings.NewReader(save), "iptables-legacy", "ip")
	if err != nil {
		t.Fatal(err)
	}
	link := func(i int, name string, a ...string) netstate.Link {
		l := netstate.Link{Index: i, Name: name, Up: true}
		for _, x := range a {
			l.Addrs = append(l.Addrs, netip.MustParsePrefix(x))
		}
		return l
	}
	route := func(dst, dev string) netstate.Route {
		return netstate.Route{Table: 254, Dst: netip.MustParsePrefix(dst), Type: "unicast", Dev: dev}
	}
	pod := func(name, a string, sets ...ruleset.Ruleset) netstate.Namespace {
		return netstate.Namespace{Inode: uint32(len(name)) + 10, Name: name, Node: "node1", Links: []netstate.Link{link(2, "eth0", a)}, Routes: []netstate.Route{route("0.0.0.0/0", "eth0")}, Rulesets: sets}
	}
	nft := ruleset.Ruleset{Backend: "nft", NFT: &ruleset.NFT{Tables: []ruleset.NFTTable{{Family: "inet", Name: "fw", Chains: []ruleset.NFTChain{{Name: "in", Type: "filter", Hook: "input"}}}}}}
	s := &netstate.Snapshot{Namespaces: []netstate.Namespace{
		{Inode: 1, Name: "host", Node: "node1", Host: true, Rulesets: []ruleset.Ruleset{rules}, Links: []netstate.Link{link(1, "cni0", "10.244.1.1/24"), link(2, "eth0", "192.168.50.1/24")},
			Routes: []netstate.Route{route("10.244.1.0/24", "cni0"), route("0.0.0.0/0", "eth0")}},
		pod("client", "10.244.1.10/24"), pod("web", "10.244.1.11/24", nft), pod("another", "10.244.1.12/24", nft),
	}}
	refs := []netstate.Ref{{Path: "/a", Name: "host", Node: "node1", Host: true}, {Path: "/b", Name: "client", Node: "node1"}, {Path: "/c", Name: "web", Node: "node1"}, {Path: "/d", Name: "another", Node: "node1"}}
	src, dst := netip.MustParseAddr("10.244.1.10"), netip.MustParseAddr("10.96.0.80")
	return &plan{node: "node1", refs: refs, before: s, proto: "tcp", src: &endpoint{addrs: []netip.Addr{src}}, dst: &endpoint{addrs: []netip.Addr{dst}, port: 80},
		filter: tracer.Filter{Proto: tracer.ProtoTCP, Src: []netip.Addr{src}, Dst: []netip.Addr{dst}, Dport: 80}}
}

// What the rules and the API translate to is followed, and only namespaces of the flow that have rules get a table.
func TestWhatIsTraced(t *testing.T) {
	p := balancedPlan(t)
	p.dst.endpoints = []verdict.Endpoint{{Addr: "10.244.3.30:8080"}, {Addr: "garbage"}}
	to := p.translations()
	slices.SortFunc(to.ends, netip.AddrPort.Compare)
	want := translations{via: []netip.Addr{netip.MustParseAddr("192.168.50.1")}}
	for _, a := range []string{"10.244.1.11:8080", "10.244.2.20:8080", "10.244.3.30:8080"} {
		want.ends = append(want.ends, netip.MustParseAddrPort(a))
	}
	to.ends = slices.Compact(to.ends)
	if !reflect.DeepEqual(to, want) {
		t.Errorf("translations %+v, want %+v", to, want)
	}
	got := p.traceNamespaces(&ruletrace.Flow{Ends: to.ends})
	if exp := []ruletrace.Namespace{{Path: "/a", Name: "host", Legacy: []uint8{4}, Conntrack: true}, {Path: "/c", Name: "web", NFT: true}}; !reflect.DeepEqual(got, exp) {
		t.Errorf("namespaces %+v, want %+v", got, exp)
	}
}

// A flow from anywhere is walked as one from outside.
func TestWhatIsTracedFromAnywhere(t *testing.T) {
	p := balancedPlan(t)
	p.src, p.filter.AnySrc, p.filter.Src = &endpoint{any: true}, true, nil
	if to := p.translations(); !slices.Contains(to.ends, netip.MustParseAddrPort("10.244.2.20:8080")) {
		t.Errorf("translations %+v", to)
	}
}

// Without rules nothing is added, and that is said.
func TestNothingToTrace(t *testing.T) {
	p := balancedPlan(t)
	for i := range p.before.Namespaces {
		p.before.Namespaces[i].Rulesets = nil
	}
	var said []string
	r, err := p.traceRules(&flowOptions{traceRules: true}, func(s string) { said = append(said, s) })
	if err != nil || r != nil || len(said) != 1 || !strings.Contains(said[0], "nothing is added") {
		t.Errorf("%v, %v, said %q", r, err, said)
	}
	if r, err := p.traceRules(&flowOptions{}, nil); r != nil || err != nil {
		t.Error("traced without being asked")
	}
	if _, ok := r.tell(); ok || r.stop() != nil {
		t.Error("a trace that is none tells")
	}
}

// Lost records are part of the evidence.
func TestLostRecordsAreEvidence(t *testing.T) {
	p := &pipeline{}
	p.rules(&tracedNote{Lost: 2})
	p.rules(&tracedNote{Lost: 1})
	if p.untold != 2 {
		t.Errorf("lost %d times", p.untold)
	}
}

// The flag is documented and completes; bad input does not get as far as the node.
func TestTraceRulesFlag(t *testing.T) {
	code, out, _ := call(t, "flow", "--help")
	if code != 0 || !strings.Contains(out, "--trace-rules") || !strings.Contains(out, "svc/shop/web:http --probe --trace-rules") {
		t.Errorf("help: exit %d, %s", code, out)
	}
	if code, _, errs := call(t, "flow", "x", "--trace-rules=maybe"); code != exitUsage || !strings.Contains(errs, "--help") {
		t.Errorf("exit %d, %s", code, errs)
	}
	if code, out, _ := call(t, "__complete", "flow", "--trace"); code != 0 || !strings.Contains(out, "--trace-rules") {
		t.Errorf("completion: %s", out)
	}
	if code, _, _ := call(t, rulesGuard, "x"); code != exitUsage {
		t.Errorf("the guardian takes arguments: exit %d", code)
	}
	if g, err := guardianOf(rulesGuard)(); err != nil || g.Args[1] != rulesGuard {
		t.Error(errors.Join(err, errors.New("the guardian's command")))
	}
}
