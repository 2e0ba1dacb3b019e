// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"net/netip"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

func TestNameserver(t *testing.T) {
	names := func(a string) func(*world) {
		return asService(func(w *world) { w.in.Resolver.Servers = []netip.Addr{ip(a)} })
	}
	vain := func(w *world) { w.in.Answer.Addrs = nil }
	nodeLocalAt := func(all ...string) func(*world) {
		return func(w *world) {
			l := netstate.Link{Index: 20, Name: "nodelocaldns", Up: true}
			for _, a := range all {
				l.Addrs = append(l.Addrs, cidr(a))
			}
			w.node2.Links = append(w.node2.Links, l)
		}
	}
	try(t, "nameserver", []want{
		{name: "the Service", broken: asService(nil), status: OK, words: []string{"10.96.0.10"}},
		{name: "nobody's", broken: names("169.254.20.10"), status: Wrong, cause: "dns-wrong-nameserver", words: []string{"169.254.20.10", "/etc/netns/client/resolv.conf", "clusterDNS"}},
		{name: "nobody's, and nobody answered", broken: func(w *world) { names("169.254.20.10")(w); vain(w) }, status: Wrong, cause: "dns-wrong-nameserver", measure: true},
		{name: "nobody's, and it is asked", broken: func(w *world) {
			w.in.Proto, w.in.Dst, w.in.Dport, w.in.Resolver.Servers = "udp", ip("169.254.20.10"), 53, []netip.Addr{ip("169.254.20.10")}
		}, status: Wrong, cause: "dns-wrong-nameserver", stops: true},
		{name: "nobody's, among the Services", broken: names("10.96.7.53"), status: Wrong, cause: "dns-wrong-nameserver"},
		{name: "nobody's, in the pods' network", broken: names("10.244.2.99"), status: Wrong, cause: "dns-wrong-nameserver"},
		{name: "nobody's, among the IPv6 Services", broken: func(w *world) { w.dual(); names("fd00:96::10")(w) }, status: Wrong, cause: "dns-wrong-nameserver"},
		{name: "nobody's, and it is kubespray's", broken: names("169.254.25.10"), status: Wrong, cause: "dns-wrong-nameserver"},
		{name: "nobody's, beside NodeLocal DNSCache of another node", broken: both(names("fd12:3456::10"), nodeLocalAt("fd12:3456::53/128", "fe80::1/64")), status: Wrong, cause: "dns-wrong-nameserver"},
		{name: "outside", broken: names("198.51.100.53"), status: OK, words: []string{"outside of the cluster"}},
		{name: "outside, private", broken: names("10.97.0.2"), status: OK, words: []string{"outside of the cluster"}},
		{name: "outside, IPv6", broken: func(w *world) { w.dual(); names("fd00:ec2::253")(w) }, status: OK, words: []string{"outside of the cluster"}},
		{name: "a router's, link-local, beside NodeLocal DNSCache", broken: both(names("fe80::53"), nodeLocalAt("169.254.20.10/32", "fe80::1/64")), status: OK, words: []string{"outside of the cluster"}},
		{name: "a cloud's, link-local", broken: names("169.254.169.253"), status: OK, words: []string{"outside of the cluster"}},
		{name: "a node's, outside", broken: both(names("198.51.100.53"), fromNode), status: OK, words: []string{"outside of the cluster"}},
		{name: "outside, and a name of the cluster is asked for in vain", broken: both(names("198.51.100.53"), vain), status: Wrong, cause: "dns-wrong-nameserver", measure: true, words: []string{"dnsPolicy: ClusterFirst for the pod"}},
		{name: "outside, and a name of the world is asked for in vain", broken: both(names("198.51.100.53"), vain, func(w *world) { w.in.Asked = "my.svcs.example.com." }), status: OK},
		{name: "outside, after the Service, and a name of the cluster is asked for in vain", broken: both(asService(vain), func(w *world) {
			w.in.Resolver.Servers = append(w.in.Resolver.Servers, ip("198.51.100.53"))
		}), status: OK, words: []string{"outside of the cluster"}},
		{name: "outside, and not all is known", broken: both(names("198.51.100.53"), func(w *world) { w.in.Whole = false }), status: Unknown},
		{name: "a pod", broken: names("10.244.2.20"), status: OK},
		{name: "a node", broken: names("192.168.50.2"), status: OK},
		{name: "a device here, as NodeLocal DNSCache's", broken: asService(func(w *world) {
			w.in.Resolver.Servers = []netip.Addr{ip("169.254.20.10")}
			w.node1.Links = append(w.node1.Links, netstate.Link{Index: 20, Name: "nodelocaldns", Up: true, Addrs: []netip.Prefix{cidr("169.254.20.10/32")}})
		}), status: OK},
		{name: "the pod's own", broken: names("127.0.0.1"), status: OK},
		{name: "not all is known", broken: func(w *world) { names("169.254.20.10")(w); w.in.Whole = false }, status: Unknown},
		{name: "no Kubernetes", broken: func(w *world) { names("169.254.20.10")(w); w.unnamed() }, status: Unknown, words: []string{"--no-kubernetes"}},
		{name: "without endpoints", broken: asService(func(w *world) { w.objs.Slices[1].Endpoints = nil; vain(w) }), status: Wrong, cause: "dns-no-endpoints", measure: true, words: []string{"kube-system/names"}},
		{name: "none", broken: asService(func(w *world) { w.in.Resolver.Servers = nil }), status: Wrong, cause: "dns-wrong-nameserver", words: []string{"names no server"}},
		{name: "no resolv.conf", broken: asService(func(w *world) { w.in.Resolver, w.in.NoResolver = nil, "no process is in the namespace" }), status: Unknown, words: []string{"no process"}},
		{name: "an address", status: NotApplicable},
	})
}

func TestDNSQuery(t *testing.T) {
	answer := func(f func(*Answer)) func(*world) { return asService(func(w *world) { f(w.in.Answer) }) }
	try(t, "dns-query", []want{
		{name: "answered", broken: asService(nil), status: OK, words: []string{"web.shop.svc.cluster.local. is 10.96.0.80"}},
		{name: "no such name", broken: answer(func(a *Answer) { a.Addrs, a.Rcode = nil, "NXDOMAIN" }), status: Wrong, cause: "dns-query-failed", measure: true, words: []string{"NXDOMAIN"}},
		{name: "nobody answers", broken: answer(func(a *Answer) { a.Addrs, a.Rcode, a.Error = nil, "", "timed out" }), status: Wrong, cause: "dns-query-failed", measure: true, words: []string{"timed out", "10.96.0.10"}},
		{name: "an empty answer", broken: answer(func(a *Answer) { a.Addrs = nil }), status: Wrong, cause: "dns-query-failed", measure: true, words: []string{"no address in the answer"}},
		{name: "another address", broken: answer(func(a *Answer) { a.Addrs = []netip.Addr{ip("10.96.0.99")} }), status: Wrong, cause: "dns-wrong-answer", measure: true, words: []string{"10.96.0.99", "10.96.0.80"}},
		{name: "another address of a name outside", broken: func(w *world) {
			w.in.Dst, w.in.Asked, w.in.Answer = ip("198.51.100.7"), "example.com", &Answer{Name: "example.com", Addrs: []netip.Addr{ip("198.51.100.8")}}
		}, status: OK},
		{name: "not asked", broken: asService(func(w *world) { w.in.Answer, w.in.NoAnswer = nil, "--no-probe was given" }), status: Unknown, words: []string{"--no-probe"}},
		{name: "an address", status: NotApplicable},
	})
}

func TestListener(t *testing.T) {
	sock := func(at string, recv, send uint32) func(*world) {
		return func(w *world) {
			w.far.Sockets = []netstate.Socket{{Proto: "tcp", Local: netip.MustParseAddrPort(at), RecvQ: recv, SendQ: send, Process: "web"}}
		}
	}
	try(t, "listener", []want{
		{name: "listens", status: OK, words: []string{"listens on 8080 (web)"}},
		{name: "on its own address", broken: sock("10.244.2.20:8080", 0, 128), status: OK},
		{name: "on every address of both families", broken: sock("[::]:8080", 0, 128), status: OK},
		{name: "nobody", broken: func(w *world) { w.in.Dport = 8081 }, status: Wrong, cause: "not-listening", stops: true, node: "node2", words: []string{"8081", "8080 (web)"}},
		{name: "only on localhost", broken: sock("127.0.0.1:8080", 0, 128), status: Wrong, cause: "listens-on-localhost", stops: true, words: []string{"127.0.0.1:8080"}},
		{name: "asked on localhost", broken: func(w *world) {
			w.in.Src, w.in.Dst, w.client = ip("127.0.0.1"), ip("127.0.0.1"), w.node1
			w.node1.Links = append(w.node1.Links, netstate.Link{Index: 1, Name: "lo", Kind: "loopback", Up: true, Addrs: []netip.Prefix{cidr("127.0.0.1/8")}})
			w.snap.Namespaces = w.snap.Namespaces[:1]
			w.point()
			w.node1.Sockets = []netstate.Socket{{Proto: "tcp", Local: netip.MustParseAddrPort("127.0.0.1:8080")}}
		}, status: OK},
		{name: "only on another address", broken: sock("10.9.9.9:8080", 0, 128), status: Wrong, cause: "listens-on-localhost", stops: true},
		{name: "does not accept", broken: sock("0.0.0.0:8080", 129, 128), status: Wrong, cause: "accept-queue-full", stops: true, words: []string{"129 connections wait"}},
		{name: "a full queue takes no more but is no overflow", broken: sock("0.0.0.0:8080", 128, 128), status: OK},
		{name: "a Service's wrong port is another check's", broken: asService(func(w *world) { onlyFar(w); w.far.Sockets = nil }), status: NotApplicable},
		{name: "a Service's localhost", broken: asService(func(w *world) { onlyFar(w); sock("127.0.0.1:8080", 0, 128)(w) }), status: Wrong, cause: "listens-on-localhost", stops: true},
		{name: "a virtual server of IPVS whose servers could not be read", broken: asService(func(w *world) {
			w.unnamed()
			w.rules1 = ""
			w.node1.Links = append(w.node1.Links, netstate.Link{Index: 30, Name: "kube-ipvs0", Kind: "dummy", Addrs: []netip.Prefix{cidr("10.96.0.80/32")}})
		}), status: Unknown, words: []string{"virtual server of IPVS"}},
		{name: "a virtual server of IPVS is no listener", broken: asService(func(w *world) {
			w.unnamed()
			w.rules1, w.node1.IPVS = "", &ruleset.IPVS{Servers: []ruleset.VirtualServer{{Proto: "tcp", Addr: ip("10.96.0.80"), Port: 80, Real: []ruleset.RealServer{{Addr: ip("10.244.2.20"), Port: 8080, Weight: 1}}}}}
			w.node1.Links = append(w.node1.Links, netstate.Link{Index: 30, Name: "kube-ipvs0", Kind: "dummy", Addrs: []netip.Prefix{cidr("10.96.0.80/32")}})
		}), status: OK, words: []string{"10.244.2.20:8080"}},
		{name: "DNS", broken: func(w *world) { w.toDNS(); w.far.Sockets = nil }, status: Wrong, cause: "dns-not-listening", stops: true, layer: DNS},
		{name: "ICMP", broken: func(w *world) { w.in.Proto, w.in.Dport = "icmp", 0 }, status: NotApplicable},
		{name: "elsewhere", broken: (*world).onlyHere, status: Unknown, words: []string{"node2 is not on this kernel"}},
		{name: "sockets could not be read", broken: func(w *world) { w.far.Sockets, w.far.Unread = nil, []string{"sockets could not be read: x"} }, status: Unknown},
		{name: "IPv4 only, asked by IPv6", broken: func(w *world) {
			w.in.Src, w.in.Dst = ip("fd00::10"), ip("fd00::20")
			l := w.far.Link("eth0")
			l.Addrs = append(l.Addrs, cidr("fd00::20/64"))
		}, status: Wrong, cause: "listens-on-localhost", stops: true},
	})
}

func TestNetworkPolicy(t *testing.T) {
	has := func(w *world) {
		w.objs.Policies = []k8smeta.Policy{{Namespace: "shop", Name: "p", Spec: networkingv1.NetworkPolicySpec{}}}
	}
	const forbidden = "RBAC does not allow to list networkpolicies"
	unread := func(w *world) { w.in.NoPolicies = forbidden }
	decides := func(why string, allowed bool, broken ...func(*world)) func(*testing.T) Result {
		return func(t *testing.T) Result {
			w := newWorld()
			has(w)
			for _, b := range broken {
				b(w)
			}
			in := w.input(t)
			in.Policies = func(proto string, src, dst netip.Addr, port uint16) (string, bool) {
				if proto != "tcp" || src != ip("10.244.1.10") || dst != ip("10.244.2.20") || port != 8080 {
					t.Errorf("asked about %s %s → %s:%d", proto, src, dst, port)
				}
				return why, allowed
			}
			return checks["network-policy"].run(in)
		}
	}
	if r := decides("policy shop/p has no rule", false)(t); r.Status != Wrong || r.Cause != "network-policy-drop" || !r.Stops || r.Node != "node2" {
		t.Errorf("denied: %+v", r)
	}
	if r := decides("rule 0 of shop/p", true)(t); r.Status != OK || r.Summary != "rule 0 of shop/p" {
		t.Errorf("allowed: %+v", r)
	}
	if r := decides("rule 0 of shop/p", true, unread)(t); r.Status != Unknown || !strings.Contains(r.Summary, forbidden) {
		t.Errorf("allowed by those that were read: %+v", r)
	}
	if r := decides("policy shop/p has no rule", false, unread)(t); r.Status != Wrong {
		t.Errorf("denied by one of those that were read: %+v", r)
	}
	try(t, "network-policy", []want{
		{name: "none", status: OK},
		{name: "none that may be read", broken: unread, status: Unknown, words: []string{forbidden}},
		{name: "they do not decide", broken: has, status: Unknown, words: []string{"do not decide"}},
		{name: "no endpoint", broken: asService(func(w *world) { has(w); nobodyReady(w) }), status: NotApplicable},
		{name: "no Kubernetes", broken: (*world).unnamed, status: Unknown, words: []string{"--no-kubernetes"}},
	})
}

func TestPolicyRules(t *testing.T) {
	calico := `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:cali-FORWARD - [0:0]
:cali-tw-veth104 - [0:0]
-A FORWARD -j cali-FORWARD
-A cali-FORWARD -d 10.244.2.20/32 -g cali-tw-veth104
-A cali-tw-veth104 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A cali-tw-veth104 -m comment --comment "Drop if no policies passed packet" -j DROP
COMMIT
`
	router := `*filter
:FORWARD ACCEPT [0:0]
:KUBE-POD-FW-6WXQZ2ZVVQWNMPTS - [0:0]
-A FORWARD -d 10.244.2.20/32 -j KUBE-POD-FW-6WXQZ2ZVVQWNMPTS
-A KUBE-POD-FW-6WXQZ2ZVVQWNMPTS -j REJECT --reject-with icmp-port-unreachable
COMMIT
`
	try(t, "policy-rules", []want{
		{name: "none", status: OK},
		{name: "Calico", broken: func(w *world) { w.rules2 = calico }, status: Wrong, cause: "network-policy-drop", stops: true, node: "node2", words: []string{"cali-tw-veth104", "Calico"}},
		{name: "kube-router", broken: func(w *world) { w.rules2 = router }, status: Wrong, cause: "network-policy-reject", stops: true, words: []string{"kube-router"}},
		{name: "a reset", broken: func(w *world) {
			w.rules1 = "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p tcp -m tcp --dport 8080 -j REJECT --reject-with tcp-reset\nCOMMIT\n"
		}, status: Wrong, cause: "rejected-with-reset", stops: true, node: "node1"},
		{name: "a rule in the pod", broken: func(w *world) {
			w.rulesFar = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 8080 -j DROP\nCOMMIT\n"
		}, status: Wrong, cause: "netfilter-drop", stops: true, words: []string{"far"}},
		{name: "the node's firewall is of another layer", broken: func(w *world) { w.rules1 = "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n" }, status: OK},
		{name: "elsewhere", broken: (*world).onlyHere, status: Unknown},
	})
}

func TestClientPorts(t *testing.T) {
	try(t, "client-ports", []want{
		{name: "room", status: OK, words: []string{"4 TCP sockets of the sender, 28232 local ports"}},
		{name: "none left", broken: func(w *world) { w.client.Sysctls["net.ipv4.ip_local_port_range"] = "40000\t40003" }, status: Wrong, cause: "client-ports-exhausted", words: []string{"4 ports"}},
		{name: "UDP", broken: (*world).toDNS, status: NotApplicable},
		{name: "not counted", broken: func(w *world) { w.client.Counters = nil }, status: Unknown},
		{name: "nonsense", broken: func(w *world) { w.client.Sysctls["net.ipv4.ip_local_port_range"] = "b a" }, status: Unknown},
		{name: "the sender is elsewhere", broken: func(w *world) { w.in.Src, w.client = ip("198.51.100.1"), nil }, status: Unknown},
	})
}
