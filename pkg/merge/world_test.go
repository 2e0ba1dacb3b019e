// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/tracer"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// Two nodes, node1 with the client 10.244.1.10 and node2 with the server 10.244.2.20, and what nettrace on each would write of packets between
// them. Times are true ns since the world began; each node writes them by its own clock.
var (
	client  = netip.MustParseAddr("10.244.1.10")
	server  = netip.MustParseAddr("10.244.2.20")
	service = netip.MustParseAddr("10.96.0.80")
	epoch   = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
)

const ms = int64(time.Millisecond)

type node struct {
	name    string
	under   netip.Addr // underlay address
	pod     netip.Addr
	offset  int64   // ns that its clock is ahead of the truth
	drift   float64 // ns a ns
	out     []*journey.Journey
	drops   []render.Drop
	verdict verdict.Verdict
	since   int64
	until   int64
	dst     string // of the flow in its start record
	blind   bool   // its devices are not traced
}

func (n *node) wall(t int64) time.Time {
	return epoch.Add(time.Duration(t + n.offset + int64(n.drift*float64(t)))).UTC()
}

// span is a length of true time by the node's clock.
func (n *node) span(from, to int64) int64 { return n.wall(to).Sub(n.wall(from)).Nanoseconds() }

type world struct {
	rng    *rand.Rand
	a, b   *node
	now    int64
	ipid   uint16
	tunnel bool
	// truth: which part continues in which, and what must come before what.
	wants []want
	order [][2]*journey.Journey
}

type want struct{ left, came *journey.Journey }

func newWorld(seed uint64) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 7)), tunnel: true, ipid: 100}
	mk := func(name, under string, pod netip.Addr) *node {
		return &node{name: name, under: netip.MustParseAddr(under), pod: pod, since: -2000 * ms, dst: service.String(),
			verdict: verdict.Verdict{Outcome: verdict.Unseen, Confidence: verdict.Inconclusive, Summary: "nothing", Evidence: []string{}, Fix: []string{}, Journeys: []int{}}}
	}
	w.a, w.b = mk("node1", "192.168.50.1", client), mk("node2", "192.168.50.2", server)
	return w
}

// packet is what crosses; the zero value of a field is "not so".
type packet struct {
	p                journey.Packet
	dir              journey.Direction
	dnat, masquerade bool // on the sender's node
	between          bool // by somebody who is not watched
	lost, twice      bool
	dropped          string           // reason on the receiving node
	segments         []uint32         // lengths that it is cut into on the way (GSO)
	after            *journey.Journey // what was received before this was sent
	to               netip.Addr       // outer destination, when not the other node's
}

func (w *world) tcp(dir journey.Direction, flags string, seq, length uint32) packet {
	w.ipid++
	p := journey.Packet{Proto: "tcp", Tuple: journey.Tuple{Src: client, Sport: 40000, Dst: server, Dport: 8080}, Flags: flags, Len: length, Seq: seq, IPID: w.ipid}
	if dir == journey.Reply {
		p.Tuple = journey.Tuple{Src: server, Sport: 8080, Dst: client, Dport: 40000}
	}
	if flags == "SYN,ACK" {
		p.IPID = 0
	}
	return packet{p: p, dir: dir}
}

func (w *world) ends(dir journey.Direction) (from, to *node) {
	if dir == journey.Reply {
		return w.b, w.a
	}
	return w.a, w.b
}

// send lets a packet go at w.now and moves the time to its arrival. It returns what was written on either side.
func (w *world) send(p packet) (left, came *journey.Journey) {
	from, to := w.ends(p.dir)
	left = w.leave(from, to, &p)
	if p.after != nil {
		w.order = append(w.order, [2]*journey.Journey{p.after, left})
	}
	w.now += 20_000 + w.rng.Int64N(400_000) // the network
	if p.lost {
		return left, nil
	}
	lengths := p.segments
	if lengths == nil {
		lengths = []uint32{p.p.Len}
	}
	seq := p.p.Seq
	for i, n := range lengths {
		q := left.Packet
		q.Tuple, q.Len, q.Seq = left.TupleAt(len(left.Hops)-1), n, seq
		q.IPID += uint16(i)
		if p.between {
			q.Src = netip.MustParseAddr("203.0.113.9")
		}
		seq += n - 52
		j := w.arrive(to, q, &p)
		if i == 0 {
			came = j
			w.wants = append(w.wants, want{left, j})
		}
	}
	if p.twice {
		w.now += 300_000
		w.arrive(to, came.Packet, &p)
	}
	return left, came
}

func (w *world) leave(from, to *node, p *packet) *journey.Journey {
	j := &journey.Journey{ID: len(from.out) + 1, Direction: p.dir, Attempt: 1, Packet: p.p, At: from.wall(w.now), End: journey.LeftNode, EndWhy: journey.NoFurtherSight, Complete: true}
	begin := w.now
	hop := func(h journey.Hop) {
		h.T, h.Node = from.span(begin, w.now), from.name
		j.Hops = append(j.Hops, h)
		w.now += 5_000 + w.rng.Int64N(30_000)
	}
	host := &journey.Where{Kind: "host", Name: from.name}
	hop(journey.Hop{Stage: journey.StageDeviceTx, Dev: "eth0", What: "sent out of eth0 (veth)", Where: &journey.Where{Kind: "pod", Namespace: "shop", Name: "client"}})
	hop(journey.Hop{Stage: journey.StageDeviceRx, Dev: "veth1", What: "received at veth1", Where: host})
	now := p.p.Tuple
	if p.dnat {
		j.Packet.Dst, j.Packet.Dport = service, 80
		t := now
		hop(journey.Hop{Stage: journey.StageNAT, What: "DNAT", Where: host, Tuple: &t, NAT: &journey.NAT{Type: "dnat", From: "10.96.0.80:80", To: "10.244.2.20:8080"}})
	}
	if p.masquerade {
		now.Src, now.Sport = from.under, 61000
		t := now
		hop(journey.Hop{Stage: journey.StageNAT, What: "masquerade", Where: host, Tuple: &t, NAT: &journey.NAT{Type: "masquerade", From: "10.244.1.10:40000", To: "192.168.50.1:61000"}})
	}
	out := journey.Hop{Stage: journey.StageDeviceTx, Dev: "eth0", DevKind: "phys", What: "sent out of eth0", Where: host}
	if w.tunnel {
		outer := journey.Tuple{Src: from.under, Sport: 50000, Dst: to.under, Dport: 8472}
		if p.to.IsValid() {
			outer.Dst = p.to
		}
		hop(journey.Hop{Stage: journey.StageTunnel, Dev: "flannel.1", What: "put into VXLAN", Where: host, Outer: &outer, Tunnel: &journey.Tunnel{Type: "vxlan", Op: "encap", VNI: 1, Outer: outer}})
		out.Outer = &outer
	} else {
		hop(journey.Hop{Stage: journey.StageRoute, What: "routed", Where: host, Route: &journey.Route{OIF: "eth0", Gateway: to.under}})
	}
	hop(out)
	from.out = append(from.out, j)
	return j
}

func (w *world) arrive(to *node, q journey.Packet, p *packet) *journey.Journey {
	j := &journey.Journey{ID: len(to.out) + 1, Direction: p.dir, Attempt: 1, Packet: q, At: to.wall(w.now), End: journey.Delivered, EndWhy: "socket", Complete: true}
	begin := w.now
	host := &journey.Where{Kind: "host", Name: to.name}
	hop := func(h journey.Hop) {
		h.T, h.Node = to.span(begin, w.now), to.name
		j.Hops = append(j.Hops, h)
		w.now += 5_000 + w.rng.Int64N(30_000)
	}
	in := journey.Hop{Stage: journey.StageDeviceRx, Dev: "eth0", DevKind: "phys", What: "received at eth0", Where: host}
	if w.tunnel {
		in.Outer = &journey.Tuple{Src: netip.MustParseAddr("192.168.50.9"), Sport: 50000, Dst: to.under, Dport: 8472}
	}
	hop(in)
	if p.dropped != "" {
		hop(journey.Hop{Stage: journey.StageDrop, Dev: "eth0", What: "dropped", Where: host, Reason: p.dropped, Location: "nf_hook_slow", Verdict: "drop"})
		j.End, j.EndWhy = journey.Dropped, "drop"
		h := j.Hops[len(j.Hops)-1]
		to.drops = append(to.drops, render.Drop{Kind: "drop", Time: j.At.Add(time.Duration(h.T)).Format(time.RFC3339Nano), Journey: j.ID, Hop: h})
	} else {
		hop(journey.Hop{Stage: journey.StageSocket, What: "delivered", Where: &journey.Where{Kind: "pod", Namespace: "shop", Name: "web"}})
	}
	to.out = append(to.out, j)
	return j
}

// lines is what nettrace on the node wrote.
func (w *world) lines(t testing.TB, n *node) []byte {
	t.Helper()
	var b bytes.Buffer
	r, err := render.New("json", &b, render.Options{})
	if err != nil {
		t.Fatal(err)
	}
	until := n.until
	if until == 0 {
		until = w.now + 2000*ms
	}
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	check(r.Start(render.Start{Kind: "start", Schema: render.Schema, Node: n.name, Kernel: "6.12.1", Lockdown: "none", Time: n.wall(n.since),
		Flow:   verdict.Flow{Proto: "tcp", Src: client.String(), Dst: n.dst, Dport: 80, Endpoints: []verdict.Endpoint{{Addr: "10.244.2.20:8080", Node: "node2", Ready: true}}},
		Points: []tracer.PointStatus{{Name: "netif_receive_skb", Backend: "tracepoint", Attached: !n.blind}},
		Nodes:  []render.Node{{Name: n.name, Addresses: []netip.Addr{n.under, n.pod}}}}))
	for _, d := range n.drops {
		check(r.Drop(d))
	}
	js := slices.Clone(n.out)
	w.rng.Shuffle(len(js), func(i, k int) { js[i], js[k] = js[k], js[i] }) // journeys are written when they end
	for _, j := range js {
		check(r.Journey(j))
	}
	v := n.verdict
	v.Time = n.wall(until)
	check(r.Verdict(&v))
	return b.Bytes()
}

// told is what a merge wrote.
type told struct {
	starts   []render.Start
	drops    []render.Drop
	journeys []*journey.Journey
	verdict  *verdict.Verdict
	warnings []string
	on       func(*journey.Journey) // called as each is told
}

func (c *told) Start(s render.Start) error { c.starts = append(c.starts, s); return nil }
func (c *told) Drop(d render.Drop) error   { c.drops = append(c.drops, d); return nil }
func (c *told) Journey(j *journey.Journey) error {
	c.journeys = append(c.journeys, j)
	if c.on != nil {
		c.on(j)
	}
	return nil
}
func (c *told) Verdict(v *verdict.Verdict) error { c.verdict = v; return nil }

func mergeBytes(t testing.TB, all ...[]byte) *told {
	t.Helper()
	c := &told{}
	var sources []Source
	for i, b := range all {
		sources = append(sources, Source{Name: fmt.Sprintf("%c.jsonl", 'a'+i), R: bytes.NewReader(b)})
	}
	if _, err := Run(context.Background(), sources, c, Options{Warn: func(s string) { c.warnings = append(c.warnings, s) }}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) merge(t testing.TB) *told {
	t.Helper()
	return mergeBytes(t, w.lines(t, w.a), w.lines(t, w.b))
}

// rendered is a merge in one format.
func rendered(t testing.TB, format string, all ...[]byte) string {
	t.Helper()
	var b bytes.Buffer
	r, err := render.New(format, &b, render.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var sources []Source
	for i, x := range all {
		sources = append(sources, Source{Name: fmt.Sprintf("%c.jsonl", 'a'+i), R: io.Reader(bytes.NewReader(x))})
	}
	if _, err := Run(context.Background(), sources, r, Options{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
