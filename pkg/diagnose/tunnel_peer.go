// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func init() {
	register(check{name: "tunnel-peer", layer: PodNetwork, run: tunnelPeer})
}

// tunnelPeer: the tunnel knows the MAC address of the next hop, and which node has it.
func tunnelPeer(in *Input) Result {
	w := in.path()
	var p parts
	for _, t := range in.peers() {
		if w.entry == nil {
			p.unsure("the sender's node is not on this kernel: run nettrace there")
			continue
		}
		in.tunnelTo(&p, w.entry, &t, t.addr)
		switch {
		case t.host == nil:
			p.unsure(away(t.node))
		case in.keepsSource(w):
			back := w.src
			back.node, back.host = w.entry.Node, w.entry
			in.tunnelTo(&p, t.host, &back, in.Src)
		}
	}
	return p.result("no VXLAN device is on the way")
}

func (in *Input) tunnelTo(p *parts, host *netstate.Namespace, t *side, a netip.Addr) {
	l, r := tunnel(host, a)
	if l == nil {
		return
	}
	fix := []string{fmt.Sprintf("on %s: ip neigh show dev %s; bridge fdb show dev %s", host.Node, l.Name, l.Name), "the CNI agent (flanneld, calico-node) writes an entry for each node: restart it on this node and look at its log"}
	bad := func(cause, summary, evidence string) {
		p.bad(Result{Cause: cause, Node: host.Node, Stops: true, Summary: summary, Evidence: []string{"state: " + evidence}, Fix: fix})
	}
	if why := unread(host, "neighbours", "forwarding"); why != "" {
		p.unsure(why)
		return
	}
	hop := a
	if r.Gateway.IsValid() {
		hop = r.Gateway
	}
	n, ok := host.Neigh(l.Name, hop)
	if !ok || n.MAC == "" || n.State == "FAILED" || n.State == "INCOMPLETE" {
		if l.VXLAN.Learning {
			p.good(fmt.Sprintf("%s of %s learns its peers", l.Name, host.Node))
			return
		}
		bad("vtep-neighbour-missing", fmt.Sprintf("%s has no neighbour entry for the next hop %s on %s", host.Node, hop, l.Name), fmt.Sprintf("no MAC address for %s on %s", hop, l.Name))
		return
	}
	to := forwarded(host, l.Name, n.MAC)
	right := in.nodeAddresses(t)
	if len(to) > 0 { // an address of the other family says nothing about this tunnel
		right = slices.DeleteFunc(right, func(a netip.Addr) bool { return a.Is6() != to[0].Is6() })
	}
	known := slices.IndexFunc(to, func(a netip.Addr) bool { return slices.Contains(right, a) })
	switch {
	case len(to) == 0 && l.VXLAN.Learning:
		p.good(fmt.Sprintf("%s of %s learns its peers", l.Name, host.Node))
	case len(to) == 0:
		bad("fdb-entry-missing", fmt.Sprintf("%s's tunnel %s does not know the node that has %s", host.Node, l.Name, in.who(a, 0)), fmt.Sprintf("the next hop %s has the MAC address %s, and %s has no forwarding entry for it", hop, n.MAC, l.Name))
	case len(right) == 0:
		p.unsure(fmt.Sprintf("%s sends to %s; whether that is %s is not known", l.Name, to[0], t.node))
	case known < 0:
		bad("fdb-wrong-host", fmt.Sprintf("%s sends the tunnel's packets for %s to %s, which is not %s", host.Node, in.who(a, 0), to[0], t.node), fmt.Sprintf("%s's forwarding entry %s leads to %s; %s has %s", l.Name, n.MAC, to[0], t.node, right[0]))
	default:
		p.good(fmt.Sprintf("%s of %s sends to %s", l.Name, host.Node, to[known]))
	}
}

// flood is the MAC address of the entries that hold for every other.
const flood = "00:00:00:00:00:00"

// forwarded are the VTEPs to which a device sends frames for a MAC address.
func forwarded(host *netstate.Namespace, dev, mac string) []netip.Addr {
	var out []netip.Addr
	for _, of := range []string{mac, flood} {
		for _, e := range host.FDB {
			if e.Dev == dev && e.MAC == of && e.Dst.IsValid() {
				out = append(out, e.Dst)
			}
		}
		if len(out) > 0 {
			break
		}
	}
	return out
}

// nodeAddresses are all addresses that are known of an end's node.
func (in *Input) nodeAddresses(t *side) []netip.Addr {
	var out []netip.Addr
	if n := in.kubeNode(t.node); n != nil {
		out = append(out, n.Addrs...)
	}
	if t.host != nil {
		for _, l := range t.host.Links {
			for _, a := range l.Addrs {
				out = append(out, a.Addr())
			}
		}
	}
	return out
}
