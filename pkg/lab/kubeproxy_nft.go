// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/k8smeta/kubeproxy"
)

// nftFrame is what kube-proxy 1.31 in nftables mode writes whatever the Services are (pkg/proxy/nftables/proxier.go, setupNFTables).
const nftFrame = `
	chain filter-prerouting { type filter hook prerouting priority dstnat - 10; policy accept; ct state new jump firewall-check; }
	chain filter-input { type filter hook input priority -110; policy accept; ct state new jump nodeport-endpoints-check; ct state new jump service-endpoints-check; }
	chain filter-forward { type filter hook forward priority -110; policy accept; ct state new jump service-endpoints-check; ct state new jump cluster-ips-check; }
	chain filter-output { type filter hook output priority -110; policy accept; ct state new jump service-endpoints-check; ct state new jump firewall-check; }
	chain filter-output-post-dnat { type filter hook output priority -90; policy accept; ct state new jump cluster-ips-check; }
	chain nat-prerouting { type nat hook prerouting priority dstnat; policy accept; jump services; }
	chain nat-output { type nat hook output priority -100; policy accept; jump services; }
	chain nat-postrouting { type nat hook postrouting priority srcnat; policy accept; jump masquerading; }
	chain nodeport-endpoints-check { ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports; }
	chain service-endpoints-check { ip daddr . meta l4proto . th dport vmap @no-endpoint-services; }
	chain firewall-check { ip daddr . meta l4proto . th dport vmap @firewall-ips; }
	chain services { ip daddr . meta l4proto . th dport vmap @service-ips; ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports; }
	chain masquerading { meta mark & 0x00004000 == 0x00000000 return; meta mark set meta mark ^ 0x00004000; masquerade fully-random; }
	chain cluster-ips-check { ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"; }
	chain mark-for-masquerade { meta mark set meta mark | 0x00004000; }
	chain reject-chain { comment "helper for @no-endpoint-services / @no-endpoint-nodeports"; reject; }
`

// nftWriter collects the parts of the table.
type nftWriter struct {
	b                                                  strings.Builder
	clusterIPs, noEndpoint, noEndpointPorts, ips, port []string
}

// KubeProxyNFT is what kube-proxy 1.31 in nftables mode writes on a node for IPv4 Services, for 'nft -f'.
func KubeProxyNFT(n Node, podCIDR string, services []Service) string {
	w := &nftWriter{}
	for i := range services {
		if s := &services[i]; s.ClusterIP.Is4() {
			w.service(s, n.Name, podCIDR)
		}
	}
	var out strings.Builder
	out.WriteString("table ip kube-proxy {\n\tcomment \"rules for kube-proxy\"\n")
	const key = "ipv4_addr . inet_proto . inet_service : verdict"
	set := func(kind, name, typ, comment string, elements []string) {
		fmt.Fprintf(&out, "\t%s %s { type %s; comment %q; ", kind, name, typ, comment)
		if len(elements) > 0 {
			fmt.Fprintf(&out, "elements = { %s } ", strings.Join(elements, ", "))
		}
		out.WriteString("}\n")
	}
	set("set", "cluster-ips", "ipv4_addr", "Active ClusterIPs", w.clusterIPs)
	set("set", "nodeport-ips", "ipv4_addr", "IPs that accept NodePort traffic", []string{n.IP.String()})
	set("map", "no-endpoint-services", key, "vmap to drop or reject packets to services with no endpoints", w.noEndpoint)
	set("map", "no-endpoint-nodeports", "inet_proto . inet_service : verdict", "vmap to drop or reject packets to service nodeports with no endpoints", w.noEndpointPorts)
	set("map", "firewall-ips", key, "destinations that are subject to LoadBalancerSourceRanges", nil)
	set("map", "service-ips", key, "ClusterIP, ExternalIP and LoadBalancer IP traffic", w.ips)
	set("map", "service-nodeports", "inet_proto . inet_service : verdict", "NodePort traffic", w.port)
	out.WriteString(nftFrame)
	out.WriteString(w.b.String())
	out.WriteString("}\n")
	return out.String()
}

func (s *Service) nftChain(kind string) string {
	return kubeproxy.NFTablesChain(kind, s.nameOf(), netip.AddrPort{})
}

func (w *nftWriter) service(s *Service, node, podCIDR string) {
	w.clusterIPs = appendNew(w.clusterIPs, s.ClusterIP.String())
	at, name := fmt.Sprintf("%s . %s . %d", s.ClusterIP, s.Proto, s.Port), s.portName()
	if len(s.Endpoints) == 0 {
		w.noEndpoint = append(w.noEndpoint, fmt.Sprintf("%s comment %q : goto reject-chain", at, name))
		return
	}
	svc := s.nftChain(kubeproxy.KindService)
	w.ips = append(w.ips, at+" : goto "+svc)
	var draw []string
	for i, e := range s.Endpoints {
		ep := kubeproxy.NFTablesChain(kubeproxy.KindEndpoint, s.nameOf(), e.Addr)
		draw = append(draw, fmt.Sprintf("%d : goto %s", i, ep))
		w.endpoint(s, e, ep)
	}
	fmt.Fprintf(&w.b, "\tchain %s {\n\t\tip daddr %s %s dport %d ip saddr != %s jump mark-for-masquerade\n", svc, s.ClusterIP, s.Proto, s.Port, podCIDR)
	if s.Sticky {
		for _, e := range s.Endpoints {
			ep := kubeproxy.NFTablesChain(kubeproxy.KindEndpoint, s.nameOf(), e.Addr)
			fmt.Fprintf(&w.b, "\t\tip saddr @%s goto %s\n", affinitySet(ep), ep)
		}
	}
	fmt.Fprintf(&w.b, "\t\tnumgen random mod %d vmap { %s }\n\t}\n", len(draw), strings.Join(draw, ", "))
	if s.NodePort != 0 {
		w.nodePort(s, node, podCIDR, svc)
	}
}

// affinitySet is named as the endpoint's chain, with another word in front.
func affinitySet(ep string) string { return "affinity-" + strings.TrimPrefix(ep, "endpoint-") }

func (w *nftWriter) endpoint(s *Service, e Endpoint, chain string) {
	if s.Sticky {
		fmt.Fprintf(&w.b, "\tset %s { type ipv4_addr; size 65535; flags dynamic,timeout; timeout 3h; }\n", affinitySet(chain))
	}
	fmt.Fprintf(&w.b, "\tchain %s {\n\t\tip saddr %s jump mark-for-masquerade\n", chain, e.Addr.Addr())
	if s.Sticky {
		fmt.Fprintf(&w.b, "\t\tupdate @%s { ip saddr }\n", affinitySet(chain))
	}
	fmt.Fprintf(&w.b, "\t\tmeta l4proto %s dnat to %s\n\t}\n", s.Proto, e.Addr)
}

func (w *nftWriter) nodePort(s *Service, node, podCIDR, svc string) {
	ext, at := s.nftChain(kubeproxy.KindExternal), fmt.Sprintf("%s . %d", s.Proto, s.NodePort)
	w.port = append(w.port, at+" : goto "+ext)
	fmt.Fprintf(&w.b, "\tchain %s {\n", ext)
	defer w.b.WriteString("\t}\n")
	if !s.Local {
		fmt.Fprintf(&w.b, "\t\tjump mark-for-masquerade\n\t\tgoto %s\n", svc)
		return
	}
	fmt.Fprintf(&w.b, "\t\tip saddr %s goto %s comment \"short-circuit pod traffic\"\n", podCIDR, svc)
	fmt.Fprintf(&w.b, "\t\tfib saddr type local jump mark-for-masquerade comment \"masquerade local traffic\"\n\t\tfib saddr type local goto %s comment \"short-circuit local traffic\"\n", svc)
	if len(localOnly(s.Endpoints, node)) == 0 {
		w.noEndpointPorts = append(w.noEndpointPorts, fmt.Sprintf("%s comment %q : drop", at, s.portName()))
	}
}

func appendNew(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}
