// SPDX-License-Identifier: Apache-2.0

package drops

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

// Kind is what drops that are counted together have in common.
type Kind struct {
	Location  string // function that dropped
	Reason    string // by the kernel's own name; "" where the kernel has none; "inferred:…" after Infer
	NetNS     uint32 // inode number, 0 when unknown
	Ifindex   uint32 // 0 without a device
	Ethertype uint16 // 0 when not set
	Proto     uint8  // IP protocol of the outermost header, 0 when there is none
	Type      uint8  // ICMP type; TCP: 4 for a reset
}

// Count is how often a kind was dropped since the start.
type Count struct {
	Kind
	Packets, Bytes uint64
}

// Lost is what could not be counted by kind, or sampled.
type Lost struct {
	Uncounted uint64 // drops of kinds beyond the first 4096
	Unsampled uint64 // samples that the ring had no room for; they are counted
	Unparsed  uint64 // drops inside the counting of another one, or for which the filter had no place to work: not counted
}

// Infer gives a kind the reason that newer kernels give at its place, where this kernel gave none.
func (k Kind) Infer() Kind {
	k.Reason = journey.InferReason(k.Reason, k.Location, nil)
	return k
}

// Row is a line of the table: the drops of one group.
type Row[G comparable] struct {
	Group   G
	Packets uint64 // since the start
	Bytes   uint64
	Rate    float64 // packets a second, over the last seconds
}

// Table makes sums and rates of groups from what is polled. The zero value is ready.
type Table[G comparable] struct {
	rows map[G]*entry
}

type entry struct {
	packets, bytes uint64
	rate           float64
	seen           uint64 // packets at the last Update
}

// smooth is the weight of the newest second in a rate.
const smooth = 0.6

// Update takes the totals that were polled, and the time since the last Update.
func (t *Table[G]) Update(counts []Count, group func(*Count) (G, bool), since time.Duration) {
	if t.rows == nil {
		t.rows = map[G]*entry{}
	}
	for _, e := range t.rows {
		e.packets, e.bytes = 0, 0
	}
	for i := range counts {
		g, ok := group(&counts[i])
		if !ok {
			continue
		}
		e := t.rows[g]
		if e == nil {
			e = &entry{}
			t.rows[g] = e
		}
		e.packets += counts[i].Packets
		e.bytes += counts[i].Bytes
	}
	for g, e := range t.rows {
		if e.packets == 0 {
			delete(t.rows, g) // its kinds belong to another group now, because a name became known
			continue
		}
		if since > 0 && e.packets >= e.seen {
			now := float64(e.packets-e.seen) / since.Seconds()
			e.rate += smooth * (now - e.rate)
			if e.rate < 0.05 {
				e.rate = 0
			}
		}
		e.seen = e.packets
	}
}

// Rows are the groups, those that drop most now first; order breaks ties after the totals.
func (t *Table[G]) Rows(order func(a, b G) int) []Row[G] {
	out := make([]Row[G], 0, len(t.rows))
	for g, e := range t.rows {
		out = append(out, Row[G]{g, e.packets, e.bytes, e.rate})
	}
	slices.SortFunc(out, func(a, b Row[G]) int {
		return cmp.Or(cmp.Compare(b.Rate, a.Rate), cmp.Compare(b.Packets, a.Packets), order(a.Group, b.Group))
	})
	return out
}

// Plain is a reason without the mark of an inferred one.
func Plain(reason string) string { return strings.TrimPrefix(reason, journey.Inferred) }
