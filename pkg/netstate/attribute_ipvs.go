// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"net/netip"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// Certainties of journey.Rule.
const (
	exact    = "exact"
	inferred = "inferred"
)

// kubeDummy is the device on which kube-proxy puts the addresses of Services in IPVS mode (pkg/proxy/ipvs, DefaultDummyDevice).
const kubeDummy = "kube-ipvs0"

// ipvsRule says which virtual and which real server a hop of IPVS is about. The kernel's own function told it from the connection, so it is exact;
// the snapshot adds the weight.
func ipvsRule(n *Namespace, j *journey.Journey, i int) {
	h := &j.Hops[i]
	t := j.TupleAt(i)
	if h.IPVS == nil {
		if s := balanced(n, j.Packet.Proto, t.Dst, t.Dport, h.Mark); s != nil && h.Step == "no-server" {
			h.Rule = serverRule(n, s, nil, t.Dst, exact)
		}
		return
	}
	at, err1 := netip.ParseAddrPort(h.IPVS.Virtual)
	to, err2 := netip.ParseAddrPort(h.IPVS.Server)
	if err1 != nil || err2 != nil {
		return
	}
	if s := balanced(n, j.Packet.Proto, at.Addr(), at.Port(), h.Mark); s != nil {
		if r := s.Server(to); r != nil {
			h.Rule = serverRule(n, s, r, at.Addr(), exact)
			return
		}
	}
	// the snapshot is older or younger than the connection
	s := &ruleset.VirtualServer{Proto: j.Packet.Proto, Addr: at.Addr(), Port: at.Port()}
	h.Rule = serverRule(n, s, &ruleset.RealServer{Addr: to.Addr(), Port: to.Port(), Method: h.IPVS.Method}, at.Addr(), exact)
	h.Rule.Text, _, _ = strings.Cut(h.Rule.Text, " -w ")
}

// balanced is the virtual server for a packet; one for its mark comes first.
func balanced(n *Namespace, proto string, dst netip.Addr, dport uint16, mark uint32) *ruleset.VirtualServer {
	if s := n.IPVS.Marked(mark, dst.Is6()); s != nil {
		return s
	}
	return n.IPVS.Virtual(proto, dst, dport)
}

// serverRule is a real server, or with nil the virtual server that has none, as ipvsadm writes it.
func serverRule(n *Namespace, s *ruleset.VirtualServer, r *ruleset.RealServer, at netip.Addr, certainty string) *journey.Rule {
	rule := &journey.Rule{Backend: "ipvs", Family: "ip", Text: s.String(), Verdict: "REJECT", Certainty: certainty}
	if at.Is6() {
		rule.Family = "ip6"
	}
	if r != nil {
		rule.Text, rule.Verdict = s.Line(r), r.Method
	}
	if ofKubeProxy(n, s, at) {
		rule.Owner = "kube-proxy"
	}
	return rule
}

// ofKubeProxy says whether kube-proxy made a virtual server: its address is on kube-proxy's device, or its port is among the NodePorts.
func ofKubeProxy(n *Namespace, s *ruleset.VirtualServer, at netip.Addr) bool {
	l := n.Link(kubeDummy)
	if l == nil || l.has(at) {
		return l != nil
	}
	set := "KUBE-NODE-PORT-"
	if at.Is6() {
		set = "KUBE-6-NODE-PORT-"
	}
	return n.IPSets.Contains(set+strings.ToUpper(s.Proto), "dst", &ruleset.Packet{Proto: s.Proto, Src: at, Dst: at, Dport: s.Port})
}

// scheduled is the rule of the hop of IPVS right before hop i, of which i shows the effect: the destination is the real server's, or the packet is
// dropped as there is none. It is nil when IPVS was not seen at it.
func scheduled(j *journey.Journey, i int) *journey.Rule {
	h := &j.Hops[i]
	for k := i - 1; k >= 0 && j.Hops[k].NetNS == h.NetNS; k-- {
		b := &j.Hops[k]
		if b.Stage != journey.StageIPVS {
			if b.Stage == journey.StageNetfilter || b.Stage == journey.StageRoute || b.Stage == journey.StageConntrack {
				continue // the hook in which it was, and the route to the real server
			}
			return nil
		}
		if b.Rule == nil || (h.NAT != nil) != (b.IPVS != nil) || (h.NAT != nil && h.NAT.To != b.IPVS.Server) {
			return nil
		}
		copied := *b.Rule
		return &copied
	}
	return nil
}

// translatedByIPVS is the real server to which a translation leads that no other rule explains.
func translatedByIPVS(n *Namespace, h *journey.Hop, before *ruleset.Packet) *journey.Rule {
	to, err := netip.ParseAddrPort(h.NAT.To)
	if err != nil {
		return nil
	}
	s := balanced(n, before.Proto, before.Dst, before.Dport, h.Mark)
	if s == nil {
		return nil
	}
	r := s.Server(to)
	if r == nil || r.Method != "masquerading" && r.Method != "local" { // the others do not change the destination
		return nil
	}
	return serverRule(n, s, r, before.Dst, inferred)
}

// refusedByIPVS is the virtual server without a real server that takes new connections to which a packet went that was dropped, when no rule
// explains it. IPVS sends an error, which is not seen everywhere, and is asked where packets for the node come in and where the node's own go out.
func refusedByIPVS(n *Namespace, h *journey.Hop, q *ruleset.Question) *journey.Rule {
	if h.Hook != "INPUT" && h.Hook != "OUTPUT" {
		return nil
	}
	s := balanced(n, q.Packet.Proto, q.Packet.Dst, q.Packet.Dport, h.Mark)
	if s == nil || len(s.Available()) > 0 {
		return nil
	}
	return serverRule(n, s, nil, q.Packet.Dst, inferred)
}
