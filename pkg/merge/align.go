// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"cmp"
	"slices"
	"time"
)

const (
	// alone is what it costs in ns to leave a departure or an arrival without its other half: less than a retransmission waits (TCP_RTO_MIN),
	// more than a network takes.
	alone = int64(150 * time.Millisecond)
	// roughly is how far off, in ns, the clocks may be while only some of the packets have compared them.
	roughly = int64(20 * time.Millisecond)
	// maxCrowd bounds the table of match; larger crowds keep their order.
	maxCrowd = 256
	never    = int64(1) << 60
)

// match pairs several packets with one print: retransmissions without an IP id, duplicates, datagrams that look alike. They keep their order;
// which of them have no other half is what makes the rest cross quickest.
func (g *crowd) match(cs *clocks) {
	for _, meant := range []bool{true, false} { // what was sent to a node first
		for _, from := range cs.all {
			for _, to := range cs.all {
				if from != to {
					g.between(from, to, meant, cs)
				}
			}
		}
	}
}

// between pairs what left one node with what came to another; meant leaves out what was not sent to an address of the other.
func (g *crowd) between(from, to *stream, meant bool, cs *clocks) {
	free := func(all []*part, paired func(*part) bool, when func(*part) int64) []*part {
		out := slices.DeleteFunc(slices.Clone(all), paired)
		slices.SortStableFunc(out, func(a, b *part) int { return cmp.Compare(cs.at(a.s, when(a)), cs.at(b.s, when(b))) })
		return out
	}
	left := free(g.left, func(p *part) bool {
		if p.next != nil || p.s != from {
			return true
		}
		hop := nextHop(p)
		return meant && !to.owns(hop.Unmap()) || !meant && slices.ContainsFunc(cs.all, func(s *stream) bool { return s.owns(hop.Unmap()) })
	}, (*part).leaves)
	came := free(g.came, func(p *part) bool { return p.prev != nil || p.s != to }, (*part).arrives)
	if len(left) > maxCrowd || len(came) > maxCrowd {
		for i := range min(len(left), len(came)) {
			pair(left[i], came[i], false)
		}
		return
	}
	for _, p := range align(len(left), len(came), func(i, k int) int64 { return cs.gap(left[i], came[k]) }) {
		pair(left[p[0]], came[p[1]], false)
	}
}

// align chooses pairs of two sequences in order, at the least cost; gap is never for two that cannot be one packet.
func align(n, m int, gap func(i, k int) int64) [][2]int {
	cost := make([][]int64, n+1)
	for i := range cost {
		cost[i] = make([]int64, m+1)
		for k := range cost[i] {
			switch {
			case i == 0 || k == 0:
				cost[i][k] = int64(i+k) * alone
			default:
				cost[i][k] = min(cost[i-1][k], cost[i][k-1]) + alone
				if d := gap(i-1, k-1); d < never {
					cost[i][k] = min(cost[i][k], cost[i-1][k-1]+d)
				}
			}
		}
	}
	var out [][2]int
	for i, k := n, m; i > 0 && k > 0; {
		d := gap(i-1, k-1)
		switch {
		case d < never && cost[i][k] == cost[i-1][k-1]+d:
			i, k = i-1, k-1
			out = append(out, [2]int{i, k})
		case cost[i][k] == cost[i-1][k]+alone:
			i--
		default:
			k--
		}
	}
	slices.Reverse(out)
	return out
}

// gap is the time between a departure and an arrival; never when they cannot be the same packet. Clocks that cannot be compared yet make all
// of them equally near.
func (cs *clocks) gap(a, b *part) int64 {
	if a.s == b.s {
		return never
	}
	ok, slack := cs.known(a.s, b.s)
	if !ok {
		return 0
	}
	slack += roughly + cs.strayed(a.s, a.leaves()) + cs.strayed(b.s, b.arrives())
	d := cs.at(b.s, b.arrives()) - cs.at(a.s, a.leaves())
	if d < -slack {
		return never
	}
	return max(d, 0)
}
