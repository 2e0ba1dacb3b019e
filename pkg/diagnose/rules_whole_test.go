// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// sixRule puts a rule into the filter table of both nodes, for IPv6.
func sixRule(rule string) func(*world) {
	return func(w *world) {
		w.six = strings.TrimSuffix(w.six, "COMMIT\n") + rule + "\nCOMMIT\n"
	}
}

// rule1 puts a rule into node1's filter table.
func rule1(rule string) func(*world) {
	return func(w *world) { w.rules1 = strings.TrimSuffix(w.rules1, "COMMIT\n") + rule + "\nCOMMIT\n" }
}

// rule2 puts one into node2's.
func rule2(rule string) func(*world) {
	return func(w *world) { w.rules2 = strings.TrimSuffix(w.rules2, "COMMIT\n") + rule + "\nCOMMIT\n" }
}

// proxyHelp is what there is to do about kube-proxy on a node.
func proxyHelp(node string) []string {
	return []string{"on " + node + ": curl -s http://127.0.0.1:10256/healthz", "kubectl -n kube-system get pods -o wide | grep kube-proxy: is it running on this node, and what does its log say?"}
}

func TestServiceRulesWhole(t *testing.T) {
	whole(t, "service-rules", []exact{
		{name: "dual stack, the IPv6 address is called: the IPv6 rules are compared with the IPv6 endpoints", broken: sixService(nil), want: Result{
			Status:  OK,
			Summary: "the rules of node1 send to the 2 endpoints of the EndpointSlices",
		}},
		{name: "dual stack, kube-proxy has only IPv4 rules: not programmed", broken: sixService(func(w *world) { w.six = "" }), want: Result{
			Status: Wrong, Cause: "service-not-programmed", Node: "node1", Stops: true,
			Summary:  "packets to Service shop/web are not translated on node1: kube-proxy has no rule for it there",
			Evidence: []string{"rules: none of node1 translates [fd00:96::80]:80"},
			Fix:      proxyHelp("node1"),
		}},
		{name: "dual stack, the IPv6 rules have an address that no pod has: stale", broken: sixService(func(w *world) {
			w.six = strings.ReplaceAll(w.six, "fd00:244:2::20", "fd00:244:2::99")
		}), want: Result{
			Status: Wrong, Cause: "stale-endpoint", Node: "node1",
			Summary:  "the rules of node1 send Service shop/web to [fd00:244:2::99]:8080, which is no endpoint of it",
			Evidence: []string{"rules: 2 destinations, 1 of them in no EndpointSlice"},
			Fix:      proxyHelp("node1"),
		}},
		{name: "the only endpoint terminates and serves, and the rules have it: equal", broken: asService(func(w *world) { onlyFar(w); leaves(w, 0, true) }), want: Result{
			Status:  OK,
			Summary: "the rules of node1 send to the 1 endpoints of the EndpointSlices",
		}},
		{name: "two terminate and serve, and the rules have one: one is missing", broken: asService(func(w *world) {
			leaves(w, 0, true)
			leaves(w, 1, true)
			w.rules1 = strings.ReplaceAll(w.rules1, "10.244.2.20:8080\n", "10.244.1.20:8080\n")
		}), want: Result{
			Status: Wrong, Cause: "stale-endpoint", Node: "node1",
			Summary:  "the rules of node1 lack the endpoint 10.244.2.20:8080 of Service shop/web",
			Evidence: []string{"rules: 1 destinations, the EndpointSlices have 2 to use"},
			Fix:      proxyHelp("node1"),
		}},
		{name: "session affinity and one endpoint in the rules: that is how it should be", broken: asService(func(w *world) {
			w.objs.Services[0].Affinity = true
			w.rules1 = strings.ReplaceAll(w.rules1, "10.244.2.20:8080\n", "10.244.1.20:8080\n")
		}), want: Result{
			Status:  OK,
			Summary: "the rules of node1 send to the 1 endpoints of the EndpointSlices",
		}},
		{name: "the sender has no route to the Service: nothing is said of rules that its packets do not meet", broken: asService(func(w *world) { w.client.Routes = nil; w.rules1 = "" }), want: Result{
			Status:  Unknown,
			Summary: "the flow does not get so far: none of its packets reaches the rules of node1",
		}},
		{name: "a load balancer's address without a rule: the node does not translate it", broken: func(w *world) {
			w.objs.Services[0].LoadBalancers = []netip.Addr{ip("203.0.113.80")}
			w.in.Dst, w.in.Dport = ip("203.0.113.80"), 80
		}, want: Result{
			Status: Wrong, Cause: "nodeport-closed", Node: "node1", Stops: true,
			Summary:  "node1 does not translate 203.0.113.80:80, a port of Service shop/web",
			Evidence: []string{"rules: none of node1 translates it"},
			Fix:      proxyHelp("node1"),
		}},
		{name: "the other node's NodePort: its rules count, not the sender's", broken: func(w *world) {
			w.in.Dst, w.in.Dport, w.rules1 = ip("192.168.50.2"), 30080, ""
		}, want: Result{
			Status:  OK,
			Summary: "the rules of node2 send to the 2 endpoints of the EndpointSlices",
		}},
		{name: "the other node's NodePort has no rule there: the other node is told", broken: func(w *world) {
			w.in.Dst, w.in.Dport, w.rules2 = ip("192.168.50.2"), 30080, ""
		}, want: Result{
			Status: Wrong, Cause: "nodeport-closed", Node: "node2", Stops: true,
			Summary:  "node2 does not translate 192.168.50.2:30080, a port of Service shop/web",
			Evidence: []string{"rules: none of node2 translates it"},
			Fix:      proxyHelp("node2"),
		}},
		{name: "IPVS, one server is drained: the others count", broken: asService(func(w *world) {
			w.rules1, w.node1.IPVS = "", &ruleset.IPVS{Servers: []ruleset.VirtualServer{{Proto: "tcp", Addr: ip("10.96.0.80"), Port: 80, Scheduler: "rr", Real: []ruleset.RealServer{
				{Addr: ip("10.244.1.20"), Port: 8080, Method: "masquerading"}, {Addr: ip("10.244.2.20"), Port: 8080, Method: "masquerading", Weight: 1}}}}}
		}), want: Result{
			Status:  OK,
			Summary: "IPVS on node1 has 1 real servers, all of them endpoints",
		}},
		{name: "IPVS, no Kubernetes: whether its servers are endpoints is not claimed", broken: asService(func(w *world) {
			w.rules1, w.node1.IPVS = "", &ruleset.IPVS{Servers: []ruleset.VirtualServer{{Proto: "tcp", Addr: ip("10.96.0.80"), Port: 80, Scheduler: "rr", Real: []ruleset.RealServer{
				{Addr: ip("10.244.2.20"), Port: 8080, Method: "masquerading", Weight: 1}}}}}
			w.unnamed()
		}), want: Result{
			Status:  OK,
			Summary: "IPVS on node1 has 1 real servers; whether they are endpoints is not known",
		}},
	})
}

func TestForwardRulesWhole(t *testing.T) {
	whole(t, "forward-rules", []exact{
		{name: "dual stack, the IPv6 FORWARD policy drops: told with ip6tables", broken: both((*world).dual, func(w *world) {
			w.six = strings.Replace(w.six, ":FORWARD ACCEPT", ":FORWARD DROP", 1)
		}), want: Result{
			Status: Wrong, Layer: PodNetwork, Cause: "forward-policy-drop", Node: "node1", Stops: true,
			Summary:  "node1 does not forward pod packets: policy DROP of chain FORWARD (ip6tables-legacy), and no rule accepts the flow",
			Evidence: []string{"rules: ip6tables-legacy, table filter, chain FORWARD, policy DROP (node firewall's rule)"},
			Fix: []string{
				"on node1: ip6tables-legacy -P FORWARD ACCEPT, or let the CNI plugin write its accepting rules again (restart its pod on this node)",
				"find what set the policy: Docker does when it starts",
			},
		}},
		{name: "dual stack, an IPv4 rule drops everything: IPv6 passes", broken: both((*world).dual, rule1("-A FORWARD -j DROP")), want: Result{
			Status:  OK,
			Summary: "no rule of the nodes drops the flow",
		}},
		{name: "dual stack, an IPv6 rule drops the pod: found", broken: both((*world).dual, sixRule("-A FORWARD -d fd00:244:2::20/128 -j DROP")), want: Result{
			Status: Wrong, Layer: PodNetwork, Cause: "netfilter-drop", Node: "node1", Stops: true,
			Summary:  "a rule of node1's firewall drops the flow to shop/far ([fd00:244:2::20]:8080) in FORWARD",
			Evidence: []string{"rules: ip6tables-legacy, table filter, chain FORWARD, rule 1: -d fd00:244:2::20/128 -j DROP (node firewall's rule)"},
			Fix:      []string{"on node1: ip6tables-legacy, table filter, chain FORWARD: remove the rule, or let the flow pass before it"},
		}},
		{name: "the other node's rule rejects: the other node is told", broken: rule2("-A FORWARD -p tcp -m tcp --dport 8080 -j REJECT --reject-with icmp-port-unreachable"), want: Result{
			Status: Wrong, Layer: PodNetwork, Cause: "netfilter-drop", Node: "node2", Stops: true,
			Summary:  "a rule of node2's firewall rejects the flow to shop/far (10.244.2.20:8080) in FORWARD",
			Evidence: []string{"rules: iptables-legacy, table filter, chain FORWARD, rule 1: -p tcp -m tcp --dport 8080 -j REJECT --reject-with icmp-port-unreachable (node firewall's rule)"},
			Fix:      []string{"on node2: iptables-legacy, table filter, chain FORWARD: remove the rule, or let the flow pass before it"},
		}},
		{name: "a rule drops new connections of the sender after one accepts them: the first counts", broken: both(rule1("-A FORWARD -s 10.244.1.10/32 -j ACCEPT"), rule1("-A FORWARD -s 10.244.1.10/32 -j DROP")), want: Result{
			Status:  OK,
			Summary: "no rule of the nodes drops the flow",
		}},
		{name: "one connection of four is dropped: it does not stop the flow", broken: rule1("-A FORWARD -m statistic --mode random --probability 0.25 -j DROP"), want: Result{
			Status: Wrong, Layer: PodNetwork, Cause: "netfilter-drop", Node: "node1",
			Summary:  "a rule of node1's firewall drops the flow to shop/far (10.244.2.20:8080) in FORWARD (for 25% of connections)",
			Evidence: []string{"rules: iptables-legacy, table filter, chain FORWARD, rule 1: -m statistic --mode random --probability 0.25 -j DROP (node firewall's rule)"},
			Fix:      []string{"on node1: iptables-legacy, table filter, chain FORWARD: remove the rule, or let the flow pass before it"},
		}},
		{name: "DNS over TCP to a server on the other node is dropped: names cannot be resolved", broken: both(func(w *world) { w.in.Dport = 53 }, rule1("-A FORWARD -p tcp -m tcp --dport 53 -j DROP")), want: Result{
			Status: Wrong, Layer: DNS, Cause: "dns-blocked-by-policy", Node: "node1", Stops: true,
			Summary:  "names cannot be resolved: a rule of node1's firewall drops the flow to shop/far (10.244.2.20:53) in FORWARD",
			Evidence: []string{"rules: iptables-legacy, table filter, chain FORWARD, rule 1: -p tcp -m tcp --dport 53 -j DROP (node firewall's rule)"},
			Fix:      []string{"on node1: iptables-legacy, table filter, chain FORWARD: remove the rule, or let the flow pass before it"},
		}},
		{name: "the sender's ipsets could not be read: not known", broken: func(w *world) { w.node1.Unread = []string{"ipsets could not be read: EPERM"} }, want: Result{
			Status:  Unknown,
			Summary: "in node1: ipsets could not be read: EPERM",
		}},
		{name: "the other node's rules could not be read: not known", broken: func(w *world) { w.node2.Unread = []string{"iptables-nft rules could not be read: EPERM"} }, want: Result{
			Status:  Unknown,
			Summary: "in node2: iptables-nft rules could not be read: EPERM",
		}},
	})
}

func TestPolicyRulesWhole(t *testing.T) {
	const weave = "*filter\n:FORWARD ACCEPT [0:0]\n:WEAVE-NPC - [0:0]\n-A FORWARD -d 10.244.1.20/32 -j WEAVE-NPC\n-A WEAVE-NPC -j DROP\nCOMMIT\n"
	whole(t, "policy-rules", []exact{
		{name: "Weave's chain drops the flow to a pod on the sender's node: a NetworkPolicy", broken: func(w *world) { w.toNear(); w.rules1 = weave }, want: Result{
			Status: Wrong, Layer: Application, Cause: "network-policy-drop", Node: "node1", Stops: true,
			Summary:  "a NetworkPolicy drops the flow to shop/near (10.244.1.20:8080): Weave's chain WEAVE-NPC on node1",
			Evidence: []string{"rules: iptables-legacy, table filter, chain WEAVE-NPC, rule 1: -j DROP (Weave's rule)"},
			Fix:      []string{"kubectl get networkpolicy -A, and allow the flow"},
		}},
		{name: "Weave's chain drops for one of two endpoints: half of the connections", broken: asService(func(w *world) {
			w.rules1 = strings.TrimSuffix(w.rules1, "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n") + weave
		}), want: Result{
			Status: Wrong, Layer: Application, Cause: "network-policy-drop", Node: "node1",
			Summary:  "a NetworkPolicy drops the flow to shop/near (10.244.1.20:8080): Weave's chain WEAVE-NPC on node1 (for 50% of connections)",
			Evidence: []string{"rules: iptables-legacy, table filter, chain WEAVE-NPC, rule 1: -j DROP (Weave's rule)"},
			Fix:      []string{"kubectl get networkpolicy -A, and allow the flow"},
		}},
		{name: "Weave's chain drops another pod's flows: this one passes", broken: func(w *world) { w.rules1 = weave }, want: Result{
			Status:  OK,
			Summary: "no rule of a NetworkPolicy or in a pod drops the flow",
		}},
		{name: "a rule in the sender's own pod drops before the node sees the packet: the pod is told", broken: func(w *world) {
			rs, _, err := ruleset.Parse(strings.NewReader("*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -d 10.244.2.20/32 -j DROP\nCOMMIT\n"), "iptables-nft", "ip")
			if err != nil {
				panic(err)
			}
			w.client.Rulesets = []ruleset.Ruleset{rs}
		}, want: Result{
			Status: Wrong, Layer: Application, Cause: "netfilter-drop", Node: "node1", Stops: true,
			Summary:  "a rule of client's firewall drops the flow to shop/far (10.244.2.20:8080) in OUTPUT",
			Evidence: []string{"rules: iptables-nft, table filter, chain OUTPUT, rule 1: -d 10.244.2.20/32 -j DROP (node firewall's rule)"},
			Fix:      []string{"on client: iptables-nft, table filter, chain OUTPUT: remove the rule, or let the flow pass before it"},
		}},
		{name: "a policy's chain drops a query: names cannot be resolved, which is the layer of DNS", broken: func(w *world) {
			w.toDNS()
			w.rules1 = strings.ReplaceAll(weave, "10.244.1.20", "10.244.2.20")
		}, want: Result{
			Status:  OK,
			Summary: "no rule of a NetworkPolicy or in a pod drops the flow, but for one of another layer",
		}},
		{name: "a match that is not known stands before a policy's drop: it may drop", broken: rule1("-A FORWARD -m bpf --bytecode x -j DROP"), want: Result{
			Status:  Unknown,
			Summary: "a rule may drop the flow: a match on the way to it is not known: rules: iptables-legacy, table filter, chain FORWARD, rule 1: -m bpf --bytecode x -j DROP (node firewall's rule)",
		}},
		{name: "the target's node is not here: its policies cannot be seen", broken: (*world).onlyHere, want: Result{
			Status:   Unknown,
			Summary:  "node2 is not on this kernel: run nettrace there too",
			Evidence: []string{"seen: none of node1 does"},
		}},
	})
}

func TestTunnelFirewallWhole(t *testing.T) {
	whole(t, "tunnel-firewall", []exact{
		{name: "dual stack, IPv6 tunnel: its packets have IPv6 addresses and pass", broken: (*world).dual, want: Result{
			Status:  OK,
			Summary: "node1's rules let udp/8472 pass; node2's rules let udp/8472 pass",
		}},
		{name: "dual stack, IPv6 tunnel dropped in INPUT: the IPv6 rules and ip6tables are told", broken: both((*world).dual, sixRule("-A INPUT -s fd00:50::1/128 -p udp -m udp --dport 8472 -j DROP")), want: Result{
			Status: Wrong, Cause: "host-firewall-drops-tunnel", Node: "node2", Stops: true,
			Summary:  "node2's firewall drops VXLAN fd00:50::1 → fd00:50::2 udp/8472 in INPUT",
			Evidence: []string{"rules: ip6tables-legacy, table filter, chain INPUT, rule 1: -s fd00:50::1/128 -p udp -m udp --dport 8472 -j DROP (node firewall's rule)"},
			Fix:      []string{"on node2: ip6tables -I INPUT -p udp --dport 8472 -s fd00:50::1 -j ACCEPT (or the same in the firewall's own configuration: allow udp/8472 between the nodes)"},
		}},
		{name: "dual stack, only the IPv4 tunnel is dropped: the IPv6 flow does not need it", broken: both((*world).dual, rule2("-A INPUT -p udp -m udp --dport 8472 -j DROP")), want: Result{
			Status:  OK,
			Summary: "node1's rules let udp/8472 pass; node2's rules let udp/8472 pass",
		}},
		{name: "a match that is not known stands before a drop: it may drop, which is no cause", broken: rule2("-A INPUT -p udp -m bpf --bytecode x -j DROP"), want: Result{
			Status:   Unknown,
			Summary:  "a rule of node2 may drop VXLAN 192.168.50.1 → 192.168.50.2 udp/8472 in INPUT: a match on the way to it is not known",
			Evidence: []string{"seen: node1's rules let udp/8472 pass; node2's rules let udp/8472 pass"},
		}},
		{name: "a program decides (NFQUEUE): not known", broken: rule2("-A INPUT -p udp -m udp --dport 8472 -j NFQUEUE --queue-num 0"), want: Result{
			Status:   Unknown,
			Summary:  "node2's rules do not decide about VXLAN 192.168.50.1 → 192.168.50.2 udp/8472",
			Evidence: []string{"seen: node1's rules let udp/8472 pass; node2's rules let udp/8472 pass"},
		}},
		{name: "one packet of two is dropped: it does not stop the flow", broken: rule2("-A INPUT -p udp -m udp --dport 8472 -m statistic --mode random --probability 0.5 -j DROP"), want: Result{
			Status: Wrong, Cause: "host-firewall-drops-tunnel", Node: "node2",
			Summary:  "node2's firewall drops VXLAN 192.168.50.1 → 192.168.50.2 udp/8472 in INPUT",
			Evidence: []string{"rules: iptables-legacy, table filter, chain INPUT, rule 1: -p udp -m udp --dport 8472 -m statistic --mode random --probability 0.5 -j DROP (node firewall's rule)"},
			Fix:      []string{"on node2: iptables -I INPUT -p udp --dport 8472 -s 192.168.50.1 -j ACCEPT (or the same in the firewall's own configuration: allow udp/8472 between the nodes)"},
		}},
		{name: "a rule that may drop stands before one that does: which of them is not known, and neither is told as the cause", broken: both(rule2("-A INPUT -p udp -m bpf --bytecode x -j DROP"), rule2("-A INPUT -p udp -j DROP")), want: Result{
			Status:   Unknown,
			Summary:  "a rule of node2 may drop VXLAN 192.168.50.1 → 192.168.50.2 udp/8472 in INPUT: a match on the way to it is not known",
			Evidence: []string{"seen: node1's rules let udp/8472 pass; node2's rules let udp/8472 pass"},
		}},
		{name: "the other node's addresses are not known: nor are the tunnel's packets", broken: func(w *world) { w.onlyHere(); w.objs.Nodes = nil; w.objs.Pods[2].Node = "node2" }, want: Result{
			Status:  Unknown,
			Summary: "the addresses between which flannel.1 of node1 sends are not known",
		}},
	})
}

func TestNodePortWhole(t *testing.T) {
	unknownPort := func(port uint16, broken func(*world)) func(*world) {
		return func(w *world) {
			w.in.Dst, w.in.Dport = ip("192.168.50.2"), port
			w.unnamed()
			if broken != nil {
				broken(w)
			}
		}
	}
	whole(t, "node-port", []exact{
		{name: "the other node's port, which only its rules know: translated there", broken: unknownPort(30080, nil), want: Result{
			Status:  OK,
			Summary: "node2 translates port 30080 to 10.244.1.20:8080",
		}},
		{name: "the other node's port that nobody knows: closed there", broken: unknownPort(30099, nil), want: Result{
			Status: Wrong, Cause: "nodeport-closed", Node: "node2", Stops: true,
			Summary:  "node2 has neither a rule nor a listener for port 30099",
			Evidence: []string{"state: node2 listens on tcp ports (none)"},
			Fix:      []string{"is kube-proxy running on node2? kubectl get svc -A | grep 30099"},
		}},
		{name: "the other node's port, a process of it listens: that one answers", broken: unknownPort(30099, func(w *world) {
			w.node2.Sockets = []netstate.Socket{{Proto: "tcp", Local: netip.MustParseAddrPort("0.0.0.0:30099"), Process: "node-exporter"}}
		}), want: Result{
			Status:  OK,
			Summary: "a process on node2 listens on port 30099",
		}},
		{name: "a process listens on it with the other protocol: closed, and nothing else listens", broken: unknownPort(30099, func(w *world) {
			w.node2.Sockets = []netstate.Socket{{Proto: "udp", Local: netip.MustParseAddrPort("0.0.0.0:30099")}}
		}), want: Result{
			Status: Wrong, Cause: "nodeport-closed", Node: "node2", Stops: true,
			Summary:  "node2 has neither a rule nor a listener for port 30099",
			Evidence: []string{"state: node2 listens on tcp ports (none)"},
			Fix:      []string{"is kube-proxy running on node2? kubectl get svc -A | grep 30099"},
		}},
		{name: "a node that is not here: no port of its own is looked at", broken: unknownPort(30080, (*world).onlyHere), want: Result{
			Status:  NotApplicable,
			Summary: "the destination is no NodePort, or is one of a Service that is known",
		}},
		{name: "the first port below the range: no NodePort", broken: unknownPort(29999, nil), want: Result{
			Status:  NotApplicable,
			Summary: "the destination is no NodePort, or is one of a Service that is known",
		}},
		{name: "the last of the range: a NodePort", broken: unknownPort(32767, nil), want: Result{
			Status: Wrong, Cause: "nodeport-closed", Node: "node2", Stops: true,
			Summary:  "node2 has neither a rule nor a listener for port 32767",
			Evidence: []string{"state: node2 listens on tcp ports (none)"},
			Fix:      []string{"is kube-proxy running on node2? kubectl get svc -A | grep 32767"},
		}},
		{name: "the first above: none", broken: unknownPort(32768, nil), want: Result{
			Status:  NotApplicable,
			Summary: "the destination is no NodePort, or is one of a Service that is known",
		}},
	})
}
