// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/probe"
)

// place names where a hop is, for sentences.
func place(h *journey.Hop) string {
	switch {
	case h.Where == nil:
		return fmt.Sprintf("namespace %d", h.NetNS)
	case h.Where.Kind == "host" && h.Node != "":
		return h.Node
	case h.Where.Namespace != "":
		return h.Where.Namespace + "/" + h.Where.Name
	}
	return h.Where.Name
}

// on is "on node1" or "in web-b".
func on(h *journey.Hop) string {
	if h.Where != nil && h.Where.Kind == "host" {
		return "on " + place(h)
	}
	return "in " + place(h)
}

func endpoint(a netip.Addr, port uint16) string {
	if port == 0 {
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}

// packetName is "SYN 10.0.0.1:1234 → 10.0.0.2:80".
func packetName(p *journey.Packet, t journey.Tuple) string {
	what := p.Proto
	if p.Flags != "" {
		what = p.Flags
	}
	if p.ICMP != "" {
		what = "ICMP " + p.ICMP
	}
	return fmt.Sprintf("%s %s → %s", what, endpoint(t.Src, t.Sport), endpoint(t.Dst, t.Dport))
}

// dropEvidence is the kernel's own account of a drop.
func dropEvidence(d *dropAt) string {
	h := d.h
	s := fmt.Sprintf("kernel: %s dropped %s", pick(h.Location != "", h.Location, "it"), packetName(&d.j.Packet, d.tuple()))
	if h.Outer != nil {
		s += fmt.Sprintf(" inside %s → %s", endpoint(h.Outer.Src, h.Outer.Sport), endpoint(h.Outer.Dst, h.Outer.Dport))
	}
	s += " " + on(h)
	if h.Dev != "" {
		s += " at " + h.Dev
	}
	if h.Reason != "" {
		s += ", reason " + h.Reason
	}
	if h.Hook != "" {
		s += ", in netfilter's " + h.Hook
	}
	if h.ICMP != "" {
		s += ", and sent ICMP " + h.ICMP
	}
	return s
}

// ruleEvidence names the rule; "" when none is known.
func ruleEvidence(r *journey.Rule) string {
	if r == nil {
		return ""
	}
	s := fmt.Sprintf("%s, table %s, chain %s, ", r.Backend, r.Table, r.Chain)
	if r.Number == 0 {
		s += "policy " + r.Verdict
	} else {
		s += fmt.Sprintf("rule %d: %s", r.Number, r.Text)
	}
	if r.Owner != "" {
		s += fmt.Sprintf(" (%s's rule, %s)", r.Owner, r.Certainty)
	} else {
		s += " (" + r.Certainty + ")"
	}
	if r.Alternatives > 0 {
		s += fmt.Sprintf("; %d other rules fit as well", r.Alternatives)
	}
	return s
}

func probeEvidence(p *probe.Result) string {
	what := map[probe.Outcome]string{
		probe.Connected: "was answered", probe.Refused: "was refused", probe.Timeout: "timed out", probe.Unreachable: "was told that the destination is unreachable",
		probe.Reset: "was reset", probe.NoAnswer: "got no answer",
	}[p.Result]
	s := fmt.Sprintf("client: the probe %s after %d ms", what, p.MS)
	if p.Sent > 0 && !p.Acked && p.Result != probe.Connected {
		s += fmt.Sprintf("; it had sent %d bytes", p.Sent)
	}
	return s
}

func pick(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// lines leaves empty ones out.
func lines(all ...string) []string {
	var out []string
	for _, l := range all {
		if strings.TrimSpace(l) != "" {
			out = append(out, l)
		}
	}
	return out
}

// in says how to run a command at the place of a hop.
func in(h *journey.Hop, command string) string { return fmt.Sprintf("%s: %s", on(h), command) }
