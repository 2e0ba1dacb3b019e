// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"strings"
	"testing"
)

// Every name that the kernel's trace gives leads to its rule, and to no other of the same number elsewhere.
func TestNamed(t *testing.T) {
	parse := func(save, backend, family string) Ruleset {
		s, _, err := Parse(strings.NewReader(save), backend, family)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	filter := "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OURS - [0:0]\n-A FORWARD -j OURS\n-A OURS -s 10.0.0.1 -j ACCEPT\n-A OURS -j DROP\nCOMMIT\n"
	xt := parse(strings.ReplaceAll(filter, "DROP\nCOMMIT", "REJECT\nCOMMIT"), "iptables-nft", "ip")
	for i := range xt.Tables[0].Chains {
		for k := range xt.Tables[0].Chains[i].Rules {
			xt.Tables[0].Chains[i].Rules[k].Handle = uint64(10*i + k + 1)
		}
	}
	native, warnings, err := ParseNFT(strings.NewReader(`{"nftables": [{"table": {"family": "inet", "name": "fw"}},
		{"chain": {"family": "inet", "table": "fw", "name": "in", "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}},
		{"chain": {"family": "inet", "table": "fw", "name": "nat", "type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"}},
		{"rule": {"family": "inet", "table": "fw", "chain": "in", "handle": 5, "expr": [{"accept": null}]}},
		{"rule": {"family": "inet", "table": "fw", "chain": "in", "handle": 9, "comment": "no", "expr": [{"drop": null}]}},
		{"rule": {"family": "inet", "table": "fw", "chain": "nat", "handle": 7, "expr": [{"dnat": {"addr": "10.0.0.2"}}]}}]}`), nil)
	if err != nil || warnings != nil {
		t.Fatal(err, warnings)
	}
	sets := []Ruleset{parse(filter, "iptables-legacy", "ip"), parse(strings.ReplaceAll(filter, "10.0.0.1", "fd00::1"), "iptables-legacy", "ip6"), xt, {Backend: "nft", NFT: native}}
	for _, tc := range []struct {
		name Name
		want string // "backend family table/chain number verdict", "" for none
	}{
		{Name{Legacy: true, Family: "ip", Table: "filter", Chain: "OURS", Number: 2}, "iptables-legacy ip filter/OURS 2 DROP"},
		{Name{Legacy: true, Family: "ip6", Table: "filter", Chain: "OURS", Number: 1}, "iptables-legacy ip6 filter/OURS 1 ACCEPT"},
		{Name{Legacy: true, Family: "ip", Table: "filter", Chain: "INPUT"}, "iptables-legacy ip filter/INPUT 0 DROP"},
		{Name{Legacy: true, Family: "ip", Table: "filter", Chain: "OURS", Number: 3}, ""},
		{Name{Legacy: true, Family: "ip", Table: "filter", Chain: "THEIRS", Number: 1}, ""},
		{Name{Legacy: true, Family: "ip", Table: "nat", Chain: "OURS", Number: 1}, ""},
		{Name{Legacy: true, Family: "inet", Table: "fw", Chain: "in", Number: 1}, ""},
		{Name{Family: "ip", Table: "filter", Chain: "OURS", Handle: 22}, "iptables-nft ip filter/OURS 2 REJECT"},
		{Name{Family: "ip", Table: "filter", Chain: "INPUT"}, "iptables-nft ip filter/INPUT 0 DROP"},
		{Name{Family: "ip", Table: "filter", Chain: "OURS", Handle: 99}, ""},
		{Name{Family: "inet", Table: "fw", Chain: "in", Handle: 9}, "nft inet fw/in 2 DROP"},
		{Name{Family: "inet", Table: "fw", Chain: "nat", Handle: 7}, "nft inet fw/nat 1 DNAT"},
		{Name{Family: "inet", Table: "fw", Chain: "in"}, "nft inet fw/in 0 DROP"},
		{Name{Family: "ip", Table: "fw", Chain: "in", Handle: 9}, ""},
		{Name{Family: "inet", Table: "fw", Chain: "in", Handle: 7}, ""},
		{Name{}, ""},
	} {
		f, ok := Named(sets, tc.name)
		got := ""
		if ok {
			got = strings.Join([]string{f.Backend, f.Family, f.Table + "/" + f.Chain, string(rune('0' + f.Number)), f.Verdict}, " ")
		}
		if got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.name, got, tc.want)
		}
	}
}
