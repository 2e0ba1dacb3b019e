// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// world is a healthy cluster of two nodes joined by VXLAN: client and near on node1, far on node2, the Service web with near and far, and the
// Service names of the cluster's DNS with far. Tests break one thing in it.
type world struct {
	snap         *netstate.Snapshot
	objs         *k8smeta.Objects
	rules1       string // node1's, in the form of iptables-save
	rules2       string
	rulesFar     string // of the pod far
	six          string // both nodes', for IPv6
	in           *Input
	node1, node2 *netstate.Namespace
	client, near *netstate.Namespace
	far          *netstate.Namespace
}

func ip(s string) netip.Addr     { return netip.MustParseAddr(s) }
func cidr(s string) netip.Prefix { return netip.MustParsePrefix(s) }

const (
	inClient = iota + 101
	inNear
	inNode1
	inFar
	inNode2
)

// proxied are kube-proxy's rules for the Services of the world.
const proxied = `*nat
:PREROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-WEB - [0:0]
:KUBE-SEP-NEAR - [0:0]
:KUBE-SEP-FAR - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.96.0.80/32 -p tcp -m comment --comment "shop/web:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-WEB
-A KUBE-SERVICES -p tcp -m comment --comment "shop/web:http" -m tcp --dport 30080 -m addrtype --dst-type LOCAL -j KUBE-SVC-WEB
-A KUBE-SVC-WEB -m comment --comment "shop/web:http -> 10.244.1.20:8080" -m statistic --mode random --probability 0.5 -j KUBE-SEP-NEAR
-A KUBE-SVC-WEB -m comment --comment "shop/web:http -> 10.244.2.20:8080" -j KUBE-SEP-FAR
-A KUBE-SEP-NEAR -p tcp -m comment --comment "shop/web:http" -m tcp -j DNAT --to-destination 10.244.1.20:8080
-A KUBE-SEP-FAR -p tcp -m comment --comment "shop/web:http" -m tcp -j DNAT --to-destination 10.244.2.20:8080
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
COMMIT
`

func newWorld() *world {
	w := &world{rules1: proxied, rules2: proxied}
	pod := func(inode uint32, name, node, addr, gateway string) netstate.Namespace {
		return netstate.Namespace{Inode: inode, Name: name, Node: node,
			Links:   []netstate.Link{{Index: 2, Name: "eth0", Kind: "veth", MTU: 1450, Up: true, Oper: "up", PeerIndex: int(inode), Addrs: []netip.Prefix{netip.PrefixFrom(ip(addr), 24)}}},
			Routes:  []netstate.Route{{Table: 254, Dst: cidr("0.0.0.0/0"), Type: "unicast", Dev: "eth0", Gateway: ip(gateway)}, {Table: 254, Dst: netip.PrefixFrom(ip(addr), 24).Masked(), Type: "unicast", Dev: "eth0"}},
			Sockets: []netstate.Socket{{Proto: "tcp", Local: netip.MustParseAddrPort("0.0.0.0:8080"), SendQ: 128, Process: "web"}, {Proto: "udp", Local: netip.MustParseAddrPort("0.0.0.0:53")}},
			Sysctls: map[string]string{"net.ipv4.ip_local_port_range": "32768\t60999"}, Counters: map[string]uint64{"Sockets.TCP.inuse": 3, "Sockets.TCP.tw": 1}}
	}
	node := func(k int, inode uint32, pods ...int) netstate.Namespace {
		other := 3 - k
		on := true
		n := netstate.Namespace{Inode: inode, Name: fmt.Sprintf("node%d", k), Node: fmt.Sprintf("node%d", k), Host: true,
			Links: []netstate.Link{
				{Index: 2, Name: "eth0", Kind: "phys", MTU: 1500, Up: true, Oper: "up", Addrs: []netip.Prefix{cidr(fmt.Sprintf("192.168.50.%d/24", k))}},
				{Index: 3, Name: "cni0", Kind: "bridge", MTU: 1450, Up: true, Addrs: []netip.Prefix{cidr(fmt.Sprintf("10.244.%d.1/24", k))}},
				{Index: 4, Name: "flannel.1", Kind: "vxlan", MTU: 1450, Up: true, Addrs: []netip.Prefix{cidr(fmt.Sprintf("10.244.%d.0/32", k))},
					VXLAN: &netstate.VXLAN{VNI: 1, Port: 8472, Local: ip(fmt.Sprintf("192.168.50.%d", k)), Underlay: 2}}},
			Routes: []netstate.Route{
				{Table: 254, Dst: cidr("0.0.0.0/0"), Type: "unicast", Dev: "eth0", Gateway: ip("192.168.50.100")},
				{Table: 254, Dst: cidr("192.168.50.0/24"), Type: "unicast", Dev: "eth0"},
				{Table: 254, Dst: cidr(fmt.Sprintf("10.244.%d.0/24", k)), Type: "unicast", Dev: "cni0"},
				{Table: 254, Dst: cidr(fmt.Sprintf("10.244.%d.0/24", other)), Type: "unicast", Dev: "flannel.1", Gateway: ip(fmt.Sprintf("10.244.%d.0", other))}},
			Neighs: []netstate.Neigh{{Dev: "flannel.1", IP: ip(fmt.Sprintf("10.244.%d.0", other)), MAC: fmt.Sprintf("02:00:00:00:00:0%d", other), State: "PERMANENT"},
				{Dev: "eth0", IP: ip(fmt.Sprintf("192.168.50.%d", other)), MAC: "06:00:00:00:00:01", State: "REACHABLE"}},
			FDB: []netstate.FDBEntry{{Dev: "flannel.1", MAC: fmt.Sprintf("02:00:00:00:00:0%d", other), Dst: ip(fmt.Sprintf("192.168.50.%d", other))}},
			Sysctls: map[string]string{"net.ipv4.ip_forward": "1", "net.bridge.bridge-nf-call-iptables": "1", "net.netfilter.nf_conntrack_count": "120", "net.netfilter.nf_conntrack_max": "262144",
				"net.ipv4.conf.all.rp_filter": "0", "net.ipv4.conf.flannel.1.rp_filter": "0"}}
		for _, p := range pods {
			n.Links = append(n.Links, netstate.Link{Index: p, Name: fmt.Sprintf("veth%d", p), Kind: "veth", MTU: 1450, Up: true, Oper: "up", Master: 3, PeerIndex: 2, Hairpin: &on})
		}
		return n
	}
	w.snap = &netstate.Snapshot{Namespaces: []netstate.Namespace{
		node(1, inNode1, inClient, inNear), pod(inClient, "client", "node1", "10.244.1.10", "10.244.1.1"), pod(inNear, "near", "node1", "10.244.1.20", "10.244.1.1"),
		node(2, inNode2, inFar), pod(inFar, "far", "node2", "10.244.2.20", "10.244.2.1")}}
	w.point()
	w.objs = objects()
	w.in = &Input{Proto: "tcp", Src: ip("10.244.1.10"), Dst: ip("10.244.2.20"), Dport: 8080, Node: "node1", Whole: true,
		Resolver: &Resolver{Servers: []netip.Addr{ip("10.96.0.10")}, Source: "/etc/netns/client/resolv.conf"}, NoAnswer: "the destination has no name",
		Echoes: []Echo{{From: "node1", To: ip("192.168.50.2"), Passed: 1500}, {From: "node2", To: ip("192.168.50.1"), Passed: 1500}}, NoEcho: "nobody sent one"}
	return w
}

// point finds the namespaces again after the list changed.
func (w *world) point() {
	w.node1, w.node2 = w.snap.ByInode(inNode1), w.snap.ByInode(inNode2)
	w.client, w.near, w.far = w.snap.ByInode(inClient), w.snap.ByInode(inNear), w.snap.ByInode(inFar)
}

func objects() *k8smeta.Objects {
	pod := func(name, node, addr string) k8smeta.Pod {
		return k8smeta.Pod{Namespace: "shop", Name: name, Node: node, IPs: []netip.Addr{ip(addr)}, Phase: "Running", Ready: true, Labels: map[string]string{"app": "web"}, Ports: []k8smeta.PodPort{{Name: "http", Proto: "tcp", Port: 8080}}}
	}
	client := pod("client", "node1", "10.244.1.10")
	client.Labels = nil
	return &k8smeta.Objects{
		Nodes: []k8smeta.Node{{Name: "node1", Addrs: []netip.Addr{ip("192.168.50.1")}, PodCIDRs: []netip.Prefix{cidr("10.244.1.0/24")}, Ready: true},
			{Name: "node2", Addrs: []netip.Addr{ip("192.168.50.2")}, PodCIDRs: []netip.Prefix{cidr("10.244.2.0/24")}, Ready: true}},
		Pods: []k8smeta.Pod{client, pod("near", "node1", "10.244.1.20"), pod("far", "node2", "10.244.2.20")},
		Services: []k8smeta.Service{
			{Namespace: "shop", Name: "web", Type: "NodePort", ClusterIPs: []netip.Addr{ip("10.96.0.80")}, Selector: map[string]string{"app": "web"}, Ports: []k8smeta.ServicePort{{Name: "http", Proto: "tcp", Port: 80, NodePort: 30080, Target: "http"}}},
			{Namespace: "kube-system", Name: "names", ClusterIPs: []netip.Addr{ip("10.96.0.10")}, Ports: []k8smeta.ServicePort{{Name: "dns", Proto: "udp", Port: 53, Target: "53"}}}},
		Slices: []k8smeta.EndpointSlice{
			{Namespace: "shop", Name: "web-1", Service: "web", Ports: []k8smeta.EndpointPort{{Name: "http", Proto: "tcp", Port: 8080}}, Endpoints: []k8smeta.Endpoint{
				{Addrs: []netip.Addr{ip("10.244.1.20")}, Ready: true, Serving: true, Node: "node1", Pod: "near"}, {Addrs: []netip.Addr{ip("10.244.2.20")}, Ready: true, Serving: true, Node: "node2", Pod: "far"}}},
			{Namespace: "kube-system", Name: "names-1", Service: "names", Ports: []k8smeta.EndpointPort{{Name: "dns", Proto: "udp", Port: 53}}, Endpoints: []k8smeta.Endpoint{{Addrs: []netip.Addr{ip("10.244.2.20")}, Ready: true, Serving: true, Node: "node2"}}}},
	}
}

// toService makes the Service the destination.
func (w *world) toService() {
	w.in.Dst, w.in.Dport, w.in.Asked, w.in.NoAnswer = ip("10.96.0.80"), 80, "web.shop.svc.cluster.local.", ""
	w.in.Answer = &Answer{Name: w.in.Asked, Servers: w.in.Resolver.Servers, Addrs: []netip.Addr{w.in.Dst}, Rcode: "NOERROR", MS: 2}
}

// toDNS makes the cluster's DNS the destination.
func (w *world) toDNS() { w.in.Proto, w.in.Dst, w.in.Dport = "udp", ip("10.244.2.20"), 53 }

// toNear makes the pod on the client's node the destination.
func (w *world) toNear() { w.in.Dst = ip("10.244.1.20") }

// onlyHere takes the other node from this kernel.
func (w *world) onlyHere() {
	w.snap.Namespaces = slices.DeleteFunc(w.snap.Namespaces, func(n netstate.Namespace) bool { return n.Node == "node2" })
	w.point()
}

// unnamed takes Kubernetes away.
func (w *world) unnamed() { w.objs, w.in.Whole, w.in.NoIndex = nil, false, "--no-kubernetes was given" }

func rulesOf(t *testing.T, text, backend, family string) []ruleset.Ruleset {
	t.Helper()
	if text == "" {
		return nil
	}
	rs, warnings, err := ruleset.Parse(strings.NewReader(text), backend, family)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	return []ruleset.Ruleset{rs}
}

// input is what the checks get once a test has broken the world.
func (w *world) input(t *testing.T) *Input {
	t.Helper()
	four := func(text string) []ruleset.Ruleset { return rulesOf(t, text, "iptables-legacy", "ip") }
	w.node1.Rulesets = append(four(w.rules1), rulesOf(t, w.six, "iptables-legacy", "ip6")...)
	if w.node2 != nil {
		w.node2.Rulesets, w.far.Rulesets = append(four(w.rules2), rulesOf(t, w.six, "iptables-legacy", "ip6")...), four(w.rulesFar)
	}
	w.in.Snapshot = w.snap
	if w.client != nil {
		w.in.Sender = w.client
	}
	if w.objs != nil {
		x := k8smeta.NewIndex(w.objs, time.Unix(0, 0))
		w.in.Index = x
		w.in.Name = func(_ string, a netip.Addr, _ uint16) string {
			if h := x.Addr(a); h.Pod != nil {
				return h.Pod.Namespace + "/" + h.Pod.Name
			}
			return ""
		}
		w.in.Policies = func(string, netip.Addr, netip.Addr, uint16) (string, bool) { return "", false }
	}
	return w.in
}

// want is what a check must say of a broken world.
type want struct {
	name    string
	broken  func(*world)
	status  Status
	cause   string
	stops   bool
	node    string
	words   []string // in the summary, the evidence or the fixes
	layer   Layer    // when it is not the check's own
	measure bool
}

// registered is the check of a name.
func registered(t *testing.T, name string) check {
	t.Helper()
	c, ok := checks[name]
	if !ok {
		t.Fatalf("there is no check %s", name)
	}
	return c
}

// allFine runs every check: none may find anything wrong, and all can look.
func allFine(t *testing.T, w *world) {
	t.Helper()
	for _, r := range Run(w.input(t), nil) {
		if r.Status == Wrong || r.Status == Unknown {
			t.Errorf("%s: %s: %s %q", r.Check, r.Status, r.Summary, r.Evidence)
		}
	}
}

// try runs one check over worlds.
func try(t *testing.T, name string, all []want) {
	t.Helper()
	c := registered(t, name)
	for _, tc := range all {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld()
			if tc.broken != nil {
				tc.broken(w)
			}
			r := c.run(w.input(t))
			if r.Layer == c.layer {
				r.Layer = ""
			}
			if r.Status != tc.status || r.Cause != tc.cause || r.Stops != tc.stops || r.Measured != tc.measure || r.Layer != tc.layer {
				t.Errorf("got %+v, want status %s, cause %q, stops %v, measured %v, layer %q", r, tc.status, tc.cause, tc.stops, tc.measure, tc.layer)
			}
			if tc.node != "" && r.Node != tc.node {
				t.Errorf("on %q, want %q", r.Node, tc.node)
			}
			text := strings.Join(append(append([]string{r.Summary}, r.Evidence...), r.Fix...), "\n")
			for _, s := range tc.words {
				if !strings.Contains(text, s) {
					t.Errorf("%q lacks %q", text, s)
				}
			}
			switch {
			case r.Summary == "":
				t.Error("no sentence")
			case r.Status == Wrong && (len(r.Fix) == 0 || len(r.Evidence) == 0):
				t.Errorf("what is wrong needs evidence and something to do: %+v", r)
			case r.Status != Wrong && (r.Stops || r.Cause != ""):
				t.Errorf("what is not wrong has a cause: %+v", r)
			}
		})
	}
}
