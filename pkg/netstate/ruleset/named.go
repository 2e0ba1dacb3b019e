// SPDX-License-Identifier: Apache-2.0

package ruleset

import "strings"

// Name is how the kernel's own trace names a rule, or a chain's policy when both Handle and Number are 0.
type Name struct {
	Legacy       bool   // of iptables-legacy; otherwise of nftables, which iptables-nft is too
	Family       string // of the table: ip, ip6, inet
	Table, Chain string
	Handle       uint64 // of nftables
	Number       int    // from 1, of iptables-legacy
}

// Named finds the rule that has a name. The path to the rule is not known. It is false for a rule that the rules, as they were read, do not have.
func Named(sets []Ruleset, n Name) (Found, bool) {
	for i := range sets {
		s := &sets[i]
		switch {
		case s.NFT != nil && !n.Legacy:
			if f, ok := namedNFT(s.NFT, &n); ok {
				return f, true
			}
		case s.NFT == nil && s.Family == n.Family && n.Legacy == (s.Backend == "iptables-legacy"):
			if f, ok := namedIn(s, &n); ok {
				return f, true
			}
		}
	}
	return Found{}, false
}

func namedIn(s *Ruleset, n *Name) (Found, bool) {
	for i := range s.Tables {
		t := &s.Tables[i]
		c := t.chain(n.Chain)
		if t.Name != n.Table || c == nil {
			continue
		}
		if n.Handle == 0 && n.Number == 0 {
			return Found{Backend: s.Backend, Family: s.Family, Table: t.Name, Chain: c.Name, Verdict: c.Policy, Path: []string{c.Name}, Sure: true, Owner: OwnerOf(c.Name, "", nil)}, true
		}
		for k := range c.Rules {
			r := &c.Rules[k]
			if n.Legacy && r.Number == n.Number || !n.Legacy && r.Handle == n.Handle {
				return foundRule(s, t, c, r), true
			}
		}
	}
	return Found{}, false
}

func namedNFT(all *NFT, n *Name) (Found, bool) {
	for i := range all.Tables {
		w := nftWalk{table: &all.Tables[i]}
		c := w.chain(n.Chain)
		if w.table.Name != n.Table || w.table.Family != n.Family || c == nil {
			continue
		}
		o := nftOutcome{chain: c.Name, path: []string{c.Name}, state: newState(0)}
		if n.Handle == 0 {
			o.verdict = strings.ToLower(c.Policy)
			return w.found(&o), true
		}
		for k := range c.Rules {
			if c.Rules[k].Handle == n.Handle {
				o.rule, o.number, o.verdict = &c.Rules[k], k+1, ending(c.Rules[k].Expr)
				return w.found(&o), true
			}
		}
	}
	return Found{}, false
}
