// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrForeign is returned for a file that is not a recording of this version.
var ErrForeign = errors.New("not a nettrace recording of a version that this nettrace reads")

// ErrTruncated is returned at the point where a recording ends without its end mark.
var ErrTruncated = errors.New("the recording ends early")

// Frame is one thing that happened in a recorded run. Exactly one of its parts is set.
type Frame struct {
	Event []byte // a record for a Decoder; valid until the next call
	Tick  *Tick
	Note  *Note
}

// Tick says that time passed.
type Tick struct{ Now, Lost uint64 }

// Note is what another step stored: JSON under a name.
type Note struct {
	Name string
	JSON []byte
}

// Replay reads a recording. It is the Names of the events that it returns.
type Replay struct {
	r       *bufio.Reader
	offset  int64
	buf     []byte
	symbols map[uint64]string
	drops   map[uint32]string
	resets  map[uint32]string
}

// NewReplay checks the magic line. The error wraps ErrForeign for anything else.
func NewReplay(r io.Reader) (*Replay, error) {
	p := &Replay{r: bufio.NewReaderSize(r, 1<<16), symbols: map[uint64]string{}, drops: map[uint32]string{}, resets: map[uint32]string{}}
	magic := make([]byte, len(captureMagic))
	if _, err := io.ReadFull(p.r, magic); err != nil || string(magic) != captureMagic {
		return nil, ErrForeign
	}
	p.offset = int64(len(captureMagic))
	return p, nil
}

// Symbol implements Names.
func (p *Replay) Symbol(addr uint64) string { return p.symbols[addr] }

// DropReason implements Names.
func (p *Replay) DropReason(r uint32) string { return p.drops[r] }

// ResetReason implements Names.
func (p *Replay) ResetReason(r uint32) string { return p.resets[r] }

// Next returns the next frame; io.EOF at the end of a whole recording. An error that wraps ErrTruncated names the byte up to which the
// recording was read: what came before is good.
func (p *Replay) Next() (Frame, error) {
	for {
		kind, body, err := p.read()
		if err != nil {
			return Frame{}, err
		}
		switch kind {
		case frameEnd:
			return Frame{}, io.EOF
		case frameEvent:
			return Frame{Event: body}, nil
		case frameTick:
			if len(body) == 16 {
				return Frame{Tick: &Tick{binary.LittleEndian.Uint64(body), binary.LittleEndian.Uint64(body[8:])}}, nil
			}
		case frameNote:
			if len(body) > 0 && int(body[0]) < len(body) {
				n := 1 + int(body[0])
				return Frame{Note: &Note{Name: string(body[1:n]), JSON: append([]byte(nil), body[n:]...)}}, nil
			}
		default:
			p.name(kind, body)
		}
	}
}

const maxNames = 1 << 20 // bounds what a hostile recording makes us keep

// name keeps a name for later events; frames of kinds that this version does not know are passed over.
func (p *Replay) name(kind byte, body []byte) {
	if len(p.symbols)+len(p.drops)+len(p.resets) >= maxNames {
		return
	}
	switch {
	case kind == frameSymbol && len(body) >= 8:
		p.symbols[binary.LittleEndian.Uint64(body)] = string(body[8:])
	case kind == frameDrop && len(body) >= 4:
		p.drops[binary.LittleEndian.Uint32(body)] = string(body[4:])
	case kind == frameReset && len(body) >= 4:
		p.resets[binary.LittleEndian.Uint32(body)] = string(body[4:])
	}
}

func (p *Replay) read() (byte, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return 0, nil, p.cut(err)
	}
	n := int64(binary.LittleEndian.Uint32(head[1:]))
	limit := int64(maxEventFrame)
	if head[0] == frameNote {
		limit = maxNoteFrame
	}
	if n > limit {
		return 0, nil, fmt.Errorf("%w at byte %d: %w (%d bytes)", ErrTruncated, p.offset, errTooLong, n)
	}
	body, err := p.body(n)
	if err != nil {
		return 0, nil, p.cut(err)
	}
	p.offset += 5 + n
	return head[0], body, nil
}

// body reads n bytes; a length that the file does not have costs no more memory than the file has bytes.
func (p *Replay) body(n int64) ([]byte, error) {
	p.buf = p.buf[:0]
	for int64(len(p.buf)) < n {
		step := min(n-int64(len(p.buf)), 1<<16)
		have := len(p.buf)
		p.buf = append(p.buf, make([]byte, step)...)
		if _, err := io.ReadFull(p.r, p.buf[have:]); err != nil {
			return nil, err
		}
	}
	return p.buf, nil
}

func (p *Replay) cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w at byte %d", ErrTruncated, p.offset)
	}
	return fmt.Errorf("read the recording at byte %d: %w", p.offset, err)
}
