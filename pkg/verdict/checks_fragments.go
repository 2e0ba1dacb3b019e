// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"net/netip"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func init() {
	register(check{name: "fragments-lost", drop: fragmentsLost})
	register(check{name: "tunnel-fragmented", answered: tunnelFragmented})
}

// fragmentsLost: a first fragment waited for the others until its time was over (net/ipv4/ip_fragment.c, ip_expire; the kernel then drops
// what it has, and tells the sender with ICMP 11/1). Fabrics and cloud firewalls drop fragments because only the first one has ports.
func fragmentsLost(d *dropAt) *Finding {
	if d.reason() != "FRAG_REASM_TIMEOUT" && d.h.Location != "ip_expire" && d.h.Location != "ip6frag_expire_frag_queue" {
		return nil
	}
	f := &Finding{Layer: Underlay, Cause: "fragments-lost", Confidence: Likely,
		Summary: fmt.Sprintf("only a part of the fragments of %s came to %s: the network between the nodes drops the others", d.packetName(), place(d.h)),
		Fix: []string{"lower the CNI's MTU so that nothing is fragmented: no device's MTU may be larger than what the underlay carries less the tunnel's header",
			in(d.h, "nstat -az IpReasmFails IpReasmTimeout; tcpdump -ni "+d.h.Dev+" 'ip[6:2] & 0x3fff != 0' shows which fragments come")}}
	if d.h.Outer != nil {
		f.Summary += "; its sender fragments the tunnel's packets"
	}
	if n, _ := d.grew("Ip.ReasmFails"); n > 0 {
		f.Confidence = Confirmed
		f.Evidence = append(f.Evidence, fmt.Sprintf("state: Ip.ReasmFails on %s grew by %d during the trace", place(d.h), n))
	}
	if s := d.fragmenting(); s != "" {
		f.Evidence = append(f.Evidence, "state: "+s)
	}
	return f
}

// fragmenting says which node's tunnel makes packets that do not fit its own uplink; "" when none does.
func (d *dropAt) fragmenting() string {
	s := d.in.snapshot()
	if s == nil {
		return ""
	}
	for i := range s.Namespaces {
		if l, u := tooLargeTunnel(&s.Namespaces[i]); l != nil && s.Namespaces[i].Inode != d.h.NetNS {
			return fmt.Sprintf("%s of %s has MTU %d, its tunnel packets have up to %d bytes, and %s carries %d", l.Name, s.Namespaces[i].Node, l.MTU, l.MTU+overhead(l), u.Name, u.MTU)
		}
	}
	return ""
}

// tunnelFragmented: everything arrives, but each full packet of the tunnel goes as two.
func tunnelFragmented(in *Input) *Finding {
	for i := range in.Journeys {
		j := &in.Journeys[i]
		for k := range j.Hops {
			h := &j.Hops[k]
			if h.Stage != journey.StageDeviceTx || h.Outer == nil {
				continue
			}
			n := in.namespace(h.NetNS)
			if n == nil {
				continue
			}
			l, u := tooLargeTunnel(n)
			made, _ := netstate.Delta(in.Before, in.After, h.NetNS, "Ip.FragCreates")
			if l == nil || u.Name != h.Dev || made == 0 {
				continue
			}
			return &Finding{Layer: Underlay, Cause: "tunnel-fragmented", Confidence: Confirmed,
				Summary: fmt.Sprintf("%s fragments its tunnel's packets: they arrive, at the cost of two packets for one, and only as long as the underlay lets fragments through", place(h)),
				Evidence: []string{fmt.Sprintf("state: %s has MTU %d, its tunnel packets have up to %d bytes, and %s carries %d", l.Name, l.MTU, l.MTU+overhead(l), u.Name, u.MTU),
					fmt.Sprintf("state: Ip.FragCreates on %s grew by %d during the trace", place(h), made)},
				Fix: []string{fmt.Sprintf("set the CNI's MTU to %d on all nodes, or %s's back to %d", u.MTU-overhead(l), u.Name, l.MTU+overhead(l))}}
		}
	}
	return nil
}

// overhead is what a VXLAN device puts before an inner IP packet, in bytes.
func overhead(l *netstate.Link) int {
	if l.VXLAN == nil {
		return netstate.VXLANOverhead(netip.Addr{})
	}
	return netstate.VXLANOverhead(l.VXLAN.Local)
}

// tooLargeTunnel finds a VXLAN device whose full packets do not fit the device below it.
func tooLargeTunnel(n *netstate.Namespace) (tunnel, below *netstate.Link) {
	for i := range n.Links {
		l := &n.Links[i]
		if l.VXLAN == nil {
			continue
		}
		if u := n.LinkByIndex(l.VXLAN.Underlay); u != nil && u.MTU > 0 && l.MTU+overhead(l) > u.MTU {
			return l, u
		}
	}
	return nil, nil
}
