// SPDX-License-Identifier: Apache-2.0

package ruleset

import "encoding/binary"

// handles are the numbers of a table's rules.
type handles map[uint64]standing

// standing is a rule's chain and position, both from 0, and the handle of the rule before it, 0 for the first.
type standing struct {
	chain, rule int
	before      uint64
}

func (h handles) add(handle uint64, chain, rule int, before uint64) uint64 {
	if handle != 0 {
		h[handle] = standing{chain, rule, before}
	}
	return handle
}

// in finds the rule to which an expression belongs, from what lies in memory before it. A rule's header holds its handle and how long the rule
// is. What looks like the header of a rule that exists must also have before it what the kernel puts there: the rule that stands before it, or
// the size of the chain. Two such places, or none, are no answer.
func (h handles) in(memory []byte) (standing, bool) {
	var found standing
	n := 0
	for at := len(memory) - 8; at >= 8; at -= 8 {
		for _, read := range []func(handles, []byte, int) (standing, bool){handles.inBlob, handles.inList} {
			if s, ok := read(h, memory, at); ok {
				found = s
				n++
			}
		}
	}
	return found, n == 1
}

// header is that of a rule: where its expressions end, and its handle.
type header struct {
	end    int
	handle uint64
}

// blobHeader reads struct nft_rule_dp (since 5.17): a bit for the last one, twelve for the length, 42 for the handle.
func blobHeader(memory []byte, at int) (header, bool) {
	v := word(memory, at)
	size := int(v >> 1 & 0xfff)
	return header{at + 8 + size, v >> 13 & (1<<42 - 1)}, v&1 == 0 && v>>55 == 0 && size > 0 && size%8 == 0
}

// inBlob looks for the header at a place: since 5.17 a chain is its size and its rules one after the other (struct nft_rule_blob).
func (h handles) inBlob(memory []byte, at int) (standing, bool) {
	me, ok := blobHeader(memory, at)
	s, known := h[me.handle]
	if !ok || !known || me.end <= len(memory) {
		return s, false
	}
	if s.before == 0 {
		size := word(memory, at-8)
		return s, size >= uint64(me.end-at) && size < 1<<32
	}
	for k := at - 8; k >= 0; k -= 8 {
		if b, ok := blobHeader(memory, k); ok && b.end == at {
			return s, b.handle == s.before
		}
	}
	return s, false
}

// inList looks for the header at a place before 5.17: a rule of its own (struct nft_rule), with two pointers before 42 bits of handle, two of
// generation, twelve of length and one for user data.
func (h handles) inList(memory []byte, at int) (standing, bool) {
	if at < 16 || !kernelPointer(word(memory, at-8)) || !kernelPointer(word(memory, at-16)) {
		return standing{}, false
	}
	v := word(memory, at)
	size := int(v >> 44 & 0xfff)
	s, known := h[v&(1<<42-1)]
	return s, known && v>>57 == 0 && size%8 == 0 && at+8+size > len(memory)
}

// kernelPointer: the upper half of the address space (Documentation/arch/x86/x86_64/mm.rst, arch/arm64/memory.rst).
func kernelPointer(v uint64) bool { return v>>47 == 1<<17-1 }

func word(b []byte, at int) uint64 { return binary.NativeEndian.Uint64(b[at:]) }
