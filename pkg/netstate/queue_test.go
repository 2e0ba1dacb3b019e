// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// Topology: a node with a rule that drops other traffic and one that hands the flow to a program. Action: the kernel cannot put the packet into the
// queue (nf_queue frees it). Expectation: the rule with the queue, of iptables or of nftables, and no rule that drops.
func TestAttributeAQueueThatNobodyReads(t *testing.T) {
	const save = "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -d 10.244.2.20/32 -p tcp -m tcp --dport 9090 -j DROP\n-A FORWARD -d 10.244.2.20/32 -p tcp -j NFQUEUE --queue-num 41\nCOMMIT\n"
	const listing = `{"nftables":[{"table":{"family":"ip","name":"ids","handle":1}},{"chain":{"family":"ip","table":"ids","name":"inspect","handle":1,"type":"filter","hook":"forward","prio":5,"policy":"accept"}},
{"rule":{"family":"ip","table":"ids","chain":"inspect","handle":4,"expr":[{"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":8080}},{"queue":{"num":41}}]}}]}`
	nft, warnings, err := ruleset.ParseNFT(strings.NewReader(listing), func(string, string) bool { return false })
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	for name, tc := range map[string]struct {
		rules ruleset.Ruleset
		chain string
	}{
		"iptables": {rules(t, save, "iptables-legacy"), "FORWARD"},
		"nftables": {ruleset.Ruleset{Backend: "nft", NFT: nft}, "inspect"},
	} {
		s := small()
		s.Namespaces[0].Rulesets = []ruleset.Ruleset{tc.rules}
		j := journey.Journey{Packet: journey.Packet{Proto: "tcp", Flags: "SYN", Tuple: journey.Tuple{Src: ip("10.244.1.10"), Sport: 4, Dst: ip("10.244.2.20"), Dport: 8080}}, Hops: []journey.Hop{
			{NetNS: 1, Stage: journey.StageDeviceRx, Dev: "veth1"},
			{NetNS: 1, Stage: journey.StageRoute, Route: &journey.Route{OIF: "flannel.1"}},
			{NetNS: 1, Stage: journey.StageDrop, Location: "nf_queue", Hook: "FORWARD", CT: &journey.CT{State: "NEW"}},
		}}
		Attribute(s, nil, &j)
		if r := j.Hops[2].Rule; r == nil || r.Chain != tc.chain || !strings.Contains(strings.ToLower(r.Text+r.Verdict), "queue") || r.Alternatives != 0 {
			t.Errorf("%s: %+v", name, r)
		}
		record := said("FORWARD", "rule", 2) // the kernel told of the rule
		if name == "nftables" {
			record = saidNFT("inspect", "rule", "queue", 4)
			record.Family, record.Table = 2, "ids"
		}
		record.Packet.Src, record.Packet.Dst, record.Packet.Sport, record.Packet.Dport = j.Packet.Src, j.Packet.Dst, j.Packet.Sport, j.Packet.Dport
		record.Packet.IPID, record.Packet.Seq = j.Packet.IPID, j.Packet.Seq
		var traced Traced
		traced.Add(s, &record)
		Attribute(s, &traced, &j)
		if r := j.Hops[2].Rule; r == nil || r.Chain != tc.chain || r.Certainty != exact {
			t.Errorf("%s, told by the kernel: %+v", name, r)
		}
		j.Hops[2].Rule, j.Packet.Dport = nil, 22 // no rule of nftables asks for that
		Attribute(s, nil, &j)
		if r := j.Hops[2].Rule; (r != nil) != (name == "iptables") {
			t.Errorf("%s, another port: %+v", name, r)
		}
	}
}
