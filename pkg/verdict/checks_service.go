// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func init() {
	register(check{name: "service-not-programmed", drop: untranslatedDrop, silences: []string{"route-missing", "blackhole-route", "ip-forward-off"}})
	register(check{name: "service-not-programmed-lost", flow: untranslatedLost, silences: []string{"egress-not-masqueraded"}})
}

// clusterIP is the flow's destination when that is a Service's own address. A headless Service has none: its destination is an endpoint's, which
// nothing has to translate.
func (in *Input) clusterIP() (netip.Addr, bool) {
	if in.Flow.DstRef == nil || in.Flow.DstRef.Kind != "Service" {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(in.Flow.Dst)
	return a, err == nil && !slices.ContainsFunc(in.Flow.Endpoints, func(e Endpoint) bool { return e.at(a) })
}

// untranslatedDrop: routing dropped a packet that still has the Service's address: whatever the route, it should not have come so far.
func untranslatedDrop(d *dropAt) *Finding {
	vip, ok := d.in.clusterIP()
	routing := d.reason() == "IP_INNOROUTES" || d.reason() == "IP_OUTNOROUTES" || d.reason() == "IP_INADDRERRORS" || d.h.Location == "ip_error"
	if !ok || !routing || !d.host() || d.h.Outer != nil || d.tuple().Dst != vip || d.ns.IsLocal(vip) {
		return nil
	}
	f := untranslated(d.in, d.h, d.ns, vip)
	f.Evidence = append(f.Evidence, "that routing dropped it is a consequence: a translated packet never looks for a route to the Service's address")
	return f
}

// untranslatedLost: the packet left the node with the Service's address as its destination.
func untranslatedLost(in *Input) *Finding {
	vip, ok := in.clusterIP()
	if !ok {
		return nil
	}
	for k := range in.Journeys {
		j := &in.Journeys[k]
		i := len(j.Hops) - 1
		if j.Direction != journey.Request || j.End != journey.LeftNode || i < 0 || j.Hops[i].Outer != nil || j.TupleAt(i).Dst != vip {
			continue
		}
		h := &j.Hops[i]
		f := untranslated(in, h, in.namespace(h.NetNS), vip)
		f.Outcome, f.Journey, f.Hop = Lost, j.ID, i
		f.Evidence = append([]string{fmt.Sprintf("kernel: the packet left %s at %s still addressed to %s", place(h), h.Dev, vip)}, f.Evidence...)
		return f
	}
	return nil
}

func untranslated(in *Input, h *journey.Hop, n *netstate.Namespace, vip netip.Addr) *Finding {
	svc := in.Flow.DstRef
	name := svc.Namespace + "/" + svc.Name
	f := &Finding{Layer: Service, Cause: "service-not-programmed", Confidence: Likely, Refs: []journey.Ref{*svc},
		Summary: fmt.Sprintf("packets to Service %s are not translated on %s: kube-proxy has no rule for it there", name, place(h)),
		Fix: []string{at(h, fmt.Sprintf("iptables-save -t nat | grep %s; curl -s http://127.0.0.1:10256/healthz", vip)),
			"kubectl -n kube-system get pods -o wide | grep kube-proxy: is it running on this node, and what does its log say?"}}
	if in.Flow.Endpoints != nil && len(in.Flow.Endpoints) == 0 {
		f.Cause = "no-endpoints"
		f.Summary = fmt.Sprintf("Service %s has no ready endpoints, so nothing translates packets to it on %s", name, place(h))
		f.Evidence = []string{"the API has no ready endpoint for the Service"}
		f.Fix = []string{fmt.Sprintf("kubectl get endpointslices -n %s -l kubernetes.io/service-name=%s -o wide", svc.Namespace, svc.Name),
			fmt.Sprintf("kubectl describe service -n %s %s, then compare its selector and targetPort with the pods' labels, readiness and port names", svc.Namespace, svc.Name)}
		return f
	}
	if rules, all := mentions(n, vip); all > 0 && rules == 0 {
		f.Confidence = Confirmed
		f.Evidence = append(f.Evidence, fmt.Sprintf("state: none of the %d rules on %s names %s", all, place(h), vip))
	}
	return f
}

// mentions counts the rules that name an address, and all; none are counted where nftables holds addresses in maps.
func mentions(n *netstate.Namespace, a netip.Addr) (rules, all int) {
	if n == nil {
		return 0, 0
	}
	text := a.String() + "/"
	for i := range n.Rulesets {
		if n.Rulesets[i].NFT != nil {
			return 0, 0
		}
		for _, t := range n.Rulesets[i].Tables {
			for _, c := range t.Chains {
				for _, r := range c.Rules {
					all++
					if strings.Contains(r.Text+" ", text) {
						rules++
					}
				}
			}
		}
	}
	return rules, all
}
