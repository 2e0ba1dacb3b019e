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
	register(check{name: "no-socket", drop: noSocket})
	register(check{name: "socket-buffer-full", drop: socketBufferFull})
	register(check{name: "tc-program-drop", drop: tcProgramDrop})
	register(check{name: "hairpin-off", drop: hairpinOff})
	register(check{name: "accept-queue-full", drop: acceptQueueFull})
}

// The default range of NodePorts (kube-apiserver --service-node-port-range).
const (
	firstNodePort = 30000
	lastNodePort  = 32767
)

// noSocket: no socket takes the packet. In a pod that is the application, on a node's tunnel port the underlay, on its other ports a
// NodePort that nobody programmed.
func noSocket(d *dropAt) *Finding {
	if d.reason() != "NO_SOCKET" {
		return nil
	}
	if d.j.Direction == journey.Reply {
		return replyWithoutSocket(d)
	}
	t := d.tuple()
	port := d.who(t.Dst, t.Dport)
	f := &Finding{Layer: Application, Cause: "not-listening", Confidence: Likely, Outcome: Rejected}
	switch {
	case d.h.Outer != nil:
		f.Layer, f.Cause, f.Outcome = Underlay, "tunnel-port-mismatch", Dropped
		f.Summary = fmt.Sprintf("%s has no VXLAN device on udp/%d", place(d.h), d.h.Outer.Dport)
		f.Fix = []string{in(d.h, "ip -d link show type vxlan; all nodes must use the same port")}
		tunnelPorts(d, f)
		return f
	case d.host() && d.translated() == nil && t.Dport >= firstNodePort && t.Dport <= lastNodePort:
		f.Layer, f.Cause = Service, "nodeport-closed"
		f.Summary = fmt.Sprintf("%s has neither a rule nor a listener for port %d", place(d.h), t.Dport)
		f.Fix = []string{in(d.h, "is kube-proxy running? kubectl get svc -A | grep "+fmt.Sprint(t.Dport))}
		if d.ns != nil && !slices.ContainsFunc(d.ns.Listeners(d.j.Packet.Proto), func(s netstate.Socket) bool { return s.Local.Port() == t.Dport }) {
			f.Confidence = Confirmed
			f.Evidence = []string{fmt.Sprintf("state: %s listens on %s ports %s", place(d.h), d.j.Packet.Proto, portList(d.ns.Listeners(d.j.Packet.Proto)))}
		}
		return f
	}
	f.Summary = fmt.Sprintf("nothing listens on %s %s %s", d.j.Packet.Proto, port, on(d.h))
	f.Fix = []string{in(d.h, "ss -l"+pick(d.j.Packet.Proto == "udp", "u", "t")+"n")}
	if d.ns == nil {
		return f
	}
	all := d.ns.Listeners(d.j.Packet.Proto)
	f.Evidence = append(f.Evidence, fmt.Sprintf("state: %s listens on %s ports %s", place(d.h), d.j.Packet.Proto, portList(all)))
	f.Confidence = Confirmed
	for _, s := range all {
		if s.Local.Port() != t.Dport {
			continue
		}
		if s.Local.Addr().IsLoopback() {
			f.Cause = "listens-on-localhost"
			f.Summary = fmt.Sprintf("the application in %s listens on %s only, not on the pod's address", place(d.h), s.Port())
			f.Fix = []string{"make the application listen on 0.0.0.0 (or ::)"}
			return f
		}
		f.Confidence = Likely // it listens now, it did not then
	}
	d.behindService(f, all, port)
	return f
}

// behindService says it of a Service that leads to the port. Its targetPort is wrong when the application listens on another one; one that listens
// on none is not up. On a node's own address others listen too.
func (d *dropAt) behindService(f *Finding, listens []netstate.Socket, port string) {
	switch nat := d.translated(); {
	case nat != nil && ofService(nat) && f.Confidence == Confirmed:
		f.Summary = fmt.Sprintf("the Service sends %s to %s, where nothing listens", nat.NAT.From, nat.NAT.To)
	case d.translatedUnseen() && (d.in.Flow.DstRef == nil || d.in.Flow.DstRef.Kind == "Service"): // the event of the translation is missing, its result is here
		f.Confidence = Likely
		f.Summary = fmt.Sprintf("what was sent to %s came to %s, where nothing listens", d.in.flowDst(), port)
	default:
		return
	}
	const compare = "compare the Service's targetPort with the ports that the application listens on"
	if d.host() { // what else listens there is the node's own: it says nothing of this application
		f.Fix = append(f.Fix, "is the application up on this node? crictl ps, and its log; if it is, "+compare)
		return
	}
	if !slices.ContainsFunc(listens, func(s netstate.Socket) bool { return !s.Local.Addr().IsLoopback() }) {
		f.Fix = append(f.Fix, "is the application up? kubectl logs of the pod; if it is, "+compare)
		return
	}
	f.Layer, f.Cause = Service, "wrong-target-port"
	f.Fix = []string{compare + "; if it is one of them, that container is down: kubectl logs of the pod"}
}

// ofService reports whether a translation is a Service's: others are a host port's, or somebody's own rule.
func ofService(h *journey.Hop) bool {
	return h.Ref != nil && h.Ref.Kind == "Service" || h.IPVS != nil || h.Rule != nil && (h.Rule.Owner == "kube-proxy" || h.Rule.Backend == "ipvs")
}

// replyWithoutSocket: the answer came, and the client has no socket for it: it has given up, or the answer comes from an address that it
// never called, because the translation was not undone.
func replyWithoutSocket(d *dropAt) *Finding {
	t := d.tuple()
	if t.Src.String() == d.in.Flow.Dst && (d.in.Flow.Dport == 0 || t.Sport == d.in.Flow.Dport) {
		return &Finding{Layer: Application, Cause: "socket-drop", Confidence: Likely, Outcome: Dropped,
			Summary: fmt.Sprintf("the answer reached %s after the client had closed its socket", place(d.h)),
			Fix:     []string{"look for what makes the answer slow: the times of the hops show where it waited"}}
	}
	f := &Finding{Layer: PodNetwork, Cause: "bridge-netfilter-off", Confidence: Likely, Outcome: Dropped,
		Summary: fmt.Sprintf("the answer reaches %s from %s instead of %s: its address was not translated back", place(d.h), d.who(t.Src, t.Sport), d.in.flowDst()),
		Fix:     []string{in(d.h, "on its node: modprobe br_netfilter; sysctl -w net.bridge.bridge-nf-call-iptables=1")}}
	if host := d.in.snapshot().Host(d.h.Node); host != nil && host.Sysctls["net.bridge.bridge-nf-call-iptables"] == "0" {
		f.Confidence = Confirmed
		f.Evidence = []string{fmt.Sprintf("state: net.bridge.bridge-nf-call-iptables = 0 on %s: packets between its pods pass the bridge without iptables", d.h.Node)}
	}
	return f
}

// afterClose reports whether an answer came to a client that had closed its socket: TCP resets what is sent to one that has none any more, or only
// one that waits for the other end to close (net/ipv4/tcp_ipv4.c, tcp_v4_rcv; tcp_minisocks.c, TCP_TW_RST).
func (d *dropAt) afterClose() bool {
	at := d.h.Location == "tcp_v4_rcv" || d.h.Location == "tcp_v6_rcv"
	return d.j.Direction == journey.Reply && d.j.Packet.Proto == "tcp" && at && d.h.Verdict == "reject" && d.h.Outer == nil
}

// portList lists ports with the addresses that are not "any", and whose they are.
func portList(all []netstate.Socket) string {
	var out []string
	for _, s := range all {
		p := s.Port()
		if !slices.Contains(out, p) && len(out) < 16 {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

// socketBufferFull: the receiver does not read as fast as packets come.
func socketBufferFull(d *dropAt) *Finding {
	if d.reason() != "SOCKET_RCVBUFF" {
		return nil
	}
	f := &Finding{Layer: Application, Cause: "socket-buffer-full", Confidence: Likely,
		Summary: fmt.Sprintf("the receive buffer of %s is full: the application does not read fast enough", d.who(d.tuple().Dst, d.tuple().Dport)),
		Fix:     []string{in(d.h, "ss -ulnm shows the buffer and the drops (d) of the socket; give the application more CPU or a larger SO_RCVBUF")}}
	if n, ok := d.grew("Udp.RcvbufErrors"); ok && n > 0 && d.j.Packet.Proto == "udp" {
		f.Confidence = Confirmed
		f.Evidence = []string{fmt.Sprintf("state: UdpRcvbufErrors grew by %d %s", n, on(d.h))}
	}
	if d.tuple().Dport == 53 {
		f.Layer = DNS
	}
	return f
}

// tcProgramDrop: an eBPF program or filter at a device dropped the packet: Cilium, AWS VPC CNI and others enforce policies there.
func tcProgramDrop(d *dropAt) *Finding {
	if d.reason() != "TC_INGRESS" && d.reason() != "TC_EGRESS" {
		return nil
	}
	layer := PodNetwork
	if !d.host() && d.h.Where != nil {
		layer = Application
	}
	side := strings.ToLower(strings.TrimPrefix(d.reason(), "TC_"))
	f := &Finding{Layer: layer, Cause: "tc-program-drop", Confidence: Likely,
		Summary: fmt.Sprintf("a tc program on %s (%s) dropped the packet %s", d.h.Dev, side, on(d.h)),
		Fix:     []string{in(d.h, fmt.Sprintf("bpftool net show dev %s; tc filter show dev %s %s", d.h.Dev, d.h.Dev, side)), "with Cilium: hubble observe --verdict DROPPED"}}
	there := d.ns.Link(d.h.Dev).ProgramsAt("tc " + side)
	if len(there) == 0 {
		return f
	}
	if d.h.Reason == d.reason() { // the kernel's own word
		f.Confidence = Confirmed
	}
	if len(there) == 1 {
		f.Summary = fmt.Sprintf("the tc program %s on %s (%s) dropped the packet %s", there[0], d.h.Dev, side, on(d.h))
	}
	f.Evidence = append(f.Evidence, fmt.Sprintf("state: tc programs at the %s of %s: %s", side, d.h.Dev, join(there)))
	return f
}

func join(all []netstate.Program) string {
	out := make([]string, len(all))
	for i, p := range all {
		out[i] = p.String()
	}
	return strings.Join(out, ", ")
}

// hairpinOff: the bridge does not send a packet back through the port it came in by (net/bridge/br_forward.c, should_deliver).
func hairpinOff(d *dropAt) *Finding {
	l := d.ns.Link(d.h.Dev)
	off := l != nil && l.Hairpin != nil && !*l.Hairpin
	there := d.h.Location == "br_handle_frame_finish" || d.h.Location == "br_forward" || d.h.Location == "__br_forward"
	itself := d.tuple().Dst == d.j.Packet.Src // the bridge drops for other reasons too: a port's state, a VLAN
	if !there || d.h.Step != "hairpin" && !(off && itself) {
		return nil
	}
	f := &Finding{Layer: PodNetwork, Cause: "hairpin-off", Confidence: Likely,
		Summary: fmt.Sprintf("a pod cannot reach itself through its Service: hairpin mode is off on %s %s", d.h.Dev, on(d.h)),
		Fix:     []string{in(d.h, fmt.Sprintf("bridge link set dev %s hairpin on; set hairpinMode in the CNI configuration", d.h.Dev))}}
	if off {
		f.Confidence = Confirmed
		f.Evidence = append(f.Evidence, fmt.Sprintf("state: bridge port %s has hairpin off", d.h.Dev))
	}
	if d.h.Step == "hairpin" {
		f.Evidence = append(f.Evidence, fmt.Sprintf("the bridge chose %s, the port that the packet came from, and refused it", d.h.Dev))
	}
	return f
}

// acceptQueueFull: connections wait in the listener's queue and the application does not accept them. The kernel drops the SYN, or the ACK
// that completes the handshake, without a drop (net/ipv4/tcp_input.c, tcp_conn_request; tcp_ipv4.c, tcp_v4_syn_recv_sock).
func acceptQueueFull(d *dropAt) *Finding {
	if d.h.Step != "accept-queue-full" {
		return nil
	}
	to := d.who(d.tuple().Dst, d.tuple().Dport)
	return &Finding{Layer: Application, Cause: "accept-queue-full", Confidence: Confirmed, Outcome: Dropped,
		Summary:  fmt.Sprintf("the application on %s does not accept connections: its accept queue is full %s", to, on(d.h)),
		Evidence: []string{"at the listening socket " + d.h.Why},
		Fix: []string{in(d.h, "ss -ltn: Recv-Q above Send-Q is a full accept queue; nstat -az TcpExtListenOverflows counts"),
			"find what the application waits for; a larger backlog (and net.core.somaxconn) only helps against bursts"}}
}
