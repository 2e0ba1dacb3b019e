// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// leaves makes an endpoint of the Service terminate; serves says whether it still takes connections.
func leaves(w *world, endpoint int, serves bool) {
	e := &w.objs.Slices[0].Endpoints[endpoint]
	e.Ready, e.Serving, e.Terminating = false, serves, true
}

// noSix takes the ready IPv6 endpoints away, as when the pods have no IPv6 address.
func noSix(w *world) { w.objs.Slices[2].Endpoints = nil }

// noneReady is what is said of the Service when the API has these endpoints and its selector finds so many pods.
func noneReady(endpoints string, pods int) Result {
	return Result{
		Status: Wrong, Cause: "no-endpoints", Stops: true,
		Summary:  "Service shop/web has no ready endpoints",
		Evidence: []string{"the API has " + endpoints + ", and none is ready", fmt.Sprintf("its selector finds %d pods that are known", pods)},
		Fix: []string{
			"kubectl get endpointslices -n shop -l kubernetes.io/service-name=web -o wide",
			"kubectl describe service -n shop web, then compare its selector and targetPort with the pods' labels, readiness and port names",
		},
	}
}

func TestEndpointsWhole(t *testing.T) {
	whole(t, "endpoints", []exact{
		{name: "dual stack, the Service's IPv6 address is called and both pods have one: only these count", broken: sixService(nil), want: Result{
			Status:  OK,
			Summary: "Service shop/web has 2 ready of 2 endpoints",
		}},
		{name: "dual stack, the pods have IPv4 addresses only: nobody is behind the IPv6 address", broken: sixService(noSix), want: noneReady("0 endpoints for port http", 2)},
		{name: "dual stack, the same, and the IPv4 address is called: both are there", broken: func(w *world) {
			w.dual()
			w.in.Src = ip("10.244.1.10")
			w.toService()
			noSix(w)
		}, want: Result{
			Status:  OK,
			Summary: "Service shop/web has 2 ready of 2 endpoints",
		}},
		{name: "all endpoints terminate and one still serves: it is used", broken: asService(func(w *world) { leaves(w, 0, false); leaves(w, 1, true) }), want: Result{
			Status:  OK,
			Summary: "Service shop/web has 0 ready of 2 endpoints; kube-proxy uses those that terminate and still serve: 1",
		}},
		{name: "all endpoints terminate and none serves: no endpoint", broken: asService(func(w *world) { leaves(w, 0, false); leaves(w, 1, false) }), want: noneReady("2 endpoints for port http", 2)},
		{name: "one terminates beside one that is ready: it does not count", broken: asService(func(w *world) { leaves(w, 0, true) }), want: Result{
			Status:  OK,
			Summary: "Service shop/web has 1 ready of 2 endpoints",
		}},
		{name: "a NodePort of the other node is called: the Service behind it counts", broken: func(w *world) { w.in.Dst, w.in.Dport = ip("192.168.50.2"), 30080 }, want: Result{
			Status:  OK,
			Summary: "Service shop/web has 2 ready of 2 endpoints",
		}},
		{name: "a load balancer's address is called: the Service behind it counts", broken: func(w *world) {
			w.objs.Services[0].LoadBalancers = []netip.Addr{ip("203.0.113.80")}
			w.in.Dst, w.in.Dport = ip("203.0.113.80"), 80
		}, want: Result{
			Status:  OK,
			Summary: "Service shop/web has 2 ready of 2 endpoints",
		}},
		{name: "a port of the Service that it does not have is called: no Service port", broken: asService(func(w *world) { w.in.Dport = 81 }), want: Result{
			Status:  NotApplicable,
			Summary: "the destination is no Service",
		}},
		{name: "TCP port called by UDP: no Service port", broken: asService(func(w *world) { w.in.Proto = "udp" }), want: Result{
			Status:  NotApplicable,
			Summary: "the destination is no Service",
		}},
		{name: "an ExternalName Service, called at the address outside: no Service", broken: func(w *world) {
			w.objs.Services = append(w.objs.Services, k8smeta.Service{Namespace: "shop", Name: "bank", Type: "ExternalName", ExternalName: "bank.example.com", Ports: []k8smeta.ServicePort{{Proto: "tcp", Port: 443}}})
			w.in.Dst, w.in.Dport = ip("198.51.100.7"), 443
		}, want: Result{
			Status:  NotApplicable,
			Summary: "the destination is no Service",
		}},
		{name: "a headless Service, called at a pod's address: no Service", broken: func(w *world) { w.objs.Services[0].ClusterIPs, w.objs.Services[0].Type = nil, "ClusterIP" }, want: Result{
			Status:  NotApplicable,
			Summary: "the destination is no Service",
		}},
		{name: "a Service that was deleted: it has none", broken: asService(func(w *world) {
			w.objs.Services[0].Deleted = time.Unix(-3600, 0)
		}), want: Result{
			Status:  NotApplicable,
			Summary: "the destination is no Service",
		}},
		{name: "the slices have another port name than the Service: no endpoint for the port", broken: asService(func(w *world) {
			w.objs.Slices[0].Ports[0].Name = "web"
		}), want: noneReady("0 endpoints for port http", 2)},
		{name: "a port without a name, and pods that ended or wear other labels: neither is found by the selector", broken: asService(func(w *world) {
			nobodyReady(w)
			w.objs.Services[0].Ports[0].Name, w.objs.Slices[0].Ports[0].Name = "", ""
			w.objs.Pods[1].Phase, w.objs.Pods[2].Labels = "Failed", map[string]string{"app": "other"}
		}), want: noneReady("2 endpoints for port 80", 0)},
		{name: "names that are no names of Kubernetes: they are shown as they are", broken: asService(func(w *world) {
			nobodyReady(w)
			w.objs.Services[0].Namespace, w.objs.Services[0].Selector = "sh%sop", nil
			w.objs.Slices[0].Namespace, w.objs.Services[0].Ports[0].Name, w.objs.Slices[0].Ports[0].Name = "sh%sop", "%d", "%d"
		}), want: Result{
			Status: Wrong, Cause: "no-endpoints", Stops: true,
			Summary:  "Service sh%sop/web has no ready endpoints",
			Evidence: []string{"the API has 2 endpoints for port %d, and none is ready"},
			Fix: []string{
				"kubectl get endpointslices -n sh%sop -l kubernetes.io/service-name=web -o wide",
				"kubectl describe service -n sh%sop web, then compare its selector and targetPort with the pods' labels, readiness and port names",
			},
		}},
	})
}

func TestTargetNameWhole(t *testing.T) {
	named := func(broken func(*world)) func(*world) {
		return asService(func(w *world) {
			nobodyReady(w)
			broken(w)
		})
	}
	whole(t, "target-name", []exact{
		{name: "one endpoint is ready with another port number: its number is told", broken: asService(func(w *world) { w.objs.Slices[0].Ports[0].Port = 9090 }), want: Result{
			Status:  OK,
			Summary: "targetPort \"http\" is port 9090 of the endpoints",
		}},
		{name: "only one that terminates serves: the name was found", broken: asService(func(w *world) { leaves(w, 0, true); leaves(w, 1, false) }), want: Result{
			Status:  OK,
			Summary: "targetPort \"http\" is port 8080 of the endpoints",
		}},
		{name: "the one pod that has the name has ended: no port", broken: named(func(w *world) {
			w.objs.Pods[1].Phase, w.objs.Pods[2].Ports = "Succeeded", nil
		}), want: Result{
			Status: Wrong, Cause: "no-endpoints", Stops: true,
			Summary:  "targetPort \"http\" of Service shop/web is the name of no port of the pods that it selects",
			Evidence: []string{"the API has 1 pods with the Service's selector, and none declares a tcp port with this name"},
			Fix:      []string{"kubectl get service -n shop web -o yaml: targetPort is a number, or the name of a containerPort"},
		}},
		{name: "the pod that has the name is in another namespace: no port", broken: named(func(w *world) {
			w.objs.Pods[1].Namespace, w.objs.Pods[2].Ports = "other", []k8smeta.PodPort{{Name: "metrics", Proto: "tcp", Port: 9090}}
		}), want: Result{
			Status: Wrong, Cause: "no-endpoints", Stops: true,
			Summary:  "targetPort \"http\" of Service shop/web is the name of no port of the pods that it selects",
			Evidence: []string{"the API has 1 pods with the Service's selector, and none declares a tcp port with this name"},
			Fix:      []string{"kubectl get service -n shop web -o yaml: targetPort is a number, or the name of a containerPort"},
		}},
		{name: "the second pod has it: found", broken: named(func(w *world) { w.objs.Pods[1].Ports = nil }), want: Result{
			Status:  OK,
			Summary: "targetPort \"http\" is a port of shop/far",
		}},
		{name: "a Service without a selector: no pod is known", broken: named(func(w *world) { w.objs.Services[0].Selector = nil }), want: Result{
			Status:  Unknown,
			Summary: "no pod that Service shop/web selects is known",
		}},
		{name: "no Kubernetes: not known", broken: asService((*world).unnamed), want: Result{
			Status:  Unknown,
			Summary: "whether the destination is a Service is not known: --no-kubernetes was given",
		}},
	})
}

// noneHere is what is said when a Local policy leaves nobody on node1, which the API calls kubeNode.
func noneHere(policy, kubeNode string) Result {
	return Result{
		Status: Wrong, Cause: "no-local-endpoints", Node: "node1", Stops: true,
		Summary:  "Service shop/web has no ready endpoint on node1 and its " + policy + " is Local",
		Evidence: []string{"the API has no ready endpoint with nodeName " + kubeNode},
		Fix:      []string{"send only to nodes that have an endpoint (the load balancer's health check does), or set the traffic policy to Cluster"},
	}
}

func TestTrafficPolicyWhole(t *testing.T) {
	local := func(broken func(*world)) func(*world) {
		return asService(func(w *world) {
			w.objs.Services[0].InternalPolicy = "Local"
			broken(w)
		})
	}
	external := func(w *world) {
		w.objs.Services[0].ExternalPolicy, w.objs.Services[0].LoadBalancers = "Local", []netip.Addr{ip("203.0.113.80")}
		w.in.Dst, w.in.Dport = ip("203.0.113.80"), 80
		w.objs.Slices[0].Endpoints = w.objs.Slices[0].Endpoints[1:]
	}
	whole(t, "traffic-policy", []exact{
		{name: "internal Local, the sender's node has one that terminates and serves: it is used", broken: local(func(w *world) { leaves(w, 0, true) }), want: Result{
			Status:  OK,
			Summary: "internalTrafficPolicy is Local, and node1 has an endpoint that terminates and still serves",
		}},
		{name: "internal Local, the sender's node has one that terminates and does not serve: dropped", broken: local(func(w *world) { leaves(w, 0, false) }), want: noneHere("internalTrafficPolicy", "node1")},
		{name: "internal Local, dual stack: an IPv4 endpoint on the node is none for IPv6", broken: sixService(func(w *world) {
			w.objs.Services[0].InternalPolicy = "Local"
			w.objs.Slices[2].Endpoints = w.objs.Slices[2].Endpoints[1:]
		}), want: noneHere("internalTrafficPolicy", "node1")},
		{name: "internal Local, the kubelet calls the node otherwise: its endpoints are still its own", broken: local(func(w *world) {
			w.objs.Nodes[0].Name, w.objs.Slices[0].Endpoints[0].Node = "ip-192-168-50-1", "ip-192-168-50-1"
		}), want: Result{
			Status:  OK,
			Summary: "internalTrafficPolicy is Local, and ip-192-168-50-1 has a ready endpoint",
		}},
		{name: "internal Local, the kubelet calls the node otherwise, none there: Kubernetes' name is told", broken: local(func(w *world) {
			w.objs.Nodes[0].Name = "ip-192-168-50-1"
			w.objs.Slices[0].Endpoints = w.objs.Slices[0].Endpoints[1:]
		}), want: noneHere("internalTrafficPolicy", "ip-192-168-50-1")},
		{name: "external Local at the load balancer's address, none here, no rule for the sender: dropped", broken: external, want: noneHere("externalTrafficPolicy", "node1")},
		{name: "external Local at the node's port, none here, and kube-proxy lets pods of the cluster pass: not bound", broken: func(w *world) {
			w.objs.Services[0].ExternalPolicy = "Local"
			onlyFar(w)
			w.in.Dst, w.in.Dport = ip("192.168.50.1"), 30080
		}, want: Result{
			Status:  OK,
			Summary: "externalTrafficPolicy is Local, and the rules of node1 send this sender to endpoints of other nodes too",
		}},
		{name: "no Kubernetes: not known", broken: asService((*world).unnamed), want: Result{
			Status:  Unknown,
			Summary: "whether the destination is a Service is not known: --no-kubernetes was given",
		}},
	})
}

func TestEndpointAliveWhole(t *testing.T) {
	whole(t, "endpoint-alive", []exact{
		{name: "dual stack Service: both IPv6 addresses are there", broken: sixService(nil), want: Result{
			Status:  OK,
			Summary: "shop/near (fd00:244:1::20) is there; shop/far (fd00:244:2::20) is there",
		}},
		{name: "dual stack, the other node is not here: the API has its pod", broken: sixService((*world).onlyHere), want: Result{
			Status:  OK,
			Summary: "shop/near (fd00:244:1::20) is there; shop/far (fd00:244:2::20) lives on node2",
		}},
		{name: "an endpoint outside of the cluster, of a Service without a selector: not known", broken: asService(func(w *world) {
			w.objs.Services[0].Selector = nil
			w.objs.Slices[0].Endpoints = []k8smeta.Endpoint{{Addrs: []netip.Addr{ip("198.51.100.7")}, Ready: true, Serving: true}}
		}), want: Result{
			Status:  Unknown,
			Summary: "whether somebody has 198.51.100.7 is not known",
		}},
		{name: "an endpoint that is a hostNetwork pod: the node has its address", broken: asService(func(w *world) {
			w.objs.Pods[2].HostNetwork, w.objs.Pods[2].IPs = true, []netip.Addr{ip("192.168.50.2")}
			w.objs.Slices[0].Endpoints[1].Addrs = []netip.Addr{ip("192.168.50.2")}
		}), want: Result{
			Status:  OK,
			Summary: "shop/near (10.244.1.20) is there; 192.168.50.2 is there",
		}},
		{name: "a pod that the API has and the node's namespaces have not, both here: the API is believed", broken: func(w *world) { w.far.Link("eth0").Addrs = nil }, want: Result{
			Status:  OK,
			Summary: "shop/far (10.244.2.20) lives on node2",
		}},
		{name: "nobody is ready: nothing to look at", broken: asService(nobodyReady), want: Result{
			Status:  NotApplicable,
			Summary: "Service shop/web has no ready endpoint",
		}},
		{name: "a node is the destination: no pod is meant", broken: func(w *world) { w.in.Dst = ip("192.168.50.2") }, want: Result{
			Status:  NotApplicable,
			Summary: "the destination is no pod's address that is known",
		}},
		{name: "no Kubernetes, the destination is a pod here: it is there", broken: (*world).unnamed, want: Result{
			Status:  OK,
			Summary: "10.244.2.20 is there",
		}},
	})
}

func TestTargetPortWhole(t *testing.T) {
	whole(t, "target-port", []exact{
		{name: "dual stack Service, the pods listen for both families: found", broken: sixService(nil), want: Result{
			Status:  OK,
			Summary: "shop/near ([fd00:244:1::20]:8080) has a socket on its port; shop/far ([fd00:244:2::20]:8080) has a socket on its port",
		}},
		{name: "one endpoint listens on two other ports: both are told, and half of the connections work", broken: asService(func(w *world) {
			w.far.Sockets = []netstate.Socket{{Proto: "tcp", Local: netip.MustParseAddrPort("0.0.0.0:9091")}, {Proto: "tcp", Local: netip.MustParseAddrPort("0.0.0.0:9090")}}
		}), want: Result{
			Status: Wrong, Cause: "wrong-target-port", Node: "node2",
			Summary:  "Service shop/web sends to shop/far (10.244.2.20:8080), where nothing listens",
			Evidence: []string{"state: the pod listens on tcp ports [9090 9091]"},
			Fix:      []string{"compare the Service's targetPort with the ports that the application listens on"},
		}},
		{name: "one cannot be read, the other does not listen: what is wrong counts", broken: asService(func(w *world) {
			w.near.Sockets, w.near.Unread = nil, []string{"sockets could not be read: EPERM"}
			w.far.Sockets = nil
		}), want: Result{
			Status: Wrong, Layer: Application, Cause: "not-listening", Node: "node2",
			Summary:  "nothing in shop/far (10.244.2.20) listens on tcp where others reach it: the application is not up",
			Evidence: []string{"state: the pod listens on tcp ports (none)"},
			Fix:      []string{"is the application up? kubectl logs of the pod; if it is, compare the Service's targetPort with the ports that the application listens on"},
		}},
		{name: "an endpoint outside of the cluster: it cannot be looked at", broken: asService(func(w *world) {
			w.objs.Slices[0].Endpoints = []k8smeta.Endpoint{{Addrs: []netip.Addr{ip("198.51.100.7")}, Ready: true}}
		}), want: Result{
			Status:  Unknown,
			Summary: "198.51.100.7 is not on this kernel",
		}},
		{name: "a listener of the other protocol: nothing listens", broken: asService(func(w *world) {
			onlyFar(w)
			w.far.Sockets[0].Proto = "udp"
		}), want: Result{
			Status: Wrong, Layer: Application, Cause: "not-listening", Node: "node2", Stops: true,
			Summary:  "nothing in shop/far (10.244.2.20) listens on tcp where others reach it: the application is not up",
			Evidence: []string{"state: the pod listens on tcp ports (none)"},
			Fix:      []string{"is the application up? kubectl logs of the pod; if it is, compare the Service's targetPort with the ports that the application listens on"},
		}},
		{name: "no Kubernetes: not known", broken: asService((*world).unnamed), want: Result{
			Status:  Unknown,
			Summary: "whether the destination is a Service is not known: --no-kubernetes was given",
		}},
	})
}
