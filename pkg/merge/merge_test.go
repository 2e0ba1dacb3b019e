// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// skewed gives the nodes clocks 500 ms apart, either way, and for odd seeds one that gains or loses up to 200 ppm.
func skewed(seed uint64) *world {
	w := newWorld(seed)
	w.b.offset = 500 * ms
	if w.rng.IntN(2) == 0 {
		w.b.offset = -500 * ms
	}
	w.a.offset = w.rng.Int64N(40*ms) - 20*ms
	if seed%2 == 1 {
		w.b.drift = (w.rng.Float64()*2 - 1) * 200e-6
	}
	return w
}

// connection lets a whole TCP connection pass, with what goes wrong on real networks.
func (w *world) connection() {
	dnat := func(p packet) packet { p.dnat = p.dir == journey.Request; return p }
	_, syn := w.send(dnat(w.tcp(journey.Request, "SYN", 1000, 60)))
	if w.rng.IntN(2) == 0 { // the first answer is lost; neither has an IP id
		w.send(packet{p: w.tcp(journey.Reply, "SYN,ACK", 5000, 60).p, dir: journey.Reply, lost: true, after: syn})
		w.now += 1000 * ms
	}
	again := w.tcp(journey.Reply, "SYN,ACK", 5000, 60)
	again.after = syn
	_, ack := w.send(again)
	seq := uint32(1001)
	for range 3 + w.rng.IntN(20) {
		p := dnat(w.tcp(journey.Request, "PSH,ACK", seq, 52+1000))
		p.after = ack
		switch w.rng.IntN(6) {
		case 0: // lost, and sent again with another IP id
			p.lost = true
			w.send(p)
			w.now += 200 * ms
			p.lost, p.p.IPID = false, p.p.IPID+1000
		case 1:
			p.twice = true
		case 2: // one large packet of the sender is two on the wire
			p.p.Len, p.segments = 52+2000, []uint32{52 + 1000, 52 + 1000}
		}
		_, came := w.send(p)
		seq += p.p.Len - 52
		q := w.tcp(journey.Reply, "ACK", 5001, 52)
		q.after = came
		_, ack = w.send(q)
		w.now += w.rng.Int64N(300 * ms)
	}
}

// datagrams of one length without an IP id, and pings.
func (w *world) datagrams() {
	for i := range 8 {
		u := packet{p: journey.Packet{Proto: "udp", Tuple: journey.Tuple{Src: client, Sport: 5353, Dst: server, Dport: 9000}, Len: 90}, dir: journey.Request}
		u.lost = i == 3
		_, came := w.send(u)
		w.now += 5*ms + w.rng.Int64N(400*ms)
		e := packet{p: journey.Packet{Proto: "icmp", Tuple: journey.Tuple{Src: server, Dst: client}, ICMP: "echo reply", Len: 84, IPID: uint16(7000 + i), Seq: uint32(i)}, dir: journey.Reply, after: came}
		w.send(e)
		w.now += 700 * ms
	}
}

// where finds a journey of a node in the merged ones, by what no other has: node and time of a hop's node clock cannot be compared any more,
// so the packet's and the node's own order is used.
func where(c *told, w *world) map[*journey.Journey]*journey.Journey {
	out := map[*journey.Journey]*journey.Journey{}
	for _, n := range []*node{w.a, w.b} {
		for _, j := range n.out {
			for _, m := range c.journeys {
				for i := range m.Hops {
					h := &m.Hops[i]
					if h.Node == n.name && h.What == marker(n, j) {
						out[j] = m
					}
				}
			}
		}
	}
	return out
}

func marker(n *node, j *journey.Journey) string { return fmt.Sprintf("last of %s #%d", n.name, j.ID) }

// mark makes each part recognisable.
func (w *world) mark() {
	for _, n := range []*node{w.a, w.b} {
		for _, j := range n.out {
			j.Hops[len(j.Hops)-1].What = marker(n, j)
		}
	}
}

// check compares a merged story with the truth: every packet's parts are in one journey, a packet is never received before it was sent, and
// what answers something comes after it.
func (w *world) check(t *testing.T, c *told) {
	t.Helper()
	at := where(c, w)
	for _, x := range w.wants {
		switch m := at[x.left]; {
		case m == nil || m != at[x.came]:
			t.Errorf("%s %v %s seq %d len %d: the parts are not one journey", x.left.Direction, x.left.Packet.Tuple, x.left.Packet.Flags, x.left.Packet.Seq, x.left.Packet.Len)
		case m.Packet.Tuple != x.left.Packet.Tuple || m.End != x.came.End:
			t.Errorf("the journey is %v, %s; want %v, %s", m.Packet.Tuple, m.End, x.left.Packet.Tuple, x.came.End)
		}
	}
	parts := len(w.a.out) + len(w.b.out) - len(w.wants)
	if len(c.journeys) != parts {
		t.Errorf("%d journeys, want %d", len(c.journeys), parts)
	}
	for i, m := range c.journeys {
		if m.ID != i+1 {
			t.Errorf("journey %d has the id %d", i+1, m.ID)
		}
		if i > 0 && m.At.Before(c.journeys[i-1].At) {
			t.Errorf("#%d begins before #%d", m.ID, m.ID-1)
		}
		for k := 1; k < len(m.Hops); k++ {
			if m.Hops[k].T < m.Hops[k-1].T {
				t.Errorf("#%d goes back in time at hop %d: %d ns after %d ns", m.ID, k+1, m.Hops[k].T, m.Hops[k-1].T)
			}
		}
	}
	for _, o := range w.order {
		if before, after := at[o[0]], at[o[1]]; before.ID >= after.ID {
			t.Errorf("#%d, an answer, comes before #%d, what it answers", after.ID, before.ID)
		}
	}
}

// Topology: two nodes with clocks 500 ms apart, with and without a tunnel, drift, DNAT, loss, duplicates, segmentation, answers without an IP
// id. Action: merge, 100 times with another chance. Expectation: every pair and the order are right, and the offset is within its bounds.
func TestOrderWithSkewedClocks(t *testing.T) {
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := skewed(seed)
			w.tunnel = seed%3 != 0
			w.connection()
			w.mark()
			c := w.merge(t)
			w.check(t, c)
			if len(c.warnings) != 0 || len(c.verdict.Clocks) != 1 {
				t.Fatalf("warnings %q, clocks %+v", c.warnings, c.verdict.Clocks)
			}
			k := c.verdict.Clocks[0]
			ref, other := w.a, w.b
			if k.Node == w.a.name {
				ref, other = w.b, w.a
			}
			truth := other.wall(0).Sub(ref.wall(0)).Nanoseconds()
			drifted := int64(200e-6 * float64(w.now)) // the offset is that of the first packet, and a small drift hides in the uncertainty
			if off := truth - k.OffsetNS; max(off, -off) > k.UncertaintyNS+drifted+1000 {
				t.Errorf("offset %d ± %d, truth %d", k.OffsetNS, k.UncertaintyNS, truth)
			}
			if k.Known != knownExact || k.UncertaintyNS > 2*ms {
				t.Errorf("the clock is known as %s ± %d ns", k.Known, k.UncertaintyNS)
			}
		})
	}
}

// The same with datagrams that look alike and pings.
func TestDatagramsAndPings(t *testing.T) {
	for seed := range uint64(100) {
		w := skewed(seed)
		_, syn := w.send(w.tcp(journey.Request, "SYN", 1, 60)) // something that compares the clocks
		w.send(packet{p: w.tcp(journey.Reply, "ACK", 1, 52).p, dir: journey.Reply, after: syn})
		w.datagrams()
		w.mark()
		t.Run(fmt.Sprint(seed), func(t *testing.T) { w.check(t, w.merge(t)) })
	}
}

// Topology: node1 masquerades, or somebody between the nodes does. Expectation: one journey, which shows who changed the addresses, and where
// nobody was watched says so.
func TestTranslations(t *testing.T) {
	for _, between := range []bool{false, true} {
		w := skewed(3)
		p := w.tcp(journey.Request, "SYN", 1000, 60)
		p.dnat, p.masquerade, p.between = true, !between, between
		left, _ := w.send(p)
		w.mark()
		c := w.merge(t)
		w.check(t, c)
		j := c.journeys[0]
		unseen := slices.ContainsFunc(j.Hops, func(h journey.Hop) bool {
			return h.Stage == journey.StageNAT && h.NAT == nil && h.What == "translated between the nodes, where nothing was watched: 10.244.1.10:40000 → 10.244.2.20:8080 became 203.0.113.9:40000 → 10.244.2.20:8080"
		})
		if unseen != between {
			t.Errorf("between %v: hops %+v", between, j.Hops)
		}
		if got := j.TupleAt(len(j.Hops) - 1); (got.Src == left.Packet.Src) || got.Dst != server {
			t.Errorf("the packet arrived as %v", got)
		}
	}
}

// Property: the order of the files changes nothing.
func TestPermutationOfFiles(t *testing.T) {
	for seed := range uint64(20) {
		w := skewed(seed)
		w.connection()
		a, b := w.lines(t, w.a), w.lines(t, w.b)
		for _, format := range []string{"json", "story", "table"} {
			if x, y := rendered(t, format, a, b), rendered(t, format, b, a); x != y {
				t.Fatalf("seed %d: %s differs with the order of the files", seed, format)
			}
		}
	}
}

// Random requests and answers in a third party's order: alignment finds what a human would.
func TestAlign(t *testing.T) {
	for _, tc := range []struct {
		name       string
		left, came []int64 // ms
		want       [][2]int
	}{
		{"in order", []int64{0, 10, 20}, []int64{1, 11, 21}, [][2]int{{0, 0}, {1, 1}, {2, 2}}},
		{"a burst", []int64{0, 0, 0}, []int64{1, 1, 1}, [][2]int{{0, 0}, {1, 1}, {2, 2}}},
		{"first lost", []int64{0, 1000}, []int64{1001}, [][2]int{{1, 0}}},
		{"last lost", []int64{0, 1000}, []int64{1}, [][2]int{{0, 0}}},
		{"middle lost", []int64{0, 1000, 3000}, []int64{1, 3001}, [][2]int{{0, 0}, {2, 1}}},
		{"twice", []int64{0}, []int64{1, 2}, [][2]int{{0, 0}}},
		{"received before it was sent", []int64{100}, []int64{1}, nil},
		{"none", nil, []int64{1}, nil},
	} {
		got := align(len(tc.left), len(tc.came), func(i, k int) int64 {
			if d := (tc.came[k] - tc.left[i]) * ms; d >= 0 {
				return d
			}
			return never
		})
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// The offset between bounds, with and without drift; one direction only bounds it; a clock that was set is found out.
func TestFit(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	bounds := func(offset, drift float64, up bool) (out []bound) {
		for i := range 20 {
			at := int64(i) * 500 * ms
			delay := 1e5 + rng.Float64()*1e5
			if !up {
				delay = -delay
			}
			out = append(out, bound{epoch.UnixNano() + at, offset + drift*float64(at) + delay})
		}
		return out
	}
	for _, drift := range []float64{0, 100e-6, -200e-6, 900e-6} {
		r := fit(bounds(5e8, drift, true), bounds(5e8, drift, false))
		if r.known != knownExact || r.torn || r.uncertainty > 2e5 {
			t.Errorf("drift %g: %+v", drift, r)
		}
		for _, at := range []int64{0, 5e9, 95e8} {
			if d := float64(r.ahead(epoch.UnixNano()+at)) - 5e8 - drift*float64(at); max(d, -d) > 2e5 {
				t.Errorf("drift %g: off by %g ns at %d", drift, d, at)
			}
		}
	}
	if r := fit(bounds(5e8, 0, true), nil); r.known != knownBound || r.offset < 5e8 || r.torn {
		t.Errorf("one direction: %+v", r)
	}
	if r := fit(nil, bounds(5e8, 0, false)); r.known != knownBound || r.offset > 5e8 {
		t.Errorf("the other direction: %+v", r)
	}
	up, down := bounds(0, 0, true), bounds(0, 0, false)
	for i := range up {
		if i > 10 {
			up[i].d -= 1e9
		}
	}
	if r := fit(up, down); !r.torn {
		t.Errorf("a clock that was set back by a second is not noticed: %+v", r)
	}
}

// Topology: node2's clock is set back by 2 s in the middle. Expectation: nothing is received before it is sent, what is guessed is marked, and
// the verdict says why.
func TestClockThatWasSet(t *testing.T) {
	w := newWorld(5)
	for i := range 6 {
		if i == 3 {
			w.b.offset = -2000 * ms
		}
		_, came := w.send(w.tcp(journey.Request, "ACK", uint32(100+i), 52))
		w.send(packet{p: w.tcp(journey.Reply, "ACK", uint32(100+i), 52).p, dir: journey.Reply, after: came})
		w.now += 100 * ms
	}
	c := w.merge(t)
	guessed := 0
	for _, j := range c.journeys {
		for k := range j.Hops {
			if k > 0 && j.Hops[k].T < j.Hops[k-1].T {
				t.Errorf("#%d goes back in time", j.ID)
			}
			if j.Hops[k].Approx {
				guessed++
			}
		}
	}
	if guessed == 0 {
		t.Error("no hop is marked as a guess")
	}
	if !slices.ContainsFunc(c.verdict.Evidence, func(s string) bool {
		return s == "clocks: no difference of the clocks of node1 and node2 lets every packet arrive after it was sent: one was set meanwhile; the order of such packets is kept (~)"
	}) {
		t.Errorf("evidence %q", c.verdict.Evidence)
	}
}

// Three nodes in a row, as a NodePort's request goes: one journey of three parts, and clocks that are compared over the one in the middle.
func TestThreeNodes(t *testing.T) {
	w := skewed(2)
	_, came := w.send(w.tcp(journey.Request, "SYN", 9, 60))
	w.send(packet{p: w.tcp(journey.Reply, "SYN,ACK", 77, 60).p, dir: journey.Reply, after: came})
	third := newWorld(4)
	third.now, third.ipid = w.now, w.ipid
	third.a = w.b
	third.b.name, third.b.offset, third.b.pod = "node3", -250*ms, server
	// node2 hands the request on
	fwd := *came
	came.End, came.EndWhy = journey.LeftNode, journey.NoFurtherSight
	came.Hops[len(came.Hops)-1] = journey.Hop{T: came.Hops[len(came.Hops)-1].T, Node: "node2", Stage: journey.StageDeviceTx, Dev: "eth0", What: "sent out of eth0"}
	last := third.arrive(third.b, fwd.Packet, &packet{dir: journey.Request})
	c := mergeBytes(t, w.lines(t, w.a), w.lines(t, w.b), third.lines(t, third.b))
	var nodes []string
	for _, h := range c.journeys[0].Hops {
		if len(nodes) == 0 || nodes[len(nodes)-1] != h.Node {
			nodes = append(nodes, h.Node)
		}
	}
	if !slices.Equal(nodes, []string{"node1", "node2", "node3"}) || c.journeys[0].End != last.End || len(c.journeys) != 2 {
		t.Errorf("nodes %v, end %s, %d journeys", nodes, c.journeys[0].End, len(c.journeys))
	}
	if len(c.verdict.Clocks) != 2 || c.verdict.Clocks[0].Known != knownExact || c.verdict.Clocks[1].Known != knownBound {
		t.Errorf("clocks %+v", c.verdict.Clocks)
	}
	if c.starts[0].Node != "node1, node2 and node3" || c.verdict.Outcome != verdict.Unseen && c.verdict.Outcome != verdict.Delivered {
		t.Errorf("start %q, verdict %+v", c.starts[0].Node, c.verdict)
	}
}
