// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// DropPacket is the packet of a drop that belongs to no followed flow.
type DropPacket struct {
	journey.Packet
	SrcName string `json:"-"` // in Kubernetes words, "" for none
	DstName string `json:"-"`
}

// String is "tcp SYN shop/client:43122 → 10.244.2.20:8081".
func (p *DropPacket) String() string {
	what := p.Proto
	if p.Flags != "" {
		what += " " + p.Flags
	}
	if p.ICMP != "" {
		what += " " + p.ICMP
	}
	return fmt.Sprintf("%s %s → %s", what, party(p.SrcName, p.Src, p.Sport), party(p.DstName, p.Dst, p.Dport))
}

// party is the name of one end, which has the port in it, or its address.
func party(name string, a netip.Addr, port uint16) string {
	switch {
	case name != "":
		return name
	case port == 0:
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}

// DropLine is one drop in words.
type DropLine struct {
	Time   time.Time
	Hop    journey.Hop
	Packet *DropPacket // nil when the packet is no IP packet
	Layer  string
	Place  string // "shop/web", "node node1"
	Means  string // one sentence, "" when the reason has no page
	Noise  string // why it is no fault, with --all
}

// Text is the drop as a line.
func (l *DropLine) Text(o Options) string {
	p := palette(o.Color)
	var b strings.Builder
	b.WriteString(p.paint(quiet, l.Time.Format("15:04:05.000")))
	tone := bad
	if l.Noise != "" {
		tone = quiet
	}
	reason := l.Hop.Reason
	if reason == "" {
		reason = "no reason given"
	}
	fmt.Fprintf(&b, " %s", p.paint(tone, reason))
	if l.Hop.Location != "" {
		fmt.Fprintf(&b, " in %s", Escape(l.Hop.Location))
	}
	fmt.Fprintf(&b, ", %s", p.paint(strong, l.Place))
	if l.Hop.Dev != "" {
		fmt.Fprintf(&b, " at %s", Escape(l.Hop.Dev))
	}
	if l.Packet != nil {
		fmt.Fprintf(&b, ": %s", Escape(l.Packet.String()))
	}
	if l.Layer != "" {
		fmt.Fprintf(&b, " [%s]", Escape(verdict.Layer(l.Layer).Title()))
	}
	switch {
	case l.Noise != "":
		fmt.Fprintf(&b, " no fault: %s", Escape(l.Noise))
	case l.Means != "":
		fmt.Fprintf(&b, " %s", Escape(l.Means))
	}
	return b.String()
}

// DropRecord is the drop in JSON.
type DropRecord struct {
	Kind   string      `json:"kind"`
	Time   string      `json:"time"` // RFC 3339 with nanoseconds
	Hop    journey.Hop `json:"hop"`
	Packet *DropPacket `json:"packet,omitempty"`
	Layer  string      `json:"layer,omitempty"`
	Noise  string      `json:"noise,omitempty"` // why it is no fault
}

// Record is the drop for JSON.
func (l *DropLine) Record() DropRecord {
	return DropRecord{Kind: "drop", Time: l.Time.UTC().Format(time.RFC3339Nano), Hop: l.Hop, Packet: l.Packet, Layer: l.Layer, Noise: l.Noise}
}
