// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

func TestNodeChecks(t *testing.T) {
	outer := &journey.Tuple{Src: nodeIP, Sport: 50000, Dst: otherIP, Dport: 8472}
	backlog := journey.Hop{Location: "enqueue_to_backlog", Reason: "CPU_BACKLOG", Dev: "eth0"}
	dropped := func(s *netstate.Snapshot) {
		s.Namespaces[0].Counters["Softnet.dropped"] = 9
	}
	withSoftnet := func() (*netstate.Snapshot, *netstate.Snapshot) {
		before, after := state(), state()
		before.Namespaces[0].Counters, after.Namespaces[0].Counters = map[string]uint64{"Softnet.dropped": 4}, map[string]uint64{}
		dropped(after)
		return before, after
	}
	before, after := withSoftnet()
	judgeAll(t, []judged{
		{"no entry", Input{Journeys: lostAt(journey.Hop{Location: "ip_finish_output2", Reason: "NEIGH_CREATEFAIL", Dev: "cni0"})}, nil, "dropped pod-network neighbour-table-full likely", "gc_thresh3"},
		{"no entry, on a kernel without reasons", Input{Journeys: lostAt(journey.Hop{Location: "ip_finish_output2", Dev: "cni0"})}, nil, "dropped pod-network neighbour-table-full likely", "for 10.244.2.20"},
		{"no entry for the other node", Input{Journeys: lostAt(journey.Hop{Location: "ip_finish_output2", Reason: "NEIGH_CREATEFAIL", Dev: "eth0", Outer: outer})}, nil, "dropped underlay neighbour-table-full likely", "for 192.168.50.2"},
		{"another reason at the same place", Input{Journeys: lostAt(journey.Hop{Location: "ip_finish_output2", Reason: "NOMEM", Dev: "cni0"})}, nil, "dropped pod-network packet-drop likely", ""},
		{"backlog", Input{Journeys: lostAt(backlog), Before: before, After: after}, nil, "dropped underlay softirq-backlog-full confirmed", "counted 5 dropped packets"},
		{"backlog, by the event only", Input{Journeys: lostAt(backlog)}, nil, "dropped underlay softirq-backlog-full likely", "netdev_max_backlog"},
		{"backlog, on a kernel without reasons", Input{Journeys: lostAt(journey.Hop{Location: "enqueue_to_backlog"})}, nil, "dropped underlay softirq-backlog-full likely", ""},
	})
}

// Kernels before 5.9 drop the first SYN of a connection whose port IPVS still knows; the second one arrives.
func TestIPVSConnectionReuse(t *testing.T) {
	at := journey.Hop{Location: "nf_hook_slow", Reason: "NETFILTER_DROP", Hook: "INPUT", Dev: "cni0"}
	virtual := func(weight uint32, mode string) func(*netstate.Snapshot) {
		return func(s *netstate.Snapshot) {
			s.Namespaces[0].Sysctls["net.ipv4.vs.conn_reuse_mode"], s.Namespaces[0].Sysctls["net.ipv4.vs.conntrack"] = mode, "1"
			s.Namespaces[0].IPVS = &ruleset.IPVS{Servers: []ruleset.VirtualServer{{Proto: "tcp", Addr: vip, Port: 80, Scheduler: "rr",
				Real: []ruleset.RealServer{{Addr: netip.MustParseAddr("10.244.2.30"), Port: 8080, Method: "masquerading", Weight: int(weight)}}}}}
		}
	}
	tries := func(h journey.Hop, further bool) []journey.Journey {
		js := lostAt(h)
		js[0].Packet.Dst, js[0].Packet.Dport = vip, 80
		if further {
			again := arrivedAt(2, journey.Request, 60)
			again.Packet, again.Attempt = js[0].Packet, 2
			again.End, again.Hops = journey.Open, append(again.Hops, journey.Hop{Stage: journey.StageRoute, NetNS: nodeNS}, journey.Hop{Stage: journey.StageRoute, NetNS: nodeNS})
			js = append(js, again)
		}
		return js
	}
	ruled := at
	ruled.Rule = rule(journey.Rule{Chain: "INPUT", Number: 1, Verdict: "DROP", Text: "-j DROP"})
	judgeAll(t, []judged{
		{"the second one passes", Input{Journeys: tries(at, true)}, virtual(1, "1"), "dropped service ipvs-connection-reuse likely", "TIME_WAIT"},
		{"no second one", Input{Journeys: tries(at, false)}, virtual(1, "1"), "dropped pod-network netfilter-drop likely", ""},
		{"a rule drops", Input{Journeys: tries(ruled, true)}, virtual(1, "1"), "dropped pod-network netfilter-drop likely", "-j DROP"},
		{"connections are not looked at again", Input{Journeys: tries(at, true)}, virtual(1, "0"), "dropped pod-network netfilter-drop likely", ""},
		{"no server takes connections", Input{Journeys: tries(at, true)}, virtual(0, "1"), "dropped pod-network netfilter-drop likely", ""},
	})
}
