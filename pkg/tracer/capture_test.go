// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

// record writes a small recording: a note, an event with its names, a tick.
func record(t testing.TB) []byte {
	t.Helper()
	var buf bytes.Buffer
	c := NewCapture(&buf, fixedNames{})
	c.Note("header", map[string]int{"answer": 42})
	d := dropRecord()
	rec := wire(&d)
	var e Event
	if err := NewDecoder(c).Decode(rec, &e); err != nil {
		t.Fatal(err)
	}
	c.Event(rec)
	c.Tick(123, 4)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestARecordingReplaysToTheSameEvents(t *testing.T) {
	r, err := NewReplay(bytes.NewReader(record(t)))
	if err != nil {
		t.Fatal(err)
	}
	d := dropRecord()
	var live, replayed Event
	if err := NewDecoder(fixedNames{}).Decode(wire(&d), &live); err != nil {
		t.Fatal(err)
	}
	dec := NewDecoder(r)
	var kinds []string
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case f.Note != nil:
			kinds = append(kinds, "note "+f.Note.Name+" "+string(f.Note.JSON))
		case f.Tick != nil:
			kinds = append(kinds, "tick")
			if *f.Tick != (Tick{123, 4}) {
				t.Errorf("tick %+v", *f.Tick)
			}
		case f.Event != nil:
			kinds = append(kinds, "event")
			if err := dec.Decode(f.Event, &replayed); err != nil {
				t.Fatal(err)
			}
		}
	}
	if want := []string{`note header {"answer":42}`, "event", "tick"}; !reflect.DeepEqual(kinds, want) {
		t.Errorf("frames %v, want %v", kinds, want)
	}
	if !reflect.DeepEqual(live, replayed) {
		t.Errorf("replayed %+v\nlive     %+v", replayed, live)
	}
}

func TestEveryCutIsNoticed(t *testing.T) {
	whole := record(t)
	for n := range whole {
		r, err := NewReplay(bytes.NewReader(whole[:n]))
		if n < len(captureMagic) {
			if !errors.Is(err, ErrForeign) {
				t.Fatalf("cut at %d: %v, want ErrForeign", n, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, ErrTruncated) || !strings.Contains(err.Error(), "at byte ") {
			t.Fatalf("cut at %d: %v, want ErrTruncated with the place", n, err)
		}
	}
}

func TestHostileFrames(t *testing.T) {
	frame := func(kind byte, n uint32, body string) string {
		var l [4]byte
		binary.LittleEndian.PutUint32(l[:], n)
		return captureMagic + string(kind) + string(l[:]) + body
	}
	for _, tc := range []struct {
		name, file string
		want       error
	}{
		{"another format", "GIF89a" + strings.Repeat("x", 40), ErrForeign},
		{"a later version", strings.Replace(captureMagic, "1", "2", 1), ErrForeign},
		{"an event of four gigabytes", frame(frameEvent, 0xffffffff, "x"), errTooLong},
		{"a note that is longer than the file", frame(frameNote, maxNoteFrame, "x"), ErrTruncated},
		{"a symbol of four gigabytes", frame(frameSymbol, 0xfffffff0, ""), errTooLong},
		{"an unknown frame is passed over", frame('?', 3, "abc"), ErrTruncated},
		{"a note without a name", frame(frameNote, 1, "\x09"), ErrTruncated},
		{"a short tick", frame(frameTick, 3, "abc"), ErrTruncated},
		{"a short symbol", frame(frameSymbol, 3, "abc"), ErrTruncated},
	} {
		r, err := NewReplay(strings.NewReader(tc.file))
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
}

// broken fails after some bytes, as a full disk does.
type broken struct{ left int }

func (b *broken) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

func TestWriteErrorsAreTold(t *testing.T) {
	c := NewCapture(&broken{100}, fixedNames{})
	c.Event(make([]byte, 1<<17))
	if err := c.Close(); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("close: %v", err)
	}
	c = NewCapture(io.Discard, fixedNames{})
	c.Note("x", make(chan int))
	if err := c.Close(); err == nil || !strings.Contains(err.Error(), "record x") {
		t.Errorf("a note that is no JSON: %v", err)
	}
}

func FuzzReplayFile(f *testing.F) {
	whole := record(f)
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add([]byte(captureMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReplay(bytes.NewReader(b))
		for i := 0; err == nil; i++ {
			var fr Frame
			if fr, err = r.Next(); err == nil && fr.Event == nil && fr.Tick == nil && fr.Note == nil {
				t.Fatal("a frame without a part")
			}
			if i > len(b) {
				t.Fatal("more frames than bytes")
			}
		}
	})
}
