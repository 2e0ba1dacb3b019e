// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"encoding/json"
	"slices"
	"strings"
)

// nftOutcome is one way through a chain.
type nftOutcome struct {
	state
	verdict string   // accept, drop, reject, dnat, snat, masquerade, redirect, queue; "" when the chain was left
	rule    *NFTRule // nil for a policy
	number  int
	chain   string
	to      string // of a translation
	path    []string
	via     element // of the map that led here, when it says whose it is
	viaMap  string
}

type nftWalk struct {
	table *NFTTable
	q     *Question
	see   func(*visit) // told of each rule that the packet meets; nil when nobody asks
	steps int
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
			if strings.EqualFold(c.Hook, q.Hook) && (q.Verdict == "drop") != (c.Type == "nat") {
				bases = append(bases, base{t, c})
			}
		}
	}
	slices.SortStableFunc(bases, func(a, b base) int { return a.c.Prio - b.c.Prio })
	var out []Found
	own := *q // whether the mark is known is this walk's
	live := states{newState(q.Packet.Mark)}
	for _, b := range bases {
		w := &nftWalk{table: b.t, q: &own}
		asked := q.Base == "" || q.Base == b.t.Name+"/"+b.c.Name
		var next states
		for _, st := range live {
			all := w.run(b.c, st, place{})
			for i := range all {
				o := &all[i]
				if o.verdict == "" {
					o.verdict, o.rule, o.chain, o.number = b.c.Policy, nil, b.c.Name, 0
				}
				if asked && w.wanted(o) {
					out = addFound(out, w.found(o))
				}
				if o.verdict != "drop" && o.verdict != "reject" {
					next = next.and(o.state)
				}
			}
		}
		if !asked {
			next = next.passed(live)
		}
		if live = next; len(live) == 0 {
			break
		}
	}
	return out
}

// run follows the packet through a chain; every way that may be taken is an outcome.
func (w *nftWalk) run(c *NFTChain, in state, at place) []nftOutcome {
	at = at.enter(c.Name)
	var out []nftOutcome
	if len(at.path) > maxDepth {
		return []nftOutcome{{path: at.path, state: in.lost()}}
	}
	live := states{in}
	for i := range c.Rules {
		if w.steps++; w.steps > maxSteps || len(out) > maxOutcomes {
			return append(out, nftOutcome{path: at.path, state: in.lost()})
		}
		var next states
		for _, st := range live {
			w.q.Packet.blurred = st.blurred
			here := nftOutcome{rule: &c.Rules[i], number: i + 1, chain: c.Name, path: at.path, state: st}
			t := w.rule(here, at)
			if t.m == no {
				next = next.and(st)
				continue
			}
			out = append(out, t.out...)
			next = next.behind(st, t.m, t.share, len(t.out) > 0, t.on)
		}
		if live = next; len(live) == 0 {
			return out
		}
	}
	for _, st := range live {
		out = append(out, nftOutcome{path: at.path, state: st})
	}
	return out
}

// taken is what a rule did to a packet: whether it matched and for which share of packets, the ways that ended, the states that go on.
type taken struct {
	m     answer
	share float64
	out   []nftOutcome
	on    states
}

// rule follows a rule's statements: conditions and actions in turn, until one is a verdict.
func (w *nftWalk) rule(here nftOutcome, at place) taken {
	var statements []map[string]any
	if json.Unmarshal(here.rule.Expr, &statements) != nil {
		w.visit(here, at, []string{"the whole rule"})
		return taken{m: maybe, share: 1, on: states{here.state}}
	}
	t := taken{m: yes, share: 1}
	came := here.state
	var unknown []string
	uncertain := func(name string, arg any) {
		t.m = min(t.m, maybe)
		unknown = append(unknown, statementText(name, arg))
	}
	for _, s := range statements {
		for name, arg := range s { // one key
			switch name {
			case "match":
				if p, ok := drawn(arg); ok {
					t.share *= p
					break
				}
				switch w.match(arg, here.mark) {
				case no:
					return taken{m: no}
				case maybe:
					uncertain(name, arg)
				}
			case "vmap":
				return w.vmap(here, at, arg, &t, came, unknown)
			case "mangle":
				w.mangle(arg, &here.state)
			case "notrack":
				here.untracked = true
			case "limit", "quota":
				uncertain(name, arg)
			case "counter", "log", "comment", "set", "ct helper", "ct timeout", "secmark", "flow":
			default:
				if !isVerdict(name) {
					uncertain(name, arg)
					break
				}
				here.state = here.with(came, t.m, t.share)
				w.visit(here, at, unknown)
				t.out, t.on = w.verdict(here, at, name, arg)
				return t
			}
		}
	}
	here.state = here.with(came, t.m, t.share)
	w.visit(here, at, unknown)
	t.on = states{here.state}
	return t
}

// with is the state after a rule's conditions: certain as far as they are.
func (s state) with(came state, m answer, share float64) state {
	h := came.hit(m, share)
	h.mark, h.blurred, h.untracked = s.mark, s.blurred, s.untracked
	return h
}

func (w *nftWalk) visit(here nftOutcome, at place, unknown []string) {
	if w.see != nil {
		w.see(&visit{place: at, chain: here.chain, number: here.number, nft: &here, state: here.state, unknown: unknown})
	}
}

// mangle follows "meta mark set".
func (w *nftWalk) mangle(arg any, s *state) {
	a, _ := arg.(map[string]any)
	key, _ := a["key"].(map[string]any)
	if field(key["meta"], "key") != "mark" {
		return
	}
	v := eval(a["value"], &w.q.Packet, s.mark)
	if v.isNum {
		s.mark = uint32(v.num)
	}
	s.blurred = !v.isNum
	w.q.Packet.blurred = s.blurred // for what follows in the rule
}

// vmap takes the way that a map gives for a key; all of them in turn when the key is drawn.
func (w *nftWalk) vmap(here nftOutcome, at place, arg any, t *taken, came state, unknown []string) taken {
	a, _ := arg.(map[string]any)
	name, _ := a["data"].(string)
	set := w.set(strings.TrimPrefix(name, "@"))
	if raw, err := json.Marshal(listOf(a["data"])); name == "" && err == nil {
		set = &NFTSet{Elem: raw}
	}
	key := eval(a["key"], &w.q.Packet, here.mark)
	if set != nil && key.random {
		return w.drawnWays(here, at, set, a["key"], t, came, unknown)
	}
	var e element
	found := maybe
	if set != nil {
		e, found = set.find(key)
	}
	if found == no {
		return taken{m: no} // the packet goes on as it came, but for marks that the rule set before, which no rule of the kind does
	}
	if found == maybe {
		unknown = append(unknown, statementText("vmap", arg))
	}
	t.m = min(t.m, found)
	here.state = here.with(came, t.m, t.share)
	if e.comment != "" || name != "" {
		here.via, here.viaMap = e, strings.TrimPrefix(name, "@")
	}
	w.visit(here, at, unknown)
	if e.to == nil && set == nil { // there may be a verdict that is not known
		t.on = states{here.lost()}
		return *t
	}
	if e.to == nil { // each of the elements may be the one
		t.out, t.on = w.anyOf(here, at, set)
		return *t
	}
	t.out, t.on = w.jump(here, at, e.to)
	return *t
}

// anyOf: one of the elements may be taken, or none.
func (w *nftWalk) anyOf(here nftOutcome, at place, set *NFTSet) (out []nftOutcome, on states) {
	here.sure = false
	on = on.and(here.state)
	for _, e := range set.load().all() {
		sub, more := w.jump(here, at, e.to)
		out = append(out, sub...)
		for _, o := range more {
			on = on.and(o)
		}
	}
	return out, on
}

// drawnWays: exactly one of the elements is taken, by chance.
func (w *nftWalk) drawnWays(here nftOutcome, at place, set *NFTSet, key any, t *taken, came state, unknown []string) taken {
	all := set.load().all()
	here.state = here.with(came, t.m, t.share)
	w.visit(here, at, unknown)
	left := 1.0
	for i, e := range all {
		at.nth = i + 1
		p := weight(e.key, key, len(all))
		try := here
		try.share *= p
		left -= p
		sub, on := w.jump(try, at, e.to)
		t.out = append(t.out, sub...)
		for _, o := range on {
			t.on = t.on.and(o)
		}
	}
	if left > 0.000001 { // numbers that the map does not have
		here.share *= left
		t.on = t.on.and(here.state)
	}
	return *t
}

// jump takes a verdict of a map.
func (w *nftWalk) jump(here nftOutcome, at place, verdict any) ([]nftOutcome, states) {
	m, _ := verdict.(map[string]any)
	for name, arg := range m { // one key
		return w.verdict(here, at, name, arg)
	}
	return nil, states{here.state}
}

func isVerdict(name string) bool {
	switch name {
	case "accept", "drop", "reject", "queue", "masquerade", "redirect", "snat", "dnat", "return", "continue", "jump", "goto":
		return true
	}
	return false
}

// verdict takes a statement that ends a rule: the ways that end there, and the states that go on behind the rule.
func (w *nftWalk) verdict(here nftOutcome, at place, name string, arg any) (out []nftOutcome, on states) {
	switch name {
	case "accept", "drop", "reject", "queue", "masquerade", "redirect", "snat", "dnat":
		var known bool
		here.verdict = name
		here.to, known = w.target(arg, here.mark)
		here.sure = here.sure && known
		return []nftOutcome{here}, nil
	case "return":
		here.verdict = ""
		return []nftOutcome{here}, nil
	case "jump", "goto":
		next := w.chain(field(arg, "target"))
		if next == nil {
			break
		}
		for _, sub := range w.run(next, here.state, at.by(here.number)) {
			if sub.viaMap == "" {
				sub.via, sub.viaMap = here.via, here.viaMap
			}
			if sub.verdict != "" || name == "goto" {
				out = append(out, sub)
				continue
			}
			on = on.and(sub.state)
		}
		return out, on
	}
	return nil, states{here.state}
}
