// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

// comments says for each packet which hop it is, and at the last copy of a packet that was dropped, where and why it ended.
func comments(packets []Packet, refs []HopRef, journeys []journey.Journey) [][]string {
	out := make([][]string, len(packets))
	last := map[int]int{} // of a journey: its last packet
	for i, r := range refs {
		if r == NoHop {
			out[i] = []string{"no hop"}
			continue
		}
		j := &journeys[r.Journey]
		out[i] = []string{fmt.Sprintf("journey %d hop %d: %s", j.ID, r.Hop+1, j.Hops[r.Hop].What)}
		if k, ok := last[r.Journey]; !ok || packets[k].Time <= packets[i].Time {
			last[r.Journey] = i
		}
	}
	for j, i := range last {
		if h := journeys[j].DropHop(); h >= 0 {
			out[i] = append(out[i], dropComment(&journeys[j], h))
		}
	}
	return out
}

func dropComment(j *journey.Journey, hop int) string {
	return fmt.Sprintf("journey %d dropped here: %s", j.ID, j.Hops[hop].What)
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
