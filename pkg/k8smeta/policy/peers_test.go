// SPDX-License-Identifier: Apache-2.0

package policy

// ingressFrom is a policy that lets only these peers reach shop/web.
func ingressFrom(peers string) string {
	return `
metadata: {namespace: shop, name: peers}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: ` + peers + `}]}
`
}

// from is one probe to shop/web for each source.
func from(want string, sources ...string) []probe {
	var all []probe
	for _, s := range sources {
		all = append(all, probe{flow: s + " > shop/web tcp/8080", want: want})
	}
	return all
}

func join(lists ...[]probe) []probe {
	var all []probe
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

var peerScenarios = []scenario{
	{
		name:     "allow from pods of the own namespace by pod selector",
		policies: ingressFrom(`[{podSelector: {matchLabels: {app: client}}}]`),
		probes:   join(from("allow", "shop/client"), from("deny ingress", "shop/db", "blog/client", "ops/prom", "203.0.113.9", "10.0.1.99")),
	},
	{
		name:     "an empty pod selector is the own namespace only",
		policies: ingressFrom(`[{podSelector: {}}]`),
		probes:   join(from("allow", "shop/client", "shop/db"), from("deny ingress", "blog/client", "node/n2", "203.0.113.9")),
	},
	{
		name:     "an empty namespace selector is every pod but no other address",
		policies: ingressFrom(`[{namespaceSelector: {}}]`),
		probes:   join(from("allow", "shop/db", "blog/client", "ops/prom"), from("deny ingress", "203.0.113.9", "node/n2")),
	},
	{
		name:     "allow only from another namespace by its label",
		policies: ingressFrom(`[{namespaceSelector: {matchLabels: {team: blue}}}]`),
		probes:   join(from("allow", "blog/client", "blog/web"), from("deny ingress", "shop/client", "ops/prom")),
	},
	{
		name:     "pod selector with match expressions",
		policies: ingressFrom(`[{podSelector: {matchExpressions: [{key: app, operator: In, values: [client, other]}]}}]`),
		probes:   join(from("allow", "shop/client"), from("deny ingress", "shop/db", "blog/client")),
	},
	{
		name:     "namespace selector with match expressions",
		policies: ingressFrom(`[{namespaceSelector: {matchExpressions: [{key: team, operator: NotIn, values: [blue]}, {key: tier, operator: Exists}]}}]`),
		probes:   join(from("allow", "ops/prom"), from("deny ingress", "shop/client", "blog/client")),
	},
	{
		name:     "a label that must not exist",
		policies: ingressFrom(`[{namespaceSelector: {matchExpressions: [{key: tier, operator: DoesNotExist}]}}]`),
		probes:   join(from("allow", "shop/client", "blog/client"), from("deny ingress", "ops/prom")),
	},
	{
		name:     "pod selector or namespace selector as two peers",
		policies: ingressFrom(`[{podSelector: {matchLabels: {app: client}}}, {namespaceSelector: {matchLabels: {team: blue}}}]`),
		probes:   join(from("allow", "shop/client", "blog/client", "blog/web"), from("deny ingress", "shop/db", "ops/prom")),
	},
	{
		name:     "pod selector and namespace selector as one peer",
		policies: ingressFrom(`[{podSelector: {matchLabels: {app: client}}, namespaceSelector: {matchLabels: {team: blue}}}]`),
		probes:   join(from("allow", "blog/client"), from("deny ingress", "blog/web", "shop/client", "ops/prom")),
	},
	{
		name: "several pod selectors and namespace selectors at once",
		policies: ingressFrom(`
      [{podSelector: {matchExpressions: [{key: app, operator: In, values: [client, prom]}]},
        namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [blue, red]}]}}]`),
		probes: join(from("allow", "blog/client", "shop/client", "ops/prom"), from("deny ingress", "blog/web", "shop/db")),
	},
	{
		name:     "any of several pod selectors",
		policies: ingressFrom(`[{podSelector: {matchLabels: {app: client}}}, {podSelector: {matchLabels: {app: db}}}]`),
		probes:   join(from("allow", "shop/client", "shop/db"), from("deny ingress", "blog/client")),
	},
	{
		name:     "an empty pod selector beside a namespace selector is all its pods",
		policies: ingressFrom(`[{podSelector: {}, namespaceSelector: {matchLabels: {team: blue}}}]`),
		probes:   join(from("allow", "blog/web", "blog/client"), from("deny ingress", "shop/client")),
	},
	{
		name:     "a namespace by its default name label",
		policies: ingressFrom(`[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: blog}}}]`),
		probes:   join(from("allow", "blog/client"), from("deny ingress", "shop/client", "ops/prom")),
	},
	{
		name:     "namespaces but one by the default name label with an expression",
		policies: ingressFrom(`[{namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [shop]}]}}]`),
		probes:   join(from("allow", "blog/client", "ops/prom"), from("deny ingress", "shop/client")),
	},
	{
		name:     "the default name label counts only when the caller gives it",
		policies: ingressFrom(`[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: blog}}}]`),
		change:   func(c cluster) { delete(c["blog/client"].NamespaceLabels, "kubernetes.io/metadata.name") },
		probes:   from("deny ingress", "blog/client"),
	},
	{
		name:     "ingress from a namespace whose label was updated",
		policies: ingressFrom(`[{namespaceSelector: {matchLabels: {team: green}}}]`),
		change:   func(c cluster) { c["blog/client"].NamespaceLabels["team"] = "green" },
		probes:   join(from("allow", "blog/client"), from("deny ingress", "shop/client")),
	},
	{
		name:     "ingress from a pod whose label was updated",
		policies: ingressFrom(`[{podSelector: {matchLabels: {pass: granted}}}]`),
		change:   func(c cluster) { c["shop/db"].Pod.Labels["pass"] = "granted" },
		probes:   join(from("allow", "shop/db"), from("deny ingress", "shop/client")),
	},
	{
		name:     "a target that lost the label is isolated no more",
		policies: ingressFrom(`[{podSelector: {matchLabels: {app: client}}}]`),
		change:   func(c cluster) { c["shop/web"].Pod.Labels = nil },
		probes:   from("allow", "shop/db", "blog/client"),
	},
	{
		name:     "a target that gained the label becomes isolated",
		policies: ingressFrom(`[{podSelector: {matchLabels: {app: client}}}]`),
		change:   func(c cluster) { c["shop/db"].Pod.Labels["app"] = "web" },
		probes: []probe{
			{flow: "ops/prom > shop/db tcp/5432", want: "deny ingress"},
			{flow: "shop/client > shop/db tcp/5432", want: "allow", by: "ingress shop/peers#0"},
		},
	},
}
