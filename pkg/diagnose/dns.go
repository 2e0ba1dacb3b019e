// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/k8smeta"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

func init() {
	register(check{name: "nameserver", layer: DNS, run: nameserver, silences: []string{"dns-query"}})
	register(check{name: "dns-query", layer: DNS, run: dnsQuery})
}

const noName = "the destination is an address: no name is asked for"

// nameserver: the servers of the sender's resolv.conf are Services with endpoints, pods, nodes, or addresses of this kernel.
func nameserver(in *Input) Result {
	if in.Asked == "" && !in.forDNS() {
		return notForThis(noName)
	}
	if in.Resolver == nil {
		return unknown("the sender's resolv.conf is not known: " + in.NoResolver)
	}
	if len(in.Resolver.Servers) == 0 {
		return Result{Status: Wrong, Cause: "dns-wrong-nameserver", Stops: in.forDNS(), Summary: "the sender's resolv.conf names no server",
			Evidence: []string{"state: " + in.Resolver.Source}, Fix: []string{"compare the pod's dnsPolicy and the kubelet's clusterDNS"}}
	}
	var p parts
	for _, s := range in.Resolver.Servers {
		in.serverOf(&p, s)
	}
	return p.result(noName)
}

func (in *Input) serverOf(p *parts, s netip.Addr) {
	svc, port := in.Index.ServicePort("udp", s, dnsPort)
	h := in.Index.Addr(s)
	name := in.who(s, dnsPort)
	fix := []string{"compare the pod's /etc/resolv.conf with the kubelet's clusterDNS and with: kubectl get service -n kube-system kube-dns",
		"with NodeLocal DNSCache: is its pod running on this node? kubectl get pods -n kube-system -l k8s-app=node-local-dns -o wide"}
	switch {
	case svc != nil:
		all := in.backends(svc, port, s.Is6())
		ready := slices.ContainsFunc(all, func(b k8smeta.Backend) bool { return b.Ready })
		if all != nil && !ready && len(in.leaving(svc, all)) == 0 {
			p.bad(Result{Cause: "dns-no-endpoints", Measured: in.failed(), Stops: in.Dst == s, Summary: fmt.Sprintf("names cannot be resolved: Service %s/%s has no ready endpoints", svc.Namespace, svc.Name),
				Evidence: []string{fmt.Sprintf("the API has %d endpoints for it, and none is ready", len(all))}, Fix: []string{"kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide"}})
			return
		}
		p.good(fmt.Sprintf("resolv.conf names %s", name))
	case h.Pod != nil, h.Node != nil, len(in.Snapshot.OwnersOf(s)) > 0, s.IsLoopback():
		p.good(fmt.Sprintf("resolv.conf names %s", name))
	case in.Index == nil:
		p.unsure(fmt.Sprintf("whose the nameserver %s is, is not known: %s", s, in.NoIndex))
	case !in.Whole:
		p.unsure(fmt.Sprintf("the nameserver %s is nobody's that is known here", s))
	case !in.clusters(s):
		in.outside(p, s)
	default:
		p.bad(Result{Cause: "dns-wrong-nameserver", Measured: in.failed(), Stops: in.Dst == s, Summary: fmt.Sprintf("the nameserver %s of %s is no Service, pod or address of a node", s, in.who(in.Src, 0)),
			Evidence: []string{"state: the sender's resolv.conf names it (" + in.Resolver.Source + ")", "names: nothing in the cluster has this address"}, Fix: fix})
	}
}

// outside is a resolver outside of the cluster: a node has one, and a pod whose dnsPolicy is Default or None. It knows no name of the cluster, which
// is a fault where the sender asks for one, and asks there first.
func (in *Input) outside(p *parts, s netip.Addr) {
	if !in.failed() || !slices.Contains(strings.Split(in.Asked, "."), "svc") || s != in.Resolver.Servers[0] {
		p.good(fmt.Sprintf("resolv.conf names %s, a resolver outside of the cluster", s))
		return
	}
	fix := "set dnsPolicy: ClusterFirst for the pod, so that it asks the cluster's DNS"
	if src := &in.path().src; !src.inPod() {
		fix = "the sender has its node's resolv.conf: a pod with hostNetwork needs dnsPolicy: ClusterFirstWithHostNet to ask the cluster's DNS"
	}
	p.bad(Result{Cause: "dns-wrong-nameserver", Measured: true, Summary: fmt.Sprintf("the nameserver %s of %s is a resolver outside of the cluster, which does not know its names", s, in.who(in.Src, 0)),
		Evidence: []string{"state: the sender's resolv.conf names it (" + in.Resolver.Source + ")", fmt.Sprintf("measured: %s was asked for in vain", in.Asked)}, Fix: []string{fix}})
}

// nodeLocal reports whether an address is one of NodeLocal DNSCache: by itself (verdict.NodeLocal), or beside that of its device on some node.
func (in *Input) nodeLocal(a netip.Addr) bool {
	if a.IsLinkLocalUnicast() {
		return verdict.NodeLocal(a)
	}
	for i := 0; in.Snapshot != nil && i < len(in.Snapshot.Namespaces); i++ {
		if slices.ContainsFunc(linkAddrs(in.Snapshot.Namespaces[i].Link("nodelocaldns")), func(p netip.Prefix) bool { return around(a, 24, 64).Contains(p.Addr()) }) {
			return true
		}
	}
	return false
}

// clusters reports whether an address can only be one of the cluster's own: of its pod network, of NodeLocal DNSCache, or of its Services. The range of
// these is the API server's setting; the usual ones have so many bits.
func (in *Input) clusters(a netip.Addr) bool {
	services := around(a, 16, 108)
	return in.Index.InPodNetwork(a) || in.nodeLocal(a) || slices.ContainsFunc(in.Index.Objects().Services, func(s k8smeta.Service) bool { return slices.ContainsFunc(s.ClusterIPs, services.Contains) })
}

// around is the network of an address that has so many bits: four for IPv4, six for IPv6.
func around(a netip.Addr, four, six int) netip.Prefix {
	bits := four
	if a.Is6() {
		bits = six
	}
	return netip.PrefixFrom(a.WithZone(""), bits).Masked()
}

// failed reports that a name was asked for in vain.
func (in *Input) failed() bool { return in.Answer != nil && len(in.Answer.Addrs) == 0 }

// dnsQuery: asking for the destination's name from the sender's namespace brings the destination's address.
func dnsQuery(in *Input) Result {
	if in.Asked == "" {
		return notForThis(noName)
	}
	a := in.Answer
	if a == nil {
		return unknown(fmt.Sprintf("%s was not asked for: %s", in.Asked, in.NoAnswer))
	}
	fix := []string{fmt.Sprintf("in the sender's namespace: nslookup %s; kubectl -n kube-system logs -l k8s-app=kube-dns", a.Name), fmt.Sprintf("with the DNS server as destination it shows where its packets go: nettrace diagnose SRC %s:53", first(a.Servers))}
	switch {
	case slices.Contains(a.Addrs, in.Dst):
		return Result{Status: OK, Summary: fmt.Sprintf("%s is %s, asked from the sender, after %d ms", a.Name, in.Dst, a.MS)}
	case len(a.Addrs) > 0 && in.Index != nil && slices.ContainsFunc(a.Addrs, in.another):
		return Result{Status: Wrong, Cause: "dns-wrong-answer", Measured: true, Summary: fmt.Sprintf("%s is answered with %s, and its address is %s", a.Name, list(a.Addrs), in.Dst),
			Evidence: []string{fmt.Sprintf("measured: %s answered", list(a.Servers))}, Fix: fix}
	case len(a.Addrs) > 0:
		return Result{Status: OK, Summary: fmt.Sprintf("%s is answered, after %d ms", a.Name, a.MS)}
	case a.Rcode != "" && a.Rcode != "NOERROR" && a.Error == "":
		return Result{Status: Wrong, Cause: "dns-query-failed", Measured: true, Summary: fmt.Sprintf("%s asks for %s and is answered %s", in.who(in.Src, 0), a.Name, a.Rcode),
			Evidence: []string{fmt.Sprintf("measured: %s answered %s after %d ms", list(a.Servers), a.Rcode, a.MS)}, Fix: fix}
	}
	why := a.Error
	if why == "" {
		why = "no address in the answer"
	}
	return Result{Status: Wrong, Cause: "dns-query-failed", Measured: true, Summary: fmt.Sprintf("%s asks %s for %s in vain: %s", in.who(in.Src, 0), list(a.Servers), a.Name, why),
		Evidence: []string{fmt.Sprintf("measured: no address after %d ms", a.MS)}, Fix: fix}
}

// list joins the first few addresses.
func list(all []netip.Addr) string {
	var out []string
	for _, a := range all {
		out = append(out, a.String())
	}
	const most = 4
	switch {
	case len(out) == 0:
		return "nobody"
	case len(out) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(out[:most], ", "), len(out)-most)
	}
	return strings.Join(out, ", ")
}

func first(all []netip.Addr) string {
	if len(all) == 0 {
		return "SERVER"
	}
	return all[0].String()
}

// another reports an address of the destination's family that is not it, where the destination is a Service's own address.
func (in *Input) another(a netip.Addr) bool {
	w := in.path()
	return w.svc != nil && slices.Contains(w.svc.ClusterIPs, in.Dst) && a.Is6() == in.Dst.Is6()
}
