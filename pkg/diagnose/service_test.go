// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// asService makes the Service the destination before it is broken.
func asService(broken func(*world)) func(*world) {
	return func(w *world) {
		w.toService()
		if broken != nil {
			broken(w)
		}
	}
}

// onlyFar leaves the endpoint on the other node.
func onlyFar(w *world) {
	w.objs.Slices[0].Endpoints = w.objs.Slices[0].Endpoints[1:]
	w.rules1 = strings.ReplaceAll(strings.ReplaceAll(w.rules1, "-A KUBE-SVC-WEB -m comment --comment \"shop/web:http -> 10.244.1.20:8080\" -m statistic --mode random --probability 0.5 -j KUBE-SEP-NEAR\n", ""), "KUBE-SEP-NEAR", "KUBE-SEP-OLD")
}

func nobodyReady(w *world) {
	for i := range w.objs.Slices[0].Endpoints {
		e := &w.objs.Slices[0].Endpoints[i]
		e.Ready, e.Serving = false, false
	}
}

func TestEndpoints(t *testing.T) {
	try(t, "endpoints", []want{
		{name: "ready", broken: asService(nil), status: OK, words: []string{"2 ready of 2"}},
		{name: "one is", broken: asService(func(w *world) {
			w.objs.Slices[0].Endpoints[0].Ready, w.objs.Slices[0].Endpoints[0].Serving = false, false
		}), status: OK, words: []string{"1 ready of 2"}},
		{name: "none is", broken: asService(nobodyReady), status: Wrong, cause: "no-endpoints", stops: true, words: []string{"none is ready", "selector finds 2 pods", "kubectl get endpointslices -n shop"}},
		{name: "none", broken: asService(func(w *world) { w.objs.Slices[0].Endpoints = nil }), status: Wrong, cause: "no-endpoints", stops: true, words: []string{"0 endpoints"}},
		{name: "without a selector", broken: asService(func(w *world) { nobodyReady(w); w.objs.Services[0].Selector = nil }), status: Wrong, cause: "no-endpoints", stops: true},
		{name: "a DNS Service", broken: func(w *world) {
			w.in.Proto, w.in.Dst, w.in.Dport = "udp", ip("10.96.0.10"), 53
			w.objs.Slices[1].Endpoints = nil
		}, status: Wrong, cause: "dns-no-endpoints", stops: true, layer: DNS, words: []string{"CoreDNS"}},
		{name: "no slice is known", broken: asService(func(w *world) { w.objs.Slices = nil }), status: Unknown, words: []string{"no EndpointSlice"}},
		{name: "no Service", status: NotApplicable},
		{name: "no Kubernetes", broken: func(w *world) { w.toService(); w.unnamed() }, status: Unknown, words: []string{"--no-kubernetes"}},
	})
}

func TestTargetName(t *testing.T) {
	rename := func(to string) func(*world) {
		return asService(func(w *world) { nobodyReady(w); w.objs.Services[0].Ports[0].Target = to })
	}
	try(t, "target-name", []want{
		{name: "found, or there would be no endpoints", broken: asService(nil), status: OK, words: []string{`"http" is port 8080 of the endpoints`}},
		{name: "a port of pods that are not ready", broken: rename("http"), status: OK, words: []string{`"http" is a port of shop/near`}},
		{name: "of none", broken: rename("web"), status: Wrong, cause: "no-endpoints", stops: true, words: []string{`"web"`, "2 pods with the Service's selector"}},
		{name: "of the other protocol", broken: func(w *world) {
			rename("http")(w)
			for i := range w.objs.Pods {
				w.objs.Pods[i].Ports = []k8smeta.PodPort{{Name: "http", Proto: "udp", Port: 8080}}
			}
		}, status: Wrong, cause: "no-endpoints", stops: true},
		{name: "a number", broken: rename("8080"), status: NotApplicable},
		{name: "none given", broken: rename(""), status: NotApplicable},
		{name: "no pod is known", broken: func(w *world) { rename("http")(w); w.objs.Pods = nil }, status: Unknown},
		{name: "no Service", status: NotApplicable},
	})
}

func TestTrafficPolicy(t *testing.T) {
	nodePortOn := func(node string) func(*world) {
		return func(w *world) {
			w.in.Dst, w.in.Dport, w.objs.Services[0].ExternalPolicy = ip(node), 30080, "Local"
			w.objs.Slices[0].Endpoints = w.objs.Slices[0].Endpoints[1:]
		}
	}
	try(t, "traffic-policy", []want{
		{name: "Cluster", broken: asService(nil), status: OK},
		{name: "internal Local, with one here", broken: asService(func(w *world) { w.objs.Services[0].InternalPolicy = "Local" }), status: OK, words: []string{"node1 has a ready endpoint"}},
		{name: "internal Local, with none here", broken: asService(func(w *world) { w.objs.Services[0].InternalPolicy = "Local"; onlyFar(w) }), status: Wrong, cause: "no-local-endpoints", stops: true, node: "node1", words: []string{"internalTrafficPolicy"}},
		{name: "external Local does not bind the ClusterIP", broken: asService(func(w *world) { w.objs.Services[0].ExternalPolicy = "Local"; onlyFar(w) }), status: OK},
		{name: "external Local, with one there", broken: nodePortOn("192.168.50.2"), status: OK},
		{name: "external Local, with none there", broken: both(nodePortOn("192.168.50.1"), func(w *world) { w.rules1 = "" }), status: Wrong, cause: "no-local-endpoints", stops: true, node: "node1", words: []string{"externalTrafficPolicy"}},
		{name: "which node is entered is not known", broken: asService(func(w *world) {
			w.objs.Services[0].InternalPolicy, w.in.Src, w.client = "Local", ip("198.51.100.1"), nil
		}), status: Unknown},
		{name: "no Service", status: NotApplicable},
	})
}

func TestServiceRules(t *testing.T) {
	const reject = `-A FORWARD -d 10.96.0.80/32 -p tcp -m comment --comment "shop/web:http has no endpoints" -m tcp --dport 80 -j REJECT`
	proxy := func(w *world, rule string) {
		w.rules1 = "*filter\n:FORWARD ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n-A FORWARD -j KUBE-SERVICES\n" + strings.Replace(rule, "-A FORWARD", "-A KUBE-SERVICES", 1) + "\nCOMMIT\n"
	}
	try(t, "service-rules", []want{
		{name: "equal", broken: asService(nil), status: OK, words: []string{"2 endpoints of the EndpointSlices"}},
		{name: "none", broken: asService(func(w *world) { w.rules1 = "" }), status: Wrong, cause: "service-not-programmed", stops: true, node: "node1", words: []string{"10.96.0.80:80", "kube-proxy"}},
		{name: "none, and eBPF programs are there, as Cilium's", broken: both(asService(nil), cilium), status: Unknown, words: []string{"no rule of kube-proxy is on node1; an eBPF service implementation (Cilium, Calico) may translate"}},
		{name: "none, and a program is at XDP", broken: both(asService(nil), bare, atUplink(netstate.HookXDP)), status: Unknown, words: []string{"which rules do not show"}},
		{name: "none, and a filter of tc that is no program", broken: both(asService(nil), bare, func(w *world) {
			w.node1.Link("eth0").Programs = []netstate.Program{{Hook: netstate.HookIngress, Name: "u32"}}
		}), status: Wrong, cause: "service-not-programmed", stops: true},
		{name: "none, and programs are in a pod only", broken: both(asService(nil), bare, func(w *world) { programs(w.client.Link("eth0"), netstate.HookIngress) }), status: Wrong, cause: "service-not-programmed", stops: true},
		{name: "none, programs, and kube-proxy's chain for other Services", broken: both(asService(nil), bare, atUplink(netstate.HookIngress), func(w *world) {
			w.rules1 = "*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n-A PREROUTING -j KUBE-SERVICES\nCOMMIT\n"
		}), status: Wrong, cause: "service-not-programmed", stops: true},
		{name: "none, programs, and kube-proxy's virtual server for another Service", broken: both(asService(nil), bare, atUplink(netstate.HookIngress), func(w *world) {
			w.node1.IPVS = &ruleset.IPVS{Servers: []ruleset.VirtualServer{{Proto: "tcp", Addr: ip("10.96.0.81"), Port: 80}}}
		}), status: Wrong, cause: "service-not-programmed", stops: true},
		{name: "a NodePort without a rule, and eBPF programs", broken: both(cilium, func(w *world) { w.in.Dst, w.in.Dport = ip("192.168.50.1"), 30080 }), status: Unknown, words: []string{"may translate"}},
		{name: "a stale endpoint", broken: asService(func(w *world) { w.rules1 = strings.ReplaceAll(w.rules1, "10.244.2.20", "10.244.2.99") }), status: Wrong, cause: "stale-endpoint", words: []string{"10.244.2.99:8080", "1 of them in no EndpointSlice"}},
		{name: "only stale ones", broken: asService(func(w *world) {
			w.rules1 = strings.ReplaceAll(strings.ReplaceAll(w.rules1, "10.244.2.20", "10.244.2.99"), "10.244.1.20", "10.244.1.99")
		}), status: Wrong, cause: "stale-endpoint", stops: true},
		{name: "one is missing", broken: asService(func(w *world) {
			e := w.objs.Slices[0].Endpoints[1]
			e.Addrs = []netip.Addr{ip("10.244.2.21")}
			w.objs.Slices[0].Endpoints = append(w.objs.Slices[0].Endpoints, e)
		}), status: Wrong, cause: "stale-endpoint", words: []string{"lack the endpoint 10.244.2.21:8080"}},
		{name: "a Local policy leaves some out", broken: asService(func(w *world) {
			w.objs.Services[0].InternalPolicy = "Local"
			w.rules1 = strings.ReplaceAll(w.rules1, "10.244.2.20", "10.244.1.20")
		}), status: OK},
		{name: "zone hints do", broken: asService(func(w *world) {
			w.objs.Slices[0].Endpoints[0].Hints = []string{"a"}
			w.rules1 = strings.ReplaceAll(w.rules1, "10.244.2.20", "10.244.1.20")
		}), status: OK},
		{name: "one that terminates is no stale one", broken: asService(func(w *world) {
			w.objs.Slices[0].Endpoints[1].Ready, w.objs.Slices[0].Endpoints[1].Serving, w.objs.Slices[0].Endpoints[1].Terminating = false, true, true
		}), status: OK},
		{name: "kube-proxy rejects", broken: asService(func(w *world) { proxy(w, reject) }), status: Wrong, cause: "no-endpoints", stops: true, node: "node1", words: []string{"has no endpoints"}},
		{name: "kube-proxy drops", broken: asService(func(w *world) { proxy(w, strings.Replace(reject, "no endpoints", "no local endpoints", 1)) }), status: Wrong, cause: "no-local-endpoints", stops: true},
		{name: "not in the ranges", broken: asService(func(w *world) {
			proxy(w, strings.Replace(reject, "has no endpoints", "traffic not accepted by KUBE-FW-X", 1))
		}), status: Wrong, cause: "lb-source-ranges", stops: true, words: []string{"loadBalancerSourceRanges"}},
		{name: "translated, and then there is no route", broken: asService(func(w *world) { w.node1.Routes = nil }), status: OK},
		{name: "translated, and then dropped", broken: asService(func(w *world) { w.rules1 = strings.Replace(w.rules1, ":FORWARD ACCEPT", ":FORWARD DROP", 1) }), status: OK},
		{name: "something else stops it before", broken: asService(func(w *world) { w.rules1 = "*raw\n:PREROUTING DROP [0:0]\nCOMMIT\n" }), status: Unknown, words: []string{"does not get so far"}},
		{name: "a NodePort", broken: func(w *world) { w.in.Dst, w.in.Dport = ip("192.168.50.1"), 30080 }, status: OK},
		{name: "a NodePort without a rule", broken: func(w *world) { w.in.Dst, w.in.Dport, w.rules1 = ip("192.168.50.1"), 30080, "" }, status: Wrong, cause: "nodeport-closed", stops: true, node: "node1"},
		{name: "a NodePort filtered", broken: func(w *world) {
			w.in.Dst, w.in.Dport = ip("192.168.50.1"), 30080
			w.rules1 = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 30080 -j DROP\nCOMMIT\n"
		}, status: Wrong, cause: "nodeport-filtered", stops: true, words: []string{"before it is translated"}},
		{name: "slices are not known", broken: asService(func(w *world) { w.objs.Slices = nil }), status: Unknown},
		{name: "rules could not be read", broken: asService(func(w *world) { w.node1.Unread, w.rules1 = []string{"iptables-legacy rules could not be read: x"}, "" }), status: Unknown},
		{name: "the node is elsewhere", broken: asService(func(w *world) { w.in.Src, w.client = ip("198.51.100.1"), nil }), status: Unknown},
		{name: "no Service", status: NotApplicable},
	})
	ipvs := func(real ...string) func(*world) {
		return asService(func(w *world) {
			v := ruleset.VirtualServer{Proto: "tcp", Addr: ip("10.96.0.80"), Port: 80, Scheduler: "rr"}
			for _, r := range real {
				v.Real = append(v.Real, ruleset.RealServer{Addr: ip(r), Port: 8080, Method: "masquerading", Weight: 1})
			}
			w.rules1, w.node1.IPVS = "", &ruleset.IPVS{Servers: []ruleset.VirtualServer{v}}
		})
	}
	try(t, "service-rules", []want{
		{name: "IPVS", broken: ipvs("10.244.1.20", "10.244.2.20"), status: OK, words: []string{"2 real servers"}},
		{name: "IPVS without real servers", broken: ipvs(), status: Wrong, cause: "no-endpoints", stops: true, words: []string{"-A -t 10.96.0.80:80"}},
		{name: "IPVS that nobody names", broken: func(w *world) { ipvs("10.244.1.20")(w); w.unnamed() }, status: OK},
		{name: "IPVS that nobody names, without real servers", broken: func(w *world) { ipvs()(w); w.unnamed() }, status: Wrong, cause: "no-endpoints", stops: true},
		{name: "rules that nobody names reject", broken: asService(func(w *world) { proxy(w, reject); w.unnamed() }), status: Wrong, cause: "no-endpoints", stops: true},
		{name: "IPVS with a stale one", broken: ipvs("10.244.1.20", "10.244.1.99"), status: Wrong, cause: "stale-endpoint", words: []string{"10.244.1.99:8080"}},
	})
}

func TestEndpointAlive(t *testing.T) {
	gone := asService(func(w *world) {
		onlyFar(w)
		w.objs.Slices[0].Endpoints[0].Addrs, w.objs.Slices[0].Endpoints[0].Pod = []netip.Addr{ip("10.244.2.99")}, ""
	})
	try(t, "endpoint-alive", []want{
		{name: "there", broken: asService(nil), status: OK},
		{name: "gone", broken: gone, status: Wrong, cause: "stale-endpoint", stops: true, node: "node2", words: []string{"no namespace of node2 that is watched has 10.244.2.99"}},
		{name: "one of two is gone", broken: asService(func(w *world) { w.objs.Slices[0].Endpoints[1].Addrs = []netip.Addr{ip("10.244.2.99")} }), status: Wrong, cause: "stale-endpoint"},
		{name: "gone elsewhere, by all that Kubernetes has", broken: func(w *world) { gone(w); w.onlyHere() }, status: Wrong, cause: "stale-endpoint", stops: true, words: []string{"no pod with this address"}},
		{name: "gone elsewhere, by what it still knows", broken: func(w *world) {
			gone(w)
			w.onlyHere()
			w.objs.Pods = append(w.objs.Pods, k8smeta.Pod{Namespace: "shop", Name: "old", Node: "node2", IPs: []netip.Addr{ip("10.244.2.99")}, Deleted: time.Unix(-40, 0)})
		}, status: Wrong, cause: "stale-endpoint", stops: true, words: []string{"shop/old"}},
		{name: "elsewhere, by its slice", broken: func(w *world) { w.toService(); w.onlyHere(); w.in.Whole = false; w.objs.Pods = w.objs.Pods[:2] }, status: OK, words: []string{"shop/far"}},
		{name: "elsewhere, not known", broken: func(w *world) { gone(w); w.onlyHere(); w.in.Whole = false }, status: Unknown},
		{name: "a pod", status: OK},
		{name: "outside", broken: func(w *world) { w.in.Dst = ip("198.51.100.1") }, status: NotApplicable},
	})
}

func TestTargetPort(t *testing.T) {
	deaf := func(w *world) { w.far.Sockets = w.far.Sockets[1:] }
	at := func(addr string) func(*world) {
		return func(w *world) { w.far.Sockets[0].Local = netip.MustParseAddrPort(addr) }
	}
	onNode := func(w *world) {
		w.objs.Pods[2].HostNetwork, w.objs.Pods[2].IPs = true, []netip.Addr{ip("192.168.50.2")}
		w.objs.Slices[0].Endpoints = w.objs.Slices[0].Endpoints[1:]
		w.objs.Slices[0].Endpoints[0].Addrs = []netip.Addr{ip("192.168.50.2")}
	}
	try(t, "target-port", []want{
		{name: "listens", broken: asService(nil), status: OK},
		{name: "another port", broken: asService(both(onlyFar, at("0.0.0.0:8081"))), status: Wrong, cause: "wrong-target-port", stops: true, node: "node2", words: []string{"8081", "targetPort"}},
		{name: "another port, of the pod's own address", broken: asService(both(onlyFar, at("10.244.2.20:8081"))), status: Wrong, cause: "wrong-target-port", stops: true},
		{name: "another port, in one of two", broken: asService(at("0.0.0.0:8081")), status: Wrong, cause: "wrong-target-port"},
		{name: "nobody listens", broken: asService(both(onlyFar, deaf)), status: Wrong, cause: "not-listening", layer: Application, stops: true, node: "node2", words: []string{"(none)", "the application is not up", "kubectl logs", "targetPort"}},
		{name: "nobody listens, in one of two", broken: asService(deaf), status: Wrong, cause: "not-listening", layer: Application},
		{name: "another port of localhost only", broken: asService(both(onlyFar, at("127.0.0.1:8081"))), status: Wrong, cause: "not-listening", layer: Application, stops: true, words: []string{"127.0.0.1:8081"}},
		{name: "the port, of localhost only, is the listener's", broken: asService(both(onlyFar, at("127.0.0.1:8080"))), status: OK},
		{name: "on a node, where others listen", broken: asService(func(w *world) {
			onNode(w)
			w.node2.Sockets = []netstate.Socket{{Proto: "tcp", Local: netip.MustParseAddrPort("0.0.0.0:22"), Process: "sshd"}}
		}), status: Wrong, cause: "not-listening", layer: Application, stops: true, node: "node2", words: []string{"192.168.50.2:8080, where nothing listens", "node2 listens on tcp ports [22 (sshd)]", "; or the Service's targetPort is wrong"}},
		{name: "on a node, where nobody listens", broken: asService(onNode), status: Wrong, cause: "not-listening", layer: Application, stops: true, words: []string{"; or the Service's targetPort is wrong"}},
		{name: "on a node, where it listens", broken: asService(func(w *world) {
			onNode(w)
			w.node2.Sockets = []netstate.Socket{{Proto: "tcp", Local: netip.MustParseAddrPort("0.0.0.0:8080")}}
		}), status: OK},
		{name: "a DNS server", broken: func(w *world) {
			w.in.Proto, w.in.Dst, w.in.Dport, w.far.Sockets = "udp", ip("10.96.0.10"), 53, nil
		}, status: Wrong, cause: "dns-not-listening", stops: true, layer: DNS},
		{name: "a DNS server that listens on another port", broken: func(w *world) {
			w.in.Proto, w.in.Dst, w.in.Dport = "udp", ip("10.96.0.10"), 53
			w.far.Sockets[1].Local = netip.MustParseAddrPort("0.0.0.0:5353")
		}, status: Wrong, cause: "dns-not-listening", stops: true, layer: DNS},
		{name: "elsewhere", broken: func(w *world) { w.toService(); w.onlyHere() }, status: Unknown},
		{name: "sockets could not be read", broken: asService(func(w *world) { w.far.Sockets, w.far.Unread = nil, []string{"sockets could not be read: x"} }), status: Unknown},
		{name: "SCTP", broken: func(w *world) {
			w.toService()
			w.in.Proto = "sctp"
			w.objs.Services[0].Ports[0].Proto = "sctp"
		}, status: Unknown},
		{name: "no endpoint", broken: asService(nobodyReady), status: NotApplicable},
		{name: "no Service", status: NotApplicable},
	})
}

func TestConntrack(t *testing.T) {
	used := func(n string) func(*world) {
		return func(w *world) { w.node1.Sysctls["net.netfilter.nf_conntrack_count"] = n }
	}
	try(t, "conntrack", []want{
		{name: "room", status: OK, words: []string{"120 of 262144"}},
		{name: "nearly full", broken: used("250000"), status: Wrong, cause: "conntrack-full", node: "node1", words: []string{"250000 of 262144"}},
		{name: "full", broken: used("262144"), status: Wrong, cause: "conntrack-full", stops: true, words: []string{"nf_conntrack_max=524288"}},
		{name: "no module", broken: func(w *world) { delete(w.node1.Sysctls, "net.netfilter.nf_conntrack_max") }, status: Unknown},
		{name: "nonsense", broken: used("x"), status: Unknown},
		{name: "elsewhere", broken: (*world).onlyHere, status: Unknown},
	})
}

func TestNodePort(t *testing.T) {
	to := func(port uint16, broken func(*world)) func(*world) {
		return func(w *world) {
			w.in.Dst, w.in.Dport = ip("192.168.50.1"), port
			if broken != nil {
				broken(w)
			}
		}
	}
	try(t, "node-port", []want{
		{name: "only rules know it", broken: to(30080, (*world).unnamed), status: OK, words: []string{"translates port 30080"}},
		{name: "a process listens", broken: to(30090, func(w *world) {
			w.node1.Sockets = []netstate.Socket{{Proto: "tcp", Local: netip.MustParseAddrPort("0.0.0.0:30090")}}
		}), status: OK},
		{name: "closed", broken: to(30090, nil), status: Wrong, cause: "nodeport-closed", stops: true, node: "node1", words: []string{"30090"}},
		{name: "closed, as far as rules show, and eBPF programs are there", broken: to(30090, cilium), status: Unknown, words: []string{"may translate"}},
		{name: "filtered", broken: to(30090, func(w *world) {
			w.rules1 = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 30090 -j DROP\nCOMMIT\n"
		}), status: Wrong, cause: "nodeport-filtered", stops: true},
		{name: "one of a Service is another check's", broken: to(30080, nil), status: NotApplicable},
		{name: "another port", broken: to(22, nil), status: NotApplicable},
	})
}
