// SPDX-License-Identifier: Apache-2.0

package k8smeta

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func addrs(all ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range all {
		out = append(out, addr(s))
	}
	return out
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// shop is a cluster of two nodes with a Service of every kind.
func shop() *Objects {
	web := func(name, node string, ips ...string) Pod {
		return Pod{Namespace: "shop", Name: name, UID: "uid-" + name, Node: node, IPs: addrs(ips...), Phase: "Running", Ready: true, Labels: map[string]string{"app": "web"},
			OwnerKind: "ReplicaSet", OwnerName: "web-7d9c5b8f4", Ports: []PodPort{{"http", "tcp", 8080}, {"dns", "udp", 5353}}}
	}
	return &Objects{
		Namespaces: []Namespace{{Name: "shop", Labels: map[string]string{"team": "shop"}}},
		Nodes: []Node{
			{Name: "node1", Addrs: addrs("192.168.50.1", "2001:db8:50::1"), PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")}, Ready: true},
			{Name: "node2", Addrs: addrs("192.168.50.2"), PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.2.0/24")}, Ready: true},
			{Name: "bare"},
		},
		Pods: []Pod{
			{Namespace: "shop", Name: "client", UID: "uid-client", Node: "node1", IPs: addrs("10.244.1.10", "fd00::10"), Phase: "Running", Ready: true},
			web("web-7d9c5b8f4-fghij", "node1", "10.244.1.20"), web("web-7d9c5b8f4-abcde", "node2", "10.244.2.20"),
			{Namespace: "shop", Name: "db-0", UID: "uid-db", Node: "node2", IPs: addrs("10.244.2.30"), Phase: "Running", OwnerKind: "StatefulSet", OwnerName: "db"},
			{Namespace: "shop", Name: "starting", Phase: "Pending"},
			{Namespace: "shop", Name: "job", Phase: "Succeeded", IPs: addrs("10.244.1.10")},
			{Namespace: "kube-system", Name: "proxy", UID: "uid-proxy", Node: "node1", IPs: addrs("192.168.50.1"), HostNetwork: true, Phase: "Running", OwnerKind: "DaemonSet", OwnerName: "proxy"},
			{Namespace: "shop", Name: "old", UID: "uid-old", Node: "node1", IPs: addrs("10.244.1.77"), Phase: "Running", Deleted: noon.Add(-42 * time.Second)},
			{Namespace: "shop", Name: "ancient", UID: "uid-ancient", IPs: addrs("10.244.1.78"), Deleted: noon.Add(-6 * time.Minute)},
			{Namespace: "shop", Name: "reused", UID: "uid-reused", IPs: addrs("10.244.2.30"), Deleted: noon.Add(-10 * time.Second)},
		},
		Services: []Service{
			{Namespace: "shop", Name: "web", Type: "ClusterIP", ClusterIPs: addrs("10.96.0.80", "fd00:96::80"), Ports: []ServicePort{{Name: "http", Proto: "tcp", Port: 80, Target: "http"}}},
			{Namespace: "shop", Name: "web-node", Type: "NodePort", ClusterIPs: addrs("10.96.0.81"), ExternalIPs: addrs("198.51.100.5"), LoadBalancers: addrs("203.0.113.5"),
				Ports: []ServicePort{{Name: "http", Proto: "tcp", Port: 80, NodePort: 30080}}},
			{Namespace: "shop", Name: "empty", ClusterIPs: addrs("10.96.0.82"), Ports: []ServicePort{{Proto: "tcp", Port: 80}}},
			{Namespace: "shop", Name: "headless", Ports: []ServicePort{{Name: "http", Proto: "tcp", Port: 8080}}},
			{Namespace: "shop", Name: "outside", Type: "ExternalName", ExternalName: "example.com"},
			{Namespace: "kube-system", Name: "kube-dns", ClusterIPs: addrs("10.96.0.10"), Ports: []ServicePort{{Name: "dns", Proto: "udp", Port: 53}, {Name: "dns-tcp", Proto: "tcp", Port: 53}, {Name: "metrics", Proto: "tcp", Port: 9153}}},
		},
		Slices: []EndpointSlice{
			{Namespace: "shop", Name: "web-1", Service: "web", Ports: []EndpointPort{{"http", "tcp", 8080}}, Endpoints: []Endpoint{
				{Addrs: addrs("10.244.2.20"), Ready: true, Serving: true, Node: "node2", Pod: "web-7d9c5b8f4-abcde"}, {Addrs: addrs("10.244.1.20"), Node: "node1", Pod: "web-7d9c5b8f4-fghij"}}},
			{Namespace: "shop", Name: "web-2", Service: "web", Ports: []EndpointPort{{"http", "tcp", 8080}}, Endpoints: []Endpoint{{Addrs: addrs("192.0.2.9"), Ready: true}}},
			{Namespace: "shop", Name: "headless-1", Service: "headless", Ports: []EndpointPort{{"http", "tcp", 8080}}, Endpoints: []Endpoint{
				{Addrs: addrs("10.244.2.20"), Ready: true, Pod: "web-7d9c5b8f4-abcde"}, {Addrs: addrs("10.244.1.20"), Pod: "web-7d9c5b8f4-fghij"}}},
			{Namespace: "shop", Name: "gone", Service: "web", Deleted: noon, Ports: []EndpointPort{{"http", "tcp", 1}}, Endpoints: []Endpoint{{Addrs: addrs("10.9.9.9"), Ready: true}}},
		},
	}
}

func shopIndex() *Index { return NewIndex(shop(), noon) }

// holderText is "pod node service former" by name.
func holderText(h Holder) string {
	s := ""
	if h.Pod != nil {
		s += " pod " + h.Pod.Name
	}
	if h.Node != nil {
		s += " node " + h.Node.Name
	}
	if h.Service != nil {
		s += " service " + h.Service.Name
	}
	if h.Former != nil {
		s += " former " + h.Former.Name
	}
	return s
}

func TestAddr(t *testing.T) {
	x := shopIndex()
	for a, want := range map[string]string{
		"10.244.1.10":    " pod client former job", // a finished job keeps its address in the API
		"fd00::10":       " pod client",
		"10.244.2.30":    " pod db-0 former reused",
		"10.244.1.77":    " former old",
		"10.244.1.78":    "", // longer ago than is kept
		"192.168.50.1":   " node node1",
		"2001:db8:50::1": " node node1",
		"10.96.0.80":     " service web",
		"fd00:96::80":    " service web",
		"198.51.100.5":   " service web-node",
		"203.0.113.5":    " service web-node",
		"8.8.8.8":        "",
	} {
		if got := holderText(x.Addr(addr(a))); got != want {
			t.Errorf("%s: %q, want %q", a, got, want)
		}
	}
	if x.Addr(netip.Addr{}) != (Holder{}) {
		t.Error("no address has a holder")
	}
}

func TestServicePort(t *testing.T) {
	x := shopIndex()
	for _, tc := range []struct {
		proto, addr string
		port        uint16
		want        string
	}{
		{"tcp", "10.96.0.80", 80, "svc/shop/web:http"},
		{"tcp", "fd00:96::80", 80, "svc/shop/web:http"},
		{"udp", "10.96.0.80", 80, ""},
		{"tcp", "10.96.0.80", 81, ""},
		{"tcp", "198.51.100.5", 80, "svc/shop/web-node:http"},
		{"tcp", "203.0.113.5", 80, "svc/shop/web-node:http"},
		{"tcp", "192.168.50.2", 30080, "svc/shop/web-node:http"},
		{"udp", "192.168.50.2", 30080, ""},
		{"tcp", "10.244.1.20", 30080, ""}, // a pod's address has no NodePorts
		{"tcp", "10.96.0.82", 80, "svc/shop/empty:80"},
		{"udp", "10.96.0.10", 53, "svc/kube-system/kube-dns:dns"},
		{"tcp", "10.96.0.10", 53, "svc/kube-system/kube-dns:dns-tcp"},
		{"sctp", "10.96.0.10", 53, ""},
	} {
		got := ""
		if s, p := x.ServicePort(tc.proto, addr(tc.addr), tc.port); s != nil {
			got = s.Ref(p).String()
		}
		if got != tc.want {
			t.Errorf("%s %s:%d is %q, want %q", tc.proto, tc.addr, tc.port, got, tc.want)
		}
	}
	if s, p := x.EndpointOf("tcp", addr("10.244.2.20"), 8080); s == nil || s.Name != "web" || p.Port != 80 {
		t.Errorf("an endpoint is of %v", s)
	}
	if s, _ := x.EndpointOf("tcp", addr("10.9.9.9"), 1); s != nil {
		t.Error("a slice that was deleted has endpoints")
	}
}

func TestByName(t *testing.T) {
	x := shopIndex()
	if p := x.Pod("shop", "client"); p == nil || p.Ref().String() != "pod/shop/client" {
		t.Errorf("%v", p)
	}
	if p := x.PodByUID("uid-proxy"); p == nil || p.Name != "proxy" {
		t.Errorf("%v", p)
	}
	if x.PodByUID("") != nil || x.Pod("shop", "nobody") != nil || x.Service("", "") != nil || x.Node("node3") != nil || x.Namespace("x") != nil {
		t.Error("found what is not there")
	}
	if n := x.Namespace("shop"); n == nil || n.Labels["team"] != "shop" {
		t.Errorf("%v", n)
	}
	if n := x.Node("node1"); n == nil || n.Ref().String() != "node/node1" {
		t.Errorf("%v", n)
	}
	if got := len(x.Slices(x.Service("shop", "web"))); got != 2 {
		t.Errorf("%d slices", got)
	}
	for a, want := range map[string]string{"10.244.2.0": "node2", "10.244.2.1": "node2", "10.244.2.2": "", "10.245.0.0": ""} {
		got := ""
		if n := x.NodeOfNetwork(addr(a)); n != nil {
			got = n.Name
		}
		if got != want {
			t.Errorf("%s is of node %q, want %q", a, got, want)
		}
	}
}

// A StatefulSet's pod comes back under its name: the living one counts, in whatever order they are known.
func TestTheLivingPodOfAName(t *testing.T) {
	dead := Pod{Namespace: "a", Name: "db-0", UID: "1", IPs: addrs("10.0.0.1"), Deleted: noon}
	live := Pod{Namespace: "a", Name: "db-0", UID: "2", IPs: addrs("10.0.0.1"), Phase: "Running"}
	for _, pods := range [][]Pod{{dead, live}, {live, dead}} {
		x := NewIndex(&Objects{Pods: pods}, noon)
		if p := x.Pod("a", "db-0"); p.UID != "2" {
			t.Errorf("the pod is %s", p.UID)
		}
		if h := x.Addr(addr("10.0.0.1")); h.Pod.UID != "2" || h.Former.UID != "1" {
			t.Errorf("the address is of %v and was of %v", h.Pod, h.Former)
		}
		if x.PodByUID("1") == nil {
			t.Error("the dead pod's UID is not known")
		}
	}
}

func TestANilIndexKnowsNothing(t *testing.T) {
	var x *Index
	if s, p := x.ServicePort("tcp", addr("10.0.0.1"), 80); s != nil || p != nil {
		t.Error("a Service")
	}
	if s, _ := x.EndpointOf("tcp", addr("10.0.0.1"), 80); s != nil {
		t.Error("an endpoint")
	}
	if x.Addr(addr("10.0.0.1")) != (Holder{}) || x.Pod("a", "b") != nil || x.PodByUID("u") != nil || x.Service("a", "b") != nil || x.Node("n") != nil || x.Namespace("n") != nil ||
		x.Slices(nil) != nil || x.NodeOfNetwork(addr("10.0.0.1")) != nil || len(x.Objects().Pods) != 0 || x.near(Name{}, false) != nil || x.podOf(Name{}, "") != nil {
		t.Error("something")
	}
	if _, err := x.Find(Name{Kind: "pod", Namespace: "a", Name: "b"}, Want{}); err == nil {
		t.Error("found")
	}
}

// big is a cluster of a size that lookups are measured on.
func big(pods, services, nodes int) *Objects {
	o := &Objects{}
	for i := range nodes {
		o.Nodes = append(o.Nodes, Node{Name: fmt.Sprintf("node-%d", i), Addrs: []netip.Addr{netip.AddrFrom4([4]byte{172, 16, byte(i >> 8), byte(i)})}})
	}
	for i := range pods {
		o.Pods = append(o.Pods, Pod{Namespace: fmt.Sprintf("ns-%d", i%100), Name: fmt.Sprintf("pod-%d", i), UID: fmt.Sprint(i), Phase: "Running", IPs: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})}})
	}
	for i := range services {
		o.Services = append(o.Services, Service{Namespace: fmt.Sprintf("ns-%d", i%100), Name: fmt.Sprintf("svc-%d", i), ClusterIPs: []netip.Addr{netip.AddrFrom4([4]byte{100, 64, byte(i >> 8), byte(i)})}, Ports: []ServicePort{{Name: "http", Proto: "tcp", Port: 80}}})
	}
	return o
}

func TestLookupsAllocateNothing(t *testing.T) {
	x := NewIndex(big(10000, 1000, 100), noon)
	pod, vip := netip.AddrFrom4([4]byte{10, 0, 1, 2}), netip.AddrFrom4([4]byte{100, 64, 0, 9})
	if n := testing.AllocsPerRun(100, func() {
		if x.Addr(pod).Pod == nil {
			t.Error("no pod")
		}
		if s, _ := x.ServicePort("tcp", vip, 80); s == nil {
			t.Error("no Service")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAddr(b *testing.B) {
	x := NewIndex(big(100000, 10000, 5000), noon)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i = (i + 7919) % 100000
		if x.Addr(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})).Pod == nil {
			b.Fatal("no pod")
		}
	}
}
