// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"testing"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func TestNodeRoutesWhole(t *testing.T) {
	whole(t, "node-routes", []exact{
		{name: "dual stack: IPv6 routes there and back", broken: (*world).dual, want: Result{
			Status:  OK,
			Summary: "node1 routes fd00:244:2::20 to flannel-v6.1; node2 routes fd00:244:1::10 to flannel-v6.1",
		}},
		{name: "dual stack, the IPv6 route to the other node's pods is gone: the default route is none in an overlay", broken: func(w *world) {
			w.dual()
			w.node1.Routes = w.node1.Routes[:len(w.node1.Routes)-1]
		}, want: Result{
			Status: Wrong, Cause: "route-missing", Node: "node1", Stops: true,
			Summary:  "node1 has no route of its own to shop/far (fd00:244:2::20): its packets leave by the default route",
			Evidence: []string{"state: only ::/0 via fd00:50::100 dev eth0 contains it, although node1 has a tunnel for other nodes' pods"},
			Fix: []string{
				"on node1: ip route get fd00:244:2::20",
				"the CNI agent writes a route for each node's pod network: restart it on this node and look at its log",
			},
		}},
		{name: "dual stack, no IPv6 route back at all: the reply is lost", broken: func(w *world) {
			w.dual()
			w.node2.Routes = w.node2.Routes[:4]
		}, want: Result{
			Status: Wrong, Cause: "reply-route-missing", Node: "node2", Stops: true,
			Summary:  "node2 has no route for the reply to shop/client (fd00:244:1::10)",
			Evidence: []string{"state: none of the 4 routes of node2 contains fd00:244:1::10"},
			Fix: []string{
				"on node2: ip route get fd00:244:1::10",
				"the CNI agent writes a route for each node's pod network: restart it on this node and look at its log",
			},
		}},
		{name: "no route there and none back: the first is told, the other is beside it", broken: func(w *world) {
			w.node1.Routes, w.node2.Routes = w.node1.Routes[1:3], w.node2.Routes[1:3]
		}, want: Result{
			Status: Wrong, Cause: "route-missing", Node: "node1", Stops: true,
			Summary: "node1 has no route to shop/far (10.244.2.20)",
			Evidence: []string{
				"state: none of the 2 routes of node1 contains 10.244.2.20",
				"also: node2 has no route for the reply to shop/client (10.244.1.10)",
			},
			Fix: []string{
				"on node1: ip route get 10.244.2.20",
				"the CNI agent writes a route for each node's pod network: restart it on this node and look at its log",
			},
		}},
		{name: "a host outside calls a NodePort: the node masquerades, so that only its way there counts", broken: outside, want: Result{
			Status:  OK,
			Summary: "node1 routes 10.244.1.20 to cni0; node1 routes 10.244.2.20 to flannel.1",
		}},
		{name: "the node is the sender: the reply goes to the node, not through it", broken: fromNode, want: Result{
			Status:  OK,
			Summary: "node1 routes 10.244.2.20 to flannel.1",
		}},
		{name: "a prohibit route, which has its own word: swallowed", broken: func(w *world) { w.node2.Routes[3].Type = "prohibit" }, want: Result{
			Status: Wrong, Cause: "blackhole-route", Node: "node2", Stops: true,
			Summary:  "the prohibit route 10.244.1.0/24 of node2 swallows packets to shop/client (10.244.1.10)",
			Evidence: []string{"state: route prohibit 10.244.1.0/24 in table 254"},
			Fix: []string{
				"on node2: ip route get 10.244.1.10",
				"the CNI agent writes a route for each node's pod network: restart it on this node and look at its log",
			},
		}},
		{name: "nobody is behind the Service: where the flow ends is not known", broken: asService(nobodyReady), want: Result{
			Status:  NotApplicable,
			Summary: "nothing is known of where the flow ends",
		}},
	})
}

func TestTunnelPeerWhole(t *testing.T) {
	whole(t, "tunnel-peer", []exact{
		{name: "dual stack: the IPv6 tunnel knows the other node, both ways", broken: (*world).dual, want: Result{
			Status:  OK,
			Summary: "flannel-v6.1 of node1 sends to fd00:50::2; flannel-v6.1 of node2 sends to fd00:50::1",
		}},
		{name: "dual stack, the IPv6 tunnel has no forwarding entry, the IPv4 one has: it is no help", broken: func(w *world) { w.dual(); w.node1.FDB = w.node1.FDB[:1] }, want: Result{
			Status: Wrong, Cause: "fdb-entry-missing", Node: "node1", Stops: true,
			Summary:  "node1's tunnel flannel-v6.1 does not know the node that has shop/far (fd00:244:2::20)",
			Evidence: []string{"state: the next hop fd00:244:2:: has the MAC address 02:00:00:00:06:02, and flannel-v6.1 has no forwarding entry for it"},
			Fix: []string{
				"on node1: ip neigh show dev flannel-v6.1; bridge fdb show dev flannel-v6.1",
				"the CNI agent (flanneld, calico-node) writes an entry for each node: restart it on this node and look at its log",
			},
		}},
		{name: "dual stack, the IPv6 tunnel sends to a third host: told with both addresses", broken: func(w *world) { w.dual(); w.node1.FDB[1].Dst = ip("fd00:50::9") }, want: Result{
			Status: Wrong, Cause: "fdb-wrong-host", Node: "node1", Stops: true,
			Summary:  "node1 sends the tunnel's packets for shop/far (fd00:244:2::20) to fd00:50::9, which is not node2",
			Evidence: []string{"state: flannel-v6.1's forwarding entry 02:00:00:00:06:02 leads to fd00:50::9; node2 has fd00:50::2"},
			Fix: []string{
				"on node1: ip neigh show dev flannel-v6.1; bridge fdb show dev flannel-v6.1",
				"the CNI agent (flanneld, calico-node) writes an entry for each node: restart it on this node and look at its log",
			},
		}},
		{name: "dual stack, the other node is elsewhere and only its IPv4 address is known: whether the IPv6 tunnel leads there is not known", broken: func(w *world) {
			w.dual()
			w.onlyHere()
			w.objs.Nodes[1].Addrs = w.objs.Nodes[1].Addrs[:1]
		}, want: Result{
			Status:  Unknown,
			Summary: "flannel-v6.1 sends to fd00:50::2; whether that is node2 is not known; node2 is not on this kernel: run nettrace there too",
		}},
		{name: "no entry for the MAC address, one for all that leads to both nodes: the right one is among them", broken: func(w *world) {
			w.node1.FDB = []netstate.FDBEntry{{Dev: "flannel.1", MAC: flood, Dst: ip("192.168.50.9")}, {Dev: "flannel.1", MAC: flood, Dst: ip("192.168.50.2")}}
		}, want: Result{
			Status:  OK,
			Summary: "flannel.1 of node1 sends to 192.168.50.2; flannel.1 of node2 sends to 192.168.50.1",
		}},
		{name: "the other node's tunnel sends replies elsewhere: that node is told", broken: func(w *world) { w.node2.FDB[0].Dst = ip("192.168.50.77") }, want: Result{
			Status: Wrong, Cause: "fdb-wrong-host", Node: "node2", Stops: true,
			Summary:  "node2 sends the tunnel's packets for shop/client (10.244.1.10) to 192.168.50.77, which is not node1",
			Evidence: []string{"state: flannel.1's forwarding entry 02:00:00:00:00:01 leads to 192.168.50.77; node1 has 192.168.50.1"},
			Fix: []string{
				"on node2: ip neigh show dev flannel.1; bridge fdb show dev flannel.1",
				"the CNI agent (flanneld, calico-node) writes an entry for each node: restart it on this node and look at its log",
			},
		}},
		{name: "the node sends itself: replies to it come without the tunnel", broken: fromNode, want: Result{
			Status:  OK,
			Summary: "flannel.1 of node1 sends to 192.168.50.2",
		}},
		{name: "an entry of another device: it does not count", broken: func(w *world) { w.node1.FDB[0].Dev = "vxlan9" }, want: Result{
			Status: Wrong, Cause: "fdb-entry-missing", Node: "node1", Stops: true,
			Summary:  "node1's tunnel flannel.1 does not know the node that has shop/far (10.244.2.20)",
			Evidence: []string{"state: the next hop 10.244.2.0 has the MAC address 02:00:00:00:00:02, and flannel.1 has no forwarding entry for it"},
			Fix: []string{
				"on node1: ip neigh show dev flannel.1; bridge fdb show dev flannel.1",
				"the CNI agent (flanneld, calico-node) writes an entry for each node: restart it on this node and look at its log",
			},
		}},
		{name: "the neighbour entry is STALE: its MAC address is still used", broken: func(w *world) { w.node1.Neighs[0].State = "STALE" }, want: Result{
			Status:  OK,
			Summary: "flannel.1 of node1 sends to 192.168.50.2; flannel.1 of node2 sends to 192.168.50.1",
		}},
	})
}
