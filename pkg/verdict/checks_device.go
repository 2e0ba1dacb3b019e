// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func init() {
	register(check{name: "qdisc-drop", drop: qdiscDrop})
	register(check{name: "timestamps-counted", flow: timestampsCounted, silences: []string{"application-stuck", "zero-window"}})
	register(check{name: "xdp-program-drop", drop: xdpProgramDrop})
	register(check{name: "checksum", drop: badChecksum})
	register(check{name: "timestamps-rejected", drop: timestampsRejected})
	register(check{name: "egress-not-masqueraded", flow: egressNotMasqueraded})
}

// qdiscDrop: the queueing discipline of a device refused the packet (net/core/dev.c, __dev_xmit_skb, or the discipline's own function).
func qdiscDrop(d *dropAt) *Finding {
	loc := d.h.Location
	own := strings.HasSuffix(loc, "_enqueue") || strings.HasSuffix(loc, "_dequeue")
	l := d.ns.Link(d.h.Dev)
	shaped := l != nil && l.Qdisc != "" && l.Qdisc != "noqueue"
	dropped := uint64(0)
	if l != nil {
		if before := d.in.Before.ByInode(d.h.NetNS).Link(d.h.Dev); before != nil && l.QdiscDrops > before.QdiscDrops {
			dropped = l.QdiscDrops - before.QdiscDrops
		}
	}
	unsaid := d.reason() == "" || d.reason() == "NOT_SPECIFIED" // before 5.17, or the reasons of disciplines, which came later
	switch {
	case strings.HasPrefix(d.reason(), "QDISC"), own:
	case loc == "__dev_queue_xmit" && unsaid && shaped && dropped > 0:
	default:
		return nil
	}
	f := &Finding{Layer: PodNetwork, Cause: "qdisc-drop", Confidence: Likely,
		Summary: fmt.Sprintf("the queue of %s %s is full: its queueing discipline dropped %s", d.h.Dev, on(d.h), d.packetName()),
		Fix: []string{in(d.h, fmt.Sprintf("tc -s qdisc show dev %s: dropped and backlog", d.h.Dev)),
			"a bandwidth limit (annotation kubernetes.io/egress-bandwidth or ingress-bandwidth, or somebody's tc) is too small, or the device too slow"}}
	if l != nil && l.Qdisc != "" {
		f.Summary = fmt.Sprintf("the queue of %s %s is full: its queueing discipline %s dropped %s", d.h.Dev, on(d.h), l.Qdisc, d.packetName())
	}
	if dropped > 0 {
		f.Confidence = Confirmed
		f.Evidence = []string{fmt.Sprintf("state: queueing discipline %s of %s dropped %d packets meanwhile", l.Qdisc, d.h.Dev, dropped)}
	}
	return f
}

// xdpProgramDrop: a program at the device dropped the packet before the network stack saw it (net/core/dev.c, do_xdp_generic;
// drivers/net/veth.c).
func xdpProgramDrop(d *dropAt) *Finding {
	l := d.ns.Link(d.h.Dev)
	there := d.h.Location == "do_xdp_generic" || strings.HasPrefix(d.h.Location, "veth_xdp") || d.reason() == "XDP"
	if !there {
		return nil
	}
	f := &Finding{Layer: Underlay, Cause: "xdp-program-drop", Confidence: Likely,
		Summary: fmt.Sprintf("an XDP program at %s %s dropped %s", d.h.Dev, on(d.h), d.packetName()),
		Fix:     []string{in(d.h, fmt.Sprintf("ip link show dev %s; bpftool net show dev %s; bpftool prog show", d.h.Dev, d.h.Dev)), "a DDoS filter or a load balancer (Katran, Cilium) drops there: look at its own counters"}}
	if l != nil && l.XDP != 0 {
		f.Confidence = Confirmed
		f.Evidence = []string{fmt.Sprintf("state: XDP program %d is attached to %s", l.XDP, l.Name)}
		if p := l.ProgramsAt(netstate.HookXDP); len(p) == 1 && p[0].Name != "" {
			f.Evidence = []string{fmt.Sprintf("state: XDP program %s is attached to %s", p[0], l.Name)}
			f.Summary = fmt.Sprintf("the XDP program %s at %s %s dropped %s", p[0].Name, d.h.Dev, on(d.h), d.packetName())
		}
	}
	return f
}

// badChecksum: the receiver found a wrong checksum. In the tunnel's packet that is a known fault of checksum offload with VXLAN, in the
// pod's packet one of a device between the pods.
func badChecksum(d *dropAt) *Finding {
	r := d.reason()
	if r != "UDP_CSUM" && r != "TCP_CSUM" && r != "IP_CSUM" && r != "ICMP_CSUM" && r != "SKB_CSUM" {
		return nil
	}
	f := &Finding{Layer: Underlay, Cause: "inner-checksum-broken", Confidence: Likely,
		Summary: fmt.Sprintf("%s drops %s: its checksum is wrong", place(d.h), d.packetName()),
		Fix:     []string{"a device on the way breaks checksums: ethtool -k DEVICE on the sender's veth, tunnel and uplink; ethtool -K DEVICE tx off tells which"}}
	counter := "Tcp.InCsumErrors"
	if r == "UDP_CSUM" {
		counter = "Udp.InCsumErrors"
	}
	if d.h.Outer != nil {
		o := d.h.Outer
		f.Cause = "tunnel-checksum-offload"
		f.Summary = fmt.Sprintf("%s drops the tunnel's packets from %s: their UDP checksum is wrong", place(d.h), d.who(o.Src, 0))
		f.Fix = []string{fmt.Sprintf("on the node that has %s: ethtool -K flannel.1 tx-checksum-ip-generic off (vxlan.calico with Calico); a fault of kernel and network card with VXLAN", o.Src)}
		senderOffload(d, f)
	}
	if n, ok := d.grew(counter); ok && n > 0 {
		f.Confidence = Confirmed
		f.Evidence = append([]string{fmt.Sprintf("state: %s grew by %d %s", strings.ReplaceAll(counter, ".", ""), n, on(d.h))}, f.Evidence...)
	}
	return f
}

// senderOffload names the tunnel that sent a packet with a wrong checksum, and whether it leaves checksums to the device below it.
func senderOffload(d *dropAt, f *Finding) {
	const feature = "tx-checksum-ip-generic"
	for _, o := range d.in.snapshot().OwnersOf(d.h.Outer.Src) {
		for i := range o.NS.Links {
			l := &o.NS.Links[i]
			on, known := l.Offloads[feature]
			if l.VXLAN == nil || l.VXLAN.Port != int(d.h.Outer.Dport) || !known {
				continue
			}
			f.Evidence = append(f.Evidence, fmt.Sprintf("state: %s of %s %s checksums to the device below it (%s is %s)", l.Name, o.NS.Node, pick(on, "leaves", "does not leave"), feature, pick(on, "on", "off")))
			if on {
				f.Fix = []string{fmt.Sprintf("on %s: ethtool -K %s %s off; a fault of kernel and network card with VXLAN", o.NS.Node, l.Name, feature)}
			}
			return
		}
	}
}

// pureACK is the length in bytes of an ACK without data: the largest headers of IPv4 and TCP.
const pureACK = 20 + 60

// timestampsRejected: the TCP timestamp went back (RFC 7323, PAWS): several clients behind one address, or a device that rewrites.
func timestampsRejected(d *dropAt) *Finding {
	if !strings.Contains(d.reason(), "PAWS") || d.j.Packet.Flags == "ACK" && d.j.Packet.Len <= pureACK {
		return nil // an ACK without data that was overtaken is dropped without harm
	}
	f := &Finding{Layer: Service, Cause: "timestamps-rejected", Confidence: Likely,
		Summary: fmt.Sprintf("%s drops %s: its TCP timestamp is older than the one before it", place(d.h), d.packetName()),
		Fix: []string{"several clients share one address and port (NAT in front of the node), or a device on the way rewrites timestamps",
			in(d.h, "nstat -az TcpExtPAWSEstab; as a workaround sysctl -w net.ipv4.tcp_timestamps=0 on the client's side; net.ipv4.tcp_tw_recycle must be 0 on old kernels")}}
	if n, ok := d.grew("TcpExt.PAWSEstab"); ok && n > 1 {
		f.Confidence = Confirmed
		f.Evidence = []string{fmt.Sprintf("state: TcpExtPAWSEstab grew by %d %s", n, on(d.h))}
	}
	return f
}

// outdated reports whether PAWS dropped the packet.
func (d *dropAt) outdated() bool { return strings.Contains(d.h.Reason, "PAWS") }

// overtaken reports whether the only segment that PAWS dropped is this one: another packet of the connection was faster (two CPUs, two
// links), or the receiver took so much that it closed its window. A clock that goes back drops every retransmission too.
func (in *Input) overtaken(j *journey.Journey) bool {
	others := 0
	for i := range in.Journeys {
		o := &in.Journeys[i]
		if k := o.DropHop(); k >= 0 && strings.Contains(o.Hops[k].Reason, "PAWS") {
			others++
		}
	}
	k := j.DropHop()
	d := &dropAt{in: in, j: j, i: k, h: &j.Hops[k]}
	if !d.outdated() {
		return false
	}
	if n, ok := d.grew("TcpExt.TCPToZeroWindowAdv"); ok && n > 0 { // what was sent before it is overtaken by probes of the window
		return true
	}
	if others != 1 {
		return false
	}
	n, ok := d.grew("TcpExt.PAWSEstab")
	return !ok || n < 2
}

// timestampsCounted: the same where the kernel tells it by its counter only: before 5.17, tcp_drop frees without a tracepoint
// (net/ipv4/tcp_input.c). A receiver that took so much that it closed its window rejects copies only.
func timestampsCounted(input *Input) *Finding {
	r := input.receiver()
	if r == nil || input.answered() || input.DropReasons || r.grew(input, "TcpExt.TCPToZeroWindowAdv") > 0 {
		return nil
	}
	n := r.grew(input, "TcpExt.PAWSEstab")
	if n < 2 {
		return nil // see overtaken
	}
	h := r.hop()
	return &Finding{Outcome: Dropped, Layer: Service, Cause: "timestamps-rejected", Confidence: Likely, Journey: r.j.ID, Hop: r.i,
		Summary:  fmt.Sprintf("%s drops segments whose TCP timestamp is older than the one before it", place(h)),
		Evidence: []string{fmt.Sprintf("state: TcpExtPAWSEstab grew by %d %s; this kernel drops such segments where no point sees it", n, on(h))},
		Fix: []string{"several clients share one address and port (NAT in front of the node), or a device on the way rewrites timestamps",
			in(h, "nstat -az TcpExtPAWSEstab; as a workaround sysctl -w net.ipv4.tcp_timestamps=0 on the client's side; net.ipv4.tcp_tw_recycle must be 0 on old kernels")}}
}

// egressNotMasqueraded: a packet leaves the node, and the cluster, with a pod's address as its source; nobody out there can answer.
func egressNotMasqueraded(in *Input) *Finding {
	if in.cameBack() {
		return nil
	}
	for k := range in.Journeys {
		j := &in.Journeys[k]
		if j.Direction != journey.Request || j.End != journey.LeftNode || len(j.Hops) == 0 {
			continue
		}
		i := len(j.Hops) - 1
		h, t := &j.Hops[i], j.TupleAt(i)
		n := in.namespace(h.NetNS)
		if n == nil || !n.Host || h.Outer != nil || tunnelKinds[h.DevKind] || n.IsLocal(t.Src) || !podOf(in, n.Node, t.Src) || in.inCluster(t.Dst) || in.mayBePod(n, t.Dst) {
			continue
		}
		return &Finding{Outcome: Lost, Layer: PodNetwork, Cause: "egress-not-masqueraded", Journey: j.ID, Hop: i, Confidence: Likely,
			Summary: fmt.Sprintf("%s leaves %s for %s with the pod's own address %s: nothing outside the cluster can answer it", j.Packet.Proto, place(h), in.who(j.Packet.Proto, t.Dst, t.Dport), t.Src),
			Evidence: []string{fmt.Sprintf("kernel: the packet left %s at %s with source %s, no rule translated it, and nothing came back", place(h), h.Dev, t.Src),
				fmt.Sprintf("state: %s is the address of a pod on %s, and no node or pod of the cluster has %s", t.Src, n.Node, t.Dst)},
			Fix: []string{at(h, "iptables -t nat -S POSTROUTING: the CNI plugin's MASQUERADE rule is missing (ip-masq in flannel, natOutgoing in Calico's IPPool, ip-masq-agent)"),
				"or give the network outside a route to the pods' addresses"}}
	}
	return nil
}

// mayBePod reports whether an address can be that of a pod elsewhere for all that is known: nobody asked Kubernetes, and it is a private one, or the
// node has a route for it as it has for other nodes' pods.
func (in *Input) mayBePod(n *netstate.Namespace, a netip.Addr) bool {
	if in.Name != nil {
		return false
	}
	r, ok := n.RouteFor(a)
	return a.IsPrivate() || ok && r.Dst.Bits() > 0
}

// podOf reports whether an address is that of a pod on a node: of a namespace that is not the node's own, as far as the snapshot tells.
func podOf(in *Input, node string, a netip.Addr) bool {
	for _, o := range in.snapshot().OwnersOf(a) {
		if !o.NS.Host && o.NS.Node == node {
			return true
		}
	}
	return false
}

// inCluster reports whether an address is known to belong to the cluster: by its name, or because a watched namespace has it.
func (in *Input) inCluster(a netip.Addr) bool {
	if in.Name != nil && in.Name("", a, 0) != "" {
		return true
	}
	return len(in.snapshot().OwnersOf(a)) > 0
}

// grew is the growth of a counter in the namespace of the drop; false when it is not known.
func (d *dropAt) grew(counter string) (uint64, bool) {
	return netstate.Delta(d.in.Before, d.in.After, d.h.NetNS, counter)
}
