// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// match answers a match statement.
func (w *nftWalk) match(arg any, mark uint32) answer {
	m, _ := arg.(map[string]any)
	op, _ := m["op"].(string)
	expr, _ := m["left"].(map[string]any) // what is no expression is a value, or unknown
	if ct, ok := expr["ct"]; ok {
		return ctMatch(field(ct, "key"), op, m["right"], &w.q.Packet)
	}
	left := eval(m["left"], &w.q.Packet, mark)
	switch {
	case left.none:
		return no
	case left.unknown:
		return maybe
	}
	switch op {
	case "==", "in", "":
		return w.member(left, m["right"], mark)
	case "!=":
		return not(w.member(left, m["right"], mark))
	case "<", ">", "<=", ">=":
		return compare(op, left, eval(m["right"], &w.q.Packet, mark))
	}
	return maybe
}

func compare(op string, a, b value) answer {
	var c int
	switch {
	case a.isNum && b.isNum:
		c = 0
		if a.num < b.num {
			c = -1
		} else if a.num > b.num {
			c = 1
		}
	case a.addr.IsValid() && b.addr.IsValid():
		c = a.addr.Compare(b.addr)
	default:
		return maybe
	}
	return is(map[string]bool{"<": c < 0, ">": c > 0, "<=": c <= 0, ">=": c >= 0}[op])
}

// ctMatch: conntrack's state is a bit of a mask, whatever the operator is called.
func ctMatch(key, op string, right any, p *Packet) answer {
	words := listOf(right)
	a := no
	for _, item := range words {
		s, ok := item.(string)
		switch {
		case !ok:
			return maybe
		case key == "state" && p.CTState == "":
			a = max(a, maybe)
		case key == "state":
			a = max(a, is(strings.EqualFold(s, p.CTState)))
		case key == "status" && s == "dnat":
			a = max(a, is(slices.Contains(p.CTStatus, "DST_NAT")))
		case key == "status" && s == "snat":
			a = max(a, is(slices.Contains(p.CTStatus, "SRC_NAT")))
		default:
			return maybe
		}
	}
	if op == "!=" {
		return not(a)
	}
	return a
}

// listOf is a scalar, a list, or an anonymous set as a list.
func listOf(e any) []any {
	switch x := e.(type) {
	case []any:
		return x
	case map[string]any:
		if s, ok := x["set"].([]any); ok {
			return s
		}
	}
	return []any{e}
}

// member says whether a value is what stands right of an operator: a value, a prefix, a range, a set.
func (w *nftWalk) member(v value, right any, mark uint32) answer {
	if s, ok := right.(string); ok && strings.HasPrefix(s, "@") {
		set := w.set(s[1:])
		if set == nil {
			return maybe
		}
		_, a := set.find(v)
		return a
	}
	a := no
	for _, item := range listOf(right) {
		a = max(a, equal(v, item, &w.q.Packet, mark))
	}
	return a
}

// equal compares with one element.
func equal(v value, e any, p *Packet, mark uint32) answer {
	if m, ok := e.(map[string]any); ok {
		if elem, ok := m["elem"].(map[string]any); ok {
			return equal(v, elem["val"], p, mark)
		}
		if pre, ok := m["prefix"]; ok {
			return inPrefix(v, pre)
		}
		if r, ok := m["range"].([]any); ok && len(r) == 2 {
			lo, hi := eval(r[0], p, mark), eval(r[1], p, mark)
			return min(compare(">=", v, lo), compare("<=", v, hi))
		}
		if parts, ok := m["concat"].([]any); ok {
			return equalParts(v, parts, p, mark)
		}
	}
	x := eval(e, p, mark)
	switch {
	case x.none:
		return no
	case x.unknown || v.unknown:
		return maybe
	case v.text == "other": // an address type that is none of the node's own
		return pickAnswer(x.text == "local", no, maybe)
	}
	if start, ok := strings.CutSuffix(x.text, "*"); ok && !v.isNum && !v.addr.IsValid() {
		return is(strings.HasPrefix(v.text, start) && v.text != "")
	}
	return is(v.text == x.text || slices.Contains(v.names, x.text))
}

func pickAnswer(first bool, a, b answer) answer {
	if first {
		return a
	}
	return b
}

func equalParts(v value, parts []any, p *Packet, mark uint32) answer {
	if len(v.parts) != len(parts) {
		return maybe
	}
	a := yes
	for i := range parts {
		a = min(a, equal(v.parts[i], parts[i], p, mark))
	}
	return a
}

func inPrefix(v value, arg any) answer {
	m, _ := arg.(map[string]any)
	bits, ok := m["len"].(float64)
	a, err := netip.ParseAddr(field(arg, "addr"))
	if !ok || err != nil || !v.addr.IsValid() {
		return maybe
	}
	pre, err := a.Prefix(int(bits))
	if err != nil {
		return maybe
	}
	return is(pre.Contains(v.addr))
}

// setIndex finds elements: those of one value by that, ranges and prefixes one after the other.
type setIndex struct {
	exact  map[string]element
	others []element
	odd    bool // there are elements that are not understood
}

// element is a member of a set; of a map, with what it leads to.
type element struct {
	key     any
	to      any
	comment string
}

func (s *NFTSet) load() *setIndex {
	if s.index != nil {
		return s.index
	}
	s.index = &setIndex{exact: map[string]element{}}
	var list []any
	if len(s.Elem) > 0 && json.Unmarshal(s.Elem, &list) != nil {
		s.index.odd = true
	}
	for _, item := range list {
		s.index.add(item)
	}
	return s.index
}

// add takes "key" of a set, or ["key", "to"] of a map.
func (x *setIndex) add(item any) {
	e := element{key: item}
	if pair, ok := item.([]any); ok {
		if len(pair) != 2 {
			x.odd = true
			return
		}
		e.key, e.to = pair[0], pair[1]
	}
	if m, ok := e.key.(map[string]any); ok {
		if elem, ok := m["elem"].(map[string]any); ok {
			e.comment, _ = elem["comment"].(string)
			e.comment = clean(e.comment)
			e.key = elem["val"]
		}
	}
	if k, ok := eval(e.key, &Packet{}, 0).key(); ok && plain(e.key) {
		x.exact[k] = e
		return
	}
	x.others = append(x.others, e)
}

// plain: a scalar, or a concatenation of scalars.
func plain(e any) bool {
	m, ok := e.(map[string]any)
	if !ok {
		return true
	}
	list, ok := m["concat"].([]any)
	for _, part := range list {
		if _, nested := part.(map[string]any); nested {
			return false
		}
	}
	return ok
}

// find looks a value up. A set whose elements come and go answers maybe where a snapshot would say no.
func (s *NFTSet) find(v value) (element, answer) {
	if v.none {
		return element{}, no
	}
	if v.unknown {
		return element{}, maybe
	}
	x := s.load()
	miss := no
	if s.Loose || x.odd {
		miss = maybe
	}
	if k, ok := v.key(); ok {
		if e, ok := x.exact[k]; ok {
			if s.Loose {
				return e, maybe
			}
			return e, yes
		}
	}
	others := x.others
	if v.renamed() { // its element may have another name for it
		others = slices.AppendSeq(slices.Clone(others), maps.Values(x.exact))
	}
	for _, e := range others {
		switch equal(v, e.key, &Packet{}, 0) {
		case yes:
			return e, yes
		case maybe:
			miss = maybe
		}
	}
	return element{}, miss
}
