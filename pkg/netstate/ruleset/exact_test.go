// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"encoding/binary"
	"strings"
	"testing"
)

// ruleOf is one rule as iptables-legacy keeps it: matches of a size, and a target by name with its data.
func ruleOf(l layout, matches int, target string, data []byte) []byte {
	b := make([]byte, l.matches+matches+targetData+(len(data)+7)/8*8)
	binary.NativeEndian.PutUint16(b[l.target:], uint16(l.matches+matches))
	binary.NativeEndian.PutUint16(b[l.target+2:], uint16(len(b)))
	copy(b[l.matches+matches+targetName:], target)
	copy(b[l.matches+matches+targetData:], data)
	return b
}

func headOf(l layout, chain string) []byte {
	name := make([]byte, nameLength+1)
	copy(name, chain)
	return ruleOf(l, 0, errorTarget, name)
}

// tableOf is a filter table: INPUT with two rules, FORWARD without, OUTPUT without, the chain KUBE-X with one; and the info to it.
func tableOf(l layout) (Info, []byte) {
	var b []byte
	info := Info{Hooks: [5]uint32{NoHook, 0, 0, 0, NoHook}}
	add := func(entries ...[]byte) {
		for _, e := range entries {
			b = append(b, e...)
		}
	}
	verdict := make([]byte, 4)
	add(ruleOf(l, 40, "", verdict), ruleOf(l, 0, "REJECT", verdict), ruleOf(l, 0, "", verdict))
	info.Hooks[2] = uint32(len(b))
	add(ruleOf(l, 0, "", verdict))
	info.Hooks[3] = uint32(len(b))
	add(ruleOf(l, 0, "", verdict), headOf(l, "KUBE-X"), ruleOf(l, 300, "DNAT", make([]byte, 40)), ruleOf(l, 0, "", verdict), headOf(l, "ERROR"))
	info.Size = uint32(len(b))
	return info, b
}

func saved(t *testing.T, backend, family string) Ruleset {
	t.Helper()
	s, warnings, err := Parse(strings.NewReader(`*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:KUBE-X - [0:0]
-A INPUT -p tcp -m comment --comment "a" -j KUBE-X
-A INPUT -p udp -j REJECT
-A KUBE-X -m comment --comment "shop/web:http" -j DNAT --to-destination 10.0.0.1:80
COMMIT
`), backend, family)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	return s
}

// The parameters of a target lie inside its rule: an offset into the table names it.
func TestPlacesInATable(t *testing.T) {
	for family, l := range layouts {
		s := saved(t, "iptables-legacy", family)
		info, rules := tableOf(l)
		if !GivePlaces(&s, "filter", info, rules) {
			t.Fatalf("%s: the places do not fit", family)
		}
		sets, six := []Ruleset{s}, family == "ip6"
		first := l.matches + 40 + targetData
		for _, tc := range []struct {
			offset int
			want   string
		}{
			{l.matches + 8, "INPUT 1"}, {first, "INPUT 1"}, {first + 8 + l.matches + targetData, "INPUT 2"},
			{int(info.Hooks[2]) + l.matches, ""}, {int(info.Size) - 1, ""}, {1 << 29, ""}, {0, ""},
			{int(info.Hooks[3]) + l.matches + targetData + 8 + l.matches + targetData + 32 + l.matches + 300 + targetData, "KUBE-X 1"},
		} {
			f, ok := At(sets, Place{Table: "filter", Offset: uint32(tc.offset)}, six)
			if got := strings.TrimSpace(f.Chain + " " + map[int]string{0: "", 1: "1", 2: "2"}[f.Number]); got != tc.want || ok != (tc.want != "") {
				t.Errorf("%s: offset %d is %q, want %q", family, tc.offset, got, tc.want)
			}
		}
		if _, ok := At(sets, Place{Table: "nat", Offset: uint32(first)}, six); ok {
			t.Error("a rule of another table")
		}
		if _, ok := At(sets, Place{Table: "filter", Offset: uint32(first)}, !six); ok {
			t.Error("a rule of the other family")
		}
	}
}

// A table that changed between the two readings, or is not one, gives no places.
func TestPlacesThatDoNotFit(t *testing.T) {
	l := layouts["ip"]
	info, rules := tableOf(l)
	short := append([]byte(nil), rules...)
	binary.NativeEndian.PutUint16(short[l.target+2:], 8)
	for name, tc := range map[string]struct {
		table string
		info  Info
		rules []byte
	}{
		"cut":            {"filter", info, rules[:len(rules)-9]},
		"empty":          {"filter", info, nil},
		"a rule more":    {"filter", info, append(ruleOf(l, 0, "", nil), rules...)},
		"another table":  {"nat", info, rules},
		"an odd length":  {"filter", info, short},
		"no hooks":       {"filter", Info{Hooks: [5]uint32{NoHook, NoHook, NoHook, NoHook, NoHook}}, rules},
		"only a pointer": {"filter", info, make([]byte, 7)},
	} {
		s := saved(t, "iptables-legacy", "ip")
		if GivePlaces(&s, tc.table, tc.info, tc.rules) {
			t.Errorf("%s: fits", name)
		}
		if s.Tables[0].Chains[0].Rules[0].End != 0 {
			t.Errorf("%s: a rule has a place", name)
		}
	}
	other := saved(t, "iptables-legacy", "arp")
	if GivePlaces(&other, "filter", info, rules) {
		t.Error("a family without a layout")
	}
}

func TestParseInfo(t *testing.T) {
	b := make([]byte, InfoSize)
	binary.NativeEndian.PutUint32(b[32:], 1<<1|1<<4)
	binary.NativeEndian.PutUint32(b[36+4:], 7)
	binary.NativeEndian.PutUint32(b[36+16:], 9)
	binary.NativeEndian.PutUint32(b[80:], 1000)
	i, ok := ParseInfo(b)
	if want := (Info{Hooks: [5]uint32{NoHook, 7, NoHook, NoHook, 9}, Size: 1000}); !ok || i != want {
		t.Errorf("%+v", i)
	}
	if _, ok := ParseInfo(b[:InfoSize-1]); ok {
		t.Error("a short one")
	}
}

// words is memory of 64-bit words.
func wordsOf(w ...uint64) []byte {
	var b []byte
	for _, v := range w {
		b = binary.NativeEndian.AppendUint64(b, v)
	}
	return b
}

func blob(size int, handle uint64) uint64 { return uint64(size)<<1 | handle<<13 }

// The handle of the rule that ran lies before its expressions; what only looks like it is told apart by what stands before.
func TestHandlesInMemory(t *testing.T) {
	h := handles{}
	before := uint64(0)
	for i, handle := range []uint64{40, 41, 45} {
		before = h.add(handle, 2, i, before)
	}
	h.add(50, 3, 0, 0)
	const pointer = 0xffff888012345678
	for _, tc := range []struct {
		name   string
		memory []byte
		want   int // position in chain 2; -1 for none, 9 for the rule of chain 3
	}{
		{"first rule of a chain", wordsOf(0, 200, blob(32, 40), 1, 2), 0},
		{"the chain's size is too small", wordsOf(0, 16, blob(32, 40), 1, 2), -1},
		{"second rule, behind the first", wordsOf(200, blob(16, 40), 1, 2, blob(24, 41), 5), 1},
		{"third rule", wordsOf(blob(16, 40), 1, 2, blob(8, 41), 5, blob(40, 45), 7, 8), 2},
		{"behind a rule that does not stand before it", wordsOf(200, blob(16, 40), 1, 2, blob(24, 45), 5), -1},
		{"a rule that ends before the expression", wordsOf(0, 200, blob(8, 40), 1, 2), -1},
		{"the last mark of a chain", wordsOf(0, 200, blob(32, 40)|1, 1, 2), -1},
		{"a handle that no rule has", wordsOf(0, 200, blob(32, 99), 1, 2), -1},
		{"another chain's first", wordsOf(0, 200, blob(32, 50), 1), 9},
		{"two that fit", wordsOf(200, blob(32, 50), 200, blob(32, 40), 1), -1},
		{"a rule of its own before 5.17", wordsOf(pointer, pointer, 41|32<<44|1<<56, 5, 6), 1},
		{"without the pointers", wordsOf(3, 4, 41|32<<44, 5, 6), -1},
		{"of another generation's length", wordsOf(pointer, pointer, 41|8<<44, 5, 6), -1},
		{"nothing", nil, -1},
		{"zeroes", make([]byte, 1024), -1},
	} {
		s, ok := h.in(tc.memory)
		got := -1
		if ok && s.chain == 2 {
			got = s.rule
		} else if ok {
			got = 9
		}
		if got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

const listing = `{"nftables": [
 {"table": {"family": "ip", "name": "filter", "handle": 1}},
 {"chain": {"family": "ip", "table": "filter", "name": "INPUT", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}},
 {"chain": {"family": "ip", "table": "filter", "name": "KUBE-X", "handle": 4}},
 {"rule": {"family": "ip", "table": "filter", "chain": "INPUT", "handle": 7, "expr": [{"xt": {"type": "target", "name": "X"}}]}},
 {"rule": {"family": "ip", "table": "filter", "chain": "INPUT", "handle": 9, "expr": [{"drop": null}]}},
 {"rule": {"family": "ip", "table": "filter", "chain": "KUBE-X", "handle": 8, "expr": [{"accept": null}]}},
 {"table": {"family": "inet", "name": "mine", "handle": 2}},
 {"chain": {"family": "inet", "table": "mine", "name": "in", "handle": 1, "type": "filter", "hook": "input", "prio": 5, "policy": "accept"}},
 {"rule": {"family": "inet", "table": "mine", "chain": "in", "handle": 3, "comment": "no", "expr": [{"counter": {"packets": 0, "bytes": 0}}, {"reject": null}]}}
]}`

// Rules of iptables-nft get the handles that nft lists, and are found by them; so are nft's own.
func TestHandlesOfIPTablesNFT(t *testing.T) {
	n, warnings, err := ParseNFT(strings.NewReader(listing), func(family, table string) bool { return family == "ip" && table == "filter" })
	if err != nil || len(warnings) > 0 || len(n.Tables) != 1 || len(n.Skipped) != 1 {
		t.Fatalf("%v %v %+v", err, warnings, n)
	}
	s := saved(t, "iptables-nft", "ip")
	GiveHandles(&s, n.Skipped)
	sets := []Ruleset{s, {Backend: "nft", NFT: n}}
	for _, tc := range []struct {
		place Place
		six   bool
		want  string
	}{
		{Place{Table: "filter/INPUT", Memory: wordsOf(300, blob(64, 7), 1, 2)}, false, "iptables-nft filter INPUT 1 KUBE-X"},
		{Place{Table: "filter/INPUT", Memory: wordsOf(300, blob(16, 7), 1, 2, blob(16, 9), 5)}, false, "iptables-nft filter INPUT 2 REJECT"},
		{Place{Table: "filter/INPUT", Memory: wordsOf(300, blob(64, 8), 1, 2)}, false, "iptables-nft filter KUBE-X 1 DNAT"},
		{Place{Table: "mine/in", Memory: wordsOf(300, blob(64, 3), 1, 2)}, false, "nft mine in 1 REJECT"},
		{Place{Table: "mine/in", Memory: wordsOf(300, blob(64, 3), 1, 2)}, true, "nft mine in 1 REJECT"},
		{Place{Table: "mine/in", Memory: wordsOf(300, blob(64, 7), 1, 2)}, false, ""},
		{Place{Table: "filter/INPUT", Memory: wordsOf(300, blob(64, 7), 1, 2)}, true, ""},
		{Place{Table: "filter", Offset: 120}, false, ""},
	} {
		f, ok := At(sets, tc.place, tc.six)
		got := ""
		if ok {
			got = strings.Join([]string{f.Backend, f.Table, f.Chain, string(rune('0' + f.Number)), f.Verdict}, " ")
		}
		if got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.place, got, tc.want)
		}
	}
	changed := saved(t, "iptables-nft", "ip")
	changed.Tables[0].Chains[0].Rules = changed.Tables[0].Chains[0].Rules[:1]
	GiveHandles(&changed, n.Skipped)
	if changed.Tables[0].Chains[0].Rules[0].Handle != 0 || changed.Tables[0].Chains[3].Rules[0].Handle != 8 {
		t.Error("a chain that changed got handles, or one that did not has none")
	}
}

func FuzzPlaces(f *testing.F) {
	info, rules := tableOf(layouts["ip"])
	f.Add(rules, info.Hooks[2], info.Hooks[3])
	f.Add([]byte{1, 2, 3}, uint32(0), uint32(1))
	f.Fuzz(func(t *testing.T, rules []byte, forward, output uint32) {
		s := saved(t, "iptables-legacy", "ip")
		if !GivePlaces(&s, "filter", Info{Hooks: [5]uint32{NoHook, 0, forward, output, NoHook}}, rules) {
			return
		}
		for _, c := range s.Tables[0].Chains {
			for _, r := range c.Rules {
				if r.Begin >= r.End || int(r.End) > len(rules) {
					t.Errorf("rule %d of %s lies from %d to %d of %d bytes", r.Number, c.Name, r.Begin, r.End, len(rules))
				}
			}
		}
	})
}

func FuzzMemory(f *testing.F) {
	f.Add(wordsOf(0, 200, blob(32, 40), 1, 2))
	f.Add(wordsOf(0xffff888012345678, 0xffff888012345678, 41|32<<44, 5, 6))
	h := handles{}
	h.add(41, 0, 1, h.add(40, 0, 0, 0))
	f.Fuzz(func(t *testing.T, memory []byte) {
		if s, ok := h.in(memory); ok && s.chain != 0 {
			t.Errorf("%+v", s)
		}
	})
}
