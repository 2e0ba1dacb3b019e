// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sort"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"
)

// Now is CLOCK_MONOTONIC in ns, the clock of Event.Time.
func Now() uint64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return uint64(ts.Nano())
}

// ErrClosed is returned by Read after Close.
var ErrClosed = ringbuf.ErrClosed

// Read waits until deadline for the next record and returns its bytes, valid until the next call. ok is false when none came.
func (t *Tracer) Read(deadline time.Time, rec *ringbuf.Record) (ok bool, err error) {
	t.reader.SetDeadline(deadline)
	err = t.reader.ReadInto(rec)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false, nil
	case errors.Is(err, ringbuf.ErrClosed):
		return false, ErrClosed
	}
	return false, fmt.Errorf("read the ring buffer: %w", err)
}

// Names resolves symbols and reasons on the running kernel.
func (t *Tracer) Names() Names { return t.names }

// Pending reports whether records wait to be read.
func (t *Tracer) Pending() bool { return t.reader.AvailableBytes() > 0 }

// RecordTime is the time of an event from its record, which starts with it; 0 for a record that is too short.
func RecordTime(record []byte) uint64 {
	if len(record) < 8 {
		return 0
	}
	return binary.NativeEndian.Uint64(record)
}

// Lost is how many events could not be reported so far: because the ring buffer was full, or because a program was running already on that
// processor (an interrupt in the middle of it), in which case the kernel skips it. Which packets the skipped ones were is not known, so they
// count as if they had been of the flow.
func (t *Tracer) Lost() (uint64, error) {
	var perCPU []uint64
	if err := t.coll.Maps[bpfMapLost].Lookup(uint32(0), &perCPU); err != nil {
		return 0, fmt.Errorf("read the lost counters: %w", err)
	}
	sum := uint64(0)
	for _, n := range perCPU {
		sum += n
	}
	for _, prog := range t.coll.Programs {
		// the kernel counts what it skips of fentry and tracepoints since 5.12, of kprobes since 6.7 (dd8657894c11); before, nobody can know
		if st, err := prog.Stats(); err == nil {
			sum += st.RecursionMisses
		}
	}
	return sum, nil
}

// Matched is how many packets belonged to the flow so far.
func (t *Tracer) Matched() uint64 {
	var n uint64
	if v := t.coll.Variables["matched"]; v == nil || v.Get(&n) != nil {
		return 0
	}
	return n
}

// Near is traffic that almost matched. The client's port is 0.
type Near struct {
	Tuple   Tuple
	Packets uint64
}

// Similar lists traffic that almost matched: same hosts with another port, or one of the hosts with the same port. Most packets first.
func (t *Tracer) Similar() []Near {
	var key bpfTuple
	var n uint64
	var out []Near
	it := t.coll.Maps[bpfMapSimilar].Iterate()
	for it.Next(&key, &n) {
		out = append(out, Near{Tuple: tuple(&key), Packets: n})
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Packets != out[j].Packets {
			return out[i].Packets > out[j].Packets
		}
		return out[i].Tuple.Dst.Less(out[j].Tuple.Dst)
	})
	return out
}

// StopSimilar ends the noting of near misses, which costs a lookup for each.
func (t *Tracer) StopSimilar() error {
	if err := t.coll.Variables["similar_wanted"].Set(uint32(0)); err != nil && !errors.Is(err, ebpf.ErrNotSupported) {
		return fmt.Errorf("switch off near misses: %w", err)
	}
	return nil
}

// Kernel is the running kernel's release, as uname -r prints it.
func Kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// ProgramStat is what the kernel counted for a program since it was loaded, while counting is on (BPF_ENABLE_STATS).
type ProgramStat struct{ Runs, NS uint64 }

// ProgramStats are the counts of every program, by its name.
func (t *Tracer) ProgramStats() map[string]ProgramStat {
	out := map[string]ProgramStat{}
	for name, prog := range t.coll.Programs {
		if s, err := prog.Stats(); err == nil {
			out[name] = ProgramStat{s.RunCount, uint64(s.Runtime.Nanoseconds())}
		}
	}
	return out
}
