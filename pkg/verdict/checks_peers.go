// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"net/netip"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func init() {
	register(check{name: "pod-ip-conflict", drop: podIPConflict, silences: []string{"no-socket", "neighbour-failed"}})
	register(check{name: "fdb-wrong-host", flow: fdbWrongHost, silences: []string{"tunnel-lost-in-fabric"}})
}

// tunnelPorts compares the port of the tunnel's packet with those of the VXLAN devices where it was dropped.
func tunnelPorts(d *dropAt, f *Finding) {
	if d.ns == nil {
		return
	}
	f.Confidence = Confirmed
	for _, l := range d.ns.Links {
		switch {
		case l.VXLAN == nil:
		case l.VXLAN.Port == int(d.h.Outer.Dport):
			f.Confidence = Likely // it has the port now
			f.Evidence = append(f.Evidence, fmt.Sprintf("state: %s has this port now", l.Name))
		default:
			f.Evidence = append(f.Evidence, fmt.Sprintf("state: %s uses port %d", l.Name, l.VXLAN.Port))
		}
	}
	if len(f.Evidence) == 0 {
		f.Evidence = []string{fmt.Sprintf("state: %s has no VXLAN device", place(d.h))}
	}
}

// unanswered says what the neighbour table has about an address: evidence when nobody answered for it.
func (d *dropAt) unanswered(dev string, a netip.Addr) (string, bool) {
	if d.ns == nil || !a.IsValid() {
		return "", false
	}
	if n, ok := d.ns.Neigh(dev, a); ok && (n.State == "FAILED" || n.State == "INCOMPLETE") {
		return fmt.Sprintf("state: the neighbour entry of %s for %s on %s is %s", place(d.h), a, dev, n.State), true
	}
	return "", false
}

// nextHop is the address whose MAC address is needed: the gateway of the route, or the destination itself.
func (d *dropAt) nextHop() netip.Addr {
	dst := d.tuple().Dst
	if d.h.Outer != nil {
		dst = d.h.Outer.Dst
	}
	if r, ok := d.ns.RouteFor(dst); ok && r.Gateway.IsValid() {
		return r.Gateway
	}
	return dst
}

// podIPConflict: two namespaces of one node have the destination's address, so the packet can end in the wrong one.
func podIPConflict(d *dropAt) *Finding {
	if d.j.Direction != journey.Request || d.h.Outer != nil || (d.reason() != "NO_SOCKET" && d.reason() != "NEIGH_FAILED") {
		return nil
	}
	dst := d.tuple().Dst
	owners := d.in.snapshot().OwnersOf(dst)
	var other *netstate.Namespace
	own := false
	for _, o := range owners {
		switch {
		case o.NS.Inode == d.h.NetNS:
			own = true
		case o.NS.Node == d.h.Node:
			other = o.NS
		}
	}
	if !own || other == nil || dst.IsLoopback() || dst.IsLinkLocalUnicast() {
		return nil
	}
	return &Finding{Layer: PodNetwork, Cause: "pod-ip-conflict", Confidence: Confirmed, Outcome: Rejected,
		Summary:  fmt.Sprintf("two namespaces on %s have the address %s: the packet ended in %s, and %s has it too", d.h.Node, dst, place(d.h), other.Name),
		Evidence: []string{fmt.Sprintf("state: %s is configured in %d namespaces of %s", dst, len(owners), d.h.Node)},
		Fix: []string{fmt.Sprintf("find whose address it should be: kubectl get pods -A -o wide | grep %s", dst),
			in(d.h, fmt.Sprintf("ip addr show to %s; a sandbox that was not cleaned up, or an address on the node, has to go", dst))}}
}

// fdbWrongHost: the forwarding entry of a tunnel leads to an address that is no node's, or another node's than the one behind the next hop.
func fdbWrongHost(in *Input) *Finding {
	gone, arrived := vanished(in)
	if len(gone) == 0 || len(arrived) > 0 {
		return nil
	}
	j := gone[0]
	h := &j.Hops[len(j.Hops)-1]
	right := nodeOf(in, j)
	if h.Outer.Dport == 0 { // where IP in IP goes is its route's to say, not a forwarding entry's
		return nil
	}
	if right == nil || right.IsLocal(h.Outer.Dst) || h.NetNS == right.Inode {
		return nil
	}
	f := &Finding{Outcome: Lost, Layer: PodNetwork, Cause: "fdb-wrong-host", Confidence: Likely, Journey: j.ID, Hop: len(j.Hops) - 1,
		Summary:  fmt.Sprintf("%s sends the tunnel's packets for %s to %s, which is not %s", place(h), in.who(j.Packet.Proto, j.TupleAt(len(j.Hops)-1).Dst, 0), h.Outer.Dst, right.Node),
		Evidence: []string{fmt.Sprintf("kernel: %d packets left %s at %s inside udp %s → %s", len(gone), place(h), h.Dev, h.Outer.Src, endpoint(h.Outer.Dst, h.Outer.Dport))},
		Fix:      []string{"on " + place(h) + ": bridge fdb show; restart the CNI agent, which writes an entry for each node"}}
	if n := in.namespace(h.NetNS); n != nil {
		for _, e := range n.FDB {
			if e.Dst == h.Outer.Dst {
				f.Confidence = Confirmed
				f.Evidence = append(f.Evidence, fmt.Sprintf("state: %s's forwarding entry %s leads to %s", e.Dev, e.MAC, e.Dst))
			}
		}
	}
	return f
}

// nodeOf is the host namespace of the node whose pod has the packet's destination; nil when no watched node has it.
func nodeOf(in *Input, j *journey.Journey) *netstate.Namespace {
	for _, o := range in.snapshot().OwnersOf(j.TupleAt(len(j.Hops) - 1).Dst) {
		if host := in.snapshot().Host(o.NS.Node); host != nil {
			return host
		}
	}
	return nil
}
