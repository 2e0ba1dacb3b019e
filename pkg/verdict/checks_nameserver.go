// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"net/netip"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

func init() {
	register(check{name: "dns-wrong-nameserver", flow: dnsWrongNameserver, silences: []string{"tunnel-lost-in-fabric"}})
	register(check{name: "dns-wrong-nameserver-dropped", drop: dnsWrongNameserverDropped, silences: []string{"route-missing", "ip-forward-off", "neighbour-failed"}})
}

// nobody reports whether an address that is asked for names belongs to nothing that is known: no Service, pod, node or local address. Without
// names and without the node's state that cannot be said.
func (in *Input) nobody(a netip.Addr) bool {
	if in.Name == nil || in.snapshot() == nil || a.IsLoopback() {
		return false
	}
	return in.Name(in.Flow.Proto, a, in.Flow.Dport) == "" && in.Name(in.Flow.Proto, a, 0) == "" && len(in.snapshot().OwnersOf(a)) == 0 && in.Flow.DstRef == nil
}

func (in *Input) wrongNameserver() *Finding {
	a, ok := in.askedServer()
	if !ok || !in.nobody(a) {
		return nil
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
	if f == nil {
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
