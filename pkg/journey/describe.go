// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
)

// Words puts what a sentence names into words. The zero value leaves addresses as they are.
type Words struct {
	// Addr names an address, with its port unless that is 0; "" when it has no name.
	Addr func(proto string, a netip.Addr, port uint16) string
	// Peer names whose the other end of a veth is; "" when that is not known.
	Peer func(netns, ifindex uint32) string
}

// addr is an address in words, or as it is.
func (w *Words) addr(proto string, a netip.Addr, port uint16) string {
	if w.Addr != nil {
		if s := w.Addr(proto, a, port); s != "" {
			return s
		}
	}
	if port == 0 {
		return a.String()
	}
	return endpoint(a, port)
}

// text is the same for "address:port" or "address".
func (w *Words) text(proto, s string) string {
	if p, err := netip.ParseAddrPort(s); err == nil {
		return w.addr(proto, p.Addr(), p.Port())
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return w.addr(proto, a, 0)
	}
	return s
}

// Describe fills the What of every hop: one plain sentence, in the kernel's and Kubernetes' own words.
func Describe(j *Journey, w Words) {
	for i := range j.Hops {
		j.Hops[i].What = sentence(j, i, &w)
	}
}

func sentence(j *Journey, i int, w *Words) string {
	h := &j.Hops[i]
	switch h.Stage {
	case StageDeviceTx:
		return transmitted(h) + w.peer(h)
	case StageDeviceRx:
		return received(h) + w.peer(h)
	case StageBridge:
		return bridged(h)
	case StageConntrack:
		return tracked(h)
	case StageNetfilter:
		return hooked(h)
	case StageIPVS:
		return balanced(h, j.Packet.Proto, w)
	case StageFragment:
		return "cut into fragments"
	case StageTC:
		return "a tc program redirects it"
	case StageNAT:
		return translated(h, j.Packet.Proto, w)
	case StageRoute:
		return routed(h, w)
	case StageNeighbour:
		return fmt.Sprintf("waits for the MAC address of %s on %s", w.addr("", h.Route.Gateway, 0), h.Route.OIF)
	case StageTunnel:
		if h.Tunnel.Op == "decap" {
			return h.Tunnel.TakenOut()
		}
		o := &h.Tunnel.Outer
		return fmt.Sprintf("put into %s, %s to %s", h.Tunnel.name(), w.addr("udp", o.Src, 0), w.addr("udp", o.Dst, o.Dport))
	case StageQdisc:
		return "waits in the queue of " + h.Dev
	case StageSocket:
		return arrived(j, h)
	case StageDrop:
		return dropped(h)
	}
	return string(h.Stage)
}

// TakenOut is the sentence of a packet that leaves the tunnel: "taken out of VXLAN VNI 1". A VNI of 0 is one that nobody saw, and is left out.
func (t *Tunnel) TakenOut() string {
	if t.VNI == 0 {
		return "taken out of " + cmp.Or(tunnelWords[t.Type], "a tunnel")
	}
	return "taken out of " + t.name()
}

// name is "VXLAN VNI 1", "Geneve VNI 5" or "IP-in-IP".
func (t *Tunnel) name() string {
	if t.Type == "ipip" {
		return "IP-in-IP"
	}
	return fmt.Sprintf("%s VNI %d", tunnelWords[t.Type], t.VNI)
}

var tunnelWords = map[string]string{"vxlan": "VXLAN", "geneve": "Geneve", "ipip": "IP-in-IP"}

// inside names the tunnel that a packet is in at a device; its outer packet tells which.
func inside(h *Hop) string {
	switch {
	case h.Outer.Dport == 0:
		return "IP-in-IP"
	case h.Outer.Dport == 6081:
		return "Geneve"
	}
	return "VXLAN"
}

func transmitted(h *Hop) string {
	switch {
	case h.Outer != nil:
		return fmt.Sprintf("sent out of %s inside %s", h.Dev, inside(h))
	case tunnelKinds[h.DevKind]:
		return fmt.Sprintf("handed to the tunnel device %s", h.Dev)
	case h.DevKind == "loopback":
		return "sent over loopback"
	}
	return fmt.Sprintf("sent out of %s (%s)", h.Dev, h.DevKind)
}

// peer tells at a node's veth which pod has the other end.
func (w *Words) peer(h *Hop) string {
	if w.Peer == nil || h.DevKind != "veth" {
		return ""
	}
	if p := w.Peer(h.NetNS, h.Ifindex); p != "" {
		return " of " + p
	}
	return ""
}

func received(h *Hop) string {
	switch {
	case h.Outer != nil:
		return fmt.Sprintf("received at %s inside %s", h.Dev, inside(h))
	case tunnelKinds[h.DevKind]:
		return fmt.Sprintf("comes out of the tunnel device %s", h.Dev)
	}
	return fmt.Sprintf("received at %s (%s)", h.Dev, h.DevKind)
}

// tracked tells what connection tracking did.
func tracked(h *Hop) string {
	s := pick(h.Outer != nil, "tunnel packet, ", "") + "conntrack: "
	switch h.Step {
	case "table-full":
		return s + "no entry, the table is full"
	case "confirm":
		return s + "the connection is entered into the table"
	}
	if h.CT == nil {
		return s + "looked up"
	}
	s += h.CT.State
	if h.Why != "" {
		s += ", " + h.Why
	}
	return s
}

// hooked tells a netfilter hook in one line, with the tables that were asked.
func hooked(h *Hop) string {
	name := strings.TrimSpace(h.Family + " " + h.Hook)
	if name == "" {
		name = "rules"
	}
	s := pick(h.Outer != nil, "tunnel packet, ", "") + "netfilter " + name
	if len(h.Tables) > 0 {
		s += " (" + strings.Join(h.Tables, ", ") + ")"
	}
	switch h.Verdict {
	case "queue":
		return s + ": handed to a program in user space"
	case "stolen":
		return s + ": taken by IPVS"
	case "":
		return s
	}
	return s + ": " + h.Verdict
}

func balanced(h *Hop, proto string, w *Words) string {
	if h.IPVS == nil {
		return "IPVS has no real server for it"
	}
	s := fmt.Sprintf("IPVS: %s goes to the real server %s (%s)", w.text(proto, h.IPVS.Virtual), w.text(proto, h.IPVS.Server), h.IPVS.Method)
	return s + belongs(h, s)
}

func bridged(h *Hop) string {
	switch h.Step {
	case "port":
		return fmt.Sprintf("the bridge forwards it to its port %s", h.Port)
	case "flood":
		return "the bridge floods it to all its ports"
	}
	if h.Port != "" {
		return fmt.Sprintf("taken by the bridge %s at its port %s", h.Dev, h.Port)
	}
	if h.Func == "net_dev_start_xmit" {
		return fmt.Sprintf("handed to the bridge %s", h.Dev)
	}
	return fmt.Sprintf("up from the bridge %s to its node", h.Dev)
}

// belongs tells whose the rule is, unless the sentence says so already.
func belongs(h *Hop, s string) string {
	if h.Ref == nil || strings.Contains(s, h.Ref.String()) {
		return ""
	}
	return " for " + h.Ref.String()
}

func translated(h *Hop, proto string, w *Words) string {
	side := "destination"
	if (h.NAT.Type == "dnat" || h.NAT.Type == "redirect") == h.NAT.Undo {
		side = "source"
	}
	kind := strings.ToUpper(h.NAT.Type)
	if h.NAT.Undo {
		return fmt.Sprintf("%s undone: %s %s becomes %s again", kind, side, w.text(proto, h.NAT.From), w.text(proto, h.NAT.To))
	}
	s := fmt.Sprintf("%s: %s %s becomes %s", kind, side, w.text(proto, h.NAT.From), w.text(proto, h.NAT.To))
	return s + belongs(h, s)
}

func routed(h *Hop, w *Words) string {
	r := h.Route
	what := "routed"
	if h.Outer != nil {
		what = "tunnel packet routed"
	}
	switch {
	case r.Error == "EINVAL":
		return fmt.Sprintf("a blackhole route takes it (table %s)", tableName(r.Table))
	case r.Error != "":
		return fmt.Sprintf("no route (%s, table %s)", r.Error, tableName(r.Table))
	case r.Local:
		return what + ": for this namespace"
	case r.Gateway.IsValid() && !r.Gateway.IsUnspecified():
		return fmt.Sprintf("%s via %s to %s", what, w.addr("", r.Gateway, 0), r.OIF)
	}
	return fmt.Sprintf("%s to %s, directly connected", what, r.OIF)
}

// tableName is the name of the tables that the kernel makes (rt_tables in iproute2).
func tableName(t uint32) string {
	switch t {
	case 253:
		return "default"
	case 254:
		return "main"
	case 255:
		return "local"
	}
	return fmt.Sprint(t)
}

func arrived(j *Journey, h *Hop) string {
	switch {
	case j.EndWhy == "connection established" || h.Func == "inet_sock_set_state":
		return "delivered: the TCP connection is established"
	case h.Func == "tcp_receive_reset":
		return "delivered: the TCP socket took the reset"
	case j.Direction == Related:
		return "delivered to the sender of the packet that it is about"
	case j.Packet.Proto == "icmp":
		return "delivered: ICMP " + j.Packet.ICMP
	}
	return "delivered to the " + j.Packet.Proto + " layer"
}

func dropped(h *Hop) string {
	word := "dropped"
	if h.Verdict == "reject" {
		word = "rejected"
	}
	s := word + " in " + pick(h.Location != "", h.Location, "the kernel")
	if h.Hook != "" {
		s = word + " by netfilter in " + h.Hook
	}
	if h.Dev != "" {
		s += " at " + h.Dev
	}
	if h.Reason != "" {
		s += ", reason " + h.Reason
	}
	if why := stepWords[h.Step]; why != "" {
		s += ": " + why
	}
	if h.Why != "" {
		s += " (" + h.Why + ")"
	}
	if h.ICMP != "" {
		s += "; answered with ICMP " + h.ICMP
	}
	return s
}

// String is "svc/shop/web:http" and the like.
func (r *Ref) String() string {
	kind := map[string]string{"Service": "svc", "Pod": "pod", "Node": "node", "NetworkPolicy": "networkpolicy"}[r.Kind]
	if kind == "" {
		kind = strings.ToLower(r.Kind)
	}
	parts := []string{kind}
	if r.Namespace != "" {
		parts = append(parts, r.Namespace)
	}
	s := strings.Join(append(parts, r.Name), "/")
	if r.Port != "" {
		s += ":" + r.Port
	}
	return s
}

// Short names the object as users write it, "shop/client:8080", "svc/shop/web:http", "node/node1"; port 0 is left out.
func (r *Ref) Short(port uint16) string {
	s := r.String()
	if r.Kind == "Pod" {
		s = r.Namespace + "/" + r.Name
	}
	if port != 0 && r.Port == "" {
		s += fmt.Sprintf(":%d", port)
	}
	return s
}

// stepWords say what the steps before a drop tell about its cause.
var stepWords = map[string]string{
	"accept-queue-full": "the accept queue is full", "conntrack-full": "the conntrack table is full", "insert-failed": "its connection could not be entered into the conntrack table",
	"no-server": "IPVS has no real server", "invalid": "conntrack calls it INVALID", "hairpin": "the bridge does not send it back to the port that it came from",
	"fdb-miss": "the tunnel device knows no remote for it",
}

// tunnelKinds are the rtnl_link_ops kinds of tunnel devices.
var tunnelKinds = map[string]bool{"vxlan": true, "geneve": true, "ipip": true, "sit": true, "gre": true}
