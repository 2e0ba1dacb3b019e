// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"net/netip"
	"testing"
)

func TestNameserverWhole(t *testing.T) {
	servers := func(all ...string) func(*world) {
		return asService(func(w *world) {
			w.in.Resolver.Servers = nil
			for _, a := range all {
				w.in.Resolver.Servers = append(w.in.Resolver.Servers, ip(a))
			}
		})
	}
	whole(t, "nameserver", []exact{
		{name: "two servers, the Service and nobody's: the second is told", broken: servers("10.96.0.10", "10.96.0.53"), want: Result{
			Status: Wrong, Cause: "dns-wrong-nameserver",
			Summary: "the nameserver 10.96.0.53 of shop/client (10.244.1.10) is no Service, pod or address of a node",
			Evidence: []string{
				"state: the sender's resolv.conf names it (/etc/netns/client/resolv.conf)",
				"names: nothing in the cluster has this address",
			},
			Fix: []string{
				"compare the pod's /etc/resolv.conf with the kubelet's clusterDNS and with: kubectl get service -n kube-system kube-dns",
				"with NodeLocal DNSCache: is its pod running on this node? kubectl get pods -n kube-system -l k8s-app=node-local-dns -o wide",
			},
		}},
		{name: "two servers that are nobody's: the first is told, the second is beside it", broken: servers("10.96.0.53", "10.96.0.54"), want: Result{
			Status: Wrong, Cause: "dns-wrong-nameserver",
			Summary: "the nameserver 10.96.0.53 of shop/client (10.244.1.10) is no Service, pod or address of a node",
			Evidence: []string{
				"state: the sender's resolv.conf names it (/etc/netns/client/resolv.conf)",
				"names: nothing in the cluster has this address",
				"also: the nameserver 10.96.0.54 of shop/client (10.244.1.10) is no Service, pod or address of a node",
			},
			Fix: []string{
				"compare the pod's /etc/resolv.conf with the kubelet's clusterDNS and with: kubectl get service -n kube-system kube-dns",
				"with NodeLocal DNSCache: is its pod running on this node? kubectl get pods -n kube-system -l k8s-app=node-local-dns -o wide",
			},
		}},
		{name: "a pod with a resolver outside of the cluster, which answers: its dnsPolicy may be Default or None", broken: servers("192.0.2.53"), want: Result{
			Status:  OK,
			Summary: "resolv.conf names 192.0.2.53, a resolver outside of the cluster",
		}},
		{name: "a pod asks a resolver outside for a name of the cluster in vain: told", broken: both(servers("192.0.2.53"), func(w *world) { w.in.Answer.Addrs, w.in.Answer.Rcode = nil, "NXDOMAIN" }), want: Result{
			Status: Wrong, Cause: "dns-wrong-nameserver", Measured: true,
			Summary: "the nameserver 192.0.2.53 of shop/client (10.244.1.10) is a resolver outside of the cluster, which does not know its names",
			Evidence: []string{
				"state: the sender's resolv.conf names it (/etc/netns/client/resolv.conf)",
				"measured: web.shop.svc.cluster.local. was asked for in vain",
			},
			Fix: []string{"set dnsPolicy: ClusterFirst for the pod, so that it asks the cluster's DNS"},
		}},
		{name: "a node asks a resolver outside for a name of the cluster in vain: what a pod with hostNetwork needs is told", broken: both(servers("192.0.2.53"), fromNode, func(w *world) { w.in.Answer.Addrs = nil }), want: Result{
			Status: Wrong, Cause: "dns-wrong-nameserver", Measured: true,
			Summary: "the nameserver 192.0.2.53 of 192.168.50.1 is a resolver outside of the cluster, which does not know its names",
			Evidence: []string{
				"state: the sender's resolv.conf names it (/etc/netns/client/resolv.conf)",
				"measured: web.shop.svc.cluster.local. was asked for in vain",
			},
			Fix: []string{"the sender has its node's resolv.conf: a pod with hostNetwork needs dnsPolicy: ClusterFirstWithHostNet to ask the cluster's DNS"},
		}},
		{name: "a server is nobody's that is known, and not all is known: not said to be wrong", broken: both(servers("192.0.2.53"), func(w *world) { w.in.Whole = false }), want: Result{
			Status:  Unknown,
			Summary: "the nameserver 192.0.2.53 is nobody's that is known here",
		}},
		{name: "the DNS Service's only endpoint terminates and serves: it still answers", broken: asService(func(w *world) {
			e := &w.objs.Slices[1].Endpoints[0]
			e.Ready, e.Serving, e.Terminating = false, true, true
		}), want: Result{
			Status:  OK,
			Summary: "resolv.conf names 10.96.0.10:53",
		}},
		{name: "the DNS Service's only endpoint is not ready, and the name was answered: told, without a measured failure", broken: asService(func(w *world) {
			w.objs.Slices[1].Endpoints[0].Ready, w.objs.Slices[1].Endpoints[0].Serving = false, false
		}), want: Result{
			Status: Wrong, Cause: "dns-no-endpoints",
			Summary:  "names cannot be resolved: Service kube-system/names has no ready endpoints",
			Evidence: []string{"the API has 1 endpoints for it, and none is ready"},
			Fix:      []string{"kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide"},
		}},
		{name: "dual stack, the DNS Service's IPv6 address has IPv4 endpoints only: nobody is behind it", broken: sixService(func(w *world) {
			w.objs.Services[1].ClusterIPs = append(w.objs.Services[1].ClusterIPs, ip("fd00:96::10"))
			w.in.Asked, w.in.Resolver.Servers = "web.shop.svc.cluster.local.", []netip.Addr{ip("fd00:96::10")}
		}), want: Result{
			Status: Wrong, Cause: "dns-no-endpoints",
			Summary:  "names cannot be resolved: Service kube-system/names has no ready endpoints",
			Evidence: []string{"the API has 0 endpoints for it, and none is ready"},
			Fix:      []string{"kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide"},
		}},
		{name: "no slice of the DNS Service is known: nothing is said of its endpoints", broken: asService(func(w *world) { w.objs.Slices = w.objs.Slices[:1] }), want: Result{
			Status:  OK,
			Summary: "resolv.conf names 10.96.0.10:53",
		}},
		{name: "the DNS server is called, and resolv.conf names no server: it stops the flow", broken: func(w *world) {
			w.toDNS()
			w.in.Resolver.Servers = nil
		}, want: Result{
			Status: Wrong, Cause: "dns-wrong-nameserver", Stops: true,
			Summary:  "the sender's resolv.conf names no server",
			Evidence: []string{"state: /etc/netns/client/resolv.conf"},
			Fix:      []string{"compare the pod's dnsPolicy and the kubelet's clusterDNS"},
		}},
		{name: "the DNS server is called by TCP, and resolv.conf names it: fine", broken: func(w *world) { w.in.Dport = 53 }, want: Result{
			Status:  OK,
			Summary: "resolv.conf names 10.96.0.10:53",
		}},
		{name: "::1, as a resolver in the pod has it: fine", broken: servers("::1"), want: Result{
			Status:  OK,
			Summary: "resolv.conf names [::1]:53",
		}},
	})
}

func TestDNSQueryWhole(t *testing.T) {
	answer := func(a Answer) func(*world) {
		return asService(func(w *world) {
			a.Name = w.in.Asked
			w.in.Answer = &a
		})
	}
	server := []netip.Addr{ip("10.96.0.10")}
	whole(t, "dns-query", []exact{
		{name: "both families are answered, the called one among them: fine", broken: answer(Answer{Servers: server, Addrs: []netip.Addr{ip("fd00:96::80"), ip("10.96.0.80")}, Rcode: "NOERROR", MS: 3}), want: Result{
			Status:  OK,
			Summary: "web.shop.svc.cluster.local. is 10.96.0.80, asked from the sender, after 3 ms",
		}},
		{name: "only the other family is answered: that is no wrong address", broken: answer(Answer{Servers: server, Addrs: []netip.Addr{ip("fd00:96::80")}, Rcode: "NOERROR", MS: 3}), want: Result{
			Status:  OK,
			Summary: "web.shop.svc.cluster.local. is answered, after 3 ms",
		}},
		{name: "another Service's address is answered: told with both", broken: answer(Answer{Servers: server, Addrs: []netip.Addr{ip("10.96.0.99")}, Rcode: "NOERROR", MS: 3}), want: Result{
			Status: Wrong, Cause: "dns-wrong-answer", Measured: true,
			Summary:  "web.shop.svc.cluster.local. is answered with 10.96.0.99, and its address is 10.96.0.80",
			Evidence: []string{"measured: 10.96.0.10 answered"},
			Fix: []string{
				"in the sender's namespace: nslookup web.shop.svc.cluster.local.; kubectl -n kube-system logs -l k8s-app=kube-dns",
				"with the DNS server as destination it shows where its packets go: nettrace diagnose SRC 10.96.0.10:53",
			},
		}},
		{name: "five addresses that are not it: four are shown, the fifth is counted", broken: answer(Answer{Servers: server, Rcode: "NOERROR", Addrs: []netip.Addr{ip("10.0.0.1"), ip("10.0.0.2"), ip("10.0.0.3"), ip("10.0.0.4"), ip("10.0.0.5")}}), want: Result{
			Status: Wrong, Cause: "dns-wrong-answer", Measured: true,
			Summary:  "web.shop.svc.cluster.local. is answered with 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4 and 1 more, and its address is 10.96.0.80",
			Evidence: []string{"measured: 10.96.0.10 answered"},
			Fix: []string{
				"in the sender's namespace: nslookup web.shop.svc.cluster.local.; kubectl -n kube-system logs -l k8s-app=kube-dns",
				"with the DNS server as destination it shows where its packets go: nettrace diagnose SRC 10.96.0.10:53",
			},
		}},
		{name: "SERVFAIL: the code is told with the time", broken: answer(Answer{Servers: server, Rcode: "SERVFAIL", MS: 2001}), want: Result{
			Status: Wrong, Cause: "dns-query-failed", Measured: true,
			Summary:  "shop/client (10.244.1.10) asks for web.shop.svc.cluster.local. and is answered SERVFAIL",
			Evidence: []string{"measured: 10.96.0.10 answered SERVFAIL after 2001 ms"},
			Fix: []string{
				"in the sender's namespace: nslookup web.shop.svc.cluster.local.; kubectl -n kube-system logs -l k8s-app=kube-dns",
				"with the DNS server as destination it shows where its packets go: nettrace diagnose SRC 10.96.0.10:53",
			},
		}},
		{name: "a code and then silence: the silence is told", broken: answer(Answer{Servers: server, Rcode: "SERVFAIL", Error: "read: connection refused", MS: 9}), want: Result{
			Status: Wrong, Cause: "dns-query-failed", Measured: true,
			Summary:  "shop/client (10.244.1.10) asks 10.96.0.10 for web.shop.svc.cluster.local. in vain: read: connection refused",
			Evidence: []string{"measured: no address after 9 ms"},
			Fix: []string{
				"in the sender's namespace: nslookup web.shop.svc.cluster.local.; kubectl -n kube-system logs -l k8s-app=kube-dns",
				"with the DNS server as destination it shows where its packets go: nettrace diagnose SRC 10.96.0.10:53",
			},
		}},
		{name: "no server was there to be asked: the fix has a word for it", broken: answer(Answer{Error: "resolv.conf names no server"}), want: Result{
			Status: Wrong, Cause: "dns-query-failed", Measured: true,
			Summary:  "shop/client (10.244.1.10) asks nobody for web.shop.svc.cluster.local. in vain: resolv.conf names no server",
			Evidence: []string{"measured: no address after 0 ms"},
			Fix: []string{
				"in the sender's namespace: nslookup web.shop.svc.cluster.local.; kubectl -n kube-system logs -l k8s-app=kube-dns",
				"with the DNS server as destination it shows where its packets go: nettrace diagnose SRC SERVER:53",
			},
		}},
		{name: "a headless Service, another pod's address is answered: it has many", broken: func(w *world) {
			w.in.Asked, w.in.Answer = "far.shop.svc.cluster.local.", &Answer{Name: "far.shop.svc.cluster.local.", Servers: server, Addrs: []netip.Addr{ip("10.244.1.20")}, Rcode: "NOERROR"}
		}, want: Result{
			Status:  OK,
			Summary: "far.shop.svc.cluster.local. is answered, after 0 ms",
		}},
		{name: "no Kubernetes, another address is answered: whether it is wrong is not known", broken: both(answer(Answer{Servers: server, Addrs: []netip.Addr{ip("10.96.0.99")}, Rcode: "NOERROR", MS: 1}), (*world).unnamed), want: Result{
			Status:  OK,
			Summary: "web.shop.svc.cluster.local. is answered, after 1 ms",
		}},
	})
}
