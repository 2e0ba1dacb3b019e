// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A recording is a magic line and frames: one byte of type, four bytes of length (little endian), the payload. Events are stored as the
// kernel side wrote them; the names that decoding needs stand before the first event that uses them. So a recording goes through
// the same decoder as a live run. What belongs to the steps after the tracer (flow, places, snapshots, probe) is stored as named
// JSON that this package does not look into.
const (
	captureMagic = "nettrace recording 1\n"

	frameEvent  = 'E' // a ring buffer record
	frameSymbol = 'Y' // 8 bytes address, name
	frameDrop   = 'D' // 4 bytes drop reason, name
	frameReset  = 'R' // 4 bytes reset reason, name
	frameTick   = 'T' // 8 bytes time, 8 bytes events lost so far: the assembler was told that time passed
	frameNote   = 'N' // 1 byte length of the name, name, JSON
	frameEnd    = 'Z' // the recording is whole

	maxEventFrame = 4096
	maxNoteFrame  = 64 << 20
)

// The bounds of what a recording may make a reader hold.
var errTooLong = errors.New("frame is longer than any of its kind can be")

// Capture writes a recording. It is also the Names of the live run: what it is asked for goes into the recording.
type Capture struct {
	w     *bufio.Writer
	names Names
	seen  map[uint64]bool
	err   error
}

// NewCapture starts a recording on w; names resolves what events need.
func NewCapture(w io.Writer, names Names) *Capture {
	c := &Capture{w: bufio.NewWriterSize(w, 1<<16), names: names, seen: map[uint64]bool{}}
	_, c.err = c.w.WriteString(captureMagic)
	return c
}

func (c *Capture) frame(kind byte, parts ...[]byte) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	var head [5]byte
	head[0] = kind
	binary.LittleEndian.PutUint32(head[1:], uint32(n))
	c.write(head[:])
	for _, p := range parts {
		c.write(p)
	}
}

func (c *Capture) write(b []byte) {
	if c.err == nil {
		_, c.err = c.w.Write(b)
	}
}

// name stores a name once; tag keeps the kinds apart in seen.
func (c *Capture) name(kind byte, number uint64, width int, name string) string {
	tag := uint64(kind)<<56 ^ number
	if !c.seen[tag] {
		c.seen[tag] = true
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], number)
		c.frame(kind, b[:width], []byte(name))
	}
	return name
}

// Symbol, DropReason and ResetReason implement Names.
func (c *Capture) Symbol(addr uint64) string {
	return c.name(frameSymbol, addr, 8, c.names.Symbol(addr))
}

// DropReason implements Names.
func (c *Capture) DropReason(r uint32) string {
	return c.name(frameDrop, uint64(r), 4, c.names.DropReason(r))
}

// ResetReason implements Names.
func (c *Capture) ResetReason(r uint32) string {
	return c.name(frameReset, uint64(r), 4, c.names.ResetReason(r))
}

// Event stores one record. Decode it first, through a Decoder with this Capture as Names: so its names come before it.
func (c *Capture) Event(record []byte) { c.frame(frameEvent, record) }

// Tick stores that time passed up to now (ns) with lost events in all.
func (c *Capture) Tick(now, lost uint64) {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], now)
	binary.LittleEndian.PutUint64(b[8:], lost)
	c.frame(frameTick, b[:])
}

// Note stores v as JSON under a name.
func (c *Capture) Note(name string, v any) {
	b, err := json.Marshal(v)
	switch {
	case err != nil:
		c.err = errors.Join(c.err, fmt.Errorf("record %s: %w", name, err))
	case len(name) > 255 || len(b) > maxNoteFrame-256:
		c.err = errors.Join(c.err, fmt.Errorf("record %s: %d bytes are too many", name, len(b)))
	default:
		c.frame(frameNote, []byte{byte(len(name))}, []byte(name), b)
	}
}

// Close marks the recording as whole and reports the first error of the run.
func (c *Capture) Close() error {
	c.frame(frameEnd)
	if c.err != nil {
		return fmt.Errorf("write the recording: %w", c.err)
	}
	if err := c.w.Flush(); err != nil {
		return fmt.Errorf("write the recording: %w", err)
	}
	return nil
}
