// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

// Topology: a node with a firewall. Action: a rule drops the tunnel's packet. Expectation: the advice is a command that the tool accepts.
func TestFirewallAdvice(t *testing.T) {
	outer := &journey.Tuple{Src: nodeIP, Sport: 50000, Dst: otherIP, Dport: 8472}
	outer6 := &journey.Tuple{Src: netip.MustParseAddr("fd00::1"), Sport: 50000, Dst: netip.MustParseAddr("fd00::2"), Dport: 8472}
	drop := func(hook string, outer *journey.Tuple, r *journey.Rule) []journey.Journey {
		return lostAt(journey.Hop{Location: "nf_hook_slow", Hook: hook, Outer: outer, Dev: "eth0", Rule: r})
	}
	ipt := func(family, table, chain string, alternatives int) *journey.Rule {
		return &journey.Rule{Backend: "iptables-nft", Family: family, Table: table, Chain: chain, Number: 1, Verdict: "DROP", Certainty: "inferred", Alternatives: alternatives}
	}
	nft := func(handle uint64) *journey.Rule {
		return &journey.Rule{Backend: "nft", Family: "inet", Table: "fw", Chain: "in", Handle: handle, Verdict: "DROP", Certainty: "exact"}
	}
	const sure, likely = "dropped underlay host-firewall-drops-tunnel confirmed", "dropped underlay host-firewall-drops-tunnel likely"
	judgeAll(t, []judged{
		{"in the filter table", Input{Journeys: drop("INPUT", outer, ipt("ip", "filter", "INPUT", 0))}, nil, sure, "on node1: iptables-nft -I INPUT -p udp --dport 8472 -s 192.168.50.1 -j ACCEPT"},
		{"in another table and chain", Input{Journeys: drop("PREROUTING", outer, ipt("ip", "raw", "HARDENING", 0))}, nil, sure, "iptables-nft -t raw -I HARDENING -p udp"},
		{"IPv6", Input{Journeys: drop("INPUT", outer6, ipt("ip6", "filter", "INPUT", 0))}, nil, sure, "ip6tables-nft -I INPUT"},
		{"one of two rules", Input{Journeys: drop("INPUT", outer, ipt("ip", "filter", "INPUT", 1))}, nil, likely, "1 other rules fit"},
		{"nftables", Input{Journeys: drop("INPUT", outer, nft(7))}, nil, sure, "nft list chain inet fw in: accept udp/8472 from 192.168.50.1 before its rule with handle 7"},
		{"the policy of nftables", Input{Journeys: drop("INPUT", outer, nft(0))}, nil, sure, "before its policy drops"},
		{"no rule, IPv6", Input{Journeys: drop("INPUT", outer6, nil)}, nil, likely, "ip6tables -I INPUT -p udp --dport 8472 -s fd00::1"},
		{"no rule, where the filter table has no chain", Input{Journeys: drop("PREROUTING", outer, nil)}, nil, likely, "iptables-save | grep PREROUTING"},
	})
}

// Topology: a policy's chain on the way. Action: it drops a request, or an answer. Expectation: an answer is judged by its request, with less
// certainty, and nobody is told to open a client's port.
func TestPoliciesAndAnswers(t *testing.T) {
	drop := func(backend, family, table string) []journey.Journey {
		return lostAt(journey.Hop{Location: "nf_hook_slow", Hook: "FORWARD", Rule: &journey.Rule{Backend: backend, Family: family, Table: table, Chain: "cali-tw-veth1", Number: 6, Verdict: "DROP", Owner: "Calico", Policy: true, Certainty: "exact"}})
	}
	answer := drop("iptables-legacy", "ip", "filter")
	answer[0].Direction, answer[0].Packet.Flags, answer[0].Packet.Tuple = journey.Reply, "SYN,ACK", journey.Tuple{Src: server, Sport: 8081, Dst: client, Dport: 40000}
	asked := func(proto string, src, dst netip.Addr, port uint16) (string, bool) {
		return strings.Join([]string{proto, src.String(), dst.String()}, " "), port == 8081
	}
	const sure = "dropped application network-policy-drop confirmed"
	judgeAll(t, []judged{
		{"nftables", Input{Journeys: drop("nft", "ip", "calico")}, nil, sure, "nft list chain ip calico cali-tw-veth1 shows"},
		{"another table", Input{Journeys: drop("iptables-nft", "ip", "mangle")}, nil, sure, "iptables-nft -t mangle -L cali-tw-veth1 -vn"},
		{"IPv6", Input{Journeys: drop("iptables-legacy", "ip6", "filter")}, nil, sure, "ip6tables-legacy -L cali-tw-veth1 -vn"},
		{"an answer", Input{Journeys: answer, Policies: asked}, nil, "dropped application network-policy-drop likely", "allow it (tcp 10.244.1.10 10.244.2.20)"},
		{"an answer's advice", Input{Journeys: answer}, nil, "dropped application network-policy-drop likely", "do they allow 10.244.1.10 to reach port 8081 of 10.244.2.20?"},
	})
}
