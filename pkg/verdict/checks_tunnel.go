// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func init() {
	register(check{name: "fdb-entry-missing", drop: fdbEntryMissing})
	register(check{name: "vni-mismatch", drop: vniMismatch})
	register(check{name: "tunnel-lost-in-fabric", flow: tunnelLost})
	register(check{name: "underlay-mtu-silent", flow: underlayMTUSilent, silences: []string{"tunnel-lost-in-fabric"}})
}

// fdbEntryMissing: vxlan_xmit knows no remote for the frame's destination (drivers/net/vxlan/vxlan_core.c).
func fdbEntryMissing(d *dropAt) *Finding {
	if d.h.DevKind != "vxlan" || (d.reason() != "NO_TX_TARGET" && d.h.Location != "vxlan_xmit") {
		return nil
	}
	f := &Finding{
		Layer: PodNetwork, Cause: "fdb-entry-missing", Confidence: Likely,
		Summary: fmt.Sprintf("%s's tunnel %s does not know the node that has %s", place(d.h), d.h.Dev, d.who(d.tuple().Dst, 0)),
		Fix:     []string{in(d.h, "bridge fdb show dev "+d.h.Dev), "the CNI agent (flanneld, calico-node) writes an entry for each node: restart it on this node and look at its log"},
	}
	r := d.lastRoute()
	if r == nil || d.ns == nil {
		return f
	}
	n, ok := d.ns.Neigh(d.h.Dev, r.Gateway)
	if !ok || n.MAC == "" {
		f.Cause = "vtep-neighbour-missing"
		f.Evidence = []string{fmt.Sprintf("state: no neighbour entry for the next hop %s on %s", r.Gateway, d.h.Dev)}
		return f
	}
	if !d.ns.HasFDB(d.h.Dev, n.MAC) {
		f.Confidence = Confirmed
		f.Evidence = []string{fmt.Sprintf("state: the next hop %s has the MAC address %s, and %s has no forwarding entry for it", r.Gateway, n.MAC, d.h.Dev)}
		f.Fix = append(f.Fix, in(d.h, fmt.Sprintf("to repair by hand: bridge fdb add %s dev %s dst THE-OTHER-NODE", n.MAC, d.h.Dev)))
	}
	return f
}

// vniMismatch: the receiving node has no tunnel with this VNI.
func vniMismatch(d *dropAt) *Finding {
	if d.reason() != "VXLAN_VNI_NOT_FOUND" {
		return nil
	}
	f := &Finding{
		Layer: Underlay, Cause: "vni-mismatch", Confidence: Likely,
		Summary:  fmt.Sprintf("%s has no VXLAN device for the VNI of the packets that reach it", place(d.h)),
		Evidence: vnis(d.ns),
		Fix:      []string{in(d.h, "ip -d link show type vxlan; all nodes must use the same VNI")},
	}
	sent, ok := d.sentVNI()
	if ok && d.ns != nil && !slices.ContainsFunc(d.ns.Links, func(l netstate.Link) bool { return l.VXLAN != nil && l.VXLAN.VNI == int(sent) }) {
		f.Confidence = Confirmed
		f.Evidence = append(f.Evidence, fmt.Sprintf("kernel: the sender put VNI %d into the packet", sent))
	}
	return f
}

// sentVNI is the VNI with which the packet was put into its tunnel, when that was seen.
func (d *dropAt) sentVNI() (uint32, bool) {
	for k := d.i; k >= 0; k-- {
		if t := d.j.Hops[k].Tunnel; t != nil && t.Op == "encap" && t.Type == "vxlan" {
			return t.VNI, true
		}
	}
	return 0, false
}

func vnis(n *netstate.Namespace) []string {
	var have []string
	if n != nil {
		for _, l := range n.Links {
			if l.VXLAN != nil {
				have = append(have, fmt.Sprintf("%s has VNI %d", l.Name, l.VXLAN.VNI))
			}
		}
	}
	if have == nil {
		return nil
	}
	return []string{"state: " + strings.Join(have, ", ")}
}

// vanished are the journeys that left a node inside a tunnel and were not seen again, and those of the same direction that arrived
// through the tunnel.
func vanished(in *Input) (gone, arrived []*journey.Journey) {
	for i := range in.Journeys {
		j := &in.Journeys[i]
		if j.Direction == journey.Related || len(j.Hops) == 0 {
			continue
		}
		last := &j.Hops[len(j.Hops)-1]
		switch {
		case j.End == journey.LeftNode && last.Outer != nil:
			gone = append(gone, j)
		case j.End == journey.Delivered && crossed(j):
			arrived = append(arrived, j)
		}
	}
	if len(gone) > 0 {
		same := arrived[:0]
		for _, j := range arrived {
			if j.Direction == gone[0].Direction {
				same = append(same, j)
			}
		}
		arrived = same
	}
	return gone, arrived
}

func crossed(j *journey.Journey) bool {
	for i := range j.Hops {
		if t := j.Hops[i].Tunnel; t != nil && t.Op == "decap" {
			return true
		}
	}
	return false
}

// received is the node that has the tunnel's destination, when it is among those that are watched.
func received(in *Input, h *journey.Hop) *netstate.Namespace {
	for _, o := range in.snapshot().OwnersOf(h.Outer.Dst) {
		if o.NS.Host {
			return o.NS
		}
	}
	return nil
}

// tunnelLost: packets leave a node inside the tunnel and nothing of them is seen again. Absence is evidence only when no event was lost,
// which Judge sees to.
func tunnelLost(in *Input) *Finding {
	gone, arrived := vanished(in)
	if len(gone) == 0 || len(arrived) > 0 || in.cameBack() {
		return nil
	}
	j := gone[0]
	h := &j.Hops[len(j.Hops)-1]
	o, c := h.Outer, carrier(j, h)
	f := &Finding{
		Outcome: Lost, Layer: Underlay, Cause: "tunnel-lost-in-fabric", Confidence: Likely, Journey: j.ID, Hop: len(j.Hops) - 1,
		Summary:  fmt.Sprintf("%s packets leave %s for %s and do not arrive", c.Name, place(h), in.who("udp", o.Dst, o.Dport)),
		Evidence: []string{fmt.Sprintf("kernel: %d packets left %s at %s inside %s %s → %s; no drop was reported", len(gone), place(h), h.Dev, c.Inside, o.Src, endpoint(o.Dst, o.Dport))},
		Fix: []string{fmt.Sprintf("allow %s between the nodes in security groups, network ACLs and firewalls between them", c.Allow),
			fmt.Sprintf("on both nodes: tcpdump -ni %s %s", h.Dev, c.Filter)},
	}
	if to := received(in, h); to != nil {
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s, which has %s, is watched and saw none of them", to.Node, o.Dst))
	} else if in.mute(j) {
		return nil
	} else {
		f.Fix = append([]string{fmt.Sprintf("run nettrace on the node that has %s next", o.Dst)}, f.Fix...)
		f.Confidence = Inconclusive
	}
	return f
}

// underlayMTUSilent: small packets cross between the nodes, large ones do not.
func underlayMTUSilent(in *Input) *Finding {
	gone, arrived := vanished(in)
	if len(gone) == 0 || len(arrived) == 0 {
		return nil
	}
	smallest, largest := gone[0].Packet.Len, uint32(0)
	for _, j := range gone {
		smallest = min(smallest, j.Packet.Len)
	}
	for _, j := range arrived {
		largest = max(largest, j.Packet.Len)
	}
	if smallest <= largest {
		return nil
	}
	j := gone[0]
	h := &j.Hops[len(j.Hops)-1]
	c := carrier(j, h)
	f := &Finding{
		Outcome: Lost, Layer: Underlay, Cause: "underlay-mtu-silent", Confidence: Likely, Journey: j.ID, Hop: len(j.Hops) - 1,
		Summary: fmt.Sprintf("packets of %d bytes vanish between %s and %s, those up to %d bytes arrive: the network between the nodes has a smaller MTU than they think", smallest, place(h), h.Outer.Dst, largest),
		Evidence: []string{fmt.Sprintf("kernel: %d packets of %d bytes and more left %s at %s inside %s (%d bytes more) and were not seen again; no drop was reported", len(gone), smallest, place(h), h.Dev, c.Name, c.Overhead),
			fmt.Sprintf("kernel: %d packets of up to %d bytes crossed in the same direction", len(arrived), largest)},
		Fix: []string{fmt.Sprintf("%s: ping -M do -s SIZE %s with growing sizes shows what passes", on(h), h.Outer.Dst),
			fmt.Sprintf("raise the MTU of the network between the nodes, or set the CNI's MTU to what passes less %d", c.Overhead)},
	}
	if to := received(in, h); to == nil {
		f.Fix = append([]string{fmt.Sprintf("run nettrace on the node that has %s next", h.Outer.Dst)}, f.Fix...)
	}
	return f
}
