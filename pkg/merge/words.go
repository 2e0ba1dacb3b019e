// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

func endText(a netip.Addr, port uint16) string {
	if port == 0 {
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}

func tupleText(t journey.Tuple) string {
	return endText(t.Src, t.Sport) + " → " + endText(t.Dst, t.Dport)
}

// packetText is "SYN 10.0.0.1:1234 → 10.0.0.2:80" as the packet was when it left.
func (p *part) packetText() string {
	what := p.j.Packet.Proto
	switch {
	case p.j.Packet.ICMP != "":
		what = "ICMP " + p.j.Packet.ICMP
	case p.j.Packet.Flags != "":
		what = p.j.Packet.Flags
	}
	return what + " " + tupleText(p.j.TupleAt(len(p.j.Hops)-1))
}

// leftText is "out of eth0 inside udp 192.168.50.1:5555 → 192.168.50.2:8472".
func (p *part) leftText() string {
	h := p.last()
	s := "out of " + h.Dev
	if h.Outer != nil {
		s += " inside " + tunnelText(p.j) + " " + tupleText(*h.Outer)
	}
	return s
}

// tunnelText names what carries the packet at its last hop.
func tunnelText(j *journey.Journey) string {
	for i := len(j.Hops) - 1; i >= 0; i-- {
		if t := j.Hops[i].Tunnel; t != nil && t.Op == "encap" && t.Type != "" {
			return cmp.Or(tunnelNames[t.Type], t.Type)
		}
	}
	return "a tunnel packet"
}

// tunnelNames are the words of the story.
var tunnelNames = map[string]string{"vxlan": "VXLAN", "geneve": "Geneve", "ipip": "IP-in-IP"}

// prefixed puts a node's name in front of its sentences.
func prefixed(node string, lines []string) []string {
	var out []string
	for _, l := range lines {
		if strings.HasPrefix(l, node+":") {
			out = append(out, l)
			continue
		}
		out = append(out, node+": "+l)
	}
	return out
}

// duration is a time in ns with a unit that fits.
func duration(ns int64) string {
	d := time.Duration(ns)
	switch {
	case d.Abs() >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d.Abs() >= 100*time.Microsecond:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.3f ms", float64(d)/1e6)
}

// clockEvidence says how the clocks compare, and how sure that is.
func clockEvidence(all []verdict.Clock) []string {
	var out []string
	for _, c := range all {
		way := "ahead of"
		ns := c.OffsetNS
		if ns < 0 {
			way, ns = "behind", -ns
		}
		switch c.Known {
		case knownExact:
			s := fmt.Sprintf("clocks: %s's is %s %s %s's, give or take %s (%d packets, both ways)", c.Node, duration(ns), way, c.Reference, duration(c.UncertaintyNS), c.Samples)
			if c.DriftPPB != 0 {
				s += fmt.Sprintf("; it gains %.1f µs a second", float64(c.DriftPPB)/1000)
			}
			out = append(out, s)
		case knownBound:
			out = append(out, fmt.Sprintf("clocks: packets crossed one way only (%d), which bounds how far %s's clock is from %s's from one side: times there (~) are as if the quickest took no time", c.Samples, c.Node, c.Reference))
		default:
			out = append(out, fmt.Sprintf("clocks: no packet crossed that could compare %s's with %s's; they are taken to agree within %s", c.Node, c.Reference, duration(int64(assumedSkew))))
		}
	}
	return out
}
