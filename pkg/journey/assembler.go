// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"net/netip"
	"sort"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// Place is what is known about a network namespace.
type Place struct {
	Node  string
	Where *Where // shared by all hops there
}

// Options are the settings of an Assembler.
type Options struct {
	// Places names namespaces by inode number.
	Places map[uint32]Place
	// Scoped means that only the namespaces in Places belong to the nodes that are watched: what happens elsewhere (a switch between
	// two nodes on one kernel) is not seen.
	Scoped bool
	// IsLocal says whether an address belongs to a namespace; nil when that is not known.
	IsLocal func(netns uint32, addr netip.Addr) bool
	// BridgeOf names the bridge of which a device is a port, with its ifindex; nil when that is not known.
	BridgeOf func(netns, ifindex uint32) (string, uint32)
	// Backends says how each point was attached, by its name; tracepoint for those that it does not name.
	Backends map[string]string
}

// The times after which a packet without news counts as gone, in ns. A packet that waits in a queue or for a neighbour gets more:
// the kernel gives up on a neighbour after three probes, one second each (net/core/neighbour.c).
const (
	idleNS    = 250e6
	waitingNS = 5e9
)

// Bounds on what hostile or huge traffic makes us keep.
const (
	maxOpen     = 4096
	maxHops     = 256
	maxAttempts = 16384
	maxRoutes   = 32
)

// Drop is a drop as it happens, before its journey is told.
type Drop struct {
	Journey int
	Time    uint64 // CLOCK_MONOTONIC, ns
	Hop     Hop
}

// Assembler turns events into journeys. It is for one goroutine; time is what the events and Advance say.
type Assembler struct {
	opt      Options
	byID     map[uint64]*flight
	open     []*flight // in order of first sight
	done     []Journey
	drops    []Drop
	attempts map[attemptKey]int
	heard    map[attemptKey]bool   // SYNs that a listener took
	halves   map[tracer.Tuple]half // of TCP connections
	routes   []tracer.Event        // lookups of sockets, for the packet that follows
	lost     uint64
	nextID   int
}

type attemptKey struct {
	tuple tracer.Tuple
	seq   uint32
	kind  uint16 // flags that take a sequence number, or payload length
}

// New returns an empty assembler.
func New(o Options) *Assembler {
	return &Assembler{opt: o, byID: map[uint64]*flight{}, attempts: map[attemptKey]int{}, heard: map[attemptKey]bool{}, halves: map[tracer.Tuple]half{}}
}

// Add takes the next event.
func (a *Assembler) Add(e *tracer.Event) {
	if e.ID == 0 {
		a.addSocketEvent(e)
		return
	}
	f := a.byID[e.ID]
	if f == nil {
		if f = a.begin(e); f == nil {
			return
		}
	}
	if f.foreign(a, e) {
		a.close(f)
		return
	}
	if e.NetNS != 0 {
		f.lastNS = e.NetNS
	}
	f.last = e.Time
	if a.opt.Scoped {
		if _, ok := a.opt.Places[f.lastNS]; !ok {
			f.away = true
			return
		}
	}
	f.away = false
	a.remember(e)
	f.step(a, e)
	if f.over {
		a.close(f)
	}
}

// foreign reports whether the memory holds another packet by now: it is queued or freed in a pod, and the packet was last in another pod, from
// which every way leads through the node. These points do not look into the packet, so the kernel side cannot tell.
func (f *flight) foreign(a *Assembler, e *tracer.Event) bool {
	if e.Point != tracer.PointConsume && e.Point != tracer.PointQueue {
		return false
	}
	if _, ok := a.opt.Places[e.NetNS]; f.away && ok { // it would come back through a device that receives it
		return true
	}
	return e.NetNS != 0 && f.lastNS != 0 && e.NetNS != f.lastNS && a.pod(e.NetNS) && a.pod(f.lastNS)
}

// begin starts a journey at a packet's first sight. An end without a beginning is no journey, and neither is an event that does not say which
// packet it is about.
func (a *Assembler) begin(e *tracer.Event) *flight {
	if e.Point == tracer.PointConsume || e.Point == tracer.PointNeighSend || !e.Tuple.Valid() || e.Tuple.Dst.IsUnspecified() || captured(e) || a.late(e) {
		return nil
	}
	if a.opt.Scoped {
		if _, ok := a.opt.Places[e.NetNS]; !ok {
			return nil
		}
	}
	if f := a.sameOnWire(e); f != nil {
		a.byID[e.ID] = f
		f.ids = append(f.ids, e.ID)
		return f
	}
	if len(a.open) >= maxOpen {
		a.close(a.open[0])
	}
	a.nextID++
	f := newFlight(a, e)
	a.byID[e.ID] = f
	a.open = append(a.open, f)
	a.takeRoutes(f, e)
	return f
}

// sameOnWire finds the open journey of a packet whose skb was copied on the way: the same packet by IP id and sequence, at a device
// where that journey has not been. Without an IP id (IPv6, atomic datagrams) only a TCP sequence tells packets apart.
func (a *Assembler) sameOnWire(e *tracer.Event) *flight {
	if e.IPID == 0 && e.Seq == 0 {
		return nil
	}
	for i := len(a.open) - 1; i >= 0 && i >= len(a.open)-64; i-- {
		f := a.open[i]
		if f.tuple == e.Tuple && f.ipid == e.IPID && f.seq == e.Seq && f.flags == e.TCPFlags && f.payload == e.Payload &&
			e.Time-f.last < idleNS && !f.visited(e) {
			return f
		}
	}
	return nil
}

// Advance tells that time passed without an event, and how many events were lost in all so far.
func (a *Assembler) Advance(now, lost uint64) {
	if lost > a.lost {
		for _, f := range a.open {
			f.j.Lost += lost - a.lost
		}
		a.lost = lost
	}
	for _, f := range append([]*flight(nil), a.open...) {
		limit := uint64(idleNS)
		if f.waiting {
			limit = waitingNS
		}
		if now > f.last && now-f.last > limit {
			a.close(f)
		}
	}
	for len(a.routes) > 0 && now > a.routes[0].Time+idleNS*4 {
		a.routes = a.routes[1:]
	}
}

// Flush closes every journey.
func (a *Assembler) Flush() {
	for len(a.open) > 0 {
		a.close(a.open[0])
	}
}

func (a *Assembler) close(f *flight) {
	f.finish(a)
	for i, o := range a.open {
		if o == f {
			a.open = append(a.open[:i], a.open[i+1:]...)
			break
		}
	}
	for _, id := range f.ids {
		delete(a.byID, id)
	}
	f.j.Complete = f.j.Lost == 0 && f.j.End != Open && !f.cut
	a.done = append(a.done, f.j)
}

// Done returns the journeys that ended since the last call, in the order in which they ended.
func (a *Assembler) Done() []Journey {
	d := a.done
	a.done = nil
	return d
}

// Drops returns the drops since the last call.
func (a *Assembler) Drops() []Drop {
	d := a.drops
	a.drops = nil
	return d
}

// OpenLen is the number of packets under way.
func (a *Assembler) OpenLen() int { return len(a.open) }

// Lost is the number of events lost so far.
func (a *Assembler) Lost() uint64 { return a.lost }

// attempt counts transmissions of the same data: 1 for the first. A bare acknowledgement is never a retransmission.
func (a *Assembler) attempt(e *tracer.Event) int {
	if e.Tuple.Proto != tracer.ProtoTCP || e.About.Valid() || (!hasData(e) && e.TCPFlags&takesSequence == 0) {
		return 1
	}
	if len(a.attempts) >= maxAttempts {
		clear(a.attempts)
		clear(a.heard)
	}
	k := attemptOf(e)
	a.attempts[k]++
	return a.attempts[k]
}

// hasData reports whether a TCP segment carries data. Where a sender hands it to IP its header has no length yet: then what is longer than all
// headers can be has some.
func hasData(e *tracer.Event) bool {
	const headers = 40 + 60 // IPv6, TCP with all its options
	return e.Payload > 0 || e.IPLen > headers
}

// Flags that take a sequence number.
const takesSequence = flagSYN | flagFIN

func attemptOf(e *tracer.Event) attemptKey {
	return attemptKey{e.Tuple, e.Seq, uint16(e.TCPFlags & takesSequence)}
}

func (a *Assembler) backend(name string) string {
	if b := a.opt.Backends[name]; b != "" {
		return b
	}
	return tracer.BackendTracepoint
}

func (a *Assembler) place(netns uint32) (string, *Where) {
	p := a.opt.Places[netns]
	return p.Node, p.Where
}

// SortByID puts journeys in order of first sight.
func SortByID(js []Journey) {
	sort.Slice(js, func(i, k int) bool { return js[i].ID < js[k].ID })
}
