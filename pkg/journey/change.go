// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// changes adds the steps that show only in their effect: a translation, a tunnel entered or left.
func (f *flight) changes(a *Assembler, e *tracer.Event) {
	if e.HasPacket || e.Outer.Valid() {
		f.tunnel(a, e)
	}
	if e.Tuple.Valid() && e.Tuple != f.tuple {
		f.nat(a, e)
	}
}

func (f *flight) tunnel(a *Assembler, e *tracer.Event) {
	switch {
	case e.Outer.Valid() && !f.outer.Valid() && e.HasPacket:
		h := f.hop(a, e, StageTunnel)
		if p := f.tunnelDevice(e.NetNS); p != nil {
			h.Dev, h.DevKind, h.Ifindex = p.Dev, p.DevKind, p.Ifindex
		}
		h.Func, h.Backend = "", ""
		f.by(a, &h, f.pend.sent)
		f.pend.sent, f.pend.tunnel = nil, nil
		f.tunnelType = e.Tunnel
		h.Tunnel = &Tunnel{Type: e.Tunnel, Op: "encap", VNI: e.VNI, Outer: tupleOf(&e.Outer)}
		f.outer, f.vni = e.Outer, e.VNI
		f.add(h)
	case !e.Outer.Valid() && f.outer.Valid() && e.HasPacket:
		h := f.hop(a, e, StageTunnel)
		h.Func, h.Backend = "", ""
		h.Tunnel = &Tunnel{Type: f.tunnelType, Op: "decap", VNI: f.vni, Outer: tupleOf(&f.outer)}
		f.outer = tracer.Tuple{}
		f.add(h)
	case e.HasPacket:
		f.outer, f.tunnelType, f.vni = e.Outer, e.Tunnel, e.VNI
	}
}

// tunnelDevice is the hop at which the packet was handed to a tunnel device in a namespace.
func (f *flight) tunnelDevice(netns uint32) *Hop {
	for i := len(f.j.Hops) - 1; i >= 0 && f.j.Hops[i].NetNS == netns; i-- {
		if h := &f.j.Hops[i]; h.Stage == StageDeviceTx {
			return h
		}
	}
	return nil
}

func (f *flight) nat(a *Assembler, e *tracer.Event) {
	undo := e.CTInfo >= ctIsReply
	add := func(kind string, from, to tracer.Tuple, side func(tracer.Tuple) string) {
		h := f.hop(a, e, StageNAT)
		h.Func, h.Backend, h.Dev, h.DevKind, h.Ifindex = "", "", "", "", 0
		f.by(a, &h, f.pend.nat)
		if f.pend.natType == "masquerade" && kind == "snat" || f.pend.natType == "redirect" && kind == "dnat" {
			kind = f.pend.natType
		}
		h.NAT = &NAT{Type: kind, From: side(from), To: side(to), Undo: undo}
		t := tupleOf(&to)
		h.Tuple, h.Seen = &t, f.pend.natRules
		f.add(h)
	}
	now := f.tuple
	if e.Tuple.Proto == tracer.ProtoICMP { // the id stands for both ports, and goes with the address that is translated
		if e.Tuple.Src == now.Src && e.Tuple.Dst == now.Dst {
			f.otherID(e)
			return
		}
		now.Sport, now.Dport = e.Tuple.Sport, e.Tuple.Dport
	}
	if e.Tuple.Dst != now.Dst || e.Tuple.Dport != now.Dport {
		to := now
		to.Dst, to.Dport = e.Tuple.Dst, e.Tuple.Dport
		add(pick(undo, "snat", "dnat"), now, to, destination)
		now = to
	}
	if e.Tuple.Src != now.Src || e.Tuple.Sport != now.Sport {
		add(pick(undo, "dnat", "snat"), now, e.Tuple, source)
	}
	f.tuple = e.Tuple
	f.local = false
	f.pend.nat, f.pend.natType, f.pend.natRules = nil, "", nil
}

// otherID completes the translation that was seen last: the kernel writes the address first and the id behind it.
func (f *flight) otherID(e *tracer.Event) {
	f.tuple = e.Tuple
	h := f.lastHop()
	if h == nil || h.NAT == nil {
		return
	}
	t := tupleOf(&e.Tuple)
	h.Tuple = &t
	side := source
	if (h.NAT.Type == "dnat" || h.NAT.Type == "redirect") != h.NAT.Undo {
		side = destination
	}
	h.NAT.To = side(e.Tuple)
}

// by names the function that a step was seen in.
func (f *flight) by(a *Assembler, h *Hop, e *tracer.Event) {
	if e != nil {
		h.Func = tracer.FuncOf(e.Point)
		h.Backend = a.backend(h.Func)
	}
}

func pick(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}
