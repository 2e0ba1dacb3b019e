// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
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

// who is an address with its Kubernetes name in front, when it has one: "svc/shop/web:http (10.96.0.80:80)".
func (in *Input) who(proto string, a netip.Addr, port uint16) string {
	plain := endpoint(a, port)
	if in.Name == nil {
		return plain
	}
	if n := in.Name(proto, a, port); n != "" {
		return n + " (" + plain + ")"
	}
	return plain
}

// text is the same for "address:port" or "address".
func (in *Input) text(proto, s string) string {
	if p, err := netip.ParseAddrPort(s); err == nil {
		return in.who(proto, p.Addr(), p.Port())
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return in.who(proto, a, 0)
	}
	return s
}

// who is the same for an end of the packet at a drop.
func (d *dropAt) who(a netip.Addr, port uint16) string {
	return d.in.who(d.j.Packet.Proto, a, port)
}

// flowDst and flowSrc name the ends that were asked for.
func (in *Input) flowDst() string {
	a, err := netip.ParseAddr(in.Flow.Dst)
	if err != nil {
		return in.Flow.Dst
	}
	return in.who(in.Flow.Proto, a, in.Flow.Dport)
}

func (in *Input) flowSrc() string {
	a, err := netip.ParseAddr(in.Flow.Src)
	if err != nil {
		return in.Flow.Src
	}
	return in.who(in.Flow.Proto, a, 0)
}

// packetName is "SYN 10.0.0.1:1234 → 10.0.0.2:80".
func (d *dropAt) packetName() string {
	p, t := &d.j.Packet, d.tuple()
	what := p.Proto
	if p.Flags != "" {
		what = p.Flags
	}
	if p.ICMP != "" {
		what = "ICMP " + p.ICMP
	}
	return fmt.Sprintf("%s %s → %s", what, d.who(t.Src, t.Sport), d.who(t.Dst, t.Dport))
}

// dropEvidence is the kernel's own account of a drop.
func dropEvidence(d *dropAt) string {
	h := d.h
	s := fmt.Sprintf("kernel: %s dropped %s", pick(h.Location != "", h.Location, "it"), d.packetName())
	if h.Outer != nil {
		s += fmt.Sprintf(" inside %s → %s", d.who(h.Outer.Src, h.Outer.Sport), d.who(h.Outer.Dst, h.Outer.Dport))
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
	switch {
	case r.Backend == "ipvs":
		s = "ipvs " + r.Text
	case r.IsPolicy():
		s += "policy " + r.Verdict
	case r.Handle != 0:
		s += fmt.Sprintf("handle %d: %s", r.Handle, r.Text)
	default:
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

// Setting is the key of a device's setting as sysctl(8) takes it: a dot in a device's name would be a separator, but for a key whose first one is a
// slash.
func Setting(tree, dev, name string) string {
	if strings.Contains(dev, ".") {
		return strings.ReplaceAll(tree, ".", "/") + "/" + dev + "/" + name
	}
	return tree + "." + dev + "." + name
}

// at is in, where a parameter has that name.
func at(h *journey.Hop, command string) string { return in(h, command) }

// in says how to run a command at the place of a hop.
func in(h *journey.Hop, command string) string { return fmt.Sprintf("%s: %s", on(h), command) }
