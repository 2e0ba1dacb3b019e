// SPDX-License-Identifier: Apache-2.0

package policy

const denyIngress = `
metadata: {namespace: shop, name: deny-all}
spec: {podSelector: {}, policyTypes: [Ingress]}
`

var ingressScenarios = []scenario{
	{
		name: "without policies everything is allowed",
		probes: []probe{
			{flow: "blog/client > shop/web tcp/8080", want: "allow", why: "ingress: no policy selects pod shop/web for ingress"},
			{flow: "blog/client > shop/web tcp/8080", want: "allow", why: "egress: no policy selects pod blog/client for egress"},
			{flow: "203.0.113.9 > shop/web tcp/8080", want: "allow", why: "egress: 203.0.113.9 is no pod of this cluster, and policies select pods only"},
		},
	},
	{
		name:     "default deny ingress",
		policies: denyIngress,
		probes: []probe{
			{flow: "shop/client > shop/web tcp/8080", want: "deny ingress",
				why: "ingress: policy shop/deny-all selects pod shop/web and no rule of it allows tcp/8080 from shop/client"},
			{flow: "blog/client > shop/db tcp/5432", want: "deny ingress"},
			{flow: "203.0.113.9 > shop/web tcp/8080", want: "deny ingress",
				why: "ingress: policy shop/deny-all selects pod shop/web and no rule of it allows tcp/8080 from 203.0.113.9"},
			{flow: "shop/web > blog/client tcp/80", want: "allow"},
			{flow: "shop/web > 203.0.113.9 tcp/443", want: "allow"},
			{flow: "blog/client > ops/prom tcp/9090", want: "allow"},
		},
	},
	{
		name: "default deny all",
		policies: `
metadata: {namespace: shop, name: deny-all}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
`,
		probes: []probe{
			{flow: "shop/client > shop/web tcp/8080", want: "deny both",
				why: "egress: policy shop/deny-all selects pod shop/client and no rule of it allows tcp/8080 to shop/web"},
			{flow: "blog/client > shop/web tcp/8080", want: "deny ingress"},
			{flow: "shop/client > blog/web tcp/80", want: "deny egress"},
			{flow: "blog/client > blog/web tcp/80", want: "allow"},
		},
	},
	{
		name: "a policy of one namespace says nothing about another",
		policies: `
metadata: {namespace: blog, name: deny-all}
spec: {podSelector: {}}
`,
		probes: []probe{
			{flow: "blog/client > shop/web tcp/8080", want: "allow"},
			{flow: "shop/client > blog/web tcp/80", want: "deny ingress"},
		},
	},
	{
		name: "only the pods selected are isolated",
		policies: `
metadata: {namespace: shop, name: web}
spec: {podSelector: {matchLabels: {app: web}}}
`,
		probes: []probe{
			{flow: "shop/client > shop/web tcp/8080", want: "deny ingress"},
			{flow: "shop/client > shop/db tcp/5432", want: "allow"},
			{flow: "shop/client > blog/web tcp/80", want: "allow"},
		},
	},
	{
		name: "a selector by expression chooses the isolated pods",
		policies: `
metadata: {namespace: shop, name: not-web}
spec: {podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [web]}]}}
`,
		probes: []probe{
			{flow: "shop/client > shop/web tcp/8080", want: "allow"},
			{flow: "shop/client > shop/db tcp/5432", want: "deny ingress"},
		},
	},
	{
		name: "allow-all policy",
		policies: `
metadata: {namespace: shop, name: allow-all}
spec: {podSelector: {}, ingress: [{}]}
`,
		probes: []probe{
			{flow: "blog/client > shop/web tcp/8080", want: "allow", by: "ingress shop/allow-all#0",
				why: "ingress: ingress rule 0 of policy shop/allow-all allows tcp/8080 from blog/client"},
			{flow: "203.0.113.9 > shop/web udp/53", want: "allow", by: "ingress shop/allow-all#0"},
			{flow: "node/n2 > shop/web icmp/0", want: "allow", why: "ingress: ingress rule 0 of policy shop/allow-all allows icmp from node n2"},
		},
	},
	{
		name: "an empty list of peers or ports restricts nothing",
		policies: `
metadata: {namespace: shop, name: empty-lists}
spec: {podSelector: {}, ingress: [{from: [], ports: []}]}
`,
		probes: []probe{
			{flow: "blog/client > shop/web tcp/8080", want: "allow", by: "ingress shop/empty-lists#0"},
			{flow: "203.0.113.9 > shop/db sctp/1", want: "allow"},
		},
	},
	{
		name: "an empty list of rules allows nothing",
		policies: `
metadata: {namespace: shop, name: no-rules}
spec: {podSelector: {}, ingress: [], egress: []}
`,
		probes: []probe{
			{flow: "shop/client > shop/web tcp/8080", want: "deny ingress"},
			{flow: "shop/client > blog/web tcp/80", want: "allow"},
		},
	},
	{
		name: "replies are implied",
		policies: `
metadata: {namespace: shop, name: web}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress], ingress: [{}]}
`,
		probes: []probe{
			{flow: "shop/client > shop/web tcp/8080", want: "allow"},
			{flow: "shop/web > shop/client tcp/8080", want: "deny egress"},
		},
	},
	{
		name: "a policy without podSelector selects the whole namespace",
		policies: `
metadata: {namespace: shop, name: bare}
spec: {}
`,
		probes: []probe{{flow: "shop/client > shop/web tcp/8080", want: "deny ingress"}},
	},
}
