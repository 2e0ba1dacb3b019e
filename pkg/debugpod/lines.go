// SPDX-License-Identifier: Apache-2.0

package debugpod

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"
)

// MaxLine bounds one line of a program's output; what is longer is passed over and counted.
const MaxLine = 4 << 20

// Lines takes a stream apart into lines. A line that is longer than MaxLine is passed over. It is an io.Writer for one goroutine.
type Lines struct {
	Each func(line []byte) error // without the line's end; the bytes are the callee's until it returns
	Long atomic.Int64            // lines that were passed over; may be read at any time

	part []byte
	skip bool
}

// Write implements io.Writer.
func (l *Lines) Write(p []byte) (int, error) {
	all := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		end := i >= 0
		if !end {
			i = len(p)
		}
		if !l.skip && len(l.part)+i > MaxLine {
			l.part, l.skip = nil, true
			l.Long.Add(1)
		}
		if !l.skip {
			l.part = append(l.part, p[:i]...)
		}
		if !end {
			break
		}
		p = p[i+1:]
		if l.skip {
			l.skip = false
			continue
		}
		line := l.part
		l.part = l.part[:0]
		if err := l.Each(line); err != nil {
			return all, err
		}
	}
	return all, nil
}

// Flush hands on a last line without an end, as a program that was killed leaves it. It is reported with ok false when it was nothing.
func (l *Lines) Flush() (line []byte, ok bool) {
	line, l.part = l.part, nil
	return line, len(line) > 0
}

// maxSeen bounds what is kept of the lines that were read, 8 bytes each.
const maxSeen = 1 << 20

// Resumed finds where a stream that begins anew goes on behind what was read of it before. The beginning may be gone, as logs are rotated.
type Resumed struct {
	seed maphash.Seed
	seen []uint64
	at   int // while the lines that come are known: the index of the next one; -1: all that come are new
	// Gap is true when lines may be missing between what was read before and what came after.
	Gap bool
}

// NewResumed begins a stream of which nothing was read.
func NewResumed() *Resumed { return &Resumed{seed: maphash.MakeSeed(), at: -1} }

// Again says that the stream begins anew.
func (r *Resumed) Again() {
	r.at = 0
}

// New reports whether a line was not there before.
func (r *Resumed) New(line []byte) bool {
	h := maphash.Bytes(r.seed, line)
	if r.at == 0 && len(r.seen) > 0 && r.seen[0] != h { // the beginning is gone: where does this one belong?
		r.at = r.find(h)
	}
	if r.at >= 0 && r.at < len(r.seen) {
		if r.seen[r.at] == h {
			r.at++
			return false
		}
		r.Gap = true
	}
	r.at = -1
	if len(r.seen) < maxSeen {
		r.seen = append(r.seen, h)
	}
	return true
}

// find is the index of a line that was seen; past the end, with a gap, when it was not.
func (r *Resumed) find(h uint64) int {
	for i := len(r.seen) - 1; i >= 0; i-- {
		if r.seen[i] == h {
			return i
		}
	}
	r.Gap = true
	return len(r.seen)
}
