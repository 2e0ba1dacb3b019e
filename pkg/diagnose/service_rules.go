// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

func init() {
	register(check{name: "service-rules", layer: Service, run: serviceRules})
}

// serviceRules: what the rules of the node that translates make of the Service's address is what the EndpointSlices say.
func serviceRules(in *Input) Result {
	w := in.path()
	if v := in.virtual(); v != nil {
		return in.virtualServer(v)
	}
	if s := in.refusal(Service); s != nil { // rules know of Services without Kubernetes too
		return *s
	}
	if r, none := in.needService(); none {
		return r
	}
	if w.entry == nil {
		return unknown("the node that translates is not on this kernel: run nettrace there")
	}
	if why := unread(w.entry, "rules"); why != "" {
		return unknown(why)
	}
	at := netip.AddrPortFrom(in.Dst, in.Dport)
	to := in.walkRules().entry
	if slices.Contains(to, at) && len(to) == 1 || len(to) == 0 {
		if s := in.refusal(""); len(to) == 0 && s != nil { // they stopped before
			return unknown("the flow does not get so far: " + s.Summary)
		}
		if len(to) == 0 && !in.met() {
			return unknown("the flow does not get so far: none of its packets reaches the rules of " + w.entry.Node)
		}
		return in.notProgrammed(at)
	}
	to = slices.DeleteFunc(slices.Clone(to), func(a netip.AddrPort) bool { return a == at })
	return in.compareEndpoints(to)
}

// met reports whether packets of the flow got to the node that translates.
func (in *Input) met() bool {
	return slices.ContainsFunc(in.walkRules().run.Ends, func(e ruleset.End) bool { return e.Place == in.key(in.path().entry) })
}

func (in *Input) notProgrammed(at netip.AddrPort) Result {
	w := in.path()
	if why := translatesOtherwise(w.entry); why != "" {
		return unknown(why)
	}
	if !slices.Contains(w.svc.ClusterIPs, in.Dst) {
		return Result{Status: Wrong, Cause: "nodeport-closed", Node: w.entry.Node, Stops: true, Summary: fmt.Sprintf("%s does not translate %s, a port of Service %s", w.entry.Node, at, w.service()),
			Evidence: []string{"rules: none of " + w.entry.Node + " translates it"}, Fix: proxyFix(w)}
	}
	return Result{Status: Wrong, Cause: "service-not-programmed", Node: w.entry.Node, Stops: true, Summary: fmt.Sprintf("packets to Service %s are not translated on %s: kube-proxy has no rule for it there", w.service(), w.entry.Node),
		Evidence: []string{fmt.Sprintf("rules: none of %s translates %s", w.entry.Node, at)}, Fix: proxyFix(w)}
}

// translatesOtherwise says that a node without anything of kube-proxy has eBPF programs, which may translate in its place; "" when it does not look so.
func translatesOtherwise(n *netstate.Namespace) string {
	if hasKubeProxy(n) || !slices.ContainsFunc(n.Links, func(l netstate.Link) bool {
		return slices.ContainsFunc(l.Programs, func(p netstate.Program) bool { return p.ID != 0 }) // other filters of tc have none
	}) {
		return ""
	}
	return fmt.Sprintf("no rule of kube-proxy is on %s; an eBPF service implementation (Cilium, Calico) may translate, which rules do not show", n.Node)
}

// hasKubeProxy reports whether anything in a namespace is kube-proxy's, of whichever of its three modes.
func hasKubeProxy(n *netstate.Namespace) bool {
	if n.IPVS != nil && len(n.IPVS.Servers) > 0 {
		return true
	}
	return slices.ContainsFunc(n.Rulesets, func(r ruleset.Ruleset) bool {
		return slices.ContainsFunc(r.Tables, func(t ruleset.Table) bool {
			return slices.ContainsFunc(t.Chains, func(c ruleset.Chain) bool { return c.Name == "KUBE-SERVICES" })
		}) || r.NFT != nil && slices.ContainsFunc(r.NFT.Tables, func(t ruleset.NFTTable) bool { return t.Name == "kube-proxy" })
	})
}

func proxyFix(w *way) []string {
	return []string{fmt.Sprintf("on %s: curl -s http://127.0.0.1:10256/healthz", w.entry.Node), "kubectl -n kube-system get pods -o wide | grep kube-proxy: is it running on this node, and what does its log say?"}
}

// compareEndpoints compares the destinations of the rules with the ready endpoints. Local policies and topology leave some out, so that fewer
// are no fault.
func (in *Input) compareEndpoints(to []netip.AddrPort) Result {
	w := in.path()
	var stale, missing []string
	for _, a := range to {
		if !slices.ContainsFunc(w.targets, func(t side) bool { return t.addr == a.Addr() && t.port == a.Port() }) && !in.backend(a) {
			stale = append(stale, a.String())
		}
	}
	for _, t := range w.targets {
		if a := netip.AddrPortFrom(t.addr, t.port); !slices.Contains(to, a) {
			missing = append(missing, a.String())
		}
	}
	switch {
	case w.backends == nil:
		return unknown(fmt.Sprintf("the rules of %s send to %d destinations; the Service's EndpointSlices are not known", w.entry.Node, len(to)))
	case len(stale) > 0:
		return Result{Status: Wrong, Cause: "stale-endpoint", Node: w.entry.Node, Stops: len(stale) == len(to), Summary: fmt.Sprintf("the rules of %s send Service %s to %s, which is no endpoint of it", w.entry.Node, w.service(), sentence(stale)),
			Evidence: []string{fmt.Sprintf("rules: %d destinations, %d of them in no EndpointSlice", len(to), len(stale))}, Fix: proxyFix(w)}
	case len(missing) > 0 && !in.mayLeaveOut():
		return Result{Status: Wrong, Cause: "stale-endpoint", Node: w.entry.Node, Summary: fmt.Sprintf("the rules of %s lack the endpoint %s of Service %s", w.entry.Node, sentence(missing), w.service()),
			Evidence: []string{fmt.Sprintf("rules: %d destinations, the EndpointSlices have %d to use", len(to), len(w.targets)+w.more)}, Fix: proxyFix(w)}
	}
	return Result{Status: OK, Summary: fmt.Sprintf("the rules of %s send to the %d endpoints of the EndpointSlices", w.entry.Node, len(to))}
}

// backend reports an endpoint whatever its state: one that terminates may still be served.
func (in *Input) backend(a netip.AddrPort) bool {
	for _, b := range in.path().backends {
		if b.Addr == a {
			return true
		}
	}
	return false
}

// mayLeaveOut: with a Local policy, zone hints or session affinity the rules rightly have fewer endpoints than the slices.
func (in *Input) mayLeaveOut() bool {
	w := in.path()
	if w.svc.InternalPolicy == "Local" || w.svc.ExternalPolicy == "Local" || w.svc.Affinity || w.more > 0 {
		return true
	}
	for _, s := range in.Index.Slices(w.svc) {
		for i := range s.Endpoints {
			if len(s.Endpoints[i].Hints) > 0 {
				return true
			}
		}
	}
	return false
}

// virtual is the virtual server of IPVS to which the destination belongs on the node that translates; nil when IPVS leaves it alone.
func (in *Input) virtual() *ruleset.VirtualServer {
	if e := in.path().entry; e != nil {
		return e.IPVS.Virtual(in.Proto, in.Dst, in.Dport)
	}
	return nil
}

// virtualServer compares the real servers of IPVS with the ready endpoints.
func (in *Input) virtualServer(v *ruleset.VirtualServer) Result {
	w := in.path()
	real := v.Available()
	if len(real) == 0 {
		return Result{Status: Wrong, Cause: "no-endpoints", Node: w.entry.Node, Stops: true, Summary: fmt.Sprintf("the virtual server of Service %s has no real servers on %s", w.service(), w.entry.Node),
			Evidence: []string{"ipvs: " + v.String()}, Fix: proxyFix(w)}
	}
	var stale []string
	for _, r := range real {
		if a := netip.AddrPortFrom(r.Addr, r.Port); !in.backend(a) {
			stale = append(stale, a.String())
		}
	}
	if len(stale) > 0 && w.backends != nil {
		return Result{Status: Wrong, Cause: "stale-endpoint", Node: w.entry.Node, Stops: len(stale) == len(real), Summary: fmt.Sprintf("IPVS on %s sends Service %s to %s, which is no endpoint of it", w.entry.Node, w.service(), strings.Join(stale, ", ")),
			Evidence: []string{"ipvs: " + v.String()}, Fix: proxyFix(w)}
	}
	if w.backends == nil {
		return Result{Status: OK, Summary: fmt.Sprintf("IPVS on %s has %d real servers; whether they are endpoints is not known", w.entry.Node, len(real))}
	}
	return Result{Status: OK, Summary: fmt.Sprintf("IPVS on %s has %d real servers, all of them endpoints", w.entry.Node, len(real))}
}
