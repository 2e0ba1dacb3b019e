// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"slices"
	"strings"
)

// Priorities of the kernel's own work and of iptables' tables at a hook (include/uapi/linux/netfilter_ipv4.h, enum nf_ip_hook_priorities).
const (
	prioRaw       = -300
	prioConntrack = -200
	prioMangle    = -150
	prioNATDst    = -100
	prioFilter    = 0
	prioSecurity  = 50
	prioNATSrc    = 100
)

// legacyTables are the tables of iptables with their priorities and the hooks at which they are asked.
var legacyTables = []struct {
	table string
	prio  int
	hooks string
}{
	{"raw", prioRaw, "PREROUTING OUTPUT"}, {"mangle", prioMangle, "PREROUTING INPUT FORWARD OUTPUT POSTROUTING"}, {"nat", prioNATDst, "PREROUTING OUTPUT"},
	{"filter", prioFilter, "INPUT FORWARD OUTPUT"}, {"security", prioSecurity, "INPUT FORWARD OUTPUT"}, {"nat", prioNATSrc, "INPUT POSTROUTING"},
}

// base is a base chain of either kind.
type base struct {
	backend, family, table, chain string
	prio                          int
	nat                           bool
	// target is true for an iptables target whose effect is not known
	target func(*outcome) bool
	run    func(q *Question, in state, see func(*visit)) []ended
}

// ended is one way out of a base chain, in iptables' words.
type ended struct {
	state
	verdict string // ACCEPT, DROP, REJECT, QUEUE, NFQUEUE, DNAT, SNAT, MASQUERADE, REDIRECT, NETMAP
	to      string // of a translation: address, address:port or :port
	policy  bool   // no rule decided
	visit   visit  // what decided, when policy is false
}

// natPrio is where the kernel runs all chains of type nat, whatever their own priority, which only orders them among themselves
// (net/netfilter/nf_nat_core.c, nf_nat_register_fn).
func natPrio(hook string) int {
	if hook == "PREROUTING" || hook == "OUTPUT" {
		return prioNATDst
	}
	return prioNATSrc
}

// basesOf lists the base chains at a hook in the kernel's order. Of equal priority, those of iptables come first: which it is in the kernel
// depends on which was made first, and no listing tells.
func basesOf(sets []Ruleset, hook string, six bool) []base {
	type ranked struct {
		base
		own int // priority among chains of type nat
	}
	var all []ranked
	family := "ip"
	if six {
		family = "ip6"
	}
	for i := range sets {
		s := &sets[i]
		if s.NFT != nil {
			for k := range s.NFT.Tables {
				t := &s.NFT.Tables[k]
				for c := range t.Chains {
					if t.Family != family && t.Family != "inet" || !strings.EqualFold(t.Chains[c].Hook, hook) {
						continue
					}
					b := nftBase(t, &t.Chains[c])
					r := ranked{b, b.prio}
					if b.nat {
						r.prio = natPrio(hook)
					}
					all = append(all, r)
				}
			}
			continue
		}
		if s.Family != family && s.Family != "" {
			continue
		}
		for _, l := range legacyTables {
			k := slices.IndexFunc(s.Tables, func(t Table) bool { return t.Name == l.table })
			if k < 0 || !slices.Contains(strings.Fields(l.hooks), hook) {
				continue
			}
			all = append(all, ranked{iptablesBase(s, &s.Tables[k], hook, l.prio), l.prio})
		}
	}
	slices.SortStableFunc(all, func(a, b ranked) int {
		if a.prio != b.prio {
			return a.prio - b.prio
		}
		return a.own - b.own
	})
	out := make([]base, len(all))
	for i := range all {
		out[i] = all[i].base
	}
	return out
}

func iptablesBase(s *Ruleset, t *Table, hook string, prio int) base {
	b := base{backend: s.Backend, family: s.Family, table: t.Name, chain: hook, prio: prio, nat: t.Name == "nat"}
	b.target = func(o *outcome) bool {
		w := &walk{set: s, table: t}
		return !ends(o.verdict) && w.chain(o.verdict) == nil && !goesOn(o)
	}
	b.run = func(q *Question, in state, see func(*visit)) []ended {
		w := &walk{set: s, table: t, q: q, see: see}
		var out []ended
		for _, o := range w.builtin(hook, in) {
			e := ended{state: o.state, verdict: o.verdict, to: translation(o.args), policy: o.rule == nil}
			if o.rule != nil {
				e.visit = visit{chain: o.chain, number: o.rule.Number, place: place{path: o.path}, rule: o.rule}
			}
			out = append(out, e)
		}
		if out == nil { // the table has no such chain
			out = []ended{{state: in, verdict: "ACCEPT", policy: true}}
		}
		return out
	}
	return b
}

func nftBase(t *NFTTable, c *NFTChain) base {
	b := base{backend: "nft", family: t.Family, table: t.Name, chain: c.Name, prio: c.Prio, nat: c.Type == "nat"}
	b.run = func(q *Question, in state, see func(*visit)) []ended {
		w := &nftWalk{table: t, q: q, see: see}
		var out []ended
		for _, o := range w.run(c, in, place{}) {
			e := ended{state: o.state, verdict: strings.ToUpper(o.verdict), to: o.to}
			if o.verdict == "" {
				e.verdict, e.policy = "ACCEPT", true
				if c.Policy == "drop" {
					e.verdict = "DROP"
				}
			} else {
				e.visit = visit{chain: o.chain, number: o.number, place: place{path: o.path}, nft: &o}
			}
			out = append(out, e)
		}
		return out
	}
	return b
}
