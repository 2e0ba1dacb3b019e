// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// outside makes a host outside of the cluster the sender: it is on this kernel and routes to node1.
func outside(w *world) {
	w.snap.Namespaces = append(w.snap.Namespaces, netstate.Namespace{Inode: 200, Name: "ext", Node: "ext", Host: true,
		Links:  []netstate.Link{{Index: 2, Name: "eth0", Up: true, Oper: "up", MTU: 1500, Addrs: []netip.Prefix{cidr("192.168.50.100/24")}}},
		Routes: []netstate.Route{{Table: 254, Dst: cidr("192.168.50.0/24"), Type: "unicast", Dev: "eth0"}}})
	w.point()
	w.client = w.snap.ByInode(200)
	w.in.Src, w.in.Dst, w.in.Dport, w.in.Node = ip("192.168.50.100"), ip("192.168.50.1"), 30080, "ext"
}

func TestNodeReadyWhole(t *testing.T) {
	whole(t, "node-ready", []exact{
		{name: "both nodes are not Ready: the first is told, the other is beside it", broken: func(w *world) {
			w.objs.Nodes[0].Ready, w.objs.Nodes[1].Ready = false, false
		}, want: Result{
			Status: Wrong, Cause: "node-not-ready", Node: "node1",
			Summary: "node node1 is not Ready",
			Evidence: []string{
				"its condition Ready is not True",
				"also: node node2 is not Ready",
			},
			Fix: []string{
				"kubectl describe node node1: conditions and events",
				"on node1: systemctl status kubelet; journalctl -u kubelet -e",
			},
		}},
		{name: "a host outside of the cluster sends: it is no node, and the nodes count", broken: outside, want: Result{
			Status:  OK,
			Summary: "node1 is Ready; node2 is Ready",
		}},
		{name: "an endpoint's node is not here and not Ready: it counts too", broken: asService(func(w *world) {
			w.onlyHere()
			w.objs.Nodes[1].Ready = false
		}), want: Result{
			Status: Wrong, Cause: "node-not-ready", Node: "node2",
			Summary:  "node node2 is not Ready",
			Evidence: []string{"its condition Ready is not True"},
			Fix: []string{
				"kubectl describe node node2: conditions and events",
				"on node2: systemctl status kubelet; journalctl -u kubelet -e",
			},
		}},
		{name: "one node is not known and the other is not Ready: what is wrong counts", broken: func(w *world) {
			w.onlyHere()
			w.objs.Nodes = w.objs.Nodes[:1]
			w.objs.Nodes[0].Ready = false
		}, want: Result{
			Status: Wrong, Cause: "node-not-ready", Node: "node1",
			Summary:  "node node1 is not Ready",
			Evidence: []string{"its condition Ready is not True"},
			Fix: []string{
				"kubectl describe node node1: conditions and events",
				"on node1: systemctl status kubelet; journalctl -u kubelet -e",
			},
		}},
		{name: "nothing of the sender nor of the destination is known: no node is on the way", broken: func(w *world) {
			w.in.Src, w.in.Dst, w.client = ip("198.51.100.1"), ip("198.51.100.2"), nil
		}, want: Result{
			Status:  NotApplicable,
			Summary: "no node of the cluster is on the way",
		}},
		{name: "a node with a name that is none: told as it is", broken: func(w *world) {
			w.objs.Nodes[1].Name, w.objs.Nodes[1].Ready, w.objs.Nodes[1].Addrs = "no%de\x1b[2J", false, nil
			w.onlyHere()
			w.objs.Pods[2].Node = "no%de\x1b[2J"
		}, want: Result{
			Status: Wrong, Cause: "node-not-ready", Node: "no%de\x1b[2J",
			Summary:  "node no%de\x1b[2J is not Ready",
			Evidence: []string{"its condition Ready is not True"},
			Fix: []string{
				"kubectl describe node no%de\x1b[2J: conditions and events",
				"on no%de\x1b[2J: systemctl status kubelet; journalctl -u kubelet -e",
			},
		}},
	})
}

func TestUplinkWhole(t *testing.T) {
	whole(t, "uplink", []exact{
		{name: "dual stack: one uplink carries both families", broken: (*world).dual, want: Result{
			Status:  OK,
			Summary: "eth0 of node1 is up; eth0 of node2 is up",
		}},
		{name: "both nodes' uplinks are down: the sender's is told first, the other's beside it", broken: func(w *world) {
			w.node1.Link("eth0").Up, w.node2.Link("eth0").Up = false, false
		}, want: Result{
			Status: Wrong, Cause: "no-route-to-vtep", Node: "node1", Stops: true,
			Summary: "node1's uplink eth0 is down",
			Evidence: []string{
				"state: eth0 is not up",
				"also: node2's uplink eth0 is down",
			},
			Fix: []string{"on node1: ip link set eth0 up, and find who took it down"},
		}},
		{name: "no tunnel, and the route to the other node goes over another device: that one counts", broken: func(w *world) {
			w.node1.Link("flannel.1").VXLAN = nil
			w.node1.Links = append(w.node1.Links, netstate.Link{Index: 9, Name: "bond0", Up: true, Oper: "lowerlayerdown"})
			w.node1.Routes[1].Dev = "bond0"
		}, want: Result{
			Status: Wrong, Cause: "no-route-to-vtep", Node: "node1", Stops: true,
			Summary:  "node1's uplink bond0 has no carrier",
			Evidence: []string{"state: bond0 is up and its operstate is lowerlayerdown"},
			Fix:      []string{"on node1: ethtool bond0; look at cable, switch port, or bond"},
		}},
		{name: "the tunnel's underlay is a device that is gone, and there is a route: its device counts", broken: func(w *world) { w.node1.Link("flannel.1").VXLAN.Underlay = 77 }, want: Result{
			Status:  OK,
			Summary: "eth0 of node1 is up; eth0 of node2 is up",
		}},
		{name: "a blackhole leads to the other node and there is no tunnel: no device does", broken: func(w *world) {
			w.node1.Link("flannel.1").VXLAN = nil
			w.node1.Routes[1].Type = "blackhole"
		}, want: Result{
			Status: Wrong, Cause: "no-route-to-vtep", Node: "node1", Stops: true,
			Summary:  "node1 has no device that leads to the other node",
			Evidence: []string{"state: none of the 4 routes of node1 leads to 192.168.50.2"},
			Fix:      []string{"on node1: ip link; ip route"},
		}},
		{name: "the sender's node is elsewhere: the target's node is not on a way that can be looked at", broken: func(w *world) {
			w.snap.Namespaces = slices.DeleteFunc(w.snap.Namespaces, func(n netstate.Namespace) bool { return n.Node == "node1" })
			w.point()
			w.node1, w.client, w.rules1 = &netstate.Namespace{}, nil, ""
		}, want: Result{
			Status:   Unknown,
			Summary:  "node1 is not on this kernel: run nettrace there too",
			Evidence: []string{"seen: eth0 of node2 is up"},
		}},
		{name: "the operstate is unknown, as of a dummy or a tunnel: up is enough", broken: func(w *world) { w.node1.Link("eth0").Oper = "unknown" }, want: Result{
			Status:  OK,
			Summary: "eth0 of node1 is up; eth0 of node2 is up",
		}},
	})
}

func TestNodeReachableWhole(t *testing.T) {
	whole(t, "node-reachable", []exact{
		{name: "dual stack, IPv6 flow: the IPv6 address of the other node is asked", broken: (*world).dual, want: Result{
			Status:  OK,
			Summary: "node2 answers node1's echo at fd00:50::2",
		}},
		{name: "dual stack, the other node does not answer neighbour solicitations: no ARP is told of", broken: func(w *world) {
			w.dual()
			w.node1.Neighs[3].State, w.in.Echoes = "FAILED", nil
		}, want: Result{
			Status: Wrong, Cause: "underlay-neighbour-failed", Node: "node1", Stops: true,
			Summary:  "node1 cannot reach node2: fd00:50::2 does not answer neighbour solicitations on eth0",
			Evidence: []string{"state: the neighbour entry of node1 for fd00:50::2 on eth0 is FAILED"},
			Fix:      []string{"is node2 up, in this network, and still at fd00:50::2? on node1: ip neigh show dev eth0"},
		}},
		{name: "IPv6 pods over nodes that have IPv4 addresses only: which address to ask is not known", broken: func(w *world) {
			w.dual()
			w.onlyHere()
			w.objs.Nodes[1].Addrs = w.objs.Nodes[1].Addrs[:1]
		}, want: Result{
			Status:  Unknown,
			Summary: "the address of node2 is not known",
		}},
		{name: "a host outside calls a NodePort: the way to the node and the way between the nodes count", broken: func(w *world) {
			outside(w)
			w.in.Echoes = append(w.in.Echoes, Echo{From: "ext", To: ip("192.168.50.1"), Passed: 1500})
		}, want: Result{
			Status:  OK,
			Summary: "node1 answers ext's echo at 192.168.50.1; node2 answers node1's echo at 192.168.50.2",
		}},
		{name: "a host outside calls a NodePort, nobody tried the way to the node: that part is not known", broken: outside, want: Result{
			Status:   Unknown,
			Summary:  "whether node1 answers was not tried: nobody sent one",
			Evidence: []string{"seen: node2 answers node1's echo at 192.168.50.2"},
		}},
		{name: "an unreachable route to the other node: no route", broken: func(w *world) { w.node1.Routes[1].Type = "unreachable" }, want: Result{
			Status: Wrong, Cause: "no-route-to-vtep", Node: "node1", Stops: true,
			Summary:  "node1 has no route to node2 (192.168.50.2)",
			Evidence: []string{"state: none of the 4 routes of node1 leads to 192.168.50.2"},
			Fix:      []string{"on node1: ip route get 192.168.50.2; ip addr: has the uplink lost its address?"},
		}},
		{name: "neighbours could not be read: not known", broken: func(w *world) {
			w.node1.Neighs, w.node1.Unread = nil, []string{"neighbours could not be read: EPERM"}
		}, want: Result{
			Status:  Unknown,
			Summary: "in node1: neighbours could not be read: EPERM",
		}},
		{name: "an incomplete entry and an answer to the echo: the answer counts", broken: func(w *world) { w.node1.Neighs[1].State = "INCOMPLETE" }, want: Result{
			Status:  OK,
			Summary: "node2 answers node1's echo at 192.168.50.2",
		}},
	})
}

func TestTunnelMTUWhole(t *testing.T) {
	whole(t, "tunnel-mtu", []exact{
		{name: "dual stack: both tunnels of both nodes fit, each with its own headers", broken: (*world).dual, want: Result{
			Status:  OK,
			Summary: "flannel.1 of node1 has MTU 1450, which fits eth0's 1500; flannel-v6.1 of node1 has MTU 1430, which fits eth0's 1500; flannel.1 of node2 has MTU 1450, which fits eth0's 1500; flannel-v6.1 of node2 has MTU 1430, which fits eth0's 1500",
		}},
		{name: "dual stack, the IPv6 tunnel has the MTU of the IPv4 one: 20 bytes too many", broken: func(w *world) {
			w.dual()
			w.node1.Link("flannel-v6.1").MTU = 1450
		}, want: Result{
			Status: Wrong, Cause: "tunnel-fragmented", Node: "node1",
			Summary:  "node1's tunnel flannel-v6.1 makes packets of up to 1520 bytes, and eth0 carries 1500",
			Evidence: []string{"state: flannel-v6.1 has MTU 1450, eth0 has MTU 1500, VXLAN adds 70"},
			Fix:      []string{"set the CNI's MTU to 1430, or raise that of eth0 to 1520"},
		}},
		{name: "both nodes' tunnels are too large by one byte: both are told", broken: func(w *world) {
			w.node1.Link("flannel.1").MTU, w.node2.Link("flannel.1").MTU = 1451, 1451
		}, want: Result{
			Status: Wrong, Cause: "tunnel-fragmented", Node: "node1",
			Summary: "node1's tunnel flannel.1 makes packets of up to 1501 bytes, and eth0 carries 1500",
			Evidence: []string{
				"state: flannel.1 has MTU 1451, eth0 has MTU 1500, VXLAN adds 50",
				"also: node2's tunnel flannel.1 makes packets of up to 1501 bytes, and eth0 carries 1500",
			},
			Fix: []string{"set the CNI's MTU to 1450, or raise that of eth0 to 1501"},
		}},
		{name: "exactly as large as the uplink carries: fits", broken: func(w *world) { w.node1.Link("eth0").MTU, w.node1.Link("flannel.1").MTU = 9000, 8950 }, want: Result{
			Status:  OK,
			Summary: "flannel.1 of node1 has MTU 8950, which fits eth0's 9000; flannel.1 of node2 has MTU 1450, which fits eth0's 1500",
		}},
		{name: "the other node is not here and the own tunnel is too large: what is wrong counts", broken: func(w *world) {
			w.onlyHere()
			w.node1.Link("flannel.1").MTU = 1500
		}, want: Result{
			Status: Wrong, Cause: "tunnel-fragmented", Node: "node1",
			Summary:  "node1's tunnel flannel.1 makes packets of up to 1550 bytes, and eth0 carries 1500",
			Evidence: []string{"state: flannel.1 has MTU 1500, eth0 has MTU 1500, VXLAN adds 50"},
			Fix:      []string{"set the CNI's MTU to 1450, or raise that of eth0 to 1550"},
		}},
	})
	whole(t, "node-mtu", []exact{
		{name: "dual stack, a hole on the IPv6 way: the headers of an IPv6 tunnel are taken off", broken: func(w *world) {
			w.dual()
			w.in.Echoes[2].Passed, w.in.Echoes[2].Failed = 1404, 1405
		}, want: Result{
			Status: Wrong, Cause: "underlay-mtu-silent", Node: "node1", Measured: true,
			Summary:  "packets of 1404 bytes get from node1 to node2 and those of 1405 vanish: large answers hang",
			Evidence: []string{"measured: echoes with don't-fragment from node1 to fd00:50::2, the largest answered has 1404 bytes, the smallest lost 1405"},
			Fix: []string{
				"raise the MTU of the network between the nodes, or set the CNI's MTU to 1334",
				"on node1: ping -M do -s SIZE fd00:50::2 shows what passes",
			},
		}},
		{name: "a host outside calls a NodePort, a hole before the node: the way to it is told", broken: func(w *world) {
			outside(w)
			w.in.Echoes = append(w.in.Echoes, Echo{From: "ext", To: ip("192.168.50.1"), Passed: 1404, Failed: 1405})
		}, want: Result{
			Status: Wrong, Cause: "underlay-mtu-silent", Node: "ext", Measured: true,
			Summary:  "packets of 1404 bytes get from ext to node1 and those of 1405 vanish: large answers hang",
			Evidence: []string{"measured: echoes with don't-fragment from ext to 192.168.50.1, the largest answered has 1404 bytes, the smallest lost 1405"},
			Fix: []string{
				"raise the MTU of the network between the nodes, or set the CNI's MTU to 1354",
				"on ext: ping -M do -s SIZE 192.168.50.1 shows what passes",
			},
		}},
		{name: "two nodes of endpoints, one way was tried: the other is not known", broken: asService(func(w *world) {
			e := k8smeta.Endpoint{Addrs: []netip.Addr{ip("10.244.3.20")}, Ready: true, Serving: true, Node: "node3", Pod: "third"}
			w.objs.Slices[0].Endpoints = append(w.objs.Slices[0].Endpoints, e)
			w.objs.Nodes = append(w.objs.Nodes, k8smeta.Node{Name: "node3", Addrs: []netip.Addr{ip("192.168.50.3")}, PodCIDRs: []netip.Prefix{cidr("10.244.3.0/24")}})
		}), want: Result{
			Status:   Unknown,
			Summary:  "packets of full size to node3 were not tried: nobody sent one",
			Evidence: []string{"seen: echoes of 1500 bytes get to node2"},
		}},
		{name: "only the smallest echo came back: a hole from there on", broken: func(w *world) { w.in.Echoes[0].Passed, w.in.Echoes[0].Failed = 68, 69 }, want: Result{
			Status: Wrong, Cause: "underlay-mtu-silent", Node: "node1", Measured: true,
			Summary:  "packets of 68 bytes get from node1 to node2 and those of 69 vanish: large answers hang",
			Evidence: []string{"measured: echoes with don't-fragment from node1 to 192.168.50.2, the largest answered has 68 bytes, the smallest lost 69"},
			Fix: []string{
				"raise the MTU of the network between the nodes",
				"on node1: ping -M do -s SIZE 192.168.50.2 shows what passes",
			},
		}},
	})
}

func TestTunnelSettingsWhole(t *testing.T) {
	whole(t, "tunnel-settings", []exact{
		{name: "dual stack, IPv6 flow: the IPv6 tunnels are compared", broken: (*world).dual, want: Result{
			Status:  OK,
			Summary: "node1 and node2 use VNI 1 and port 8472",
		}},
		{name: "dual stack, the other node's IPv6 tunnel has another VNI, its IPv4 tunnel has this one: it is no help", broken: func(w *world) {
			w.dual()
			w.node2.Link("flannel-v6.1").VXLAN.VNI = 2
		}, want: Result{
			Status: Wrong, Cause: "vni-mismatch", Node: "node2", Stops: true,
			Summary: "node1 sends VNI 1 to udp/8472, and no VXLAN device of node2 between addresses of this family has both",
			Evidence: []string{
				"state: flannel-v6.1 of node1 has VNI 1 and port 8472",
				"state: flannel-v6.1 of node2 has VNI 2 and port 8472",
			},
			Fix: []string{"on both nodes: ip -d link show type vxlan; all nodes must use the same VNI and port: correct the CNI's configuration"},
		}},
		{name: "dual stack, IPv4 flow, the other node has an IPv6 tunnel only: none fits", broken: func(w *world) {
			w.dual()
			w.in.Src, w.in.Dst = ip("10.244.1.10"), ip("10.244.2.20")
			w.node2.Link("flannel.1").VXLAN = nil
		}, want: Result{
			Status: Wrong, Cause: "tunnel-port-mismatch", Node: "node2", Stops: true,
			Summary:  "node1 sends VXLAN to udp/8472, and no VXLAN device of node2 between addresses of this family has this port",
			Evidence: []string{"state: flannel.1 of node1 has VNI 1 and port 8472"},
			Fix:      []string{"on both nodes: ip -d link show type vxlan; all nodes must use the same VNI and port: correct the CNI's configuration"},
		}},
		{name: "the other node's device has no address of its own: it may be of either family", broken: func(w *world) { w.node2.Link("flannel.1").VXLAN.Local = netip.Addr{} }, want: Result{
			Status:  OK,
			Summary: "node1 and node2 use VNI 1 and port 8472",
		}},
		{name: "two devices there, one with the port and one with the VNI: the VNI is wrong, both are shown", broken: func(w *world) {
			w.node2.Link("flannel.1").VXLAN.VNI = 7
			w.node2.Links = append(w.node2.Links, netstate.Link{Index: 9, Name: "vxlan9", VXLAN: &netstate.VXLAN{VNI: 1, Port: 4789}})
		}, want: Result{
			Status: Wrong, Cause: "vni-mismatch", Node: "node2", Stops: true,
			Summary: "node1 sends VNI 1 to udp/8472, and no VXLAN device of node2 has both",
			Evidence: []string{
				"state: flannel.1 of node1 has VNI 1 and port 8472",
				"state: flannel.1 of node2 has VNI 7 and port 8472",
				"state: vxlan9 of node2 has VNI 1 and port 4789",
			},
			Fix: []string{"on both nodes: ip -d link show type vxlan; all nodes must use the same VNI and port: correct the CNI's configuration"},
		}},
	})
}
