// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"net/netip"
	"slices"
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
		f.Fix = []string{in(d.h, "sysctl "+Setting("net.ipv4.neigh", d.h.Dev, "unres_qlen_bytes")+"; ip -s neigh show dev "+d.h.Dev)}
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
	case !d.host() && !d.asksPeer():
		f.Cause = "pod-gateway-no-arp"
		f.Summary = fmt.Sprintf("the gateway of %s does not answer ARP", place(d.h))
		f.Fix = []string{in(d.h, "ip route; ip neigh")}
		d.stateAgrees(f)
		d.gatewaySilent(f)
		return f
	case d.host() && !d.leadsToPods():
		next := d.nextHop()
		f.Layer, f.Cause = Underlay, "underlay-neighbour-failed"
		f.Summary = fmt.Sprintf("%s cannot reach %s%s: it does not answer ARP", place(d.h), d.who(next, 0), pick(next == dst, "", ", the next hop to "+dst.String()))
		f.Fix = []string{fmt.Sprintf("is the node or router %s up, in this network, and still at this address? %s", next, in(d.h, "ip neigh show dev "+d.h.Dev))}
		d.stateAgrees(f)
		return f
	}
	podSilent(d, f, dst)
	return f
}

// asksPeer reports whether a pod asked for its peer itself: pods on one bridge have no gateway between them, but where the peer is the node.
func (d *dropAt) asksPeer() bool {
	dst := d.tuple().Dst
	r, ok := d.ns.RouteFor(dst)
	node := d.in.snapshot().Host(d.h.Node)
	return ok && r.Dev == d.h.Dev && !r.Gateway.IsValid() && !node.IsLocal(dst)
}

// leadsToPods reports whether pods are behind the device at which a node asked for its next hop. Of a kind of device that is not known to be an
// uplink that is taken for granted, and of a veth whose other end was not read when the route is for one address, as CNI plugins write it.
func (d *dropAt) leadsToPods() bool {
	dst, s := d.tuple().Dst, d.in.snapshot()
	r, ok := d.ns.RouteFor(dst)
	ok = ok && r.Dev == d.h.Dev
	if ok && r.Gateway.IsValid() && r.Gateway != dst {
		return false
	}
	if slices.ContainsFunc(s.OwnersOf(dst), func(o netstate.Owner) bool { return !o.NS.Host && o.NS.Node == d.h.Node }) {
		return true
	}
	kind := d.h.DevKind
	if l := d.ns.Link(d.h.Dev); kind == "" && l != nil {
		kind = l.Kind
	}
	if kind == "veth" {
		return ok && r.Dst.IsSingleIP() || d.toPod()
	}
	return !slices.Contains([]string{"phys", "vlan", "bond", "team"}, kind)
}

// toPod reports whether the other end of the device is in a pod that was read.
func (d *dropAt) toPod() bool {
	s := d.in.snapshot()
	for i := 0; s != nil && i < len(s.Namespaces); i++ {
		if slices.ContainsFunc(s.HostVeths(s.Namespaces[i].Inode), func(o netstate.Owner) bool { return o.NS.Node == d.h.Node && o.Link.Name == d.h.Dev }) {
			return true
		}
	}
	return false
}

// stateAgrees makes the finding confirmed when the neighbour table has no answer for the next hop either.
func (d *dropAt) stateAgrees(f *Finding) {
	if says, ok := d.unanswered(d.h.Dev, d.nextHop()); ok {
		f.Confidence = Confirmed
		f.Evidence = append(f.Evidence, says)
	}
}

// gatewaySilent says why the pod's gateway keeps silent, where the node's settings tell: nobody has its address, or arp_ignore
// (Documentation/networking/ip-sysctl.rst).
func (d *dropAt) gatewaySilent(f *Finding) {
	gw, node := d.nextHop(), d.in.snapshot().Host(d.h.Node)
	if node == nil || !gw.Is4() || d.ns == nil {
		return
	}
	dev := deviceWith(node, gw)
	if dev == "" {
		f.Evidence = append(f.Evidence, fmt.Sprintf("state: no device on %s has the address %s", d.h.Node, gw))
		f.Fix = append(f.Fix, "with Calico's 169.254.1.1: sysctl net.ipv4.conf.CALIDEV.proxy_arp on the node must be 1")
		return
	}
	if all, own := node.Sysctls["net.ipv4.conf.all.arp_ignore"], node.Sysctls["net.ipv4.conf."+dev+".arp_ignore"]; max(all, own) > "0" {
		f.Evidence = append(f.Evidence, fmt.Sprintf("state: arp_ignore on %s is %s for all and %s for %s, which has %s", d.h.Node, all, own, dev, gw))
		f.Fix = append(f.Fix, fmt.Sprintf("on %s: sysctl -w net.ipv4.conf.all.arp_ignore=0 %s=0", d.h.Node, Setting("net.ipv4.conf", dev, "arp_ignore")))
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

// podSilent: the node, or a pod on the same bridge, asked for a pod's MAC address in vain. The snapshot says why.
func podSilent(d *dropAt, f *Finding, dst netip.Addr) {
	f.Cause = "pod-link-down"
	asked := pick(d.host(), "on ", "from ") + place(d.h)
	f.Summary = fmt.Sprintf("the pod %s does not answer ARP %s", dst, asked)
	f.Fix = []string{in(d.h, fmt.Sprintf("ip neigh show %s; ip link; bridge link", dst))}
	if !d.host() {
		f.Fix = []string{in(d.h, fmt.Sprintf("ip neigh show %s", dst)), "on their node: ip link; bridge link; is the other pod's device up and on the bridge?"}
	}
	s := d.in.snapshot()
	if s == nil {
		return
	}
	owners := s.OwnersOf(dst)
	if len(owners) == 0 {
		if (d.translated() != nil || d.translatedUnseen()) && !d.in.lives(dst) {
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
			f.Summary = fmt.Sprintf("the pod %s does not answer ARP %s: %s", dst, asked, why)
			return
		}
	}
}

// lives reports whether an address is that of a pod or node which is there as far as Kubernetes tells. An endpoint that names no pod says little: it is
// stale itself when the pod is gone.
func (in *Input) lives(a netip.Addr) bool {
	if slices.ContainsFunc(in.Flow.Endpoints, func(e Endpoint) bool { return e.at(a) && e.Ready && e.Ref != nil }) {
		return true
	}
	if in.Name == nil {
		return false
	}
	name := in.Name("", a, 0)
	return name != "" && !strings.HasPrefix(name, "svc/") && !strings.Contains(name, " (") // which says that it has ended
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
	host, node := d.in.snapshot().Host(o.NS.Node), o.NS.Node
	if host == nil && d.host() {
		host = d.ns
	}
	if d.host() {
		node = place(d.h)
	}
	peer := host.LinkByIndex(o.Link.PeerIndex)
	switch {
	case peer == nil || peer.PeerIndex != o.Link.Index:
		return ""
	case !peer.Up:
		return fmt.Sprintf("%s, the pod's device on %s, is down", peer.Name, node)
	case peer.Master == 0 && d.h.DevKind == "bridge":
		return fmt.Sprintf("%s, the pod's device on %s, is not on the bridge %s", peer.Name, node, d.h.Dev)
	case peer.Master == 0 && !d.host():
		return fmt.Sprintf("%s, the pod's device on %s, is on no bridge", peer.Name, node)
	}
	return ""
}
