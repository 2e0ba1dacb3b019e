// SPDX-License-Identifier: Apache-2.0

package policy

import "net/netip"

// egressTo is a policy that lets shop/client reach only these peers.
func egressTo(peers string) string {
	return `
metadata: {namespace: shop, name: blocks}
spec: {podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], egress: [{to: ` + peers + `}]}
`
}

// reach is one probe from shop/client for each destination.
func reach(want string, destinations ...string) []probe {
	var all []probe
	for _, d := range destinations {
		all = append(all, probe{flow: "shop/client > " + d + " tcp/443", want: want})
	}
	return all
}

var blockScenarios = []scenario{
	{
		name:     "egress to an address block",
		policies: egressTo(`[{ipBlock: {cidr: 203.0.113.0/24}}]`),
		probes:   join(reach("allow", "203.0.113.0", "203.0.113.255"), reach("deny egress", "203.0.114.0", "2001:db8::9", "shop/web")),
	},
	{
		name:     "except inside an address block",
		policies: egressTo(`[{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.8/30, 203.0.113.64/26]}}]`),
		probes:   join(reach("allow", "203.0.113.7", "203.0.113.12"), reach("deny egress", "203.0.113.8", "203.0.113.11", "203.0.113.100")),
	},
	{
		name: "an address in the except of one rule and the block of another is allowed",
		policies: `
metadata: {namespace: shop, name: a-except}
spec:
  podSelector: {matchLabels: {app: client}}
  policyTypes: [Egress]
  egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.9/32]}}]}]
---
metadata: {namespace: shop, name: b-allow}
spec: {podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 203.0.113.9/32}}]}]}
`,
		probes: []probe{
			{flow: "shop/client > 203.0.113.9 tcp/443", want: "allow", by: "egress shop/b-allow#0"},
			{flow: "shop/client > 203.0.113.10 tcp/443", want: "allow", by: "egress shop/a-except#0"},
		},
	},
	{
		name:     "an except is undone by another peer of the same rule",
		policies: egressTo(`[{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.2.0/24]}}, {namespaceSelector: {matchLabels: {team: blue}}}]`),
		probes:   join(reach("allow", "blog/web", "shop/web"), reach("deny egress", "10.0.2.99")),
	},
	{
		name:     "a block matches the addresses of pods too",
		policies: egressTo(`[{ipBlock: {cidr: 10.0.1.10/32}}]`),
		probes:   join(reach("allow", "shop/web"), reach("deny egress", "shop/db")),
	},
	{
		name:     "all of IPv4 is not IPv6",
		policies: egressTo(`[{ipBlock: {cidr: 0.0.0.0/0}}]`),
		probes:   join(reach("allow", "203.0.113.9", "blog/web"), reach("deny egress", "2001:db8::9", "ops/six")),
	},
	{
		name:     "an IPv6 block with except",
		policies: egressTo(`[{ipBlock: {cidr: "2001:db8::/32", except: ["2001:db8:2::/48"]}}]`),
		probes:   join(reach("allow", "2001:db8::9", "ops/six"), reach("deny egress", "2001:db8:2::1", "2001:db9::1", "10.0.1.10")),
	},
	{
		name:     "IPv4 in IPv6 notation is IPv4 in addresses and blocks",
		policies: egressTo(`[{ipBlock: {cidr: 203.0.113.0/24}}, {ipBlock: {cidr: "::ffff:198.51.100.0/120"}}]`),
		probes:   join(reach("allow", "::ffff:203.0.113.9", "198.51.100.7"), reach("deny egress", "::ffff:192.0.2.1", "198.51.101.7")),
	},
	{
		name:     "bits behind the mask do not count",
		policies: egressTo(`[{ipBlock: {cidr: 203.0.113.77/24}}]`),
		probes:   join(reach("allow", "203.0.113.1"), reach("deny egress", "203.0.112.1")),
	},
	{
		name:     "the zone of a link-local address does not count",
		policies: egressTo(`[{ipBlock: {cidr: "fe80::/10"}}]`),
		probes:   join(reach("allow", "fe80::1%eth0"), reach("deny egress", "2001:db8::1")),
	},
	{
		name:     "ingress from an address block",
		policies: ingressFrom(`[{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.9/32]}}]`),
		probes:   join(from("allow", "203.0.113.1"), from("deny ingress", "203.0.113.9", "192.0.2.1", "shop/client")),
	},
	{
		name:     "an end without an address is in no block",
		policies: egressTo(`[{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: "::/0"}}]`),
		change:   func(c cluster) { c["node/lost"] = &End{Addr: netip.Addr{}} },
		probes: []probe{{flow: "shop/client > node/lost tcp/443", want: "deny egress",
			why: "egress: policy shop/blocks selects pod shop/client and no rule of it allows tcp/443 to an unknown address"}},
	},
}
