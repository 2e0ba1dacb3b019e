// SPDX-License-Identifier: Apache-2.0

package merge

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/probe"
	"github.com/nettrace-io/nettrace/pkg/verdict"
)

// evidence is all that the merged verdict is made from.
type evidence struct {
	all      []*stream
	chains   []*chain
	seen     *sights
	clocks   *clocks
	live     bool
	problems []string // with the streams, one sentence each
}

// judge makes one verdict. The first rule that has something to say decides: the answer that the sender got; the node that saw the drop; what
// was lost between two nodes; what a node with its own reasons says of a flow that reached it; the sender's node.
func judge(e *evidence) *verdict.Verdict {
	var v *verdict.Verdict
	for _, rule := range []func(*evidence) *verdict.Verdict{answered, dropped, lostBetween, farSide, fallback} {
		if v = rule(e); v != nil {
			break
		}
	}
	e.complete(v)
	return v
}

// sender is the stream that speaks for the client.
func (e *evidence) sender() *stream { return e.clocks.reference }

// verdicts are the streams that have one, the sender's first.
func (e *evidence) verdicts() []*stream {
	var out []*stream
	for _, s := range e.all {
		if s.verdict != nil {
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b *stream) int {
		first := func(s *stream) int {
			if s == e.sender() {
				return 0
			}
			return 1
		}
		return cmp.Compare(first(a), first(b))
	})
	return out
}

// adopt takes over a node's verdict, with its name before its evidence. Advice to look at the other node has been followed.
func adopt(s *stream) *verdict.Verdict {
	v := *s.verdict
	v.Evidence = prefixed(s.node(), s.verdict.Evidence)
	v.Node = cmp.Or(v.Node, s.node())
	v.Fix = slices.DeleteFunc(slices.Clone(v.Fix), func(f string) bool { return strings.HasPrefix(f, "run nettrace on the node") })
	return &v
}

// answered: the sender's probe got its answer; without a probe, requests and replies were followed to their ends and nothing was dropped. Then
// the flow is whatever was sent meanwhile, and some of it can be lost beside what was answered.
func answered(e *evidence) *verdict.Verdict {
	s := e.sender()
	if s == nil || s.verdict == nil {
		return nil
	}
	requests, replies, across := e.whole()
	p := s.verdict.Probe
	switch {
	case p != nil && s.verdict.Outcome == verdict.Delivered && p.Result == probe.Connected:
	case p == nil && s.verdict.Outcome == verdict.Delivered && s.verdict.Cause == "":
	case p == nil && requests > 0 && replies > 0 && !e.anyDrop():
	default:
		return nil
	}
	if p == nil {
		if v := lostBeside(e); v != nil {
			return v
		}
	}
	v := adopt(s)
	if v.Outcome != verdict.Delivered || v.Cause == "no-answer" {
		v.Outcome, v.Layer, v.Cause, v.Confidence, v.Hop, v.Where, v.Fix = verdict.Delivered, "", "", verdict.Confirmed, nil, nil, nil
		v.Evidence = nil
		v.Summary = fmt.Sprintf("%s reaches %s and the answer comes back", asked(e.all).start.Flow.Src, endOf(&asked(e.all).start.Flow))
	}
	if requests+replies > 0 {
		v.Evidence = slices.DeleteFunc(v.Evidence, func(l string) bool { return strings.HasSuffix(l, "of the reply were followed to their socket") })
		v.Evidence = append([]string{fmt.Sprintf("%d packets of the request and %d of the reply were followed to their socket, %d of them from one node to another", requests, replies, across)}, v.Evidence...)
	}
	return v
}

func endOf(f *verdict.Flow) string {
	return strings.TrimSuffix(fmt.Sprintf("%s:%d", f.Dst, f.Dport), ":0")
}

// whole counts the ways that end at a socket.
func (e *evidence) whole() (requests, replies, across int) {
	for _, c := range e.chains {
		if c.tail().j.End != journey.Delivered {
			continue
		}
		switch c.head().j.Direction {
		case journey.Request:
			requests++
		case journey.Reply:
			replies++
		default:
			continue
		}
		if len(c.parts) > 1 {
			across++
		}
	}
	return requests, replies, across
}

func (e *evidence) anyDrop() bool {
	for _, c := range e.chains {
		if j := c.tail().j; j.DropHop() >= 0 && j.Direction != journey.Related && !e.seen.made(c) {
			return true
		}
	}
	return false
}

// dropped: a node saw the kernel drop or reject a packet of the flow. Of several the surest counts, and of those the one that came first.
func dropped(e *evidence) *verdict.Verdict {
	type found struct {
		s    *stream
		c    *chain
		when int64
	}
	var all []found
	for _, s := range e.verdicts() {
		if o := s.verdict.Outcome; o != verdict.Dropped && o != verdict.Rejected {
			continue
		}
		c, when := e.dropOf(s)
		all = append(all, found{s, c, when})
	}
	if len(all) == 0 {
		return nil
	}
	best := slices.MinFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(without(a.c), without(b.c)), cmp.Compare(doubt(a.s.verdict), doubt(b.s.verdict)), cmp.Compare(a.when, b.when))
	})
	v := adopt(best.s)
	if best.c != nil && len(best.c.parts) > 1 {
		v.Evidence = append(v.Evidence, crossings(best.c)...)
	} else if best.c != nil && best.c.head().j.Direction == journey.Reply {
		v.Evidence = append(v.Evidence, e.asked(best.s)...)
	}
	if s := e.sender(); s != best.s && s.verdict != nil {
		v.Evidence = append(v.Evidence, prefixed(s.node(), clientLines(s.verdict.Evidence))...)
	}
	return v
}

// asked tells of the first request that came to a node and was delivered there: its answer was dropped.
func (e *evidence) asked(s *stream) []string {
	for _, c := range e.chains {
		if c.tail().s == s && len(c.parts) > 1 && c.head().j.Direction == journey.Request && c.tail().j.End == journey.Delivered {
			return append(crossings(c), fmt.Sprintf("%s: it was delivered to its socket", s.node()))
		}
	}
	return nil
}

func without(c *chain) int {
	if c == nil {
		return 1
	}
	return 0
}

// doubt orders by confidence, the surest first.
func doubt(v *verdict.Verdict) int {
	return slices.Index([]verdict.Confidence{verdict.Confirmed, verdict.Likely, verdict.Inconclusive}, v.Confidence)
}

// dropOf finds the way that ended in the drop which a node's verdict is about; the time of the drop is the reference's.
func (e *evidence) dropOf(s *stream) (*chain, int64) {
	h := s.verdict.Hop
	if h == nil {
		return nil, 0
	}
	for _, c := range e.chains {
		p := c.tail()
		if i := p.j.DropHop(); p.s == s && i >= 0 && p.j.Hops[i].T == h.T && p.j.Hops[i].Location == h.Location && p.j.Hops[i].NetNS == h.NetNS {
			return c, p.base + h.T
		}
	}
	return nil, 0
}

// crossings tell where a packet went from node to node.
func crossings(c *chain) []string {
	var out []string
	for _, p := range c.parts[:len(c.parts)-1] {
		out = append(out, fmt.Sprintf("%s: %s left %s at %s", p.node(), p.packetText(), p.leftText(), clockText(utc(p.leaves()))),
			fmt.Sprintf("%s: it came in at %s at %s", p.next.s.node(), p.next.j.Hops[0].Dev, clockText(utc(p.next.arrives()))))
	}
	return out
}

// farSide: the requests reached another node, and what that node says of them is more than the sender's node can know.
func farSide(e *evidence) *verdict.Verdict {
	if s := e.sender(); s != nil && s.verdict != nil && s.verdict.Outcome != verdict.Lost {
		return nil
	}
	for _, s := range e.verdicts() {
		if s == e.sender() || s.verdict.Outcome == verdict.Unseen {
			continue
		}
		came := false
		for _, c := range e.chains {
			came = came || (c.tail().s == s && len(c.parts) > 1 && c.head().j.Direction == journey.Request)
		}
		if !came {
			continue
		}
		v := adopt(s)
		if ok, _ := s.whole(); ok && v.Cause == "no-answer" && v.Confidence == verdict.Inconclusive && e.sent(s) == 0 {
			v.Confidence = verdict.Likely
			v.Evidence = append(v.Evidence, fmt.Sprintf("%s: the request was followed to its socket, and no packet of an answer left the node until %s", s.node(), clockText(s.until())))
		}
		return v
	}
	return nil
}

// sent counts the replies that left a node.
func (e *evidence) sent(s *stream) (n int) {
	for _, c := range e.chains {
		for _, p := range c.parts {
			if p.s == s && p.departed() && p.j.Direction == journey.Reply {
				n++
			}
		}
	}
	return n
}

// fallback: the sender's node says what it knows; without it, whoever says most.
func fallback(e *evidence) *verdict.Verdict {
	all := e.verdicts()
	if len(all) == 0 {
		f := &asked(e.all).start.Flow
		return &verdict.Verdict{Outcome: verdict.Unseen, Confidence: verdict.Inconclusive, Summary: fmt.Sprintf("no node told what became of %s", flowText(f)),
			Fix: []string{"run nettrace on the nodes again, and let it end"}}
	}
	best := slices.MinFunc(all, func(a, b *stream) int {
		unseen := func(s *stream) int {
			if s.verdict.Outcome == verdict.Unseen {
				return 1
			}
			return 0
		}
		return cmp.Compare(unseen(a), unseen(b))
	})
	return adopt(best)
}
