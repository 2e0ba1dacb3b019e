// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/netstate"
	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

func init() {
	register(check{name: "tunnel-firewall", layer: Underlay, run: tunnelFirewall})
}

// tunnelFirewall lets a packet of the tunnel meet the rules of both nodes, there and back, without sending it.
func tunnelFirewall(in *Input) Result {
	var p parts
	from := in.path().entry
	for _, t := range in.peers() {
		if from == nil {
			p.unsure("the node that sends is not on this kernel: run nettrace there")
			continue
		}
		l, _ := tunnel(from, t.addr)
		if l == nil {
			continue
		}
		here, there := outerEnds(in, from, l, &t)
		if !here.IsValid() || !there.IsValid() {
			p.unsure(fmt.Sprintf("the addresses between which %s of %s sends are not known", l.Name, from.Node))
			continue
		}
		in.outer(&p, from, here, there, uint16(l.VXLAN.Port), true)
		in.outer(&p, from, there, here, uint16(l.VXLAN.Port), false)
		if t.host == nil {
			p.unsure(away(t.node))
			continue
		}
		in.outer(&p, t.host, here, there, uint16(l.VXLAN.Port), false)
		in.outer(&p, t.host, there, here, uint16(l.VXLAN.Port), true)
	}
	return p.result("no VXLAN device is on the way")
}

// outerEnds are the addresses of the tunnel's packets: of its own, and where the forwarding entry for the target's node leads, or that node's.
func outerEnds(in *Input, from *netstate.Namespace, l *netstate.Link, t *side) (here, there netip.Addr) {
	return l.VXLAN.Local, in.nodeAddress(t.node, t.host, l.VXLAN.Local.Is6())
}

// outer asks one node's rules about one direction.
func (in *Input) outer(p *parts, n *netstate.Namespace, src, dst netip.Addr, port uint16, sends bool) {
	var d ruleset.DryRun
	x := []ruleset.Way{{Share: 1, Sure: true, Packet: ruleset.Packet{Proto: "udp", Src: src, Dst: dst, Sport: anySport, Dport: port}}}
	hook := "INPUT"
	if sends {
		hook = "OUTPUT"
		_, on := d.Send(in.key(n), n.World(), x)
		d.Accepted(in.key(n), false, on)
	} else {
		x[0].Packet.In = inbound(n, src)
		mine, _ := d.Receive(in.key(n), n.World(), x)
		d.Accepted(in.key(n), true, mine)
	}
	d.Finish()
	what := fmt.Sprintf("VXLAN %s → %s udp/%d", src, dst, port)
	doubt := ""
	for i := range d.Ends {
		e := &d.Ends[i]
		switch {
		case refuses(e) && !e.Sure:
			doubt = fmt.Sprintf("a rule of %s may drop %s in %s: a match on the way to it is not known", n.Node, what, hook)
		case refuses(e):
			p.bad(Result{Cause: "host-firewall-drops-tunnel", Node: n.Node, Stops: e.Share >= all, Summary: fmt.Sprintf("%s's firewall drops %s in %s", n.Node, what, hook),
				Evidence: stepEvidence(&d, e.Step),
				Fix:      []string{fmt.Sprintf("on %s: %s -I %s -p udp --dport %d -s %s -j ACCEPT (or the same in the firewall's own configuration: allow udp/%d between the nodes)", n.Node, iptablesFor(src), hook, port, src, port)}})
			return
		case e.Verdict == ruleset.EndUnknown || e.Verdict == ruleset.EndQueue:
			p.unsure(fmt.Sprintf("%s's rules do not decide about %s", n.Node, what))
			return
		}
	}
	if why := cmp.Or(doubt, unread(n, "rules")); why != "" {
		p.unsure(why)
		return
	}
	p.good(fmt.Sprintf("%s's rules let udp/%d pass", n.Node, port))
}

func iptablesFor(a netip.Addr) string {
	if a.Is6() {
		return ruleset.ToolOf("iptables", "ip6")
	}
	return "iptables"
}

// stepEvidence names the rule that decided; none when it was no rule.
func stepEvidence(d *ruleset.DryRun, step int) []string {
	if step < 1 || step > len(d.Steps) {
		return nil
	}
	return []string{"rules: " + stepText(&d.Steps[step-1])}
}

func stepText(s *ruleset.Step) string {
	text := fmt.Sprintf("%s, table %s, chain %s, ", ruleset.ToolOf(s.Backend, s.Family), s.Table, s.Chain)
	switch {
	case s.Number == 0:
		text += "policy " + s.Verdict
	case s.Handle != 0:
		text += fmt.Sprintf("handle %d: %s", s.Handle, s.Text)
	default:
		text += fmt.Sprintf("rule %d: %s", s.Number, s.Text)
	}
	if s.Owner.By != "" {
		text += " (" + s.Owner.By + "'s rule)"
	}
	return strings.TrimSpace(text)
}
