// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

// rules is a ruleset of a backend with one table of n rules.
func rules(backend string, n int) ruleset.Ruleset {
	return ruleset.Ruleset{Backend: backend, Family: "ip", Tables: []ruleset.Table{{Name: "filter", Chains: []ruleset.Chain{{Name: "FORWARD", Rules: make([]ruleset.Rule, n)}}}}}
}

func TestFirewallChecks(t *testing.T) {
	reset := func(policy bool) journey.Hop {
		return journey.Hop{Location: "nf_hook_slow", Reason: "NETFILTER_DROP", Hook: "FORWARD", Rule: rule(journey.Rule{Chain: "FORWARD", Number: 1, Verdict: "REJECT", Text: "-j REJECT --reject-with tcp-reset", Owner: "node firewall", Policy: policy})}
	}
	back := arrivedAt(2, journey.Reply, 40)
	back.Packet.Flags, back.Packet.Tuple = "RST,ACK", journey.Tuple{Src: server, Sport: 8081, Dst: client, Dport: 40000}
	drop := func(hook string) journey.Hop {
		return journey.Hop{Location: "nf_hook_slow", Reason: "NETFILTER_DROP", Hook: hook, Rule: rule(journey.Rule{Chain: hook, Number: 1, Verdict: "DROP", Owner: "node firewall"})}
	}
	nodePort := drop("PREROUTING")
	nodePort.Tuple = &journey.Tuple{Src: client, Dst: nodeIP, Dport: 30080}
	plain := nodePort
	plain.Rule = nil
	invalid := nodePort
	invalid.Step = "conntrack-full"
	ranges := drop("FORWARD")
	ranges.Ref = &journey.Ref{Kind: "Service", Namespace: "shop", Name: "web"}
	ranges.Rule = rule(journey.Rule{Chain: "KUBE-PROXY-FIREWALL", Number: 1, Verdict: "DROP", Owner: "kube-proxy", Why: "traffic not accepted", Comment: "shop/web:http traffic not accepted by KUBE-FW-X"})
	maybe := ranges
	maybe.Rule = rule(*ranges.Rule)
	maybe.Rule.Alternatives = 2
	sets := func(legacy, nft int) func(*netstate.Snapshot) {
		return func(s *netstate.Snapshot) {
			s.Namespaces[0].Rulesets = []ruleset.Ruleset{rules("iptables-legacy", legacy), rules("iptables-nft", nft)}
		}
	}
	judgeAll(t, []judged{
		{"a reset that was seen", Input{Journeys: append(lostAt(reset(false)), back)}, nil, "rejected application rejected-with-reset confirmed", "a reset with the server's address"},
		{"a reset that only the client saw", Input{Journeys: lostAt(reset(false)), Probe: &probe.Result{Result: probe.Refused}}, nil, "rejected application rejected-with-reset confirmed", "tcp-reset"},
		{"a reset that nobody saw", Input{Journeys: lostAt(reset(false))}, nil, "rejected application rejected-with-reset likely", "tcp-reset"},
		{"a reset of a policy", Input{Journeys: lostAt(reset(true))}, nil, "dropped application network-policy-drop confirmed", ""},
		{"the other backend is in use", Input{Journeys: lostAt(drop("FORWARD"))}, sets(1, 40), "dropped pod-network legacy-nft-mix confirmed", "iptables-nft has 40 rules"},
		{"this backend is in use", Input{Journeys: lostAt(drop("FORWARD"))}, sets(40, 1), "dropped pod-network netfilter-drop likely", ""},
		{"there is one backend", Input{Journeys: lostAt(drop("FORWARD"))}, nil, "dropped pod-network netfilter-drop likely", ""},
		{"a NodePort", Input{Journeys: lostAt(nodePort)}, nil, "dropped service nodeport-filtered confirmed", "rules in INPUT do not matter"},
		{"a NodePort without the rule", Input{Journeys: lostAt(plain)}, nil, "dropped service nodeport-filtered likely", "30080"},
		{"a NodePort that conntrack drops", Input{Journeys: lostAt(invalid)}, nil, "dropped service conntrack-full confirmed", ""},
		{"not a NodePort", Input{Journeys: lostAt(drop("PREROUTING"))}, nil, "dropped pod-network netfilter-drop likely", ""},
		{"source ranges", Input{Journeys: lostAt(ranges)}, nil, "dropped service lb-source-ranges confirmed", "/32 to loadBalancerSourceRanges of Service shop/web"},
		{"source ranges, or another rule", Input{Journeys: lostAt(maybe)}, nil, "dropped service lb-source-ranges likely", ""},
	})
}
