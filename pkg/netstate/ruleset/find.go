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
	for _, name := range tables {
		for i := range s.Tables {
			if s.Tables[i].Name != name || s.Backend == "iptables-nft" && q.Base != "" && q.Base != name+"/"+q.Hook {
				continue
			}
			w := &walk{set: s, table: &s.Tables[i], q: q}
			for _, o := range w.builtin(q.Hook) {
				if w.wanted(&o) {
					out = append(out, w.found(&o))
				}
			}
		}
	}
	return out
}

// outcome is one way through a chain.
type outcome struct {
	verdict string // target that ended it; "" when the chain was left
	rule    *Rule  // nil for a policy
	chain   string
	path    []string
	sure    bool
	mark    uint32
	args    []condition
}

type walk struct {
	set   *Ruleset
	table *Table
	q     *Question
	steps int
}

func (w *walk) chain(name string) *Chain {
	for i := range w.table.Chains {
		if w.table.Chains[i].Name == name {
			return &w.table.Chains[i]
		}
	}
	return nil
}

func (w *walk) builtin(hook string) []outcome {
	c := w.chain(hook)
	if c == nil {
		return nil
	}
	out := w.run(c, w.q.Packet.Mark, nil, true)
	for i := range out {
		if out[i].verdict == "" {
			out[i].verdict, out[i].rule, out[i].chain, out[i].path = c.Policy, nil, c.Name, []string{c.Name}
		}
	}
	return out
}

// run follows the packet through a chain; every way that may be taken is an outcome.
func (w *walk) run(c *Chain, mark uint32, path []string, sure bool) []outcome {
	var out []outcome
	path = append(slices.Clone(path), c.Name)
	if len(path) > maxDepth {
		return []outcome{{path: path, mark: mark}}
	}
	for i := range c.Rules {
		if w.steps++; w.steps > maxSteps || len(out) > maxOutcomes {
			return append(out, outcome{path: path, mark: mark})
		}
		r := &c.Rules[i]
		if w.elsewhere(r.Text) {
			continue
		}
		conds, target := conditions(split(r.Text))
		m := matches(conds, &w.q.Packet, mark)
		if m == no {
			continue
		}
		here := outcome{verdict: r.Target, rule: r, chain: c.Name, path: path, sure: sure && m == yes, mark: mark, args: target}
		sub, ends := w.target(&here, &mark)
		out = append(out, sub...)
		if ends && m == yes {
			return out
		}
		if m == yes && !here.sure || m != yes && (len(sub) > 0 || mark != here.mark) {
			sure = false
		}
	}
	return append(out, outcome{path: path, sure: sure, mark: mark})
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

// target applies a rule's target; ends says whether the packet is done with the chain when the rule matches.
func (w *walk) target(o *outcome, mark *uint32) (out []outcome, ends bool) {
	switch o.verdict {
	case "ACCEPT", "DROP", "REJECT", "QUEUE", "NFQUEUE", "DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP":
		return []outcome{*o}, true
	case "RETURN":
		o.verdict = ""
		return []outcome{*o}, true
	case "MARK":
		*mark = setMark(o.args, *mark)
		return nil, false
	}
	next := w.chain(o.verdict)
	if next == nil {
		return nil, false // LOG, CT and the like: the packet goes on
	}
	left := false
	for _, sub := range w.run(next, *mark, o.path, o.sure) {
		if sub.verdict != "" {
			out = append(out, sub)
			continue
		}
		left, *mark = true, sub.mark
		o.sure = o.sure && sub.sure
		if o.rule.Goto {
			out = append(out, sub)
		}
	}
	return out, o.rule.Goto || !left
}

func setMark(args []condition, mark uint32) uint32 {
	for i := range args {
		v, mask, ok := cutMark(args[i].arg(0))
		if !ok {
			continue
		}
		switch args[i].option {
		case "--set-xmark": // zero the mask's bits, then XOR the value (iptables-extensions)
			return mark&^mask ^ v
		case "--set-mark":
			return mark&^(mask|v) | v
		case "--or-mark":
			return mark | v
		case "--and-mark":
			return mark & v
		}
	}
	return mark
}

func (w *walk) wanted(o *outcome) bool {
	switch w.q.Verdict {
	case "drop":
		if w.q.Reject {
			return o.verdict == "REJECT"
		}
		return o.verdict == "DROP"
	case "dnat":
		if o.verdict != "DNAT" && o.verdict != "REDIRECT" {
			return false
		}
		for i := range o.args {
			if o.args[i].option == "--to-destination" {
				to := o.args[i].arg(0)
				return to == w.q.To || strings.HasPrefix(w.q.To, to+":")
			}
		}
		return o.verdict == "REDIRECT"
	case "snat":
		return o.verdict == "SNAT" || o.verdict == "MASQUERADE"
	}
	return false
}

func (w *walk) found(o *outcome) Found {
	f := Found{Backend: w.set.Backend, Family: w.set.Family, Table: w.table.Name, Chain: o.chain, Verdict: o.verdict, Path: o.path, Sure: o.sure}
	if o.rule != nil {
		f.Number, f.Text, f.Comment = o.rule.Number, o.rule.Text, o.rule.Comment
	}
	f.Owner = OwnerOf(f.Chain, f.Comment, f.Path)
	return f
}
