// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// Topology: a pod, which forwards nothing. Action: a packet for another address comes to it. Expectation: the pod is not told to forward.
func TestPacketsThatComeToTheWrongPod(t *testing.T) {
	far := netip.MustParseAddr("10.244.2.30")
	stray := func(reason string) journey.Hop {
		return journey.Hop{Location: "ip_error", Reason: reason, Dev: "eth0", Where: inPod(), NetNS: podNS, Node: "node1", Tuple: &journey.Tuple{Src: client, Sport: 40000, Dst: far, Dport: 8081}}
	}
	forwards := func(v string) func(*netstate.Snapshot) {
		return func(s *netstate.Snapshot) { s.Namespaces[1].Sysctls = map[string]string{"net.ipv4.ip_forward": v} }
	}
	unread := stray("IP_INADDRERRORS")
	unread.NetNS = 99
	here := stray("IP_INADDRERRORS")
	here.Tuple = nil
	judgeAll(t, []judged{
		{"an address that it does not have", Input{Journeys: lostAt(stray("IP_INADDRERRORS"))}, forwards("0"), "dropped pod-network route-drop likely", "no device in shop/web has the address 10.244.2.30"},
		{"on a kernel without reasons", Input{Journeys: lostAt(stray(""))}, forwards("0"), "dropped pod-network route-drop likely", "ip route get 10.244.2.30"},
		{"a pod that was not read", Input{Journeys: lostAt(unread)}, nil, "dropped pod-network route-drop likely", "a route to it is stale"},
		{"a pod that forwards and has no route", Input{Journeys: lostAt(stray("IP_INNOROUTES"))}, forwards("1"), "dropped pod-network route-missing confirmed", ""},
		{"an address that it has by now", Input{Journeys: lostAt(here)}, forwards("0"), "dropped application route-drop likely", "no known failure"},
	})
}

// The packet that carries the pods' one is judged by its own addresses, and is the underlay's.
func TestRoutesOfTheTunnelsPackets(t *testing.T) {
	outer := &journey.Tuple{Src: otherIP, Sport: 50000, Dst: nodeIP, Dport: 8472}
	filtered := journey.Hop{Location: "ip_rcv_finish_core", Reason: "IP_RPFILTER", Dev: "eth0", Outer: outer}
	inner := filtered
	inner.Dev, inner.Outer = "flannel.1", nil
	swallowed := journey.Hop{Location: "ip_error", Reason: "NOT_SPECIFIED", Outer: outer}
	looked := route("", "EINVAL")
	looked.Outer = outer
	to := func(dst, dev, kind string) func(*netstate.Snapshot) {
		return func(s *netstate.Snapshot) {
			s.Namespaces[0].Routes = append(s.Namespaces[0].Routes, netstate.Route{Table: 254, Dst: netip.MustParsePrefix(dst), Type: kind, Dev: dev})
		}
	}
	judgeAll(t, []judged{
		{"another way back to the node", Input{Journeys: lostAt(filtered)}, to("192.168.50.2/32", "eth1", "unicast"), "dropped underlay rp-filter confirmed", "the way back to 192.168.50.2 leads to eth1"},
		{"the same way back to the node", Input{Journeys: lostAt(filtered)}, to("192.168.50.2/32", "eth0", "unicast"), "dropped underlay rp-filter likely", "sysctl -w net.ipv4.conf.eth0.rp_filter=0"},
		{"a device with a dot", Input{Journeys: lostAt(inner)}, to("10.244.1.0/24", "cni0", "unicast"), "dropped pod-network rp-filter confirmed", "sysctl -w net/ipv4/conf/flannel.1/rp_filter=0 net.ipv4.conf.all.rp_filter=0"},
		{"a blackhole for the node", Input{Journeys: lostAt(swallowed, looked)}, to("192.168.50.0/24", "", "blackhole"), "dropped underlay blackhole-route confirmed", "blackhole 192.168.50.0/24"},
		{"a blackhole for the pods", Input{Journeys: lostAt(swallowed)}, to("10.244.2.20/32", "", "blackhole"), "dropped underlay route-drop likely", ""},
	})
}
