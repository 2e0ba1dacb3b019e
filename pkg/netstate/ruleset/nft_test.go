// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"sort"
	"strings"
	"testing"
)

// fixture is the listing of a real kube-proxy 1.31 in nftables mode.
func fixture(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("../../../testdata/kube-proxy-1.31/nftables.json")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parseNFT(t testing.TB, listing string) *NFT {
	t.Helper()
	n, warnings, err := ParseNFT(strings.NewReader(listing), nil)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v %v", warnings, err)
	}
	return n
}

// ask finds rules in one nftables ruleset.
func ask(n *NFT, q Question) []Found { return Find([]Ruleset{{Backend: "nft", NFT: n}}, q) }

// client is a new tcp connection from the pod shop/client.
func client(dst string) Packet {
	to := netip.MustParseAddrPort(dst)
	remote := false
	return Packet{Proto: "tcp", Src: netip.MustParseAddr("10.244.1.10"), Sport: 40000, Dst: to.Addr(), Dport: to.Port(), CTState: "NEW", In: "cni0", LocalSrc: &remote, LocalDst: &remote, SYN: true}
}

func TestTheFixtureParsesCompletely(t *testing.T) {
	n := parseNFT(t, string(fixture(t)))
	chains, rules, sets := 0, 0, 0
	for _, table := range n.Tables {
		sets += len(table.Sets)
		for _, c := range table.Chains {
			chains++
			rules += len(c.Rules)
			for _, r := range c.Rules {
				if text := nftText(r.Expr); text == "" || strings.Contains(text, "{\"") || strings.Contains(text, "[\"") {
					t.Errorf("%s handle %d is not put into words: %s", c.Name, r.Handle, text)
				}
			}
		}
		for i := range table.Sets {
			if table.Sets[i].load().odd {
				t.Errorf("elements of %s are not understood", table.Sets[i].Name)
			}
		}
	}
	if len(n.Tables) != 2 || chains != 47 || rules != 79 || sets != 15 {
		t.Errorf("%d tables, %d chains, %d rules, %d sets", len(n.Tables), chains, rules, sets)
	}
}

// The words are those that nft itself writes for the same rules.
func TestTextIsAsNFTWritesIt(t *testing.T) {
	b, err := os.ReadFile("../../../testdata/kube-proxy-1.31/nftables.nft")
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{}
	for _, l := range strings.Split(string(b), "\n") {
		rule, _, ok := strings.Cut(strings.TrimSpace(l), " # handle")
		rule, _, _ = strings.Cut(rule, " comment ")
		if ok {
			written[rule] = true
		}
	}
	n := parseNFT(t, string(fixture(t)))
	same, all := 0, 0
	for _, c := range n.Tables[0].Chains {
		for _, r := range c.Rules {
			all++
			if written[nftText(r.Expr)] {
				same++
			} else if text := nftText(r.Expr); !strings.Contains(text, "meta mark") && !strings.Contains(text, "masquerade") && !strings.Contains(text, "reject") { // which nft writes in other forms
				t.Errorf("nft does not write %q", text)
			}
		}
	}
	if same < all-8 {
		t.Errorf("%d of %d rules", same, all)
	}
}

// For each Service the rules give the endpoints that kube-proxy programmed.
func TestEndpointsOfTheFixture(t *testing.T) {
	n := parseNFT(t, string(fixture(t)))
	for dst, want := range map[string][]string{
		"10.0.0.1:443":   {"192.0.2.2:9443"},
		"10.96.0.10:53":  {"10.244.2.53:53"},
		"10.96.0.80:80":  {"10.244.1.20:8080", "10.244.2.20:8080"},
		"10.96.0.81:80":  {"10.244.2.20:8080"},
		"10.96.0.83:80":  {"10.244.1.20:8080", "10.244.2.20:8080"}, // with session affinity
		"10.96.0.82:80":  nil,                                      // no endpoints
		"10.96.0.80:443": nil,
		"10.244.2.20:80": nil,
	} {
		var got []string
		for _, to := range []string{"192.0.2.2:9443", "10.244.2.53:53", "10.244.1.20:8080", "10.244.2.20:8080"} {
			found := ask(n, Question{Hook: "PREROUTING", Verdict: "dnat", To: to, Packet: client(dst)})
			if len(found) == 0 {
				continue
			}
			got = append(got, to)
			f := found[0]
			if f.Backend != "nft" || f.Table != "kube-proxy" || f.Handle == 0 || f.Verdict != "DNAT" || f.Owner.By != "kube-proxy" || f.Owner.Service == "" || !strings.HasPrefix(f.Chain, "endpoint-") {
				t.Errorf("%s to %s: %+v", dst, to, f)
			}
			if one := len(want) == 1; f.Sure != one {
				t.Errorf("%s to %s: sure is %v with %d endpoints", dst, to, f.Sure, len(want))
			}
		}
		sort.Strings(got)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s goes to %v, want %v", dst, got, want)
		}
	}
}

func TestRefusalsOfTheFixture(t *testing.T) {
	n := parseNFT(t, string(fixture(t)))
	local := true
	node := client("192.168.50.1:30080")
	node.Src, node.LocalDst = netip.MustParseAddr("192.168.50.100"), &local
	for _, tc := range []struct {
		name   string
		q      Question
		want   string // "chain: owner ns/service:port why"; "" for none
		number int
	}{
		{"no endpoints", Question{Hook: "FORWARD", Verdict: "drop", Reject: true, Packet: client("10.96.0.82:80")}, "reject-chain: kube-proxy shop/empty:http has no endpoints", 1},
		{"no endpoints on output", Question{Hook: "OUTPUT", Verdict: "drop", Reject: true, Packet: client("10.96.0.82:80")}, "reject-chain: kube-proxy shop/empty:http has no endpoints", 1},
		{"a wrong port of a ClusterIP", Question{Hook: "FORWARD", Verdict: "drop", Reject: true, Packet: client("10.96.0.80:81")}, "cluster-ips-check: kube-proxy /: ", 1},
		{"a NodePort without local endpoints", Question{Hook: "INPUT", Verdict: "drop", Packet: node}, "nodeport-endpoints-check: kube-proxy shop/web-node:http has no local endpoints", 1},
		{"the kernel named the base chain", Question{Hook: "FORWARD", Base: "kube-proxy/filter-forward", Verdict: "drop", Reject: true, Packet: client("10.96.0.82:80")}, "reject-chain: kube-proxy shop/empty:http has no endpoints", 1},
		{"another base chain", Question{Hook: "FORWARD", Base: "firewall/forward", Verdict: "drop", Reject: true, Packet: client("10.96.0.82:80")}, "", 0},
		{"an established connection is not asked", Question{Hook: "FORWARD", Verdict: "drop", Reject: true, Packet: func() Packet { p := client("10.96.0.82:80"); p.CTState = "ESTABLISHED"; return p }()}, "", 0},
		{"legacy machinery dropped it", Question{Hook: "FORWARD", Backend: "iptables-legacy", Verdict: "drop", Reject: true, Packet: client("10.96.0.82:80")}, "", 0},
		{"a pod's address", Question{Hook: "FORWARD", Verdict: "drop", Packet: client("10.244.2.20:8080")}, "", 0},
	} {
		got := ""
		found := ask(n, tc.q)
		if len(found) > 0 {
			f := found[0]
			got = fmt.Sprintf("%s: %s %s/%s:%s %s", f.Chain, f.Owner.By, f.Owner.Namespace, f.Owner.Service, f.Owner.Port, f.Owner.Why)
			if !f.Sure || f.Number != tc.number {
				t.Errorf("%s: %+v", tc.name, f)
			}
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestMasqueradeOfTheFixture(t *testing.T) {
	n := parseNFT(t, string(fixture(t)))
	p := client("10.244.2.20:8080")
	if found := ask(n, Question{Hook: "POSTROUTING", Verdict: "snat", Packet: p}); len(found) != 0 {
		t.Errorf("without the mark: %+v", found)
	}
	p.Mark = 0x4000
	if found := ask(n, Question{Hook: "POSTROUTING", Verdict: "snat", Packet: p}); len(found) != 1 || found[0].Verdict != "MASQUERADE" || found[0].Chain != "masquerading" || !found[0].Sure {
		t.Errorf("with the mark: %+v", found)
	}
}

// rules is a listing with one filter chain.
func rules(policy string, exprs ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"nftables":[{"metainfo":{}},{"table":{"family":"inet","name":"fw","handle":1}},
{"set":{"family":"inet","name":"blocked","table":"fw","type":"ipv4_addr","flags":["interval"],"elem":["10.0.0.9",{"prefix":{"addr":"10.1.0.0","len":16}},{"range":["10.2.0.5","10.2.0.7"]}]}},
{"set":{"family":"inet","name":"seen","table":"fw","type":"ipv4_addr","flags":["timeout"]}},
{"map":{"family":"inet","name":"ways","table":"fw","type":"inet_service","map":"verdict","elem":[[22,{"accept":null}],[{"range":[6000,6010]},{"drop":null}]]}},
{"chain":{"family":"inet","table":"fw","name":"sub","handle":2}},
{"rule":{"family":"inet","table":"fw","chain":"sub","handle":20,"expr":[{"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":7777}},{"drop":null}]}},
{"chain":{"family":"inet","table":"fw","name":"forward","handle":3,"type":"filter","hook":"forward","prio":0,"policy":%q}}`, policy)
	for i, e := range exprs {
		fmt.Fprintf(&b, ",\n"+`{"rule":{"family":"inet","table":"fw","chain":"forward","handle":%d,"expr":%s}}`, 100+i, e)
	}
	return b.String() + "]}"
}

// Each expression with packets that it drops, that it does not, and where it cannot tell.
func TestExpressions(t *testing.T) {
	const tcp80, tcp81, v6 = "10.0.0.1:80", "10.0.0.1:81", "[2001:db8::1]:80"
	m := func(left, op, right string) string {
		return fmt.Sprintf(`[{"match":{"op":%q,"left":%s,"right":%s}},{"counter":{"packets":0,"bytes":0}},{"drop":null}]`, op, left, right)
	}
	daddr, dport := `{"payload":{"protocol":"ip","field":"daddr"}}`, `{"payload":{"protocol":"tcp","field":"dport"}}`
	for _, tc := range []struct {
		name, expr string
		dst        string
		want       string // "sure", "unsure", ""
	}{
		{"a drop", `[{"drop":null}]`, tcp80, "sure"},
		{"an accept", `[{"accept":null}]`, tcp80, ""},
		{"an address", m(daddr, "==", `"10.0.0.1"`), tcp80, "sure"},
		{"another address", m(daddr, "==", `"10.0.0.2"`), tcp80, ""},
		{"not an address", m(daddr, "!=", `"10.0.0.2"`), tcp80, "sure"},
		{"an IPv4 address and an IPv6 packet", m(daddr, "!=", `"10.0.0.2"`), v6, ""},
		{"an IPv6 address", m(`{"payload":{"protocol":"ip6","field":"daddr"}}`, "==", `"2001:db8::1"`), v6, "sure"},
		{"a prefix", m(daddr, "==", `{"prefix":{"addr":"10.0.0.0","len":24}}`), tcp80, "sure"},
		{"outside of a prefix", m(daddr, "==", `{"prefix":{"addr":"10.1.0.0","len":24}}`), tcp80, ""},
		{"a range of addresses", m(daddr, "==", `{"range":["10.0.0.0","10.0.0.5"]}`), tcp80, "sure"},
		{"a port", m(dport, "==", `80`), tcp80, "sure"},
		{"a range of ports", m(dport, "==", `{"range":[70,80]}`), tcp80, "sure"},
		{"below a range", m(dport, "==", `{"range":[81,90]}`), tcp80, ""},
		{"an anonymous set", m(dport, "==", `{"set":[22,80,443]}`), tcp80, "sure"},
		{"a set with a range", m(dport, "==", `{"set":[22,{"range":[79,81]}]}`), tcp80, "sure"},
		{"not in a set", m(dport, "!=", `{"set":[22,443]}`), tcp80, "sure"},
		{"less", m(dport, "<", `81`), tcp80, "sure"},
		{"greater or equal", m(dport, ">=", `81`), tcp80, ""},
		{"a udp port", m(`{"payload":{"protocol":"udp","field":"dport"}}`, "!=", `1`), tcp80, ""},
		{"any transport's port", m(`{"payload":{"protocol":"th","field":"dport"}}`, "==", `80`), tcp80, "sure"},
		{"a protocol", m(`{"meta":{"key":"l4proto"}}`, "==", `"tcp"`), tcp80, "sure"},
		{"a protocol set", m(`{"meta":{"key":"l4proto"}}`, "==", `{"set":["udp","tcp"]}`), tcp80, "sure"},
		{"the ip protocol field", m(`{"payload":{"protocol":"ip","field":"protocol"}}`, "==", `"udp"`), tcp80, ""},
		{"a family", m(`{"meta":{"key":"nfproto"}}`, "==", `"ipv6"`), v6, "sure"},
		{"a device", m(`{"meta":{"key":"iifname"}}`, "==", `"cni0"`), tcp80, "sure"},
		{"a device by its beginning", m(`{"meta":{"key":"iifname"}}`, "==", `"cni*"`), tcp80, "sure"},
		{"another device", m(`{"meta":{"key":"iifname"}}`, "==", `"eth*"`), tcp80, ""},
		{"not a device", m(`{"meta":{"key":"oifname"}}`, "!=", `"lo"`), tcp80, "sure"},
		{"a state", m(`{"ct":{"key":"state"}}`, "in", `["new","related"]`), tcp80, "sure"},
		{"another state", m(`{"ct":{"key":"state"}}`, "in", `"established"`), tcp80, ""},
		{"not a state", m(`{"ct":{"key":"state"}}`, "!=", `"established"`), tcp80, "sure"},
		{"a status", m(`{"ct":{"key":"status"}}`, "in", `"dnat"`), tcp80, ""},
		{"a mark", m(`{"&":[{"meta":{"key":"mark"}},255]}`, "==", `7`), tcp80, "sure"},
		{"another mark", m(`{"meta":{"key":"mark"}}`, "==", `8`), tcp80, ""},
		{"what is local", m(`{"fib":{"result":"type","flags":"daddr"}}`, "==", `"local"`), tcp80, ""},
		{"what is unicast", m(`{"fib":{"result":"type","flags":["daddr"]}}`, "==", `"unicast"`), tcp80, "unsure"},
		{"a named set", m(daddr, "==", `"@blocked"`), "10.0.0.9:80", "sure"},
		{"a prefix of a named set", m(daddr, "==", `"@blocked"`), "10.1.7.7:80", "sure"},
		{"a range of a named set", m(daddr, "==", `"@blocked"`), "10.2.0.6:80", "sure"},
		{"not in a named set", m(daddr, "==", `"@blocked"`), tcp80, ""},
		{"a set that comes and goes", m(daddr, "==", `"@seen"`), tcp80, "unsure"},
		{"a set that is not there", m(daddr, "==", `"@nothing"`), tcp80, "unsure"},
		{"what is not known", m(`{"meta":{"key":"skuid"}}`, "==", `0`), tcp80, "unsure"},
		{"an extension of iptables", `[{"xt":null},{"drop":null}]`, tcp80, "unsure"},
		{"a limit", `[{"limit":{"rate":1,"per":"second"}},{"drop":null}]`, tcp80, "unsure"},
		{"a jump", `[{"jump":{"target":"sub"}}]`, "10.0.0.1:7777", "sure"},
		{"a jump that comes back", `[{"jump":{"target":"sub"}}]`, tcp80, ""},
		{"a jump to nowhere", `[{"jump":{"target":"gone"}}]`, tcp80, ""},
		{"a map of verdicts", `[{"vmap":{"key":{"payload":{"protocol":"tcp","field":"dport"}},"data":"@ways"}}]`, "10.0.0.1:6001", "sure"},
		{"a map's other verdict", `[{"vmap":{"key":{"payload":{"protocol":"tcp","field":"dport"}},"data":"@ways"}}]`, "10.0.0.1:22", ""},
		{"not in a map", `[{"vmap":{"key":{"payload":{"protocol":"tcp","field":"dport"}},"data":"@ways"}}]`, tcp80, ""},
		{"an anonymous map", `[{"vmap":{"key":{"payload":{"protocol":"tcp","field":"dport"}},"data":{"set":[[80,{"drop":null}]]}}}]`, tcp80, "sure"},
		{"an anonymous map of tuples", `[{"vmap":{"key":{"concat":[{"payload":{"protocol":"ip","field":"daddr"}},{"payload":{"protocol":"tcp","field":"dport"}}]},"data":{"set":[[{"concat":["10.0.0.1",80]},{"drop":null}]]}}}]`, tcp80, "sure"},
		{"a drawn verdict", `[{"vmap":{"key":{"numgen":{"mode":"random","mod":2}},"data":{"set":[[0,{"drop":null}],[1,{"accept":null}]]}}}]`, tcp80, "unsure"},
		{"a value where an expression should be", m(`"x"`, "==", `1`), tcp80, ""},
		{"a list where an expression should be", m(`[1,2]`, "==", `1`), tcp80, "unsure"},
		{"a match without sides", `[{"match":{"op":"=="}},{"drop":null}]`, tcp80, "unsure"},
		{"an empty match", `[{"match":null},{"drop":null}]`, tcp80, "unsure"},
		{"a conntrack match of nothing", m(`{"ct":null}`, "==", `null`), tcp80, "unsure"},
		{"a statement without an effect", `[{"log":null},{"counter":null},{"drop":null}]`, tcp80, "sure"},
	} {
		n := parseNFT(t, rules("accept", tc.expr))
		p := Packet{Proto: "tcp", Src: netip.MustParseAddr("10.0.0.77"), In: "cni0", Out: "eth0", CTState: "NEW", Mark: 7, LocalSrc: new(bool), LocalDst: new(bool)}
		to := netip.MustParseAddrPort(tc.dst)
		p.Dst, p.Dport = to.Addr(), to.Port()
		got := ""
		if found := ask(n, Question{Hook: "FORWARD", Verdict: "drop", Packet: p}); len(found) > 0 {
			got = "unsure"
			if found[0].Sure {
				got = "sure"
			}
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// Topology: a firewall before a tunnel of IP in IP. Action: its packet, of protocol 4 with IPv4 inside, 41 with IPv6. Expectation: it is of its
// protocol under each of the names that nft prints for it, and has no ports.
func TestProtocolsOfTunnels(t *testing.T) {
	l4proto := func(right string) string {
		return `[{"match":{"op":"==","left":{"meta":{"key":"l4proto"}},"right":` + right + `}},{"drop":null}]`
	}
	for _, tc := range []struct {
		proto, expr string
		drops       bool
	}{
		{"4", l4proto(`4`), true},
		{"4", l4proto(`"ipencap"`), true},
		{"4", l4proto(`{"set":["tcp","ipv4"]}`), true},
		{"4", l4proto(`"ipip"`), false}, // another protocol
		{"4", l4proto(`"udp"`), false},
		{"4", `[{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"protocol"}},"right":"ipencap"}},{"drop":null}]`, true},
		{"4", `[{"match":{"op":"==","left":{"payload":{"protocol":"udp","field":"dport"}},"right":0}},{"drop":null}]`, false},
		{"4", `[{"vmap":{"key":{"meta":{"key":"l4proto"}},"data":{"set":[["udp",{"accept":null}],["ipencap",{"drop":null}]]}}}]`, true},
		{"4", `[{"vmap":{"key":{"concat":[{"meta":{"key":"iifname"}},{"meta":{"key":"l4proto"}}]},"data":{"set":[[{"concat":["eth0","ipv4"]},{"drop":null}]]}}}]`, true},
		{"41", l4proto(`41`), true},
		{"41", l4proto(`"ipv6"`), true},
		{"41", l4proto(`"ipencap"`), false},
		{"udp", l4proto(`"udp"`), true},
	} {
		p := Packet{Proto: tc.proto, Src: netip.MustParseAddr("192.168.50.1"), Dst: netip.MustParseAddr("192.168.50.2"), In: "eth0"}
		found := ask(parseNFT(t, rules("accept", tc.expr)), Question{Hook: "FORWARD", Verdict: "drop", Packet: p})
		if got := len(found) == 1 && found[0].Sure; got != tc.drops || len(found) > 0 != tc.drops {
			t.Errorf("protocol %s, %s: %+v", tc.proto, tc.expr, found)
		}
	}
}

func TestOrderOfRulesAndPolicy(t *testing.T) {
	drop80 := `[{"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":80}},{"drop":null}]`
	maybeAccept := `[{"match":{"op":"==","left":{"meta":{"key":"skuid"}},"right":0}},{"accept":null}]`
	setMark := `[{"mangle":{"key":{"meta":{"key":"mark"}},"value":{"|":[{"meta":{"key":"mark"}},256]}}}]`
	dropMark := `[{"match":{"op":"==","left":{"meta":{"key":"mark"}},"right":256}},{"drop":null}]`
	for _, tc := range []struct {
		name, policy string
		exprs        []string
		want         string
	}{
		{"accepted before", "accept", []string{`[{"accept":null}]`, drop80}, ""},
		{"maybe accepted before", "accept", []string{maybeAccept, drop80}, "forward 101 DROP unsure"},
		{"the policy", "drop", nil, "forward 0 DROP sure"},
		{"the policy behind rules", "drop", []string{`[{"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":81}},{"accept":null}]`}, "forward 0 DROP sure"},
		{"a mark that a rule before set", "accept", []string{setMark, dropMark}, "forward 101 DROP sure"},
		{"a mark that no rule set", "accept", []string{dropMark}, ""},
	} {
		n := parseNFT(t, rules(tc.policy, tc.exprs...))
		got := ""
		for _, f := range ask(n, Question{Hook: "FORWARD", Verdict: "drop", Packet: Packet{Proto: "tcp", Src: netip.MustParseAddr("10.0.0.2"), Dst: netip.MustParseAddr("10.0.0.1"), Dport: 80}}) {
			got += fmt.Sprintf("%s %d %s %s", f.Chain, f.Handle, f.Verdict, map[bool]string{true: "sure", false: "unsure"}[f.Sure])
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// What a chain may have accepted makes the rules behind the jump to it unsure.
func TestDoubtComesBackFromAChain(t *testing.T) {
	for accept, want := range map[string]bool{`[{"match":{"op":"==","left":{"meta":{"key":"skuid"}},"right":0}},{"accept":null}]`: false,
		`[{"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":81}},{"accept":null}]`: true} {
		n := parseNFT(t, `{"nftables": [
 {"table": {"family": "ip", "name": "f"}},
 {"chain": {"family": "ip", "table": "f", "name": "forward", "type": "filter", "hook": "forward", "prio": 0, "policy": "accept"}},
 {"chain": {"family": "ip", "table": "f", "name": "user"}},
 {"rule": {"family": "ip", "table": "f", "chain": "forward", "handle": 5, "expr": [{"jump": {"target": "user"}}]}},
 {"rule": {"family": "ip", "table": "f", "chain": "forward", "handle": 6, "expr": [{"drop": null}]}},
 {"rule": {"family": "ip", "table": "f", "chain": "user", "handle": 7, "expr": `+accept+`}}]}`)
		found := ask(n, Question{Hook: "FORWARD", Verdict: "drop", Packet: Packet{Proto: "tcp", Src: netip.MustParseAddr("10.0.0.2"), Dst: netip.MustParseAddr("10.0.0.1"), Dport: 80}})
		if len(found) != 1 || found[0].Handle != 6 || found[0].Sure != want {
			t.Errorf("%s: %+v", accept, found)
		}
	}
}

func TestParseNFTOfBadListings(t *testing.T) {
	for name, tc := range map[string]struct{ text, warning string }{
		"nothing":          {"", "is not what nft -j prints"},
		"text":             {"table ip x {", "is not what nft -j prints"},
		"another object":   {`{"rules":[]}`, "is not what nft -j prints"},
		"cut":              {`{"nftables":[{"table":{"family":"ip","name":"a"}},{"chain":{"fam`, "ends early"},
		"garbage inside":   {`{"nftables":[{"table":{"family":"ip","name":"a"}},!]}`, "ends early"},
		"wrong types":      {`{"nftables":[{"table":{"family":5}},{"rule":{"family":"ip","table":"a","chain":"b"}}]}`, "2 entries of the listing are not understood"},
		"a rule of no one": {`{"nftables":[{"table":{"family":"ip","name":"a"}},{"rule":{"family":"ip","table":"a","chain":"b"}}]}`, "1 entries"},
	} {
		n, warnings, err := ParseNFT(strings.NewReader(tc.text), nil)
		if err != nil || n == nil || len(warnings) != 1 || !strings.Contains(warnings[0], tc.warning) {
			t.Errorf("%s: %v, %v", name, warnings, err)
		}
	}
	n, _, err := ParseNFT(bytes.NewReader(fixture(t)), func(family, table string) bool { return family == "ip" && table == "kube-proxy" })
	if err != nil || len(n.Tables) != 1 || n.Tables[0].Family != "ip6" {
		t.Errorf("skipped: %v, %v", n.Tables, err)
	}
}

// A snapshot goes through JSON into a recording, and answers the same there.
func TestNFTInARecording(t *testing.T) {
	n := parseNFT(t, string(fixture(t)))
	q := Question{Hook: "FORWARD", Verdict: "drop", Reject: true, Packet: client("10.96.0.82:80")}
	before := fmt.Sprint(ask(n, q))
	b, err := json.Marshal(Ruleset{Backend: "nft", NFT: n})
	if err != nil {
		t.Fatal(err)
	}
	var back Ruleset
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if after := fmt.Sprint(Find([]Ruleset{back}, q)); after != before || before == "[]" {
		t.Errorf("%s, before %s", after, before)
	}
}

func TestOwnersOfNFTTables(t *testing.T) {
	for table, want := range map[string]string{"kube-proxy": "kube-proxy", "calico": "Calico", "flannel-ipv4": "flannel", "firewalld": "firewalld", "docker-bridges": "Docker", "filter": "node firewall", "my-kube-proxy": "node firewall"} {
		if o := ownerOfNFT(table, &nftOutcome{chain: "filter-cali-tw-cali123"}); o.By != want || o.Policy != (want == "Calico") {
			t.Errorf("%s is of %+v, want %s", table, o, want)
		}
	}
}

func FuzzNFT(f *testing.F) {
	f.Add(string(fixture(f)))
	f.Add(rules("drop", `[{"match":{"op":"==","left":{"&":[1,2]},"right":{"set":[{"range":[1]},{"prefix":{"addr":"x","len":999}}]}}},{"vmap":{"key":{"concat":[]},"data":5}}]`))
	f.Add(rules("accept", `[{"match":null}]`, `[{"match":{"op":"==","left":"x","right":1}}]`, `[{"match":{"op":"==","left":[1],"right":{"set":5}}},{"drop":null}]`,
		`[{"mangle":{"key":"mark","value":[]}},{"vmap":null},{"dnat":[]},{"jump":7}]`))
	f.Add(`{"nftables":[{"table":{"family":"ip","name":"a"}},{"chain":{"family":"ip","table":"a","name":"c","hook":"forward","type":"filter"}},{"rule":{"family":"ip","table":"a","chain":"c","expr":[{"goto":{"target":"c"}}]}}]}`)
	f.Fuzz(func(t *testing.T, s string) {
		n, _, err := ParseNFT(strings.NewReader(s), nil)
		if err != nil {
			return
		}
		for _, q := range []Question{{Hook: "FORWARD", Verdict: "drop", Packet: client("10.0.0.1:80")}, {Hook: "PREROUTING", Verdict: "dnat", To: "10.0.0.1:80", Packet: client("10.96.0.80:80")}} {
			ask(n, q)
		}
		dry(node(Ruleset{Backend: "nft", NFT: n}), "10.0.0.1", 80) // puts the rules into words
	})
}
