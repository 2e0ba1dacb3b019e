// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

func TestCarriers(t *testing.T) {
	node6 := netip.MustParseAddr("fd00:50::2")
	pod6 := netip.MustParseAddr("fd00:244::2")
	for _, tc := range []struct {
		inner netip.Addr
		outer journey.Tuple
		want  Carrier
	}{
		{client, journey.Tuple{Dst: otherIP, Dport: 8472}, Carrier{"VXLAN", "udp", "-p udp --dport 8472", "udp/8472", "udp port 8472", 50}},
		{client, journey.Tuple{Dst: node6, Dport: 4789}, Carrier{"VXLAN", "udp", "-p udp --dport 4789", "udp/4789", "udp port 4789", 70}},
		{client, journey.Tuple{Dst: otherIP, Dport: 6081}, Carrier{"Geneve", "udp", "-p udp --dport 6081", "udp/6081", "udp port 6081", 50}},
		{client, journey.Tuple{Dst: otherIP}, Carrier{"IP-in-IP", "IP protocol 4", "-p 4", "IP protocol 4", "ip proto 4", 20}},
		{pod6, journey.Tuple{Dst: otherIP}, Carrier{"IP-in-IP", "IP protocol 41", "-p 41", "IP protocol 41", "ip proto 41", 20}},
		{pod6, journey.Tuple{Dst: node6}, Carrier{"IP-in-IP", "IP protocol 41", "-p 41", "IP protocol 41", "ip6 proto 41", 40}},
	} {
		if got := CarrierOf(tc.inner, &tc.outer); got != tc.want {
			t.Errorf("%v inside %v: %+v, want %+v", tc.inner, tc.outer, got, tc.want)
		}
	}
}

// Topology: two nodes with IP-in-IP between them, the other one watched or not. Action: packets are lost on the way. Expectation: what is said and
// advised is of the protocol that carries them, which has no ports.
func TestWhatIPInIPLoses(t *testing.T) {
	gone := func(id int, length uint32) journey.Journey {
		j := goneAt(id, length)
		j.Hops[0].Outer = &journey.Tuple{Src: nodeIP, Dst: otherIP}
		return j
	}
	timeout := &probe.Result{Result: probe.Timeout}
	all := func(js ...journey.Journey) []journey.Journey { return js }
	tooBig := lostAt(journey.Hop{Location: "ip_fragment", Reason: "PKT_TOO_BIG", Dev: "eth0", Outer: &journey.Tuple{Src: nodeIP, Dst: otherIP}})
	judgeAll(t, []judged{
		{"all", Input{Journeys: all(gone(1, 60)), Probe: timeout}, nil, "lost underlay tunnel-lost-in-fabric likely", "allow IP protocol 4 between the nodes"},
		{"all, to look at", Input{Journeys: all(gone(1, 60)), Probe: timeout}, nil, "lost underlay tunnel-lost-in-fabric likely", "tcpdump -ni eth0 ip proto 4"},
		{"all, in words", Input{Journeys: all(gone(1, 60)), Probe: timeout}, nil, "lost underlay tunnel-lost-in-fabric likely", "inside IP protocol 4 192.168.50.1 → 192.168.50.2;"},
		{"large ones", Input{Journeys: all(arrivedAt(1, journey.Request, 60), gone(2, 1400)), Probe: timeout}, nil, "lost underlay underlay-mtu-silent likely", "inside IP-in-IP (20 bytes more)"},
		{"too large for the uplink", Input{Journeys: tooBig}, nil, "dropped underlay tunnel-df-too-big likely", "the tunnel's and 20 more"},
		{"to a node that is not the pod's, by its route", Input{Journeys: all(gone(1, 60)), Probe: timeout}, func(s *netstate.Snapshot) {
			s.Namespaces = append(s.Namespaces, netstate.Namespace{Inode: 14, Name: "node3", Node: "node3", Host: true})
			s.Namespaces[1].Node = "node3"
		}, "lost underlay tunnel-lost-in-fabric likely", ""},
	})
}
