// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"net/netip"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// Carrier is how the packets of a tunnel are named, let through and looked at on their way between nodes.
type Carrier struct {
	Name     string // "VXLAN"
	Inside   string // what carries the pods' packets: "udp", "IP protocol 4"
	Match    string // for iptables
	Allow    string // in words, for any firewall
	Filter   string // for tcpdump
	Overhead int    // bytes before the inner IP packet
}

// genevePort is Geneve's (RFC 8926, 3.3).
const genevePort = 6081

// CarrierOf tells a tunnel from the packet in it and the outer one around that. IP in IP has no ports; its protocol is 4 for IPv4 (RFC 2003) and 41
// for IPv6 (RFC 4213), whichever carries it.
func CarrierOf(inner netip.Addr, outer *journey.Tuple) Carrier {
	overhead := netstate.VXLANOverhead(outer.Dst)
	if outer.Dport == 0 {
		proto, header := 4, "ip"
		if inner.Is6() {
			proto = 41
		}
		if outer.Dst.Is6() {
			header = "ip6"
		}
		words := fmt.Sprintf("IP protocol %d", proto)
		return Carrier{Name: "IP-in-IP", Inside: words, Match: fmt.Sprintf("-p %d", proto), Allow: words, Filter: fmt.Sprintf("%s proto %d", header, proto), Overhead: overhead - vxlanHeaders}
	}
	c := Carrier{Name: "VXLAN", Inside: "udp", Match: fmt.Sprintf("-p udp --dport %d", outer.Dport), Allow: fmt.Sprintf("udp/%d", outer.Dport),
		Filter: fmt.Sprintf("udp port %d", outer.Dport), Overhead: overhead}
	if outer.Dport == genevePort {
		c.Name = "Geneve" // its headers are VXLAN's without options
	}
	return c
}

// vxlanHeaders are those between VXLAN's outer IP header and the inner IP packet, in bytes: UDP, VXLAN, Ethernet.
const vxlanHeaders = 8 + 8 + 14

// carrier is the tunnel around the packet at a hop.
func carrier(j *journey.Journey, h *journey.Hop) Carrier { return CarrierOf(j.Packet.Src, h.Outer) }
