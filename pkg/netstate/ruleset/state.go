// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"slices"
	"strconv"
)

// state is what rules can change of a packet on its way through a chain, and how certain it is that it comes there.
type state struct {
	mark      uint32
	blurred   bool // the mark is what something that is not known made of it
	untracked bool
	sure      bool // no match on the way was unknown
	// share of the packets that come here, as draws (statistic, numgen) have it; behind a match that is unknown, at most.
	share float64
	// cut is true when a limit of the evaluator was reached: what comes behind was not looked at.
	cut bool
}

func newState(mark uint32) state { return state{mark: mark, sure: true, share: 1} }

// certain: every packet comes here.
func (s *state) certain() bool { return s.sure && s.share > 0.999999 }

// same reports states that rules cannot tell apart.
func (s *state) same(o *state) bool {
	return s.mark == o.mark && s.blurred == o.blurred && s.untracked == o.untracked && s.cut == o.cut
}

// passed are the states behind a table, or base chain, that the kernel is known to have let the packet through: which one it is in is what is
// not known, when there are several.
func (all states) passed(before states) states {
	if len(all) == 0 {
		return before // the evaluator was wrong about it
	}
	if len(all) == 1 && len(before) == 1 {
		all[0].sure, all[0].share = before[0].sure, before[0].share
	}
	return all
}

func (s state) lost() state {
	s.cut, s.sure = true, false
	return s
}

// hit is the state of the packets that a rule takes: with a draw, of that share.
func (s state) hit(m answer, share float64) state {
	s.sure = s.sure && m == yes
	s.share *= share
	return s
}

// states are those in which a packet can be at one place: they differ in what rules can ask for.
type states []state

// maxStates bounds them; marks that matches of unknown outcome set are what multiplies them.
const maxStates = 32

// and adds a state; of those that rules cannot tell apart the shares are added.
func (all states) and(s state) states {
	for i := range all {
		o := &all[i]
		if o.same(&s) {
			o.share, o.sure = min(1, o.share+s.share), o.sure && s.sure
			return all
		}
	}
	if len(all) == maxStates {
		all[0] = all[0].lost()
		all[0].blurred = true
		return all
	}
	return append(all, s)
}

// behind adds the states behind a rule for packets that came to it as st: those that it did not take, and those that went on from its target.
// ended says that some went no further.
func (all states) behind(st state, m answer, share float64, ended bool, on states) states {
	if m == yes && share == 1 {
		for _, o := range on {
			all = all.and(o)
		}
		return all
	}
	if !ended && len(on) == 1 && on[0].same(&st) {
		return all.and(st) // taken or not, it makes no difference
	}
	rest := st
	if m == yes {
		rest.share *= 1 - share
		for _, o := range on {
			all = all.and(o)
		}
		return all.and(rest)
	}
	rest.sure = false
	for _, o := range on {
		if o.same(&rest) {
			continue // not more than all of them
		}
		all = all.and(o)
	}
	return all.and(rest)
}

// place is where a walk is: the chains from the base chain, and the numbers of the rules that led from each to the next.
type place struct {
	path []string
	from []int
	nth  int // which element of a map that is drawn from, from 1; 0 for none
}

func (p place) enter(chain string) place {
	return place{path: append(slices.Clone(p.path), chain), from: p.from}
}

func (p place) by(number int) place {
	from := append(slices.Clone(p.from), number)
	if p.nth > 0 {
		from = append(from, p.nth)
	}
	return place{path: p.path, from: from}
}

// draw takes the statistic match out of a rule's conditions and says what share of packets it lets through; 1 without one. What it does not
// understand stays with the conditions and is unknown.
func draw(conds []condition) (rest []condition, share float64) {
	mode := slices.IndexFunc(conds, func(c condition) bool { return c.option == "--mode" })
	if mode < 0 {
		return conds, 1
	}
	share = -1
	for i := range conds {
		c := &conds[i]
		switch {
		case c.option == "--probability" && conds[mode].arg(0) == "random":
			if p, err := strconv.ParseFloat(c.arg(0), 64); err == nil && p >= 0 && p <= 1 {
				share = p
			}
		case c.option == "--every" && conds[mode].arg(0) == "nth":
			if n, err := strconv.ParseUint(c.arg(0), 10, 32); err == nil && n > 0 {
				share = 1 / float64(n)
			}
		default:
			continue
		}
		if c.negated {
			share = 1 - share
		}
	}
	if share < 0 || share > 1 {
		return conds, 1
	}
	for i := range conds {
		switch conds[i].option {
		case "--mode", "--probability", "--every", "--packet":
		default:
			rest = append(rest, conds[i])
		}
	}
	return rest, share
}
