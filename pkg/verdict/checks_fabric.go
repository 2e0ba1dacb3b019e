// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

func init() {
	register(check{name: "fabric-drops-pod-ip", flow: fabricDropsPodIP, silences: []string{"egress-not-masqueraded"}})
}

// fabricDropsPodIP: a packet between pods leaves its node as it is, without a tunnel, and is not seen again. The network between the nodes must
// know the pods' addresses then: its routes (BGP, the cloud's route table) and its check that a node sends with its own address only.
func fabricDropsPodIP(in *Input) *Finding {
	j := in.barePod()
	if j == nil || in.cameBack() {
		return nil
	}
	i := len(j.Hops) - 1
	h, t := &j.Hops[i], j.TupleAt(i)
	f := &Finding{Outcome: Lost, Layer: Underlay, Cause: "fabric-drops-pod-ip", Journey: j.ID, Hop: i, Confidence: Inconclusive,
		Summary:  fmt.Sprintf("packets between pods leave %s without a tunnel and do not arrive: the network between the nodes does not carry %s → %s", place(h), t.Src, t.Dst),
		Evidence: []string{fmt.Sprintf("kernel: the packet left %s at %s with the pods' own addresses %s → %s; no drop was reported", place(h), h.Dev, t.Src, t.Dst)},
		Fix: []string{"the cloud's source/destination check must be off for the nodes, and its route table must have the nodes' podCIDRs",
			"with BGP (Calico, Cilium, kube-router): are the sessions up, and does the other router have the route? calicoctl node status",
			fmt.Sprintf("on both nodes: tcpdump -ni %s host %s", h.Dev, t.Dst)}}
	for _, o := range in.snapshot().OwnersOf(t.Dst) {
		if o.NS.Node != h.Node {
			f.Confidence = Likely
			f.Evidence = append(f.Evidence, fmt.Sprintf("%s, which has %s, is watched and saw nothing of it", o.NS.Node, t.Dst))
			return f
		}
	}
	f.Fix = append([]string{fmt.Sprintf("run nettrace on the node of %s next", t.Dst)}, f.Fix...)
	return f
}

// barePod is a journey between pods that ended where it left a node outside of any tunnel, when none in its direction got further.
func (in *Input) barePod() *journey.Journey {
	var gone *journey.Journey
	arrived := map[journey.Direction]bool{}
	for k := range in.Journeys {
		j := &in.Journeys[k]
		i := len(j.Hops) - 1
		switch {
		case j.Direction == journey.Related || i < 0:
		case j.End != journey.LeftNode:
			arrived[j.Direction] = arrived[j.Direction] || j.End == journey.Delivered
		case gone == nil && in.bare(j) && !in.mute(j):
			gone = j
		}
	}
	if gone == nil || arrived[gone.Direction] {
		return nil
	}
	return gone
}

// bare reports whether a journey left a node from a pod to one elsewhere, as it was.
func (in *Input) bare(j *journey.Journey) bool {
	i := len(j.Hops) - 1
	h, t := &j.Hops[i], j.TupleAt(i)
	n := in.namespace(h.NetNS)
	return h.Outer == nil && !tunnelKinds[h.DevKind] && n != nil && n.Host && in.pod(t.Src) && in.pod(t.Dst) && !podOf(in, n.Node, t.Dst)
}

// tunnelKinds are devices that put packets into others where no point sees it: what left there did not leave as it was.
var tunnelKinds = map[string]bool{"wireguard": true, "tun": true, "xfrm": true, "vti": true, "ipip": true, "sit": true, "gre": true, "gretap": true, "ip6tnl": true,
	"ip6gre": true, "ip6gretap": true, "vxlan": true, "geneve": true}

// mute reports whether it would not show here that an answer which left this kernel arrived: nothing acknowledges it, and no probe waits for it.
func (in *Input) mute(j *journey.Journey) bool {
	return in.Probe == nil && j.Direction == journey.Reply && j.Packet.Proto != "tcp"
}

// pod reports whether an address is known to be a pod's: one of the flow's ends that is a pod, an endpoint of its Service, or the address of a
// watched namespace that is no node's own.
func (in *Input) pod(a netip.Addr) bool {
	for _, end := range []struct {
		addr string
		ref  *journey.Ref
	}{{in.Flow.Src, in.Flow.SrcRef}, {in.Flow.Dst, in.Flow.DstRef}} {
		if end.addr == a.String() && end.ref != nil && end.ref.Kind == "Pod" {
			return true
		}
	}
	if slices.ContainsFunc(in.Flow.Endpoints, func(e Endpoint) bool { return e.at(a) }) {
		return true
	}
	for _, o := range in.snapshot().OwnersOf(a) {
		if !o.NS.Host {
			return true
		}
	}
	return false
}
