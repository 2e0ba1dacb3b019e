// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// nftRules are a table with sets, chains that are jumped to, and two base chains on output.
func (r roll) nftRules() string {
	var b strings.Builder
	typ, one, two := map[bool]string{false: "ipv4_addr", true: "ipv6_addr"}[r.six], r.family.addr(1), r.family.addr(2)
	fmt.Fprintf(&b, "table %s prop {\n", r.of("inet", r.word))
	fmt.Fprintf(&b, "set addrs { type %s; flags interval; elements = { %s, %s } }\n", typ, one, r.host(r.family.addr(3).String()))
	fmt.Fprintf(&b, "set nets { type %s; flags interval; elements = { %s-%s } }\n", typ, two, r.family.addr(3))
	fmt.Fprintf(&b, "set pairs { type %s . inet_service; elements = { %s . %d, %s . %d } }\n", typ, one, r.port(), two, r.port())
	fmt.Fprintf(&b, "set wide { type %s . inet_service; flags interval; elements = { %s-%s . %d-%d } }\n", typ, one, two, 1000+r.IntN(4), 1004+r.IntN(4))
	b.WriteString("map ways { type inet_service : verdict; elements = { 1000 : drop, 1001 : accept, 1002 : jump c0, 1003 : goto c1, 1004 : return } }\n")
	fmt.Fprintf(&b, "map services { type %s . inet_proto . inet_service : verdict; elements = { %s . udp . %d : goto c1, %s . udp . %d : drop, %s . tcp . %d : drop } }\n", typ, one, r.port(), two, r.port(), one, r.port())
	b.WriteString("map spans { type inet_service : verdict; flags interval; elements = { 1000-1002 : jump c2, 1005-1006 : drop } }\n")
	for i := propertyChains - 1; i >= 0; i-- { // a chain leads only to those behind it
		fmt.Fprintf(&b, "chain c%d {\n", i)
		for range rulesOfAChain {
			b.WriteString(r.nftRule(i+1) + "\n")
		}
		b.WriteString("}\n")
	}
	fmt.Fprintf(&b, "chain early { type filter hook output priority -10; policy accept;\n%s\n%s\n}\n", r.nftRule(1), r.nftRule(1))
	fmt.Fprintf(&b, "chain out { type filter hook output priority 0; policy %s;\n", r.of("accept", "accept", "drop"))
	for range rulesOfAChain {
		b.WriteString(r.nftRule(0) + "\n")
	}
	b.WriteString("}\n}\n")
	if !strings.HasPrefix(b.String(), "table inet") { // nft takes these only there
		return strings.NewReplacer("meta nfproto ipv4 ", "", "meta nfproto ipv6 ", "").Replace(b.String())
	}
	return b.String()
}

func (r roll) nftRule(from int) string {
	var parts []string
	for range 1 + r.IntN(3) {
		parts = append(parts, r.nftMatch())
	}
	if r.IntN(10) == 0 { // nft refuses to write these beside those for this family and UDP
		parts = []string{r.of("tcp dport 1000", "tcp dport != 1000", "meta l4proto { tcp, 132 }", "meta l4proto { tcp, udp }", "meta l4proto != { tcp, udp }", "meta l4proto != { tcp, 132 }", "meta nfproto "+map[bool]string{false: "ipv4", true: "ipv6"}[r.six])}
	}
	action := r.of("counter drop", "counter drop", "counter accept", "counter return", fmt.Sprintf("meta mark set meta mark %s 0x%x counter", r.of("|", "^", "&"), r.IntN(4)), fmt.Sprintf("meta mark set 0x%x counter", r.IntN(4)))
	if from < propertyChains && r.IntN(3) == 0 {
		action = fmt.Sprintf("%s c%d", r.of("jump", "goto"), from+r.IntN(propertyChains-from))
	}
	if from == 0 && r.IntN(4) == 0 {
		action = r.of("th dport vmap @ways", r.word+" daddr . meta l4proto . th dport vmap @services", "th dport vmap @spans",
			fmt.Sprintf("meta mark vmap { 1 : jump c1, %d : drop }", 2+r.IntN(2)),
			fmt.Sprintf("%s saddr . th sport vmap { %s . %d : drop, %s . %d : accept }", r.word, r.addr(), r.sport(), r.addr(), 2010))
	}
	if r.IntN(40) == 0 {
		action = "numgen random mod 2 vmap { 0 : drop, 1 : accept }"
	}
	return strings.Join(append(parts, action), " ")
}

func (r roll) nftMatch() string {
	if r.IntN(60) == 0 { // what the evaluator does not know
		return r.of("meta skuid 0", "meta length < 20", "meta cpu 4095")
	}
	return r.nftMatchOf(r.IntN(18))
}

func (r roll) nftMatchOf(kind int) string {
	not := r.of("", "", "!= ")
	switch kind {
	case 0:
		return r.word + " daddr " + not + r.addr()
	case 1:
		return r.word + " saddr " + not + r.cidr
	case 2:
		return fmt.Sprintf("udp dport %s%d", not, r.port())
	case 3:
		return fmt.Sprintf("udp dport %s%d-%d", not, 1000+r.IntN(4), 1004+r.IntN(4))
	case 4:
		return fmt.Sprintf("udp sport %s{ %d, %d }", not, r.sport(), r.sport())
	case 5:
		return fmt.Sprintf("meta mark %s%d", not, r.IntN(4))
	case 6:
		return fmt.Sprintf("meta mark & 0x%x %s 0x%x", 1+r.IntN(3), r.of("==", "!="), r.IntN(2))
	case 7:
		return r.word + " daddr " + not + r.of("@addrs", "@nets")
	case 8:
		return r.word + " daddr . udp dport " + not + r.of("@pairs", "@wide")
	case 9:
		return "meta l4proto " + not + "udp"
	case 10:
		return fmt.Sprintf("oifname %s\"%s\"", not, r.of("lo", "l*", "eth*"))
	case 11:
		return "ct state " + r.of("", "!= ") + r.of("new", "established", "untracked", "invalid")
	case 12:
		return "ct state " + r.of("new,established", "established,related", "new,untracked", "{ new, untracked }")
	case 13:
		return fmt.Sprintf("meta mark { %d, %d-%d }", r.IntN(2), 2, 2+r.IntN(2))
	case 14:
		return fmt.Sprintf("udp dport %s{ %d, %d-%d }", not, 1000+r.IntN(2), 1003, 1003+r.IntN(4))
	case 15:
		return fmt.Sprintf("%s saddr %s%s-%s", r.word, not, r.family.addr(1+r.IntN(2)), r.family.addr(3+r.IntN(2)))
	case 16:
		return fmt.Sprintf("%s saddr . %s daddr { %s . %s, %s . %s }", r.word, r.word, r.addr(), r.family.addr(1), r.addr(), r.family.addr(2))
	}
	return r.of("fib daddr type local", "fib saddr type != local", "th dport >= 1004", "udp sport < 2003", "fib daddr type { local, broadcast }")
}

func listed() *NFT {
	n, warnings, err := ParseNFT(bytes.NewReader(inKernel("", "nft", "-j", "-a", "list", "ruleset")), func(_, table string) bool { return table != "prop" })
	if err != nil || len(warnings) > 0 || len(n.Tables) != 1 {
		fail("%v %v", warnings, err)
	}
	return n
}

func (r roll) nftRound() report {
	text := r.nftRules()
	inKernel(text, "nft", "-f", "-")
	n := listed()
	sure, possible, sum := r.play(Ruleset{Backend: "nft", NFT: n}, text)
	counted, countless := tally{}, map[string]bool{}
	after := listed()
	for _, c := range after.Tables[0].Chains {
		for i, rule := range c.Rules {
			k := fmt.Sprintf("prop/%s %d", c.Name, i+1)
			packets, drops := counter(rule.Expr)
			if drops && packets > 0 {
				counted[k] = packets
			}
			countless[k] = !drops
		}
	}
	agree(sure, possible, counted, func(rule string) bool { return countless[rule] || strings.HasSuffix(rule, " 0") }, text)
	inKernel(fmt.Sprintf("delete table %s prop\n", after.Tables[0].Family), "nft", "-f", "-")
	return sum
}

// counter reads a rule's counter, and whether the rule drops by itself.
func counter(expr json.RawMessage) (packets uint64, drops bool) {
	var statements []map[string]json.RawMessage
	if err := json.Unmarshal(expr, &statements); err != nil {
		fail("%v", err)
	}
	for _, s := range statements {
		if c, ok := s["counter"]; ok {
			var v struct{ Packets uint64 }
			if err := json.Unmarshal(c, &v); err != nil {
				fail("%v", err)
			}
			packets = v.Packets
		}
		if _, ok := s["drop"]; ok {
			drops = true
		}
	}
	return packets, drops
}
