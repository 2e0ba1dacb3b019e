// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func TestMTUChecks(t *testing.T) {
	big := journey.Hop{Location: "ip_forward", Reason: "PKT_TOO_BIG", Dev: "cni0", ICMP: "fragmentation needed"}
	unsaid := big
	unsaid.Reason = ""
	from := func(js []journey.Journey) []journey.Journey {
		js[0].Packet.Src = server // the pod of the test's state
		js[0].Packet.Dst = client
		return js
	}
	mtus := func(pod, tunnel, uplink int) func(*netstate.Snapshot) {
		return func(s *netstate.Snapshot) {
			s.Namespaces[1].Links[0].MTU, s.Namespaces[0].Links[2].MTU, s.Namespaces[0].Links[0].MTU = pod, tunnel, uplink
			s.Namespaces[0].Routes[0].Dst = netip.MustParsePrefix("0.0.0.0/0")
		}
	}
	gone := lostAt(journey.Hop{Location: "nf_hook_slow", Reason: "NETFILTER_DROP", Hook: "INPUT", Where: inPod(), NetNS: podNS, Rule: rule(journey.Rule{Chain: "INPUT", Number: 1, Verdict: "DROP", Text: "-p icmp -j DROP"})})[0]
	gone.ID, gone.Direction, gone.Packet = 2, journey.Related, journey.Packet{Proto: "icmp", ICMP: "fragmentation needed"}
	arrived := arrivedAt(2, journey.Related, 576)
	arrived.Packet.ICMP = "fragmentation needed"
	df := journey.Hop{Location: "ip_fragment", Reason: "NOT_SPECIFIED", Dev: "eth0", ICMP: "fragmentation needed", Outer: &journey.Tuple{Src: nodeIP, Dst: otherIP, Dport: 8472}}
	judgeAll(t, []judged{
		{"the pod's MTU", Input{Journeys: from(lostAt(big))}, mtus(1500, 1450, 1500), "dropped pod-network pod-mtu-too-large confirmed", "eth0 in web has MTU 1500, flannel.1 on node1 has 1450"},
		{"the pod's MTU, without a reason", Input{Journeys: from(lostAt(unsaid))}, mtus(1500, 1450, 1500), "dropped pod-network pod-mtu-too-large confirmed", "less the tunnel's headers"},
		{"the MTUs agree", Input{Journeys: from(lostAt(big))}, mtus(1450, 1450, 1500), "dropped pod-network pod-mtu-too-large likely", ""},
		{"the error is dropped", Input{Journeys: append(from(lostAt(big)), gone)}, mtus(1500, 1450, 1500), "dropped pod-network mtu-blackhole confirmed", "-p icmp -j DROP"},
		{"the error arrives", Input{Journeys: append(from(lostAt(big)), arrived)}, mtus(1500, 1450, 1500), "dropped pod-network pod-mtu-too-large confirmed", ""},
		{"the tunnel's packet", Input{Journeys: lostAt(df)}, mtus(1450, 1450, 1400), "dropped underlay tunnel-df-too-big confirmed", "has MTU 1450 and needs 50 more, eth0 has 1400"},
		{"the tunnel's packet, and the MTUs fit", Input{Journeys: lostAt(df)}, mtus(1450, 1450, 1500), "dropped underlay tunnel-df-too-big likely", "goes to the node itself"},
	})
}
