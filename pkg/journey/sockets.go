// SPDX-License-Identifier: Apache-2.0

package journey

import "github.com/nettrace-io/nettrace/pkg/tracer"

// addSocketEvent takes what happens to a socket rather than to a packet.
func (a *Assembler) addSocketEvent(e *tracer.Event) {
	if a.opt.Scoped {
		if _, ok := a.opt.Places[e.NetNS]; !ok {
			return
		}
	}
	switch e.Point {
	case tracer.PointFIB, tracer.PointFIB6:
		if len(a.routes) >= maxRoutes {
			a.routes = a.routes[1:]
		}
		a.routes = append(a.routes, *e)
	case tracer.PointSockState:
		a.socketState(e)
	case tracer.PointResetReceived:
		a.arrived(e, "reset received")
	}
}

// takeRoutes puts the lookup that a socket made for a packet before the packet's first hop.
func (a *Assembler) takeRoutes(f *flight, e *tracer.Event) {
	if e.Point != tracer.PointTX && e.Point != tracer.PointQueue && e.Point != tracer.PointDrop && tracer.RoleOf(e.Point) != tracer.RoleOutput {
		return
	}
	found := -1
	for i := range a.routes {
		r := &a.routes[i]
		if r.NetNS == e.NetNS && r.Tuple.Dst == e.Tuple.Dst && (r.Tuple.Dport == 0 || r.Tuple.Dport == e.Tuple.Dport) &&
			(r.Tuple.Sport == 0 || r.Tuple.Sport == e.Tuple.Sport) && !notInTable(r) && r.Time <= e.Time {
			found = i
		}
	}
	if found < 0 {
		return
	}
	r := a.routes[found]
	a.routes = append(a.routes[:found], a.routes[found+1:]...)
	f.j.Start = r.Time
	f.add(f.routeHop(a, &r))
}

// TCP states (include/net/tcp_states.h).
const (
	tcpEstablished = 1
	tcpSynSent     = 2
	tcpSynRecv     = 3
)

// socketState: a connection that becomes ESTABLISHED proves that the packet that did it was delivered.
func (a *Assembler) socketState(e *tracer.Event) {
	if e.New == tcpEstablished && (e.Old == tcpSynSent || e.Old == tcpSynRecv) {
		a.arrived(e, "connection established")
	}
}

// arrived marks the packet that a socket is just handling: the newest one for it in its namespace.
func (a *Assembler) arrived(e *tracer.Event, why string) {
	want := e.Tuple.Reverse()
	for i := len(a.open) - 1; i >= 0; i-- {
		f := a.open[i]
		if f.lastNS != e.NetNS || f.tuple != want || f.outer.Valid() {
			continue
		}
		f.local = true
		f.deliver(a, &tracer.Event{Time: e.Time, NetNS: e.NetNS, Point: e.Point}, why)
		a.close(f)
		return
	}
}
