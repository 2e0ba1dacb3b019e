// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

func grown(namespace int, counter string) func(*netstate.Snapshot) {
	return func(s *netstate.Snapshot) { s.Namespaces[namespace].Counters[counter] += 3 }
}

func TestDeviceChecks(t *testing.T) {
	outer := &journey.Tuple{Src: nodeIP, Sport: 50000, Dst: otherIP, Dport: 8472}
	queue := journey.Hop{Location: "__dev_queue_xmit", Reason: "QDISC_DROP", Dev: "eth0"}
	dropped := func(s *netstate.Snapshot) {
		s.Namespaces[0].Links[0].Qdisc, s.Namespaces[0].Links[0].QdiscDrops = "tbf", 7
	}
	unsaid := queue
	unsaid.Reason = ""
	own := queue
	own.Location, own.Reason = "tbf_enqueue", "NOT_SPECIFIED"
	pod := func(h journey.Hop) journey.Hop { h.Where, h.NetNS, h.Node = inPod(), podNS, "node1"; return h }
	offloads := func(on bool) func(*netstate.Snapshot) {
		return func(s *netstate.Snapshot) {
			for i := range s.Namespaces[0].Links {
				if l := &s.Namespaces[0].Links[i]; l.VXLAN != nil {
					l.Offloads = map[string]bool{"tx-checksum-ip-generic": on}
				}
			}
		}
	}
	paws := pod(journey.Hop{Location: "tcp_validate_incoming", Reason: "TCP_RFC7323_PAWS"})
	data := lostAt(paws)
	data[0].Packet.Flags, data[0].Packet.Len = "PSH,ACK", 400
	ack := lostAt(paws)
	ack[0].Packet.Flags, ack[0].Packet.Len = "ACK", 52
	outside := netip.MustParseAddr("198.51.100.7")
	left := func(src, dst netip.Addr) []journey.Journey {
		j := goneAt(1, 60)
		j.Packet.Src, j.Packet.Dst, j.Hops[0].Outer = src, dst, nil
		return []journey.Journey{j}
	}
	named := func(string, netip.Addr, uint16) string { return "pod/shop/far" }
	unnamed := func(string, netip.Addr, uint16) string { return "" }
	private := netip.MustParseAddr("10.200.0.9")
	hostGateway := func(s *netstate.Snapshot) {
		s.Namespaces[0].Routes = append(s.Namespaces[0].Routes, netstate.Route{Table: 254, Dst: netip.MustParsePrefix("198.51.100.0/24"), Type: "unicast", Dev: "eth0", Gateway: otherIP})
	}
	wireguard := left(server, outside)
	wireguard[0].Hops[0].DevKind = "wireguard"
	timeout := &probe.Result{Result: probe.Timeout}
	judgeAll(t, []judged{
		{"queue", Input{Journeys: lostAt(queue)}, dropped, "dropped pod-network qdisc-drop confirmed", "tbf of eth0 dropped 7 packets"},
		{"queue, by the event only", Input{Journeys: lostAt(queue)}, nil, "dropped pod-network qdisc-drop likely", "tc -s qdisc show dev eth0"},
		{"queue, by the discipline itself", Input{Journeys: lostAt(own)}, nil, "dropped pod-network qdisc-drop likely", ""},
		{"queue, on a kernel without reasons", Input{Journeys: lostAt(unsaid)}, dropped, "dropped pod-network qdisc-drop confirmed", "tbf"},
		{"no reason and no queue", Input{Journeys: lostAt(unsaid)}, nil, "dropped pod-network device-drop likely", ""},
		{"XDP", Input{Journeys: lostAt(journey.Hop{Location: "do_xdp_generic", Reason: "NOT_SPECIFIED", Dev: "eth0"})}, func(s *netstate.Snapshot) { s.Namespaces[0].Links[0].XDP = 42 }, "dropped underlay xdp-program-drop confirmed", "program 42 is attached"},
		{"XDP by name", Input{Journeys: lostAt(journey.Hop{Location: "do_xdp_generic", Reason: "NOT_SPECIFIED", Dev: "eth0"})}, func(s *netstate.Snapshot) {
			s.Namespaces[0].Links[0].XDP, s.Namespaces[0].Links[0].Programs = 42, []netstate.Program{{Hook: netstate.HookXDP, Name: "katran", ID: 42}}
		}, "dropped underlay xdp-program-drop confirmed", "XDP program katran (id 42) is attached"},
		{"XDP that is gone", Input{Journeys: lostAt(journey.Hop{Location: "veth_xdp_rcv_skb", Dev: "eth0"})}, nil, "dropped underlay xdp-program-drop likely", "bpftool net show dev eth0"},
		{"tunnel checksum", Input{Journeys: lostAt(journey.Hop{Location: "udp_queue_rcv_one_skb", Reason: "UDP_CSUM", Outer: outer, Dev: "eth0"})}, grown(0, "Udp.InCsumErrors"), "dropped underlay tunnel-checksum-offload confirmed", "UdpInCsumErrors grew by 3"},
		{"tunnel checksum, by the event only", Input{Journeys: lostAt(journey.Hop{Location: "udp_queue_rcv_one_skb", Reason: "UDP_CSUM", Outer: outer})}, nil, "dropped underlay tunnel-checksum-offload likely", "tx-checksum-ip-generic off"},
		{"tunnel checksum that the sender leaves to a device", Input{Journeys: lostAt(journey.Hop{Location: "udp_queue_rcv_one_skb", Reason: "UDP_CSUM", Outer: outer})}, offloads(true), "dropped underlay tunnel-checksum-offload likely", "flannel.1 of node1 leaves checksums to the device below it (tx-checksum-ip-generic is on)"},
		{"tunnel checksum that the sender computes", Input{Journeys: lostAt(journey.Hop{Location: "udp_queue_rcv_one_skb", Reason: "UDP_CSUM", Outer: outer})}, offloads(false), "dropped underlay tunnel-checksum-offload likely", "does not leave checksums"},
		{"inner checksum", Input{Journeys: lostAt(pod(journey.Hop{Location: "tcp_v4_rcv", Reason: "TCP_CSUM"}))}, grown(1, "Tcp.InCsumErrors"), "dropped underlay inner-checksum-broken confirmed", "TcpInCsumErrors grew by 3"},
		{"receive buffer", Input{Journeys: func() []journey.Journey {
			js := lostAt(pod(journey.Hop{Location: "udp_queue_rcv_one_skb", Reason: "SOCKET_RCVBUFF"}))
			js[0].Packet.Proto = "udp"
			return js
		}()}, grown(1, "Udp.RcvbufErrors"), "dropped application socket-buffer-full confirmed", "UdpRcvbufErrors grew by 3"},
		{"timestamps", Input{Journeys: data}, grown(1, "TcpExt.PAWSEstab"), "dropped service timestamps-rejected confirmed", "TcpExtPAWSEstab grew by 3"},
		{"timestamps, by the event only", Input{Journeys: data}, nil, "dropped service timestamps-rejected likely", ""},
		{"an old ACK without data", Input{Journeys: ack}, grown(1, "TcpExt.PAWSEstab"), "dropped application socket-drop likely", ""},
		{"egress with the pod's address", Input{Journeys: left(server, outside), Probe: timeout}, nil, "lost pod-network egress-not-masqueraded likely", "MASQUERADE rule is missing"},
		{"egress with the node's address", Input{Journeys: left(nodeIP, outside), Probe: timeout}, nil, "lost underlay left-node inconclusive", ""},
		{"egress to a private address, without names", Input{Journeys: left(server, private), Probe: timeout}, nil, "lost underlay left-node inconclusive", "run nettrace on the node that has 10.200.0.9"},
		{"egress to a private address", Input{Journeys: left(server, private), Probe: timeout, Name: unnamed}, nil, "lost pod-network egress-not-masqueraded likely", ""},
		{"egress over a route of its own, without names", Input{Journeys: left(server, outside), Probe: timeout}, hostGateway, "lost underlay left-node inconclusive", ""},
		{"egress into WireGuard", Input{Journeys: wireguard, Probe: timeout}, nil, "lost underlay left-node inconclusive", "wg show"},
		{"to another node", Input{Journeys: left(server, otherIP), Probe: timeout}, nil, "lost underlay left-node inconclusive", ""},
		{"to a pod elsewhere", Input{Journeys: left(server, outside), Probe: timeout, Name: named}, nil, "lost underlay left-node inconclusive", ""},
	})
}

// programs attaches some to the first device of the node.
func programs(hook string, names ...string) func(*netstate.Snapshot) {
	return func(s *netstate.Snapshot) {
		for i, n := range names {
			s.Namespaces[0].Links[0].Programs = append(s.Namespaces[0].Links[0].Programs, netstate.Program{Hook: hook, Name: n, ID: uint32(7 + i)})
		}
	}
}

// Kernels before 5.17 give no reasons, and at these places there are several: what was counted there tells, or the reason stays open.
func TestReasonsFromCounters(t *testing.T) {
	outer := &journey.Tuple{Src: otherIP, Sport: 50000, Dst: nodeIP, Dport: 8472}
	pod := func(location, reason string) journey.Hop {
		return journey.Hop{Location: location, Reason: reason, Where: inPod(), NetNS: podNS, Node: "node1"}
	}
	udp := func(h journey.Hop) []journey.Journey {
		js := lostAt(h)
		js[0].Packet.Proto = "udp"
		return js
	}
	socketless := pod("tcp_v4_rcv", journey.Inferred+"NO_SOCKET")
	socketless.Verdict = "reject"
	told := pod("__udp4_lib_rcv", "")
	told.ICMP = "port unreachable"
	ingress := func(s *netstate.Snapshot) { s.Namespaces[0].Links[0].Ingress = true }
	first := state().Namespaces[0].Links[0].Name
	judgeAll(t, []judged{
		{"a wrong TCP checksum", Input{Journeys: lostAt(socketless)}, grown(1, "Tcp.InCsumErrors"), "dropped underlay inner-checksum-broken confirmed", "inferred from what was counted there: TCP_CSUM"},
		{"no socket", Input{Journeys: lostAt(socketless)}, nil, "rejected application not-listening confirmed", ""},
		{"the kernel's own word stands", Input{Journeys: lostAt(pod("tcp_v4_rcv", "NO_SOCKET"))}, grown(1, "Tcp.InCsumErrors"), "rejected application not-listening confirmed", ""},
		{"a full buffer", Input{Journeys: udp(pod("udp_queue_rcv_one_skb", ""))}, grown(1, "Udp.RcvbufErrors"), "dropped application socket-buffer-full confirmed", "UdpRcvbufErrors grew by 3"},
		{"a wrong checksum of the tunnel", Input{Journeys: lostAt(journey.Hop{Location: "__udp4_lib_rcv", Outer: outer, Dev: "eth0"})}, grown(0, "Udp.InCsumErrors"), "dropped underlay tunnel-checksum-offload confirmed", "UdpInCsumErrors grew by 3"},
		{"an answer tells that there is no socket", Input{Journeys: udp(told)}, grown(1, "Udp.InCsumErrors"), "dropped application socket-drop likely", ""},
		{"a tc program", Input{Journeys: lostAt(journey.Hop{Location: "__netif_receive_skb_core", Dev: first})}, ingress, "dropped pod-network tc-program-drop likely", "ingress"},
		{"a tc program by name", Input{Journeys: lostAt(journey.Hop{Location: "__netif_receive_skb_core", Reason: "TC_INGRESS", Dev: first})}, programs("tc ingress", "cil_from_contai"), "dropped pod-network tc-program-drop confirmed", "the tc program cil_from_contai (id 7)"},
		{"one of two tc programs", Input{Journeys: lostAt(journey.Hop{Location: "__dev_queue_xmit", Reason: "TC_EGRESS", Dev: first})}, programs("tc egress", "one", "two"), "dropped pod-network tc-program-drop confirmed", "tc programs at the egress of eth0: one (id 7), two (id 8)"},
		{"a tc program at the other side", Input{Journeys: lostAt(journey.Hop{Location: "__dev_queue_xmit", Reason: "TC_EGRESS", Dev: first})}, programs("tc ingress", "one"), "dropped pod-network tc-program-drop likely", "bpftool net show"},
		{"a tc program that is inferred", Input{Journeys: lostAt(journey.Hop{Location: "__netif_receive_skb_core", Dev: first})}, func(s *netstate.Snapshot) { ingress(s); programs("tc ingress", "one")(s) }, "dropped pod-network tc-program-drop likely", "one (id 7)"},
		{"no place for tc programs", Input{Journeys: lostAt(journey.Hop{Location: "__netif_receive_skb_core", Dev: first})}, nil, "dropped pod-network packet-drop likely", ""},
	})
}
