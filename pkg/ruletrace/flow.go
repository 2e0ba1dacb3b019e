// SPDX-License-Identifier: Apache-2.0

package ruletrace

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Flow is what is traced: packets of one flow in both directions, plain or inside a tunnel.
type Flow struct {
	Proto uint8 // IPPROTO_*
	// Src are the sender's addresses; none stands for any sender. Sport 0 stands for any port.
	Src   []netip.Addr
	Sport uint16
	// Dst are the receiver's addresses and ports; port 0 stands for any.
	Dst []netip.AddrPort
	// Ends are what destinations are translated to, Via what the source may be translated to on the way there.
	Ends []netip.AddrPort
	Via  []netip.Addr
	// Outer are the families, 4 or 6, of tunnel packets that can carry the flow's; VXLANPorts are the ports of tunnels besides the customary.
	Outer      []uint8
	VXLANPorts []uint16
}

// maxAddresses bounds the sets of a table.
const maxAddresses = 8192

func (f *Flow) check() error {
	if len(f.Dst) == 0 {
		return errors.New("no destination address: name one")
	}
	if n := len(f.Src) + len(f.Dst) + len(f.Ends) + len(f.Via); n > maxAddresses {
		return fmt.Errorf("%d addresses are more than the %d that --trace-rules can match: name a narrower source or destination", n, maxAddresses)
	}
	return nil
}

// has reports whether the flow has addresses of a family, 4 or 6.
func (f *Flow) has(family uint8) bool {
	for _, a := range f.Dst {
		if is(a.Addr(), family) {
			return true
		}
	}
	return false
}

func is(a netip.Addr, family uint8) bool { return a.IsValid() && a.Unmap().Is4() == (family == 4) }

// families are those of the packets that may belong to the flow: its own, and those of tunnels.
func (f *Flow) families() []uint8 {
	var out []uint8
	for _, fam := range []uint8{4, 6} {
		carries := false
		for _, o := range f.Outer {
			carries = carries || o == fam
		}
		if f.has(fam) || carries {
			out = append(out, fam)
		}
	}
	return out
}

// leg is one pair of ends that the flow's packets have somewhere on their way. Port 0 stands for any.
type leg struct {
	name         string // of its sets
	any          bool   // any sender
	src          []netip.Addr
	sport, dport uint16
	dst          []netip.Addr
}

// maxPorts bounds the rules: with more ports, any will do, and what is not the flow's is told apart afterwards.
const maxPorts = 16

// legs of a family: the flow as it was sent, with the destination translated or not, and with the source translated too; each for every port
// of a destination.
func (f *Flow) legs(family uint8) []leg {
	var out []leg
	add := func(l leg, ends []netip.AddrPort) {
		ports := portsOf(ends, family)
		for _, p := range ports {
			one := l
			one.name, one.dport, one.dst = fmt.Sprintf("%s_%d", l.name, p), p, addrsAt(ends, family, p, len(ports) == 1)
			if l.any || len(l.src) > 0 {
				out = append(out, one)
			}
		}
	}
	add(leg{name: "flow", any: len(f.Src) == 0, src: addrsOf(f.Src, family), sport: f.Sport}, f.Dst)
	add(leg{name: "translated", any: len(f.Src) == 0, src: addrsOf(f.Src, family), sport: f.Sport}, f.Ends)
	if len(f.Src) > 0 {
		add(leg{name: "masqueraded", src: addrsOf(f.Via, family)}, f.Ends)
	}
	return out
}

// portsOf are the ports of a family's ends, or 0 for any.
func portsOf(all []netip.AddrPort, family uint8) []uint16 {
	var out []uint16
	for _, a := range all {
		if is(a.Addr(), family) && !slices.Contains(out, a.Port()) {
			out = append(out, a.Port())
		}
	}
	if len(out) > maxPorts || slices.Contains(out, 0) {
		return []uint16{0}
	}
	return out
}

// addrsAt are the addresses of the ends with a port, or of all of them.
func addrsAt(all []netip.AddrPort, family uint8, port uint16, whichever bool) []netip.Addr {
	var out []netip.Addr
	for _, a := range all {
		if whichever || a.Port() == port {
			out = append(out, a.Addr())
		}
	}
	return addrsOf(out, family)
}

func addrsOf(all []netip.Addr, family uint8) []netip.Addr {
	var out []netip.Addr
	seen := map[netip.Addr]bool{}
	for _, a := range all {
		if a = a.Unmap(); is(a, family) && !seen[a] {
			seen[a] = true
			out = append(out, a)
		}
	}
	return out
}
