// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Packet is a packet as it is at a hook.
type Packet struct {
	Proto           string // tcp, udp, icmp, sctp; others as a number
	Src, Dst        netip.Addr
	Sport, Dport    uint16
	In, Out         string // devices; "" when there is none at the hook
	PhysIn, PhysOut string // bridge ports, for a bridged packet
	Mark            uint32
	CTState         string   // NEW, ESTABLISHED, RELATED, INVALID, UNTRACKED; "" when unknown
	CTStatus        []string // DST_NAT, SRC_NAT
	SYN             bool     // TCP: SYN without ACK, RST, FIN
	LocalSrc        *bool    // the address is one of the node's own; nil when unknown
	LocalDst        *bool
	Sets            *IPSets // the namespace's ipsets, which rules ask; nil when they were not read

	blurred bool // the mark is not known where the walk is
}

// UnknownDevice stands for a device that there is but that is not known. No device can have this name.
const UnknownDevice = "/"

// answer is what a match says: no, maybe or yes.
type answer int

const (
	no answer = iota
	maybe
	yes
)

func is(b bool) answer {
	if b {
		return yes
	}
	return no
}

func not(a answer) answer { return yes - a }

// condition is one option of a rule: "! --dport 80" is {true, "--dport", ["80"]}.
type condition struct {
	negated bool
	option  string
	args    []string
}

// conditions cuts a rule's words into options; the target and its options come last and are returned apart.
func conditions(words []string) (conds []condition, target []condition) {
	negated, inTarget := false, false
	for i := 0; i < len(words); i++ {
		w := words[i]
		if w == "!" {
			negated = true
			continue
		}
		if !strings.HasPrefix(w, "-") {
			continue // belongs to nothing that is known
		}
		c := condition{negated: negated, option: w}
		negated = false
		for i+1 < len(words) && words[i+1] != "!" && (!strings.HasPrefix(words[i+1], "-") || isNumber(words[i+1]) || takesText(w)) {
			c.args = append(c.args, words[i+1])
			i++
			if takesText(w) {
				break
			}
		}
		if w == "-j" || w == "-g" {
			inTarget = true
		}
		if inTarget {
			target = append(target, c)
		} else {
			conds = append(conds, c)
		}
	}
	return conds, target
}

func isNumber(s string) bool { _, err := strconv.Atoi(s); return err == nil }

func takesText(option string) bool { return option == "--comment" || option == "--log-prefix" }

func (c *condition) arg(i int) string {
	if i < len(c.args) {
		return c.args[i]
	}
	return ""
}

// matches says whether the packet with its mark, which rules before may have set, meets every condition.
func matches(conds []condition, p *Packet, mark uint32) answer {
	a := yes
	for i := range conds {
		if ofSetMatch(conds[i].option) {
			continue
		}
		m := one(&conds[i], p, mark)
		if conds[i].option == "--match-set" {
			m = setMatch(conds, i, p)
		}
		if conds[i].negated {
			m = not(m)
		}
		a = min(a, m)
		if a == no {
			return no
		}
	}
	return a
}

// one answers a single condition. Options that only say more about one that was answered are yes; what is not known is maybe.
func one(c *condition, p *Packet, mark uint32) answer {
	v := c.arg(0)
	switch c.option {
	case "-s", "--source":
		return prefix(v, p.Src)
	case "-d", "--destination":
		return prefix(v, p.Dst)
	case "-p", "--protocol":
		return protocol(v, p.Proto)
	case "-i":
		return device(v, p.In)
	case "-o":
		return device(v, p.Out)
	case "--physdev-in":
		return device(v, p.PhysIn)
	case "--physdev-out":
		return device(v, p.PhysOut)
	case "--physdev-is-in":
		return is(p.PhysIn != "")
	case "--physdev-is-bridged":
		return is(p.PhysIn != "" && p.PhysOut != "")
	case "--dport", "--destination-port":
		return ports(v, p.Dport)
	case "--sport", "--source-port":
		return ports(v, p.Sport)
	case "--dports", "--destination-ports":
		return ports(v, p.Dport)
	case "--sports", "--source-ports":
		return ports(v, p.Sport)
	case "--ports":
		return max(ports(v, p.Dport), ports(v, p.Sport))
	case "--ctstate", "--state":
		return ctstate(v, p)
	case "--mark":
		if p.blurred {
			return maybe
		}
		return marked(v, mark)
	case "--src-type":
		return addrType(v, p.Src, p.LocalSrc)
	case "--dst-type":
		return addrType(v, p.Dst, p.LocalDst)
	case "--syn":
		return is(p.SYN)
	case "--tcp-flags":
		return tcpFlags(v, c.arg(1), p)
	case "--src-range":
		return inRange(v, p.Src)
	case "--dst-range":
		return inRange(v, p.Dst)
	case "--comment", "--nfacct-name":
		return yes
	case "--set": // of recent: it remembers the address and always matches (net/netfilter/xt_recent.c)
		return pickAnswer(len(c.args) == 0, yes, maybe)
	case "--name", "--mask", "--rsource", "--rdest": // say how recent remembers
		return yes
	case "-m", "--match":
		return module(v)
	}
	return maybe
}

// module: naming a match says nothing by itself, unless the match decides without options or in a way that only the kernel knows.
func module(name string) answer {
	switch name {
	case "tcp", "udp", "sctp", "icmp", "icmp6", "ipv6-icmp", "comment", "conntrack", "state", "mark", "multiport", "addrtype", "physdev", "nfacct", "iprange", "statistic", "limit", "set", "recent":
		return yes // their options are answered, or maybe
	}
	return maybe
}

func prefix(v string, a netip.Addr) answer {
	if p, err := netip.ParsePrefix(v); err == nil {
		return is(p.Contains(a))
	}
	if x, err := netip.ParseAddr(v); err == nil {
		return is(x == a)
	}
	return maybe
}

func protocol(v, proto string) answer {
	switch v {
	case "all", "0":
		return yes
	case "icmpv6", "ipv6-icmp":
		return is(proto == "icmp")
	}
	return is(v == proto || slices.Contains(protocolNames[proto], v))
}

// protocolNames are the names of protocols that packets have as a number: IP and IPv6 inside of IP, by /etc/protocols of Debian and of Red Hat.
// What is called ipip there is another protocol, 94.
var protocolNames = map[string][]string{"4": {"ipencap", "ipv4"}, "41": {"ipv6"}}

// device compares names; "cali+" means every name that starts so.
func device(v, dev string) answer {
	if dev == UnknownDevice {
		return pickAnswer(v == "+", yes, maybe)
	}
	if start, ok := strings.CutSuffix(v, "+"); ok {
		return is(strings.HasPrefix(dev, start) && (dev != "" || start == ""))
	}
	return is(v == dev)
}

// ports reads "80", "80:90" and lists of these with commas.
func ports(v string, port uint16) answer {
	for _, item := range strings.Split(v, ",") {
		lo, hi, ranged := strings.Cut(item, ":")
		from, err1 := portNumber(lo, 0)
		to := from
		var err2 error
		if ranged {
			to, err2 = portNumber(hi, 65535)
		}
		if err1 != nil || err2 != nil {
			return maybe
		}
		if port >= from && port <= to {
			return yes
		}
	}
	return no
}

func portNumber(s string, empty uint16) (uint16, error) {
	if s == "" {
		return empty, nil
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err
}

func ctstate(v string, p *Packet) answer {
	a := no
	for _, s := range strings.Split(v, ",") {
		switch {
		case s == "DNAT":
			a = max(a, is(slices.Contains(p.CTStatus, "DST_NAT")))
		case s == "SNAT":
			a = max(a, is(slices.Contains(p.CTStatus, "SRC_NAT")))
		case p.CTState == "":
			a = max(a, maybe)
		default:
			a = max(a, is(s == p.CTState))
		}
	}
	return a
}

// marked reads "0x4000/0x4000" and "0x1".
func marked(v string, mark uint32) answer {
	value, mask, ok := cutMark(v)
	if !ok {
		return maybe
	}
	return is(mark&mask == value)
}

func cutMark(v string) (value, mask uint32, ok bool) {
	a, b, has := strings.Cut(v, "/")
	x, err := strconv.ParseUint(a, 0, 32)
	if err != nil {
		return 0, 0, false
	}
	m := uint64(0xffffffff)
	if has {
		if m, err = strconv.ParseUint(b, 0, 32); err != nil {
			return 0, 0, false
		}
	}
	return uint32(x), uint32(m), true
}

// addrType: an address of the node's own is of type LOCAL and of no other; what another one is, the snapshot does not know.
func addrType(v string, a netip.Addr, local *bool) answer {
	types := strings.Split(v, ",")
	if a.Is6() {
		return addrType6(types, a, local)
	}
	asked := slices.Contains(types, "LOCAL")
	switch {
	case local == nil:
		return maybe
	case *local:
		return is(asked)
	case asked && len(types) == 1:
		return no
	}
	return maybe
}

// addrType6: for IPv6 the kinds of address must all be right, one's own are unicast too, and of the kinds of route one is enough
// (net/netfilter/xt_addrtype.c, match_type6).
func addrType6(types []string, a netip.Addr, local *bool) answer {
	result, routes := yes, false
	for _, t := range types {
		switch t {
		case "UNICAST":
			result = min(result, is(!a.IsMulticast() && !a.IsUnspecified()))
		case "MULTICAST":
			result = min(result, is(a.IsMulticast()))
		case "UNSPEC":
			result = min(result, is(a.IsUnspecified()))
		default:
			routes = true
		}
	}
	if !routes || result == no {
		return result
	}
	asked := slices.Contains(types, "LOCAL")
	switch {
	case local == nil, !*local && slices.ContainsFunc(types, func(t string) bool { return t == "ANYCAST" || t == "PROHIBIT" || t == "UNREACHABLE" }):
		return maybe
	}
	return is(asked && *local)
}

// tcpFlags: iptables-save prints --syn as "--tcp-flags FIN,SYN,RST,ACK SYN". Of a packet it is known whether SYN is its only flag.
func tcpFlags(mask, set string, p *Packet) answer {
	for _, f := range strings.Split(mask, ",") {
		if !slices.Contains([]string{"FIN", "SYN", "RST", "ACK", "PSH", "URG", "NONE"}, f) {
			return maybe
		}
	}
	asked := slices.Contains(strings.Split(mask, ","), "SYN")
	switch {
	case p.Proto != "tcp":
		return no
	case p.SYN:
		return is(asked && set == "SYN" || !asked && set == "NONE")
	case mask == "FIN,SYN,RST,ACK" && set == "SYN":
		return no
	}
	return maybe
}

// inRange reads "10.0.0.1-10.0.0.9" of the match iprange.
func inRange(v string, a netip.Addr) answer {
	lo, hi, ok := strings.Cut(v, "-")
	if !ok {
		hi = lo
	}
	from, err1 := netip.ParseAddr(lo)
	to, err2 := netip.ParseAddr(hi)
	if err1 != nil || err2 != nil {
		return maybe
	}
	return is(from.Compare(a) <= 0 && a.Compare(to) <= 0)
}
