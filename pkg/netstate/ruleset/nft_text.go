// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"encoding/json"
	"fmt"
	"strings"
)

// maxRuleText bounds a rule in words.
const maxRuleText = 2000

// nftText writes a rule as nft does; statements that are not known stay JSON.
func nftText(expr json.RawMessage) string {
	var statements []map[string]any
	if json.Unmarshal(expr, &statements) != nil {
		return clean(string(expr[:min(len(expr), maxRuleText)]))
	}
	var parts []string
	for _, s := range statements {
		for name, arg := range s {
			parts = append(parts, statementText(name, arg))
		}
	}
	text := clean(strings.Join(parts, " "))
	if len(text) > maxRuleText {
		text = strings.ToValidUTF8(text[:maxRuleText], "") + "..."
	}
	return text
}

func statementText(name string, arg any) string {
	a, _ := arg.(map[string]any)
	switch name {
	case "match":
		op := " " + field(arg, "op") + " "
		if op == " == " || op == " in " {
			op = " "
		}
		return exprText(a["left"]) + op + exprText(a["right"])
	case "vmap":
		return exprText(a["key"]) + " vmap " + exprText(a["data"])
	case "mangle":
		return exprText(a["key"]) + " set " + exprText(a["value"])
	case "jump", "goto":
		return name + " " + field(arg, "target")
	case "dnat", "snat":
		s := name + " to " + exprText(a["addr"])
		if a["port"] != nil {
			s += ":" + exprText(a["port"])
		}
		return s
	case "reject":
		if field(arg, "expr") != "" {
			return "reject with " + field(arg, "type") + " " + field(arg, "expr")
		}
		return "reject"
	case "set":
		return fmt.Sprintf("%s %s { %s }", field(arg, "op"), field(arg, "set"), exprText(a["elem"]))
	case "accept", "drop", "return", "continue", "counter", "masquerade", "redirect", "queue", "log", "notrack":
		return name
	}
	return name + " " + compact(arg)
}

func exprText(e any) string {
	switch x := e.(type) {
	case string:
		return x
	case []any:
		var parts []string
		for _, p := range x {
			parts = append(parts, exprText(p))
		}
		return strings.Join(parts, ",")
	case map[string]any:
		for op, arg := range x {
			return opText(op, arg)
		}
	}
	return compact(e)
}

func opText(op string, arg any) string {
	a, _ := arg.(map[string]any)
	list, _ := arg.([]any)
	switch op {
	case "payload":
		return field(arg, "protocol") + " " + field(arg, "field")
	case "meta":
		if k := field(arg, "key"); k != "iifname" && k != "oifname" {
			return "meta " + k
		}
		return field(arg, "key")
	case "ct":
		return "ct " + field(arg, "key")
	case "fib":
		return "fib " + exprText(a["flags"]) + " " + field(arg, "result")
	case "prefix":
		return fmt.Sprintf("%s/%v", field(arg, "addr"), a["len"])
	case "range":
		if len(list) == 2 {
			return exprText(list[0]) + "-" + exprText(list[1])
		}
	case "concat":
		return joined(list, " . ")
	case "set":
		return "{ " + joined(list, ", ") + " }"
	case "elem":
		return exprText(a["val"])
	case "&", "|", "^", "<<", ">>":
		return joined(list, " "+op+" ")
	case "numgen":
		return fmt.Sprintf("numgen %s mod %v", field(arg, "mode"), a["mod"])
	case "jump", "goto":
		return op + " " + field(arg, "target")
	case "drop", "accept", "return", "continue":
		return op
	}
	return op + " " + compact(arg)
}

// joined writes a list; a pair is an element of a map.
func joined(list []any, sep string) string {
	var parts []string
	for _, e := range list {
		if pair, ok := e.([]any); ok && len(pair) == 2 {
			parts = append(parts, exprText(pair[0])+" : "+exprText(pair[1]))
			continue
		}
		parts = append(parts, exprText(e))
	}
	return strings.Join(parts, sep)
}

func compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return string(b)
}
