// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// numgenMod is the number of values of a numgen expression; 0 when it is none. With an offset, the values begin there.
func numgenMod(e any) (mod, offset float64) {
	m, _ := e.(map[string]any)
	g, _ := m["numgen"].(map[string]any)
	mod, _ = g["mod"].(float64)
	offset, _ = g["offset"].(float64)
	return mod, offset
}

// drawn is the share of packets that a match on numgen lets through: "numgen random mod 4 == 0", "numgen inc mod 4 < 2".
func drawn(arg any) (float64, bool) {
	m, _ := arg.(map[string]any)
	mod, offset := numgenMod(m["left"])
	n, ok := m["right"].(float64)
	if mod <= 0 || !ok {
		return 0, false
	}
	below := max(0, min(mod, n-offset))
	one := 0.0
	if n >= offset && n < offset+mod {
		one = 1
	}
	switch m["op"] {
	case "==":
		return one / mod, true
	case "!=":
		return 1 - one/mod, true
	case "<":
		return below / mod, true
	case ">=":
		return 1 - below/mod, true
	}
	return 0, false
}

// weight is the share of an element of a map that numgen draws from: a number or a range of them. Without a modulus, all alike.
func weight(elem, key any, all int) float64 {
	mod, _ := numgenMod(key)
	if mod <= 0 {
		return 1 / float64(all)
	}
	lo, hi := bounds(elem)
	return max(0, min(hi-lo+1, mod)) / mod
}

func bounds(elem any) (lo, hi float64) {
	switch x := elem.(type) {
	case float64:
		return x, x
	case map[string]any:
		if r, ok := x["range"].([]any); ok && len(r) == 2 {
			lo, _ = r[0].(float64)
			hi, _ = r[1].(float64)
			return lo, hi
		}
	}
	return 0, -1
}

// all are up to maxOutcomes elements, in their keys' order.
func (x *setIndex) all() []element {
	all := slices.Clone(x.others)
	for _, e := range x.exact {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b element) int {
		return cmp.Or(byKey(a.key, b.key), strings.Compare(fmt.Sprint(a.key), fmt.Sprint(b.key)))
	})
	return all[:min(len(all), maxOutcomes)]
}

func byKey(a, b any) int {
	x, _ := bounds(a)
	y, _ := bounds(b)
	return cmp.Compare(x, y)
}
