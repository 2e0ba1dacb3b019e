// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// nftOutcome is one way through a chain.
type nftOutcome struct {
	verdict string   // accept, drop, reject, dnat, snat, masquerade, redirect, queue; "" when the chain was left
	rule    *NFTRule // nil for a policy
	number  int
	chain   string
	to      string // of a translation
	path    []string
	via     element // of the map that led here, when it says whose it is
	viaMap  string
	sure    bool
	mark    uint32
}

type nftWalk struct {
	table *NFTTable
	q     *Question
	steps int
	// doubt is set when a chain that was jumped to may have been left, but need not.
	doubt bool
}

func (w *nftWalk) chain(name string) *NFTChain {
	for i := range w.table.Chains {
		if w.table.Chains[i].Name == name {
			return &w.table.Chains[i]
		}
	}
	return nil
}

func (w *nftWalk) set(name string) *NFTSet {
	for i := range w.table.Sets {
		if w.table.Sets[i].Name == name {
			return &w.table.Sets[i]
		}
	}
	return nil
}

// findNFT asks every base chain of the hook, in the kernel's order.
func findNFT(n *NFT, q *Question) []Found {
	type base struct {
		t *NFTTable
		c *NFTChain
	}
	family := "ip"
	if q.Packet.Dst.Is6() {
		family = "ip6"
	}
	var bases []base
	for i := range n.Tables {
		t := &n.Tables[i]
		if t.Family != family && t.Family != "inet" {
			continue
		}
		for k := range t.Chains {
			c := &t.Chains[k]
			if strings.EqualFold(c.Hook, q.Hook) && (q.Verdict == "drop" || c.Type == "nat") && (q.Base == "" || q.Base == t.Name+"/"+c.Name) {
				bases = append(bases, base{t, c})
			}
		}
	}
	slices.SortStableFunc(bases, func(a, b base) int { return a.c.Prio - b.c.Prio })
	var out []Found
	mark := q.Packet.Mark
	for _, b := range bases {
		w := &nftWalk{table: b.t, q: q}
		all := w.run(b.c, mark, nil, true)
		if len(all) == 1 {
			mark = all[0].mark
		}
		for i := range all {
			o := &all[i]
			if o.verdict == "" {
				o.verdict, o.rule, o.chain, o.number = b.c.Policy, nil, b.c.Name, 0
			}
			if w.wanted(o) {
				out = append(out, w.found(o))
			}
		}
	}
	return out
}

// run follows the packet through a chain; every way that may be taken is an outcome.
func (w *nftWalk) run(c *NFTChain, mark uint32, path []string, sure bool) []nftOutcome {
	path = append(slices.Clone(path), c.Name)
	var out []nftOutcome
	if len(path) > maxDepth {
		return []nftOutcome{{path: path, mark: mark}}
	}
	for i := range c.Rules {
		if w.steps++; w.steps > maxSteps || len(out) > maxOutcomes {
			return append(out, nftOutcome{path: path, mark: mark})
		}
		at := nftOutcome{rule: &c.Rules[i], number: i + 1, chain: c.Name, path: path, sure: sure, mark: mark}
		sub, m, ends := w.rule(at, &mark)
		out = append(out, sub...)
		if ends && m == yes {
			return out
		}
		if m == yes && w.doubt || m != yes && len(sub) > 0 {
			sure = false
		}
		w.doubt = false
	}
	return append(out, nftOutcome{path: path, sure: sure, mark: mark})
}

// rule follows a rule's statements: conditions and actions in turn, until one is a verdict.
func (w *nftWalk) rule(at nftOutcome, mark *uint32) (out []nftOutcome, m answer, ends bool) {
	var statements []map[string]any
	if json.Unmarshal(at.rule.Expr, &statements) != nil {
		return nil, maybe, false
	}
	m = yes
	for _, s := range statements {
		for name, arg := range s { // one key
			switch name {
			case "match":
				m = min(m, w.match(arg, at.mark))
			case "vmap":
				sub, found, all := w.vmap(at, arg, mark, m)
				return sub, min(m, found), all
			case "mangle":
				if m == yes { // what may have been set is not followed
					*mark = w.mangle(arg, *mark)
					at.mark = *mark
				}
			case "counter", "log", "comment", "set", "limit", "quota", "notrack", "ct helper", "ct timeout", "secmark", "flow":
				if name == "limit" || name == "quota" {
					m = min(m, maybe)
				}
			default:
				at.sure = at.sure && m == yes
				sub, done, known := w.verdict(at, name, arg, mark)
				if !known {
					m = min(m, maybe)
					continue
				}
				if m == no {
					return nil, no, false
				}
				return sub, m, done
			}
		}
		if m == no {
			return nil, no, false
		}
	}
	return nil, m, false
}

// mangle follows "meta mark set".
func (w *nftWalk) mangle(arg any, mark uint32) uint32 {
	a, _ := arg.(map[string]any)
	key, _ := a["key"].(map[string]any)
	if field(key["meta"], "key") != "mark" {
		return mark
	}
	if v := eval(a["value"], &w.q.Packet, mark); v.isNum {
		return uint32(v.num)
	}
	return mark
}

// vmap takes the way that a map gives for a key; all of them in turn when the key is drawn.
func (w *nftWalk) vmap(at nftOutcome, arg any, mark *uint32, m answer) (out []nftOutcome, found answer, ends bool) {
	a, _ := arg.(map[string]any)
	name, _ := a["data"].(string)
	set := w.set(strings.TrimPrefix(name, "@"))
	if set == nil {
		raw, err := json.Marshal(listOf(a["data"]))
		if err != nil {
			return nil, maybe, false
		}
		set = &NFTSet{Elem: raw}
	}
	key := eval(a["key"], &w.q.Packet, at.mark)
	if key.random {
		return w.drawn(at, set, mark, m)
	}
	e, found := set.find(key)
	if found == no || e.to == nil {
		return nil, found, false
	}
	at.sure = at.sure && m == yes && found == yes
	if e.comment != "" || name != "" {
		at.via, at.viaMap = e, strings.TrimPrefix(name, "@")
	}
	out, ends = w.jump(at, e.to, mark)
	return out, found, ends
}

// drawn: exactly one of the elements is taken, by chance.
func (w *nftWalk) drawn(at nftOutcome, set *NFTSet, mark *uint32, m answer) (out []nftOutcome, found answer, ends bool) {
	x := set.load()
	all := slices.Clone(x.others)
	for _, e := range x.exact {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b element) int { return strings.Compare(fmt.Sprint(a.key), fmt.Sprint(b.key)) })
	at.sure = at.sure && m == yes && len(all) == 1
	ends = len(all) > 0
	for _, e := range all[:min(len(all), maxOutcomes)] {
		try := *mark
		sub, done := w.jump(at, e.to, &try)
		out, ends = append(out, sub...), ends && done
	}
	return out, yes, ends
}

// jump takes a verdict of a map.
func (w *nftWalk) jump(at nftOutcome, verdict any, mark *uint32) ([]nftOutcome, bool) {
	m, _ := verdict.(map[string]any)
	for name, arg := range m { // one key
		out, done, _ := w.verdict(at, name, arg, mark)
		return out, done
	}
	return nil, false
}

// verdict takes a statement that ends a rule. known is false for one that is none.
func (w *nftWalk) verdict(at nftOutcome, name string, arg any, mark *uint32) (out []nftOutcome, ends, known bool) {
	switch name {
	case "accept", "drop", "reject", "queue", "masquerade", "redirect", "snat", "dnat":
		at.verdict, at.to = name, w.target(arg, at.mark)
		return []nftOutcome{at}, true, true
	case "return":
		at.verdict = ""
		return []nftOutcome{at}, true, true
	case "continue":
		return nil, false, true
	case "jump", "goto":
		next := w.chain(field(arg, "target"))
		if next == nil {
			return nil, false, true
		}
		left := false
		for _, sub := range w.run(next, *mark, at.path, at.sure) {
			if sub.viaMap == "" {
				sub.via, sub.viaMap = at.via, at.viaMap
			}
			if sub.verdict != "" {
				out = append(out, sub)
				continue
			}
			left, *mark = true, sub.mark
			w.doubt = w.doubt || !sub.sure
			if name == "goto" {
				out = append(out, sub)
			}
		}
		return out, name == "goto" || !left, true
	}
	return nil, false, false
}

// target is the address and port of a translation; "" when the rule does not name one.
func (w *nftWalk) target(arg any, mark uint32) string {
	a, _ := arg.(map[string]any)
	v := eval(a["addr"], &w.q.Packet, mark)
	if !v.addr.IsValid() {
		return ""
	}
	s := v.addr.String()
	if p := eval(a["port"], &w.q.Packet, mark); p.isNum {
		if v.addr.Is6() {
			s = "[" + s + "]"
		}
		s += ":" + p.text
	}
	return s
}

func (w *nftWalk) wanted(o *nftOutcome) bool {
	switch w.q.Verdict {
	case "drop":
		return o.verdict == "reject" && w.q.Reject || o.verdict == "drop" && !w.q.Reject
	case "dnat":
		return o.verdict == "redirect" || o.verdict == "dnat" && (o.to == "" || o.to == w.q.To || strings.HasPrefix(w.q.To, o.to+":"))
	case "snat":
		return o.verdict == "snat" || o.verdict == "masquerade"
	}
	return false
}

func (w *nftWalk) found(o *nftOutcome) Found {
	f := Found{Backend: "nft", Family: w.table.Family, Table: w.table.Name, Chain: o.chain, Verdict: strings.ToUpper(o.verdict), Path: o.path, Sure: o.sure, Number: o.number}
	if o.rule != nil {
		f.Handle, f.Text, f.Comment = o.rule.Handle, nftText(o.rule.Expr), o.rule.Comment
	}
	if f.Comment == "" {
		f.Comment = o.via.comment
	}
	f.Owner = ownerOfNFT(w.table.Name, o)
	return f
}
