// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net/netip"
	"sort"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/k8smeta/kubeproxy"
)

// Service is one port of a Kubernetes Service with its endpoints.
type Service struct {
	Namespace string     `yaml:"namespace"`
	Name      string     `yaml:"name"`
	PortName  string     `yaml:"portName"`
	Proto     string     `yaml:"proto"` // tcp, udp
	ClusterIP netip.Addr `yaml:"clusterIP"`
	Port      uint16     `yaml:"port"`
	NodePort  uint16     `yaml:"nodePort,omitempty"`
	Local     bool       `yaml:"externalTrafficPolicyLocal,omitempty"`
	Sticky    bool       `yaml:"sessionAffinity,omitempty"` // ClientIP, 3 hours
	Endpoints []Endpoint `yaml:"endpoints"`
}

// Endpoint is a ready endpoint.
type Endpoint struct {
	Addr netip.AddrPort `yaml:"addr"`
	Node string         `yaml:"node,omitempty"`
}

func (s *Service) portName() string {
	if s.PortName == "" {
		return s.Namespace + "/" + s.Name
	}
	return s.Namespace + "/" + s.Name + ":" + s.PortName
}

// nameOf is the port as kube-proxy's chains have it in their names.
func (s *Service) nameOf() kubeproxy.Port {
	return kubeproxy.Port{Namespace: s.Namespace, Service: s.Name, PortName: s.PortName, Proto: s.Proto}
}

func (s *Service) chain(kind string) string {
	return kubeproxy.IPTablesChain(kind, s.nameOf(), netip.AddrPort{})
}

func (s *Service) endpointChain(e Endpoint) string {
	return kubeproxy.IPTablesChain(kubeproxy.KindEndpoint, s.nameOf(), e.Addr)
}

// ruleText builds tables in the form of iptables-save.
type ruleText struct {
	chains map[string][]string // by table, in order
	rules  map[string][]string
}

func (r *ruleText) chain(table, name string) { r.chains[table] = append(r.chains[table], name) }

func (r *ruleText) add(table, chain, format string, args ...any) {
	r.rules[table] = append(r.rules[table], "-A "+chain+" "+fmt.Sprintf(format, args...))
}

// String prints the tables for 'iptables-restore --noflush'.
func (r *ruleText) String() string {
	var b strings.Builder
	for _, table := range []string{"mangle", "filter", "nat"} {
		fmt.Fprintf(&b, "*%s\n", table)
		chains := append([]string(nil), r.chains[table]...)
		sort.Strings(chains)
		for _, c := range chains {
			fmt.Fprintf(&b, ":%s - [0:0]\n", c)
		}
		for _, rule := range r.rules[table] {
			b.WriteString(rule + "\n")
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}

// KubeProxyRules is what kube-proxy 1.31 in iptables mode writes on a node for the Services. Left out are the two rules that use nfacct
// counters where the kernel has none: they count, and decide nothing.
func KubeProxyRules(node, podCIDR string, services []Service) string {
	r := &ruleText{chains: map[string][]string{}, rules: map[string][]string{}}
	frame(r)
	for i := range services {
		s := &services[i]
		if len(s.Endpoints) == 0 {
			r.add("filter", "KUBE-SERVICES", `-d %s/32 -p %s -m comment --comment "%s has no endpoints" -m %s --dport %d -j REJECT --reject-with icmp-port-unreachable`,
				s.ClusterIP, s.Proto, s.portName(), s.Proto, s.Port)
			continue
		}
		clusterIP(r, s, podCIDR)
		if s.NodePort != 0 {
			nodePort(r, s, node, podCIDR)
		}
		endpoints(r, s)
	}
	r.add("nat", "KUBE-SERVICES", `-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`)
	return r.String()
}

// frame is what kube-proxy writes whatever the Services are.
func frame(r *ruleText) {
	r.chain("mangle", "KUBE-PROXY-CANARY")
	for _, c := range []string{"KUBE-EXTERNAL-SERVICES", "KUBE-FIREWALL", "KUBE-FORWARD", "KUBE-NODEPORTS", "KUBE-PROXY-CANARY", "KUBE-PROXY-FIREWALL", "KUBE-SERVICES"} {
		r.chain("filter", c)
	}
	for _, c := range []string{"KUBE-MARK-MASQ", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-PROXY-CANARY", "KUBE-SERVICES"} {
		r.chain("nat", c)
	}
	const isNew = "-m conntrack --ctstate NEW "
	firewall := isNew + `-m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL`
	external := isNew + `-m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES`
	portals := isNew + `-m comment --comment "kubernetes service portals" -j KUBE-SERVICES`
	r.add("filter", "INPUT", "-j KUBE-FIREWALL")
	r.add("filter", "INPUT", "%s", firewall)
	r.add("filter", "INPUT", `-m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS`)
	r.add("filter", "INPUT", "%s", external)
	r.add("filter", "FORWARD", "%s", firewall)
	r.add("filter", "FORWARD", `-m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD`)
	r.add("filter", "FORWARD", "%s", portals)
	r.add("filter", "FORWARD", "%s", external)
	r.add("filter", "OUTPUT", "-j KUBE-FIREWALL")
	r.add("filter", "OUTPUT", "%s", firewall)
	r.add("filter", "OUTPUT", "%s", portals)
	r.add("filter", "KUBE-FIREWALL", `! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP`)
	r.add("filter", "KUBE-FORWARD", `-m conntrack --ctstate INVALID -j DROP`)
	r.add("filter", "KUBE-FORWARD", `-m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT`)
	r.add("filter", "KUBE-FORWARD", `-m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`)
	r.add("nat", "PREROUTING", `-m comment --comment "kubernetes service portals" -j KUBE-SERVICES`)
	r.add("nat", "OUTPUT", `-m comment --comment "kubernetes service portals" -j KUBE-SERVICES`)
	r.add("nat", "POSTROUTING", `-m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING`)
	r.add("nat", "KUBE-MARK-MASQ", "-j MARK --set-xmark 0x4000/0x4000")
	r.add("nat", "KUBE-POSTROUTING", "-m mark ! --mark 0x4000/0x4000 -j RETURN")
	r.add("nat", "KUBE-POSTROUTING", "-j MARK --set-xmark 0x4000/0x0")
	r.add("nat", "KUBE-POSTROUTING", `-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully`)
}

func clusterIP(r *ruleText, s *Service, podCIDR string) {
	svc := s.chain(kubeproxy.KindService)
	r.chain("nat", svc)
	match := fmt.Sprintf(`-d %s/32 -p %s -m comment --comment "%s cluster IP" -m %s --dport %d`, s.ClusterIP, s.Proto, s.portName(), s.Proto, s.Port)
	r.add("nat", "KUBE-SERVICES", "%s -j %s", match, svc)
	r.add("nat", svc, "! -s %s %s -j KUBE-MARK-MASQ", podCIDR, match)
}

func nodePort(r *ruleText, s *Service, node, podCIDR string) {
	svc, ext := s.chain(kubeproxy.KindService), s.chain(kubeproxy.KindExternal)
	r.chain("nat", ext)
	match := fmt.Sprintf(`-p %s -m comment --comment "%s" -m %s --dport %d`, s.Proto, s.portName(), s.Proto, s.NodePort)
	r.add("nat", "KUBE-NODEPORTS", "%s -j %s", match, ext)
	if !s.Local {
		r.add("nat", ext, `-m comment --comment "masquerade traffic for %s external destinations" -j KUBE-MARK-MASQ`, s.portName())
		r.add("nat", ext, "-j %s", svc)
		return
	}
	r.add("nat", ext, `-s %s -m comment --comment "pod traffic for %s external destinations" -j %s`, podCIDR, s.portName(), svc)
	r.add("nat", ext, `-m comment --comment "masquerade LOCAL traffic for %s external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ`, s.portName())
	r.add("nat", ext, `-m comment --comment "route LOCAL traffic for %s external destinations" -m addrtype --src-type LOCAL -j %s`, s.portName(), svc)
	for _, e := range s.Endpoints {
		if e.Node == node {
			svl := s.chain(kubeproxy.KindLocal)
			r.chain("nat", svl)
			r.add("nat", ext, "-j %s", svl)
			balance(r, s, svl, localOnly(s.Endpoints, node))
			return
		}
	}
	r.add("filter", "KUBE-EXTERNAL-SERVICES", `-p %s -m comment --comment "%s has no local endpoints" -m addrtype --dst-type LOCAL -m %s --dport %d -j DROP`,
		s.Proto, s.portName(), s.Proto, s.NodePort)
}

func localOnly(all []Endpoint, node string) []Endpoint {
	var out []Endpoint
	for _, e := range all {
		if e.Node == node {
			out = append(out, e)
		}
	}
	return out
}

func endpoints(r *ruleText, s *Service) {
	balance(r, s, s.chain(kubeproxy.KindService), s.Endpoints)
	for _, e := range s.Endpoints {
		sep := s.endpointChain(e)
		r.chain("nat", sep)
		r.add("nat", sep, `-s %s/32 -m comment --comment "%s" -j KUBE-MARK-MASQ`, e.Addr.Addr(), s.portName())
		recent := ""
		if s.Sticky {
			recent = "-m recent --set --name " + sep + " --mask 255.255.255.255 --rsource "
		}
		r.add("nat", sep, `-p %s -m comment --comment "%s" %s-m %s -j DNAT --to-destination %s`, s.Proto, s.portName(), recent, s.Proto, e.Addr)
	}
}

// balance spreads connections: the i-th of n endpoints is taken with probability 1/(n-i).
func balance(r *ruleText, s *Service, chain string, eps []Endpoint) {
	if s.Sticky {
		for _, e := range eps {
			sep := s.endpointChain(e)
			r.add("nat", chain, `-m comment --comment "%s -> %s" -m recent --rcheck --seconds 10800 --reap --name %s --mask 255.255.255.255 --rsource -j %s`, s.portName(), e.Addr, sep, sep)
		}
	}
	for i, e := range eps {
		chance := ""
		if left := len(eps) - i; left > 1 {
			chance = fmt.Sprintf("-m statistic --mode random --probability %.11f ", 1/float64(left))
		}
		r.add("nat", chain, `-m comment --comment "%s -> %s" %s-j %s`, s.portName(), e.Addr, chance, s.endpointChain(e))
	}
}

// FlannelRules is what flannel writes on a node: pods may be forwarded, and are masqueraded towards the outside.
func FlannelRules(nodeCIDR, clusterCIDR string) string {
	r := &ruleText{chains: map[string][]string{}, rules: map[string][]string{}}
	r.chain("filter", "FLANNEL-FWD")
	r.chain("nat", "FLANNEL-POSTRTG")
	const fwd, masq = `-m comment --comment "flanneld forward"`, `-m comment --comment "flanneld masq"`
	r.add("filter", "FORWARD", "%s -j FLANNEL-FWD", fwd)
	r.add("filter", "FLANNEL-FWD", "-s %s %s -j ACCEPT", clusterCIDR, fwd)
	r.add("filter", "FLANNEL-FWD", "-d %s %s -j ACCEPT", clusterCIDR, fwd)
	r.add("nat", "POSTROUTING", "%s -j FLANNEL-POSTRTG", masq)
	r.add("nat", "FLANNEL-POSTRTG", "-m mark --mark 0x4000/0x4000 %s -j RETURN", masq)
	r.add("nat", "FLANNEL-POSTRTG", "-s %s -d %s %s -j RETURN", nodeCIDR, clusterCIDR, masq)
	r.add("nat", "FLANNEL-POSTRTG", "-s %s -d %s %s -j RETURN", clusterCIDR, nodeCIDR, masq)
	r.add("nat", "FLANNEL-POSTRTG", "! -s %s -d %s %s -j RETURN", clusterCIDR, nodeCIDR, masq)
	r.add("nat", "FLANNEL-POSTRTG", "-s %s ! -d 224.0.0.0/4 %s -j MASQUERADE --random-fully", clusterCIDR, masq)
	r.add("nat", "FLANNEL-POSTRTG", "! -s %s -d %s %s -j MASQUERADE --random-fully", clusterCIDR, clusterCIDR, masq)
	return r.String()
}
