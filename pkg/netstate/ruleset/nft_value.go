// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// value is what an expression is for a packet.
type value struct {
	none    bool // the packet does not have it: no rule with it matches
	unknown bool // it is not known, or the expression is not
	random  bool // unknown, and each value has its turn (numgen)
	of      any  // for random: how many values there are, a float64
	text    string
	names   []string // other words for text: of a protocol
	addr    netip.Addr
	num     uint64
	isNum   bool
	parts   []value // of a concatenation
}

func textValue(s string) value {
	if a, err := netip.ParseAddr(s); err == nil {
		return value{text: a.Unmap().String(), addr: a.Unmap()}
	}
	if n, err := strconv.ParseUint(s, 0, 64); err == nil {
		return numValue(n)
	}
	return value{text: s}
}

func numValue(n uint64) value {
	return value{text: strconv.FormatUint(n, 10), num: n, isNum: true}
}

func addrValue(a netip.Addr, v6 bool) value {
	if !a.IsValid() || a.Is6() != v6 {
		return value{none: true}
	}
	return value{text: a.String(), addr: a}
}

// protocolValue is a protocol under all of its names.
func protocolValue(proto string) value { return value{text: proto, names: protocolNames[proto]} }

// renamed: some part of the value has other names.
func (v value) renamed() bool { return len(v.names) > 0 || slices.ContainsFunc(v.parts, value.renamed) }

// key is a value as the key of a set; ok is false when some part has no single value.
func (v value) key() (string, bool) {
	if v.none || v.unknown {
		return "", false
	}
	if v.parts == nil {
		return v.text, true
	}
	var b strings.Builder
	for _, p := range v.parts {
		k, ok := p.key()
		if !ok {
			return "", false
		}
		b.WriteString(k + "\x00")
	}
	return b.String(), true
}

// eval is an expression for a packet whose mark rules may have set.
func eval(e any, p *Packet, mark uint32) value {
	switch x := e.(type) {
	case string:
		return textValue(x)
	case float64:
		return numValue(uint64(x))
	case bool:
		return value{text: fmt.Sprint(x)}
	case map[string]any:
		for op, arg := range x { // one key
			return evalOp(op, arg, p, mark)
		}
	}
	return value{unknown: true}
}

func evalOp(op string, arg any, p *Packet, mark uint32) value {
	switch op {
	case "payload":
		return payload(field(arg, "protocol"), field(arg, "field"), p)
	case "meta":
		return meta(field(arg, "key"), p, mark)
	case "fib":
		return fib(arg, p)
	case "concat":
		return concat(arg, p, mark)
	case "&", "|", "^", "<<", ">>":
		return arithmetic(op, arg, p, mark)
	case "numgen":
		m, _ := arg.(map[string]any)
		return value{unknown: true, random: true, of: m["mod"]}
	case "elem":
		if m, ok := arg.(map[string]any); ok {
			return eval(m["val"], p, mark)
		}
	}
	return value{unknown: true}
}

// field is a string of an object.
func field(o any, name string) string {
	m, _ := o.(map[string]any)
	s, _ := m[name].(string)
	return s
}

func payload(proto, name string, p *Packet) value {
	six := p.Dst.Is6()
	switch proto + " " + name {
	case "ip saddr":
		return addrValue(p.Src, false)
	case "ip daddr":
		return addrValue(p.Dst, false)
	case "ip6 saddr":
		return addrValue(p.Src, true)
	case "ip6 daddr":
		return addrValue(p.Dst, true)
	case "ip protocol":
		if six {
			return value{none: true}
		}
		return protocolValue(p.Proto)
	case "ip6 nexthdr":
		if !six {
			return value{none: true}
		}
		return protocolValue(p.l4proto())
	}
	if name != "sport" && name != "dport" {
		return value{unknown: true}
	}
	switch {
	case proto == "th" && (p.Proto == "tcp" || p.Proto == "udp" || p.Proto == "sctp"), proto == p.Proto:
		if name == "sport" {
			return numValue(uint64(p.Sport))
		}
		return numValue(uint64(p.Dport))
	case proto == "th" || proto == "tcp" || proto == "udp" || proto == "sctp" || proto == "dccp" || proto == "udplite":
		return value{none: true} // a rule about another protocol
	}
	return value{unknown: true}
}

func (p *Packet) l4proto() string {
	if p.Proto == "icmp" && p.Dst.Is6() {
		return "ipv6-icmp"
	}
	return p.Proto
}

func meta(key string, p *Packet, mark uint32) value {
	switch key {
	case "l4proto":
		return protocolValue(p.l4proto())
	case "mark":
		if p.blurred {
			return value{unknown: true}
		}
		return numValue(uint64(mark))
	case "iifname", "iif":
		return value{text: p.In, unknown: p.In == UnknownDevice}
	case "oifname", "oif":
		return value{text: p.Out, unknown: p.Out == UnknownDevice}
	case "nfproto":
		if p.Dst.Is6() {
			return value{text: "ipv6"}
		}
		return value{text: "ipv4"}
	case "protocol":
		if p.Dst.Is6() {
			return value{text: "ip6"}
		}
		return value{text: "ip"}
	}
	return value{unknown: true}
}

// fib knows one answer: whether an address is the node's own.
func fib(arg any, p *Packet) value {
	m, _ := arg.(map[string]any)
	flags := fmt.Sprint(m["flags"])
	if field(arg, "result") != "type" || strings.Contains(flags, "iif") || strings.Contains(flags, "oif") {
		return value{unknown: true}
	}
	local := p.LocalDst
	if strings.Contains(flags, "saddr") {
		local = p.LocalSrc
	}
	if local == nil || !*local { // unicast, broadcast, multicast, ...
		return value{unknown: local == nil, text: "other"}
	}
	return value{text: "local"}
}

func concat(arg any, p *Packet, mark uint32) value {
	list, _ := arg.([]any)
	if len(list) == 0 || len(list) > 16 {
		return value{unknown: true}
	}
	var v value
	for _, e := range list {
		part := eval(e, p, mark)
		v.none, v.unknown = v.none || part.none, v.unknown || part.unknown
		v.parts = append(v.parts, part)
	}
	return v
}

func arithmetic(op string, arg any, p *Packet, mark uint32) value {
	list, _ := arg.([]any)
	if len(list) != 2 {
		return value{unknown: true}
	}
	a, b := eval(list[0], p, mark), eval(list[1], p, mark)
	if !a.isNum || !b.isNum {
		return value{unknown: true, none: a.none || b.none}
	}
	switch op {
	case "&":
		return numValue(a.num & b.num)
	case "|":
		return numValue(a.num | b.num)
	case "^":
		return numValue(a.num ^ b.num)
	case "<<":
		return numValue(a.num << min(b.num, 63) & 0xffffffff)
	}
	return numValue(a.num >> min(b.num, 63))
}
