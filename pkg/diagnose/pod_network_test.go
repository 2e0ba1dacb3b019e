// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func TestPodDevice(t *testing.T) {
	try(t, "pod-device", []want{
		{name: "joined", status: OK, words: []string{"shop/client (10.244.1.10) is joined to node1 by veth101", "veth104"}},
		{name: "down on the node", broken: func(w *world) { w.node2.Link("veth104").Up = false }, status: Wrong, cause: "pod-link-down", stops: true, node: "node2", words: []string{"veth104, the pod's device on node2, is down"}},
		{name: "down in the pod", broken: func(w *world) { w.client.Link("eth0").Up = false }, status: Wrong, cause: "pod-link-down", stops: true, node: "node1", words: []string{"eth0 in the pod is down"}},
		{name: "off the bridge", broken: func(w *world) { w.node1.Link("veth101").Master = 0 }, status: Wrong, cause: "pod-link-down", stops: true, words: []string{"on no bridge"}},
		{name: "without a bridge, by a route", broken: func(w *world) {
			w.node1.Link("veth101").Master = 0
			w.node1.Routes = append(w.node1.Routes, netstate.Route{Table: 254, Dst: cidr("10.244.1.10/32"), Type: "unicast", Dev: "veth101"})
		}, status: OK},
		{name: "off the bridge, and only the default route is there", broken: func(w *world) { w.node1.Link("veth101").Master, w.node1.Routes = 0, w.node1.Routes[:1] }, status: Wrong, cause: "pod-link-down", stops: true, words: []string{"no route leads to it"}},
		{name: "off the bridge, and no route is there", broken: func(w *world) { w.node1.Link("veth101").Master, w.node1.Routes = 0, nil }, status: Wrong, cause: "pod-link-down", stops: true, words: []string{"no route leads to it"}},
		{name: "off the bridge, and the routes could not be read", broken: func(w *world) {
			w.node1.Link("veth101").Master, w.node1.Routes, w.node1.Unread = 0, nil, []string{"routes could not be read: x"}
		}, status: Unknown, words: []string{"could not be read: x"}},
		{name: "a program at tc hands over, as Cilium's do", broken: func(w *world) {
			programs(w.node1.Link("veth101"), netstate.HookIngress)
			w.node1.Link("veth101").Master = 0
		}, status: Unknown, words: []string{"a program at tc of veth101 on node1 hands over the packets of shop/client (10.244.1.10)"}},
		{name: "so does one at the egress only", broken: func(w *world) {
			programs(w.node1.Link("veth101"), netstate.HookEgress)
			w.node1.Link("veth101").Master = 0
		}, status: Unknown, words: []string{"program at tc"}},
		{name: "one at XDP does not", broken: func(w *world) {
			programs(w.node1.Link("veth101"), netstate.HookXDP)
			w.node1.Link("veth101").Master = 0
		}, status: Wrong, cause: "pod-link-down", stops: true},
		{name: "a program at tc, and the device is down", broken: func(w *world) {
			programs(w.node1.Link("veth101"), netstate.HookIngress)
			w.node1.Link("veth101").Master, w.node1.Link("veth101").Up = 0, false
		}, status: Wrong, cause: "pod-link-down", stops: true},
		{name: "a program at tc and a route, as Cilium has it with endpoint routes", broken: func(w *world) {
			programs(w.node1.Link("veth101"), netstate.HookIngress)
			w.node1.Link("veth101").Master = 0
			w.node1.Routes = append(w.node1.Routes, netstate.Route{Table: 254, Dst: cidr("10.244.1.10/32"), Type: "unicast", Dev: "veth101"})
		}, status: OK},
		{name: "the route leads to cilium_host, and no program could be seen", broken: func(w *world) { cilium(w); w.node1.Link("veth101").Programs = nil }, status: Unknown, words: []string{"leads to cilium_host", "cannot be read from the routes"}},
		{name: "the pods' network is a blackhole, as Calico has it, and the pod's route is gone", broken: func(w *world) {
			w.node1.Link("veth101").Master = 0
			w.node1.Routes[2].Type, w.node1.Routes[2].Dev = "blackhole", ""
		}, status: Wrong, cause: "pod-link-down", stops: true},
		{name: "netkit", broken: func(w *world) { w.client.Link("eth0").Kind = "netkit" }, status: Unknown, words: []string{"netkit"}},
		{name: "netkit, down", broken: func(w *world) { l := w.client.Link("eth0"); l.Kind, l.Up = "netkit", false }, status: Wrong, cause: "pod-link-down", stops: true},
		{name: "no veth is known", broken: func(w *world) { w.client.Link("eth0").PeerIndex = 99 }, status: Unknown},
		{name: "the address is gone", broken: func(w *world) { w.client.Link("eth0").Addrs = nil }, status: Unknown, words: []string{"no device of shop/client"}},
		{name: "elsewhere", broken: (*world).onlyHere, status: Unknown, words: []string{"node2 is not on this kernel"}},
		{name: "no pods", broken: func(w *world) { w.client = w.node1; w.in.Src, w.in.Dst = ip("192.168.50.1"), ip("192.168.50.2") }, status: NotApplicable},
	})
}

func TestPodAddress(t *testing.T) {
	try(t, "pod-address", []want{
		{name: "one each", status: OK, words: []string{"only far has 10.244.2.20"}},
		{name: "on the node too", broken: func(w *world) {
			l := w.node2.Link("cni0")
			l.Addrs = append(l.Addrs, cidr("10.244.2.20/32"))
		}, status: Wrong, cause: "pod-ip-conflict", stops: true, node: "node2", words: []string{"2 namespaces of node2", "far", "node2"}},
		{name: "in another pod", broken: func(w *world) {
			l := w.near.Link("eth0")
			l.Addrs = append(l.Addrs, cidr("10.244.1.10/24"))
		}, status: Wrong, cause: "pod-ip-conflict", stops: true, node: "node1"},
		{name: "twice in one namespace is no conflict", broken: func(w *world) {
			w.far.Links = append(w.far.Links, netstate.Link{Index: 9, Name: "eth1", Up: true, Addrs: []netip.Prefix{cidr("10.244.2.20/24")}})
		}, status: OK},
		{name: "elsewhere", broken: (*world).onlyHere, status: Unknown},
	})
}

func TestPodRoute(t *testing.T) {
	via := func(gw string) func(*world) { return func(w *world) { w.client.Routes[0].Gateway = ip(gw) } }
	neigh := func(state, mac string) func(*world) {
		return func(w *world) {
			w.client.Neighs = []netstate.Neigh{{Dev: "eth0", IP: w.client.Routes[0].Gateway, State: state, MAC: mac}}
		}
	}
	try(t, "pod-route", []want{
		{name: "through the gateway", status: OK, words: []string{"goes through 10.244.1.1 on eth0"}},
		{name: "a neighbour", broken: (*world).toNear, status: OK, words: []string{"without a gateway"}},
		{name: "no default route", broken: func(w *world) { w.client.Routes = w.client.Routes[1:] }, status: Wrong, cause: "pod-default-route-missing", stops: true, node: "node1", words: []string{"none of the 1 routes"}},
		{name: "an unreachable route", broken: func(w *world) { w.client.Routes[0].Type = "unreachable" }, status: Wrong, cause: "pod-default-route-missing", stops: true, words: []string{"route unreachable 0.0.0.0/0"}},
		{name: "the gateway is nobody's", broken: via("10.244.1.254"), status: Wrong, cause: "pod-gateway-no-arp", stops: true, words: []string{"no device of node1 has 10.244.1.254"}},
		{name: "the gateway does not answer", broken: func(w *world) {
			w.client.Neighs = []netstate.Neigh{{Dev: "eth0", IP: ip("10.244.1.1"), State: "FAILED"}}
		}, status: Wrong, cause: "pod-gateway-no-arp", stops: true, words: []string{"FAILED"}},
		{name: "Calico's gateway", broken: via("169.254.1.1"), status: OK},
		{name: "a gateway on the bridge that is no address of the node, and it answers", broken: both(via("10.244.1.254"), neigh("REACHABLE", "06:00:00:00:00:fe")), status: OK, words: []string{"goes through 10.244.1.254"}},
		{name: "the same, and it answered some time ago", broken: both(via("10.244.1.254"), neigh("STALE", "06:00:00:00:00:fe")), status: OK},
		{name: "the same, and the CNI plugin wrote the entry", broken: both(via("10.244.1.254"), neigh("PERMANENT", "06:00:00:00:00:fe")), status: OK},
		{name: "the same, and the entry is an empty one", broken: both(via("10.244.1.254"), neigh("", "")), status: Wrong, cause: "pod-gateway-no-arp", stops: true},
		{name: "the same, and it no longer answers", broken: both(via("10.244.1.254"), neigh("FAILED", "")), status: Wrong, cause: "pod-gateway-no-arp", stops: true, words: []string{"FAILED"}},
		{name: "the same, and the entries could not be read", broken: both(via("10.244.1.254"), func(w *world) { w.client.Unread = []string{"neighbours could not be read: x"} }), status: Unknown, words: []string{"could not be read: x"}},
		{name: "a logical router's gateway, as OVN-Kubernetes has it", broken: both(via("10.244.1.254"), func(w *world) { w.node1.Link("cni0").Kind = "openvswitch" }), status: Unknown, words: []string{"the gateway 10.244.1.254 of shop/client (10.244.1.10) is no address of node1, and nothing tells whether it answers"}},
		{name: "the fabric's gateway, as a macvlan pod has it", broken: both(via("10.244.1.254"), func(w *world) { l := w.client.Link("eth0"); l.Kind, l.PeerIndex = "macvlan", 0 }), status: Unknown, words: []string{"nothing tells"}},
		{name: "the same, and it answers", broken: both(via("10.244.1.254"), neigh("REACHABLE", "06:00:00:00:00:fe"), func(w *world) { l := w.client.Link("eth0"); l.Kind, l.PeerIndex = "macvlan", 0 }), status: OK},
		{name: "from a node", broken: func(w *world) { w.client = w.node1; w.in.Src = ip("192.168.50.1") }, status: OK},
		{name: "a node without a route", broken: func(w *world) { w.client = w.node1; w.in.Src, w.node1.Routes = ip("192.168.50.1"), nil }, status: Wrong, cause: "route-missing", stops: true},
		{name: "routes could not be read", broken: func(w *world) { w.client.Routes, w.client.Unread = nil, []string{"routes could not be read: x"} }, status: Unknown},
		{name: "the sender is elsewhere", broken: func(w *world) { w.in.Src, w.client = ip("198.51.100.1"), nil }, status: Unknown, words: []string{"run nettrace on its node"}},
	})
}

func TestNodeRoutes(t *testing.T) {
	noDefault := func(n *netstate.Namespace) { n.Routes = n.Routes[1:] }
	try(t, "node-routes", []want{
		{name: "there and back", status: OK, words: []string{"node1 routes 10.244.2.20 to flannel.1", "node2 routes 10.244.1.10 to flannel.1"}},
		{name: "none", broken: func(w *world) { w.node1.Routes = w.node1.Routes[1:3] }, status: Wrong, cause: "route-missing", stops: true, node: "node1", words: []string{"none of the 2 routes"}},
		{name: "none back", broken: func(w *world) { w.node2.Routes = w.node2.Routes[1:3] }, status: Wrong, cause: "reply-route-missing", stops: true, node: "node2"},
		{name: "only the default route, in an overlay", broken: func(w *world) { w.node1.Routes = w.node1.Routes[:3] }, status: Wrong, cause: "route-missing", stops: true, words: []string{"leave by the default route"}},
		{name: "only the default route, without an overlay", broken: func(w *world) {
			w.node1.Routes, w.node1.Link("flannel.1").VXLAN = w.node1.Routes[:3], nil
		}, status: OK},
		{name: "a blackhole", broken: func(w *world) { w.node1.Routes[3].Type = "blackhole" }, status: Wrong, cause: "blackhole-route", stops: true, words: []string{"blackhole 10.244.2.0/24"}},
		{name: "to the outside by the default route", broken: func(w *world) { w.in.Dst = ip("198.51.100.7") }, status: OK},
		{name: "to the outside without it", broken: func(w *world) { noDefault(w.node1); w.in.Dst = ip("198.51.100.7") }, status: Wrong, cause: "route-missing", stops: true},
		{name: "routes could not be read", broken: func(w *world) { w.node1.Routes, w.node1.Unread = nil, []string{"routes could not be read: x"} }, status: Unknown},
		{name: "elsewhere", broken: (*world).onlyHere, status: Unknown, words: []string{"node2 is not", "node1 routes"}},
		{name: "the sender is elsewhere", broken: func(w *world) { w.in.Src, w.client = ip("198.51.100.1"), nil }, status: Unknown},
	})
}

func TestTunnelPeer(t *testing.T) {
	learns := func(w *world) { w.node1.Link("flannel.1").VXLAN.Learning = true }
	try(t, "tunnel-peer", []want{
		{name: "known both ways", status: OK, words: []string{"flannel.1 of node1 sends to 192.168.50.2", "flannel.1 of node2 sends to 192.168.50.1"}},
		{name: "no neighbour entry", broken: func(w *world) { w.node1.Neighs = w.node1.Neighs[1:] }, status: Wrong, cause: "vtep-neighbour-missing", stops: true, node: "node1", words: []string{"10.244.2.0", "flannel.1"}},
		{name: "a failed one", broken: func(w *world) { w.node1.Neighs[0].State = "FAILED" }, status: Wrong, cause: "vtep-neighbour-missing", stops: true},
		{name: "no forwarding entry", broken: func(w *world) { w.node1.FDB = nil }, status: Wrong, cause: "fdb-entry-missing", stops: true, node: "node1", words: []string{"02:00:00:00:00:02"}},
		{name: "it leads to another host", broken: func(w *world) { w.node1.FDB[0].Dst = ip("192.168.50.100") }, status: Wrong, cause: "fdb-wrong-host", stops: true, words: []string{"192.168.50.100", "which is not node2"}},
		{name: "back, none", broken: func(w *world) { w.node2.FDB = nil }, status: Wrong, cause: "fdb-entry-missing", stops: true, node: "node2"},
		{name: "an entry for all", broken: func(w *world) { w.node1.FDB[0].MAC = flood }, status: OK},
		{name: "a device that learns has none yet", broken: func(w *world) { learns(w); w.node1.FDB = nil }, status: OK, words: []string{"learns"}},
		{name: "nor a neighbour", broken: func(w *world) { learns(w); w.node1.Neighs = nil }, status: OK},
		{name: "who the other is, is not known", broken: func(w *world) { w.onlyHere(); w.objs.Nodes[1].Addrs = nil }, status: Unknown, words: []string{"is not known"}},
		{name: "elsewhere", broken: (*world).onlyHere, status: Unknown, words: []string{"node2 is not"}},
		{name: "entries could not be read", broken: func(w *world) { w.node1.FDB, w.node1.Unread = nil, []string{"forwarding entries could not be read: x"} }, status: Unknown},
		{name: "no tunnel", broken: func(w *world) { w.node1.Routes[3].Dev = "eth0"; w.node2.Routes[3].Dev = "eth0" }, status: NotApplicable},
		{name: "same node", broken: (*world).toNear, status: NotApplicable},
	})
}

func TestForwarding(t *testing.T) {
	const name = "net.ipv4.ip_forward"
	try(t, "forwarding", []want{
		{name: "on", status: OK, words: []string{"net.ipv4.ip_forward = 1 on node1"}},
		{name: "off", broken: func(w *world) { w.node1.Sysctls[name] = "0" }, status: Wrong, cause: "ip-forward-off", stops: true, node: "node1", words: []string{"sysctl -w net.ipv4.ip_forward=1"}},
		{name: "off on the other", broken: func(w *world) { w.node2.Sysctls[name] = "0" }, status: Wrong, cause: "ip-forward-off", stops: true, node: "node2"},
		{name: "IPv6 has its own", broken: func(w *world) {
			w.node1.Sysctls["net.ipv6.conf.all.forwarding"], w.in.Src, w.in.Dst = "0", ip("fd00::10"), ip("fd00::20")
		}, status: Wrong, cause: "ip-forward-off", stops: true, words: []string{"net.ipv6.conf.all.forwarding"}},
		{name: "not read", broken: func(w *world) {
			delete(w.node1.Sysctls, name)
			w.node1.Unread = []string{"sysctl " + name + " could not be read: x"}
		}, status: Unknown, words: []string{"could not be read: x"}},
		{name: "from node to node nothing is forwarded", broken: func(w *world) {
			w.client = w.node1
			w.in.Src, w.in.Dst, w.node1.Sysctls[name] = ip("192.168.50.1"), ip("192.168.50.2"), "0"
		}, status: NotApplicable},
		{name: "elsewhere", broken: (*world).onlyHere, status: Unknown},
	})
	astray := func(w *world) { w.node2.Routes[3].Dev, w.node2.Routes[3].Gateway = "eth0", ip("192.168.50.1") }
	try(t, "rp-filter", []want{
		{name: "off", status: OK},
		{name: "strict and the way back is another", broken: func(w *world) { astray(w); w.node2.Sysctls["net.ipv4.conf.flannel.1.rp_filter"] = "1" }, status: Wrong, cause: "rp-filter", stops: true, node: "node2", words: []string{"leads to eth0", "net/ipv4/conf/flannel.1/rp_filter=0"}},
		{name: "all counts too", broken: func(w *world) { astray(w); w.node2.Sysctls["net.ipv4.conf.all.rp_filter"] = "1" }, status: Wrong, cause: "rp-filter", stops: true},
		{name: "loose", broken: func(w *world) {
			astray(w)
			w.node2.Sysctls["net.ipv4.conf.all.rp_filter"], w.node2.Sysctls["net.ipv4.conf.flannel.1.rp_filter"] = "2", "1"
		}, status: OK},
		{name: "strict and right", broken: func(w *world) { w.node2.Sysctls["net.ipv4.conf.all.rp_filter"] = "1" }, status: OK},
		{name: "the reply", broken: func(w *world) { w.node1.Routes[3].Dev = "eth0"; w.node1.Sysctls["net.ipv4.conf.all.rp_filter"] = "1" }, status: Wrong, cause: "rp-filter", stops: true, node: "node1", words: []string{"shop/far"}},
		{name: "same node", broken: (*world).toNear, status: NotApplicable},
		{name: "elsewhere", broken: (*world).onlyHere, status: NotApplicable},
	})
}

func TestBridge(t *testing.T) {
	onlyNear := func(w *world) {
		w.toService()
		w.objs.Slices[0].Endpoints = w.objs.Slices[0].Endpoints[:1]
	}
	off := func(w *world) { w.node1.Sysctls["net.bridge.bridge-nf-call-iptables"] = "0" }
	try(t, "bridge-netfilter", []want{
		{name: "on", broken: onlyNear, status: OK},
		{name: "off", broken: func(w *world) { onlyNear(w); off(w) }, status: Wrong, cause: "bridge-netfilter-off", stops: true, node: "node1", words: []string{"bridge-nf-call-iptables = 0", "modprobe br_netfilter"}},
		{name: "module not loaded", broken: func(w *world) { onlyNear(w); delete(w.node1.Sysctls, "net.bridge.bridge-nf-call-iptables") }, status: Wrong, cause: "bridge-netfilter-off", stops: true, words: []string{"(not there)"}},
		{name: "off, and half of the endpoints are elsewhere", broken: func(w *world) { w.toService(); off(w) }, status: Wrong, cause: "bridge-netfilter-off"},
		{name: "no Service", broken: func(w *world) { w.toNear(); off(w) }, status: NotApplicable},
		{name: "not on one bridge", broken: func(w *world) { onlyNear(w); off(w); w.node1.Link("veth102").Master = 0 }, status: NotApplicable},
	})
	self := func(w *world) {
		onlyNear(w)
		w.objs.Slices[0].Endpoints[0].Addrs = []netip.Addr{ip("10.244.1.10")}
	}
	hairpin := func(on bool) func(*world) {
		return func(w *world) { self(w); w.node1.Link("veth101").Hairpin = &on }
	}
	try(t, "hairpin", []want{
		{name: "on", broken: self, status: OK},
		{name: "off", broken: hairpin(false), status: Wrong, cause: "hairpin-off", stops: true, node: "node1", words: []string{"hairpin off at veth101"}},
		{name: "another endpoint", broken: onlyNear, status: NotApplicable},
		{name: "no Service", status: NotApplicable},
	})
	try(t, "pod-mtu", []want{
		{name: "fits", status: OK, words: []string{"MTU 1450"}},
		{name: "the client's is larger", broken: func(w *world) { w.client.Link("eth0").MTU = 1500 }, status: Wrong, cause: "pod-mtu-too-large", node: "node1", words: []string{"1500", "1450"}},
		{name: "the server's is larger", broken: func(w *world) { w.far.Link("eth0").MTU = 1500 }, status: Wrong, cause: "pod-mtu-too-large", node: "node2"},
		{name: "a route's MTU counts", broken: func(w *world) { w.node1.Routes[3].MTU = 1400 }, status: Wrong, cause: "pod-mtu-too-large"},
		{name: "same node", broken: (*world).toNear, status: NotApplicable},
	})
}

func TestForwardRules(t *testing.T) {
	insert := func(w *world, rule string) {
		w.rules1 = proxied[:len(proxied)-len("COMMIT\n")] + rule + "\nCOMMIT\n"
	}
	policy := func(w *world) {
		w.rules1 = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A FORWARD -i docker0 -j ACCEPT\nCOMMIT\n"
	}
	try(t, "forward-rules", []want{
		{name: "nothing drops", status: OK},
		{name: "the policy", broken: policy, status: Wrong, cause: "forward-policy-drop", stops: true, node: "node1", words: []string{"policy DROP", "iptables-legacy -P FORWARD ACCEPT"}},
		{name: "a rule", broken: func(w *world) { insert(w, "-A FORWARD -s 10.244.0.0/16 -j DROP") }, status: Wrong, cause: "netfilter-drop", stops: true, words: []string{"rule 1", "node1's firewall"}},
		{name: "on the other node", broken: func(w *world) { policy(w); w.rules1, w.rules2 = proxied, w.rules1 }, status: Wrong, cause: "forward-policy-drop", stops: true, node: "node2"},
		{name: "for one of two endpoints", broken: func(w *world) { w.toService(); insert(w, "-A FORWARD -d 10.244.2.20/32 -j DROP") }, status: Wrong, cause: "netfilter-drop", words: []string{"50% of connections"}},
		{name: "a match that is not known", broken: func(w *world) { insert(w, "-A FORWARD -m bpf --bytecode x -j DROP") }, status: Unknown, words: []string{"may drop", "bpf"}},
		{name: "a query", broken: func(w *world) { w.toDNS(); insert(w, "-A FORWARD -s 10.244.1.10/32 -p udp -m udp --dport 53 -j DROP") }, status: Wrong, cause: "dns-blocked-by-policy", stops: true, layer: DNS, words: []string{"names cannot be resolved"}},
		{name: "NFQUEUE", broken: func(w *world) { insert(w, "-A FORWARD -j NFQUEUE --queue-num 0") }, status: Unknown, words: []string{"NFQUEUE"}},
		{name: "others' layers are theirs", broken: func(w *world) { insert(w, "-A FORWARD -p tcp -j REJECT --reject-with tcp-reset") }, status: OK},
		{name: "bridged packets do not meet them", broken: func(w *world) { policy(w); w.toNear(); w.node1.Sysctls["net.bridge.bridge-nf-call-iptables"] = "0" }, status: OK},
		{name: "bridged packets do", broken: func(w *world) { policy(w); w.toNear() }, status: Wrong, cause: "forward-policy-drop", stops: true},
		{name: "rules could not be read", broken: func(w *world) { w.node1.Unread = []string{"iptables-nft rules could not be read: x"} }, status: Unknown},
		{name: "elsewhere", broken: (*world).onlyHere, status: Unknown, words: []string{"node2 is not on this kernel"}},
		{name: "the sender is elsewhere", broken: func(w *world) { w.in.Src, w.client = ip("198.51.100.1"), nil }, status: Unknown},
	})
}

// The walk enters namespaces that are on this kernel only, and its keys lead back to them.
func TestWalk(t *testing.T) {
	w := newWorld()
	w.toService()
	in := w.input(t)
	got := in.walkRules()
	if len(got.entry) != 2 || !slices.Contains(got.entry, netip.MustParseAddrPort("10.244.2.20:8080")) {
		t.Errorf("destinations behind node1: %v", got.entry)
	}
	if len(got.run.Ends) != 2 || in.space(got.run.Ends[0].Place) == nil || in.space("nobody") != nil || in.space("99") != nil {
		t.Errorf("%+v", got.run.Ends)
	}
	if in.walkRules() != got {
		t.Error("walked twice")
	}
	if in.key(&netstate.Namespace{}) != "" {
		t.Error("a namespace of no snapshot has a key")
	}
}
