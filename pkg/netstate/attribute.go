// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// Attribute finds the rules behind a journey's drops and translations in the snapshot and puts them into its hops: the one that the kernel was
// seen to run where points or its own trace told, else inferred: the rules are evaluated over the packet as it was at the hook. A nil snapshot
// changes nothing.
func Attribute(s *Snapshot, traced *Traced, j *journey.Journey) {
	marks := map[uint32]uint32{}
	for i := range j.Hops {
		h := &j.Hops[i]
		n := s.ByInode(h.NetNS)
		if n == nil {
			continue
		}
		switch {
		case h.Stage == journey.StageDrop && h.Hook != "":
			dropRule(n, traced, j, i)
		case h.Stage == journey.StageIPVS:
			ipvsRule(n, j, i)
		case h.Stage == journey.StageNAT && !h.NAT.Undo:
			natRule(n, traced, j, i, marks)
		}
	}
}

// decide fills in the rule that the kernel was seen to run at hop i, else the one that its trace names, else the one that fits best.
func decide(n *Namespace, traced *Traced, j *journey.Journey, i int, verdicts []string, fit []ruleset.Found, v6 bool) {
	h := &j.Hops[i]
	f, ok := ranAt(n, h, verdicts, fit, v6)
	if !ok {
		f, ok = traced.at(j, i, verdicts)
		for k := range fit { // with the path to it
			if ok && sameRule(&f, &fit[k]) {
				f = fit[k]
				break
			}
		}
	}
	if !ok {
		fill(h, fit)
		return
	}
	fill(h, []ruleset.Found{f})
	h.Rule.Certainty = exact
}

// dropRules lists the rules that fit a drop. A REJECT with a TCP reset drops without an ICMP error by which it could be told from a DROP.
func dropRules(n *Namespace, q ruleset.Question) []ruleset.Found {
	found := ruleset.Find(n.Rulesets, q)
	if q.Reject || q.Queue || q.Packet.Proto != "tcp" || (len(found) > 0 && found[0].Sure) {
		return found
	}
	q.Reject = true
	resets := slices.DeleteFunc(ruleset.Find(n.Rulesets, q), func(f ruleset.Found) bool {
		return !strings.Contains(f.Text, "tcp-reset") && !strings.Contains(f.Text, "tcp reset")
	})
	if len(resets) > 0 && (len(found) == 0 || resets[0].Sure) {
		return resets
	}
	return found
}

func fill(h *journey.Hop, found []ruleset.Found) {
	if len(found) == 0 {
		return
	}
	f := found[0]
	h.Rule = &journey.Rule{Backend: f.Backend, Family: f.Family, Table: f.Table, Chain: f.Chain, Number: f.Number, Handle: f.Handle, Text: f.Text, Comment: f.Comment,
		Verdict: f.Verdict, Certainty: "inferred", Alternatives: len(found) - 1, Owner: f.Owner.By, Policy: f.Owner.Policy, Why: f.Owner.Why}
	if f.Owner.Service != "" {
		h.Ref = &journey.Ref{Kind: "Service", Namespace: f.Owner.Namespace, Name: f.Owner.Service, Port: f.Owner.Port}
	}
}

// dropRule finds the rule of a drop. IPVS drops what it has no real server for, in the hooks of iptables.
func dropRule(n *Namespace, traced *Traced, j *journey.Journey, i int) {
	h := &j.Hops[i]
	if s := scheduled(j, i); s != nil {
		h.Rule = s
		return
	}
	q := dropQuestion(n, j, i)
	targets := dropTargets
	if q.Queue {
		targets = queueTargets
	}
	decide(n, traced, j, i, targets, dropRules(n, q), q.Packet.Dst.Is6())
	if h.Rule == nil {
		h.Rule = refusedByIPVS(n, h, &q)
	}
	if h.Rule != nil && h.Rule.Certainty == exact && h.Rule.Backend != "ipvs" && h.Rule.Verdict == "REJECT" { // also where the error itself was not seen
		h.Verdict = "reject"
		if j.End == journey.Dropped {
			j.End, j.EndWhy = journey.Rejected, "reject"
		}
	}
}

// dropQuestion asks for the rule that dropped at hop i. nft_do_chain as the place means nft's machinery. nf_hook_slow alone means nothing: before
// 6.7 nft's packets are freed there too, with the same reason, so the legacy tables must have been seen to be asked.
func dropQuestion(n *Namespace, j *journey.Journey, i int) ruleset.Question {
	h := &j.Hops[i]
	q := ruleset.Question{Hook: h.Hook, Verdict: "drop", Reject: h.Verdict == "reject", Queue: journey.Unqueued(h.Location), Packet: packetAt(n, j, i)}
	asked := lastAsked(j, i)
	switch {
	case h.Location == "nft_do_chain" || strings.Contains(asked, "/"):
		q.Backend = "iptables-nft"
		if strings.Contains(asked, "/") {
			q.Base = asked
		}
	case h.Location == "nf_hook_slow" && asked != "":
		q.Backend = "iptables-legacy"
	}
	return q
}

// lastAsked is the table, or the nftables base chain as "table/chain", that was asked last in the hook that dropped at hop i; "" when none was
// seen.
func lastAsked(j *journey.Journey, i int) string {
	for k := i - 1; k >= 0 && j.Hops[k].NetNS == j.Hops[i].NetNS; k-- {
		if h := &j.Hops[k]; h.Step == "hook" {
			if h.Hook != j.Hops[i].Hook || len(h.Tables) == 0 {
				return ""
			}
			return h.Tables[len(h.Tables)-1]
		}
	}
	return ""
}

// packetAt is the packet as the rules saw it: inside a tunnel they see the packet that carries it.
func packetAt(n *Namespace, j *journey.Journey, i int) ruleset.Packet {
	h := &j.Hops[i]
	t := j.TupleAt(i)
	p := ruleset.Packet{Proto: j.Packet.Proto, Mark: h.Mark, SYN: j.Packet.Flags == "SYN", Sets: n.IPSets}
	if h.Outer != nil {
		t, p.Proto, p.SYN = *h.Outer, carrier(j, h.Outer), false
	}
	p.Src, p.Dst, p.Sport, p.Dport = t.Src, t.Dst, t.Sport, t.Dport
	if h.CT != nil {
		p.CTState, p.CTStatus = h.CT.State, h.CT.Status
	}
	src, dst := n.IsLocal(t.Src), n.IsLocal(t.Dst)
	p.LocalSrc, p.LocalDst = &src, &dst
	devices(&p, j, i)
	switch h.Hook {
	case "INPUT", "PREROUTING":
		p.Out, p.PhysOut = "", ""
	case "OUTPUT":
		p.In, p.PhysIn, p.PhysOut = "", "", ""
	}
	return p
}

// carrier is the protocol of the packet around the flow's: UDP, or what is inside where there are no ports (RFC 2003, RFC 4213).
func carrier(j *journey.Journey, outer *journey.Tuple) string {
	switch {
	case outer.Dport != 0:
		return "udp"
	case j.Packet.Dst.Is6():
		return "41"
	}
	return "4"
}

// devices reads from the hops before i in the same namespace where the packet came in and where its route, or its bridge, leads.
func devices(p *ruleset.Packet, j *journey.Journey, i int) {
	netns := j.Hops[i].NetNS
	for k := 0; k < i; k++ {
		h := &j.Hops[k]
		switch {
		case h.NetNS != netns:
			p.In, p.Out, p.PhysIn, p.PhysOut = "", "", "", ""
		case h.Stage == journey.StageBridge && h.Func == "netif_receive_skb":
			p.In = h.Dev
		case h.Stage == journey.StageDeviceRx:
			p.In, p.PhysIn, p.PhysOut = h.Dev, "", ""
		case h.Stage == journey.StageBridge && h.Step == "port":
			bridged(p, h)
		case h.Stage == journey.StageBridge && h.Port != "":
			p.In, p.PhysIn = h.Dev, h.Port
		case h.Stage == journey.StageRoute && h.Route != nil && p.PhysOut == "": // else a rule looks it up, and the bridge goes by its port
			p.Out = h.Route.OIF
		}
	}
	if p.PhysIn != "" && p.PhysOut == "" && inBridge(j.Hops[i].Stack) {
		p.Out, p.PhysOut = p.In, ruleset.UnknownDevice
	}
}

// bridged: a bridge sends what it took from one port out of another; to iptables it came in at the bridge and leaves through it. What the node
// itself hands to the bridge came in at no port of it: br_netfilter asks nothing about that.
func bridged(p *ruleset.Packet, h *journey.Hop) {
	ofBridge := h.DevKind == "bridge"
	if h.From == "" || ofBridge && h.From == h.Dev {
		return
	}
	switch {
	case ofBridge:
		p.In = h.Dev
	case p.In == "" || p.In == h.From: // which bridge has the port was not told
		p.In = ruleset.UnknownDevice
	}
	p.Out, p.PhysIn, p.PhysOut = p.In, h.From, cmp.Or(h.Port, ruleset.UnknownDevice)
}

// inBridge: br_netfilter asked the rules about a packet that goes from port to port (net/bridge/br_netfilter_hooks.c).
func inBridge(stack []string) bool {
	return slices.ContainsFunc(stack, func(f string) bool { return strings.HasPrefix(f, "br_nf_forward") || f == "br_nf_post_routing" })
}

// natRule finds the rule of a translation. A destination is translated before routing, or on output when the packet starts here; a source
// after routing. marks is what the rules before, by namespace, are found to have set: a rule that masquerades what is marked, as kube-proxy's
// does, clears the mark before the hop is seen.
func natRule(n *Namespace, traced *Traced, j *journey.Journey, i int, marks map[uint32]uint32) {
	h := &j.Hops[i]
	before := i - 1
	p := packetAt(n, j, i)
	t := j.Packet.Tuple
	if before >= 0 {
		t = j.TupleAt(before)
	}
	p.Src, p.Dst, p.Sport, p.Dport = t.Src, t.Dst, t.Sport, t.Dport
	dst := n.IsLocal(p.Dst)
	p.LocalDst = &dst
	p.CTState, p.CTStatus = "NEW", nil
	q := ruleset.Question{Hook: "PREROUTING", Verdict: "dnat", To: h.NAT.To, Packet: p}
	if h.NAT.Type == "snat" || h.NAT.Type == "masquerade" {
		q.Hook, q.Verdict = "POSTROUTING", "snat"
		if mark, ok := marks[h.NetNS]; ok {
			q.Packet.Mark = mark
		}
		decide(n, traced, j, i, snatTargets, ruleset.Find(n.Rulesets, q), p.Dst.Is6())
		if h.Rule != nil && h.Rule.Verdict == "MASQUERADE" {
			h.NAT.Type = "masquerade"
		}
		return
	}
	if s := scheduled(j, i); s != nil {
		h.Rule = s
		return
	}
	q.Packet.Mark = 0
	if p.In == "" {
		q.Hook = "OUTPUT"
	}
	found := ruleset.Find(n.Rulesets, q)
	if len(found) > 0 {
		marks[h.NetNS] = found[0].Mark
	}
	decide(n, traced, j, i, dnatTargets, found, p.Dst.Is6())
	if h.Rule == nil {
		h.Rule = translatedByIPVS(n, h, &p)
	}
}

// LocalIn is the assembler's question whether an address belongs to a namespace.
func (s *Snapshot) LocalIn() func(uint32, netip.Addr) bool {
	sets := map[uint32]map[netip.Addr]bool{}
	if s == nil {
		return nil
	}
	for i := range s.Namespaces {
		set := map[netip.Addr]bool{}
		for _, l := range s.Namespaces[i].Links {
			for _, a := range l.Addrs {
				set[a.Addr()] = true
			}
		}
		sets[s.Namespaces[i].Inode] = set
	}
	return func(netns uint32, a netip.Addr) bool { return sets[netns][a] }
}

// BridgeOf is the assembler's question of which bridge a device is a port.
func (s *Snapshot) BridgeOf() func(netns, ifindex uint32) (string, uint32) {
	if s == nil {
		return nil
	}
	type port struct{ netns, ifindex uint32 }
	bridges := map[port]*Link{}
	for i := range s.Namespaces {
		n := &s.Namespaces[i]
		for k := range n.Links {
			if m := n.LinkByIndex(n.Links[k].Master); m != nil && m.Kind == "bridge" {
				bridges[port{n.Inode, uint32(n.Links[k].Index)}] = m
			}
		}
	}
	return func(netns, ifindex uint32) (string, uint32) {
		if b := bridges[port{netns, ifindex}]; b != nil {
			return b.Name, uint32(b.Index)
		}
		return "", 0
	}
}
