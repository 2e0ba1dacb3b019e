// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

const recording = "testdata/recordings/healthy-service.nt"

// decoding prints how fast a recorded flow is decoded and assembled.
func decoding(context.Context) error {
	b, err := os.ReadFile(recording)
	if err != nil {
		return err
	}
	rate, allocs, size, err := decodeRate(b)
	if err != nil {
		return err
	}
	fmt.Printf("decode+assemble: %.2f M events/s on one core, %.2f allocations and %.0f bytes per event\n", rate/1e6, allocs, size)
	return nil
}

// decodeRate replays a recording again and again: each round is a new connection, later in time.
func decodeRate(recording []byte) (perSecond, allocs, size float64, err error) {
	names, records, err := events(recording)
	if err != nil {
		return 0, 0, 0, err
	}
	r := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		dec, asm := tracer.NewDecoder(names), journey.New(journey.Options{})
		var e tracer.Event
		journeys := 0
		for b.Loop() {
			for _, rec := range records {
				age(rec)
				if err := dec.Decode(rec, &e); err != nil {
					b.Fatal(err)
				}
				asm.Add(&e)
			}
			asm.Advance(e.Time, 0)
			journeys += len(asm.Done())
		}
		if journeys == 0 {
			b.Fatal("no journey was assembled")
		}
	})
	n := float64(r.N) * float64(len(records))
	if n == 0 {
		return 0, 0, 0, errors.New("the benchmark failed: no journey was assembled")
	}
	return n / r.T.Seconds(), float64(r.MemAllocs) / n, float64(r.MemBytes) / n, nil
}

// age makes a record a second later and its packet another one (struct event: time, then identity).
func age(rec []byte) {
	binary.LittleEndian.PutUint64(rec, binary.LittleEndian.Uint64(rec)+1e9)
	if id := binary.LittleEndian.Uint64(rec[8:]); id != 0 {
		binary.LittleEndian.PutUint64(rec[8:], id+1<<20)
	}
}

func events(b []byte) (tracer.Names, [][]byte, error) {
	r, err := tracer.NewReplay(bytes.NewReader(b))
	if err != nil {
		return nil, nil, err
	}
	var out [][]byte
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r, out, nil
		}
		if err != nil {
			return nil, nil, err
		}
		if f.Event != nil {
			out = append(out, bytes.Clone(f.Event))
		}
	}
}
