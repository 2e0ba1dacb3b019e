// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

func init() {
	register(check{name: "host-firewall-drops-tunnel", drop: hostFirewallDropsTunnel, silences: []string{"netfilter-drop"}})
	register(check{name: "no-endpoints", drop: noEndpoints, silences: []string{"netfilter-drop", "network-policy"}})
	register(check{name: "network-policy", drop: networkPolicy, silences: []string{"netfilter-drop"}})
	register(check{name: "forward-policy-drop", drop: forwardPolicyDrop, silences: []string{"netfilter-drop"}})
	register(check{name: "netfilter-drop", drop: netfilterDrop})
}

// hostFirewallDropsTunnel: a node's own rules drop the packets that carry the pods' packets. Catalogue: host-firewall-drops-tunnel.
func hostFirewallDropsTunnel(d *dropAt) *Finding {
	if d.h.Hook == "" || d.h.Outer == nil || !d.host() {
		return nil
	}
	o, c := d.h.Outer, carrier(d.j, d.h)
	f := &Finding{
		Layer: Underlay, Cause: "host-firewall-drops-tunnel", Confidence: Likely,
		Summary:  fmt.Sprintf("%s's firewall drops %s: %s %s → %s in %s", place(d.h), c.Name, c.Inside, d.who(o.Src, 0), d.who(o.Dst, o.Dport), d.h.Hook),
		Evidence: lines(ruleEvidence(d.h.Rule), "the packet inside was not looked at: it never left the tunnel's packet"),
		Fix:      []string{in(d.h, letPass(d, c.Match, c.Allow)+fmt.Sprintf(" (or the same in the firewall's own configuration: allow %s between the nodes)", c.Allow))},
	}
	if r := d.h.Rule; r != nil && r.Alternatives == 0 {
		f.Confidence = Confirmed
	}
	return f
}

// noEndpoints: kube-proxy rejects a Service that has no ready endpoint (REJECT), or none on this node with a Local policy (DROP).
func noEndpoints(d *dropAt) *Finding {
	r := d.h.Rule
	if r == nil || r.Owner != "kube-proxy" || d.h.Ref == nil {
		return nil
	}
	svc := d.h.Ref
	name := svc.Namespace + "/" + svc.Name
	switch r.Why {
	case "has no endpoints":
		return &Finding{
			Layer: Service, Cause: "no-endpoints", Confidence: Confirmed,
			Summary:  fmt.Sprintf("Service %s has no ready endpoints: kube-proxy rejects %s", name, d.who(d.tuple().Dst, d.tuple().Dport)),
			Evidence: lines(kubeProxySays(r), ruleEvidence(r)),
			Fix: []string{fmt.Sprintf("kubectl get endpointslices -n %s -l kubernetes.io/service-name=%s -o wide", svc.Namespace, svc.Name),
				fmt.Sprintf("kubectl describe service -n %s %s, then compare its selector and targetPort with the pods' labels, readiness and port names", svc.Namespace, svc.Name)},
		}
	case "has no local endpoints":
		return &Finding{
			Layer: Service, Cause: "no-local-endpoints", Confidence: Confirmed,
			Summary:  fmt.Sprintf("Service %s has no ready endpoint on %s and its traffic policy is Local", name, place(d.h)),
			Evidence: lines(kubeProxySays(r), ruleEvidence(r)),
			Fix:      []string{"send only to nodes that have an endpoint (the load balancer's health check does), or set the traffic policy to Cluster"},
		}
	}
	return nil
}

// kubeProxySays is what kube-proxy wrote to its rule, or to the element of its map.
func kubeProxySays(r *journey.Rule) string {
	if strings.HasSuffix(r.Comment, r.Why) {
		return fmt.Sprintf("kube-proxy's rule says %q", r.Comment)
	}
	return fmt.Sprintf("kube-proxy's map of Services without endpoints names %q", r.Comment)
}

// networkPolicy: a rule in a chain in which a CNI plugin enforces NetworkPolicies.
func networkPolicy(d *dropAt) *Finding {
	r := d.h.Rule
	if r == nil || !r.Policy {
		return nil
	}
	cause, verb := "network-policy-drop", "drops"
	if d.h.Verdict == "reject" {
		cause, verb = "network-policy-reject", "rejects"
	}
	t := d.tuple()
	f := &Finding{
		Layer: Application, Cause: cause, Confidence: Confirmed,
		Summary:  fmt.Sprintf("a NetworkPolicy %s %s → %s: %s's chain %s on %s", verb, d.who(t.Src, 0), d.who(t.Dst, t.Dport), r.Owner, r.Chain, place(d.h)),
		Evidence: lines(ruleEvidence(r), policyEvidence(d)),
		Fix: []string{fmt.Sprintf("kubectl get networkpolicy -A, and allow %s to reach port %d of the pod %s", t.Src, t.Dport, t.Dst),
			in(d.h, listCommand(r)+" shows which rule counts")},
	}
	if r.Alternatives > 0 {
		f.Confidence = Likely
	}
	if d.j.Direction == journey.Reply { // policies are about connections: plugins let the answers of allowed ones pass by their state
		f.Confidence = Likely
		f.Summary = fmt.Sprintf("a NetworkPolicy %s the answer %s → %s, although the request had passed: %s's chain %s on %s", verb, d.who(t.Src, t.Sport), d.who(t.Dst, 0), r.Owner, r.Chain, place(d.h))
		f.Fix[0] = fmt.Sprintf("kubectl get networkpolicy -A: do they allow %s to reach port %d of %s? If so the node does not know the connection: conntrack -L -s %s", t.Dst, t.Sport, t.Src, t.Dst)
	}
	return f
}

// policyEvidence compares the drop with what the NetworkPolicies say; when they allow the connection, the rules are not those of now.
func policyEvidence(d *dropAt) string {
	if d.in.Policies == nil {
		return ""
	}
	t := d.tuple()
	if d.j.Direction == journey.Reply { // whether it may pass is decided by its request
		t = d.answer()
	}
	why, allowed := d.in.Policies(d.j.Packet.Proto, t.Src, t.Dst, t.Dport)
	switch {
	case why == "":
		return ""
	case allowed:
		return "the NetworkPolicies of the API allow it (" + why + "): the CNI plugin's rules are older than they, or it understands them in another way"
	}
	return "the NetworkPolicies of the API deny it: " + why
}

// forwardPolicyDrop: nothing accepted the packet and the policy of FORWARD is DROP.
func forwardPolicyDrop(d *dropAt) *Finding {
	r := d.h.Rule
	if d.h.Hook != "FORWARD" || r == nil || !r.IsPolicy() || r.Verdict != "DROP" || d.h.Outer != nil {
		return nil
	}
	tool := ruleset.ToolOf(r.Backend, r.Family)
	return &Finding{
		Layer: PodNetwork, Cause: "forward-policy-drop", Confidence: Confirmed,
		Summary:  fmt.Sprintf("%s does not forward pod packets: policy DROP of chain FORWARD (%s), and no rule accepted %s → %s", place(d.h), tool, d.who(d.tuple().Src, 0), d.who(d.tuple().Dst, 0)),
		Evidence: lines(ruleEvidence(r)),
		Fix: []string{in(d.h, ruleset.PolicyCommand(r.Backend, r.Family, r.Table, r.Chain)+", or let the CNI plugin write its accepting rules again (restart its pod on this node)"),
			"find what set the policy: Docker does when it starts"},
	}
}

// layerAt is the layer of a rule by where it is: at the packet that carries the pods' ones, in a pod, or on a node.
func layerAt(d *dropAt) Layer {
	switch {
	case d.h.Outer != nil:
		return Underlay
	case d.h.Where != nil && !d.host():
		return Application
	}
	return PodNetwork
}

// netfilterDrop is any other drop in a netfilter hook.
func netfilterDrop(d *dropAt) *Finding {
	if d.h.Hook == "" {
		return nil
	}
	layer := layerAt(d)
	if layer == PodNetwork && d.h.Ref != nil {
		layer = Service
	}
	f := &Finding{
		Layer: layer, Cause: "netfilter-drop", Confidence: Likely,
		Summary:  fmt.Sprintf("netfilter %s %s %s in %s", pick(d.h.Verdict == "reject", "rejects", "drops"), d.packetName(), on(d.h), d.h.Hook),
		Evidence: lines(ruleEvidence(d.h.Rule)),
		Fix:      []string{in(d.h, "iptables-save -c; nft list ruleset; look for the rule in "+d.h.Hook)},
	}
	if d.h.Rule != nil {
		f.Summary += ": " + ruleEvidence(d.h.Rule)
	}
	return f
}
