// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"net/netip"
	"strconv"
	"strings"
)

// leadsTo reports whether a translation's target, "ADDR[-ADDR][:PORT[-PORT]]" as iptables-save and nft print it, may have given the address
// and port that the kernel chose. A target that is not understood, or a choice that is not known, may be.
func leadsTo(target, chosen string) bool {
	to, err := netip.ParseAddrPort(chosen)
	if err != nil || target == "" {
		return chosen == "" || target == "" || strings.HasPrefix(chosen, target)
	}
	addrs, ports := cutPorts(target)
	lo, hi, ranged := strings.Cut(addrs, "-")
	if !ranged {
		hi = lo
	}
	from, err1 := netip.ParseAddr(lo)
	until, err2 := netip.ParseAddr(hi)
	if addrs != "" && err1 == nil && err2 == nil && (to.Addr().Less(from) || until.Less(to.Addr())) {
		return false
	}
	return ports == "" || portFits(ports, to.Port())
}

// cutPorts parts an address, or two, from the ports behind; IPv6 has brackets when there are ports.
func cutPorts(target string) (addrs, ports string) {
	if rest, ok := strings.CutPrefix(target, "["); ok {
		addrs, ports, _ = strings.Cut(rest, "]")
		return strings.NewReplacer("[", "", "]", "").Replace(addrs), strings.TrimPrefix(ports, ":")
	}
	if strings.Count(target, ":") > 1 {
		return target, ""
	}
	addrs, ports, _ = strings.Cut(target, ":")
	return addrs, ports
}

// portFits reads "PORT" and "PORT-PORT"; what follows a slash is where the range begins to be used.
func portFits(ports string, port uint16) bool {
	ports, _, _ = strings.Cut(ports, "/")
	lo, hi, ranged := strings.Cut(ports, "-")
	if !ranged {
		hi = lo
	}
	from, err1 := strconv.ParseUint(lo, 10, 16)
	until, err2 := strconv.ParseUint(hi, 10, 16)
	return err1 != nil || err2 != nil || uint64(port) >= from && uint64(port) <= until
}

// destinationFits is leadsTo for a destination: a port that is not named stays (net/netfilter/nf_nat_core.c, nf_nat_l4proto_unique_tuple).
func destinationFits(target, chosen string, dport uint16) bool {
	to, err := netip.ParseAddrPort(chosen)
	if _, ports := cutPorts(target); err == nil && target != "" && ports == "" && to.Port() != dport && to.Port() != 0 {
		return false
	}
	return leadsTo(target, chosen)
}

// redirectsTo: the address is one of the node's own, the port is the given one or stays.
func redirectsTo(ports, chosen string, dport uint16) bool {
	to, err := netip.ParseAddrPort(chosen)
	if err != nil {
		return true
	}
	if ports == "" {
		return to.Port() == dport
	}
	return portFits(ports, to.Port())
}
