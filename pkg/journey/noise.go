// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"cmp"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// afterlife are frees through kfree_skb of what had arrived, whatever the packet: a raw socket's copy of a ping's answer, what a closed
// socket had in its queues. Reasons by name, because numbers move.
func afterlife(e *tracer.Event) bool {
	silent := e.Reason == "" || e.Reason == "NOT_SPECIFIED"
	if e.Reason == "QUEUE_PURGE" || (silent && (e.Location == "sk_stream_kill_queues" || e.Location == "skb_queue_purge")) {
		return true
	}
	return (e.Reason == "NO_SOCKET" || silent) && echoed(e)
}

// captured reports whether what is freed is a copy that a capture beside (tcpdump) had no room for: the packet itself goes on (net/packet/af_packet.c).
func captured(e *tracer.Event) bool {
	if e.Point != tracer.PointDrop {
		return false
	}
	switch e.Location {
	case "packet_rcv", "tpacket_rcv", "packet_rcv_spkt", "packet_rcv_fanout":
		return true
	}
	return e.Reason == "PACKET_SOCK_ERROR"
}

// echoed is the place where a ping's answer ends behind the raw sockets, which have their copies: icmp_rcv or ping_rcv itself frees what no
// ping socket wants (net/ipv4/icmp.c, net/ipv4/ping.c, net/ipv6/icmp.c).
func echoed(e *tracer.Event) bool {
	const reply, reply6 = 0, 129 // RFC 792, RFC 4443
	return e.Location == "ping_rcv" || (e.Location == "icmp_rcv" && e.ICMPType == reply) || (e.Location == "icmpv6_rcv" && e.ICMPType == reply6)
}

// noise reports whether a drop is the end of a packet that had reached its socket.
func (f *flight) noise(a *Assembler, e *tracer.Event) bool {
	return afterlife(e) || ((f.local || a.atHome(f, e)) && f.spent(a, e))
}

// atHome reports whether an event is in the namespace that its packet is for. At its socket a packet has no device any more, and is where it was last.
func (a *Assembler) atHome(f *flight, e *tracer.Event) bool {
	return !e.Outer.Valid() && a.opt.IsLocal != nil && a.opt.IsLocal(cmp.Or(e.NetNS, f.lastNS), e.Tuple.Dst)
}

// late reports whether an event is all that there is of a packet that had reached its socket: its journey ended while it waited for the
// process that had locked the socket (the backlog, net/core/sock.c), or it began before the trace.
func (a *Assembler) late(e *tracer.Event) bool {
	return e.Point == tracer.PointDrop && (&flight{}).noise(a, e)
}

// spent reports whether a packet that is freed at its socket has been read, or says nothing that the socket does not know.
func (f *flight) spent(a *Assembler, e *tracer.Event) bool {
	switch e.Reason {
	case "TCP_OLD_DATA", "TCP_OLD_SEQUENCE", "TCP_OLD_ACK", "TCP_RESET", "TCP_OFOMERGE", "TCP_CLOSE", "SOCKET_DESTROYED":
		return true
	}
	pureACK := e.Payload == 0 && e.TCPFlags == flagACK
	paws := strings.Contains(e.Reason, "PAWS")
	if paws && pureACK { // overtaken by one with a newer timestamp, which says all that it says
		return true
	}
	if e.Reason == "TCP_INVALID_SEQUENCE" && pureACK {
		return true // asks whether the window is open, or the peer alive, with a number that was acknowledged (TCP_OLD_SEQUENCE since 6.2; tcp_xmit_probe_skb)
	}
	if (paws || e.Reason == "TCP_INVALID_SEQUENCE" || e.Reason == "TCP_INVALID_SYN") && a.acknowledged(e) {
		return true // sent once more, and the first one arrived
	}
	if e.Reason == "NOT_SPECIFIED" && e.Location == "tcp_rcv_state_process" && pureACK {
		return true // an ACK without data to a connection that closes: it is read, and nothing of it is queued (net/ipv4/tcp_input.c)
	}
	if e.TCPFlags&flagSYN == 0 && strings.HasPrefix(e.Location, "tcp_v") && a.over(e) && a.acknowledged(e) && saysNothing[e.Reason] {
		return true // an ACK or a FIN once more, when the socket is gone: the listener, or nobody, answers it with a reset
	}
	late := e.TCPFlags&flagSYN == 0 && e.Payload == 0 // the end of a connection in TIME_WAIT, which is freed here (net/ipv4/tcp_ipv4.c, discard_it)
	usual := e.Reason == "NOT_SPECIFIED" || (e.Reason == "" && (f.heard || late))
	return usual && strings.HasPrefix(e.Location, "tcp_v") && !f.hasRST
}

// saysNothing are the reasons of a packet that no connection wants.
var saysNothing = map[string]bool{"": true, "NOT_SPECIFIED": true, "NO_SOCKET": true, "TCP_FLAGS": true}

// maxHalves bounds the halves of connections that are remembered.
const maxHalves = 16384

// half is what is known of one direction of a connection, under the addresses that packets have at its end.
type half struct {
	acked uint32 // up to where the receiver has acknowledged it (RFC 9293, 3.4)
	known bool   // acked is set
	fin   bool   // the sender has sent its last
}

// remember keeps what a packet says of its connection.
func (a *Assembler) remember(e *tracer.Event) {
	if !e.HasPacket || e.Tuple.Proto != tracer.ProtoTCP || e.About.Valid() || e.TCPFlags&flagRST != 0 {
		return
	}
	if e.TCPFlags&flagSYN != 0 && (!a.acknowledged(e) || a.over(e)) { // the addresses are used again
		delete(a.halves, e.Tuple)
		delete(a.halves, e.Tuple.Reverse())
	}
	if e.TCPFlags&flagFIN != 0 {
		h := a.halves[e.Tuple]
		h.fin = true
		a.keepHalf(e.Tuple, h)
	}
	if e.TCPFlags&flagACK == 0 {
		return
	}
	k := e.Tuple.Reverse()
	h := a.halves[k]
	if h.known && int32(e.Ack-h.acked) <= 0 {
		return
	}
	h.acked, h.known = e.Ack, true
	a.keepHalf(k, h)
}

func (a *Assembler) keepHalf(k tracer.Tuple, h half) {
	if _, ok := a.halves[k]; !ok && len(a.halves) >= maxHalves {
		clear(a.halves)
	}
	a.halves[k] = h
}

// acknowledged reports whether the receiver had acknowledged all of a segment before it came.
func (a *Assembler) acknowledged(e *tracer.Event) bool {
	end := e.Seq + uint32(e.Payload)
	if e.TCPFlags&(flagFIN|flagSYN) != 0 {
		end++
	}
	h := a.halves[e.Tuple]
	return h.known && int32(end-h.acked) <= 0
}

// over reports whether a packet is of a connection that both ends have closed.
func (a *Assembler) over(e *tracer.Event) bool {
	return a.halves[e.Tuple].fin && a.halves[e.Tuple.Reverse()].fin
}
