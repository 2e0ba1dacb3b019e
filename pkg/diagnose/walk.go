// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// anySport stands for a port that the kernel chooses.
const anySport = 40000

// walked is a dry run of the flow through the rules of every namespace on the way that is on this kernel.
type walked struct {
	run   ruleset.DryRun
	entry []netip.AddrPort // destinations behind the rules of the entry node
	why   string           // why there was nothing to walk through
}

// key names a namespace in a dry run.
func (in *Input) key(n *netstate.Namespace) string {
	for i := range in.Snapshot.Namespaces {
		if &in.Snapshot.Namespaces[i] == n {
			return strconv.Itoa(i)
		}
	}
	return ""
}

// space is the namespace of a key.
func (in *Input) space(key string) *netstate.Namespace {
	i, err := strconv.Atoi(key)
	if err != nil || i < 0 || i >= len(in.Snapshot.Namespaces) {
		return nil
	}
	return &in.Snapshot.Namespaces[i]
}

// walkRules walks once.
func (in *Input) walkRules() *walked {
	if in.walk != nil {
		return in.walk
	}
	w, out := in.path(), &walked{}
	in.walk = out
	in.walkFrom(w, out)
	out.run.Finish()
	return out
}

// translations are what the rules of the entry node make of a destination that is no Service for Kubernetes; none when they leave it alone.
func (in *Input) translations() []netip.AddrPort {
	out := &walked{}
	in.walkFrom(in.way, out)
	return slices.DeleteFunc(out.entry, func(a netip.AddrPort) bool { return a == netip.AddrPortFrom(in.Dst, in.Dport) })
}

func (in *Input) walkFrom(w *way, out *walked) {
	d := &out.run
	ways := []ruleset.Way{{Share: 1, Sure: true, Packet: ruleset.Packet{Proto: in.Proto, Src: in.Src, Dst: in.Dst, Sport: anySport, Dport: in.Dport, SYN: in.Proto == "tcp"}}}
	if w.entry == nil {
		out.why = "the node whose rules the flow meets first is not on this kernel"
		return
	}
	var local, onward []ruleset.Way
	switch {
	case w.src.ns == w.entry:
		local, onward = d.Send(in.key(w.entry), w.entry.World(), ways)
	default:
		if w.src.ns != nil {
			local, ways = d.Send(in.key(w.src.ns), w.src.ns.World(), ways)
			d.Accepted(in.key(w.src.ns), true, local)
		}
		var bridged bool
		if ways, bridged = in.arrive(w, ways); bridged {
			out.entry = destinations(ways)
			in.deliver(d, w.entry, ways)
			return
		}
		local, onward = d.Receive(in.key(w.entry), w.entry.World(), ways)
	}
	out.entry = append(destinations(local), destinations(onward)...)
	for _, e := range d.Ends { // what was translated and then stopped
		if e.Place == in.key(w.entry) && e.To != netip.AddrPortFrom(in.Dst, in.Dport) && !slices.Contains(out.entry, e.To) {
			out.entry = append(out.entry, e.To)
		}
	}
	d.Accepted(in.key(w.entry), true, local)
	in.deliver(d, w.entry, onward)
}

func destinations(ways []ruleset.Way) []netip.AddrPort {
	var out []netip.AddrPort
	for i := range ways {
		if a := netip.AddrPortFrom(ways[i].Packet.Dst, ways[i].Packet.Dport); !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// arrive sets the device at which packets come into the entry node. bridged is true for what stays on a bridge whose packets the IP rules do
// not see.
func (in *Input) arrive(w *way, ways []ruleset.Way) (_ []ruleset.Way, bridged bool) {
	dev, port := ruleset.UnknownDevice, ""
	if w.src.ns != nil && w.src.host == w.entry {
		if veths := in.Snapshot.HostVeths(w.src.ns.Inode); len(veths) > 0 {
			dev = veths[0].Link.Name
			if m := w.entry.LinkByIndex(veths[0].Link.Master); m != nil && m.Kind == "bridge" {
				dev, port = m.Name, dev
			}
		}
	} else if r, ok := w.entry.RouteFor(in.Src); ok && r.Dev != "" {
		dev = r.Dev
	}
	filtered := port != "" && w.entry.Sysctls[bridgeSysctl(in.Dst.Is6())] == "1"
	ways = slices.Clone(ways)
	for i := range ways {
		p := &ways[i].Packet
		p.In, p.Mark = dev, 0
		if filtered {
			p.PhysIn = port
		}
		r, ok := w.src.ns.RouteFor(p.Dst)
		bridged = bridged || port != "" && ok && !r.Gateway.IsValid() && r.Type == "unicast" && !filtered
	}
	return ways, bridged
}

// bridgeSysctl is the switch that lets bridged packets of a family meet the IP rules.
func bridgeSysctl(six bool) string {
	if six {
		return "net.bridge.bridge-nf-call-ip6tables"
	}
	return "net.bridge.bridge-nf-call-iptables"
}

// deliver lets packets that leave a node's host namespace meet the rules of the other node, if it is on this kernel, and of the pod.
func (in *Input) deliver(d *ruleset.DryRun, host *netstate.Namespace, ways []ruleset.Way) {
	for _, x := range ways {
		t := in.side(x.Packet.Dst, x.Packet.Dport)
		at := host
		if t.host != nil && t.host != host {
			at = t.host
			x.Packet.In, x.Packet.PhysIn, x.Packet.Mark = inbound(at, x.Packet.Src), "", 0
			local, onward := d.Receive(in.key(at), at.World(), []ruleset.Way{x})
			d.Accepted(in.key(at), true, local)
			for _, y := range onward {
				in.enterPod(d, at, &t, y)
			}
			continue
		}
		in.enterPod(d, at, &t, x)
	}
}

// enterPod lets a packet that a node forwards meet the rules of the pod's namespace, if it is on this kernel.
func (in *Input) enterPod(d *ruleset.DryRun, at *netstate.Namespace, t *side, x ruleset.Way) {
	if t.ns == nil || t.ns == at || t.ns.Node != at.Node {
		d.Accepted(in.key(at), false, []ruleset.Way{x})
		return
	}
	x.Packet.In, x.Packet.PhysIn, x.Packet.Mark = ruleset.UnknownDevice, "", 0
	for _, o := range in.Snapshot.OwnersOf(x.Packet.Dst) {
		if o.NS == t.ns {
			x.Packet.In = o.Link.Name
		}
	}
	mine, beyond := d.Receive(in.key(t.ns), t.ns.World(), []ruleset.Way{x})
	d.Accepted(in.key(t.ns), true, mine)
	d.Accepted(in.key(t.ns), false, beyond)
}

// inbound is the device at which packets of an address reach a node: the one that its routes lead back to.
func inbound(host *netstate.Namespace, src netip.Addr) string {
	if r, ok := host.RouteFor(src); ok && r.Dev != "" && r.Type == "unicast" {
		return r.Dev
	}
	return ruleset.UnknownDevice
}
