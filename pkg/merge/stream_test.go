// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/tracer"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// Which flows are one: the same, one and its translation, a wider one; and which are not.
func TestFlowsThatAreOne(t *testing.T) {
	svc := verdict.Flow{Proto: "tcp", Src: "10.244.1.10", Dst: "10.96.0.80", Dport: 80, Endpoints: []verdict.Endpoint{{Addr: "10.244.2.20:8080"}, {Addr: "garbage"}}}
	for _, tc := range []struct {
		name  string
		other verdict.Flow
		one   bool
	}{
		{"the same", svc, true},
		{"any sender", verdict.Flow{Proto: "tcp", Src: "any", Dst: "10.96.0.80", Dport: 80}, true},
		{"any port", verdict.Flow{Proto: "tcp", Src: "10.244.1.10", Dst: "10.96.0.80"}, true},
		{"its endpoint", verdict.Flow{Proto: "tcp", Dst: "10.244.2.20", Dport: 8080}, true},
		{"its endpoint, any port", verdict.Flow{Proto: "tcp", Dst: "10.244.2.20"}, true},
		{"another port of its endpoint", verdict.Flow{Proto: "tcp", Dst: "10.244.2.20", Dport: 9}, false},
		{"another port", verdict.Flow{Proto: "tcp", Dst: "10.96.0.80", Dport: 81}, false},
		{"another protocol", verdict.Flow{Proto: "udp", Dst: "10.96.0.80", Dport: 80}, false},
		{"another destination", verdict.Flow{Proto: "tcp", Dst: "10.96.0.81", Dport: 80}, false},
	} {
		a, b := named("a"), named("b")
		a.start.Flow, b.start.Flow = svc, tc.other
		if got := differ(a, b) == "" && differ(b, a) == ""; got != tc.one {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

// Whether streams overlap: with clocks that may be a second apart, and ends that are not known.
func TestOverlap(t *testing.T) {
	at := func(sec float64) time.Time { return epoch.Add(time.Duration(sec * 1e9)) }
	for _, tc := range []struct {
		name           string
		since1, until1 time.Time
		since2, until2 time.Time
		apart          bool
	}{
		{"both at once", at(0), at(10), at(1), at(9), false},
		{"one after the other", at(0), at(10), at(20), at(30), true},
		{"within what clocks may differ", at(0), at(10), at(10.5), at(30), false},
		{"an end that is not known", at(0), time.Time{}, at(20), at(30), false},
		{"a start that is not known", at(0), at(10), time.Time{}, at(30), false},
	} {
		a, b := named("a"), named("b")
		a.start.Time, b.start.Time = tc.since1, tc.since2
		a.verdict, b.verdict = &verdict.Verdict{Time: tc.until1}, &verdict.Verdict{Time: tc.until2}
		if got := apart(a, b) != ""; got != tc.apart || got != (apart(b, a) != "") {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

// Two streams are of one node also when one of them watches several.
func TestSameNode(t *testing.T) {
	a, b := named("node1"), named("node2")
	if n := sameNode(a, b); n != "" {
		t.Errorf("two nodes: %q", n)
	}
	b.start.Nodes = append(b.start.Nodes, render.Node{Name: "node1"})
	if n := sameNode(a, b); n != "node1" {
		t.Errorf("a second scope: %q", n)
	}
}

// The start record of several nodes: points that one lacks are named with it, those that all lack are not, and the strictest lockdown counts.
func TestMergedStart(t *testing.T) {
	point := func(name, why string) tracer.PointStatus {
		p := tracer.PointStatus{Name: name, Why: why, Attached: why == ""}
		if p.Attached {
			p.Backend = "tracepoint"
		}
		return p
	}
	a, b := named("node1"), named("node2")
	a.start.Kernel, b.start.Kernel = "6.1.0", "6.12.1"
	a.start.Lockdown, b.start.Lockdown = "none", "integrity"
	a.start.AttachMS, b.start.AttachMS = 100, 300
	a.start.Flow = verdict.Flow{Src: "any", Dst: "10.244.2.20"}
	b.start.Flow = verdict.Flow{Src: "10.244.1.10", Dst: "10.96.0.80", Endpoints: []verdict.Endpoint{}}
	a.start.Points = []tracer.PointStatus{point("rx", ""), point("tx", ""), point("fn", "no kprobes"), point("one", "")}
	b.start.Points = []tracer.PointStatus{point("rx", ""), point("tx", "not found"), point("fn", "no kprobes"), point("two", "gone")}
	s := start([]*stream{a, b})
	if s.Node != "node1 and node2" || s.Kernel != "6.1.0 and 6.12.1" || s.Lockdown != "integrity" || s.AttachMS != 300 || s.Flow.Dst != "10.96.0.80" || len(s.Nodes) != 2 {
		t.Errorf("%+v", s)
	}
	want := []tracer.PointStatus{point("rx", ""), point("tx", "on node2, not found"), point("fn", "no kprobes"), point("one", ""), point("two", "on node2, gone")}
	if !slices.Equal(s.Points, want) {
		t.Errorf("points %+v, want %+v", s.Points, want)
	}
	if got := and([]string{"a"}) + "|" + and([]string{"a", "b"}) + "|" + and([]string{"a", "b", "c"}) + "|" + and(nil); got != "a|a and b|a, b and c|" {
		t.Errorf("and: %s", got)
	}
}

// Whom a packet was sent to: the far end of its tunnel, the gateway, its own destination; and who is nobody.
func TestReceiver(t *testing.T) {
	under, strange := netip.MustParseAddr("192.168.50.2"), netip.MustParseAddr("192.168.50.100")
	for _, tc := range []struct {
		name      string
		change    func(p *part)
		to        string
		elsewhere netip.Addr
		has       []netip.Addr
	}{
		{"the tunnel's far end", func(p *part) { p.j.Hops[1].Outer = &journey.Tuple{Dst: under} }, "node2", netip.Addr{}, []netip.Addr{under}},
		{"a tunnel's end that is nobody's, for a pod of node2", func(p *part) { p.j.Hops[1].Outer = &journey.Tuple{Dst: strange} }, "node2", strange, []netip.Addr{under, server}},
		{"a tunnel's end that is nobody's, for nobody's pod", func(p *part) { p.j.Hops[1].Outer = &journey.Tuple{Dst: strange} }, "", strange, []netip.Addr{under}},
		{"a gateway", func(p *part) { p.j.Hops[0].Route = &journey.Route{Gateway: under} }, "node2", netip.Addr{}, []netip.Addr{under}},
		{"a router between, for a pod of node2", func(p *part) { p.j.Hops[0].Route = &journey.Route{Gateway: strange} }, "node2", netip.Addr{}, []netip.Addr{server}},
		{"directly to a pod", func(*part) {}, "node2", netip.Addr{}, []netip.Addr{server}},
		{"out of the cluster", func(*part) {}, "", netip.Addr{}, []netip.Addr{under}},
		{"translated first", func(p *part) { p.j.Hops[0].Tuple = &journey.Tuple{Src: client, Dst: under} }, "node2", netip.Addr{}, []netip.Addr{under}},
	} {
		a, b := halves()
		b.s.start.Nodes[0].Addresses = tc.has
		tc.change(a)
		to, elsewhere := receiver(a, []*stream{a.s, b.s})
		name := ""
		if to != nil {
			name = to.node()
		}
		if name != tc.to || to != nil && elsewhere != tc.elsewhere {
			t.Errorf("%s: %q, %v", tc.name, name, elsewhere)
		}
	}
}

// A segment may come inside a larger one, also where the 32 bits of the sequence begin anew; the same data may come in another packet.
func TestSightsOfData(t *testing.T) {
	for _, seq := range []uint32{1000, 0xffff, 0xfffffff0, 0x1ffff} {
		a, b := halves()
		a.j.Packet.Seq, a.j.Packet.Len = seq+100, 152
		b.j.Packet.Seq, b.j.Packet.Len = seq, 552
		s := newSights([]*chain{{parts: []*part{a}}, {parts: []*part{b}}})
		if !s.together(a, b.s) {
			t.Errorf("seq %d: the segment came inside a larger one", seq)
		}
		a.j.Packet.Seq = seq + 600
		if s.together(a, b.s) {
			t.Errorf("seq %d: the segment is behind the larger one", seq)
		}
	}
	a, b := halves()
	lost, again := &chain{parts: []*part{a}}, &chain{parts: []*part{b}}
	b.j.Packet.IPID++
	if !newSights([]*chain{lost, again}).made(lost) {
		t.Error("sent again, and arrived")
	}
	b.j.Packet.Len = 52
	if newSights([]*chain{lost, again}).made(lost) {
		t.Error("an acknowledgement is not the data behind it")
	}
	b.j.Packet.Len, b.j.End = 152, journey.Dropped
	if newSights([]*chain{lost, again}).made(lost) {
		t.Error("sent again, and dropped")
	}
}

// A way that ends between nodes says where it was expected.
func TestEndTexts(t *testing.T) {
	under := netip.MustParseAddr("192.168.50.2")
	a, b := halves()
	b.s.start.Nodes[0].Addresses = []netip.Addr{under, server}
	none := newSights(nil)
	all := []*stream{a.s, b.s}
	c := &chain{parts: []*part{a}}
	if got := c.endText(all, none, "x"); got != "not seen on node2" {
		t.Errorf("%q", got)
	}
	a.j.Hops[1].Outer = &journey.Tuple{Dst: netip.MustParseAddr("192.168.50.9")}
	if got := c.endText(all, none, "x"); got != "sent to 192.168.50.9, which is not node2" {
		t.Errorf("%q", got)
	}
	b.s.start.Nodes[0].Addresses = nil
	if got := c.endText(all, none, "x"); got != "x" {
		t.Errorf("%q", got)
	}
	if got := (&chain{parts: []*part{b}}).endText(all, none, "socket"); got != "socket" {
		t.Errorf("%q", got)
	}
}

// Beyond the bound there is room for what was dropped, and for nothing else.
func TestDropsHaveRoom(t *testing.T) {
	s := named("a")
	fine := &Record{Journey: &journey.Journey{End: journey.Delivered}}
	bad := &Record{Journey: &journey.Journey{End: journey.Dropped, Hops: []journey.Hop{{Stage: journey.StageDrop, Verdict: "drop"}}}}
	for i := range 2 * maxJourneys {
		if kept, err := s.take(fine, i); err != nil || kept != (i < maxJourneys) {
			t.Fatalf("%d: %v, %v", i, kept, err)
		}
	}
	for i := range maxJourneys + 1 {
		if kept, err := s.take(bad, i); err != nil || kept != (i < maxJourneys) {
			t.Fatalf("dropped %d: %v, %v", i, kept, err)
		}
	}
	if len(s.journeys) != 2*maxJourneys || s.skipped != maxJourneys+1 {
		t.Errorf("%d journeys, %d left out", len(s.journeys), s.skipped)
	}
	if ok, why := s.whole(); ok && why == "" {
		t.Error("nothing is missing")
	}
}
