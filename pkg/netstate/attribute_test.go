// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// ruled is small with rules on its node.
func ruled(sets ...ruleset.Ruleset) *Snapshot {
	s := small()
	s.Namespaces[0].Rulesets = sets
	return s
}

// dropping is the rule of FORWARD, "NUMBER BACKEND", that is found to have dropped a packet behind hops; "" for none.
func dropping(s *Snapshot, drop journey.Hop, before ...journey.Hop) string {
	j := journey.Journey{Packet: journey.Packet{Proto: "tcp", Flags: "SYN", Tuple: journey.Tuple{Src: ip("10.244.1.10"), Sport: 4, Dst: ip("10.244.1.11"), Dport: 80}}}
	drop.NetNS, drop.Stage = 1, journey.StageDrop
	j.Hops = append(before, drop)
	Attribute(s, nil, &j)
	r := j.Hops[len(before)].Rule
	if r == nil {
		return ""
	}
	return string(rune('0'+r.Number)) + " " + r.Backend
}

// Topology: br_netfilter, two ports of cni0. Action: the first rule that fits drops what goes from one to the other, as functions or only the call
// stack show it, and what is routed. Expectation: rules see the ports that the packet came in at and leaves by, and the bridge as both devices.
func TestAttributeInABridge(t *testing.T) {
	received := []journey.Hop{{NetNS: 1, Stage: journey.StageDeviceRx, Dev: "veth1"}, {NetNS: 1, Stage: journey.StageBridge, Dev: "cni0", DevKind: "bridge", Port: "veth1"}}
	hook := journey.Hop{NetNS: 1, Stage: journey.StageNetfilter, Step: "hook", Hook: "PREROUTING"}
	port := journey.Hop{NetNS: 1, Stage: journey.StageBridge, Step: "port", Dev: "cni0", DevKind: "bridge", From: "veth1", Port: "veth2"}
	behindHook := port // the hop before it is not the bridge, so it has the device of the packet
	behindHook.Dev, behindHook.DevKind = "veth1", "veth"
	own := port // the node itself sends
	own.From = "cni0"
	route := journey.Hop{NetNS: 1, Stage: journey.StageRoute, Route: &journey.Route{OIF: "eth0"}}
	drop := func(stack ...string) journey.Hop {
		return journey.Hop{Location: "nf_hook_slow", Reason: "NETFILTER_DROP", Hook: "FORWARD", Stack: append([]string{"nf_hook_slow"}, stack...)}
	}
	for _, tc := range []struct {
		name, rule string
		before     []journey.Hop
		drop       journey.Hop
		hit        bool
	}{
		{"in by the first port", "-m physdev --physdev-in veth1", []journey.Hop{port}, drop(), true},
		{"not by the second", "-m physdev --physdev-in veth2", []journey.Hop{port}, drop(), false},
		{"out by the second port", "-m physdev --physdev-out veth2", []journey.Hop{port}, drop(), true},
		{"not by the first", "-m physdev --physdev-out veth1", []journey.Hop{port}, drop(), false},
		{"from port to port", "-m physdev --physdev-is-bridged", []journey.Hop{port}, drop(), true},
		{"in and out at the bridge", "-i cni0 -o cni0", []journey.Hop{port}, drop(), true},
		{"not at another device", "-o eth0", []journey.Hop{port}, drop(), false},
		{"a hook lies between", "-i cni0 -o cni0 -m physdev --physdev-in veth1 --physdev-out veth2", []journey.Hop{hook, behindHook}, drop(), true},
		{"a rule looked a route up", "-o cni0 -m physdev --physdev-out veth2", []journey.Hop{port, route}, drop(), true},
		{"only the stack tells", "-i cni0 -o cni0 -m physdev --physdev-is-bridged", nil, drop("br_nf_forward_ip"), true},
		{"the port is not known then", "-m physdev --physdev-out veth7", nil, drop("br_nf_forward"), true},
		{"a routed packet", "-o eth0", []journey.Hop{route}, drop("ip_forward"), true},
		{"a routed packet is not bridged", "-m physdev --physdev-is-bridged", []journey.Hop{route}, drop("ip_forward"), false},
		{"what the node sends is not", "-m physdev --physdev-is-bridged", []journey.Hop{route, own}, drop(), false},
	} {
		s := ruled(rules(t, "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD "+tc.rule+" -j DROP\nCOMMIT\n", "iptables-legacy"))
		if got := dropping(s, tc.drop, append(received[:2:2], tc.before...)...); (got != "") != tc.hit {
			t.Errorf("%s: rule %q", tc.name, got)
		}
	}
}

// Topology: rules of iptables-legacy and of nftables. Action: a drop in nf_hook_slow. Expectation: the legacy rule only where it fits or where the
// kernel was seen to ask its table: before 6.7, nftables' drops are freed there as well.
func TestAttributeDropsOfEitherMachinery(t *testing.T) {
	const accept, refuse = "*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n", "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j LOG\n-A FORWARD -j DROP\nCOMMIT\n"
	asked := journey.Hop{NetNS: 1, Stage: journey.StageNetfilter, Step: "hook", Hook: "FORWARD", Tables: []string{"filter"}}
	for _, tc := range []struct {
		name, legacy, nft string
		before            []journey.Hop
		want              string
	}{
		{"only nft's rule fits", accept, refuse, nil, "2 iptables-nft"},
		{"only the legacy one fits", refuse, accept, nil, "2 iptables-legacy"},
		{"both fit, and the legacy table was asked", refuse, refuse, []journey.Hop{asked}, "2 iptables-legacy"},
		{"the legacy table was asked and does not fit", accept, refuse, []journey.Hop{asked}, ""},
	} {
		s := ruled(rules(t, tc.nft, "iptables-nft"), rules(t, tc.legacy, "iptables-legacy"))
		for _, reason := range []string{"NETFILTER_DROP", journey.Inferred + "NETFILTER_DROP"} {
			if got := dropping(s, journey.Hop{Location: "nf_hook_slow", Reason: reason, Hook: "FORWARD"}, tc.before...); got != tc.want {
				t.Errorf("%s, %s: rule %q, want %q", tc.name, reason, got, tc.want)
			}
		}
	}
}

// Topology: a firewall on the node that drops the packets of one protocol. Action: a packet inside VXLAN, inside IP-in-IP with IPv4 or IPv6.
// Expectation: the rule of the protocol around it fits, and no other.
func TestAttributeTunnelPackets(t *testing.T) {
	for proto, outer := range map[string]journey.Tuple{
		"udp": {Src: ip("192.168.50.2"), Sport: 5, Dst: ip("192.168.50.1"), Dport: 8472}, "ipencap": {Src: ip("192.168.50.2"), Dst: ip("192.168.50.1")}, "ipv6": {Src: ip("192.168.50.2"), Dst: ip("192.168.50.1")},
	} {
		s := ruled(rules(t, "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -j DROP\n-A INPUT -p "+proto+" -j DROP\n-A INPUT -j DROP\nCOMMIT\n", "iptables-legacy"))
		j := journey.Journey{Packet: journey.Packet{Proto: "tcp", Tuple: journey.Tuple{Src: ip("10.244.2.20"), Sport: 4, Dst: ip("10.244.1.10"), Dport: 80}}}
		if proto == "ipv6" {
			j.Packet.Src, j.Packet.Dst = ip("fd00::2"), ip("fd00::1")
		}
		j.Hops = []journey.Hop{{NetNS: 1, Stage: journey.StageDrop, Location: "nf_hook_slow", Hook: "INPUT", Outer: &outer}}
		Attribute(s, nil, &j)
		if r := j.Hops[0].Rule; r == nil || r.Number != 2 {
			t.Errorf("%s: %+v", proto, r)
		}
	}
}

// Topology: a rule that redirects to a port of the node, and one that masquerades everything. Action: a packet that the kernel was seen to
// redirect. Expectation: the first rule, and the translation stays what it is.
func TestAttributeARedirect(t *testing.T) {
	s := ruled(rules(t, `*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 15001
-A POSTROUTING -j MASQUERADE
COMMIT
`, "iptables-legacy"))
	to := journey.Tuple{Src: ip("10.244.1.10"), Sport: 4, Dst: ip("10.244.1.1"), Dport: 15001}
	j := journey.Journey{Packet: journey.Packet{Proto: "tcp", Flags: "SYN", Tuple: journey.Tuple{Src: ip("10.244.1.10"), Sport: 4, Dst: ip("10.244.2.20"), Dport: 80}}, Hops: []journey.Hop{
		{NetNS: 1, Stage: journey.StageDeviceRx, Dev: "veth1"},
		{NetNS: 1, Stage: journey.StageNAT, NAT: &journey.NAT{Type: "redirect", From: "10.244.2.20:80", To: "10.244.1.1:15001"}, Tuple: &to}}}
	Attribute(s, nil, &j)
	if h := j.Hops[1]; h.Rule == nil || h.Rule.Chain != "PREROUTING" || h.Rule.Verdict != "REDIRECT" || h.NAT.Type != "redirect" {
		t.Errorf("%+v, %+v", h.Rule, h.NAT)
	}
}

// Whatever a recording's snapshot holds, asking its rules about a packet's way does not end in a panic.
func FuzzAttribute(f *testing.F) {
	b, err := json.Marshal(ruled(rules(f, "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -p tcp -j REJECT --reject-with tcp-reset\nCOMMIT\n", "iptables-legacy")))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	for _, expr := range []string{`[{"match":null},{"drop":null}]`, `[{"match":{"op":"==","left":"x","right":1}},{"drop":null}]`, `[{"vmap":{"key":[],"data":{"set":[[]]}}}]`} {
		base := `{"name":"c","hook":"HOOK","type":"TYPE","rules":[{"handle":1,"expr":` + expr + `}]}`
		chains := strings.NewReplacer("HOOK", "forward", "TYPE", "filter").Replace(base) + "," + strings.NewReplacer("HOOK", "prerouting", "TYPE", "nat").Replace(base)
		f.Add([]byte(`{"namespaces":[{"inode":1,"rulesets":[{"backend":"nft","nft":{"tables":[{"family":"ip","name":"t","chains":[` + chains + `]}]}}]}]}`))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Snapshot
		if json.Unmarshal(b, &s) != nil {
			return
		}
		to := journey.Tuple{Src: ip("10.244.1.10"), Sport: 4, Dst: ip("10.244.2.20"), Dport: 8080}
		j := journey.Journey{Packet: journey.Packet{Proto: "tcp", Flags: "SYN", Tuple: journey.Tuple{Src: ip("10.244.1.10"), Sport: 4, Dst: ip("10.96.0.80"), Dport: 80}}, Hops: []journey.Hop{
			{NetNS: 1, Stage: journey.StageDeviceRx, Dev: "veth1"},
			{NetNS: 1, Stage: journey.StageNAT, NAT: &journey.NAT{Type: "dnat", From: "10.96.0.80:80", To: "10.244.2.20:8080"}, Tuple: &to},
			{NetNS: 1, Stage: journey.StageRoute, Route: &journey.Route{OIF: "eth0"}},
			{NetNS: 1, Stage: journey.StageDrop, Hook: "FORWARD", Location: "nf_hook_slow"},
		}}
		Attribute(&s, nil, &j)
	})
}
