// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"slices"
	"strings"
)

// Question asks which rule did something to a packet.
type Question struct {
	Hook    string // PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING
	Verdict string // drop, dnat, snat
	Backend string // when the kernel told: iptables-legacy, or iptables-nft, which stands for all of nftables; "" for any
	Base    string // the nftables base chain that decided, "table/chain", when the kernel told
	Reject  bool   // for drop: the kernel also sent an error, so it was a REJECT
	Queue   bool   // for drop: the packet did not get into the queue to which a rule sent it
	To      string // for dnat: the address and port that the kernel chose
	Packet  Packet
}

// Found is a rule that may have done it. Number 0 is the chain's policy.
type Found struct {
	Backend, Family, Table, Chain string
	Number                        int
	Handle                        uint64 // of an nftables rule
	Text, Comment, Verdict        string
	Path                          []string // chains from the built-in one to this
	Sure                          bool     // no match on the way was uncertain
	Mark                          uint32   // of the packet when it came to the rule
	Owner                         Owner
}

// tablesOf is the kernel's order of tables at a hook (include/uapi/linux/netfilter_ipv4.h, enum nf_ip_hook_priorities). A drop in nat is
// impossible: the kernel refuses the target there.
var tablesOf = map[string][]string{
	"PREROUTING": {"raw", "mangle"}, "INPUT": {"mangle", "filter", "security"}, "FORWARD": {"mangle", "filter", "security"},
	"OUTPUT": {"raw", "mangle", "filter", "security"}, "POSTROUTING": {"mangle"},
}

const (
	maxDepth    = 64
	maxOutcomes = 256
	maxSteps    = 200000 // rules looked at for one question
)

// Find lists the rules that can have done what the question asks: the most likely first, sure ones before others.
func Find(sets []Ruleset, q Question) []Found {
	var out []Found
	for i := range sets {
		s := &sets[i]
		if s.NFT != nil && q.Backend != "iptables-legacy" {
			out = append(out, findNFT(s.NFT, &q)...)
			continue
		}
		if (q.Backend != "" && s.Backend != q.Backend) || (s.Family == "ip6") != q.Packet.Dst.Is6() {
			continue
		}
		tables := tablesOf[q.Hook]
		if q.Verdict != "drop" {
			tables = []string{"nat"}
		}
		out = append(out, findIn(s, tables, &q)...)
	}
	slices.SortStableFunc(out, func(a, b Found) int {
		switch {
		case a.Sure && !b.Sure:
			return -1
		case b.Sure && !a.Sure:
			return 1
		}
		return 0
	})
	return out
}

func findIn(s *Ruleset, tables []string, q *Question) []Found {
	var out []Found
	own := *q // whether the mark is known is this walk's
	live := states{newState(q.Packet.Mark)}
	for _, name := range tables {
		for i := range s.Tables {
			if s.Tables[i].Name != name || s.Tables[i].chain(q.Hook) == nil {
				continue
			}
			asked := s.Backend != "iptables-nft" || q.Base == "" || q.Base == name+"/"+q.Hook
			w := &walk{set: s, table: &s.Tables[i], q: &own}
			var next states
			for _, st := range live {
				for _, o := range w.builtin(q.Hook, st) {
					if asked && w.wanted(&o) {
						out = addFound(out, w.found(&o))
					}
					if o.verdict != "DROP" && o.verdict != "REJECT" {
						next = next.and(o.state)
					}
				}
			}
			if !asked {
				next = next.passed(live)
			}
			if live = next; len(live) == 0 {
				return out
			}
		}
	}
	return out
}

// outcome is one way through a chain.
type outcome struct {
	state
	verdict string // target that ended it; "" when the chain was left
	rule    *Rule  // nil for a policy
	chain   string
	path    []string
	args    []condition
}

type walk struct {
	set   *Ruleset
	table *Table
	q     *Question
	see   func(*visit) // told of each rule that the packet meets; nil when nobody asks
	steps int
}

func (w *walk) chain(name string) *Chain { return w.table.chain(name) }

func (t *Table) chain(name string) *Chain {
	for i := range t.Chains {
		if t.Chains[i].Name == name {
			return &t.Chains[i]
		}
	}
	return nil
}

func (w *walk) builtin(hook string, in state) []outcome {
	c := w.chain(hook)
	if c == nil {
		return nil
	}
	out := w.run(c, in, place{})
	for i := range out {
		if out[i].verdict == "" {
			out[i].verdict, out[i].rule, out[i].chain, out[i].path = c.Policy, nil, c.Name, []string{c.Name}
		}
	}
	return out
}

// run follows the packet through a chain; every way that may be taken is an outcome.
func (w *walk) run(c *Chain, in state, at place) []outcome {
	var out []outcome
	at = at.enter(c.Name)
	if len(at.path) > maxDepth {
		return []outcome{{path: at.path, state: in.lost()}}
	}
	live := states{in}
	for i := range c.Rules {
		if w.steps++; w.steps > maxSteps || len(out) > maxOutcomes {
			return append(out, outcome{path: at.path, state: in.lost()})
		}
		r := &c.Rules[i]
		if w.elsewhere(r.Text) {
			continue
		}
		conds, target := conditions(split(r.Text))
		conds, share := draw(conds)
		var next states
		for _, st := range live {
			w.q.Packet.blurred = st.blurred
			m := matches(conds, &w.q.Packet, st.mark)
			if m == no {
				next = next.and(st)
				continue
			}
			here := outcome{verdict: r.Target, rule: r, chain: c.Name, path: at.path, state: st.hit(m, share), args: target}
			if w.see != nil {
				v := &visit{place: at, chain: c.Name, number: r.Number, rule: r, state: here.state, target: target}
				if m == maybe {
					v.unknown = unknownConditions(conds, &w.q.Packet, st.mark)
				}
				w.see(v)
			}
			sub, on := w.target(here, at)
			out = append(out, sub...)
			next = next.behind(st, m, share, len(sub) > 0, on)
		}
		if live = next; len(live) == 0 {
			return out
		}
	}
	for _, st := range live {
		out = append(out, outcome{path: at.path, state: st})
	}
	return out
}

// elsewhere reports a rule that begins with another destination than the packet's, as nearly all of kube-proxy's do: it is not worth taking
// apart.
func (w *walk) elsewhere(text string) bool {
	dst, ok := strings.CutPrefix(text, "-d ")
	if !ok {
		return false
	}
	dst, _, _ = strings.Cut(dst, " ")
	return prefix(dst, w.q.Packet.Dst) == no
}

// target applies a matching rule's target: the ways that end there, and the states in which the packet goes on behind the rule.
func (w *walk) target(o outcome, at place) (out []outcome, on states) {
	if ends(o.verdict) {
		return []outcome{o}, nil
	}
	switch o.verdict {
	case "RETURN":
		o.verdict = ""
		return []outcome{o}, nil
	case "MARK":
		o.setMark()
		return nil, states{o.state}
	case "CONNMARK", "HMARK":
		if o.verdict == "HMARK" || slices.ContainsFunc(o.args, func(c condition) bool { return c.option == "--restore-mark" }) {
			o.blurred = true // the connection's mark, which may come from anywhere, or a number of the kernel's own making
		}
		return nil, states{o.state}
	case "NOTRACK":
		o.untracked = true
	case "CT":
		o.untracked = o.untracked || slices.ContainsFunc(o.args, func(c condition) bool { return c.option == "--notrack" })
	}
	next := w.chain(o.verdict)
	if next == nil && !goesOn(&o) {
		return nil, states{o.lost()}
	}
	if next == nil {
		return nil, states{o.state} // LOG and the like: the packet goes on
	}
	for _, sub := range w.run(next, o.state, at.by(o.rule.Number)) {
		if sub.verdict != "" || o.rule.Goto {
			out = append(out, sub)
			continue
		}
		on = on.and(sub.state)
	}
	return out, on
}

// setMark does what the target MARK says.
func (o *outcome) setMark() {
	for i := range o.args {
		v, mask, ok := cutMark(o.args[i].arg(0))
		if !ok {
			continue
		}
		switch o.args[i].option {
		case "--set-xmark": // zero the mask's bits, then XOR the value (iptables-extensions)
			o.mark, o.blurred = o.mark&^mask^v, o.blurred && mask != 0xffffffff
		case "--set-mark":
			o.mark, o.blurred = o.mark&^(mask|v)|v, o.blurred && mask != 0xffffffff
		case "--or-mark":
			o.mark |= v
		case "--and-mark":
			o.mark &= v
		}
	}
}

func (w *walk) wanted(o *outcome) bool {
	to := ""
	for i := range o.args {
		switch o.args[i].option {
		case "--to-destination", "--to-source", "--to-ports":
			to = o.args[i].arg(0)
		}
	}
	switch w.q.Verdict {
	case "drop":
		switch {
		case w.q.Queue:
			return o.verdict == "NFQUEUE" || o.verdict == "QUEUE"
		case w.q.Reject:
			return o.verdict == "REJECT"
		}
		return o.verdict == "DROP"
	case "dnat":
		return o.verdict == "DNAT" && destinationFits(to, w.q.To, w.q.Packet.Dport) || o.verdict == "REDIRECT" && redirectsTo(to, w.q.To, w.q.Packet.Dport)
	case "snat":
		return o.verdict == "SNAT" && leadsTo(to, w.q.To) || o.verdict == "MASQUERADE"
	}
	return false
}

// addFound adds a rule once, also when the packet can come to it with several marks.
func addFound(all []Found, f Found) []Found {
	for i := range all {
		o := &all[i]
		if o.Table == f.Table && o.Chain == f.Chain && o.Number == f.Number && o.Backend == f.Backend && o.Family == f.Family && slices.Equal(o.Path, f.Path) && o.Handle == f.Handle {
			o.Sure = o.Sure || f.Sure
			return all
		}
	}
	return append(all, f)
}

func (w *walk) found(o *outcome) Found {
	f := Found{Backend: w.set.Backend, Family: w.set.Family, Table: w.table.Name, Chain: o.chain, Verdict: o.verdict, Path: o.path, Sure: o.certain(), Mark: o.mark}
	if o.rule != nil {
		f.Number, f.Text, f.Comment = o.rule.Number, o.rule.Text, o.rule.Comment
	}
	f.Owner = OwnerOf(f.Chain, f.Comment, f.Path)
	return f
}
