// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Filter is the flow to follow. Replies, translated and encapsulated packets are followed too; they need not be named.
type Filter struct {
	Proto  uint8        // ProtoTCP, ProtoUDP, ProtoICMP, ProtoSCTP
	AnySrc bool         // any source; Src is ignored
	Src    []netip.Addr // addresses of the sender
	Dst    []netip.Addr // addresses of the receiver, ClusterIPs included
	Sport  uint16       // 0: any
	Dport  uint16       // 0: any
	// Outer are the families, 4 or 6, of tunnel packets that can carry the flow's. Functions that only the other family reaches are left out.
	Outer []uint8
	// VXLANPorts are UDP ports of tunnels besides the customary 8472 and 4789; at most two.
	VXLANPorts []uint16
}

// maxEnds is the size of the kernel's table of end addresses (bpf/filter.h).
const maxEnds = 4096

func (f *Filter) check() error {
	if len(f.Dst) == 0 {
		return errors.New("no destination address: name one")
	}
	if len(f.Src) == 0 && !f.AnySrc {
		return errors.New("no source address: name one, or 'any'")
	}
	if len(f.Src)+len(f.Dst) > maxEnds {
		return fmt.Errorf("%d addresses are more than the %d that can be followed: name a narrower source or destination", len(f.Src)+len(f.Dst), maxEnds)
	}
	return nil
}

// mayReach reports whether a packet of the flow, or one that carries it, can be of the family.
func (f *Filter) mayReach(family uint8) bool {
	if family == 0 || slices.Contains(f.Outer, family) {
		return true
	}
	for _, a := range append(slices.Clone(f.Src), f.Dst...) {
		if a.Unmap().Is4() == (family == 4) {
			return true
		}
	}
	return false
}

const (
	roleSrc = 1
	roleDst = 2
)

// roles gives each address its role; an address can have both.
func (f *Filter) roles() map[[16]byte]uint8 {
	m := map[[16]byte]uint8{}
	if !f.AnySrc {
		for _, a := range f.Src {
			m[wireAddress(a)] |= roleSrc
		}
	}
	for _, a := range f.Dst {
		m[wireAddress(a)] |= roleDst
	}
	return m
}

// wireAddress is the kernel side's form: IPv4 in the first four bytes.
func wireAddress(a netip.Addr) [16]byte {
	var w [16]byte
	copy(w[:], a.Unmap().AsSlice())
	return w
}

const bitmapWords = 1024

// addrBits is the bitmap that turns away packets of other hosts; it must hash as addr_hash in bpf/filter.h does.
func (f *Filter) addrBits() [bitmapWords]uint64 {
	var bits [bitmapWords]uint64
	for a := range f.roles() {
		set(&bits, addrHash(a))
	}
	return bits
}

func addrHash(a [16]byte) uint16 {
	var w uint32
	for i := 0; i < 16; i += 4 {
		w ^= uint32(a[i]) | uint32(a[i+1])<<8 | uint32(a[i+2])<<16 | uint32(a[i+3])<<24
	}
	return uint16(w * 2654435761 >> 16)
}

// portBits is the bitmap that turns away packets of other ports: all ones when any port will do.
func (f *Filter) portBits() [bitmapWords]uint64 {
	var bits [bitmapWords]uint64
	if f.Dport == 0 && f.Sport == 0 {
		for i := range bits {
			bits[i] = ^uint64(0)
		}
		return bits
	}
	for _, p := range []uint16{f.Dport, f.Sport} {
		if p != 0 {
			set(&bits, p)
		}
	}
	return bits
}

func set(bits *[bitmapWords]uint64, n uint16) { bits[n>>6] |= 1 << (n & 63) }
