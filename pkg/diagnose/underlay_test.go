// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func TestNodeReady(t *testing.T) {
	try(t, "node-ready", []want{
		{name: "both are", status: OK, words: []string{"node1 is Ready", "node2 is Ready"}},
		{name: "the other is not", broken: func(w *world) { w.objs.Nodes[1].Ready = false }, status: Wrong, cause: "node-not-ready", node: "node2", words: []string{"kubectl describe node node2"}},
		{name: "only the sender's counts on one node", broken: func(w *world) { w.toNear(); w.objs.Nodes[1].Ready = false }, status: OK},
		{name: "the kubelet names it otherwise", broken: func(w *world) { w.objs.Nodes[1].Name, w.objs.Nodes[1].Ready = "ip-192-168-50-2", false }, status: Wrong, cause: "node-not-ready", node: "node2"},
		{name: "nodes may not be read", broken: func(w *world) { w.objs.Nodes = nil }, status: Unknown},
		{name: "one is not known", broken: func(w *world) { w.onlyHere(); w.objs.Nodes = w.objs.Nodes[:1] }, status: Unknown, words: []string{"no node node2"}},
		{name: "a node elsewhere is asked too", broken: func(w *world) { w.onlyHere(); w.objs.Nodes[1].Ready = false }, status: Wrong, cause: "node-not-ready", node: "node2"},
		{name: "no Kubernetes", broken: (*world).unnamed, status: Unknown, words: []string{"--no-kubernetes"}},
	})
}

func TestUplink(t *testing.T) {
	down := func(n *netstate.Namespace) { n.Link("eth0").Up, n.Link("eth0").Oper = false, "down" }
	try(t, "uplink", []want{
		{name: "both up", status: OK, words: []string{"eth0 of node1 is up", "eth0 of node2 is up"}},
		{name: "own is down", broken: func(w *world) { down(w.node1) }, status: Wrong, cause: "no-route-to-vtep", stops: true, node: "node1", words: []string{"uplink eth0 is down"}},
		{name: "the other's is down", broken: func(w *world) { down(w.node2) }, status: Wrong, cause: "underlay-neighbour-failed", stops: true, node: "node2"},
		{name: "no carrier", broken: func(w *world) { w.node1.Link("eth0").Oper = "lowerlayerdown" }, status: Wrong, cause: "no-route-to-vtep", stops: true, words: []string{"no carrier"}},
		{name: "no device leads there", broken: func(w *world) { w.node1.Link("flannel.1").VXLAN.Underlay = 99; w.node1.Routes = nil }, status: Wrong, cause: "no-route-to-vtep", stops: true},
		{name: "without tunnels the route tells", broken: func(w *world) { w.node1.Link("flannel.1").VXLAN = nil }, status: OK},
		{name: "same node", broken: (*world).toNear, status: NotApplicable, words: []string{"one node"}},
		{name: "the other node is elsewhere", broken: (*world).onlyHere, status: Unknown, words: []string{"node2 is not on this kernel", "eth0 of node1 is up"}},
		{name: "links could not be read", broken: func(w *world) {
			w.node1.Links, w.node1.Routes, w.node1.Unread = nil, nil, []string{"links could not be read: EPERM"}
		}, status: Unknown, words: []string{"EPERM"}},
	})
}

func TestNodeReachable(t *testing.T) {
	failed := func(w *world) { w.node1.Neighs[1].State = "FAILED" }
	mute := func(w *world) { w.in.Echoes[0].Passed = 0 }
	try(t, "node-reachable", []want{
		{name: "answers", status: OK, words: []string{"node2 answers node1's echo at 192.168.50.2"}},
		{name: "ARP fails", broken: func(w *world) { failed(w); mute(w) }, status: Wrong, cause: "underlay-neighbour-failed", stops: true, measure: true, words: []string{"FAILED", "192.168.50.2"}},
		{name: "ARP fails, nobody tried", broken: func(w *world) { failed(w); w.in.Echoes = nil }, status: Wrong, cause: "underlay-neighbour-failed", stops: true},
		{name: "an old failure, and it answers now", broken: failed, status: OK},
		{name: "no answer may be a filter", broken: mute, status: Unknown, words: []string{"ICMP is filtered"}},
		{name: "told", broken: func(w *world) { mute(w); w.in.Echoes[0].Told = "no route to host" }, status: Wrong, cause: "underlay-neighbour-failed", stops: true, measure: true, words: []string{"no route to host"}},
		{name: "could not be sent", broken: func(w *world) { mute(w); w.in.Echoes[0].Error = "operation not permitted" }, status: Unknown, words: []string{"operation not permitted"}},
		{name: "nobody tried", broken: func(w *world) { w.in.Echoes, w.in.NoEcho = nil, "--no-probe was given" }, status: Unknown, words: []string{"--no-probe"}},
		{name: "no route", broken: func(w *world) { w.node1.Routes = w.node1.Routes[2:] }, status: Wrong, cause: "no-route-to-vtep", stops: true, node: "node1"},
		{name: "the gateway is the next hop", broken: func(w *world) {
			mute(w)
			w.node1.Routes = append([]netstate.Route{w.node1.Routes[0]}, w.node1.Routes[2:]...)
			w.node1.Neighs = append(w.node1.Neighs, netstate.Neigh{Dev: "eth0", IP: ip("192.168.50.100"), State: "INCOMPLETE"})
		}, status: Wrong, cause: "underlay-neighbour-failed", stops: true, measure: true, words: []string{"192.168.50.100"}},
		{name: "address not known", broken: func(w *world) { w.onlyHere(); w.objs.Nodes[1].Addrs = nil }, status: Unknown, words: []string{"address of node2 is not known"}},
		{name: "same node", broken: (*world).toNear, status: NotApplicable},
		{name: "to a NodePort of the other node", broken: func(w *world) {
			w.in.Dst, w.in.Dport, w.in.Echoes[0].Told, w.in.Echoes[0].Passed = ip("192.168.50.2"), 30080, "no route to host", 0
		}, status: Wrong, cause: "underlay-neighbour-failed", stops: true, measure: true, node: "node1"},
		{name: "the sender is elsewhere", broken: func(w *world) { w.in.Src, w.client = ip("198.51.100.1"), nil }, status: Unknown, words: []string{"run nettrace there"}},
	})
}

func TestMTUs(t *testing.T) {
	try(t, "tunnel-mtu", []want{
		{name: "fits", status: OK, words: []string{"MTU 1450, which fits eth0's 1500"}},
		{name: "the uplink's is lower", broken: func(w *world) { w.node1.Link("eth0").MTU = 1400 }, status: Wrong, cause: "tunnel-fragmented", node: "node1", words: []string{"1400", "set the CNI's MTU to 1350"}},
		{name: "the other node's too", broken: func(w *world) { w.node2.Link("flannel.1").MTU = 1480 }, status: Wrong, cause: "tunnel-fragmented", node: "node2"},
		{name: "an outer header of IPv6 is larger", broken: func(w *world) { w.node1.Link("flannel.1").VXLAN.Local = ip("fd00::1") }, status: Wrong, cause: "tunnel-fragmented", words: []string{"VXLAN adds 70"}},
		{name: "no tunnel", broken: func(w *world) { w.node1.Link("flannel.1").VXLAN = nil; w.node2.Link("flannel.1").VXLAN = nil }, status: NotApplicable},
		{name: "the uplink is not known", broken: func(w *world) { w.node1.Link("flannel.1").VXLAN.Underlay = 0 }, status: OK},
		{name: "same node", broken: (*world).toNear, status: NotApplicable},
		{name: "elsewhere", broken: (*world).onlyHere, status: Unknown, words: []string{"node2 is not on this kernel"}},
	})
	try(t, "node-mtu", []want{
		{name: "full packets pass", status: OK, words: []string{"1500 bytes get to node2"}},
		{name: "a hole", broken: func(w *world) { w.in.Echoes[0].Passed, w.in.Echoes[0].Failed = 1404, 1405 }, status: Wrong, cause: "underlay-mtu-silent", measure: true, node: "node1", words: []string{"1405", "set the CNI's MTU to 1354"}},
		{name: "a hole above what the tunnel sends", broken: func(w *world) {
			w.node1.Link("flannel.1").MTU, w.in.Echoes[0].Passed, w.in.Echoes[0].Failed = 1350, 1404, 1405
		}, status: Wrong, cause: "underlay-mtu-silent", words: []string{"do not need"}},
		{name: "no answer says nothing", broken: func(w *world) { w.in.Echoes[0].Passed, w.in.Echoes[0].Failed = 0, 68 }, status: Unknown, words: []string{"says nothing about sizes"}},
		{name: "nobody tried", broken: func(w *world) { w.in.Echoes = nil }, status: Unknown},
		{name: "same node", broken: (*world).toNear, status: NotApplicable},
		{name: "address not known", broken: func(w *world) { w.onlyHere(); w.objs.Nodes[1].Addrs = nil }, status: Unknown},
	})
}

func TestTunnelSettings(t *testing.T) {
	try(t, "tunnel-settings", []want{
		{name: "equal", status: OK, words: []string{"VNI 1 and port 8472"}},
		{name: "another VNI", broken: func(w *world) { w.node2.Link("flannel.1").VXLAN.VNI = 2 }, status: Wrong, cause: "vni-mismatch", stops: true, node: "node2", words: []string{"VNI 2"}},
		{name: "another port", broken: func(w *world) { w.node2.Link("flannel.1").VXLAN.Port = 4789 }, status: Wrong, cause: "tunnel-port-mismatch", stops: true, words: []string{"4789", "8472"}},
		{name: "no tunnel there", broken: func(w *world) { w.node2.Link("flannel.1").VXLAN = nil }, status: Wrong, cause: "tunnel-port-mismatch", stops: true},
		{name: "a second tunnel fits", broken: func(w *world) {
			w.node2.Link("flannel.1").VXLAN.VNI = 2
			w.node2.Links = append(w.node2.Links, netstate.Link{Name: "vxlan1", VXLAN: &netstate.VXLAN{VNI: 1, Port: 8472}})
		}, status: OK},
		{name: "elsewhere", broken: (*world).onlyHere, status: Unknown, words: []string{"VNI 1 and port 8472", "run nettrace there too"}},
		{name: "routed without a tunnel", broken: func(w *world) { w.node1.Routes[3].Dev = "eth0" }, status: NotApplicable},
		{name: "same node", broken: (*world).toNear, status: NotApplicable},
		{name: "the sender is elsewhere", broken: func(w *world) { w.in.Src, w.client = ip("198.51.100.1"), nil }, status: Unknown},
	})
}

func TestTunnelFirewall(t *testing.T) {
	filter := func(rule string) string {
		return "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n" + rule + "\nCOMMIT\n"
	}
	try(t, "tunnel-firewall", []want{
		{name: "lets pass", status: OK, words: []string{"node1's rules let udp/8472 pass", "node2's"}},
		{name: "the other node's INPUT", broken: func(w *world) { w.rules2 = filter("-A INPUT -p udp -m udp --dport 8472 -j DROP") }, status: Wrong, cause: "host-firewall-drops-tunnel", stops: true, node: "node2", words: []string{"iptables -I INPUT -p udp --dport 8472 -s 192.168.50.1", "INPUT, rule 1"}},
		{name: "own OUTPUT", broken: func(w *world) { w.rules1 = filter("-A OUTPUT -p udp -m udp --dport 8472 -j REJECT") }, status: Wrong, cause: "host-firewall-drops-tunnel", stops: true, node: "node1", words: []string{"in OUTPUT"}},
		{name: "the way back", broken: func(w *world) { w.rules1 = filter("-A INPUT -s 192.168.50.2/32 -p udp -m udp --dport 8472 -j DROP") }, status: Wrong, cause: "host-firewall-drops-tunnel", stops: true, node: "node1", words: []string{"192.168.50.2 → 192.168.50.1"}},
		{name: "a policy", broken: func(w *world) {
			w.rules2 = "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -p tcp -j ACCEPT\nCOMMIT\n"
		}, status: Wrong, cause: "host-firewall-drops-tunnel", stops: true, node: "node2", words: []string{"policy DROP"}},
		{name: "another port is not ours", broken: func(w *world) { w.rules2 = filter("-A INPUT -p udp -m udp --dport 4789 -j DROP") }, status: OK},
		{name: "rules could not be read", broken: func(w *world) { w.node2.Unread = []string{"iptables-legacy rules could not be read: x"} }, status: Unknown, words: []string{"iptables-legacy rules"}},
		{name: "elsewhere", broken: (*world).onlyHere, status: Unknown, words: []string{"node2 is not on this kernel"}},
		{name: "own address not known", broken: func(w *world) { w.node1.Link("flannel.1").VXLAN.Local = netip.Addr{} }, status: Unknown},
		{name: "no tunnel", broken: func(w *world) { w.node1.Routes[3].Dev = "eth0" }, status: NotApplicable},
		{name: "same node", broken: (*world).toNear, status: NotApplicable},
	})
}
