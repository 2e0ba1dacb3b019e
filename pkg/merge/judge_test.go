// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/probe"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// alone is what a sender's node says when nothing comes back.
func (w *world) alone() {
	w.a.verdict = verdict.Verdict{Outcome: verdict.Lost, Layer: verdict.Underlay, Cause: "tunnel-lost-in-fabric", Summary: "VXLAN packets leave node1 and do not arrive",
		Node: "node1", Confidence: verdict.Inconclusive, Evidence: []string{"kernel: packets left", "client: the probe timed out after 2000 ms"},
		Fix: []string{"run nettrace on the node that has 192.168.50.2 next"}, Journeys: []int{1}, Probe: &probe.Result{Result: probe.Timeout, MS: 2000}}
}

// lose sends SYNs that do not arrive.
func (w *world) lose() {
	for range 3 {
		p := w.tcp(journey.Request, "SYN", 1000, 60)
		p.lost = true
		w.send(p)
		w.now += 1000 * ms
	}
}

type expectation struct {
	outcome    verdict.Outcome
	layer      verdict.Layer
	cause      string
	confidence verdict.Confidence
	node       string
	says       []string // each somewhere in summary, evidence or advice
	never      []string
}

func (x expectation) check(t *testing.T, c *told) {
	t.Helper()
	v := c.verdict
	if v.Outcome != x.outcome || v.Layer != x.layer || v.Cause != x.cause || v.Confidence != x.confidence || v.Node != x.node {
		t.Errorf("%s %s/%s %s on %q, want %s %s/%s %s on %q", v.Outcome, v.Layer, v.Cause, v.Confidence, v.Node, x.outcome, x.layer, x.cause, x.confidence, x.node)
	}
	text := strings.Join(slices.Concat([]string{v.Summary}, v.Evidence, v.Fix), "\n")
	for _, s := range x.says {
		if !strings.Contains(text, s) {
			t.Errorf("it does not say %q:\n%s", s, text)
		}
	}
	for _, s := range x.never {
		if strings.Contains(text, s) {
			t.Errorf("it says %q:\n%s", s, text)
		}
	}
}

// What left node1 and never came to node2.
func TestLostBetween(t *testing.T) {
	confirmed := expectation{verdict.Lost, verdict.Underlay, "tunnel-lost-in-fabric", verdict.Confirmed, "node1",
		[]string{"is lost between node1 and node2", "node1: sent SYN 10.244.1.10:40000 → 10.244.2.20:8080 out of eth0 inside VXLAN 192.168.50.1:50000 → 192.168.50.2:8472 at 12:00:00.000, and 2 more packets",
			"node2: watching since 11:59:58.000 until 12:00:05.000, never received any of these 3, and lost no events", "node1: client: the probe timed out after 2000 ms", "allow udp/8472"},
		[]string{"run nettrace on the node"}}
	likely := func(why string) expectation {
		x := confirmed
		x.confidence, x.says = verdict.Likely, []string{"is lost between node1 and node2", why}
		return x
	}
	for _, tc := range []struct {
		name  string
		setup func(*world)
		want  expectation
	}{
		{"node2 watched all the time", func(*world) {}, confirmed},
		{"node2 lost events", func(w *world) { w.b.verdict.LostEvents = 3 }, likely("node2 may have missed them: it lost 3 events")},
		{"node2 began later", func(w *world) { w.b.since = 2500 * ms }, likely("node2 may have missed them: it may have begun to watch later")},
		{"node2 stopped before", func(w *world) { w.b.until = 500 * ms }, likely("node2 may have missed them: it may have stopped watching before, at 12:00:00.500")},
		{"node2 did not see what its devices receive", func(w *world) { w.b.blind = true }, likely("what its devices receive was not traced")},
		{"without a tunnel", func(w *world) { w.tunnel = false }, expectation{verdict.Lost, verdict.Underlay, "lost-between-nodes", verdict.Confirmed, "node1",
			[]string{"the request is lost between node1 and node2: node1 sent it out of eth0, and node2 never received it", "source/destination check"}, nil}},
		{"without a tunnel, and the sender's node has a name for it", func(w *world) {
			w.tunnel, w.a.verdict.Cause = false, "fabric-drops-pod-ip"
		}, expectation{verdict.Lost, verdict.Underlay, "fabric-drops-pod-ip", verdict.Confirmed, "node1", []string{"node2 never received it", "node1: kernel: packets left"}, nil}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(1)
			w.alone()
			tc.setup(w)
			w.lose()
			w.now = 3000 * ms
			tc.want.check(t, w.merge(t))
		})
	}
}

// The tunnel leads to an address that is nobody's who is watched.
func TestWrongHost(t *testing.T) {
	w := newWorld(1)
	w.alone()
	for range 3 {
		p := w.tcp(journey.Request, "SYN", 1000, 60)
		p.lost, p.to = true, netip.MustParseAddr("192.168.50.100")
		w.send(p)
		w.now += 1000 * ms
	}
	c := w.merge(t)
	expectation{verdict.Lost, verdict.PodNetwork, "fdb-wrong-host", verdict.Confirmed, "node1",
		[]string{"node1 sends the tunnel's packets for 10.244.2.20 to 192.168.50.100, which is not node2", "node2: has 10.244.2.20, and none of its addresses is 192.168.50.100", "bridge fdb show | grep 192.168.50.100"}, nil}.check(t, c)
	if why := c.journeys[0].EndWhy; why != "sent to 192.168.50.100, which is not node2" {
		t.Errorf("the journey ends with %q", why)
	}
}

// Small packets arrive, large ones do not; those of one size that get lost now and then are no matter of size.
func TestSizes(t *testing.T) {
	run := func(t *testing.T, lost func(i int) bool) *told {
		w := newWorld(1)
		w.alone()
		_, syn := w.send(w.tcp(journey.Request, "SYN", 999, 60))
		r := w.tcp(journey.Reply, "SYN,ACK", 5, 60)
		r.after = syn
		w.send(r)
		w.send(w.tcp(journey.Request, "ACK", 1000, 52))
		for i := range 8 {
			p := w.tcp(journey.Request, "PSH,ACK", uint32(1000+1380*i), 1432)
			p.lost = lost(i)
			w.send(p)
			w.now += 200 * ms
		}
		w.now += 2000 * ms
		return w.merge(t)
	}
	expectation{verdict.Lost, verdict.Underlay, "underlay-mtu-silent", verdict.Confirmed, "node1",
		[]string{"packets of 1432 bytes and more are lost between node1 and node2, those up to 60 bytes arrive", "and 7 more packets of 1432 bytes and more", "node2: received 2 packets of up to 60 bytes from node1", "ping -M do -s SIZE 192.168.50.2"}, nil}.
		check(t, run(t, func(int) bool { return true }))
	expectation{verdict.Lost, verdict.Underlay, "lost-between-nodes", verdict.Confirmed, "node1",
		[]string{"4 of 10 packets are lost between node1 and node2", "node2: received 6 others from node1"}, nil}.
		check(t, run(t, func(i int) bool { return i%2 == 0 }))
}

// node2 saw the drop: its verdict, with node1's way in front and the sender's result.
func TestDropOnTheOtherNode(t *testing.T) {
	w := skewed(4)
	w.alone()
	p := w.tcp(journey.Request, "SYN", 1000, 60)
	p.dropped = "NETFILTER_DROP"
	w.send(p)
	h := w.b.out[0].Hops[len(w.b.out[0].Hops)-1]
	w.b.verdict = verdict.Verdict{Outcome: verdict.Dropped, Layer: verdict.Underlay, Cause: "host-firewall-drops-tunnel", Summary: "node2's firewall drops VXLAN", Node: "node2", Hop: &h,
		Confidence: verdict.Confirmed, Evidence: []string{"kernel: dropped"}, Fix: []string{"allow it"}, Journeys: []int{1}}
	c := w.merge(t)
	expectation{verdict.Dropped, verdict.Underlay, "host-firewall-drops-tunnel", verdict.Confirmed, "node2",
		[]string{"node2: kernel: dropped", "node1: SYN 10.244.1.10:40000 → 10.244.2.20:8080 left out of eth0", "node2: it came in at eth0", "node1: client: the probe timed out", "packets crossed one way only (1)"},
		[]string{"do not arrive", "kernel: packets left"}}.check(t, c)
	if len(c.drops) != 1 || c.drops[0].Journey != c.journeys[0].ID || len(c.verdict.Also) != 0 || c.verdict.Probe == nil {
		t.Errorf("drops %+v, also %+v, probe %+v", c.drops, c.verdict.Also, c.verdict.Probe)
	}
	for i, h := range c.journeys[0].Hops {
		if h.Approx != (h.Node == "node2") {
			t.Errorf("hop %d on %s: approx is %v", i, h.Node, h.Approx)
		}
	}
}

// The sender got its answer: what the other node misses is no fault.
func TestAnswered(t *testing.T) {
	w := skewed(2)
	w.a.verdict = verdict.Verdict{Outcome: verdict.Delivered, Confidence: verdict.Confirmed, Summary: "it reaches it", Probe: &probe.Result{Result: probe.Connected, MS: 3},
		Evidence: []string{"0 packets of the request and 2 of the reply were followed to their socket", "client: the probe was answered after 3 ms"}, Fix: []string{}, Journeys: []int{1}}
	w.b.verdict.Outcome, w.b.verdict.Cause, w.b.verdict.Layer = verdict.Lost, "tunnel-lost-in-fabric", verdict.Underlay
	_, syn := w.send(w.tcp(journey.Request, "SYN", 999, 60))
	r := w.tcp(journey.Reply, "SYN,ACK", 5, 60)
	r.after = syn
	w.send(r)
	c := w.merge(t)
	expectation{verdict.Delivered, "", "", verdict.Confirmed, "node1",
		[]string{"it reaches it", "1 packets of the request and 1 of the reply were followed to their socket, 2 of them from one node to another", "clocks: node2's is"}, []string{"0 packets", "lost"}}.check(t, c)
	if len(c.verdict.Also) != 0 {
		t.Errorf("also %+v", c.verdict.Also)
	}
}

// The same without a probe: neither node alone saw both, together they did.
func TestAnsweredWithoutProbe(t *testing.T) {
	w := skewed(2)
	w.a.verdict.Outcome, w.a.verdict.Cause, w.a.verdict.Layer = verdict.Lost, "tunnel-lost-in-fabric", verdict.Underlay
	_, syn := w.send(w.tcp(journey.Request, "SYN", 999, 60))
	r := w.tcp(journey.Reply, "SYN,ACK", 5, 60)
	r.after = syn
	w.send(r)
	expectation{verdict.Delivered, "", "", verdict.Confirmed, "node1", []string{"10.244.1.10 reaches 10.96.0.80:80 and the answer comes back"}, []string{"lost"}}.check(t, w.merge(t))
}

// The answer is lost on its way back, or never given.
func TestAnswerMissing(t *testing.T) {
	run := func(t *testing.T, answers bool) *told {
		w := skewed(2)
		w.alone()
		w.b.verdict = verdict.Verdict{Outcome: verdict.Delivered, Layer: verdict.Application, Cause: "no-answer", Summary: "the request reached its socket, and no answer was seen", Node: "node2",
			Confidence: verdict.Inconclusive, Evidence: []string{}, Fix: []string{"look at the application"}, Journeys: []int{1}}
		for range 2 {
			_, syn := w.send(w.tcp(journey.Request, "SYN", 999, 60))
			if answers {
				p := w.tcp(journey.Reply, "SYN,ACK", 5, 60)
				p.lost, p.after = true, syn
				w.send(p)
			}
			w.now += 1500 * ms
		}
		w.now += 2000 * ms
		return w.merge(t)
	}
	expectation{verdict.Lost, verdict.Underlay, "tunnel-lost-in-fabric", verdict.Confirmed, "node2", []string{"the answer is lost between node2 and node1", "node1: watching since"}, nil}.check(t, run(t, true))
	expectation{verdict.Delivered, verdict.Application, "no-answer", verdict.Likely, "node2", []string{"no packet of an answer left the node"}, nil}.check(t, run(t, false))
}

// Segments that the receiver puts together before anything sees them are not lost.
func TestReceivedTogether(t *testing.T) {
	w := newWorld(9)
	w.alone()
	for i := range 3 {
		p := w.tcp(journey.Request, "ACK", uint32(1000+1000*i), 1052)
		p.lost = true
		left, _ := w.send(p)
		if i == 2 {
			q := w.a.out[0].Packet
			q.Len = 3052
			w.arrive(w.b, q, &packet{dir: left.Direction})
		}
	}
	w.now += 3000 * ms
	c := w.merge(t)
	if c.verdict.Cause != "tunnel-lost-in-fabric" || c.verdict.Confidence != verdict.Inconclusive {
		t.Errorf("verdict %+v", c.verdict)
	}
	var whys []string
	for _, j := range c.journeys {
		whys = append(whys, string(j.End)+" "+j.EndWhy)
	}
	if together := "left-node received on node2 inside a larger packet (GRO)"; !slices.Equal(whys, []string{"delivered socket", together, together}) {
		t.Errorf("ends %q", whys)
	}
}

// While nodes are read as they write, who started first is known whatever the clocks say.
func TestLiveOrderBeatsClocks(t *testing.T) {
	w := newWorld(1)
	w.alone()
	w.b.offset = 30_000 * ms
	w.lose()
	a, b := newStream("a"), newStream("b")
	for _, x := range []struct {
		s    *stream
		n    *node
		from int
	}{{b, w.b, 0}, {a, w.a, 1}} {
		r := NewReader(strings.NewReader(string(w.lines(t, x.n))), x.s.name)
		for i := x.from; ; i += 2 {
			rec, err := r.Next()
			if err != nil {
				break
			}
			if _, err := x.s.take(rec, i); err != nil {
				t.Fatal(err)
			}
		}
		x.s.done = true
	}
	b.ended = a.ended + 1
	all := []*stream{a, b}
	for live, want := range map[bool]verdict.Confidence{true: verdict.Confirmed, false: verdict.Likely} {
		ps := parts(all)
		cs := link(ps, all)
		cc := chains(ps, cs)
		v := judge(&evidence{all: all, chains: cc, seen: newSights(cc), clocks: cs, live: live})
		if v.Confidence != want {
			t.Errorf("live %v: %s, want %s", live, v.Confidence, want)
		}
	}
}
