// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// Topology: a pod whose gateway is the bridge of its node. Action: it sends from an address, and ARP for the gateway stays unanswered.
// Expectation: the source is blamed only where the node's reverse path filter really refuses it.
func TestForeignSource(t *testing.T) {
	foreign, gw := netip.MustParseAddr("172.16.9.9"), netip.MustParseAddr("10.244.1.1")
	for _, r := range []struct {
		name        string
		src         netip.Addr
		all, bridge string // rp_filter
		routes      []netstate.Route
		neigh       string
		want        string
	}{
		{"strict, the way back is the uplink", foreign, "1", "0", []netstate.Route{{Table: 254, Dst: netip.MustParsePrefix("0.0.0.0/0"), Type: "unicast", Dev: "eth0"}}, "FAILED", "foreign-source-address confirmed"},
		{"strict on the bridge, no way back", foreign, "0", "1", nil, "FAILED", "foreign-source-address confirmed"},
		{"loose, no way back", foreign, "2", "1", nil, "FAILED", "foreign-source-address confirmed"},
		{"loose, any way back will do", foreign, "2", "0", []netstate.Route{{Table: 254, Dst: netip.MustParsePrefix("0.0.0.0/0"), Type: "unicast", Dev: "eth0"}}, "FAILED", "pod-gateway-no-arp confirmed"},
		{"no filter", foreign, "0", "0", nil, "FAILED", "pod-gateway-no-arp confirmed"},
		{"its own address", client, "1", "1", []netstate.Route{{Table: 254, Dst: netip.MustParsePrefix("10.244.1.0/24"), Type: "unicast", Dev: "cni0"}}, "FAILED", "pod-gateway-no-arp confirmed"},
		{"the gateway has answered since", foreign, "1", "0", nil, "REACHABLE", "foreign-source-address likely"},
	} {
		change := func(s *netstate.Snapshot) {
			node, pod := &s.Namespaces[0], &s.Namespaces[1]
			node.Host, node.Node = true, "node1"
			node.Sysctls["net.ipv4.conf.all.rp_filter"], node.Sysctls["net.ipv4.conf.cni0.rp_filter"] = r.all, r.bridge
			node.Routes = r.routes
			node.Links = append(node.Links, netstate.Link{Name: "cni0", Index: 77, Addrs: []netip.Prefix{netip.PrefixFrom(gw, 24)}})
			pod.Routes = []netstate.Route{{Table: 254, Dst: netip.MustParsePrefix("0.0.0.0/0"), Type: "unicast", Dev: "eth0", Gateway: gw}}
			pod.Neighs = []netstate.Neigh{{Dev: "eth0", IP: gw, State: r.neigh}}
		}
		before, after := state(), state()
		change(before)
		change(after)
		js := lostAt(journey.Hop{Location: "neigh_invalidate", Reason: "NEIGH_FAILED", Dev: "eth0", Where: inPod(), Node: "node1", NetNS: podNS, Tuple: &journey.Tuple{Src: r.src, Sport: 40000, Dst: server, Dport: 8081}})
		v := Judge(&Input{Flow: Flow{Proto: "tcp", Src: client.String(), Dst: server.String(), Dport: 8081}, Journeys: js, Before: before, After: after})
		if got := v.Cause + " " + string(v.Confidence); got != r.want {
			t.Errorf("%s: %s, want %s: %s", r.name, got, r.want, strings.Join(v.Evidence, "; "))
		}
	}
}
