// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"fmt"
	"slices"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// The causes of what is lost between two nodes. The first two are those of the checks that one node has (pkg/verdict).
const (
	causeTunnel = "tunnel-lost-in-fabric"
	causeMTU    = "underlay-mtu-silent"
	causeHost   = "fdb-wrong-host"
	causeWire   = "lost-between-nodes"
)

// lostBetween: packets left one node and never came to the other. Requests are looked at first: an answer that is lost was asked for by one
// that arrived.
func lostBetween(e *evidence) *verdict.Verdict {
	if all := e.losses(); len(all) > 0 {
		return all[0].verdict()
	}
	return nil
}

// losses are those of the requests, then those of the answers.
func (e *evidence) losses() []*loss {
	all := losses(e.chains, e.seen, e.all, e.clocks, e.live)
	slices.SortStableFunc(all, func(a, b *loss) int {
		rank := func(l *loss) int {
			if l.direction == journey.Request {
				return 0
			}
			return 1
		}
		return rank(a) - rank(b)
	})
	return all
}

// verdict is what a loss says.
func (l *loss) verdict() *verdict.Verdict {
	p := l.gone[0] // whether it is one of the sure depends on how the streams were read, and what is told of it must not
	h := *p.last()
	v := &verdict.Verdict{Outcome: verdict.Lost, Layer: verdict.Underlay, Confidence: verdict.Likely, Node: p.node(), Where: h.Where, Hop: &h}
	if len(l.sure) > 0 {
		v.Confidence = verdict.Confirmed
	}
	switch {
	case l.elsewhere.IsValid():
		l.wrongHost(v, p)
	case len(l.arrived) == 0:
		l.nothing(v, p)
	case l.connections:
		l.silent(v, p)
	case l.bySize():
		l.tooLarge(v, p)
	default:
		l.some(v, p)
	}
	v.Evidence = append(l.absence(p), v.Evidence...)
	if w := l.from.verdict; w != nil {
		if w.Cause == v.Cause {
			v.Evidence = append(v.Evidence, prefixed(l.from.node(), w.Evidence)...)
			v.Refs = w.Refs
		} else if w.Probe != nil {
			v.Evidence = append(v.Evidence, prefixed(l.from.node(), clientLines(w.Evidence))...)
		}
	}
	return v
}

// clientLines are what the probe saw.
func clientLines(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return len(s) < 7 || s[:7] != "client:" })
}

// absence is the evidence of both sides.
func (l *loss) absence(p *part) []string {
	size := ""
	if l.bySize() && len(l.arrived) > 0 {
		size = fmt.Sprintf(" of %d bytes and more", smallest(l.gone))
	}
	sent := fmt.Sprintf("%s: sent %s %s at %s", l.from.node(), p.packetText(), p.leftText(), clockText(utc(p.leaves())))
	if n := len(l.gone); n > 1 {
		sent += fmt.Sprintf(", and %d more packets%s", n-1, size)
	}
	watching := fmt.Sprintf("%s: watching since %s until %s, never received ", l.to.node(), clockText(l.to.start.Time), clockText(l.to.until()))
	if len(l.gone) == 1 {
		watching += "it"
	} else {
		watching += fmt.Sprintf("any of these %d", len(l.gone))
	}
	if ok, _ := l.to.whole(); ok {
		watching += ", and lost no events"
	}
	out := []string{sent, watching}
	switch n := len(l.gone) - len(l.sure); {
	case n == len(l.gone):
		out = append(out, fmt.Sprintf("%s may have missed them: %s", l.to.node(), l.why))
	case n > 0:
		out = append(out, fmt.Sprintf("%s may have missed %d of them: %s; the other %d it cannot have missed", l.to.node(), n, l.why, len(l.sure)))
	}
	return out
}

func (l *loss) what() string {
	if l.direction == journey.Reply {
		return "the answer"
	}
	return "the request"
}

// nothing of the direction arrives.
func (l *loss) nothing(v *verdict.Verdict, p *part) {
	from, to := l.from.node(), l.to.node()
	o := p.last().Outer
	if o == nil {
		v.Cause = l.ownCause(causeWire)
		v.Summary = fmt.Sprintf("%s is lost between %s and %s: %s sent it out of %s, and %s never received it", l.what(), from, to, from, p.last().Dev, to)
		v.Fix = []string{fmt.Sprintf("allow %s from %s to %s in security groups, network ACLs and firewalls between the nodes; many clouds also check the addresses that a node sends from (source/destination check)", p.j.Packet.Proto, p.j.TupleAt(len(p.j.Hops)-1).Src, p.j.TupleAt(len(p.j.Hops)-1).Dst),
			fmt.Sprintf("on both nodes: tcpdump -ni %s host %s", p.last().Dev, p.j.TupleAt(len(p.j.Hops)-1).Dst)}
		return
	}
	v.Cause = causeTunnel
	v.Summary = fmt.Sprintf("%s is lost between %s and %s: %s sent it inside %s to %s, and %s never received it", l.what(), from, to, from, tunnelText(p.j), endText(o.Dst, o.Dport), to)
	c := verdict.CarrierOf(p.j.Packet.Src, o)
	v.Fix = []string{fmt.Sprintf("allow %s between the nodes in security groups, network ACLs and firewalls between them", c.Allow),
		fmt.Sprintf("on both nodes: tcpdump -ni %s %s", p.last().Dev, c.Filter)}
}

// ownCause is what the sender's node suspects of the network between, where it has a name for it.
func (l *loss) ownCause(otherwise string) string {
	w := l.from.verdict
	if w == nil || w.Outcome != verdict.Lost || w.Layer != verdict.Underlay || slices.Contains([]string{"", "left-node", causeTunnel, causeMTU}, w.Cause) {
		return otherwise
	}
	return w.Cause
}

// bySize reports whether what is lost is larger than all that arrived.
func (l *loss) bySize() bool { return !l.connections && smallest(l.gone) > largest(l.arrived) }

func smallest(all []*part) uint32 {
	n := all[0].print(true).len
	for _, p := range all {
		n = min(n, p.print(true).len)
	}
	return n
}

func largest(all []*part) uint32 {
	n := uint32(0)
	for _, p := range all {
		n = max(n, p.print(true).len)
	}
	return n
}

func (l *loss) tooLarge(v *verdict.Verdict, p *part) {
	from, to := l.from.node(), l.to.node()
	v.Cause = causeMTU
	v.Summary = fmt.Sprintf("packets of %d bytes and more are lost between %s and %s, those up to %d bytes arrive: the network between the nodes has a smaller MTU than %s thinks", smallest(l.gone), from, to, largest(l.arrived), from)
	v.Evidence = append(v.Evidence, fmt.Sprintf("%s: received %d packets of up to %d bytes from %s meanwhile", to, len(l.arrived), largest(l.arrived), from))
	far := p.j.TupleAt(len(p.j.Hops) - 1).Dst
	if o := p.last().Outer; o != nil {
		far = o.Dst
		v.Evidence = append(v.Evidence, fmt.Sprintf("%s: the tunnel's headers come on top of these sizes", from))
	}
	v.Fix = []string{fmt.Sprintf("on %s: ping -M do -s SIZE %s with growing sizes shows what passes", from, far),
		"raise the MTU of the network between the nodes, or set the CNI's MTU to what passes less the tunnel's headers"}
}

// some arrive and others of their size do not.
func (l *loss) some(v *verdict.Verdict, p *part) {
	from, to := l.from.node(), l.to.node()
	v.Cause = causeWire
	v.Summary = fmt.Sprintf("%d of %d packets are lost between %s and %s", len(l.gone), len(l.gone)+len(l.arrived), from, to)
	v.Evidence = append(v.Evidence, fmt.Sprintf("%s: received %d others from %s", to, len(l.arrived), from))
	v.Fix = []string{fmt.Sprintf("ip -s link show %s on both nodes, and the counters of what is between them: errors, full queues, a link that carries too much", p.last().Dev)}
}

// silent: nothing of some connections arrives, others do.
func (l *loss) silent(v *verdict.Verdict, p *part) {
	from, to := l.from.node(), l.to.node()
	t := p.j.TupleAt(len(p.j.Hops) - 1)
	what := tupleText(t)
	if n := l.tuples(); n > 1 {
		what = fmt.Sprintf("%d connections, the first of them %s,", n, what)
	}
	v.Cause = causeWire
	v.Summary = fmt.Sprintf("nothing of %s comes from %s to %s, although it was sent repeatedly and other packets arrive", what, from, to)
	v.Evidence = append(v.Evidence, fmt.Sprintf("%s: received %d others from %s", to, len(l.arrived), from))
	if p.last().Outer == nil {
		v.Fix = append(v.Fix, fmt.Sprintf("allow %s from %s to %s in security groups, network ACLs and firewalls between the nodes", p.j.Packet.Proto, t.Src, endText(t.Dst, t.Dport)))
	}
	v.Fix = append(v.Fix, fmt.Sprintf("one connection takes one of several links or routers between the nodes (bonds, ECMP): look at the counters of each, and on both nodes at ip -s link show %s", p.last().Dev))
}

// tuples counts the connections of what is lost.
func (l *loss) tuples() int {
	all := map[journey.Tuple]bool{}
	for _, p := range l.gone {
		all[p.print(true).tuple] = true
	}
	return len(all)
}

// wrongHost: the packets went to an address that is not the node's which has their destination.
func (l *loss) wrongHost(v *verdict.Verdict, p *part) {
	from, to := l.from.node(), l.to.node()
	v.Layer, v.Cause = verdict.PodNetwork, causeHost
	v.Summary = fmt.Sprintf("%s sends the tunnel's packets for %s to %s, which is not %s", from, p.j.TupleAt(len(p.j.Hops)-1).Dst, l.elsewhere, to)
	v.Evidence = append(v.Evidence, fmt.Sprintf("%s: has %s, and none of its addresses is %s", to, p.j.TupleAt(len(p.j.Hops)-1).Dst, l.elsewhere))
	v.Fix = []string{fmt.Sprintf("on %s: bridge fdb show | grep %s; restart the CNI agent, which writes an entry for each node", from, l.elsewhere)}
	if w := l.from.verdict; w != nil && w.Cause == causeHost {
		v.Fix = adopt(l.from).Fix
	}
}
