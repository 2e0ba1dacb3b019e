// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

func TestServiceChecks(t *testing.T) {
	flow := Flow{Proto: "tcp", Src: client.String(), Dst: vip.String(), Dport: 80, DstRef: &journey.Ref{Kind: "Service", Namespace: "shop", Name: "web"}}
	empty := flow
	empty.Endpoints = []Endpoint{}
	plain := flow
	plain.DstRef = nil
	to := func(js []journey.Journey, dst netip.Addr) []journey.Journey {
		js[0].Packet.Dst = dst
		return js
	}
	noRoute := func() []journey.Journey {
		return to(lostAt(journey.Hop{Location: "ip_error", Reason: "IP_INNOROUTES", Dev: "cni0"}), vip)
	}
	left := func() []journey.Journey {
		j := goneAt(1, 60)
		j.Packet.Dst, j.Hops[0].Outer = vip, nil
		return []journey.Journey{j}
	}
	others := func(s *netstate.Snapshot) { s.Namespaces[0].Rulesets = []ruleset.Ruleset{rules("iptables-legacy", 5)} }
	timeout := &probe.Result{Result: probe.Timeout}
	headless := flow
	headless.Dst, headless.Endpoints = server.String(), []Endpoint{{Addr: "10.244.2.20:8080", Ready: true}}
	toPod := left()
	toPod[0].Packet.Dst = server
	judgeAll(t, []judged{
		{"a headless Service, no route", Input{Flow: headless, Journeys: lostAt(journey.Hop{Location: "ip_error", Reason: "IP_INNOROUTES", Dev: "cni0"})}, func(s *netstate.Snapshot) { others(s); s.Namespaces[0].Routes = nil }, "dropped pod-network route-missing confirmed", ""},
		{"a headless Service, left the node", Input{Flow: headless, Journeys: toPod, Probe: timeout}, others, "lost underlay left-node inconclusive", ""},
		{"no rule and no route", Input{Flow: flow, Journeys: noRoute()}, others, "dropped service service-not-programmed confirmed", "none of the 5 rules"},
		{"rules that could not be read", Input{Flow: flow, Journeys: noRoute()}, nil, "dropped service service-not-programmed likely", "kube-proxy"},
		{"a rule that names it", Input{Flow: flow, Journeys: noRoute()}, func(s *netstate.Snapshot) {
			others(s)
			s.Namespaces[0].Rulesets[0].Tables[0].Chains[0].Rules[1].Text = "-d 10.96.0.80/32 -j KUBE-SVC-X"
		}, "dropped service service-not-programmed likely", ""},
		{"no endpoints and no route", Input{Flow: empty, Journeys: noRoute()}, others, "dropped service no-endpoints likely", "service-name=web"},
		{"not a Service", Input{Flow: plain, Journeys: noRoute()}, others, "dropped pod-network route-missing confirmed", ""},
		{"left the node", Input{Flow: flow, Journeys: left(), Probe: timeout}, others, "lost service service-not-programmed confirmed", "still addressed to 10.96.0.80"},
		{"left the node, not a Service", Input{Flow: plain, Journeys: left(), Probe: timeout}, others, "lost underlay left-node inconclusive", ""},
	})
}

func TestPeerChecks(t *testing.T) {
	gone := func(dst netip.Addr) []journey.Journey {
		j := goneAt(1, 60)
		j.Hops[0].Outer = &journey.Tuple{Src: nodeIP, Sport: 5, Dst: dst, Dport: 8472}
		return []journey.Journey{j}
	}
	wrong := netip.MustParseAddr("192.168.50.100")
	peer := func(s *netstate.Snapshot) { s.Namespaces[1].Node = "node2" }
	entry := func(s *netstate.Snapshot) {
		peer(s)
		s.Namespaces[0].FDB[0].Dst = wrong
	}
	outer := &journey.Tuple{Src: otherIP, Sport: 5, Dst: nodeIP, Dport: 8472}
	port := journey.Hop{Location: "__udp4_lib_rcv", Reason: "NO_SOCKET", Outer: outer}
	vni := journey.Hop{Location: "vxlan_rcv", Reason: "VXLAN_VNI_NOT_FOUND", Dev: "eth0"}
	sent := func(n uint32) journey.Hop {
		return journey.Hop{Stage: journey.StageTunnel, Tunnel: &journey.Tunnel{Type: "vxlan", Op: "encap", VNI: n}, Where: host()}
	}
	closed := journey.Hop{Location: "tcp_v4_rcv", Reason: "NO_SOCKET", Verdict: "reject", Tuple: &journey.Tuple{Src: client, Dst: server, Dport: 8080}}
	timeout := &probe.Result{Result: probe.Timeout}
	failed := func(dev string, a netip.Addr) func(*netstate.Snapshot) {
		return func(s *netstate.Snapshot) {
			s.Namespaces[0].Neighs = append(s.Namespaces[0].Neighs, netstate.Neigh{Dev: dev, IP: a, State: "FAILED"})
		}
	}
	silent := journey.Hop{Location: "neigh_invalidate", Reason: "NEIGH_FAILED", Dev: "eth0", Outer: &journey.Tuple{Src: nodeIP, Dst: otherIP, Dport: 8472}}
	judgeAll(t, []judged{
		{"the entry leads elsewhere", Input{Journeys: gone(wrong), Probe: timeout}, entry, "lost pod-network fdb-wrong-host confirmed", "which is not node2"},
		{"the entry was repaired", Input{Journeys: gone(wrong), Probe: timeout}, peer, "lost pod-network fdb-wrong-host likely", ""},
		{"the entry is right", Input{Journeys: gone(otherIP), Probe: timeout}, peer, "lost underlay tunnel-lost-in-fabric likely", ""},
		{"another tunnel port", Input{Journeys: lostAt(port)}, func(s *netstate.Snapshot) { s.Namespaces[0].Links[2].VXLAN.Port = 4789 }, "dropped underlay tunnel-port-mismatch confirmed", "flannel.1 uses port 4789"},
		{"no tunnel", Input{Journeys: lostAt(port)}, func(s *netstate.Snapshot) { s.Namespaces[0].Links[2].VXLAN = nil }, "dropped underlay tunnel-port-mismatch confirmed", "has no VXLAN device"},
		{"the tunnel is there now", Input{Journeys: lostAt(port)}, nil, "dropped underlay tunnel-port-mismatch likely", "has this port now"},
		{"another VNI", Input{Journeys: lostAt(vni, sent(2))}, nil, "dropped underlay vni-mismatch confirmed", "VNI 2 into the packet"},
		{"the VNI is there now", Input{Journeys: lostAt(vni, sent(1))}, nil, "dropped underlay vni-mismatch likely", ""},
		{"two have the address", Input{Journeys: lostAt(closed)}, func(s *netstate.Snapshot) {
			s.Namespaces[0].Links[1].Addrs = append(s.Namespaces[0].Links[1].Addrs, netip.PrefixFrom(server, 32))
		}, "rejected pod-network pod-ip-conflict confirmed", "2 namespaces of node1"},
		{"one has the address", Input{Flow: Flow{Proto: "tcp", Src: client.String(), Dst: server.String(), Dport: 8080}, Journeys: lostAt(closed)}, nil, "rejected application not-listening confirmed", ""},
		{"the neighbour table agrees", Input{Journeys: lostAt(silent)}, failed("eth0", otherIP), "dropped underlay underlay-neighbour-failed confirmed", "on eth0 is FAILED"},
		{"the neighbour table has an answer", Input{Journeys: lostAt(silent)}, nil, "dropped underlay underlay-neighbour-failed likely", ""},
	})
}
