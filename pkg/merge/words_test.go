// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/probe"
	"github.com/nettrace-io/nettrace/pkg/tracer"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

func tuple(src string, dst string) journey.Tuple {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	return journey.Tuple{Src: s.Addr(), Sport: s.Port(), Dst: d.Addr(), Dport: d.Port()}
}

// A packet in words: what it is, and its addresses as they were when it left; IPv6 in brackets; no port where there is none.
func TestPacketWords(t *testing.T) {
	outer := tuple("192.168.50.1:5555", "192.168.50.2:8472")
	outer6 := tuple("[fd00:50::1]:5555", "[fd00:50::2]:8472")
	hop := func(o *journey.Tuple, tunnel string) []journey.Hop {
		h := journey.Hop{Dev: "eth0", Outer: o}
		if tunnel != "" {
			return []journey.Hop{{Dev: "flannel.1", Tunnel: &journey.Tunnel{Type: tunnel, Op: "encap"}}, h}
		}
		return []journey.Hop{h}
	}
	for _, tc := range []struct {
		name         string
		packet       journey.Packet
		hops         []journey.Hop
		packet1, out string
	}{
		{"a SYN without a tunnel", journey.Packet{Proto: "tcp", Flags: "SYN", Tuple: tuple("10.0.0.1:1234", "10.0.0.2:80")}, hop(nil, ""), "SYN 10.0.0.1:1234 → 10.0.0.2:80", "out of eth0"},
		{"a SYN in VXLAN", journey.Packet{Proto: "tcp", Flags: "SYN", Tuple: tuple("10.0.0.1:1234", "10.0.0.2:80")}, hop(&outer, "vxlan"), "SYN 10.0.0.1:1234 → 10.0.0.2:80", "out of eth0 inside VXLAN 192.168.50.1:5555 → 192.168.50.2:8472"},
		{"a datagram in Geneve, over IPv6", journey.Packet{Proto: "udp", Tuple: tuple("10.0.0.1:1234", "10.0.0.2:53")}, hop(&outer6, "geneve"), "udp 10.0.0.1:1234 → 10.0.0.2:53", "out of eth0 inside Geneve [fd00:50::1]:5555 → [fd00:50::2]:8472"},
		{"a tunnel that has no word of its own", journey.Packet{Proto: "udp", Tuple: tuple("10.0.0.1:1", "10.0.0.2:2")}, hop(&outer, "sit"), "udp 10.0.0.1:1 → 10.0.0.2:2", "out of eth0 inside sit 192.168.50.1:5555 → 192.168.50.2:8472"},
		{"an outer header and no tunnel that was seen", journey.Packet{Proto: "udp", Tuple: tuple("10.0.0.1:1", "10.0.0.2:2")}, hop(&outer, ""), "udp 10.0.0.1:1 → 10.0.0.2:2", "out of eth0 inside a tunnel packet 192.168.50.1:5555 → 192.168.50.2:8472"},
		{"a ping, which has no ports", journey.Packet{Proto: "icmp", ICMP: "echo-request", Flags: "x", Tuple: journey.Tuple{Src: client, Dst: server}}, hop(nil, ""), "ICMP echo-request 10.244.1.10 → 10.244.2.20", "out of eth0"},
		{"IPv6", journey.Packet{Proto: "tcp", Flags: "ACK", Tuple: tuple("[fd00::1]:9", "[fd00::2]:80")}, hop(nil, ""), "ACK [fd00::1]:9 → [fd00::2]:80", "out of eth0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := &part{j: &journey.Journey{Packet: tc.packet, Hops: tc.hops}}
			if got := p.packetText(); got != tc.packet1 {
				t.Errorf("packet %q, want %q", got, tc.packet1)
			}
			if got := p.leftText(); got != tc.out {
				t.Errorf("left %q, want %q", got, tc.out)
			}
		})
	}
}

// pointed is a stream whose node has these points; "name" is attached, "name: why" is not, "name? why" is needless.
func pointed(node string, all ...tracer.PointStatus) *stream {
	s := named(node)
	s.start.Points = all
	return s
}

// Points of three nodes: attached only where all have it; the first that lacks it is named with its reason; one that nothing is missed by is no lack.
func TestMergedPoints(t *testing.T) {
	has := tracer.PointStatus{Name: "rx", Attached: true, Backend: "tracepoint"}
	lacks := func(why string) tracer.PointStatus { return tracer.PointStatus{Name: "rx", Why: why} }
	needless := tracer.PointStatus{Name: "rx", Why: "no IPVS here", Needless: true}
	for _, tc := range []struct {
		name    string
		a, b, c tracer.PointStatus
		want    tracer.PointStatus
	}{
		{"all have it", has, has, has, has},
		{"the last lacks it", has, has, lacks("no BTF"), lacks("on c, no BTF")},
		{"the first lacks it", lacks("no BTF"), has, has, lacks("on a, no BTF")},
		{"all lack it for one reason", lacks("no kprobes"), lacks("no kprobes"), lacks("no kprobes"), lacks("no kprobes")},
		{"all lack it for reasons of their own: the first is told with its node", lacks("no kprobes"), lacks("not found"), lacks("no BTF"), lacks("on a, no kprobes")},
		{"two lack it: the first of them is told", has, lacks("not found"), lacks("no BTF"), lacks("on b, not found")},
		{"one does not need it", has, needless, has, has},
		{"the first does not need it", needless, has, has, needless},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := points([]*stream{pointed("a", tc.a), pointed("b", tc.b), pointed("c", tc.c)})
			if !reflect.DeepEqual(got, []tracer.PointStatus{tc.want}) {
				t.Errorf("%+v, want %+v", got, tc.want)
			}
		})
	}
	if got := points([]*stream{pointed("a", lacks("no BTF"))}); !reflect.DeepEqual(got, []tracer.PointStatus{lacks("no BTF")}) {
		t.Errorf("one node alone is not named: %+v", got)
	}
}

// Whose flow is told: with endpoints before with a name, with a name before with a sender, and of equals the first.
func TestAsked(t *testing.T) {
	flow := func(node string, f verdict.Flow) *stream {
		s := named(node)
		s.start.Flow = f
		return s
	}
	anybody := flow("anybody", verdict.Flow{Src: "any"})
	sender := flow("sender", verdict.Flow{Src: "10.0.0.1"})
	name := flow("name", verdict.Flow{Src: "any", DstRef: &journey.Ref{}})
	ends := flow("ends", verdict.Flow{Src: "any", Endpoints: []verdict.Endpoint{}})
	both := flow("both", verdict.Flow{Src: "10.0.0.1", DstRef: &journey.Ref{}})
	for _, tc := range []struct {
		all  []*stream
		want string
	}{
		{[]*stream{anybody}, "anybody"}, {[]*stream{anybody, sender}, "sender"}, {[]*stream{sender, name}, "name"}, {[]*stream{name, both}, "both"},
		{[]*stream{both, ends}, "ends"}, {[]*stream{ends, flow("second", verdict.Flow{Src: "any", Endpoints: []verdict.Endpoint{}})}, "ends"},
	} {
		if got := asked(tc.all).node(); got != tc.want {
			t.Errorf("%d streams: %s, want %s", len(tc.all), got, tc.want)
		}
	}
}

// judged is a stream with a verdict.
func judged(node string, v verdict.Verdict) *stream {
	s := named(node)
	s.verdict = &v
	return s
}

// What other nodes found besides is kept once, with the node's name; what a node only lost sight of is no finding.
func TestAlsoOfOtherNodes(t *testing.T) {
	also := func(cause string) verdict.Also {
		return verdict.Also{Cause: cause, Layer: verdict.PodNetwork, Summary: cause + " there"}
	}
	told := func(cause string) verdict.Also {
		return verdict.Also{Cause: cause, Layer: verdict.PodNetwork, Summary: "b: " + cause + " there"}
	}
	for _, tc := range []struct {
		name  string
		other verdict.Verdict
		want  []verdict.Also
	}{
		{"a drop of another cause", verdict.Verdict{Outcome: verdict.Dropped, Cause: "rp-filter", Layer: verdict.PodNetwork, Summary: "rp-filter there"}, []verdict.Also{told("rp-filter")}},
		{"a rejection of another cause", verdict.Verdict{Outcome: verdict.Rejected, Cause: "rp-filter", Layer: verdict.PodNetwork, Summary: "rp-filter there"}, []verdict.Also{told("rp-filter")}},
		{"a drop of the same cause", verdict.Verdict{Outcome: verdict.Dropped, Cause: "mine", Summary: "x"}, nil},
		{"a drop without a cause", verdict.Verdict{Outcome: verdict.Dropped, Summary: "x"}, nil},
		{"lost there", verdict.Verdict{Outcome: verdict.Lost, Cause: "rp-filter", Summary: "x"}, nil},
		{"delivered, and two things besides, one of them twice", verdict.Verdict{Outcome: verdict.Delivered, Also: []verdict.Also{also("rp-filter"), also("pod-mtu"), also("rp-filter"), also("mine")}}, []verdict.Also{told("rp-filter"), told("pod-mtu")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := &verdict.Verdict{Cause: "mine"}
			(&evidence{}).also(v, judged("b", tc.other))
			if !reflect.DeepEqual(v.Also, tc.want) {
				t.Errorf("%+v, want %+v", v.Also, tc.want)
			}
		})
	}
}

// What every merged verdict has: journeys once and in order, lost events of all, the latest time, the first probe; and what is wrong with a stream
// takes the certainty from what was not seen, and from nothing else.
func TestCompleted(t *testing.T) {
	early, late := time.Unix(100, 0), time.Unix(200, 0)
	sent := &probe.Result{}
	for _, tc := range []struct {
		outcome  verdict.Outcome
		problems []string
		want     verdict.Confidence
	}{
		{verdict.Lost, nil, verdict.Confirmed},
		{verdict.Lost, []string{"b ends in the middle of a line"}, verdict.Likely},
		{verdict.Unseen, []string{"b ends in the middle of a line"}, verdict.Likely},
		{verdict.Dropped, []string{"b ends in the middle of a line"}, verdict.Confirmed},
	} {
		t.Run(fmt.Sprint(tc.outcome, len(tc.problems)), func(t *testing.T) {
			a := judged("a", verdict.Verdict{LostEvents: 2, Time: late})
			b := judged("b", verdict.Verdict{LostEvents: 3, Time: early, Probe: sent})
			e := &evidence{all: []*stream{a}, chains: []*chain{{id: 3}, {id: 1}, {id: 3}}, clocks: newClocks([]*stream{a}), problems: tc.problems}
			e.all = append(e.all, b)
			e.clocks = newClocks(e.all)
			v := &verdict.Verdict{Outcome: tc.outcome, Confidence: verdict.Confirmed, LostEvents: 99, Journeys: []int{7}, Time: time.Unix(900, 0)}
			e.complete(v)
			if !reflect.DeepEqual(v.Journeys, []int{1, 3}) || v.LostEvents != 5 || !v.Time.Equal(late) || v.Probe != sent || v.Confidence != tc.want || v.Fix == nil {
				t.Errorf("%+v, want journeys 1 and 3, 5 lost events, %v, the probe, %s", v, late, tc.want)
			}
			for i, p := range tc.problems {
				if k := len(v.Evidence) - len(tc.problems) + i; k < 0 || v.Evidence[k] != p {
					t.Errorf("evidence %q lacks %q", v.Evidence, p)
				}
			}
		})
	}
}
