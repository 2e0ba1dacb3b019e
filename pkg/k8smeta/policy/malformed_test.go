// SPDX-License-Identifier: Apache-2.0

package policy

// The API server refuses all of these; a policy from a file may still have them.

func whyPeers(fault string) string {
	return "ingress: policy shop/peers selects pod shop/web and no rule of it allows tcp/8080 from shop/client " +
		"(ingress rule 0 of policy shop/peers " + fault + ")"
}

func whyPorts(fault string) string {
	return "ingress: policy shop/ports selects pod shop/web and no rule of it allows tcp/8080 from shop/client " +
		"(ingress rule 0 of policy shop/ports " + fault + ")"
}

// denied is the connection that all these policies would allow if they were understood.
func denied(why string) []probe {
	return []probe{{flow: "shop/client > shop/web tcp/8080", want: "deny ingress", why: why}}
}

var malformedScenarios = []scenario{
	{
		name:     "a malformed cidr never matches",
		policies: ingressFrom(`[{ipBlock: {cidr: 10.0.0.0/33}}]`),
		probes:   denied(whyPeers(`has a malformed cidr "10.0.0.0/33", which never matches`)),
	},
	{
		name:     "an address is no cidr",
		policies: ingressFrom(`[{ipBlock: {cidr: 10.0.1.11}}]`),
		probes:   denied(whyPeers(`has a malformed cidr "10.0.1.11", which never matches`)),
	},
	{
		name:     "a malformed cidr does not hide its neighbour",
		policies: ingressFrom(`[{ipBlock: {cidr: nonsense}}, {podSelector: {}}]`),
		probes: []probe{{flow: "shop/client > shop/web tcp/8080", want: "allow",
			why: "ingress: ingress rule 0 of policy shop/peers allows tcp/8080 from shop/client"}},
	},
	{
		name:     "a malformed except closes its block",
		policies: ingressFrom(`[{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.2.0/24, oops]}}]`),
		probes: join(denied(whyPeers(`has a malformed except "oops", so that its ipBlock never matches`)), []probe{
			{flow: "blog/web > shop/web tcp/8080", want: "deny ingress",
				why: "ingress: policy shop/peers selects pod shop/web and no rule of it allows tcp/8080 from blog/web"}}),
	},
	{
		name:     "a peer that names nothing",
		policies: ingressFrom(`[{}]`),
		probes:   denied(whyPeers("has a peer that names nothing, which never matches")),
	},
	{
		name:     "a block beside a selector",
		policies: ingressFrom(`[{ipBlock: {cidr: 0.0.0.0/0}, podSelector: {}}]`),
		probes:   denied(whyPeers("has a peer with both an ipBlock and a selector, which never matches")),
	},
	{
		name:     "a malformed pod selector among peers",
		policies: ingressFrom(`[{podSelector: {matchExpressions: [{key: app, operator: Like, values: [cl]}]}}]`),
		probes:   denied(whyPeers("has a malformed podSelector among its peers, which never matches")),
	},
	{
		name:     "a malformed namespace selector",
		policies: ingressFrom(`[{namespaceSelector: {matchLabels: {"a b": c}}}]`),
		probes:   denied(whyPeers("has a malformed namespaceSelector, which never matches")),
	},
	{
		name: "a policy with a malformed selector selects nothing",
		policies: `
metadata: {namespace: shop, name: bad}
spec: {podSelector: {matchExpressions: [{key: app, operator: In, values: []}]}}
`,
		probes: []probe{{flow: "shop/client > shop/web tcp/8080", want: "allow",
			why: "ingress: no policy selects pod shop/web for ingress (policy shop/bad has a malformed podSelector, which selects nothing)"}},
	},
	{
		name:     "a protocol that does not exist",
		policies: ingressPorts(`[{protocol: tcp, port: 8080}]`),
		probes:   denied(whyPorts(`has a protocol "tcp" that is none of TCP, UDP and SCTP, which never matches`)),
	},
	{
		name:     "endPort beside a named port",
		policies: ingressPorts(`[{port: http, endPort: 9000}]`),
		probes:   denied(whyPorts("has an endPort without a numeric port, which never matches")),
	},
	{
		name:     "endPort without a port",
		policies: ingressPorts(`[{endPort: 9000}]`),
		probes:   denied(whyPorts("has an endPort without a numeric port, which never matches")),
	},
	{
		name:     "endPort below its port",
		policies: ingressPorts(`[{port: 9000, endPort: 8000}]`),
		probes:   denied(whyPorts("has an impossible port range 9000 to 8000, which never matches")),
	},
	{
		name:     "ports out of range",
		policies: ingressPorts(`[{port: 0, endPort: 8080}, {port: -1}, {port: 8080, endPort: 65536}]`),
		probes: denied("ingress: policy shop/ports selects pod shop/web and no rule of it allows tcp/8080 from shop/client " +
			"(ingress rule 0 of policy shop/ports has an impossible port range 0 to 8080, which never matches; " +
			"ingress rule 0 of policy shop/ports has an impossible port range -1 to -1, which never matches; " +
			"ingress rule 0 of policy shop/ports has an impossible port range 8080 to 65536, which never matches)"),
	},
	{
		name:     "a number as a string is a name",
		policies: ingressPorts(`[{port: "8080"}]`),
		probes:   denied(whyPorts(`names port "8080", but pod shop/web has no tcp port of that name`)),
	},
	{
		name:     "many faults stay one sentence",
		policies: ingressPorts(`[{port: a}, {port: 0}, {endPort: 1}, {protocol: X}, {port: b}]`),
		probes: denied("ingress: policy shop/ports selects pod shop/web and no rule of it allows tcp/8080 from shop/client " +
			`(ingress rule 0 of policy shop/ports names port "a", but pod shop/web has no tcp port of that name; ` +
			"ingress rule 0 of policy shop/ports has an impossible port range 0 to 0, which never matches; " +
			"ingress rule 0 of policy shop/ports has an endPort without a numeric port, which never matches; and 2 more faults)"),
	},
	{
		name: "faults of peers come before faults of ports",
		policies: `
metadata: {namespace: shop, name: ports}
spec: {podSelector: {}, ingress: [{from: [{}], ports: [{port: 0}]}]}
`,
		probes: denied("ingress: policy shop/ports selects pod shop/web and no rule of it allows tcp/8080 from shop/client " +
			"(ingress rule 0 of policy shop/ports has a peer that names nothing, which never matches; " +
			"ingress rule 0 of policy shop/ports has an impossible port range 0 to 0, which never matches)"),
	},
	{
		name: "a fault that changes nothing is not mentioned",
		policies: `
metadata: {namespace: shop, name: ports}
spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: oops}}], ports: [{port: 1}]}]}
`,
		probes: denied("ingress: policy shop/ports selects pod shop/web and no rule of it allows tcp/8080 from shop/client"),
	},
}
