// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"encoding/json"
	"strings"
)

// Place is where the kernel ran a part of a rule.
type Place struct {
	Table  string // iptables table, or the nftables base chain, "table/chain"
	Offset uint32 // in an iptables table
	Memory []byte // of an nftables rule, up to the expression that ran
}

// At finds the rule that lies at a place, for a packet of IPv6 or IPv4. The path to the rule is not known. It is false for a place in which the
// rules, as they were read, have none.
func At(sets []Ruleset, p Place, v6 bool) (Found, bool) {
	for i := range sets {
		s := &sets[i]
		switch {
		case s.NFT != nil:
			if f, ok := atNFT(s.NFT, &p, v6); ok {
				return f, true
			}
		case (s.Family == "ip6") != v6:
		case p.Memory != nil && s.Backend == "iptables-nft":
			if f, ok := atHandle(s, &p); ok {
				return f, true
			}
		case p.Memory == nil && s.Backend == "iptables-legacy":
			if f, ok := atOffset(s, &p); ok {
				return f, true
			}
		}
	}
	return Found{}, false
}

func atOffset(s *Ruleset, p *Place) (Found, bool) {
	for i := range s.Tables {
		for k := range s.Tables[i].Chains {
			c := &s.Tables[i].Chains[k]
			for n := range c.Rules {
				if r := &c.Rules[n]; s.Tables[i].Name == p.Table && r.Begin < p.Offset && p.Offset < r.End {
					return foundRule(s, &s.Tables[i], c, r), true
				}
			}
		}
	}
	return Found{}, false
}

func foundRule(s *Ruleset, t *Table, c *Chain, r *Rule) Found {
	return Found{Backend: s.Backend, Family: s.Family, Table: t.Name, Chain: c.Name, Number: r.Number, Handle: r.Handle, Text: r.Text, Comment: r.Comment,
		Verdict: r.Target, Path: []string{c.Name}, Sure: true, Owner: OwnerOf(c.Name, r.Comment, nil)}
}

func atHandle(s *Ruleset, p *Place) (Found, bool) {
	name, _, _ := strings.Cut(p.Table, "/")
	for i := range s.Tables {
		t := &s.Tables[i]
		if t.Name != name {
			continue
		}
		h := handles{}
		for k := range t.Chains {
			before := uint64(0)
			for n := range t.Chains[k].Rules {
				before = h.add(t.Chains[k].Rules[n].Handle, k, n, before)
			}
		}
		if at, ok := h.in(p.Memory); ok {
			c := &t.Chains[at.chain]
			return foundRule(s, t, c, &c.Rules[at.rule]), true
		}
	}
	return Found{}, false
}

func atNFT(n *NFT, p *Place, v6 bool) (Found, bool) {
	family := map[bool]string{true: "ip6", false: "ip"}[v6]
	name, _, _ := strings.Cut(p.Table, "/")
	for i := range n.Tables {
		t := &n.Tables[i]
		if t.Name != name || (t.Family != family && t.Family != "inet") || p.Memory == nil {
			continue
		}
		h := handles{}
		for k := range t.Chains {
			before := uint64(0)
			for r := range t.Chains[k].Rules {
				before = h.add(t.Chains[k].Rules[r].Handle, k, r, before)
			}
		}
		if at, ok := h.in(p.Memory); ok {
			c := &t.Chains[at.chain]
			r := &c.Rules[at.rule]
			o := nftOutcome{rule: r, number: at.rule + 1, chain: c.Name, path: []string{c.Name}, verdict: ending(r.Expr), state: newState(0)}
			w := nftWalk{table: t}
			return w.found(&o), true
		}
	}
	return Found{}, false
}

// ending is the statement of a rule that decides, "" when none does.
func ending(expr json.RawMessage) string {
	var statements []map[string]json.RawMessage
	if json.Unmarshal(expr, &statements) != nil {
		return ""
	}
	for _, s := range statements {
		for name := range s {
			switch name {
			case "accept", "drop", "reject", "queue", "masquerade", "redirect", "snat", "dnat":
				return name
			}
		}
	}
	return ""
}
