// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"sort"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// HopRef names a hop: indices into journeys and the journey's Hops. Journey is -1 for none.
type HopRef struct{ Journey, Hop int }

// NoHop is the reference of a packet that no journey tells of.
var NoHop = HopRef{-1, -1}

// key is what a capture and the hop that it belongs to have in common.
type key struct {
	netns, ifindex uint32
	side           Side
	proto          string
	tuple          journey.Tuple
	ipid           uint16
	seq            uint32
}

// sighting is a capture or a hop in a key's line of time.
type sighting struct {
	time uint64
	pkt  int // index of the packet; -1 for a hop
	hop  HopRef
}

// Match finds for each packet the device hop at which it was captured: same namespace, device, side, addresses, IP id and TCP sequence.
// Of several alike, time decides. A packet without a hop gets NoHop; a hop is given to one packet at most.
func Match(packets []Packet, journeys []journey.Journey) []HopRef {
	lines := map[key][]sighting{}
	for i := range journeys {
		eachDeviceHop(&journeys[i], func(k key, h int) {
			at := journeys[i].Start + uint64(journeys[i].Hops[h].T)
			lines[k] = append(lines[k], sighting{at, -1, HopRef{i, h}})
		})
	}
	for i := range packets {
		k := keyOf(&packets[i])
		lines[k] = append(lines[k], sighting{packets[i].Time, i, NoHop})
	}
	out := make([]HopRef, len(packets))
	for i := range out {
		out[i] = NoHop
	}
	for k, line := range lines {
		sort.SliceStable(line, func(a, b int) bool { return line[a].time < line[b].time })
		pair(line, k.side, out)
	}
	return out
}

// pair gives a line's hops to its packets. The tracepoint of a reception fires just before the capture, that of a departure after it, with
// the device's queue in between (net/core/dev.c): so one of the two kinds opens and the other closes. Equally many are paired in order;
// where some are missing on one side, the nearest that is open.
func pair(line []sighting, side Side, out []HopRef) {
	var hops, pkts []sighting
	for _, s := range line {
		if s.pkt < 0 {
			hops = append(hops, s)
		} else {
			pkts = append(pkts, s)
		}
	}
	if len(hops) == len(pkts) {
		for i := range pkts {
			out[pkts[i].pkt] = hops[i].hop
		}
		return
	}
	var open []sighting
	for _, s := range line {
		opens := (s.pkt < 0) == (side == Ingress)
		switch {
		case opens:
			open = append(open, s)
		case len(open) > 0:
			first := open[len(open)-1]
			open = open[:len(open)-1]
			if s.pkt < 0 {
				s, first = first, s
			}
			out[s.pkt] = first.hop
		}
	}
}

// eachDeviceHop calls f for every hop of a journey at which a device received or sent the packet.
func eachDeviceHop(j *journey.Journey, f func(k key, hop int)) {
	k := startOf(j)
	for i := range j.Hops {
		k.move(&j.Hops[i])
		if k.side != 0 {
			f(k, i)
		}
	}
}

// keyAt is a journey's key at one of its hops, a device hop or not.
func keyAt(j *journey.Journey, hop int) key {
	k := startOf(j)
	for i := range j.Hops[:hop+1] {
		k.move(&j.Hops[i])
	}
	return k
}

func startOf(j *journey.Journey) key {
	k := key{proto: j.Packet.Proto, tuple: j.Packet.Tuple, ipid: j.Packet.IPID}
	if k.proto == journey.ProtoName(tracer.ProtoTCP) { // an ICMP journey has its echo's number there
		k.seq = j.Packet.Seq
	}
	return k
}

func (k *key) move(h *journey.Hop) {
	if h.Tuple != nil {
		k.tuple = *h.Tuple
	}
	k.netns, k.ifindex, k.side = h.NetNS, h.Ifindex, sideOf(h)
}

// sideOf is the side of a device hop, 0 for other hops.
func sideOf(h *journey.Hop) Side {
	switch h.Func {
	case tracer.FuncOf(tracer.PointRX):
		return Ingress
	case tracer.FuncOf(tracer.PointTX):
		return Egress
	}
	return 0
}

func keyOf(p *Packet) key {
	t := journey.Tuple{Src: p.Tuple.Src, Dst: p.Tuple.Dst}
	if p.Tuple.Proto != tracer.ProtoICMP { // a journey has no ports for ICMP
		t.Sport, t.Dport = p.Tuple.Sport, p.Tuple.Dport
	}
	return key{p.NetNS, p.Ifindex, p.Side, journey.ProtoName(p.Tuple.Proto), t, p.IPID, p.Seq}
}
