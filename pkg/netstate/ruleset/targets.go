// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"slices"
	"strings"
)

// passing are targets after which a packet goes on with the next rule, without a change that rules could ask for (iptables-extensions(8)).
var passing = []string{"", "RETURN", "LOG", "NFLOG", "ULOG", "TRACE", "AUDIT", "CT", "NOTRACK", "MARK", "CONNMARK", "HMARK", "TCPMSS", "TCPOPTSTRIP", "CHECKSUM", "CLASSIFY", "TOS", "DSCP", "ECN", "TTL", "HL",
	"SECMARK", "CONNSECMARK", "SET", "LED", "IDLETIMER", "RATEEST", "TEE"}

// goesOn is false for a target whose effect on the packet is not known: it may end it, or set its mark.
func goesOn(o *outcome) bool {
	return slices.Contains(passing, o.verdict)
}

// ends: the target is a verdict of the table.
func ends(target string) bool {
	switch target {
	case "ACCEPT", "DROP", "REJECT", "QUEUE", "NFQUEUE", "DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP":
		return true
	}
	return false
}

// maxUnknown bounds the words about what is not known of a rule, in bytes.
const maxUnknown = 300

// unknownConditions are a rule's matches whose answer is not known, as they stand in the rule.
func unknownConditions(conds []condition, p *Packet, mark uint32) []string {
	var words []string
	for i := range conds {
		if matches(conds[i:i+1], p, mark) != maybe {
			continue
		}
		c := &conds[i]
		if c.negated {
			words = append(words, "!")
		}
		words = append(append(words, c.option), c.args...)
	}
	return oneUnknown(strings.Join(words, " "))
}

func oneUnknown(text string) []string {
	if text == "" {
		return nil
	}
	if len(text) > maxUnknown {
		text = strings.ToValidUTF8(text[:maxUnknown], "") + "..."
	}
	return []string{text}
}

// translation is the option of a target that names an address; "" when it has none.
func translation(args []condition) string {
	for i := range args {
		switch args[i].option {
		case "--to-destination", "--to-source", "--to":
			return args[i].arg(0)
		case "--to-ports":
			return ":" + args[i].arg(0)
		}
	}
	return ""
}
