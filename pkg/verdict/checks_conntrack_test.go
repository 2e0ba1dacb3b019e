// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// What conntrack refused is told by the kernel's own step where functions are traced, and by counters and entries where they are not.
func TestConntrackRefuses(t *testing.T) {
	at := journey.Hop{Location: "nf_hook_slow", Reason: "NETFILTER_DROP", Hook: "POSTROUTING", Dev: "flannel.1"}
	seen := at
	seen.Step = "insert-failed"
	query := func(h journey.Hop, before ...journey.Hop) []journey.Journey {
		js := lostAt(h, before...)
		js[0].Packet.Proto, js[0].Packet.Flags, js[0].Packet.Dport = "udp", "", 53
		return js
	}
	counted := func(s *netstate.Snapshot) {
		s.Namespaces[0].Counters["Conntrack.insert_failed"] = 1
	}
	withCounter := func(change func(*netstate.Snapshot)) (before, after *netstate.Snapshot) {
		before, after = state(), state()
		for _, s := range []*netstate.Snapshot{before, after} {
			s.Namespaces[0].Counters = map[string]uint64{"Conntrack.insert_failed": 0}
		}
		counted(after)
		if change != nil {
			change(after)
		}
		return before, after
	}
	entry := func(proto string, orig netip.AddrPort, dport uint16) func(*netstate.Snapshot) {
		return func(s *netstate.Snapshot) {
			s.Namespaces[0].Tracked = []netstate.Tracked{{Proto: proto, Orig: journey.Tuple{Src: client, Sport: 40000, Dst: orig.Addr(), Dport: orig.Port()},
				Reply: journey.Tuple{Src: server, Sport: dport, Dst: client, Dport: 40000}}}
		}
	}
	other := netip.MustParseAddrPort("10.96.0.11:53")
	in := func(js []journey.Journey, change func(*netstate.Snapshot)) Input {
		before, after := withCounter(change)
		return Input{Journeys: js, Before: before, After: after}
	}
	snat := journey.Hop{Stage: journey.StageNAT, NetNS: nodeNS, Where: host(), NAT: &journey.NAT{Type: "masquerade", From: "10.244.1.10:40000", To: "192.168.50.1:40000"}}
	ruled := at
	ruled.Rule = rule(journey.Rule{Chain: "POSTROUTING", Number: 1, Verdict: "DROP", Text: "-j DROP"})
	first := at
	first.Hook = "FORWARD"
	own := entry("udp", netip.AddrPortFrom(server, 53), 53)
	again := func(js ...journey.Journey) []journey.Journey {
		for i := range js {
			js[i].ID, js[i].Attempt = js[i].ID+10, 2
		}
		return js
	}
	judgeAll(t, []judged{
		{"the kernel's step", Input{Journeys: query(seen)}, nil, "dropped dns conntrack-race likely", "one socket for each query"},
		{"the step and the counter", in(query(seen), nil), nil, "dropped dns conntrack-race confirmed", "insert_failed of node1 grew by 1"},
		{"the counter", in(query(at), nil), nil, "dropped dns conntrack-race likely", "behind its last rules in POSTROUTING"},
		{"the counter and the rival", in(query(at), entry("udp", other, 53)), nil, "dropped dns conntrack-race confirmed", "udp 10.244.1.10:40000 → 10.96.0.11:53 has the place in the table"},
		{"its own entry is no rival", in(query(at), own), nil, "dropped dns conntrack-race likely", ""},
		{"an entry of another protocol", in(query(at), entry("tcp", other, 53)), nil, "dropped dns conntrack-race likely", ""},
		{"no query", in(lostAt(at), nil), nil, "dropped service conntrack-race likely", ""},
		{"source translated", in(lostAt(seen, snat), nil), nil, "dropped service snat-ports-exhausted likely", "or another new connection took it"},
		{"source translated, again and again", in(append(lostAt(seen, snat), again(lostAt(seen, snat)...)...), nil), nil, "dropped service snat-ports-exhausted confirmed", "2 attempts of this connection ended so"},
		{"source translated, by the counter", in(lostAt(at, snat), nil), nil, "dropped service snat-ports-exhausted likely", "insert_failed of node1 grew by 1"},
		{"a rule drops there", in(lostAt(ruled), nil), nil, "dropped pod-network netfilter-drop likely", "-j DROP"},
		{"not where entries are made", in(lostAt(first), nil), nil, "dropped pod-network netfilter-drop likely", ""},
		{"nothing counted", Input{Journeys: lostAt(at)}, nil, "dropped pod-network netfilter-drop likely", ""},
	})
}

// A full table is told by its count where no function is traced; a rule or a place behind the tracking is no full table.
func TestConntrackFullByState(t *testing.T) {
	full := func(s *netstate.Snapshot) {
		s.Namespaces[0].Sysctls["net.netfilter.nf_conntrack_count"], s.Namespaces[0].Sysctls["net.netfilter.nf_conntrack_max"] = "4096", "4096"
	}
	at := func(hook string) journey.Hop {
		return journey.Hop{Location: "nf_hook_slow", Reason: "NETFILTER_DROP", Hook: hook, Dev: "cni0"}
	}
	ruled := at("PREROUTING")
	ruled.Rule = rule(journey.Rule{Chain: "PREROUTING", Number: 1, Verdict: "DROP", Text: "-j DROP"})
	judgeAll(t, []judged{
		{"of the node's pods", Input{Journeys: lostAt(at("PREROUTING"))}, full, "dropped service conntrack-full likely", "4096 of 4096 entries are used"},
		{"of the node itself", Input{Journeys: lostAt(at("OUTPUT"))}, full, "dropped service conntrack-full likely", ""},
		{"behind the tracking", Input{Journeys: lostAt(at("FORWARD"))}, full, "dropped pod-network netfilter-drop likely", ""},
		{"by a rule", Input{Journeys: lostAt(ruled)}, full, "dropped pod-network netfilter-drop likely", "-j DROP"},
		{"with room", Input{Journeys: lostAt(at("PREROUTING"))}, nil, "dropped pod-network netfilter-drop likely", ""},
	})
}

func TestConntrackInvalidSaysWhatTheTableHas(t *testing.T) {
	h := journey.Hop{Location: "nf_hook_slow", Reason: "NETFILTER_DROP", Hook: "FORWARD", Dev: "cni0"}
	invalid := journey.Hop{Stage: journey.StageConntrack, NetNS: nodeNS, Where: host(), Step: "lookup", Func: "nf_conntrack_in", CT: &journey.CT{State: "INVALID"}}
	judgeAll(t, []judged{
		{"no connection", Input{Journeys: lostAt(h, invalid)}, nil, "dropped service conntrack-invalid likely", "asymmetric route"},
		{"out of window", Input{Journeys: lostAt(h, invalid)}, func(s *netstate.Snapshot) {
			s.Namespaces[0].Tracked = []netstate.Tracked{{Proto: "tcp", State: "ESTABLISHED", Orig: journey.Tuple{Src: client, Sport: 40000, Dst: server, Dport: 8081}}}
		}, "dropped service conntrack-invalid likely", "the table has its connection, tcp 10.244.1.10:40000 → 10.244.2.20:8081 ESTABLISHED"},
	})
}
