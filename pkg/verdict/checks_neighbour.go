// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/netstate"
)

func init() {
	register(check{name: "neighbour-failed", drop: neighbourFailed})
}

// neighbourFailed: nobody answered ARP or ND for the next hop. Which fault that is depends on the device: the underlay's, the tunnel's or
// the one to the pods.
func neighbourFailed(d *dropAt) *Finding {
	full := d.reason() == "NEIGH_QUEUEFULL"
	if !full && d.reason() != "NEIGH_FAILED" && d.h.Location != "neigh_invalidate" && d.h.Location != "arp_error_report" && d.h.Location != "__neigh_event_send" {
		return nil
	}
	dst := d.tuple().Dst
	f := &Finding{Layer: PodNetwork, Cause: "neighbour-drop", Confidence: Likely}
	if full {
		f.Evidence = append(f.Evidence, "kernel: another packet took its place in the queue of those that wait for the neighbour's answer")
	}
	switch {
	case full && d.answers():
		f.Cause = "neighbour-queue-full"
		f.Summary = fmt.Sprintf("more packets waited on %s for the MAC address of %s than the queue takes; it has answered meanwhile", place(d.h), d.nextHop())
		f.Fix = []string{in(d.h, "sysctl net.ipv4.neigh."+d.h.Dev+".unres_qlen_bytes; ip -s neigh show dev "+d.h.Dev)}
		return f
	case d.h.Outer != nil:
		f.Layer, f.Cause = Underlay, "underlay-neighbour-failed"
		f.Summary = fmt.Sprintf("%s cannot reach the other node %s: it does not answer ARP", place(d.h), d.who(d.h.Outer.Dst, 0))
		f.Fix = []string{fmt.Sprintf("is the node %s up, in this network, and still at this address? %s", d.h.Outer.Dst, in(d.h, "ip neigh show dev "+d.h.Dev))}
		d.stateAgrees(f)
		return f
	case d.h.DevKind == "vxlan":
		f.Cause = "vtep-neighbour-missing"
		f.Summary = fmt.Sprintf("%s has no neighbour entry for the next hop to %s on %s", place(d.h), dst, d.h.Dev)
		f.Fix = []string{in(d.h, "ip neigh show dev "+d.h.Dev), "restart the CNI agent on this node"}
		d.stateAgrees(f)
		return f
	case !d.host():
		f.Cause = "pod-gateway-no-arp"
		f.Summary = fmt.Sprintf("the gateway of %s does not answer ARP", place(d.h))
		f.Fix = []string{in(d.h, "ip route; ip neigh")}
		d.stateAgrees(f)
		return f
	}
	podSilent(d, f, dst)
	return f
}

// stateAgrees makes the finding confirmed when the neighbour table has no answer for the next hop either.
func (d *dropAt) stateAgrees(f *Finding) {
	if says, ok := d.unanswered(d.h.Dev, d.nextHop()); ok {
		f.Confidence = Confirmed
		f.Evidence = append(f.Evidence, says)
	}
}

// answers reports whether the neighbour table has an answer of the next hop.
func (d *dropAt) answers() bool {
	if d.ns == nil {
		return false
	}
	n, ok := d.ns.Neigh(d.h.Dev, d.nextHop())
	return ok && n.MAC != "" && n.State != "FAILED" && n.State != "INCOMPLETE"
}

// podSilent: the node asked for a pod's MAC address in vain. The snapshot says why.
func podSilent(d *dropAt, f *Finding, dst netip.Addr) {
	f.Cause = "pod-link-down"
	f.Summary = fmt.Sprintf("the pod %s does not answer ARP on %s", dst, place(d.h))
	f.Fix = []string{in(d.h, fmt.Sprintf("ip neigh show %s; ip link; bridge link", dst))}
	s := d.in.snapshot()
	if s == nil {
		return
	}
	owners := s.OwnersOf(dst)
	if len(owners) == 0 {
		if d.translated() != nil || d.translatedUnseen() {
			f.Layer, f.Cause = Service, "stale-endpoint"
			f.Summary = fmt.Sprintf("the Service's endpoint %s does not exist any more: no namespace here has its address", netip.AddrPortFrom(dst, d.tuple().Dport))
			f.Fix = []string{"kubectl get endpointslices -A | grep " + dst.String() + "; is kube-proxy running and in time on " + place(d.h) + "?"}
			d.stateAgrees(f)
			draining(d, f, dst)
		}
		return
	}
	for _, o := range owners {
		if why := linkFault(d, o); why != "" {
			f.Confidence = Confirmed
			f.Evidence = append(f.Evidence, "state: "+why)
			f.Summary = fmt.Sprintf("the pod %s does not answer ARP on %s: %s", dst, place(d.h), why)
			return
		}
	}
}

// draining: IPVS gives no new client to a server with weight 0, but those that it has, also by session affinity, keep theirs
// (net/netfilter/ipvs/ip_vs_core.c, ip_vs_sched_persist), also when it is gone.
func draining(d *dropAt, f *Finding, dst netip.Addr) {
	h := d.translated()
	if h == nil || h.Rule == nil || h.Rule.Backend != "ipvs" || !strings.HasSuffix(h.Rule.Text, " -w 0") {
		return
	}
	server := netip.AddrPortFrom(dst, d.tuple().Dport)
	f.Cause = "ipvs-draining-dead-server"
	f.Summary = fmt.Sprintf("IPVS on %s keeps this client on the server %s, which takes no new clients (weight 0) and does not exist any more", place(h), server)
	f.Evidence = append(f.Evidence, fmt.Sprintf("state: ipvsadm %s", h.Rule.Text))
	f.Fix = []string{in(h, "ipvsadm -lnc | grep "+server.String()), in(h, "sysctl net.ipv4.vs.expire_nodest_conn net.ipv4.vs.expire_quiescent_template: both must be 1, as kube-proxy sets them"),
		in(h, fmt.Sprintf("ipvsadm -d %s -r %s", strings.TrimPrefix(strings.Split(h.Rule.Text, " -r ")[0], "-a "), server))}
}

// linkFault says what is wrong with the pair of devices between a pod and its node; "" when both look right.
func linkFault(d *dropAt, o netstate.Owner) string {
	if !o.Link.Up {
		return fmt.Sprintf("%s in %s is down", o.Link.Name, o.NS.Name)
	}
	host := d.in.snapshot().Host(o.NS.Node)
	if host == nil {
		host = d.ns
	}
	peer := host.LinkByIndex(o.Link.PeerIndex)
	switch {
	case peer == nil || peer.PeerIndex != o.Link.Index:
		return ""
	case !peer.Up:
		return fmt.Sprintf("%s, the pod's device on %s, is down", peer.Name, place(d.h))
	case peer.Master == 0 && d.h.DevKind == "bridge":
		return fmt.Sprintf("%s, the pod's device on %s, is not on the bridge %s", peer.Name, place(d.h), d.h.Dev)
	}
	return ""
}
