// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"bytes"
	"encoding/binary"
)

// Info is what IPT_SO_GET_INFO tells of a table: where its built-in chains begin (struct ipt_getinfo, include/uapi/linux/netfilter_ipv4/
// ip_tables.h; IPv6 has the same). Hooks that the table does not have begin at NoHook.
type Info struct {
	Hooks [5]uint32
	Size  uint32 // of the rules, in bytes
}

// NoHook stands for a hook in which a table has no chain.
const NoHook = ^uint32(0)

// Sizes of struct ipt_getinfo, of its first part, and of struct ipt_get_entries before the rules.
const (
	InfoSize      = 84
	EntriesHeader = 40
	tableName     = 32
)

// ParseInfo reads struct ipt_getinfo, native byte order (little endian on all that nettrace is built for).
func ParseInfo(b []byte) (Info, bool) {
	var i Info
	if len(b) < InfoSize {
		return i, false
	}
	valid := binary.NativeEndian.Uint32(b[tableName:])
	for h := range i.Hooks {
		i.Hooks[h] = NoHook
		if valid>>h&1 == 1 {
			i.Hooks[h] = binary.NativeEndian.Uint32(b[tableName+4+4*h:])
		}
	}
	i.Size = binary.NativeEndian.Uint32(b[InfoSize-4:])
	return i, true
}

// layout is what differs between struct ipt_entry and struct ip6t_entry, in bytes.
type layout struct{ target, matches int }

var layouts = map[string]layout{"ip": {88, 112}, "ip6": {140, 168}}

// hookChains are the built-in chains by hook (enum nf_inet_hooks).
var hookChains = [5]string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}

// Where struct xt_entry_target has its name, and the name of a user chain follows in a target named ERROR.
const (
	targetName  = 2
	targetData  = 32
	nameLength  = 29
	errorTarget = "ERROR"
)

// GivePlaces tells each rule of a table of iptables-legacy where the kernel keeps it: rules is what IPT_SO_GET_ENTRIES gives behind its
// header. It is false, and no rule of the table has a place, when rules and the saved text do not agree, as after a change between the two.
func GivePlaces(s *Ruleset, table string, info Info, rules []byte) bool {
	l, known := layouts[s.Family]
	var t *Table
	for i := range s.Tables {
		if s.Tables[i].Name == table {
			t = &s.Tables[i]
		}
	}
	if !known || t == nil {
		return false
	}
	begins := map[uint32]string{}
	for h, at := range info.Hooks {
		if at != NoHook {
			begins[at] = hookChains[h]
		}
	}
	type span struct{ begin, end uint32 }
	chains := map[string][]span{}
	chain := ""
	for at := 0; at < len(rules); {
		if at+l.matches > len(rules) {
			return false
		}
		target, next := int(binary.NativeEndian.Uint16(rules[at+l.target:])), int(binary.NativeEndian.Uint16(rules[at+l.target+2:]))
		if target < l.matches || target+targetData > next || at+next > len(rules) {
			return false
		}
		if c := begins[uint32(at)]; c != "" {
			chain = c
		}
		if name, isHead := chainHead(rules[at+target : at+next]); isHead {
			chain = name
		} else {
			chains[chain] = append(chains[chain], span{uint32(at), uint32(at + next)})
		}
		at += next
	}
	for i := range t.Chains {
		if len(chains[t.Chains[i].Name]) != len(t.Chains[i].Rules)+1 { // the last one is the policy, or the return from a user chain
			return false
		}
	}
	for i := range t.Chains {
		for k := range t.Chains[i].Rules {
			p := chains[t.Chains[i].Name][k]
			t.Chains[i].Rules[k].Begin, t.Chains[i].Rules[k].End = p.begin, p.end
		}
	}
	return true
}

func chainHead(target []byte) (string, bool) {
	if cString(target[targetName:targetName+nameLength]) != errorTarget || len(target) < targetData+nameLength+1 {
		return "", false
	}
	return clean(cString(target[targetData : targetData+nameLength+1])), true
}

func cString(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}
