// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

func TestLossLowersConfidence(t *testing.T) {
	drop := lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "FORWARD", Rule: rule(journey.Rule{Chain: "FORWARD", Verdict: "DROP"})})
	for _, tc := range []struct {
		name string
		in   Input
		want Confidence
	}{
		{"a drop that was seen is still likely", Input{Journeys: drop, Lost: 1}, Likely},
		{"what was likely is not", Input{Journeys: lostAt(journey.Hop{Location: "x"}), Lost: 1}, Inconclusive},
		{"absence proves nothing", Input{Journeys: []journey.Journey{goneAt(1, 60)}, After: state(), Lost: 1}, Inconclusive},
		{"delivered is likely", Input{Journeys: []journey.Journey{arrivedAt(1, journey.Request, 1), arrivedAt(2, journey.Reply, 1)}, Lost: 1}, Likely},
	} {
		v := Judge(&tc.in)
		if v.Confidence != tc.want || v.LostEvents != 1 || !strings.Contains(strings.Join(v.Evidence, "\n"), "1 events were lost") {
			t.Errorf("%s: %s, %d lost, %q", tc.name, v.Confidence, v.LostEvents, v.Evidence)
		}
	}
}

func TestRequestAndReplyAreJudgedApart(t *testing.T) {
	reply := lostAt(journey.Hop{Location: "ip_error", Reason: "IP_INNOROUTES"})[0]
	reply.ID, reply.Direction = 2, journey.Reply
	s := state()
	s.Namespaces[0].Routes = nil
	v := Judge(&Input{Journeys: []journey.Journey{arrivedAt(1, journey.Request, 60), reply}, After: s})
	if v.Cause != "reply-route-missing" || v.Outcome != Dropped {
		t.Errorf("%s %s", v.Outcome, v.Cause)
	}
	late := lostAt(journey.Hop{Location: "tcp_v4_rcv", Reason: "NO_SOCKET", Where: inPod(), NetNS: podNS})[0]
	late.Direction, late.Packet.Tuple = journey.Reply, journey.Tuple{Src: server, Sport: 8081, Dst: client, Dport: 40000}
	flow := Flow{Dst: server.String(), Dport: 8081}
	if v := Judge(&Input{Flow: flow, Journeys: []journey.Journey{late}, After: s}); v.Cause != "socket-drop" {
		t.Errorf("a late answer: %s", v.Cause)
	}
	flow.Dst, flow.Dport = vip.String(), 80
	s.Namespaces[0].Sysctls["net.bridge.bridge-nf-call-iptables"] = "0"
	late.Hops[0].Node = "node1"
	if v := Judge(&Input{Flow: flow, Journeys: []journey.Journey{late}, After: s}); v.Cause != "bridge-netfilter-off" || v.Confidence != Confirmed {
		t.Errorf("an answer that was not translated back: %s %s", v.Cause, v.Confidence)
	}
}

func TestOneCauseIsOneFinding(t *testing.T) {
	a := lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "FORWARD"})[0]
	b, c := a, lostAt(journey.Hop{Location: "tcp_v4_rcv", Reason: "TCP_FLAGS", Where: inPod()})[0]
	b.ID, c.ID = 2, 3
	v := Judge(&Input{Journeys: []journey.Journey{a, b, c}})
	if len(v.Also) != 1 || v.Also[0].Cause != "socket-drop" || !strings.Contains(strings.Join(v.Evidence, "\n"), "it happened to 2 packets") || len(v.Journeys) != 3 {
		t.Errorf("also %+v, evidence %q", v.Also, v.Evidence)
	}
	again := arrivedAt(2, journey.Request, 60)
	again.Packet, again.Attempt = a.Packet, 2
	v = Judge(&Input{Journeys: []journey.Journey{a, again, arrivedAt(4, journey.Reply, 60)}})
	if v.Outcome != Delivered || len(v.Also) != 1 {
		t.Errorf("a drop that the next attempt made good: %s, also %+v", v.Outcome, v.Also)
	}
	for size, want := range map[uint32]Outcome{1450: Delivered, 52: Dropped} { // the same data once more, not counted as an attempt; an ACK is no data
		data := a
		data.Packet.Len = size
		again.Packet, again.Attempt = data.Packet, 1
		if v := Judge(&Input{Journeys: []journey.Journey{data, again, arrivedAt(4, journey.Reply, 60)}}); v.Outcome != want {
			t.Errorf("%d bytes that were dropped and came once more: %s, want %s", size, v.Outcome, want)
		}
	}
}

// The ACK of a handshake that comes after the FIN is old and is dropped without harm: what stopped another connection is told first.
func TestHarmlessDropsAreToldAfterTheOthers(t *testing.T) {
	old := lostAt(journey.Hop{Location: "tcp_validate_incoming", Reason: "TCP_INVALID_SEQUENCE", Where: inPod(), NetNS: podNS})[0]
	old.Packet.Flags, old.Packet.Seq = "ACK", 7
	fin := arrivedAt(2, journey.Request, 60)
	fin.Packet = old.Packet
	fin.Packet.Flags = "FIN,ACK"
	full := lostAt(journey.Hop{Location: "tcp_conn_request", Step: "accept-queue-full", Why: "2 of 1 connections wait to be accepted", Where: inPod(), NetNS: podNS})[0]
	full.ID, full.Packet.Sport = 3, 40001
	v := Judge(&Input{Journeys: []journey.Journey{old, fin, full}})
	if v.Cause != "accept-queue-full" || len(v.Also) != 1 || v.Also[0].Cause != "socket-drop" {
		t.Errorf("%s, also %+v", v.Cause, v.Also)
	}
	fin.Packet.Seq++
	if v := Judge(&Input{Journeys: []journey.Journey{old, fin, full}}); v.Cause != "socket-drop" {
		t.Errorf("data that did not arrive: %s", v.Cause)
	}
}

// The redirect that a node sends about a translated flow is dropped in OUTPUT, and that is no finding; another ICMP error there is one.
func TestRedirectsAreNoFindings(t *testing.T) {
	icmp := lostAt(journey.Hop{Location: "nf_hook_slow", Reason: "NETFILTER_DROP", Hook: "OUTPUT"})[0]
	icmp.ID, icmp.Direction, icmp.Packet.Proto, icmp.Packet.Flags, icmp.Packet.ICMP = 3, journey.Related, "icmp", "", "redirect"
	in := Input{Journeys: []journey.Journey{arrivedAt(1, journey.Request, 60), arrivedAt(2, journey.Reply, 60), icmp}}
	if v := Judge(&in); v.Outcome != Delivered || len(v.Also) != 0 || v.Cause != "" {
		t.Errorf("a redirect: %s %s, also %+v", v.Outcome, v.Cause, v.Also)
	}
	in.Journeys[2].Packet.ICMP = "fragmentation needed"
	if v := Judge(&in); v.Outcome != Delivered || len(v.Also) != 1 {
		t.Errorf("a lost error: %s, also %+v", v.Outcome, v.Also)
	}
}

func TestChecksAreWellFormed(t *testing.T) {
	for _, n := range names() {
		c := checks[n]
		kinds := 0
		for _, set := range []bool{c.drop != nil, c.flow != nil, c.answered != nil, c.unsent != nil} {
			if set {
				kinds++
			}
		}
		if kinds != 1 {
			t.Errorf("%s needs exactly one of drop, flow, answered and unsent", n)
		}
		for _, s := range c.silences {
			if _, ok := checks[s]; !ok {
				t.Errorf("%s silences %s, which there is not", n, s)
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a name can be registered twice")
		}
	}()
	register(check{name: names()[0]})
}
