// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/probe"
)

// probeEvidence is what the client saw, a line for each part of the probe.
func probeEvidence(p *probe.Result) []string {
	out := []string{"client: the probe " + saw(p)}
	out = append(out, lines(icmpWords(p.ICMP), httpWords(p.HTTP))...)
	out = append(out, dnsWords(p.DNS)...)
	out = append(out, lines(mtuWords(p.MTU))...)
	return append(out, compareWords(p)...)
}

func saw(p *probe.Result) string {
	s := fmt.Sprintf("%s after %d ms", outcomeWords(p.Result), p.MS)
	if p.Sent > 0 && !p.Acked && p.Result != probe.Connected {
		s += fmt.Sprintf("; it had sent %d bytes", p.Sent)
	}
	return s
}

func outcomeWords(o probe.Outcome) string {
	return map[probe.Outcome]string{
		probe.Connected: "was answered", probe.Refused: "was refused", probe.Timeout: "timed out", probe.Unreachable: "was told that the destination is unreachable",
		probe.Reset: "was reset", probe.NoAnswer: "got no answer",
	}[o]
}

func icmpWords(e *probe.ICMP) string {
	if e == nil {
		return ""
	}
	s := fmt.Sprintf("client: %s sent ICMP %s", cmp.Or(e.From, "the client's own kernel"), e.Type)
	if e.MTU > 0 {
		s += fmt.Sprintf(" with MTU %d", e.MTU)
	}
	return s
}

func httpWords(h *probe.HTTPResult) string {
	if h == nil {
		return ""
	}
	s := fmt.Sprintf("client: HEAD %s got status %d, first byte after %d ms", h.Path, h.Status, h.FirstMS)
	if h.Status == 0 {
		s = fmt.Sprintf("client: HEAD %s got no HTTP answer: %s", h.Path, h.Error)
	}
	if t := h.TLS; t != nil {
		s += fmt.Sprintf("; %s, certificate of %s issued by %s", t.Version, t.Subject, t.Issuer)
		if t.Error != "" {
			s += "; it was not verified, and would fail on this host: " + t.Error
		}
	}
	return s
}

// dnsWords tells what a name took, and each kind of failure once.
func dnsWords(d *probe.DNSResult) []string {
	if d == nil {
		return nil
	}
	s := fmt.Sprintf("client: %d queries for the name %s", len(d.Queries), d.Name)
	if d.Names > 1 {
		s += fmt.Sprintf(", which became %d names", d.Names)
	}
	switch {
	case len(d.Answers) > 0:
		s += ": " + strings.Join(d.Answers[:min(len(d.Answers), 4)], ", ")
	case d.Rcode != "":
		s += ": the last answer was " + d.Rcode
	default:
		s += ": no server answered"
	}
	if d.Cut != "" {
		s += "; " + d.Cut
	}
	out := []string{s}
	if d.Source != "" {
		out = append(out, fmt.Sprintf("client: resolv.conf: %s (servers %s, search %s, ndots %d)", d.Source, strings.Join(d.Servers, " "), cmp.Or(strings.Join(d.Search, " "), "none"), d.Ndots))
	}
	if d.Named != nil {
		out = append(out, "client: resolv.conf names "+strings.Join(d.Named, " ")+", which were not asked here")
	}
	seen := map[string]bool{}
	for i := range d.Queries {
		q := &d.Queries[i]
		if key := q.Server + q.Error; q.Error != "" && !seen[key] && len(seen) < 4 {
			seen[key] = true
			out = append(out, fmt.Sprintf("client: %s/%s gave no answer to %s %s: %s", q.Server, q.Proto, q.Type, q.Name, q.Error))
		}
	}
	return out
}

func mtuWords(m *probe.MTUResult) string {
	if m == nil {
		return ""
	}
	s := fmt.Sprintf("client: the largest packet that got through has %d bytes, the smallest that did not %d; the client's device %s takes %d", m.Passed, m.Failed, m.Device, m.DeviceMTU)
	switch m.Kind {
	case probe.MTUClear:
		s = fmt.Sprintf("client: packets up to the MTU of the client's device %s, %d bytes, get through", m.Device, m.Passed)
	case probe.MTUPeer:
		s = fmt.Sprintf("client: packets of %d bytes get through, and the receiver takes no larger ones; the client's device %s takes %d", m.Passed, m.Device, m.DeviceMTU)
	case probe.MTUNone:
		s = fmt.Sprintf("client: not even packets of %d bytes were answered: that says nothing about sizes", m.Failed)
	case probe.MTUSilent:
		s += "; nobody said so, which makes it a hole"
	case probe.MTULocal:
		s += "; the client's own kernel refused it"
	case probe.MTUTold:
		if m.Failed == 0 {
			s = fmt.Sprintf("client: packets of %d bytes get through, and the kernel had been told before that larger ones do not", m.Passed)
		}
		if m.ICMP != nil && m.ICMP.From == "" {
			s += fmt.Sprintf("; the kernel knows the path's MTU %d", m.ICMP.MTU)
		}
	}
	if m.Cut != "" {
		s += "; " + m.Cut
	}
	return s
}

// compareWords are the variants, and what their difference means.
func compareWords(p *probe.Result) []string {
	var out []string
	for i := range p.Compare {
		c := &p.Compare[i]
		s := fmt.Sprintf("client: %s", c.What)
		if c.Dst != "" {
			s += fmt.Sprintf(" (%s)", c.Dst)
		}
		s += fmt.Sprintf(" %s after %d ms", outcomeWords(c.Result), c.MS)
		if c.Error != "" {
			s += ": " + c.Error
		}
		out = append(out, s)
	}
	if c := difference(p); c != "" {
		out = append(out, "comparison: "+c)
	}
	return out
}

// difference names the layer that what works and what does not have between them; "" when they do not differ.
func difference(p *probe.Result) string {
	good, bad := map[probe.VariantKind]int{}, map[probe.VariantKind]int{}
	direct, directBad := 0, 0
	for _, c := range p.Compare {
		if c.Result == probe.Connected {
			good[c.Kind]++
		} else {
			bad[c.Kind]++
		}
		if c.Kind == probe.SameNode || c.Kind == probe.OtherNode || c.Kind == probe.Endpoint {
			if c.Result == probe.Connected {
				direct++
			} else {
				directBad++
			}
		}
	}
	ok := p.Result == probe.Connected
	switch {
	case !ok && direct > 0 && directBad == 0:
		return "the destination does not answer and its endpoints do: the Service layer is at fault"
	case good[probe.SameNode] > 0 && bad[probe.SameNode] == 0 && bad[probe.OtherNode] > 0 && good[probe.OtherNode] == 0:
		return "endpoints on the same node answer and those on another do not: what lies between the nodes is at fault"
	case direct > 0 && directBad > 0:
		return "some endpoints answer and some do not: look at those that do not"
	case !ok && directBad > 0 && direct == 0:
		return "neither the destination nor any endpoint answers: the Service layer is not the cause"
	case !ok && good[probe.ByService] > 0:
		return "the pod does not answer directly and its Service does"
	case ok && bad[probe.ByService] > 0:
		return "the pod answers directly and its Service does not: the Service layer is at fault"
	case ok && bad[probe.ByName] > 0:
		return "the address answers and its name does not work: DNS is at fault"
	}
	return ""
}
