// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// flight is a packet under way.
type flight struct {
	j    Journey
	ids  []uint64
	last uint64 // time of the last event

	tuple      tracer.Tuple // as it is now
	tunnelType string       // of outer
	vni        uint32       // of outer, as the packet was last seen
	outer      tracer.Tuple // the tunnel's packet now, invalid outside of tunnels
	ipid       uint16
	seq        uint32
	flags      uint8
	payload    uint16

	outerPtr *Tuple // of the last hop inside a tunnel, shared by the hops that follow
	ct       *CT    // of the last hop with a conntrack entry, likewise, with what it was made from
	ctFrom   ctKey

	lastNS  uint32
	away    bool         // last seen outside of every scope
	hold    tracer.Event // a step whose meaning the next event decides: a queue, a route that one table does not have
	icmp    string       // the ICMP error that this node sent about it
	reset   string       // the reason of the reset that answered it
	hasRST  bool
	pend    pending
	local   bool // the kernel or the addresses say that it is where it was going
	key     attemptKey
	heard   bool // a SYN sent again: a listener took the one before
	waiting bool
	over    bool
	cut     bool // more hops than are kept
}

// ctKey is what a CT is made from.
type ctKey struct {
	info        uint8
	status      uint32
	orig, reply tracer.Tuple
}

func newFlight(a *Assembler, e *tracer.Event) *flight {
	f := &flight{ids: []uint64{e.ID}, last: e.Time, tuple: e.Tuple, ipid: e.IPID, seq: e.Seq, flags: e.TCPFlags, payload: e.Payload, lastNS: e.NetNS}
	f.outer, f.tunnelType, f.vni = e.Outer, e.Tunnel, e.VNI
	f.key = attemptOf(e)
	f.heard = a.heard[f.key]
	f.j = Journey{ID: a.nextID, Direction: directions[e.Dir], Attempt: a.attempt(e), Packet: packetOf(e), Start: e.Time}
	f.j.Hops = make([]Hop, 0, 24)
	return f
}

var directions = map[tracer.Direction]Direction{
	tracer.DirRequest: Request, tracer.DirReply: Reply, tracer.DirRelated: Related, tracer.DirNone: Related,
}

// visited reports whether the journey was already at the device and side of an event: then another packet is there.
func (f *flight) visited(e *tracer.Event) bool {
	for i := range f.j.Hops {
		h := &f.j.Hops[i]
		if h.NetNS == e.NetNS && h.Ifindex == e.Ifindex && (h.Func == tracer.FuncOf(tracer.PointRX)) == (e.Point == tracer.PointRX) && h.Func != "" {
			return true
		}
	}
	return false
}

// step adds what one event means to the journey.
func (f *flight) step(a *Assembler, e *tracer.Event) {
	f.release(a, e)
	if tracer.RoleOf(e.Point) == tracer.RoleNone {
		f.settleDevice(a, e)
	}
	if e.Point != tracer.PointConsume && e.Point != tracer.PointNeighSend && e.Point != tracer.PointNeighDead && (e.Point != tracer.PointICMP || e.HasPacket) {
		f.changes(a, e)
	}
	switch e.Point {
	case tracer.PointRX, tracer.PointTX:
		f.device(a, e)
	case tracer.PointQueue:
		f.hold = *e
		f.waiting = true
	case tracer.PointFIB, tracer.PointFIB6:
		f.route(a, e)
	case tracer.PointNeighSend, tracer.PointNeighDead:
		f.neighbour(a, e)
	case tracer.PointICMP:
		f.icmp = icmpName(e.Tuple.Src.Is6() && !e.Tuple.Src.Is4In6(), e.ICMPType, e.ICMPCode)
	case tracer.PointResetSent:
		f.hasRST, f.reset = true, e.Reason
	case tracer.PointDrop:
		f.drop(a, e)
	case tracer.PointConsume:
		f.consume(a, e)
	default:
		f.function(a, e)
	}
}

func (f *flight) device(a *Assembler, e *tracer.Event) {
	f.waiting = false
	stage := StageDeviceRx
	if e.Point == tracer.PointTX {
		stage = StageDeviceTx
	}
	if e.Kind == "bridge" {
		stage = StageBridge
	}
	f.add(f.hop(a, e, stage))
	f.bridged(a, e)
	f.local = e.Point == tracer.PointRX && e.Kind != "bridge" && !e.Outer.Valid() && a.opt.IsLocal != nil && a.opt.IsLocal(e.NetNS, e.Tuple.Dst)
}

// bridged adds the bridge that takes what its port receives: the port's rx_handler runs before anything else sees the packet
// (net/bridge/br_input.c, br_handle_frame), and br_netfilter runs iptables there.
func (f *flight) bridged(a *Assembler, e *tracer.Event) {
	if e.Point != tracer.PointRX || a.opt.BridgeOf == nil {
		return
	}
	name, index := a.opt.BridgeOf(e.NetNS, e.Ifindex)
	if name == "" {
		return
	}
	h := f.hop(a, e, StageBridge)
	h.Func, h.Backend, h.Port = "", "", h.Dev
	h.Dev, h.DevKind, h.Ifindex = name, "bridge", index
	f.add(h)
}

// route adds a lookup's result. A table without the route waits for the lookup in the next table.
func (f *flight) route(a *Assembler, e *tracer.Event) {
	if notInTable(e) {
		f.hold = *e
		return
	}
	h := f.routeHop(a, e)
	if f.routed(&h) {
		return
	}
	if e.Local && !e.Outer.Valid() {
		f.local = true
	}
	f.add(h)
}

// routed reports whether the same lookup was told already in this namespace: the kernel looks a route up once for itself and again for
// rules, ARP and reverse path checks.
func (f *flight) routed(h *Hop) bool {
	for i := len(f.j.Hops) - 1; i >= 0 && f.j.Hops[i].NetNS == h.NetNS; i-- {
		if p := &f.j.Hops[i]; p.Stage == StageRoute && *p.Route == *h.Route && (p.Outer == nil) == (h.Outer == nil) {
			return true
		}
	}
	return false
}

func (f *flight) routeHop(a *Assembler, e *tracer.Event) Hop {
	h := f.hop(a, e, StageRoute)
	h.Dev, h.DevKind, h.Ifindex = "", "", 0
	h.Route = &Route{Table: e.RouteTable, OIF: e.OIF, Gateway: e.Gateway, Local: e.Local, Error: routeError(e)}
	return h
}

// release adds the step that was held back, unless the event shows that it meant nothing: the queue let the packet through at once, the
// next table had the route.
func (f *flight) release(a *Assembler, e *tracer.Event) {
	held := f.hold
	f.hold = tracer.Event{}
	switch held.Point {
	case tracer.PointQueue:
		const notable = 1e6 // ns in a queue that are worth a line
		if e != nil && e.Point == tracer.PointTX && e.Ifindex == held.Ifindex && e.Time-held.Time < notable {
			return
		}
		f.add(f.hop(a, &held, StageQdisc))
	case tracer.PointFIB, tracer.PointFIB6:
		if e != nil && e.Point == held.Point && e.NetNS == held.NetNS {
			return
		}
		f.add(f.routeHop(a, &held))
	}
}

func (f *flight) neighbour(a *Assembler, e *tracer.Event) {
	f.waiting = true
	h := f.hop(a, e, StageNeighbour)
	h.Route = &Route{OIF: e.Dev, Gateway: e.Gateway}
	if e.Point == tracer.PointNeighDead {
		h.Route.Error = "EHOSTUNREACH"
	}
	f.add(h)
}

// hop has what every step of an event has.
func (f *flight) hop(a *Assembler, e *tracer.Event, stage Stage) Hop {
	netns := e.NetNS
	if netns == 0 {
		netns = f.lastNS
	}
	h := Hop{T: int64(e.Time - f.j.Start), NetNS: netns, Dev: e.Dev, DevKind: e.Kind, Ifindex: e.Ifindex, Stage: stage,
		Func: tracer.FuncOf(e.Point), Mark: e.Mark}
	h.Backend = a.backend(h.Func)
	h.Node, h.Where = a.place(netns)
	if e.Outer.Valid() {
		t := tupleOf(&e.Outer)
		if f.outerPtr == nil || *f.outerPtr != t {
			f.outerPtr = &t
		}
		h.Outer = f.outerPtr
	}
	if e.HasCT {
		if k := (ctKey{e.CTInfo, e.CTStatus, e.CTOrig, e.CTReply}); f.ct == nil || f.ctFrom != k {
			f.ct, f.ctFrom = conntrackOf(e), k
		}
		h.CT = f.ct
	} else if e.HasPacket && e.CTInfo == ctUntracked {
		h.CT = &CT{State: "UNTRACKED"}
	}
	if e.IPLen != 0 && e.HasPacket && e.IPLen != f.j.Packet.Len {
		h.Len = e.IPLen
	}
	return h
}

// atLast puts a hop at the device of the one before it.
func (f *flight) atLast(a *Assembler, h *Hop) {
	if p := f.lastHop(); p != nil {
		h.NetNS = p.NetNS
		h.Node, h.Where = a.place(h.NetNS)
	}
}

// add appends a hop. Of a way that is too long, a loop, the end takes the last step's place: without it nothing tells why the packet ended.
func (f *flight) add(h Hop) {
	if len(f.j.Hops) < maxHops {
		f.j.Hops = append(f.j.Hops, h)
		return
	}
	f.cut = true
	if h.Stage == StageDrop || h.Stage == StageSocket {
		f.j.Hops[maxHops-1] = h
	}
}

func (f *flight) lastHop() *Hop {
	if len(f.j.Hops) == 0 {
		return nil
	}
	return &f.j.Hops[len(f.j.Hops)-1]
}
