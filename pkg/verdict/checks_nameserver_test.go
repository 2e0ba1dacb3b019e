// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// Topology: a pod whose resolv.conf names an address that Kubernetes does not know. Action: its queries leave the node. Expectation: only an address
// that the cluster itself gives out, or a link-local one, is called wrong; a resolver outside is not.
func TestWhichNameserversAreWrong(t *testing.T) {
	unnamed := func(string, netip.Addr, uint16) string { return "" }
	asking := func(server string) Input {
		j := goneAt(1, 60)
		j.Packet.Proto, j.Packet.Dst, j.Packet.Dport, j.Hops[0].Outer = "udp", netip.MustParseAddr(server), 53, nil
		return Input{Flow: Flow{Proto: "udp", Src: client.String(), Dst: server, Dport: 53}, Name: unnamed, Journeys: []journey.Journey{j}}
	}
	iptables := func(text, comment string) func(*netstate.Snapshot) {
		return func(s *netstate.Snapshot) {
			s.Namespaces[0].Rulesets = []ruleset.Ruleset{{Backend: "iptables-legacy", Tables: []ruleset.Table{{Name: "nat", Chains: []ruleset.Chain{{Name: "KUBE-SERVICES", Rules: []ruleset.Rule{{Text: text, Comment: comment}}}}}}}}
		}
	}
	nft := func(elements string) func(*netstate.Snapshot) {
		return func(s *netstate.Snapshot) {
			s.Namespaces[0].Rulesets = []ruleset.Ruleset{{Backend: "nft", NFT: &ruleset.NFT{Tables: []ruleset.NFTTable{{Family: "ip", Name: "kube-proxy",
				Sets: []ruleset.NFTSet{{Name: "nodeport-ips", Elem: json.RawMessage(`["10.96.0.9"]`)}, {Name: "cluster-ips", Elem: json.RawMessage(elements)}}}}}}}
		}
	}
	dns := iptables("-d 10.96.0.10/32 -p udp -m comment --comment \"kube-system/kube-dns:dns cluster IP\" -j KUBE-SVC-X", "kube-system/kube-dns:dns cluster IP")
	six := iptables("-d fd00:10:96::a/128 -p udp -j KUBE-SVC-X", "kube-system/kube-dns:dns cluster IP")
	const wrong, left = "lost dns dns-wrong-nameserver likely", "lost underlay left-node inconclusive"
	judgeAll(t, []judged{
		{"NodeLocal DNSCache that is gone", asking("169.254.20.10"), nil, wrong, "clusterDNS"},
		{"NodeLocal DNSCache elsewhere", asking("169.254.25.10"), nil, wrong, ""},
		{"a cloud's own resolver", asking("169.254.169.253"), dns, left, ""},
		{"beside a ClusterIP", asking("10.96.0.99"), dns, wrong, ""},
		{"beside a ClusterIP, nftables", asking("10.96.0.99"), nft(`["10.96.0.10"]`), wrong, ""},
		{"beside a ClusterIP, IPv6", asking("fd00:10:96::63"), six, wrong, ""},
		{"far from the ClusterIPs", asking("8.8.8.8"), dns, left, ""},
		{"far from the ClusterIPs, IPv6", asking("2001:4860:4860::8888"), six, left, ""},
		{"beside an external IP", asking("10.96.0.99"), iptables("-d 10.96.0.10/32 -j KUBE-EXT-X", "a/b external IP"), left, ""},
		{"ClusterIPs that are not known", asking("10.96.0.99"), nft(`[{"prefix":{"addr":"10.96.0.0","len":16}}]`), left, ""},
	})
}
