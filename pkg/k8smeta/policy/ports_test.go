// SPDX-License-Identifier: Apache-2.0

package policy

// ingressPorts is a policy that lets everyone reach these ports of shop/web.
func ingressPorts(ports string) string {
	return `
metadata: {namespace: shop, name: ports}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{ports: ` + ports + `}]}
`
}

// to is one probe from shop/client to shop/web for each port.
func to(want string, ports ...string) []probe {
	var all []probe
	for _, p := range ports {
		all = append(all, probe{flow: "shop/client > shop/web " + p, want: want})
	}
	return all
}

var portScenarios = []scenario{
	{
		name:     "one numeric port, TCP by default",
		policies: ingressPorts(`[{port: 8080}]`),
		probes: join(to("allow", "tcp/8080"), to("deny ingress", "tcp/8081", "udp/8080", "sctp/8080", "icmp/0"), []probe{
			{flow: "shop/client > shop/web tcp/9090", want: "deny ingress",
				why: "ingress: policy shop/ports selects pod shop/web and no rule of it allows tcp/9090 from shop/client"},
		}),
	},
	{
		name:     "several ports are alternatives",
		policies: ingressPorts(`[{port: 8080}, {protocol: UDP, port: 53}]`),
		probes:   join(to("allow", "tcp/8080", "udp/53"), to("deny ingress", "tcp/53", "udp/8080")),
	},
	{
		name: "both port and peer must match",
		policies: `
metadata: {namespace: shop, name: ports}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 8080}]}]}
`,
		probes: join(to("allow", "tcp/8080"), to("deny ingress", "tcp/9090"), from("deny ingress", "shop/db")),
	},
	{
		name: "ports and peers of different rules do not mix",
		policies: `
metadata: {namespace: shop, name: ports}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - {from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 8080}]}
  - {from: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 9090}]}
`,
		probes: []probe{
			{flow: "shop/client > shop/web tcp/8080", want: "allow", by: "ingress shop/ports#0"},
			{flow: "shop/db > shop/web tcp/9090", want: "allow", by: "ingress shop/ports#1"},
			{flow: "shop/client > shop/web tcp/9090", want: "deny ingress"},
			{flow: "shop/db > shop/web tcp/8080", want: "deny ingress"},
		},
	},
	{
		name:     "a protocol without a port is all its ports",
		policies: ingressPorts(`[{protocol: UDP}]`),
		probes:   join(to("allow", "udp/53", "udp/1"), to("deny ingress", "tcp/53", "sctp/53")),
	},
	{
		name:     "a port item with nothing in it is all of TCP",
		policies: ingressPorts(`[{}]`),
		probes:   join(to("allow", "tcp/1", "tcp/65535"), to("deny ingress", "udp/53")),
	},
	{
		name:     "only UDP does not open TCP",
		policies: ingressPorts(`[{protocol: UDP, port: 8080}]`),
		probes:   join(to("allow", "udp/8080"), to("deny ingress", "tcp/8080")),
	},
	{
		name:     "SCTP is not taken for TCP",
		policies: ingressPorts(`[{protocol: SCTP, port: 8080}]`),
		probes:   join(to("allow", "sctp/8080"), to("deny ingress", "tcp/8080", "sctp/8081")),
	},
	{
		name:     "a policy that allows SCTP only isolates all the same",
		policies: ingressPorts(`[{protocol: SCTP, port: 3868}]`),
		probes:   to("deny ingress", "tcp/3868", "udp/3868", "tcp/8080"),
	},
	{
		name:     "ingress to one named port",
		policies: ingressPorts(`[{port: http}]`),
		probes:   join(to("allow", "tcp/8080"), to("deny ingress", "tcp/9090", "udp/8080")),
	},
	{
		name: "ingress from a namespace to one named port",
		policies: `
metadata: {namespace: shop, name: ports}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}}], ports: [{port: http}]}]}
`,
		probes: []probe{
			{flow: "blog/client > shop/web tcp/8080", want: "allow", by: "ingress shop/ports#0"},
			{flow: "blog/client > shop/web tcp/9090", want: "deny ingress"},
			{flow: "shop/client > shop/web tcp/8080", want: "deny ingress"},
		},
	},
	{
		name: "egress to a named port is the destination's",
		policies: `
metadata: {namespace: shop, name: ports}
spec: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: http}]}]}
`,
		probes: []probe{
			{flow: "shop/client > shop/web tcp/8080", want: "allow", by: "egress shop/ports#0"},
			{flow: "shop/web > blog/web tcp/80", want: "allow"},
			{flow: "shop/web > blog/web tcp/8080", want: "deny egress"},
			{flow: "shop/web > shop/db tcp/8080", want: "deny egress", why: "egress: policy shop/ports selects pod shop/web and no rule of it allows " +
				"tcp/8080 to shop/db (egress rule 0 of policy shop/ports names port \"http\", but pod shop/db has no tcp port of that name)"},
			{flow: "shop/web > 203.0.113.9 tcp/80", want: "deny egress", why: "egress: policy shop/ports selects pod shop/web and no rule of it allows " +
				"tcp/80 to 203.0.113.9 (egress rule 0 of policy shop/ports names port \"http\", but 203.0.113.9 has no named ports)"},
			{flow: "shop/web > blog/web tcp/8080", want: "deny egress",
				why: "egress: policy shop/ports selects pod shop/web and no rule of it allows tcp/8080 to blog/web"},
		},
	},
	{
		name: "a pod in the host's network has no named ports",
		policies: `
metadata: {namespace: shop, name: ports}
spec: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: health}]}]}
`,
		probes: []probe{{flow: "shop/web > ops/agent2 tcp/10250", want: "deny egress", why: "egress: policy shop/ports selects pod shop/web and no rule of it " +
			"allows tcp/10250 to ops/agent2 (egress rule 0 of policy shop/ports names port \"health\", but ops/agent2 has no named ports)"}},
	},
	{
		name:     "named UDP and SCTP ports need their protocol",
		policies: ingressPorts(`[{protocol: UDP, port: dns}, {protocol: SCTP, port: signal}, {protocol: TCP, port: signal}]`),
		probes:   join(to("allow", "udp/53", "sctp/3868"), to("deny ingress", "tcp/53", "tcp/3868")),
	},
	{
		name: "a container port without a protocol is TCP",
		policies: `
metadata: {namespace: shop, name: ports}
spec: {podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{port: sql}, {protocol: UDP, port: sql}]}]}
`,
		probes: []probe{{flow: "shop/web > shop/db tcp/5432", want: "allow"}, {flow: "shop/web > shop/db udp/5432", want: "deny ingress"}},
	},
	{
		name:     "a name that two containers share is both ports",
		policies: ingressPorts(`[{port: http}]`),
		change:   func(c cluster) { c["shop/web"].Pod.Ports = append(c["shop/web"].Pod.Ports, Port{"http", "tcp", 8081}) },
		probes:   join(to("allow", "tcp/8080", "tcp/8081"), to("deny ingress", "tcp/8082")),
	},
	{
		name:     "a range of ports with endPort",
		policies: ingressPorts(`[{port: 8080, endPort: 8090}]`),
		probes:   join(to("allow", "tcp/8080", "tcp/8085", "tcp/8090"), to("deny ingress", "tcp/8079", "tcp/8091", "udp/8085")),
	},
	{
		name:     "a range of one port",
		policies: ingressPorts(`[{port: 65535, endPort: 65535}]`),
		probes:   join(to("allow", "tcp/65535"), to("deny ingress", "tcp/65534")),
	},
	{
		name: "an egress range of UDP ports to one peer",
		policies: `
metadata: {namespace: shop, name: ports}
spec:
  podSelector: {matchLabels: {app: client}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {matchLabels: {app: web}}}], ports: [{protocol: UDP, port: 5000, endPort: 6000}]}]
`,
		probes: []probe{
			{flow: "shop/client > shop/web udp/5500", want: "allow", by: "egress shop/ports#0"},
			{flow: "shop/client > shop/web tcp/5500", want: "deny egress"},
			{flow: "shop/client > shop/db udp/5500", want: "deny egress"},
		},
	},
}
