// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"testing"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// fromNode makes node1 itself the sender.
func fromNode(w *world) { w.client, w.in.Src = w.node1, ip("192.168.50.1") }

func TestPodDeviceWhole(t *testing.T) {
	whole(t, "pod-device", []exact{
		{name: "dual stack: one device carries both addresses at each end", broken: (*world).dual, want: Result{
			Status:  OK,
			Summary: "shop/client (fd00:244:1::10) is joined to node1 by veth101; shop/far (fd00:244:2::20) is joined to node2 by veth104",
		}},
		{name: "dual stack, the device has lost its IPv6 address only: no device has it, and nothing of that was unread", broken: func(w *world) {
			w.dual()
			w.client.Link("eth0").Addrs = w.client.Link("eth0").Addrs[:1]
		}, want: Result{
			Status:   Unknown,
			Summary:  "no device of shop/client (fd00:244:1::10) has its address",
			Evidence: []string{"seen: shop/far (fd00:244:2::20) is joined to node2 by veth104"},
		}},
		{name: "both pods' devices are down: the sender's is told first", broken: func(w *world) {
			w.client.Link("eth0").Up, w.far.Link("eth0").Up = false, false
		}, want: Result{
			Status: Wrong, Cause: "pod-link-down", Node: "node1", Stops: true,
			Summary: "shop/client (10.244.1.10) is cut off: eth0 in the pod is down",
			Evidence: []string{
				"state: eth0 in the pod is down",
				"also: shop/far (10.244.2.20) is cut off: eth0 in the pod is down",
			},
			Fix: []string{"on node1: ip -d link show; the CNI plugin makes the device with the pod: delete the pod, and look at the plugin's log"},
		}},
		{name: "one endpoint of two is cut off: it costs half of the connections and does not stop the flow", broken: asService(func(w *world) { w.node1.Link("veth102").Up = false }), want: Result{
			Status: Wrong, Cause: "pod-link-down", Node: "node1",
			Summary:  "shop/near (10.244.1.20) is cut off: veth102, the pod's device on node1, is down",
			Evidence: []string{"state: veth102, the pod's device on node1, is down"},
			Fix:      []string{"on node1: ip -d link show; the CNI plugin makes the device with the pod: delete the pod, and look at the plugin's log"},
		}},
		{name: "the namespace could not be read: the reason is told", broken: func(w *world) {
			w.client.Links, w.client.Unread = nil, []string{"links could not be read: EPERM"}
		}, want: Result{
			Status:   Unknown,
			Summary:  "no device of shop/client (10.244.1.10) has its address: in client: links could not be read: EPERM",
			Evidence: []string{"seen: shop/far (10.244.2.20) is joined to node2 by veth104"},
		}},
		{name: "the node sends to a pod: only the pod has a device", broken: fromNode, want: Result{
			Status:  OK,
			Summary: "shop/far (10.244.2.20) is joined to node2 by veth104",
		}},
		{name: "no Kubernetes: the addresses stand for the names", broken: (*world).unnamed, want: Result{
			Status:  OK,
			Summary: "10.244.1.10 is joined to node1 by veth101; 10.244.2.20 is joined to node2 by veth104",
		}},
		{name: "no bridge, and the route leads to another pod's device: cut off", broken: func(w *world) {
			w.node1.Link("veth101").Master = 0
			w.node1.Routes = append(w.node1.Routes, netstate.Route{Table: 254, Dst: cidr("10.244.1.10/32"), Type: "unicast", Dev: "veth102"})
		}, want: Result{
			Status: Wrong, Cause: "pod-link-down", Node: "node1", Stops: true,
			Summary:  "shop/client (10.244.1.10) is cut off: veth101, the pod's device on node1, is on no bridge, and no route leads to it",
			Evidence: []string{"state: veth101, the pod's device on node1, is on no bridge, and no route leads to it"},
			Fix:      []string{"on node1: ip -d link show; the CNI plugin makes the device with the pod: delete the pod, and look at the plugin's log"},
		}},
	})
	whole(t, "pod-address", []exact{
		{name: "dual stack: each IPv6 address is in one namespace", broken: (*world).dual, want: Result{
			Status:  OK,
			Summary: "only client has fd00:244:1::10; only far has fd00:244:2::20",
		}},
		{name: "dual stack, another pod of the node has the IPv6 address: conflict", broken: func(w *world) {
			w.dual()
			w.near.Link("eth0").Addrs = append(w.near.Link("eth0").Addrs, cidr("fd00:244:1::10/64"))
		}, want: Result{
			Status: Wrong, Cause: "pod-ip-conflict", Node: "node1", Stops: true,
			Summary:  "2 namespaces of node1 have the address fd00:244:1::10",
			Evidence: []string{"state: fd00:244:1::10 is configured in client; near"},
			Fix: []string{
				"find whose address it should be: kubectl get pods -A -o wide | grep fd00:244:1::10",
				"on node1: ip addr show to fd00:244:1::10; a sandbox that was not cleaned up, or an address on the node, has to go",
			},
		}},
		{name: "the address is on two nodes, as two clusters on one kernel have it: no conflict on either", broken: func(w *world) {
			w.node2.Link("cni0").Addrs = append(w.node2.Link("cni0").Addrs, cidr("10.244.1.10/32"))
		}, want: Result{
			Status:  OK,
			Summary: "only client has 10.244.1.10; only far has 10.244.2.20",
		}},
		{name: "the target is nowhere and its node is here: nothing is claimed", broken: func(w *world) { w.far.Link("eth0").Addrs = nil }, want: Result{
			Status:  OK,
			Summary: "only client has 10.244.1.10",
		}},
		{name: "the node is the sender and a host is the target: no pod", broken: func(w *world) { fromNode(w); w.in.Dst = ip("198.51.100.7") }, want: Result{
			Status:  NotApplicable,
			Summary: "neither end is a pod",
		}},
	})
}

func TestPodRouteWhole(t *testing.T) {
	whole(t, "pod-route", []exact{
		{name: "dual stack: the IPv6 default route counts", broken: (*world).dual, want: Result{
			Status:  OK,
			Summary: "shop/client (fd00:244:1::10) goes through fd00:244:1::1 on eth0",
		}},
		{name: "dual stack, the IPv6 default route is gone, the IPv4 one is there: no route", broken: func(w *world) {
			w.dual()
			w.client.Routes = append(w.client.Routes[:2], w.client.Routes[3])
		}, want: Result{
			Status: Wrong, Cause: "pod-default-route-missing", Node: "node1", Stops: true,
			Summary:  "shop/client (fd00:244:1::10) has no route to fd00:244:2::20",
			Evidence: []string{"state: none of the 3 routes in client leads there"},
			Fix:      []string{"in the sender's namespace: ip route; the CNI plugin writes the default route when it makes the pod, so delete the pod and look at the plugin's log"},
		}},
		{name: "dual stack, the IPv6 gateway does not answer: told", broken: func(w *world) {
			w.dual()
			w.client.Neighs = []netstate.Neigh{{Dev: "eth0", IP: ip("fd00:244:1::1"), State: "INCOMPLETE"}}
		}, want: Result{
			Status: Wrong, Cause: "pod-gateway-no-arp", Node: "node1", Stops: true,
			Summary:  "the gateway fd00:244:1::1 of shop/client (fd00:244:1::10) does not answer",
			Evidence: []string{"state: the neighbour entry of client for fd00:244:1::1 on eth0 is INCOMPLETE"},
			Fix:      []string{"in the sender's namespace: ip route; ip neigh; on node1: ip addr show to fd00:244:1::1; with a gateway of 169.254.1.1: sysctl net.ipv4.conf.DEVICE.proxy_arp"},
		}},
		{name: "dual stack, the gateway is link-local, of the pod's own device on the node: it is there", broken: func(w *world) {
			w.dual()
			w.client.Routes[2].Gateway = ip("fe80::1")
			w.node1.Link("cni0").Addrs = append(w.node1.Link("cni0").Addrs, cidr("fe80::1/64"))
		}, want: Result{
			Status:  OK,
			Summary: "shop/client (fd00:244:1::10) goes through fe80::1 on eth0",
		}},
		{name: "a policy rule leads to a table without a route: no route", broken: func(w *world) {
			w.client.Policy = []netstate.PolicyRule{{Dst: cidr("0.0.0.0/0"), Table: 100}}
		}, want: Result{
			Status: Wrong, Cause: "pod-default-route-missing", Node: "node1", Stops: true,
			Summary:  "shop/client (10.244.1.10) has no route to 10.244.2.20",
			Evidence: []string{"state: none of the 2 routes in client leads there"},
			Fix:      []string{"in the sender's namespace: ip route; the CNI plugin writes the default route when it makes the pod, so delete the pod and look at the plugin's log"},
		}},
		{name: "the sender calls itself: a local route", broken: func(w *world) {
			w.in.Dst = ip("10.244.1.10")
			w.client.Routes = append(w.client.Routes, netstate.Route{Table: 255, Dst: cidr("10.244.1.10/32"), Type: "local", Dev: "eth0"})
		}, want: Result{
			Status:  OK,
			Summary: "shop/client (10.244.1.10) reaches 10.244.1.10 over eth0 without a gateway",
		}},
		{name: "the node's host namespace is not here: whose the gateway is, is not asked", broken: func(w *world) { w.node1.Host = false; w.client.Routes[0].Gateway = ip("10.244.1.254") }, want: Result{
			Status:  OK,
			Summary: "shop/client (10.244.1.10) goes through 10.244.1.254 on eth0",
		}},
	})
}
