// SPDX-License-Identifier: Apache-2.0

package ruletrace

import (
	"errors"
	"fmt"
	"net/netip"
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

// leg is one pair of ends that the flow's packets have somewhere on their way.
type leg struct {
	name  string // of its sets
	any   bool   // any sender
	src   []netip.Addr
	sport uint16
	dst   []netip.AddrPort
}

// legs of a family: the flow as it was sent, with the destination translated or not, and with the source translated too.
func (f *Flow) legs(family uint8) []leg {
	var out []leg
	add := func(l leg) {
		if len(l.dst) > 0 && (l.any || len(l.src) > 0) {
			out = append(out, l)
		}
	}
	add(leg{name: "flow", any: len(f.Src) == 0, src: addrsOf(f.Src, family), sport: f.Sport, dst: endsOf(f.Dst, family)})
	add(leg{name: "translated", any: len(f.Src) == 0, src: addrsOf(f.Src, family), sport: f.Sport, dst: endsOf(f.Ends, family)})
	if len(f.Src) > 0 {
		add(leg{name: "masqueraded", src: addrsOf(f.Via, family), dst: endsOf(f.Ends, family)})
	}
	return out
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

func endsOf(all []netip.AddrPort, family uint8) []netip.AddrPort {
	var out []netip.AddrPort
	seen := map[netip.AddrPort]bool{}
	for _, a := range all {
		if a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port()); is(a.Addr(), family) && !seen[a] {
			seen[a] = true
			out = append(out, a)
		}
	}
	return out
}
