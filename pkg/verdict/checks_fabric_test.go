// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

func TestPacketsThatTheFabricDrops(t *testing.T) {
	far := netip.MustParseAddr("10.244.2.30")
	left := func(src, dst netip.Addr, d journey.Direction) []journey.Journey {
		j := goneAt(1, 60)
		j.Packet.Src, j.Packet.Dst, j.Hops[0].Outer, j.Direction = src, dst, nil, d
		return []journey.Journey{j}
	}
	tunnelled := left(server, far, journey.Request)
	tunnelled[0].Hops[0].Outer = &journey.Tuple{Src: nodeIP, Dst: otherIP, Dport: 8472}
	through := func(dev, kind string) []journey.Journey {
		js := left(server, far, journey.Request)
		js[0].Hops[0].Dev, js[0].Hops[0].DevKind = dev, kind
		return js
	}
	encrypted, hidden := through("wg0", "wireguard"), through("tun0", "tun")
	arrived := append(left(server, far, journey.Request), arrivedAt(2, journey.Request, 60))
	watched := func(s *netstate.Snapshot) {
		s.Namespaces = append(s.Namespaces, netstate.Namespace{Inode: 14, Name: "far", Node: "node2",
			Links: []netstate.Link{{Index: 2, Name: "eth0", Kind: "veth", Addrs: []netip.Prefix{netip.PrefixFrom(far, 24)}}}})
	}
	named := Flow{Proto: "tcp", Src: server.String(), Dst: far.String(), Dport: 80, DstRef: &journey.Ref{Kind: "Pod", Namespace: "shop", Name: "far"}}
	service := Flow{Proto: "tcp", Src: server.String(), Dst: vip.String(), Dport: 80, Endpoints: []Endpoint{{Addr: "10.244.2.30:8080"}}}
	named6 := named
	named6.DstRef = &journey.Ref{Kind: "Node", Name: "node2"}
	timeout := &probe.Result{Result: probe.Timeout}
	judgeAll(t, []judged{
		{"both nodes are watched", Input{Journeys: left(server, far, journey.Request), Probe: timeout}, watched, "lost underlay fabric-drops-pod-ip likely", "node2, which has 10.244.2.30, is watched and saw nothing of it"},
		{"the answer is lost", Input{Journeys: left(server, far, journey.Reply), Probe: timeout}, watched, "lost underlay fabric-drops-pod-ip likely", "source/destination check"},
		{"one node is watched, the API names the pod", Input{Flow: named, Journeys: left(server, far, journey.Request), Probe: timeout}, nil, "lost underlay fabric-drops-pod-ip inconclusive", "run nettrace on the node of 10.244.2.30 next"},
		{"an endpoint of the Service", Input{Flow: service, Journeys: left(server, far, journey.Request), Probe: timeout}, nil, "lost underlay fabric-drops-pod-ip inconclusive", "calicoctl node status"},
		{"to a node", Input{Flow: named6, Journeys: left(server, otherIP, journey.Request), Probe: timeout}, nil, "lost underlay left-node inconclusive", ""},
		{"inside a tunnel", Input{Journeys: tunnelled, Probe: timeout}, watched, "lost underlay tunnel-lost-in-fabric likely", ""},
		{"inside WireGuard", Input{Journeys: encrypted, Probe: timeout}, watched, "lost underlay left-node inconclusive", "wg show wg0"},
		{"inside another device", Input{Journeys: hidden, Probe: timeout}, watched, "lost underlay left-node inconclusive", "tun0 is a tunnel (tun)"},
		{"others arrived", Input{Journeys: arrived, Probe: timeout}, watched, "lost underlay left-node inconclusive", ""},
		{"nothing went anywhere", Input{Probe: timeout}, watched, "unseen   inconclusive", ""},
	})
}
