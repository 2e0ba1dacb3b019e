// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// programs puts an eBPF program at a hook of a device.
func programs(l *netstate.Link, hook string) {
	l.Programs = append(l.Programs, netstate.Program{Hook: hook, Name: "cil_from_contai", ID: 42})
}

// atUplink puts one at node1's.
func atUplink(hook string) func(*world) {
	return func(w *world) { programs(w.node1.Link("eth0"), hook) }
}

// bare takes the rules away, as of a node on which kube-proxy never ran.
func bare(w *world) { w.rules1, w.rules2, w.six = "", "", "" }

// cilium is the healthy world as Cilium makes it by default: no kube-proxy, pods' devices on no bridge, their network routed to cilium_host, and
// programs at tc that translate and hand over. Its one tunnel device has neither VNI nor forwarding entries of its own.
func cilium(w *world) {
	bare(w)
	for _, n := range []*netstate.Namespace{w.node1, w.node2} {
		for i := range n.Links {
			switch l := &n.Links[i]; {
			case l.Name == "cni0":
				l.Name, l.Kind, l.PeerIndex = "cilium_host", "veth", 9
			case l.Name == "flannel.1":
				l.Name, l.Kind, l.VXLAN, l.Addrs = "cilium_vxlan", "vxlan", &netstate.VXLAN{Port: 8472}, nil
			case l.Master != 0:
				l.Master, l.Hairpin = 0, nil
			}
			programs(&n.Links[i], netstate.HookIngress)
		}
		n.Links = append(n.Links, netstate.Link{Index: 9, Name: "cilium_net", Kind: "veth", MTU: 1450, Up: true, PeerIndex: 3})
		own := n.Link("cilium_host").Addrs[0].Addr()
		for i := range n.Routes {
			if r := &n.Routes[i]; r.Dev == "cni0" || r.Dev == "flannel.1" {
				r.Dev, r.Gateway = "cilium_host", own
			}
		}
		n.Routes = append(n.Routes, netstate.Route{Table: 254, Dst: netip.PrefixFrom(own, 32), Type: "unicast", Dev: "cilium_host"})
		n.Neighs, n.FDB = n.Neighs[1:], nil
	}
}

// What eBPF programs do in the place of bridges, routes and rules is no fault: nothing that stops the flow is found in a healthy cluster of Cilium.
func TestCilium(t *testing.T) {
	for name, to := range map[string]func(*world){"pod on another node": func(*world) {}, "pod on the same node": (*world).toNear, "Service": (*world).toService, "DNS server": (*world).toDNS,
		"NodePort": func(w *world) { w.in.Dst, w.in.Dport = ip("192.168.50.1"), 30080 }} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			to(w)
			cilium(w)
			for _, r := range Run(w.input(t), nil) {
				if r.Status == Wrong {
					t.Errorf("%s: %s %q", r.Check, r.Summary, r.Evidence)
				}
			}
		})
	}
}

// Each of kube-proxy's three modes leaves something by which it is known, whichever Services it serves.
func TestHasKubeProxy(t *testing.T) {
	table := func(name, chain string) ruleset.Ruleset {
		return ruleset.Ruleset{Tables: []ruleset.Table{{Name: name, Chains: []ruleset.Chain{{Name: "PREROUTING"}, {Name: chain}}}}}
	}
	native := func(name string) ruleset.Ruleset {
		return ruleset.Ruleset{NFT: &ruleset.NFT{Tables: []ruleset.NFTTable{{Family: "ip", Name: name}}}}
	}
	for _, tc := range []struct {
		name string
		n    netstate.Namespace
		want bool
	}{
		{"nothing", netstate.Namespace{}, false},
		{"iptables", netstate.Namespace{Rulesets: []ruleset.Ruleset{table("filter", "INPUT"), table("nat", "KUBE-SERVICES")}}, true},
		{"the kubelet's chain", netstate.Namespace{Rulesets: []ruleset.Ruleset{table("mangle", "KUBE-KUBELET-CANARY")}}, false},
		{"nftables", netstate.Namespace{Rulesets: []ruleset.Ruleset{native("kube-proxy")}}, true},
		{"somebody else's table", netstate.Namespace{Rulesets: []ruleset.Ruleset{native("firewalld")}}, false},
		{"IPVS", netstate.Namespace{IPVS: &ruleset.IPVS{Servers: []ruleset.VirtualServer{{Proto: "tcp"}}}}, true},
		{"IPVS without virtual servers", netstate.Namespace{IPVS: &ruleset.IPVS{}}, false},
	} {
		if got := hasKubeProxy(&tc.n); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
