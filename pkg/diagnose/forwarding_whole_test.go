// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// forwardOff is what is said of node1 when it alone does not forward.
var forwardOff = Result{
	Status: Wrong, Cause: "ip-forward-off", Node: "node1", Stops: true,
	Summary:  "node1 does not forward packets: net.ipv4.ip_forward is 0",
	Evidence: []string{"state: net.ipv4.ip_forward = 0 on node1"},
	Fix:      []string{"on node1: sysctl -w net.ipv4.ip_forward=1", "find what set it back: files in /etc/sysctl.d, a network service, a hardening script"},
}

func TestForwardingWhole(t *testing.T) {
	off := func(w *world) { w.node1.Sysctls["net.ipv4.ip_forward"] = "0" }
	whole(t, "forwarding", []exact{
		{name: "dual stack, IPv4 forwarding is off: IPv6 does not need it", broken: both((*world).dual, off), want: Result{
			Status:  OK,
			Summary: "net.ipv6.conf.all.forwarding = 1 on node1; net.ipv6.conf.all.forwarding = 1 on node2",
		}},
		{name: "both nodes do not forward: both are told", broken: func(w *world) {
			off(w)
			w.node2.Sysctls["net.ipv4.ip_forward"] = "0"
		}, want: Result{
			Status: Wrong, Cause: "ip-forward-off", Node: "node1", Stops: true,
			Summary: "node1 does not forward packets: net.ipv4.ip_forward is 0",
			Evidence: []string{
				"state: net.ipv4.ip_forward = 0 on node1",
				"also: node2 does not forward packets: net.ipv4.ip_forward is 0",
			},
			Fix: []string{
				"on node1: sysctl -w net.ipv4.ip_forward=1",
				"find what set it back: files in /etc/sysctl.d, a network service, a hardening script",
			},
		}},
		{name: "the node sends to a pod of its own: that is no forwarding", broken: both(fromNode, (*world).toNear, off), want: Result{
			Status:  NotApplicable,
			Summary: "no node of the cluster forwards the flow",
		}},
		{name: "the node sends to a pod of the other node: only the other forwards", broken: both(fromNode, off), want: Result{
			Status:  OK,
			Summary: "net.ipv4.ip_forward = 1 on node2",
		}},
		{name: "the node calls the other's NodePort, whose endpoint is its own pod: it forwards what comes back", broken: func(w *world) {
			fromNode(w)
			w.objs.Slices[0].Endpoints = w.objs.Slices[0].Endpoints[:1]
			w.in.Dst, w.in.Dport = ip("192.168.50.2"), 30080
			off(w)
		}, want: forwardOff},
		{name: "a pod sends to its own node, which does not forward: the packet ends there", broken: both(off, func(w *world) { w.in.Dst = ip("192.168.50.1") }), want: Result{
			Status:  NotApplicable,
			Summary: "no node of the cluster forwards the flow",
		}},
		{name: "a host outside calls a NodePort of a node that does not forward: off", broken: both(outside, off), want: forwardOff},
		{name: "a host outside calls a NodePort whose endpoint is on that node: off too", broken: func(w *world) {
			outside(w)
			off(w)
			w.objs.Slices[0].Endpoints = w.objs.Slices[0].Endpoints[:1]
		}, want: forwardOff},
	})
	whole(t, "forwarding", []exact{
		{name: "two pods on one bridge, the node does not forward: frames stay on the bridge", broken: both((*world).toNear, off), want: Result{
			Status:  NotApplicable,
			Summary: "no node of the cluster forwards the flow",
		}},
		{name: "two pods of a node without a bridge: it forwards between them", broken: both((*world).toNear, off, func(w *world) {
			w.node1.Link("veth101").Master, w.node1.Link("veth102").Master = 0, 0
		}), want: forwardOff},
		{name: "a Service whose endpoint is on the sender's bridge: the node translates and forwards", broken: both(asService(off), func(w *world) { w.objs.Slices[0].Endpoints = w.objs.Slices[0].Endpoints[:1] }), want: forwardOff},
		{name: "a Service without endpoints: the sender's node would forward", broken: both(asService(nobodyReady), off), want: forwardOff},
	})
	strict := func(w *world) {
		w.node1.Sysctls["net.ipv4.conf.all.rp_filter"], w.node2.Sysctls["net.ipv4.conf.all.rp_filter"] = "1", "1"
	}
	whole(t, "rp-filter", []exact{
		{name: "dual stack, IPv4 flow, strict: the IPv4 tunnel is looked at, although the IPv6 one has its VNI and port", broken: func(w *world) {
			w.dual()
			w.in.Src, w.in.Dst = ip("10.244.1.10"), ip("10.244.2.20")
			strict(w)
		}, want: Result{
			Status:  OK,
			Summary: "node2 takes packets of 10.244.1.10 at flannel.1; node1 takes packets of 10.244.2.20 at flannel.1",
		}},
		{name: "dual stack, IPv6 flow, strict and the way back is another: rp_filter is IPv4's", broken: func(w *world) {
			w.dual()
			strict(w)
			w.node2.Routes[7].Dev = "eth0"
		}, want: Result{
			Status:  OK,
			Summary: "node2 takes packets of fd00:244:1::10 at flannel-v6.1",
		}},
		{name: "strict, and both nodes route past their tunnels: no packet comes out of one", broken: func(w *world) {
			strict(w)
			w.node1.Routes = append(w.node1.Routes, netstate.Route{Table: 254, Dst: cidr("10.244.2.20/32"), Type: "unicast", Dev: "eth0"})
			w.node2.Routes = append(w.node2.Routes, netstate.Route{Table: 254, Dst: cidr("10.244.1.10/32"), Type: "unicast", Dev: "eth0"})
		}, want: Result{
			Status:  NotApplicable,
			Summary: "the flow comes out of no tunnel of a node on this kernel with the sender's address",
		}},
		{name: "a host outside calls a NodePort, strict: the node masquerades, and the host's address is not in the tunnel", broken: both(outside, strict), want: Result{
			Status:  NotApplicable,
			Summary: "the flow comes out of no tunnel of a node on this kernel with the sender's address",
		}},
		{name: "the other node has no such tunnel: its devices are another check's", broken: func(w *world) { strict(w); w.node2.Link("flannel.1").VXLAN.VNI = 9 }, want: Result{
			Status:  NotApplicable,
			Summary: "the flow comes out of no tunnel of a node on this kernel with the sender's address",
		}},
	})
}

func TestBridgeWhole(t *testing.T) {
	whole(t, "bridge-netfilter", []exact{
		{name: "dual stack, IPv6 Service, the switch for IPv6 is off: it is named, not IPv4's", broken: sixService(func(w *world) {
			w.node1.Sysctls["net.bridge.bridge-nf-call-ip6tables"] = "0"
		}), want: Result{
			Status: Wrong, Cause: "bridge-netfilter-off", Node: "node1",
			Summary:  "answers of shop/near ([fd00:244:1::20]:8080) reach the client over the bridge cni0 without passing node1's rules: they keep an address that the client never called",
			Evidence: []string{"state: net.bridge.bridge-nf-call-ip6tables = 0 on node1"},
			Fix:      []string{"on node1: modprobe br_netfilter; sysctl -w net.bridge.bridge-nf-call-ip6tables=1; keep both in /etc/modules-load.d and /etc/sysctl.d"},
		}},
		{name: "dual stack, IPv6 Service, only IPv4's switch is off: bridged packets pass the rules", broken: sixService(func(w *world) {
			w.node1.Sysctls["net.bridge.bridge-nf-call-iptables"] = "0"
		}), want: Result{
			Status:  OK,
			Summary: "bridged packets pass the rules of node1",
		}},
		{name: "off, all endpoints are on the sender's bridge: it stops the flow", broken: asService(func(w *world) {
			w.node1.Sysctls["net.bridge.bridge-nf-call-iptables"] = "0"
			w.objs.Slices[0].Endpoints = w.objs.Slices[0].Endpoints[:1]
		}), want: Result{
			Status: Wrong, Cause: "bridge-netfilter-off", Node: "node1", Stops: true,
			Summary:  "answers of shop/near (10.244.1.20:8080) reach the client over the bridge cni0 without passing node1's rules: they keep an address that the client never called",
			Evidence: []string{"state: net.bridge.bridge-nf-call-iptables = 0 on node1"},
			Fix:      []string{"on node1: modprobe br_netfilter; sysctl -w net.bridge.bridge-nf-call-iptables=1; keep both in /etc/modules-load.d and /etc/sysctl.d"},
		}},
		{name: "off, and the sender is the only endpoint: that is hairpin's", broken: asService(func(w *world) {
			w.node1.Sysctls["net.bridge.bridge-nf-call-iptables"] = "0"
			w.objs.Slices[0].Endpoints = []k8smeta.Endpoint{{Addrs: []netip.Addr{ip("10.244.1.10")}, Ready: true, Node: "node1"}}
		}), want: Result{
			Status:  NotApplicable,
			Summary: "no endpoint of a Service shares a bridge with the sender",
		}},
		{name: "the node is the sender: it is on no bridge port", broken: asService(fromNode), want: Result{
			Status:  NotApplicable,
			Summary: "no endpoint of a Service shares a bridge with the sender",
		}},
	})
	self := func(w *world) {
		w.objs.Slices[0].Endpoints[0].Addrs = []netip.Addr{ip("10.244.1.10")}
	}
	no := false
	whole(t, "hairpin", []exact{
		{name: "off, the sender is one of two endpoints: half of the connections hang", broken: asService(func(w *world) {
			self(w)
			w.node1.Link("veth101").Hairpin = &no
		}), want: Result{
			Status: Wrong, Cause: "hairpin-off", Node: "node1",
			Summary:  "shop/client (10.244.1.10) cannot reach itself through the Service: its bridge port veth101 has hairpin off",
			Evidence: []string{"state: hairpin off at veth101 of cni0"},
			Fix: []string{
				"on node1: bridge link set dev veth101 hairpin on",
				"set hairpinMode: true in the CNI plugin's configuration",
			},
		}},
		{name: "whether it is on could not be read: neither on nor off is said", broken: asService(func(w *world) { self(w); w.node1.Link("veth101").Hairpin = nil }), want: Result{
			Status:  Unknown,
			Summary: "whether the bridge port veth101 sends back to itself (hairpin) is not known",
		}},
		{name: "no bridge, the node routes to the pod: no hairpin is needed", broken: asService(func(w *world) {
			self(w)
			w.node1.Link("veth101").Master = 0
		}), want: Result{
			Status:  NotApplicable,
			Summary: "the sender is no endpoint of the Service",
		}},
	})
	whole(t, "pod-mtu", []exact{
		{name: "dual stack, IPv6 flow: the IPv6 tunnel's MTU counts", broken: (*world).dual, want: Result{
			Status:  OK,
			Summary: "eth0 of shop/client (fd00:244:1::10) has MTU 1430, flannel-v6.1 of node1 1430; eth0 of shop/far (fd00:244:2::20) has MTU 1430, flannel-v6.1 of node2 1430",
		}},
		{name: "dual stack, the pods have the MTU of the IPv4 tunnel: too large for the IPv6 one, both ways", broken: func(w *world) {
			w.dual()
			w.client.Link("eth0").MTU, w.far.Link("eth0").MTU = 1450, 1450
		}, want: Result{
			Status: Wrong, Cause: "pod-mtu-too-large", Node: "node1",
			Summary: "shop/client (fd00:244:1::10) sends packets of up to 1450 bytes, and the way on from node1 takes 1430",
			Evidence: []string{
				"state: eth0 in the pod has MTU 1450, flannel-v6.1 on node1 has 1430",
				"also: shop/far (fd00:244:2::20) sends packets of up to 1450 bytes, and the way on from node2 takes 1430",
			},
			Fix: []string{
				"set the MTU in the CNI configuration to the uplink's less the tunnel's headers (50 for VXLAN, 70 over IPv6), and make the pods anew",
				"let ICMP type 3 (and ICMPv6 type 2) pass to the pods, or large packets hang",
			},
		}},
		{name: "the node is the sender: only the pod's replies count, and they leave by the uplink", broken: fromNode, want: Result{
			Status:  OK,
			Summary: "eth0 of shop/far (10.244.2.20) has MTU 1450, eth0 of node2 1500",
		}},
		{name: "the other node is not here: its pod's replies cannot be looked at", broken: (*world).onlyHere, want: Result{
			Status:   Unknown,
			Summary:  "node2 is not on this kernel: run nettrace there too",
			Evidence: []string{"seen: eth0 of shop/client (10.244.1.10) has MTU 1450, flannel.1 of node1 1450"},
		}},
		{name: "the route's device is gone: nothing to compare, and the other way is seen", broken: func(w *world) { w.node1.Routes[3].Dev = "gone0" }, want: Result{
			Status:  OK,
			Summary: "eth0 of shop/far (10.244.2.20) has MTU 1450, flannel.1 of node2 1450",
		}},
	})
}
