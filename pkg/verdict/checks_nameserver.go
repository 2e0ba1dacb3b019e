// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

func init() {
	register(check{name: "dns-wrong-nameserver", flow: dnsWrongNameserver, silences: []string{"tunnel-lost-in-fabric"}})
	register(check{name: "dns-wrong-nameserver-dropped", drop: dnsWrongNameserverDropped, silences: []string{"route-missing", "ip-forward-off", "not-this-pod", "neighbour-failed"}})
}

// nobody reports whether an address that is asked for names belongs to nothing that is known: no Service, pod, node or local address. Without
// names and without the node's state that cannot be said.
func (in *Input) nobody(a netip.Addr) bool {
	if in.Name == nil || in.snapshot() == nil || a.IsLoopback() {
		return false
	}
	return in.Name(in.Flow.Proto, a, in.Flow.Dport) == "" && in.Name(in.Flow.Proto, a, 0) == "" && len(in.snapshot().OwnersOf(a)) == 0 && in.Flow.DstRef == nil
}

// serviceRange reports whether an address is among those that the cluster gives to its Services: kube-proxy's rules have a ClusterIP beside it. The
// range itself is the API server's setting; the usual ones have these many bits.
func (in *Input) serviceRange(a netip.Addr) bool {
	bits := 16
	if a.Is6() {
		bits = 108
	}
	around, err := a.Prefix(bits)
	if err != nil {
		return false
	}
	s := in.snapshot()
	for i := 0; s != nil && i < len(s.Namespaces); i++ {
		for k := range s.Namespaces[i].Rulesets {
			if slices.ContainsFunc(clusterIPs(&s.Namespaces[i].Rulesets[k]), around.Contains) {
				return true
			}
		}
	}
	return false
}

// clusterIPs are the addresses for which kube-proxy has a rule, or an element of its set, as a ClusterIP (pkg/proxy/iptables, pkg/proxy/nftables).
func clusterIPs(r *ruleset.Ruleset) []netip.Addr {
	var out []netip.Addr
	for _, t := range r.Tables {
		for _, c := range t.Chains {
			for i := 0; c.Name == "KUBE-SERVICES" && i < len(c.Rules); i++ {
				_, to, _ := strings.Cut(" "+c.Rules[i].Text, " -d ")
				to, _, _ = strings.Cut(to, " ")
				if p, err := netip.ParsePrefix(to); err == nil && strings.HasSuffix(c.Rules[i].Comment, " cluster IP") {
					out = append(out, p.Addr())
				}
			}
		}
	}
	if r.NFT == nil {
		return out
	}
	for _, t := range r.NFT.Tables {
		for i := 0; t.Name == "kube-proxy" && i < len(t.Sets); i++ {
			var all []string
			if t.Sets[i].Name != "cluster-ips" || json.Unmarshal(t.Sets[i].Elem, &all) != nil {
				continue
			}
			for _, s := range all {
				if a, err := netip.ParseAddr(s); err == nil {
					out = append(out, a)
				}
			}
		}
	}
	return out
}

// ofClouds are where clouds have their own resolvers, beside their metadata (Google 169.254.169.254, AWS 169.254.169.253).
var ofClouds = netip.MustParsePrefix("169.254.169.0/24")

// NodeLocal reports whether an address is one that NodeLocal DNSCache can have: link-local, 169.254.20.10 by default. Of IPv6 those can be routers'
// that announce themselves as resolvers (RFC 8106).
func NodeLocal(a netip.Addr) bool { return a.Is4() && a.IsLinkLocalUnicast() && !ofClouds.Contains(a) }

func (in *Input) wrongNameserver() *Finding {
	a, ok := in.askedServer()
	if !ok || !in.nobody(a) || !NodeLocal(a) && !in.serviceRange(a) {
		return nil // a resolver outside of the cluster has no name in it, and nothing is wrong with that
	}
	f := &Finding{
		Outcome: Lost, Layer: DNS, Cause: "dns-wrong-nameserver", Confidence: Likely, Hop: -1,
		Summary:  fmt.Sprintf("the nameserver %s of %s is no Service, pod or address of a node, as far as is known", a, in.flowSrc()),
		Evidence: []string{fmt.Sprintf("names: nothing that is known has the address %s", a)},
		Fix: []string{"compare the pod's /etc/resolv.conf with the kubelet's clusterDNS and with: kubectl get service -n kube-system kube-dns",
			"with NodeLocal DNSCache: is its pod running on this node? kubectl get pods -n kube-system -l k8s-app=node-local-dns -o wide"},
	}
	if d := in.resolvers(); d != nil && d.Named == nil {
		f.Evidence = append(f.Evidence, "state: the pod's resolv.conf names it ("+d.Source+")")
	}
	return f
}

// dnsWrongNameserver: the queries leave for an address that is nobody's, and nothing comes back.
func dnsWrongNameserver(in *Input) *Finding {
	f := in.wrongNameserver()
	if f == nil || in.cameBack() {
		return nil
	}
	for i := range in.Journeys {
		if j := &in.Journeys[i]; j.Direction == journey.Request && len(j.Hops) > 0 {
			if j.End == journey.Delivered { // somebody took it
				return nil
			}
			f.Journey, f.Hop = j.ID, len(j.Hops)-1
			break
		}
	}
	return f
}

// dnsWrongNameserverDropped: the same, where a node drops them because it has no way to the address.
func dnsWrongNameserverDropped(d *dropAt) *Finding {
	if !d.query() || d.h.Hook != "" || d.translated() != nil || d.tuple().Dst.String() != d.in.Flow.Dst || d.reason() == "NO_SOCKET" {
		return nil
	}
	f := d.in.wrongNameserver()
	if f != nil {
		f.Outcome = ""
	}
	return f
}
