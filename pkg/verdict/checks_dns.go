// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"net/netip"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

func init() {
	register(check{name: "dns-no-endpoints", drop: dnsNoEndpoints, silences: []string{"no-endpoints", "ipvs-no-endpoints", "netfilter-drop", "network-policy", "no-socket", "dns-blocked-by-policy"}})
	register(check{name: "dns-not-listening", drop: dnsNotListening, silences: []string{"no-socket"}})
	register(check{name: "dns-blocked-by-policy", drop: dnsBlocked, silences: []string{"network-policy", "forward-policy-drop", "netfilter-drop"}})
}

// dnsPort is DNS's (RFC 1035, 4.2).
const dnsPort = 53

// query reports whether the packet that was dropped is a query on its way to a server.
func (d *dropAt) query() bool {
	return d.j.Direction == journey.Request && d.h.Outer == nil && d.j.Packet.Dport == dnsPort && (d.j.Packet.Proto == "udp" || d.j.Packet.Proto == "tcp")
}

// dnsNoEndpoints: the Service of the cluster's DNS has no server behind it.
func dnsNoEndpoints(d *dropAt) *Finding {
	if !d.query() {
		return nil
	}
	f := noEndpoints(d)
	if f == nil {
		f = ipvsNoServer(d)
	}
	if f == nil {
		return nil
	}
	f.Layer, f.Cause = DNS, "dns-no-endpoints"
	f.Summary = "names cannot be resolved: " + f.Summary
	f.Fix = append(f.Fix, "are the CoreDNS pods running and ready? kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide")
	return f
}

// dnsNotListening: the query reaches a pod in which no server has the port.
func dnsNotListening(d *dropAt) *Finding {
	if !d.query() || d.host() {
		return nil
	}
	f := noSocket(d)
	if f == nil || f.Layer == Underlay {
		return nil
	}
	f.Layer, f.Cause = DNS, "dns-not-listening"
	f.Summary = "names cannot be resolved: " + f.Summary
	f.Fix = append(f.Fix, "look at the server's log and configuration (the Corefile's port), and at the Service's targetPort")
	return f
}

// dnsBlocked: a rule on the way takes the query.
func dnsBlocked(d *dropAt) *Finding {
	if !d.query() || d.h.Hook == "" || conntrackFull(d) != nil || insertFailed(d) != nil || conntrackInvalid(d) != nil {
		return nil
	}
	for _, base := range []func(*dropAt) *Finding{networkPolicy, forwardPolicyDrop, netfilterDrop} {
		f := base(d)
		if f == nil {
			continue
		}
		t := d.tuple()
		f.Layer, f.Cause = DNS, "dns-blocked-by-policy"
		f.Summary = "names cannot be resolved: " + f.Summary
		f.Fix = append(f.Fix, fmt.Sprintf("allow egress to udp/%d and tcp/%d of %s", dnsPort, dnsPort, d.who(t.Dst, 0)))
		return f
	}
	return nil
}

// askedServer is the address that the flow's queries go to.
func (in *Input) askedServer() (netip.Addr, bool) {
	a, err := netip.ParseAddr(in.Flow.Dst)
	return a, err == nil && in.Flow.Dport == dnsPort && (in.Flow.Proto == "udp" || in.Flow.Proto == "tcp")
}

// resolvers is the probe's account of resolv.conf; nil when none was read.
func (in *Input) resolvers() *probe.DNSResult {
	if in.Probe == nil || in.Probe.DNS == nil || in.Probe.DNS.Ndots == 0 && in.Probe.DNS.Search == nil {
		return nil
	}
	return in.Probe.DNS
}
