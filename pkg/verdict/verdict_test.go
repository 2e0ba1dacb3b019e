// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

// The namespaces of the tests: a node's host namespace, a pod on it, the other node.
const (
	nodeNS  = 11
	podNS   = 12
	otherNS = 13
)

var (
	client  = netip.MustParseAddr("10.244.1.10")
	server  = netip.MustParseAddr("10.244.2.20")
	vip     = netip.MustParseAddr("10.96.0.80")
	nodeIP  = netip.MustParseAddr("192.168.50.1")
	otherIP = netip.MustParseAddr("192.168.50.2")
)

func host() *journey.Where { return &journey.Where{Kind: "host", Name: "node1"} }
func inPod() *journey.Where {
	return &journey.Where{Kind: "pod", Namespace: "shop", Name: "web"}
}

// state is a healthy node with one pod, and the other node.
func state() *netstate.Snapshot {
	up := true
	return &netstate.Snapshot{Namespaces: []netstate.Namespace{
		{Inode: nodeNS, Name: "node1", Node: "node1", Host: true, Sysctls: map[string]string{"net.ipv4.ip_forward": "1", "net.bridge.bridge-nf-call-iptables": "1"},
			Links: []netstate.Link{
				{Index: 2, Name: "eth0", Kind: "phys", Up: true, Addrs: []netip.Prefix{netip.MustParsePrefix("192.168.50.1/24")}},
				{Index: 3, Name: "cni0", Kind: "bridge", Up: true},
				{Index: 4, Name: "flannel.1", Kind: "vxlan", Up: true, VXLAN: &netstate.VXLAN{VNI: 1, Port: 8472, Underlay: 2}},
				{Index: 5, Name: "veth1", Kind: "veth", Up: true, Master: 3, PeerIndex: 2, Hairpin: &up}},
			Routes: []netstate.Route{{Table: 254, Dst: netip.MustParsePrefix("10.244.2.0/24"), Type: "unicast", Dev: "flannel.1"}},
			Neighs: []netstate.Neigh{{Dev: "flannel.1", IP: netip.MustParseAddr("10.244.2.0"), MAC: "02:00:00:00:00:02", State: "PERMANENT"}},
			FDB:    []netstate.FDBEntry{{Dev: "flannel.1", MAC: "02:00:00:00:00:02", Dst: otherIP}}},
		{Inode: podNS, Name: "web", Node: "node1", Links: []netstate.Link{{Index: 2, Name: "eth0", Kind: "veth", Up: true, PeerIndex: 5, Addrs: []netip.Prefix{netip.PrefixFrom(server, 24)}}},
			Sockets: []netstate.Socket{{Proto: "tcp", Local: netip.MustParseAddrPort("0.0.0.0:8080")}, {Proto: "tcp", Local: netip.MustParseAddrPort("127.0.0.1:9090")}}},
		{Inode: otherNS, Name: "node2", Node: "node2", Host: true, Links: []netstate.Link{{Index: 2, Name: "eth0", Up: true, Addrs: []netip.Prefix{netip.PrefixFrom(otherIP, 24)}}}},
	}}
}

// lostAt is a SYN that is dropped at a hop.
func lostAt(h journey.Hop, before ...journey.Hop) []journey.Journey {
	h.Stage, h.Func = journey.StageDrop, "kfree_skb"
	if h.Verdict == "" {
		h.Verdict = "drop"
	}
	if h.Where == nil {
		h.Where, h.Node, h.NetNS = host(), "node1", nodeNS
	}
	end := journey.Dropped
	if h.Verdict == "reject" {
		end = journey.Rejected
	}
	return []journey.Journey{{ID: 1, Direction: journey.Request, Attempt: 1, End: end, Complete: true, Hops: append(before, h),
		Packet: journey.Packet{Proto: "tcp", Flags: "SYN", Len: 60, Tuple: journey.Tuple{Src: client, Sport: 40000, Dst: server, Dport: 8081}}}}
}

func route(oif, errno string) journey.Hop {
	return journey.Hop{Stage: journey.StageRoute, NetNS: nodeNS, Where: host(), Node: "node1", Route: &journey.Route{Table: 254, OIF: oif, Error: errno, Gateway: netip.MustParseAddr("10.244.2.0")}}
}

func dnat() journey.Hop {
	return journey.Hop{Stage: journey.StageNAT, NetNS: nodeNS, Where: host(), NAT: &journey.NAT{Type: "dnat", From: "10.96.0.80:80", To: "10.244.2.20:8081"},
		Ref: &journey.Ref{Kind: "Service", Namespace: "shop", Name: "web", Port: "http"}}
}

func rule(r journey.Rule) *journey.Rule {
	r.Backend, r.Table, r.Certainty = "iptables-legacy", "filter", "inferred"
	return &r
}

// lookup is a step of connection tracking on the node.
func lookup(step, state, why, function string) journey.Hop {
	h := journey.Hop{Stage: journey.StageConntrack, Step: step, NetNS: nodeNS, Where: host(), Node: "node1", Why: why, Func: function}
	if state != "" {
		h.CT = &journey.CT{State: state}
	}
	return h
}

func masquerade() journey.Hop {
	return journey.Hop{Stage: journey.StageNAT, NetNS: nodeNS, Where: host(), NAT: &journey.NAT{Type: "masquerade", From: "10.244.1.10:40000", To: "192.168.50.1:40000"}}
}

// One row a diagnosis: what the kernel told at the drop, what the state was, and what the verdict must be.
func TestDiagnoses(t *testing.T) {
	outer := &journey.Tuple{Src: nodeIP, Sport: 50000, Dst: otherIP, Dport: 8472}
	web := &journey.Ref{Kind: "Service", Namespace: "shop", Name: "web", Port: "http"}
	for _, tc := range []struct {
		name   string
		js     []journey.Journey
		change func(*netstate.Snapshot)
		want   string // outcome layer cause confidence
		words  string // in summary, evidence or fix
	}{
		{"host firewall", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "INPUT", Outer: outer, Dev: "eth0", Rule: rule(journey.Rule{Chain: "INPUT", Number: 1, Verdict: "DROP"})}), nil,
			"dropped underlay host-firewall-drops-tunnel confirmed", "--dport 8472 -s 192.168.50.1"},
		{"host firewall without the rule", lostAt(journey.Hop{Location: "nft_do_chain", Hook: "INPUT", Outer: outer}), nil, "dropped underlay host-firewall-drops-tunnel likely", "udp/8472"},
		{"no endpoints", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "FORWARD", Verdict: "reject", Ref: web, Rule: rule(journey.Rule{Chain: "KUBE-SERVICES", Number: 1, Verdict: "REJECT", Comment: "shop/web:http has no endpoints", Why: "has no endpoints", Owner: "kube-proxy"})}), nil,
			"rejected service no-endpoints confirmed", "kubernetes.io/service-name=web"},
		{"no local endpoints", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "INPUT", Ref: web, Rule: rule(journey.Rule{Chain: "KUBE-EXTERNAL-SERVICES", Number: 1, Verdict: "DROP", Comment: "shop/web:http has no local endpoints", Why: "has no local endpoints", Owner: "kube-proxy"})}), nil,
			"dropped service no-local-endpoints confirmed", "Local"},
		{"NetworkPolicy", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "FORWARD", Rule: rule(journey.Rule{Chain: "cali-tw-veth1", Number: 6, Verdict: "DROP", Owner: "Calico", Policy: true})}), nil,
			"dropped application network-policy-drop confirmed", "iptables-legacy -L cali-tw-veth1"},
		{"NetworkPolicy that may be another rule", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "FORWARD", Rule: rule(journey.Rule{Chain: "cali-tw-veth1", Number: 6, Verdict: "DROP", Owner: "Calico", Policy: true, Alternatives: 1})}), nil,
			"dropped application network-policy-drop likely", "1 other rules fit"},
		{"NetworkPolicy that rejects", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "FORWARD", Verdict: "reject", Rule: rule(journey.Rule{Chain: "KUBE-POD-FW-X", Number: 1, Verdict: "REJECT", Owner: "kube-router", Policy: true})}), nil,
			"rejected application network-policy-reject confirmed", "kube-router"},
		{"FORWARD policy", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "FORWARD", Rule: rule(journey.Rule{Chain: "FORWARD", Verdict: "DROP", Owner: "node firewall"})}), nil,
			"dropped pod-network forward-policy-drop confirmed", "iptables-legacy -P FORWARD ACCEPT"},
		{"FORWARD policy of nftables", lostAt(journey.Hop{Location: "nft_do_chain", Hook: "FORWARD", Rule: &journey.Rule{Backend: "nft", Family: "inet", Table: "fw", Chain: "fwd", Verdict: "DROP", Certainty: "exact", Owner: "node firewall"}}), nil,
			"dropped pod-network forward-policy-drop confirmed", "nft chain inet fw fwd '{ policy accept; }'"},
		{"another rule", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "FORWARD", Rule: rule(journey.Rule{Chain: "MY-FW", Number: 3, Verdict: "DROP", Text: "-s 10.0.0.0/8 -j DROP"})}), nil,
			"dropped pod-network netfilter-drop likely", "-s 10.0.0.0/8 -j DROP"},
		{"a rule in the pod", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "INPUT", Where: inPod(), NetNS: podNS}), nil, "dropped application netfilter-drop likely", "INPUT"},
		{"ip_forward off", lostAt(journey.Hop{Location: "ip_error", Reason: "IP_INADDRERRORS", Dev: "cni0"}), func(s *netstate.Snapshot) { s.Namespaces[0].Sysctls["net.ipv4.ip_forward"] = "0" },
			"dropped pod-network ip-forward-off confirmed", "net.ipv4.ip_forward = 0"},
		{"blackhole", lostAt(journey.Hop{Location: "ip_error", Reason: "NOT_SPECIFIED"}, route("", "EINVAL")), func(s *netstate.Snapshot) { s.Namespaces[0].Routes[0].Type = "blackhole" },
			"dropped pod-network blackhole-route confirmed", "10.244.2.0/24"},
		{"blackhole that is gone", lostAt(journey.Hop{Location: "ip_error", Reason: "NOT_SPECIFIED"}, route("", "EINVAL")), nil, "dropped pod-network blackhole-route likely", "EINVAL"},
		{"no route", lostAt(journey.Hop{Location: "ip_error", Reason: "IP_INNOROUTES"}, route("", "ENETUNREACH")), func(s *netstate.Snapshot) { s.Namespaces[0].Routes = nil },
			"dropped pod-network route-missing confirmed", "none of the 0 routes"},
		{"no route then", lostAt(journey.Hop{Location: "ip_error", Reason: "IP_INNOROUTES"}), nil, "dropped pod-network route-missing likely", "there is a route now"},
		{"no route to the VTEP", lostAt(journey.Hop{Location: "vxlan_xmit_one", Reason: "IP_OUTNOROUTES", Dev: "flannel.1", DevKind: "vxlan"}), func(s *netstate.Snapshot) { s.Namespaces[0].Links[0].Up = false },
			"dropped underlay no-route-to-vtep confirmed", "eth0, over which flannel.1 sends, is down"},
		{"rp_filter", lostAt(journey.Hop{Location: "ip_rcv_finish_core", Reason: "IP_RPFILTER", Dev: "eth0"}), func(s *netstate.Snapshot) {
			s.Namespaces[0].Routes = append(s.Namespaces[0].Routes, netstate.Route{Table: 254, Dst: netip.MustParsePrefix("10.244.1.0/24"), Type: "unicast", Dev: "cni0"})
		}, "dropped pod-network rp-filter confirmed", "leads to cni0, the packet came in at eth0"},
		{"no FDB entry", lostAt(journey.Hop{Location: "vxlan_xmit", Reason: "NO_TX_TARGET", Dev: "flannel.1", DevKind: "vxlan"}, route("flannel.1", "")), func(s *netstate.Snapshot) { s.Namespaces[0].FDB = nil },
			"dropped pod-network fdb-entry-missing confirmed", "02:00:00:00:00:02"},
		{"no neighbour for the VTEP", lostAt(journey.Hop{Location: "vxlan_xmit", Reason: "NO_TX_TARGET", Dev: "flannel.1", DevKind: "vxlan"}, route("flannel.1", "")), func(s *netstate.Snapshot) { s.Namespaces[0].Neighs = nil },
			"dropped pod-network vtep-neighbour-missing likely", "next hop 10.244.2.0"},
		{"VNI", lostAt(journey.Hop{Location: "vxlan_rcv", Reason: "VXLAN_VNI_NOT_FOUND", Dev: "eth0"}), nil, "dropped underlay vni-mismatch likely", "flannel.1 has VNI 1"},
		{"the pod's device is down", lostAt(journey.Hop{Location: "neigh_invalidate", Reason: "NEIGH_FAILED", Dev: "cni0", DevKind: "bridge"}), func(s *netstate.Snapshot) { s.Namespaces[0].Links[3].Up = false },
			"dropped pod-network pod-link-down confirmed", "veth1, the pod's device on node1, is down"},
		{"the pod's device is off the bridge", lostAt(journey.Hop{Location: "neigh_invalidate", Reason: "NEIGH_FAILED", Dev: "cni0", DevKind: "bridge"}), func(s *netstate.Snapshot) { s.Namespaces[0].Links[3].Master = 0 },
			"dropped pod-network pod-link-down confirmed", "is not on the bridge cni0"},
		{"the pod's eth0 is down", lostAt(journey.Hop{Location: "neigh_invalidate", Reason: "NEIGH_FAILED", Dev: "cni0", DevKind: "bridge"}), func(s *netstate.Snapshot) { s.Namespaces[1].Links[0].Up = false },
			"dropped pod-network pod-link-down confirmed", "eth0 in web is down"},
		{"the pod is silent", lostAt(journey.Hop{Location: "neigh_invalidate", Reason: "NEIGH_FAILED", Dev: "cni0", DevKind: "bridge"}), nil, "dropped pod-network pod-link-down likely", "does not answer ARP"},
		{"stale endpoint", lostAt(journey.Hop{Location: "neigh_invalidate", Reason: "NEIGH_FAILED", Dev: "cni0", DevKind: "bridge"}, dnat()), func(s *netstate.Snapshot) { s.Namespaces[1].Links[0].Addrs = nil },
			"dropped service stale-endpoint likely", "10.244.2.20:8081 does not exist"},
		{"so many wait for a silent pod that the first are dropped", lostAt(journey.Hop{Location: "__neigh_event_send", Reason: "NEIGH_QUEUEFULL", Dev: "cni0", DevKind: "bridge"}), nil, "dropped pod-network pod-link-down likely", "took its place in the queue"},
		{"so many wait for a pod that answers late", lostAt(journey.Hop{Location: "__neigh_event_send", Reason: "NEIGH_QUEUEFULL", Dev: "cni0", DevKind: "bridge"}), func(s *netstate.Snapshot) {
			s.Namespaces[0].Neighs = []netstate.Neigh{{Dev: "cni0", IP: server, MAC: "02:00:00:00:00:09", State: "REACHABLE"}}
			s.Namespaces[0].Routes = nil
		}, "dropped pod-network neighbour-queue-full likely", "unres_qlen_bytes"},
		{"the other node is silent", lostAt(journey.Hop{Location: "neigh_invalidate", Reason: "NEIGH_FAILED", Dev: "eth0", Outer: outer}), nil, "dropped underlay underlay-neighbour-failed likely", "192.168.50.2"},
		{"the gateway is silent", lostAt(journey.Hop{Location: "neigh_invalidate", Reason: "NEIGH_FAILED", Dev: "eth0", Where: inPod(), NetNS: podNS}), nil, "dropped pod-network pod-gateway-no-arp likely", "gateway"},
		{"the VTEP is silent", lostAt(journey.Hop{Location: "neigh_invalidate", Reason: "NEIGH_FAILED", Dev: "flannel.1", DevKind: "vxlan"}), nil, "dropped pod-network vtep-neighbour-missing likely", "flannel.1"},
		{"nothing listens", lostAt(journey.Hop{Location: "tcp_v4_rcv", Reason: "NO_SOCKET", Verdict: "reject", Where: inPod(), NetNS: podNS}), nil, "rejected application not-listening confirmed", "listens on tcp ports 127.0.0.1:9090, 8080"},
		{"listens on localhost", lostAt(journey.Hop{Location: "tcp_v4_rcv", Reason: "NO_SOCKET", Verdict: "reject", Where: inPod(), NetNS: podNS}), func(s *netstate.Snapshot) {
			s.Namespaces[1].Sockets[1].Local = netip.MustParseAddrPort("127.0.0.1:8081")
		}, "rejected application listens-on-localhost confirmed", "0.0.0.0"},
		{"wrong targetPort", lostAt(journey.Hop{Location: "tcp_v4_rcv", Reason: "NO_SOCKET", Verdict: "reject", Where: inPod(), NetNS: podNS}, dnat()), nil, "rejected service wrong-target-port confirmed", "targetPort"},
		{"NodePort", lostAt(journey.Hop{Location: "tcp_v4_rcv", Reason: "NO_SOCKET", Verdict: "reject", Tuple: &journey.Tuple{Src: client, Dst: nodeIP, Dport: 30080}}), nil, "rejected service nodeport-closed confirmed", "30080"},
		{"nothing listens on the node", lostAt(journey.Hop{Location: "tcp_v4_rcv", Reason: "NO_SOCKET", Verdict: "reject"}), nil, "rejected application not-listening confirmed", "listens on tcp ports none"},
		{"conntrack full", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "PREROUTING", Step: "conntrack-full"}), func(s *netstate.Snapshot) {
			s.Namespaces[0].Sysctls["net.netfilter.nf_conntrack_count"], s.Namespaces[0].Sysctls["net.netfilter.nf_conntrack_max"] = "65536", "65536"
		}, "dropped service conntrack-full confirmed", "65536 of 65536 entries are used"},
		{"conntrack full, by the table's count", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "PREROUTING"}, lookup("lookup", "INVALID", "", "nf_conntrack_in")), func(s *netstate.Snapshot) {
			s.Namespaces[0].Sysctls["net.netfilter.nf_conntrack_count"], s.Namespaces[0].Sysctls["net.netfilter.nf_conntrack_max"] = "65537", "65536"
		}, "dropped service conntrack-full likely", "65537 of 65536 entries are used"},
		{"an entry that cannot be inserted, by its status", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "POSTROUTING", Step: "insert-failed", CT: &journey.CT{State: "NEW", Status: []string{"SRC_NAT"}}}), nil,
			"dropped service snat-ports-exhausted likely", "insert_failed"},
		{"an entry that cannot be inserted, by the translation", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "POSTROUTING", Step: "insert-failed"}, masquerade()), nil,
			"dropped service snat-ports-exhausted likely", "no source port is left on node1"},
		{"an entry that cannot be inserted without SNAT", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "POSTROUTING", Step: "insert-failed"}), nil,
			"dropped service conntrack-race likely", "same addresses and ports"},
		{"INVALID", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "FORWARD"}, lookup("lookup", "INVALID", "packet out of window", "nf_conntrack_in")), nil,
			"dropped service conntrack-invalid confirmed", "the kernel says: packet out of window"},
		{"INVALID without the kernel's words or a rule", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "FORWARD"}, lookup("lookup", "INVALID", "", "nf_conntrack_in")), func(s *netstate.Snapshot) {
			s.Namespaces[0].Sysctls["net.netfilter.nf_conntrack_count"], s.Namespaces[0].Sysctls["net.netfilter.nf_conntrack_max"] = "12", "65536"
		}, "dropped service conntrack-invalid likely", "asymmetric"},
		{"INVALID, read from the packet only", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "FORWARD"}, lookup("lookup", "INVALID", "", "")), nil,
			"dropped service conntrack-invalid likely", "asymmetric"},
		{"a known connection is not INVALID", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "FORWARD"}, lookup("lookup", "ESTABLISHED", "", "nf_conntrack_in")), nil,
			"dropped pod-network netfilter-drop likely", "FORWARD"},
		{"INVALID but dropped elsewhere", lostAt(journey.Hop{Location: "ip_forward"}, lookup("lookup", "INVALID", "", "nf_conntrack_in")), nil, "dropped pod-network route-drop likely", "ip_forward"},
		{"IPVS without a real server", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "INPUT", Step: "no-server", Verdict: "reject"}), nil, "rejected service no-endpoints confirmed", "ipvsadm -ln -t 10.244.2.20:8081"},
		{"IPVS without a real server, by the snapshot", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "INPUT", Verdict: "reject",
			Rule: &journey.Rule{Backend: "ipvs", Text: "-A -t 10.244.2.20:8081 -s rr", Verdict: "REJECT", Certainty: "inferred"}}), nil, "rejected service no-endpoints confirmed", "ipvs -A -t 10.244.2.20:8081 -s rr (inferred)"},
		{"a full accept queue", lostAt(journey.Hop{Location: "tcp_conn_request", Step: "accept-queue-full", Why: "2 of 1 connections wait to be accepted", Where: inPod(), NetNS: podNS}), nil,
			"dropped application accept-queue-full confirmed", "2 of 1 connections"},
		{"hairpin, seen by the bridge", lostAt(journey.Hop{Location: "br_forward", Reason: "NOT_SPECIFIED", Step: "hairpin", Dev: "veth9"}), nil, "dropped pod-network hairpin-off likely", "the port that the packet came from"},
		{"an inferred reason counts as one", lostAt(journey.Hop{Location: "tcp_v4_rcv", Reason: "inferred:NO_SOCKET", Verdict: "reject", Where: inPod(), NetNS: podNS}), nil, "rejected application not-listening confirmed", "8080"},
		{"a firewall before IP-in-IP", lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "INPUT", Outer: &journey.Tuple{Src: nodeIP, Dst: otherIP}, Dev: "eth0"}), nil,
			"dropped underlay host-firewall-drops-tunnel likely", "-p 4 -s 192.168.50.1"},
		{"tunnel port", lostAt(journey.Hop{Location: "__udp4_lib_rcv", Reason: "NO_SOCKET", Outer: outer}), nil, "dropped underlay tunnel-port-mismatch likely", "udp/8472"},
		{"receive buffer", lostAt(journey.Hop{Location: "udp_queue_rcv_one_skb", Reason: "SOCKET_RCVBUFF", Where: inPod(), NetNS: podNS}), nil, "dropped application socket-buffer-full likely", "SO_RCVBUF"},
		{"tc program", lostAt(journey.Hop{Location: "__netif_receive_skb_core", Reason: "TC_INGRESS", Dev: "veth1"}), nil, "dropped pod-network tc-program-drop likely", "bpftool net show dev veth1"},
		{"another drop at a port with hairpin off", lostAt(journey.Hop{Location: "br_handle_frame_finish", Reason: "NOT_SPECIFIED", Dev: "veth1"}), func(s *netstate.Snapshot) { *s.Namespaces[0].Links[3].Hairpin = false },
			"dropped pod-network device-drop likely", "br_handle_frame_finish"},
		{"hairpin", lostAt(journey.Hop{Location: "br_handle_frame_finish", Reason: "NOT_SPECIFIED", Dev: "veth1", Tuple: &journey.Tuple{Src: client, Sport: 40000, Dst: client, Dport: 8080}}), func(s *netstate.Snapshot) { *s.Namespaces[0].Links[3].Hairpin = false },
			"dropped pod-network hairpin-off confirmed", "hairpin on"},
		{"unknown place", lostAt(journey.Hop{Location: "brand_new_function", Stack: []string{"brand_new_function", "ip_rcv"}}), nil, "dropped pod-network packet-drop likely", "brand_new_function ← ip_rcv"},
		{"unknown netfilter", lostAt(journey.Hop{Location: "nf_brand_new", Hook: "FORWARD"}), nil, "dropped pod-network netfilter-drop likely", "FORWARD"},
		{"NFQUEUE without a reader", lostAt(journey.Hop{Location: "nf_queue", Hook: "FORWARD"}), nil, "dropped pod-network nfqueue-without-reader likely", "nfnetlink_queue"},
		{"the rule of an NFQUEUE without a reader", lostAt(journey.Hop{Location: "nf_queue", Hook: "FORWARD", Rule: &journey.Rule{Backend: "nft", Family: "ip", Table: "ids", Chain: "inspect", Number: 1, Text: "queue to 41", Certainty: "inferred"}}), nil,
			"dropped pod-network nfqueue-without-reader confirmed", "ids"},
		{"one of several rules with an NFQUEUE", lostAt(journey.Hop{Location: "__nf_queue", Hook: "FORWARD", Rule: rule(journey.Rule{Chain: "FORWARD", Number: 1, Text: "-j NFQUEUE --queue-num 1", Alternatives: 1})}), nil, "dropped pod-network nfqueue-without-reader likely", "NFQUEUE"},
		{"an NFQUEUE in the pod", lostAt(journey.Hop{Location: "nf_queue", Hook: "INPUT", Where: inPod(), NetNS: podNS}), nil, "dropped application nfqueue-without-reader likely", "INPUT"},
		{"an NFQUEUE for the tunnel's packets", lostAt(journey.Hop{Location: "nf_queue", Hook: "OUTPUT", Outer: outer}), nil, "dropped underlay nfqueue-without-reader likely", "OUTPUT"},
		{"unknown socket", lostAt(journey.Hop{Location: "tcp_v4_rcv", Reason: "TCP_FLAGS", Where: inPod(), NetNS: podNS}), nil, "dropped application socket-drop likely", "TCP_FLAGS"},
		{"queue", lostAt(journey.Hop{Location: "__dev_queue_xmit", Reason: "QDISC_DROP", Dev: "eth0"}), nil, "dropped pod-network qdisc-drop likely", "QDISC_DROP"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := state()
			if tc.change != nil {
				tc.change(s)
			}
			v := Judge(&Input{Flow: Flow{Proto: "tcp", Src: client.String(), Dst: server.String(), Dport: 8081}, Journeys: tc.js, Before: s, After: s})
			if got := strings.Join([]string{string(v.Outcome), string(v.Layer), v.Cause, string(v.Confidence)}, " "); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
			text := strings.Join(append(append([]string{v.Summary}, v.Evidence...), v.Fix...), "\n")
			if !strings.Contains(text, tc.words) {
				t.Errorf("%q is not in:\n%s", tc.words, text)
			}
			if len(v.Evidence) == 0 || len(v.Fix) == 0 || v.Hop == nil || !strings.Contains(v.Evidence[0], tc.js[0].Hops[len(tc.js[0].Hops)-1].Location) {
				t.Errorf("evidence %q, fix %q", v.Evidence, v.Fix)
			}
			if ExitCode(&v) != 2 {
				t.Errorf("exit code %d", ExitCode(&v))
			}
		})
	}
}

// A verdict must not depend on a snapshot being there.
func TestWithoutState(t *testing.T) {
	for _, reason := range []string{"NETFILTER_DROP", "NO_SOCKET", "NEIGH_FAILED", "IP_INNOROUTES", "IP_RPFILTER", "NO_TX_TARGET", "IP_INADDRERRORS", "NOT_SPECIFIED", ""} {
		for _, location := range []string{"ip_error", "tcp_v4_rcv", "vxlan_xmit", "br_forward", "nf_hook_slow"} {
			v := Judge(&Input{Journeys: lostAt(journey.Hop{Reason: reason, Location: location, DevKind: "vxlan", Dev: "flannel.1"}, route("x", ""))})
			if v.Confidence == Confirmed || v.Cause == "" || v.Layer == "" {
				t.Errorf("%s at %s without state: %s %s %s", reason, location, v.Layer, v.Cause, v.Confidence)
			}
		}
	}
}

func arrivedAt(id int, d journey.Direction, length uint32) journey.Journey {
	return journey.Journey{ID: id, Direction: d, Attempt: 1, End: journey.Delivered, Complete: true, Packet: journey.Packet{Proto: "tcp", Len: length, Tuple: journey.Tuple{Src: client, Dst: server}},
		Hops: []journey.Hop{{Stage: journey.StageTunnel, Tunnel: &journey.Tunnel{Op: "decap"}, Where: host()}, {Stage: journey.StageSocket, Where: inPod()}}}
}

func goneAt(id int, length uint32) journey.Journey {
	return journey.Journey{ID: id, Direction: journey.Request, Attempt: 1, End: journey.LeftNode, Complete: true, Packet: journey.Packet{Proto: "tcp", Len: length, Tuple: journey.Tuple{Src: client, Dst: server}},
		Hops: []journey.Hop{{Stage: journey.StageDeviceTx, Dev: "eth0", Node: "node1", NetNS: nodeNS, Where: host(), Outer: &journey.Tuple{Src: nodeIP, Dst: otherIP, Dport: 8472}}}}
}

func TestWhatDidNotHappen(t *testing.T) {
	connected := &probe.Result{Result: probe.Connected, MS: 1}
	timeout := &probe.Result{Result: probe.Timeout, MS: 2000, Sent: 1400}
	unknownPeer := state()
	unknownPeer.Namespaces = unknownPeer.Namespaces[:2]
	for _, tc := range []struct {
		name string
		in   Input
		want string
		exit int
	}{
		{"lost between the nodes", Input{Journeys: []journey.Journey{goneAt(1, 60), goneAt(2, 60)}, After: state(), Probe: timeout}, "lost underlay tunnel-lost-in-fabric likely", 2},
		{"the other node is elsewhere", Input{Journeys: []journey.Journey{goneAt(1, 60)}, After: unknownPeer, Probe: timeout}, "lost underlay tunnel-lost-in-fabric inconclusive", 3},
		{"only large ones are lost", Input{Journeys: []journey.Journey{arrivedAt(1, journey.Request, 60), arrivedAt(2, journey.Reply, 60), goneAt(3, 1400)}, After: state(), Probe: timeout}, "lost underlay underlay-mtu-silent likely", 2},
		{"small ones are lost too", Input{Journeys: []journey.Journey{arrivedAt(1, journey.Request, 1400), goneAt(3, 60)}, After: state(), Probe: timeout}, "delivered application no-answer inconclusive", 3},
		{"answered", Input{Journeys: []journey.Journey{arrivedAt(1, journey.Request, 60), arrivedAt(2, journey.Reply, 60)}, Probe: connected}, "delivered   confirmed", 0},
		{"answered without a probe", Input{Journeys: []journey.Journey{arrivedAt(1, journey.Request, 60), arrivedAt(2, journey.Reply, 60)}}, "delivered   confirmed", 0},
		{"answered from another node", Input{Journeys: []journey.Journey{goneAt(1, 60), arrivedAt(2, journey.Reply, 60)}}, "delivered   confirmed", 0},
		{"not answered", Input{Journeys: []journey.Journey{arrivedAt(1, journey.Request, 60)}, Probe: timeout}, "delivered application no-answer inconclusive", 3},
		{"the probe did not leave", Input{Probe: timeout}, "unseen   inconclusive", 3},
		{"nothing", Input{Similar: []string{"similar traffic: x"}}, "unseen   inconclusive", 3},
		{"answered, but nothing was seen", Input{Probe: connected}, "delivered   likely", 0},
	} {
		v := Judge(&tc.in)
		if got := strings.Join([]string{string(v.Outcome), string(v.Layer), v.Cause, string(v.Confidence)}, " "); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
		if ExitCode(&v) != tc.exit {
			t.Errorf("%s: exit code %d, want %d", tc.name, ExitCode(&v), tc.exit)
		}
		if tc.in.Similar != nil && strings.Join(v.Evidence, "") != "similar traffic: x" {
			t.Errorf("%s: evidence %q", tc.name, v.Evidence)
		}
	}
}
