// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/nettrace-io/nettrace/pkg/journey"

// maxJourneys bounds what is kept for the verdict. The first ones decide, of which minPlain stay whatever comes.
const (
	maxJourneys = 10000
	minPlain    = maxJourneys / 4
)

// kept are the journeys for the verdict. When they are full, a packet that was dropped takes the place of one that was not, the newest of
// those; and so does one by which the data of a kept drop arrives after all, or the drop would look like the end of the flow.
type kept struct {
	journeys []journey.Journey
	plain    []int            // of journeys, those that may give way
	owed     map[segment]bool // dropped, and not seen to arrive yet
	skipped  int              // journeys that are not, or no longer, among them
}

// segment is what a TCP packet has in common with its retransmissions.
type segment struct {
	tuple journey.Tuple
	seq   uint32
}

func (k *kept) take(j *journey.Journey) {
	data := segment{j.Packet.Tuple, j.Packet.Seq}
	dropped := j.End == journey.Dropped || j.End == journey.Rejected || j.DropHop() >= 0
	arrived := j.End == journey.Delivered && k.owed[data]
	floor := minPlain
	if dropped {
		floor += len(k.owed) + 1 // the places of what arrives after all
	}
	at := len(k.journeys)
	switch {
	case at < maxJourneys:
		k.journeys = append(k.journeys, *j)
	case (dropped || arrived) && len(k.plain) > floor:
		k.skipped++
		last := len(k.plain) - 1
		at, k.plain = k.plain[last], k.plain[:last]
		k.journeys[at] = *j
	default:
		k.skipped++
		return
	}
	switch {
	case arrived:
		delete(k.owed, data)
	case !dropped:
		k.plain = append(k.plain, at)
	case j.Packet.Proto == "tcp":
		if k.owed == nil {
			k.owed = map[segment]bool{}
		}
		k.owed[data] = true
	}
}
