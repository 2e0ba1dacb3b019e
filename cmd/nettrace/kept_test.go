// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// Topology: more packets than are kept, all delivered or gone on. Action: then some are dropped, whose data arrives in another packet or does not.
// Expectation: the verdict names a drop that stopped the flow, and only that; requests and replies of the beginning stay; every packet is counted.
func TestDropsBehindTheFirstJourneys(t *testing.T) {
	const busy = maxJourneys + 500
	for _, tc := range []struct {
		name      string
		first     journey.End // of requests before the drops
		drops     int
		again     bool // the data arrives after all
		outcome   verdict.Outcome
		keptDrops int
	}{
		{"none", journey.Delivered, 0, false, verdict.Delivered, 0},
		{"one", journey.Delivered, 1, false, verdict.Dropped, 1},
		{"one, of a flow that leaves the node", journey.LeftNode, 1, false, verdict.Dropped, 1},
		{"one that is sent again", journey.Delivered, 1, true, verdict.Delivered, 1},
		{"many", journey.Delivered, 2 * maxJourneys, false, verdict.Dropped, (maxJourneys - minPlain) / 2},
		{"many that are sent again", journey.Delivered, 2 * maxJourneys, true, verdict.Delivered, (maxJourneys - minPlain) / 2},
	} {
		k, id := kept{}, 0
		take := func(d journey.Direction, end journey.End, seq, attempt int) {
			id++
			j := journey.Journey{ID: id, Direction: d, Attempt: attempt, End: end, Packet: journey.Packet{Proto: "tcp", Seq: uint32(seq), Len: 100}, Hops: []journey.Hop{{Stage: journey.StageSocket}}}
			if end == journey.Dropped {
				j.Hops[0] = journey.Hop{Stage: journey.StageDrop, Location: "nf_hook_slow", Hook: "FORWARD", Verdict: "drop"}
			}
			k.take(&j)
		}
		for i := range busy / 2 {
			take(journey.Request, tc.first, i, 1)
			take(journey.Reply, journey.Delivered, i, 1)
		}
		for i := range tc.drops {
			take(journey.Request, journey.Dropped, busy+i, 1)
			if tc.again {
				take(journey.Request, journey.Delivered, busy+i, 2)
			}
		}
		drops, seen := 0, map[int]bool{}
		for i := range k.journeys {
			seen[k.journeys[i].ID] = true
			if k.journeys[i].DropHop() >= 0 {
				drops++
			}
		}
		if len(k.journeys) != maxJourneys || len(seen) != maxJourneys || len(k.journeys)+k.skipped != id || !seen[1] || !seen[2] {
			t.Errorf("%s: %d kept of %d, %d different, %d skipped", tc.name, len(k.journeys), id, len(seen), k.skipped)
		}
		if drops != tc.keptDrops {
			t.Errorf("%s: %d drops are kept, want %d", tc.name, drops, tc.keptDrops)
		}
		journey.SortByID(k.journeys)
		if tc.drops > 1 { // what many drops cost is Judge's: one of them is enough here
			continue
		}
		if v := verdict.Judge(&verdict.Input{Journeys: k.journeys}); v.Outcome != tc.outcome {
			t.Errorf("%s: %s, want %s", tc.name, v.Outcome, tc.outcome)
		}
	}
}
