// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

// comments says for each packet which hop it is, and at the last copy of a packet that was dropped, where and why it ended.
func comments(packets []Packet, refs []HopRef, journeys []journey.Journey, last map[int]int) [][]string {
	out := make([][]string, len(packets))
	for i, r := range refs {
		if r != NoHop {
			j := &journeys[r.Journey]
			out[i] = []string{fmt.Sprintf("journey %d hop %d: %s", j.ID, r.Hop+1, j.Hops[r.Hop].What)}
		}
	}
	for j, i := range last {
		out[i] = append(out[i], dropComment(&journeys[j]))
	}
	for i := range out {
		if out[i] == nil {
			out[i] = []string{"no hop"}
		}
	}
	return out
}

// lastCopies names, for each journey that a drop ended, the last packet that was captured of it. That can be one without a hop: what a
// device's queue drops was captured in front of it and never came to the device.
func lastCopies(packets []Packet, refs []HopRef, journeys []journey.Journey) map[int]int {
	last := map[int]int{}
	take := func(j, i int) {
		if k, ok := last[j]; journeys[j].DropHop() >= 0 && (!ok || packets[k].Time <= packets[i].Time) {
			last[j] = i
		}
	}
	loose := map[key][]int{}
	for i, r := range refs {
		if r != NoHop {
			take(r.Journey, i)
			continue
		}
		k := keyOf(&packets[i])
		k.ifindex, k.side = 0, 0
		loose[k] = append(loose[k], i)
	}
	for j := range journeys {
		h := journeys[j].DropHop()
		if h < 0 {
			continue
		}
		k := keyAt(&journeys[j], h)
		k.ifindex, k.side = 0, 0
		end := journeys[j].Start + uint64(journeys[j].Hops[h].T)
		for _, i := range loose[k] {
			if t := packets[i].Time; t <= end && end-t < queueNS {
				take(j, i)
			}
		}
	}
	return last
}

// queueNS bounds how long before its drop a packet can have been captured last.
const queueNS = 5e9

func dropComment(j *journey.Journey) string {
	return fmt.Sprintf("journey %d dropped here: %s", j.ID, j.Hops[j.DropHop()].What)
}

// maxText bounds a text in the file; an option's length has 16 bits.
const maxText = 4096

// text makes a string fit for an option: valid UTF-8 without control characters, of bounded length.
func text(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}
