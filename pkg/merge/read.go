// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// Bounds on what a stream may hold.
const (
	maxLine  = 4 << 20 // bytes; a journey of 256 hops with call stacks stays below one MiB
	maxHops  = 1024
	maxTexts = 1024 // sentences of a verdict
	maxHopT  = int64(24 * time.Hour)
)

// Record is one line: exactly one field besides Line is set.
type Record struct {
	Line    int // 1-based
	Start   *render.Start
	Journey *journey.Journey
	Drop    *render.Drop
	Verdict *verdict.Verdict
}

// LineError is a line that is no record. Reading goes on behind it.
type LineError struct {
	Source string
	Line   int
	Err    error
}

func (e *LineError) Error() string {
	return fmt.Sprintf("%s line %d is no record of 'nettrace flow -o json' and was left out: %v", e.Source, e.Line, e.Err)
}

func (e *LineError) Unwrap() error { return e.Err }

// errCut is a last line without an end.
var errCut = errors.New("the line has no end")

// Reader reads the records of one stream. It holds one line at a time.
type Reader struct {
	name string
	b    *bufio.Reader
	line int
}

// NewReader reads from r; name is what errors call it.
func NewReader(r io.Reader, name string) *Reader {
	return &Reader{name: name, b: bufio.NewReaderSize(r, 64<<10)}
}

// Next returns the next record, io.EOF at the end, a *LineError for a line that is none, and otherwise the reader's error. Records of kinds
// that it does not know, of a later version, are passed over.
func (r *Reader) Next() (*Record, error) {
	for {
		text, err := r.next()
		if text == nil {
			return nil, err
		}
		if err != nil {
			return nil, &LineError{r.name, r.line, err}
		}
		rec, err := decode(text)
		if err != nil {
			return nil, &LineError{r.name, r.line, err}
		}
		if rec != nil {
			rec.Line = r.line
			return rec, nil
		}
	}
}

// next reads a line; an error beside a text is about that line only.
func (r *Reader) next() ([]byte, error) {
	var text []byte
	long := false
	for {
		part, err := r.b.ReadSlice('\n')
		if long = long || len(text)+len(part) > maxLine; !long {
			text = append(text, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && len(text) == 0 && !long:
			return nil, err
		}
		r.line++
		switch {
		case long:
			return []byte{}, fmt.Errorf("it is longer than %d bytes", maxLine)
		case err != nil:
			if json.Valid(text) {
				return text, nil
			}
			return text, errCut
		}
		return text, nil
	}
}

// decode reads one line; nil for an empty one or one of an unknown kind.
func decode(text []byte) (*Record, error) {
	if len(strings.TrimSpace(string(text))) == 0 {
		return nil, nil
	}
	var head struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, short(err)
	}
	r := &Record{}
	var into any
	check := func() error { return nil }
	switch head.Kind {
	case "start":
		r.Start = &render.Start{}
		into, check = r.Start, func() error { return checkStart(r.Start) }
	case "journey":
		r.Journey = &journey.Journey{}
		into, check = r.Journey, func() error { return checkJourney(r.Journey) }
	case "drop":
		r.Drop = &render.Drop{}
		into = r.Drop
	case "verdict":
		r.Verdict = &verdict.Verdict{}
		into, check = r.Verdict, func() error { return checkVerdict(r.Verdict) }
	case "":
		return nil, errors.New("it has no kind")
	default:
		return nil, nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return nil, short(err)
	}
	return r, check()
}

// short bounds what an error quotes of the input.
func short(err error) error {
	if s := err.Error(); len(s) > 200 {
		return errors.New(s[:200] + "…")
	}
	return err
}

func checkStart(s *render.Start) error {
	switch {
	case s.Schema != render.Schema:
		return fmt.Errorf("its schema is %.40q, and this nettrace reads %s: use the same version of nettrace on all nodes", s.Schema, render.Schema)
	case s.Node == "":
		return errors.New("the start record names no node")
	}
	return checkTime(s.Time)
}

func checkTime(t time.Time) error {
	if t.IsZero() || (t.Year() >= 1970 && t.Year() < 2200) {
		return nil
	}
	return fmt.Errorf("its time is in the year %d", t.Year())
}

func checkJourney(j *journey.Journey) error {
	switch {
	case j.ID < 1:
		return errors.New("the journey has no id")
	case len(j.Hops) > maxHops:
		return fmt.Errorf("the journey has %d hops", len(j.Hops))
	case j.Direction != journey.Request && j.Direction != journey.Reply && j.Direction != journey.Related:
		return fmt.Errorf("the journey's direction is %.20q", j.Direction)
	case !j.Packet.Src.IsValid() || !j.Packet.Dst.IsValid():
		return errors.New("the journey's packet has no addresses")
	}
	switch j.End {
	case journey.Delivered, journey.Dropped, journey.Rejected, journey.LeftNode, journey.Open:
	default:
		return fmt.Errorf("the journey's end is %.20q", j.End)
	}
	for i := range j.Hops {
		h := &j.Hops[i]
		if h.T < 0 || h.T > maxHopT || (i > 0 && h.T < j.Hops[i-1].T-int64(time.Second)) {
			return fmt.Errorf("the time of hop %d is %d ns", i+1, h.T)
		}
		if !word(string(h.Stage)) {
			return fmt.Errorf("the stage of hop %d is %.20q", i+1, h.Stage)
		}
		if (h.Stage == journey.StageRoute || h.Stage == journey.StageNeighbour) && h.Route == nil {
			return fmt.Errorf("hop %d is a %s without a route", i+1, h.Stage)
		}
	}
	return checkTime(j.At)
}

// word reports whether a name is one of those that nettrace writes: renderers write them as they are.
func word(s string) bool {
	return len(s) > 0 && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func checkVerdict(v *verdict.Verdict) error {
	if len(v.Evidence) > maxTexts || len(v.Fix) > maxTexts || len(v.Also) > maxTexts {
		return errors.New("the verdict has too many sentences")
	}
	switch v.Outcome {
	case verdict.Delivered, verdict.Dropped, verdict.Rejected, verdict.Lost, verdict.Unseen:
	default:
		return fmt.Errorf("the verdict's outcome is %.20q", v.Outcome)
	}
	if v.Probe != nil && !word(string(v.Probe.Result)) {
		return fmt.Errorf("the probe's result is %.20q", v.Probe.Result)
	}
	switch v.Confidence {
	case verdict.Confirmed, verdict.Likely, verdict.Inconclusive:
	default:
		return fmt.Errorf("the verdict's confidence is %.20q", v.Confidence)
	}
	return checkTime(v.Time)
}
