// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/nettrace-io/nettrace/pkg/drops"
	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/render"
	"github.com/nettrace-io/nettrace/pkg/tracer"
	"github.com/nettrace-io/nettrace/pkg/verdict/reasons"
)

// sample shows one drop, or leaves it out.
func (w *dropWatch) sample(e *tracer.Event) error {
	k := kindOf(e)
	noise := drops.Noise(&k)
	if !w.filter.wants(&k) || noise != "" && !w.opt.all {
		return nil
	}
	l := w.line(e, &k)
	l.Noise = noise
	if g := whyOf(&k); w.last[g] != nil || len(w.last) < maxLast {
		w.last[g] = l
	}
	shown, err := w.show.drop(w, l)
	if shown {
		w.totals.shown++
	}
	return err
}

// line is a sample in words.
func (w *dropWatch) line(e *tracer.Event, k *drops.Kind) *render.DropLine {
	p := w.names.place(e.NetNS)
	reason := journey.InferReason(e.Reason, e.Location, e.Stack)
	h := journey.Hop{Node: p.Node, NetNS: e.NetNS, Where: p.Where, Dev: e.Dev, DevKind: e.Kind, Ifindex: e.Ifindex, Stage: journey.StageDrop, Func: "kfree_skb", Backend: tracer.BackendTracepoint,
		Reason: reason, Location: e.Location, Verdict: "drop", Hook: journey.HookOf(e.Stack, reason, e.Location), Stack: journey.DropStack(e.Stack, e.Location), Len: e.Len, Mark: e.Mark}
	l := &render.DropLine{Time: time.Now().Add(-time.Duration(tracer.Now() - e.Time)), Place: w.names.text(e.NetNS), Layer: w.layer(e, k, reason)}
	if e.Tuple.Valid() {
		h.Tuple = &journey.Tuple{Src: e.Tuple.Src, Sport: e.Tuple.Sport, Dst: e.Tuple.Dst, Dport: e.Tuple.Dport}
		l.Packet = w.packet(e)
	}
	if e.Outer.Valid() {
		h.Outer = &journey.Tuple{Src: e.Outer.Src, Sport: e.Outer.Sport, Dst: e.Outer.Dst, Dport: e.Outer.Dport}
	}
	page := pageOf(reason)
	what := "dropped"
	if h.Hook != "" {
		what += " by netfilter in " + h.Hook
	}
	if e.Dev != "" {
		what += " at " + e.Dev
	}
	if page != nil {
		l.Means = page.Short
		what += ": " + page.Short
	}
	h.What = what
	l.Hop = h
	return l
}

// pageOf explains a reason; a kernel without reasons gives the page of those that say nothing.
func pageOf(reason string) *reasons.Page {
	if reason == "" {
		return reasons.Find("NOT_SPECIFIED")
	}
	return reasons.Find(reason)
}

// packet names a packet's ends.
func (w *dropWatch) packet(e *tracer.Event) *render.DropPacket {
	p := &render.DropPacket{Packet: journey.PacketOf(e)}
	proto := p.Proto
	l := &w.names.label
	p.SrcRef, p.DstRef = l.ref(proto, e.Tuple.Src, e.Tuple.Sport), l.ref(proto, e.Tuple.Dst, e.Tuple.Dport)
	if l.index != nil {
		p.SrcName, p.DstName = l.name(proto, e.Tuple.Src, e.Tuple.Sport), l.name(proto, e.Tuple.Dst, e.Tuple.Dport)
	}
	return p
}

// layer is where the fault lies as far as reason and place tell: inside of a pod it is the application's or a policy's, on the packet that
// carries another one it is the underlay's.
func (w *dropWatch) layer(e *tracer.Event, k *drops.Kind, reason string) string {
	layer := ""
	if p := pageOf(reason); p != nil {
		layer = p.Layer
	}
	where := w.names.place(e.NetNS).Where
	host := where == nil || where.Kind == "host"
	plain := drops.Plain(reason)
	switch {
	case e.Outer.Valid() && host && (plain == "NETFILTER_DROP" || plain == "NO_SOCKET" || plain == "NEIGH_FAILED"):
		return "underlay"
	case plain == "NO_SOCKET" && host && k.Proto != tracer.ProtoICMP:
		return "service"
	case plain == "NETFILTER_DROP" && !host:
		return "application"
	}
	return layer
}
