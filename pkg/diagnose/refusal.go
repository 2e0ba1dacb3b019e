// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

func init() {
	register(check{name: "forward-rules", layer: PodNetwork, run: forwardRules})
	register(check{name: "policy-rules", layer: Application, run: policyRules})
}

// forwardRules: no rule of the nodes on the way drops the flow, but for those that are of other layers.
func forwardRules(in *Input) Result {
	if r := in.refusal(PodNetwork); r != nil {
		return *r
	}
	if r := in.refusal(DNS); r != nil {
		return *r
	}
	return in.passes("no rule of the nodes drops the flow")
}

// policyRules: neither chains in which NetworkPolicies are enforced nor rules in the pods' own namespaces drop the flow.
func policyRules(in *Input) Result {
	if r := in.refusal(Application); r != nil {
		return *r
	}
	return in.passes("no rule of a NetworkPolicy or in a pod drops the flow")
}

// passes is what the dry run comes to when no rule of the layer refuses the flow.
func (in *Input) passes(fine string) Result {
	w, walked := in.path(), in.walkRules()
	if walked.why != "" {
		return unknown(walked.why)
	}
	here, elsewhere := in.hosts()
	for _, h := range here {
		if why := unread(h, "rules", "ipsets"); why != "" {
			return unknown(why)
		}
	}
	for i := range walked.run.Ends {
		e := &walked.run.Ends[i]
		why := ""
		switch {
		case e.Verdict == ruleset.EndUnknown:
			why = "a rule's match or target is not known"
		case e.Verdict == ruleset.EndQueue:
			why = "a program outside of the kernel decides (NFQUEUE)"
		case refuses(e) && !e.Sure:
			why = "a rule may drop the flow: a match on the way to it is not known"
		default:
			continue
		}
		if ev := stepEvidence(&walked.run, e.Step); ev != nil {
			why += ": " + ev[0]
		}
		return unknown(why)
	}
	if len(elsewhere) > 0 && w.entry != nil {
		return Result{Status: Unknown, Summary: away(elsewhere[0]), Evidence: []string{"seen: none of " + w.entry.Node + " does"}}
	}
	if in.refusal("") != nil {
		fine += ", but for one of another layer"
	}
	return Result{Status: OK, Summary: fine}
}

func refuses(e *ruleset.End) bool {
	return e.Verdict == ruleset.EndDrop || e.Verdict == ruleset.EndReject
}

// refusal is the first end of the dry run at which rules of a layer drop or reject; "" stands for any layer; nil when there is none.
// What depends on a match that is not known is none.
func (in *Input) refusal(layer Layer) *Result {
	d := &in.walkRules().run
	for i := range d.Ends {
		e := &d.Ends[i]
		if !refuses(e) || !e.Sure || e.Step < 1 || e.Step > len(d.Steps) {
			continue
		}
		r := in.refused(e, &d.Steps[e.Step-1])
		if layer != "" && r.Layer != layer {
			continue
		}
		r.Status, r.Evidence = Wrong, append(r.Evidence, stepEvidence(d, e.Step)...)
		if r.Stops = e.Share >= all; !r.Stops {
			r.Summary += fmt.Sprintf(" (for %.0f%% of connections)", 100*e.Share)
		}
		return &r
	}
	return nil
}

// all is the share of a flow's connections from which on a rule stops it; the share is a product of probabilities that were rounded.
const all = 0.999

// refused says which layer's a rule is that stops the flow, and why it is there: the rule's owner and place tell.
func (in *Input) refused(e *ruleset.End, s *ruleset.Step) Result {
	n := in.space(s.Place)
	r := Result{Layer: PodNetwork, Cause: "netfilter-drop"}
	where := "a namespace"
	if n != nil {
		where, r.Node = n.Name, n.Node
		if n.Host {
			where = n.Node
		}
	}
	verb := "drops"
	if e.Verdict == ruleset.EndReject {
		verb = "rejects"
	}
	to := in.who(e.To.Addr(), e.To.Port())
	whose := s.Owner.By + " on " + where
	if whose == "node firewall on "+where {
		whose = where + "'s firewall"
	}
	r.Summary = fmt.Sprintf("a rule of %s %s the flow to %s in %s", whose, verb, to, s.Hook)
	tool := ruleset.ToolOf(s.Backend, s.Family)
	r.Fix = []string{fmt.Sprintf("on %s: %s, table %s, chain %s: remove the rule, or let the flow pass before it", where, tool, s.Table, s.Chain)}
	switch {
	case s.Owner.By == "kube-proxy" && s.Owner.Why != "":
		in.proxyRefuses(&r, s, where)
	case s.Owner.Policy:
		r.Layer, r.Cause = Application, "network-policy-drop"
		if verb == "rejects" {
			r.Cause = "network-policy-reject"
		}
		r.Summary = fmt.Sprintf("a NetworkPolicy %s the flow to %s: %s's chain %s on %s", verb, to, s.Owner.By, s.Chain, where)
		r.Fix = []string{"kubectl get networkpolicy -A, and allow the flow"}
	case n != nil && !n.Host:
		r.Layer = Application
	case strings.Contains(s.Text, "tcp-reset") || strings.Contains(s.Text, "tcp reset"):
		r.Layer, r.Cause = Application, "rejected-with-reset"
	case s.Hook == "PREROUTING" && n.IsLocal(in.Dst):
		r.Layer, r.Cause = Service, "nodeport-filtered"
		r.Summary = fmt.Sprintf("a rule on %s drops port %d in PREROUTING, before it is translated", where, in.Dport)
	case s.Number == 0 && s.Hook == "FORWARD":
		r.Cause = "forward-policy-drop"
		r.Summary = fmt.Sprintf("%s does not forward pod packets: policy DROP of chain %s (%s), and no rule accepts the flow", where, s.Chain, tool)
		r.Fix = []string{fmt.Sprintf("on %s: %s, or let the CNI plugin write its accepting rules again (restart its pod on this node)", where, ruleset.PolicyCommand(s.Backend, s.Family, s.Table, s.Chain)), "find what set the policy: Docker does when it starts"}
	}
	if in.forDNS() && r.Layer != Service && r.Cause != "dns-no-endpoints" {
		r.Layer, r.Cause = DNS, "dns-blocked-by-policy"
		r.Summary = "names cannot be resolved: " + r.Summary
	}
	return r
}

// proxyRefuses: kube-proxy writes its reason into the rule's comment.
func (in *Input) proxyRefuses(r *Result, s *ruleset.Step, where string) {
	name := s.Owner.Namespace + "/" + s.Owner.Service
	r.Layer = Service
	switch s.Owner.Why {
	case "has no endpoints":
		r.Cause, r.Summary = "no-endpoints", fmt.Sprintf("Service %s has no ready endpoints: kube-proxy rejects it on %s", name, where)
		r.Fix = []string{fmt.Sprintf("kubectl get endpointslices -n %s -l kubernetes.io/service-name=%s -o wide", s.Owner.Namespace, s.Owner.Service)}
		if in.forDNS() {
			r.Layer, r.Cause, r.Summary = DNS, "dns-no-endpoints", "names cannot be resolved: "+r.Summary
		}
	case "has no local endpoints":
		r.Cause, r.Summary = "no-local-endpoints", fmt.Sprintf("Service %s has no ready endpoint on %s and its traffic policy is Local", name, where)
		r.Fix = []string{"send only to nodes that have an endpoint, or set the traffic policy to Cluster"}
	default:
		r.Cause, r.Summary = "lb-source-ranges", fmt.Sprintf("Service %s does not accept %s: it is not in loadBalancerSourceRanges", name, in.who(in.Src, 0))
		r.Fix = []string{fmt.Sprintf("kubectl edit service -n %s %s: add it to loadBalancerSourceRanges", s.Owner.Namespace, s.Owner.Service)}
	}
}
