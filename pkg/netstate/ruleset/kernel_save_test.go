// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"bytes"
	"fmt"
	"strings"
)

// saveRules are rules for iptables-restore: marks are set, and some packets dropped, in mangle; filter has chains and a policy.
func (r roll) saveRules() string {
	var b strings.Builder
	b.WriteString("*mangle\n:OUTPUT ACCEPT [0:0]\n:m0 - [0:0]\n")
	for range 3 {
		fmt.Fprintf(&b, "-A OUTPUT %s -j %s\n", r.saveMatches(), r.of("DROP", "m0", "ACCEPT", r.setMark(), r.setMark()))
	}
	fmt.Fprintf(&b, "-A m0 %s -j %s\n-A m0 -p udp -j %s\nCOMMIT\n", r.saveMatches(), r.of("RETURN", "DROP"), r.setMark())
	fmt.Fprintf(&b, "*filter\n:OUTPUT %s [0:0]\n", r.of("ACCEPT", "ACCEPT", "DROP"))
	for i := range propertyChains {
		fmt.Fprintf(&b, ":c%d - [0:0]\n", i)
	}
	for i := range propertyChains {
		for range rulesOfAChain {
			fmt.Fprintf(&b, "-A c%d %s\n", i, r.saveRule(i+1))
		}
	}
	for range rulesOfAChain {
		fmt.Fprintf(&b, "-A OUTPUT %s\n", r.saveRule(0))
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

func (r roll) setMark() string {
	return fmt.Sprintf("MARK --%s 0x%x/0x%x", r.of("set-xmark", "set-mark"), r.IntN(4), r.IntN(4))
}

func (r roll) saveRule(from int) string {
	action := "-j " + r.of("DROP", "DROP", "ACCEPT", "RETURN", "MARK --set-xmark 0x1/0x3")
	if from < propertyChains && r.IntN(3) == 0 {
		action = fmt.Sprintf("%s c%d", r.of("-j", "-g"), from+r.IntN(propertyChains-from))
	}
	if strings.Contains(action, "MARK") { // a comment that looks like a target
		action = `-m comment --comment "say \"hi\" -j DROP" ` + action
	}
	return r.saveMatches() + " " + action
}

func (r roll) saveMatches() string {
	parts := []string{"-p udp"}
	used := map[int]bool{}
	for range 1 + r.IntN(3) {
		if k := r.IntN(14); !used[k] { // an option may stand once
			used[k] = true
			parts = append(parts, r.saveMatch(k))
		}
	}
	if r.IntN(60) == 0 { // what the evaluator does not know
		parts = append(parts, r.of("-m statistic --mode random --probability 0.5", "-m length --length 0:20", "-m owner --uid-owner 0"))
	}
	return strings.Join(parts, " ")
}

func (r roll) saveMatch(kind int) string {
	not := r.of("", "", "! ")
	switch kind {
	case 0:
		return not + "-d " + r.host(r.addr())
	case 1:
		return not + "-s " + r.cidr
	case 2:
		return fmt.Sprintf("-m udp %s--dport %d", not, r.port())
	case 3:
		return fmt.Sprintf("-m udp %s--sport %d:%d", not, 2000+r.IntN(4), 2004+r.IntN(4))
	case 4:
		return fmt.Sprintf("-m multiport %s--dports %d,%d", not, r.port(), r.port())
	case 5:
		return fmt.Sprintf("-m mark %s--mark 0x%x/0x%x", not, r.IntN(2), 1+r.IntN(3))
	case 6:
		return "-m addrtype " + not + "--dst-type " + r.of("LOCAL", "UNICAST", "LOCAL,MULTICAST")
	case 7:
		return not + "-o " + r.of("lo", "l+", "eth+")
	case 8:
		return fmt.Sprintf("-m multiport %s--sports %d:%d,%d", not, 2000+r.IntN(3), 2004, r.sport())
	case 9:
		return fmt.Sprintf("-m multiport %s--ports %d,%d:%d", not, r.port(), 2003, 2004+r.IntN(4))
	case 10:
		return fmt.Sprintf("-m iprange %s--src-range %s-%s", not, r.family.addr(1+r.IntN(2)), r.family.addr(3+r.IntN(2)))
	case 11:
		return fmt.Sprintf("-m mark %s--mark 0x%x", not, r.IntN(4))
	case 12:
		return "-m addrtype " + not + "--src-type LOCAL"
	}
	return "-m conntrack " + not + "--ctstate " + r.of("NEW", "NEW,ESTABLISHED", "INVALID", "ESTABLISHED,RELATED", "UNTRACKED", "UNTRACKED,NEW", "INVALID,NEW,RELATED,UNTRACKED", "DNAT")
}

func (r roll) saveRound(machinery string) report {
	tool := map[bool]string{false: "iptables-", true: "ip6tables-"}[r.six] + machinery
	text := r.saveRules()
	inKernel(text, tool+"-restore")
	parse := func() Ruleset {
		s, warnings, err := Parse(bytes.NewReader(inKernel("", tool+"-save", "-c")), "iptables-"+machinery, r.name)
		if err != nil || len(warnings) > 0 {
			fail("%v %v", warnings, err)
		}
		return s
	}
	sure, possible, sum := r.play(parse(), text)
	counted := tally{}
	for _, table := range parse().Tables {
		for _, c := range table.Chains {
			for _, rule := range c.Rules {
				if rule.Target == "DROP" && rule.Packets > 0 {
					counted[fmt.Sprintf("%s/%s %d", table.Name, c.Name, rule.Number)] = rule.Packets
				}
			}
		}
	}
	agree(sure, possible, counted, func(rule string) bool { return strings.HasSuffix(rule, " 0") }, text)
	inKernel("*mangle\n:OUTPUT ACCEPT\nCOMMIT\n*filter\n:OUTPUT ACCEPT\nCOMMIT\n", tool+"-restore")
	return sum
}
