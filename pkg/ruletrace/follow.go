// SPDX-License-Identifier: Apache-2.0

package ruletrace

// maxFollowed bounds the packets whose records are expected at a time in a namespace.
const maxFollowed = 4096

// follower tells which packet a record of nftables is about: the kernel shows the packet with the first record of each base chain, and
// with the others only its number (net/netfilter/nf_tables_trace.c).
type follower struct {
	packets map[uint32]Packet
}

// complete fills in the packet. It is false for a record whose packet was never shown.
func (f *follower) complete(r *Record) bool {
	if r.Packet != (Packet{}) {
		if f.packets == nil || len(f.packets) >= maxFollowed {
			f.packets = map[uint32]Packet{}
		}
		f.packets[r.ID] = r.Packet
		return true
	}
	p, ok := f.packets[r.ID]
	r.Packet = p
	return ok
}

// forget is called when records were lost: a number may mean another packet by now.
func (f *follower) forget() { f.packets = nil }
