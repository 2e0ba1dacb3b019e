// SPDX-License-Identifier: Apache-2.0

package policy

var egressScenarios = []scenario{
	{
		name: "deny egress of some pods",
		policies: `
metadata: {namespace: shop, name: quiet}
spec: {podSelector: {matchLabels: {app: client}}, policyTypes: [Egress]}
`,
		probes: []probe{
			{flow: "shop/client > shop/web tcp/8080", want: "deny egress",
				why: "egress: policy shop/quiet selects pod shop/client and no rule of it allows tcp/8080 to shop/web"},
			{flow: "shop/client > 203.0.113.9 tcp/443", want: "deny egress"},
			{flow: "shop/db > shop/web tcp/8080", want: "allow"},
			{flow: "blog/web > shop/client tcp/8080", want: "allow"},
		},
	},
	{
		name: "deny egress of a whole namespace",
		policies: `
metadata: {namespace: shop, name: quiet}
spec: {podSelector: {}, policyTypes: [Egress]}
`,
		probes: []probe{
			{flow: "shop/db > blog/web tcp/80", want: "deny egress"},
			{flow: "shop/client > shop/web tcp/8080", want: "deny egress"},
			{flow: "blog/client > shop/web tcp/8080", want: "allow"},
		},
	},
	{
		name: "the client's side refuses what the server's side allows",
		policies: `
metadata: {namespace: shop, name: open-server}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: client}}}]}]}
---
metadata: {namespace: shop, name: shut-client}
spec: {podSelector: {matchLabels: {app: client}}, policyTypes: [Egress]}
`,
		probes: []probe{{flow: "shop/client > shop/web tcp/8080", want: "deny egress", by: "ingress shop/open-server#0"}},
	},
	{
		name: "ingress and egress in one policy",
		policies: `
metadata: {namespace: shop, name: both}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}}]}]
  egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}]
`,
		probes: []probe{
			{flow: "blog/client > shop/web tcp/8080", want: "allow", by: "ingress shop/both#0"},
			{flow: "shop/client > shop/web tcp/8080", want: "deny ingress"},
			{flow: "shop/web > shop/db tcp/5432", want: "allow", by: "egress shop/both#0",
				why: "egress: egress rule 0 of policy shop/both allows tcp/5432 to shop/db"},
			{flow: "shop/web > shop/db tcp/22", want: "deny egress"},
			{flow: "shop/web > blog/client tcp/5432", want: "deny egress"},
		},
	},
	{
		name: "egress to a pod of another namespace by both selectors",
		policies: `
metadata: {namespace: shop, name: to-blog}
spec:
  podSelector: {matchLabels: {app: client}}
  policyTypes: [Egress]
  egress: [{to: [{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: web}}}]}]
`,
		probes: []probe{
			{flow: "shop/client > blog/web tcp/80", want: "allow", by: "egress shop/to-blog#0"},
			{flow: "shop/client > blog/client tcp/80", want: "deny egress"},
			{flow: "shop/client > shop/web tcp/8080", want: "deny egress"},
		},
	},
	{
		name: "egress by pod selector means the policy's own namespace",
		policies: `
metadata: {namespace: shop, name: to-web}
spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: web}}}]}]}
`,
		probes: []probe{
			{flow: "shop/client > shop/web tcp/8080", want: "allow"},
			{flow: "shop/client > blog/web tcp/80", want: "deny egress"},
		},
	},
	{
		name: "ingress and egress of one pod are controlled separately",
		policies: `
metadata: {namespace: shop, name: in}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: client}}}]}]}
---
metadata: {namespace: shop, name: out}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}]}]}
`,
		probes: []probe{
			{flow: "shop/client > shop/web tcp/8080", want: "allow", by: "ingress shop/in#0"},
			{flow: "shop/db > shop/web tcp/8080", want: "deny ingress"},
			{flow: "shop/web > shop/db tcp/5432", want: "allow", by: "egress shop/out#0"},
			{flow: "shop/web > shop/client tcp/80", want: "deny egress"},
		},
	},
	{
		name: "without policyTypes egress rules isolate both directions",
		policies: `
metadata: {namespace: shop, name: defaulted}
spec: {podSelector: {matchLabels: {app: web}}, egress: [{to: [{podSelector: {}}]}]}
`,
		probes: []probe{
			{flow: "shop/web > shop/db tcp/5432", want: "allow", by: "egress shop/defaulted#0"},
			{flow: "shop/web > blog/web tcp/80", want: "deny egress"},
			{flow: "shop/client > shop/web tcp/8080", want: "deny ingress"},
		},
	},
	{
		name: "without policyTypes and egress rules egress stays open",
		policies: `
metadata: {namespace: shop, name: defaulted}
spec: {podSelector: {}, policyTypes: [], ingress: [{from: [{podSelector: {}}]}]}
`,
		probes: []probe{
			{flow: "shop/web > blog/web tcp/80", want: "allow", why: "egress: no policy selects pod shop/web for egress"},
			{flow: "blog/web > shop/web tcp/8080", want: "deny ingress"},
		},
	},
	{
		name: "rules of a direction that policyTypes leaves out do nothing",
		policies: `
metadata: {namespace: shop, name: egress-only}
spec: {podSelector: {}, policyTypes: [Egress], ingress: [{from: [{podSelector: {}}]}], egress: [{}]}
`,
		probes: []probe{
			{flow: "blog/client > shop/web tcp/8080", want: "allow", why: "ingress: no policy selects pod shop/web for ingress"},
			{flow: "shop/web > blog/web tcp/80", want: "allow", by: "egress shop/egress-only#0"},
		},
	},
	{
		name: "egress to the name service only",
		policies: `
metadata: {namespace: shop, name: dns}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress: [{to: [{namespaceSelector: {}}], ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]}]
`,
		probes: []probe{
			{flow: "shop/client > shop/web udp/53", want: "allow"},
			{flow: "shop/client > ops/prom tcp/53", want: "allow"},
			{flow: "shop/client > 203.0.113.9 udp/53", want: "deny egress"},
			{flow: "shop/client > shop/web tcp/8080", want: "deny egress"},
		},
	},
}
