// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

func init() {
	also := []string{"netfilter-drop"}
	register(check{name: "rejected-with-reset", drop: rejectedWithReset, silences: also})
	register(check{name: "legacy-nft-mix", drop: legacyNFTMix, silences: also})
	register(check{name: "nodeport-filtered", drop: nodePortFiltered, silences: append(also, "legacy-nft-mix")})
	register(check{name: "lb-source-ranges", drop: lbSourceRanges, silences: append(also, "legacy-nft-mix")})
}

// rejectedWithReset: a rule answered with a reset in the server's name; the server never saw the packet (net/ipv4/netfilter/ipt_REJECT.c).
func rejectedWithReset(d *dropAt) *Finding {
	r := d.h.Rule
	if r == nil || r.Policy || d.h.Hook == "" || d.h.Outer != nil || !resets(r) {
		return nil
	}
	f := &Finding{Layer: Application, Cause: "rejected-with-reset", Confidence: Likely, Outcome: Rejected,
		Summary:  fmt.Sprintf("a firewall rule %s answered %s with a reset: the server never saw it", on(d.h), d.packetName()),
		Evidence: lines(ruleEvidence(r)),
		Fix:      []string{in(d.h, fmt.Sprintf("%s, table %s, chain %s: remove the rule or let this client pass before it", r.Backend, r.Table, r.Chain))}}
	t := d.tuple()
	for i := range d.in.Journeys {
		if j := &d.in.Journeys[i]; j.Direction == journey.Reply && strings.Contains(j.Packet.Flags, "RST") && j.Packet.Dst == d.j.Packet.Src && j.Packet.Dport == t.Sport {
			f.Confidence = Confirmed
			f.Evidence = append(f.Evidence, "kernel: a reset with the server's address reached the client, and the server got no packet")
			return f
		}
	}
	if p := d.in.Probe; p != nil && p.Result == probe.Refused {
		f.Confidence = Confirmed
	}
	return f
}

func resets(r *journey.Rule) bool {
	return r.Verdict == "REJECT" && (strings.Contains(r.Text, "tcp-reset") || strings.Contains(r.Text, "tcp reset"))
}

// legacyNFTMix: iptables-legacy and iptables-nft both have rules in the hook that dropped; whoever looks with one of them sees half.
func legacyNFTMix(d *dropAt) *Finding {
	r := d.h.Rule
	if r == nil || r.Policy || r.Owner == "kube-proxy" || d.h.Outer != nil || d.ns == nil || !strings.HasPrefix(r.Backend, "iptables-") {
		return nil
	}
	other := "iptables-nft"
	if r.Backend == other {
		other = "iptables-legacy"
	}
	table, rules := busiest(d, other)
	if _, own := busiest(d, r.Backend); rules <= own {
		return nil // the backend that dropped is the one that is in use here
	}
	f := &Finding{Layer: PodNetwork, Cause: "legacy-nft-mix", Confidence: Likely,
		Summary:  fmt.Sprintf("%s has rules of both iptables-legacy and iptables-nft; a rule of %s, which %s does not show, drops %s", place(d.h), r.Backend, other, d.packetName()),
		Evidence: lines(ruleEvidence(r), fmt.Sprintf("state: %s has %d rules in table %s %s as well, and a packet must pass both", other, rules, table, on(d.h))),
		Fix: []string{in(d.h, "iptables-legacy-save; iptables-nft-save; find who writes with the wrong one (a container with its own iptables)"),
			in(d.h, fmt.Sprintf("flush the backend that kube-proxy and the CNI plugin do not use, here most likely %s", r.Backend))}}
	if r.Alternatives == 0 {
		f.Confidence = Confirmed
	}
	return f
}

// busiest is the table of a backend with most rules that kube-proxy or a CNI plugin would have: only a backend that is in use makes a mix.
func busiest(d *dropAt, backend string) (table string, rules int) {
	for i := range d.ns.Rulesets {
		s := &d.ns.Rulesets[i]
		if s.Backend != backend || (s.Family == "ip6") != d.tuple().Dst.Is6() {
			continue
		}
		for k := range s.Tables {
			n := 0
			for _, c := range s.Tables[k].Chains {
				n += len(c.Rules)
			}
			if n > rules {
				table, rules = s.Tables[k].Name, n
			}
		}
	}
	return table, rules
}

// nodePortFiltered: a rule drops before the translation, which happens in nat PREROUTING.
func nodePortFiltered(d *dropAt) *Finding {
	t := d.tuple()
	if d.h.Hook != "PREROUTING" || d.h.Outer != nil || !d.host() || d.translated() != nil || t.Dport < firstNodePort || t.Dport > lastNodePort || !d.ns.IsLocal(t.Dst) {
		return nil
	}
	if c := d.conntrack(); d.h.Step != "" || c != nil && c.CT != nil && c.CT.State == "INVALID" {
		return nil // conntrack's own drops
	}
	f := &Finding{Layer: Service, Cause: "nodeport-filtered", Confidence: Likely,
		Summary:  fmt.Sprintf("a rule %s drops NodePort %d in PREROUTING, before it is translated", on(d.h), t.Dport),
		Evidence: lines(ruleEvidence(d.h.Rule)),
		Fix:      []string{in(d.h, "iptables -t raw -S PREROUTING; iptables -t mangle -S PREROUTING; rules in INPUT do not matter: a NodePort's packets are forwarded")}}
	if r := d.h.Rule; r != nil && r.Alternatives == 0 {
		f.Confidence = Confirmed
	}
	return f
}

// lbSourceRanges: kube-proxy drops clients that are not in loadBalancerSourceRanges (chain KUBE-PROXY-FIREWALL).
func lbSourceRanges(d *dropAt) *Finding {
	r := d.h.Rule
	if r == nil || r.Owner != "kube-proxy" || !strings.Contains(r.Comment, "traffic not accepted by") {
		return nil
	}
	name := "the Service"
	if d.h.Ref != nil {
		name = "Service " + d.h.Ref.Namespace + "/" + d.h.Ref.Name
	}
	t := d.tuple()
	f := &Finding{Layer: Service, Cause: "lb-source-ranges", Confidence: Likely,
		Summary:  fmt.Sprintf("%s does not accept %s: it is not in loadBalancerSourceRanges", name, d.who(t.Src, 0)),
		Evidence: lines(fmt.Sprintf("kube-proxy's rule says %q", r.Comment), ruleEvidence(r)),
		Fix:      []string{fmt.Sprintf("add %s to loadBalancerSourceRanges of %s; kubectl get svc -A -o jsonpath='{.items[*].spec.loadBalancerSourceRanges}'", netip.PrefixFrom(t.Src, t.Src.BitLen()), name)}}
	if slices.Contains([]string{"DROP", "REJECT"}, r.Verdict) && r.Alternatives == 0 {
		f.Confidence = Confirmed
	}
	return f
}
