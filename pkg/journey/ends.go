// SPDX-License-Identifier: Apache-2.0

package journey

import "github.com/nettrace-io/nettrace/pkg/tracer"

// drop ends the journey by a drop, or by a rejection when this node told the sender; what ends a packet that had arrived is no drop.
func (f *flight) drop(a *Assembler, e *tracer.Event) {
	switch e.Reason {
	case "SKB_CONSUMED", "CONSUMED", "SKB_NOT_DROPPED_YET": // no drop, whoever calls it one
		f.consume(a, e)
		return
	}
	if f.pend.full == nil && f.noise(a, e) {
		f.deliver(a, e, "socket")
		return
	}
	h := f.hop(a, e, StageDrop)
	h.Reason, h.Location = e.Reason, e.Location
	h.Stack = dropStack(e.Stack, e.Location)
	h.Hook = hookOf(h.Stack, e.Reason, e.Location)
	if h.Hook == "" && inNetfilter[e.Location] {
		h.Hook = hookOfHop(f.currentHook())
	}
	if h.Hook != "" {
		h.Seen = f.pend.rules.seen
	}
	f.explain(&h)
	f.infer(&h)
	h.ICMP = f.icmp
	h.Verdict = "drop"
	f.j.End, f.j.EndWhy = Dropped, "drop"
	if rejected := f.hasRST || h.Reason == Inferred+"NO_SOCKET" || (f.icmp != "" && f.icmp != "redirect" && (h.Hook != "" || e.Reason == "NO_SOCKET")); rejected {
		h.Verdict = "reject"
		f.j.End, f.j.EndWhy = Rejected, "reject"
	}
	f.add(h)
	a.drops = append(a.drops, Drop{Journey: f.j.ID, Time: e.Time, Hop: f.j.Hops[len(f.j.Hops)-1]})
	f.over = true
}

// consume is a normal end: at the socket, or behind the last device that this kernel has.
func (f *flight) consume(a *Assembler, e *tracer.Event) {
	if f.silentDrop(a, e) {
		return
	}
	if f.local {
		f.deliver(a, e, "socket")
	}
}

// deliver ends the journey at its socket.
func (f *flight) deliver(a *Assembler, e *tracer.Event, why string) {
	h := f.hop(a, e, StageSocket)
	if e.Dev == "" {
		f.atLast(a, &h)
	}
	f.add(h)
	f.j.End, f.j.EndWhy = Delivered, why
	f.over = true
	if why == "socket" && f.flags&flagSYN != 0 {
		a.heard[f.key] = true
	}
}

// finish ends a journey without further news.
func (f *flight) finish(a *Assembler) {
	f.release(a, nil)
	if f.j.End != "" {
		return
	}
	p := f.lastHop()
	switch {
	case f.local:
		f.deliver(a, &tracer.Event{Time: f.last, NetNS: f.lastNS}, "reached its namespace")
		f.j.Hops[len(f.j.Hops)-1].Func = ""
		f.j.Hops[len(f.j.Hops)-1].Backend = ""
	case p != nil && p.Stage == StageDeviceTx && (f.away || !a.pod(p.NetNS)):
		f.j.End, f.j.EndWhy = LeftNode, NoFurtherSight
	default:
		f.j.End, f.j.EndWhy = Open, NoFurtherSight
	}
}

// pod reports whether a namespace is known to be no node's host namespace: a packet does not leave the node there.
func (a *Assembler) pod(netns uint32) bool {
	p, ok := a.opt.Places[netns]
	return ok && p.Where != nil && p.Where.Kind != "host"
}
