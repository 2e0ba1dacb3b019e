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
		{"no entry, and the table is full", Input{Journeys: lostAt(journey.Hop{Location: "ip_finish_output2", Reason: "NEIGH_CREATEFAIL", Dev: "cni0"})}, func(s *netstate.Snapshot) { s.Namespaces[0].Sysctls["net.ipv4.neigh.default.gc_thresh3"] = "1" }, "dropped pod-network neighbour-table-full confirmed", "gc_thresh3 is 1"},
		{"no entry, and the other family's table is full", Input{Journeys: lostAt(journey.Hop{Location: "ip_finish_output2", Reason: "NEIGH_CREATEFAIL", Dev: "cni0"})}, func(s *netstate.Snapshot) {
			s.Namespaces[0].Sysctls["net.ipv4.neigh.default.gc_thresh3"] = "2"
			s.Namespaces[0].Neighs = append(s.Namespaces[0].Neighs, netstate.Neigh{Dev: "eth0", IP: netip.MustParseAddr("fe80::1"), State: "STALE"})
		}, "dropped pod-network neighbour-table-full likely", "sysctl -w net.ipv4.neigh.default.gc_thresh3=80000 net.ipv4.neigh.default.gc_thresh2=60000"},
		{"no entry, and the table has room", Input{Journeys: lostAt(journey.Hop{Location: "ip_finish_output2", Reason: "NEIGH_CREATEFAIL", Dev: "cni0"})}, func(s *netstate.Snapshot) { s.Namespaces[0].Sysctls["net.ipv4.neigh.default.gc_thresh3"] = "1024" }, "dropped pod-network neighbour-table-full likely", "gc_thresh3 is 1024"},
		{"another reason at the same place", Input{Journeys: lostAt(journey.Hop{Location: "ip_finish_output2", Reason: "NOMEM", Dev: "cni0"})}, nil, "dropped pod-network packet-drop likely", ""},
		{"backlog", Input{Journeys: lostAt(backlog), Before: before, After: after}, nil, "dropped underlay softirq-backlog-full confirmed", "counted 5 dropped packets"},
		{"backlog, by the event only", Input{Journeys: lostAt(backlog)}, nil, "dropped underlay softirq-backlog-full likely", "netdev_max_backlog"},
		{"backlog, on a kernel without reasons", Input{Journeys: lostAt(journey.Hop{Location: "enqueue_to_backlog"})}, nil, "dropped underlay softirq-backlog-full likely", ""},
	})
}

// Topology: a node with pods on a bridge, or with a veth for each; another node behind its uplink. Action: nobody answers for the next hop.
// Expectation: the fault is where the next hop is.
func TestWhoIsSilent(t *testing.T) {
	peer, router := netip.MustParseAddr("10.244.2.21"), netip.MustParseAddr("192.168.50.254")
	ask := func(dev, kind string) journey.Hop {
		return journey.Hop{Location: "neigh_invalidate", Reason: "NEIGH_FAILED", Dev: dev, DevKind: kind}
	}
	fromPod := func(dst netip.Addr) []journey.Journey {
		h := ask("eth0", "veth")
		h.Where, h.NetNS, h.Node, h.Tuple = inPod(), podNS, "node1", &journey.Tuple{Src: server, Sport: 40000, Dst: dst, Dport: 8081}
		return lostAt(h)
	}
	pods := func(addr netip.Addr) func(*netstate.Snapshot) {
		return func(s *netstate.Snapshot) {
			s.Namespaces[1].Routes = []netstate.Route{{Table: 254, Dst: netip.MustParsePrefix("10.244.2.0/24"), Type: "unicast", Dev: "eth0"}}
			s.Namespaces[0].Links = append(s.Namespaces[0].Links, netstate.Link{Index: 6, Name: "veth2", Kind: "veth", Up: true, PeerIndex: 2})
			s.Namespaces = append(s.Namespaces, netstate.Namespace{Inode: 14, Name: "peer", Node: "node1",
				Links: []netstate.Link{{Index: 2, Name: "eth0", Kind: "veth", Up: true, PeerIndex: 6, Addrs: []netip.Prefix{netip.PrefixFrom(addr, 24)}}}})
		}
	}
	gone := func(s *netstate.Snapshot) { s.Namespaces[1].Links[0].Addrs = nil }
	by := func(dst, dev string, gw netip.Addr) func(*netstate.Snapshot) {
		return func(s *netstate.Snapshot) {
			gone(s)
			s.Namespaces[0].Routes = []netstate.Route{{Table: 254, Dst: netip.MustParsePrefix(dst), Type: "unicast", Dev: dev, Gateway: gw}}
			s.Namespaces[0].Neighs = []netstate.Neigh{{Dev: dev, IP: router, State: "FAILED"}}
		}
	}
	service := Flow{Proto: "tcp", Src: client.String(), Dst: vip.String(), Dport: 80, Endpoints: []Endpoint{{Addr: "10.244.2.20:8081", Ready: true}}}
	named := service
	named.Endpoints = []Endpoint{{Addr: "10.244.2.20:8081", Ready: true, Ref: &journey.Ref{Kind: "Pod", Namespace: "shop", Name: "web"}}}
	called := func(name string) func(string, netip.Addr, uint16) string {
		return func(string, netip.Addr, uint16) string { return name }
	}
	judgeAll(t, []judged{
		{"a pod on the same bridge, whose device is off it", Input{Journeys: fromPod(peer)}, pods(peer), "dropped pod-network pod-link-down confirmed", "veth2, the pod's device on node1, is on no bridge"},
		{"a pod on the same bridge that nobody has", Input{Flow: Flow{Proto: "tcp", Src: server.String(), Dst: peer.String(), Dport: 8081}, Journeys: fromPod(peer)}, pods(netip.MustParseAddr("10.244.2.22")), "dropped pod-network pod-link-down likely", "10.244.2.21 does not answer ARP from shop/web"},
		{"the node itself", Input{Journeys: fromPod(netip.MustParseAddr("10.244.2.1"))}, func(s *netstate.Snapshot) {
			pods(peer)(s)
			s.Namespaces[0].Links[1].Addrs = []netip.Prefix{netip.MustParsePrefix("10.244.2.1/24")}
		}, "dropped pod-network pod-gateway-no-arp likely", ""},
		{"a router", Input{Journeys: lostAt(ask("eth0", "phys"), dnat())}, by("10.244.2.0/24", "eth0", router), "dropped underlay underlay-neighbour-failed confirmed", "192.168.50.254, the next hop to 10.244.2.20"},
		{"a router on a bridge", Input{Journeys: lostAt(ask("br0", "bridge"))}, by("10.244.2.0/24", "br0", router), "dropped underlay underlay-neighbour-failed confirmed", ""},
		{"behind the uplink", Input{Journeys: lostAt(ask("eth0", "phys"), dnat())}, by("10.244.2.0/24", "eth0", netip.Addr{}), "dropped underlay underlay-neighbour-failed likely", "node1 cannot reach 10.244.2.20: it does not"},
		{"behind an uplink that is a veth", Input{Journeys: lostAt(ask("eth0", "veth"))}, by("10.244.2.0/24", "eth0", netip.Addr{}), "dropped underlay underlay-neighbour-failed likely", ""},
		{"a pod's veth", Input{Journeys: lostAt(ask("veth1", "veth"))}, by("10.244.2.0/24", "veth1", netip.Addr{}), "dropped pod-network pod-link-down likely", ""},
		{"the veth of a pod that was not read", Input{Journeys: lostAt(ask("cali1", "veth"))}, by("10.244.2.20/32", "cali1", netip.Addr{}), "dropped pod-network pod-link-down likely", ""},
		{"an endpoint that names no pod", Input{Flow: service, Journeys: lostAt(ask("cni0", "bridge"), dnat())}, gone, "dropped service stale-endpoint likely", ""},
		{"an endpoint that names a pod", Input{Flow: named, Journeys: lostAt(ask("cni0", "bridge"), dnat())}, gone, "dropped pod-network pod-link-down likely", ""},
		{"an endpoint that is a pod's by name", Input{Flow: service, Name: called("shop/web"), Journeys: lostAt(ask("cni0", "bridge"), dnat())}, gone, "dropped pod-network pod-link-down likely", ""},
		{"an endpoint that was a pod's", Input{Flow: service, Name: called("shop/web (deleted 3 s ago)"), Journeys: lostAt(ask("cni0", "bridge"), dnat())}, gone, "dropped service stale-endpoint likely", ""},
		{"a queue of a device with a dot", Input{Journeys: lostAt(journey.Hop{Location: "__neigh_event_send", Reason: "NEIGH_QUEUEFULL", Dev: "eth0.7", DevKind: "vlan"})}, func(s *netstate.Snapshot) {
			s.Namespaces[0].Routes = nil
			s.Namespaces[0].Neighs = []netstate.Neigh{{Dev: "eth0.7", IP: server, MAC: "02:00:00:00:00:09", State: "REACHABLE"}}
		}, "dropped pod-network neighbour-queue-full likely", "sysctl net/ipv4/neigh/eth0.7/unres_qlen_bytes"},
	})
}

// Why a gateway keeps silent is in the node's settings.
func TestWhyAGatewayIsSilent(t *testing.T) {
	asks := journey.Hop{Location: "arp_error_report", Reason: "NEIGH_FAILED", Where: inPod(), NetNS: podNS, Node: "node1", Dev: "eth0"}
	gw := netip.MustParseAddr("10.244.2.1")
	pod := func(s *netstate.Snapshot) {
		s.Namespaces[1].Routes = []netstate.Route{{Table: 254, Dst: netip.MustParsePrefix("0.0.0.0/0"), Type: "unicast", Dev: "eth0", Gateway: gw}}
		s.Namespaces[1].Links[0].Addrs = []netip.Prefix{netip.MustParsePrefix("10.244.1.10/32")}
	}
	has := func(ignore string) func(*netstate.Snapshot) {
		return func(s *netstate.Snapshot) {
			pod(s)
			s.Namespaces[0].Links[1].Addrs = []netip.Prefix{netip.PrefixFrom(gw, 24)}
			s.Namespaces[0].Sysctls["net.ipv4.conf.all.arp_ignore"], s.Namespaces[0].Sysctls["net.ipv4.conf.cni0.arp_ignore"] = "0", ignore
		}
	}
	judgeAll(t, []judged{
		{"nobody has its address", Input{Journeys: lostAt(asks)}, pod, "dropped pod-network pod-gateway-no-arp likely", "no device on node1 has the address 10.244.2.1"},
		{"it may not answer", Input{Journeys: lostAt(asks)}, has("8"), "dropped pod-network pod-gateway-no-arp likely", "arp_ignore on node1 is 0 for all and 8 for cni0"},
		{"it may", Input{Journeys: lostAt(asks)}, has("0"), "dropped pod-network pod-gateway-no-arp likely", "ip route; ip neigh"},
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

// Where policy rules ask for more than the destination, a look at the tables confirms nothing.
func TestPolicyRulesMakeRoutesUnsure(t *testing.T) {
	all := netip.MustParsePrefix("0.0.0.0/0")
	bySource := func(s *netstate.Snapshot) {
		s.Namespaces[0].Policy = []netstate.PolicyRule{{Dst: all, Table: 255}, {Priority: 512, Dst: all, Table: 2, Selects: true}, {Priority: 32766, Dst: all, Table: 254}}
		s.Namespaces[0].Routes = nil
	}
	none := func(s *netstate.Snapshot) { s.Namespaces[0].Routes = nil }
	swallowed := func(policy bool) func(*netstate.Snapshot) {
		return func(s *netstate.Snapshot) {
			if policy {
				bySource(s)
			}
			s.Namespaces[0].Routes = []netstate.Route{{Table: 254, Dst: netip.MustParsePrefix("10.244.2.0/24"), Type: "blackhole"}}
		}
	}
	noRoute, blackhole := journey.Hop{Location: "ip_error", Reason: "IP_INNOROUTES", Dev: "cni0"}, journey.Hop{Location: "ip_error", Dev: "cni0"}
	judgeAll(t, []judged{
		{"no route", Input{Journeys: lostAt(noRoute, route("", "ENETUNREACH"))}, none, "dropped pod-network route-missing confirmed", "none of the 0 routes"},
		{"no route that is known", Input{Journeys: lostAt(noRoute, route("", "ENETUNREACH"))}, bySource, "dropped pod-network route-missing likely", "policy rules there look at more than the destination"},
		{"blackhole", Input{Journeys: lostAt(blackhole, route("", "EINVAL"))}, swallowed(false), "dropped pod-network blackhole-route confirmed", "blackhole 10.244.2.0/24"},
		{"blackhole in one of the tables", Input{Journeys: lostAt(blackhole, route("", "EINVAL"))}, swallowed(true), "dropped pod-network blackhole-route likely", ""},
	})
}
