// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// exact is a world in which something is so, and all that a check says of it. The name states where the ends are, what is so, and what that means.
type exact struct {
	name   string
	broken func(*world)
	want   Result
}

// whole runs one check over worlds and compares its whole answer.
func whole(t *testing.T, name string, all []exact) {
	t.Helper()
	c := registered(t, name)
	for _, tc := range all {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld()
			tc.broken(w)
			if got := c.run(w.input(t)); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("%s says\n%s\nwant\n%s", name, literal(&got), literal(&tc.want))
			}
		})
	}
}

// literal is a result line by line, so that a difference can be seen.
func literal(r *Result) string {
	return fmt.Sprintf("status %s, cause %q, layer %q, node %q, stops %v, measured %v\nsummary  %s\nevidence %s\nfix      %s", r.Status, r.Cause, r.Layer, r.Node, r.Stops, r.Measured,
		r.Summary, strings.Join(r.Evidence, "\n         "), strings.Join(r.Fix, "\n         "))
}

// proxiedSix are kube-proxy's IPv6 rules for the Service of the world.
const proxiedSix = `*nat
:PREROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-WEB - [0:0]
:KUBE-SEP-NEAR - [0:0]
:KUBE-SEP-FAR - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -d fd00:96::80/128 -p tcp -m comment --comment "shop/web:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-WEB
-A KUBE-SVC-WEB -m comment --comment "shop/web:http -> [fd00:244:1::20]:8080" -m statistic --mode random --probability 0.5 -j KUBE-SEP-NEAR
-A KUBE-SVC-WEB -m comment --comment "shop/web:http -> [fd00:244:2::20]:8080" -j KUBE-SEP-FAR
-A KUBE-SEP-NEAR -p tcp -m comment --comment "shop/web:http" -m tcp -j DNAT --to-destination [fd00:244:1::20]:8080
-A KUBE-SEP-FAR -p tcp -m comment --comment "shop/web:http" -m tcp -j DNAT --to-destination [fd00:244:2::20]:8080
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
COMMIT
`

// dual gives everything a second address, of IPv6, and the nodes a second tunnel, as flannel does: with the VNI and the port of the first. The
// client calls far's IPv6 address.
func (w *world) dual() {
	for i, n := range []*netstate.Namespace{w.node1, w.node2} {
		k, other := i+1, 2-i
		n.Link("eth0").Addrs = append(n.Link("eth0").Addrs, cidr(fmt.Sprintf("fd00:50::%d/64", k)))
		n.Link("cni0").Addrs = append(n.Link("cni0").Addrs, cidr(fmt.Sprintf("fd00:244:%d::1/64", k)))
		n.Links = append(n.Links, netstate.Link{Index: 5, Name: "flannel-v6.1", Kind: "vxlan", MTU: 1430, Up: true, Addrs: []netip.Prefix{cidr(fmt.Sprintf("fd00:244:%d::/128", k))},
			VXLAN: &netstate.VXLAN{VNI: 1, Port: 8472, Local: ip(fmt.Sprintf("fd00:50::%d", k)), Underlay: 2}})
		n.Routes = append(n.Routes, netstate.Route{Table: 254, Dst: cidr("::/0"), Type: "unicast", Dev: "eth0", Gateway: ip("fd00:50::100")},
			netstate.Route{Table: 254, Dst: cidr("fd00:50::/64"), Type: "unicast", Dev: "eth0"},
			netstate.Route{Table: 254, Dst: cidr(fmt.Sprintf("fd00:244:%d::/64", k)), Type: "unicast", Dev: "cni0"},
			netstate.Route{Table: 254, Dst: cidr(fmt.Sprintf("fd00:244:%d::/64", other)), Type: "unicast", Dev: "flannel-v6.1", Gateway: ip(fmt.Sprintf("fd00:244:%d::", other))})
		n.Neighs = append(n.Neighs, netstate.Neigh{Dev: "flannel-v6.1", IP: ip(fmt.Sprintf("fd00:244:%d::", other)), MAC: fmt.Sprintf("02:00:00:00:06:0%d", other), State: "PERMANENT"},
			netstate.Neigh{Dev: "eth0", IP: ip(fmt.Sprintf("fd00:50::%d", other)), MAC: "06:00:00:00:00:01", State: "REACHABLE"})
		n.FDB = append(n.FDB, netstate.FDBEntry{Dev: "flannel-v6.1", MAC: fmt.Sprintf("02:00:00:00:06:0%d", other), Dst: ip(fmt.Sprintf("fd00:50::%d", other))})
		n.Sysctls["net.ipv6.conf.all.forwarding"], n.Sysctls["net.bridge.bridge-nf-call-ip6tables"] = "1", "1"
		w.objs.Nodes[i].Addrs = append(w.objs.Nodes[i].Addrs, ip(fmt.Sprintf("fd00:50::%d", k)))
		w.objs.Nodes[i].PodCIDRs = append(w.objs.Nodes[i].PodCIDRs, cidr(fmt.Sprintf("fd00:244:%d::/64", k)))
	}
	for i, p := range []struct {
		ns            *netstate.Namespace
		addr, gateway string
	}{{w.client, "fd00:244:1::10", "fd00:244:1::1"}, {w.near, "fd00:244:1::20", "fd00:244:1::1"}, {w.far, "fd00:244:2::20", "fd00:244:2::1"}} {
		l := p.ns.Link("eth0")
		l.Addrs, l.MTU = append(l.Addrs, netip.PrefixFrom(ip(p.addr), 64)), 1430
		p.ns.Routes = append(p.ns.Routes, netstate.Route{Table: 254, Dst: cidr("::/0"), Type: "unicast", Dev: "eth0", Gateway: ip(p.gateway)},
			netstate.Route{Table: 254, Dst: netip.PrefixFrom(ip(p.addr), 64).Masked(), Type: "unicast", Dev: "eth0"})
		p.ns.Sockets[0].Local = netip.MustParseAddrPort("[::]:8080")
		w.objs.Pods[i].IPs = append(w.objs.Pods[i].IPs, ip(p.addr))
	}
	w.objs.Services[0].ClusterIPs = append(w.objs.Services[0].ClusterIPs, ip("fd00:96::80"))
	w.objs.Slices = append(w.objs.Slices, k8smeta.EndpointSlice{Namespace: "shop", Name: "web-6", Service: "web", Ports: []k8smeta.EndpointPort{{Name: "http", Proto: "tcp", Port: 8080}}, Endpoints: []k8smeta.Endpoint{
		{Addrs: []netip.Addr{ip("fd00:244:1::20")}, Ready: true, Serving: true, Node: "node1", Pod: "near"}, {Addrs: []netip.Addr{ip("fd00:244:2::20")}, Ready: true, Serving: true, Node: "node2", Pod: "far"}}})
	w.in.Echoes = append(w.in.Echoes, Echo{From: "node1", To: ip("fd00:50::2"), Passed: 1500}, Echo{From: "node2", To: ip("fd00:50::1"), Passed: 1500})
	w.six = proxiedSix
	w.in.Src, w.in.Dst = ip("fd00:244:1::10"), ip("fd00:244:2::20")
}

// dualService makes the Service's IPv6 address the destination.
func (w *world) dualService() {
	w.dual()
	w.in.Dst, w.in.Dport = ip("fd00:96::80"), 80
}

// sixService is dualService before something is broken.
func sixService(broken func(*world)) func(*world) {
	return func(w *world) {
		w.dualService()
		if broken != nil {
			broken(w)
		}
	}
}

// both is one thing after another.
func both(all ...func(*world)) func(*world) {
	return func(w *world) {
		for _, f := range all {
			f(w)
		}
	}
}

// A healthy dual-stack cluster: no check finds anything wrong with IPv6, nor with IPv4 beside it, and all can look.
func TestHealthyDualStack(t *testing.T) {
	for name, to := range map[string]func(*world){
		"IPv6 pod on another node": (*world).dual,
		"IPv6 Service":             (*world).dualService,
		"IPv6 pod on the same node": func(w *world) {
			w.dual()
			w.in.Dst = ip("fd00:244:1::20")
		},
		"IPv4 beside it": func(w *world) {
			w.dual()
			w.in.Src, w.in.Dst = ip("10.244.1.10"), ip("10.244.2.20")
		},
		"IPv4 beside it, and the nodes insist on the way back": func(w *world) {
			w.dual()
			w.in.Src, w.in.Dst = ip("10.244.1.10"), ip("10.244.2.20")
			w.node1.Sysctls["net.ipv4.conf.all.rp_filter"], w.node2.Sysctls["net.ipv4.conf.all.rp_filter"] = "1", "1"
		},
		"the IPv4 Service beside it": func(w *world) { w.dual(); w.in.Src = ip("10.244.1.10"); w.toService() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			to(w)
			allFine(t, w)
		})
	}
}
