// SPDX-License-Identifier: Apache-2.0

package journey

import (
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

// echoed is the place where a ping's answer ends behind the raw sockets, which have their copies: icmp_rcv or ping_rcv itself frees what no
// ping socket wants (net/ipv4/icmp.c, net/ipv4/ping.c, net/ipv6/icmp.c).
func echoed(e *tracer.Event) bool {
	const reply, reply6 = 0, 129 // RFC 792, RFC 4443
	return e.Location == "ping_rcv" || (e.Location == "icmp_rcv" && e.ICMPType == reply) || (e.Location == "icmpv6_rcv" && e.ICMPType == reply6)
}

// noise reports whether a drop is the end of a packet that had reached its socket.
func (f *flight) noise(a *Assembler, e *tracer.Event) bool {
	return afterlife(e) || (f.local && f.spent(a, e))
}

// late reports whether an event is all that there is of a packet that had reached its socket: its journey ended while it waited for the
// process that had locked the socket (the backlog, net/core/sock.c), or it began before the trace.
func (a *Assembler) late(e *tracer.Event) bool {
	if e.Point != tracer.PointDrop {
		return false
	}
	here := !e.Outer.Valid() && a.opt.IsLocal != nil && a.opt.IsLocal(e.NetNS, e.Tuple.Dst)
	return afterlife(e) || (here && (&flight{}).spent(a, e))
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
	if (paws || e.Reason == "TCP_INVALID_SEQUENCE") && a.acknowledged(e) {
		return true // sent once more, and the first one arrived
	}
	if e.Reason == "NOT_SPECIFIED" && e.Location == "tcp_rcv_state_process" && pureACK {
		return true // an ACK without data to a connection that closes: it is read, and nothing of it is queued (net/ipv4/tcp_input.c)
	}
	late := e.TCPFlags&flagSYN == 0 && e.Payload == 0 // the end of a connection in TIME_WAIT, which is freed here (net/ipv4/tcp_ipv4.c, discard_it)
	usual := e.Reason == "NOT_SPECIFIED" || (e.Reason == "" && (f.heard || late))
	return usual && strings.HasPrefix(e.Location, "tcp_v") && !f.hasRST
}

// maxAcked bounds the connections of which the newest acknowledgement is kept.
const maxAcked = 16384

// acknowledges keeps up to where a receiver has acknowledged the data of its connection (RFC 9293, 3.4). It is looked up at the socket, under
// the addresses that the receiver sees.
func (a *Assembler) acknowledges(e *tracer.Event) {
	if !e.HasPacket || e.Tuple.Proto != tracer.ProtoTCP || e.About.Valid() || e.TCPFlags&flagACK == 0 || e.TCPFlags&flagRST != 0 {
		return
	}
	k := e.Tuple.Reverse()
	known, ok := a.acked[k]
	if ok && int32(e.Ack-known) <= 0 {
		return
	}
	if !ok && len(a.acked) >= maxAcked {
		clear(a.acked)
	}
	a.acked[k] = e.Ack
}

// acknowledged reports whether the receiver had acknowledged all of a segment before it came.
func (a *Assembler) acknowledged(e *tracer.Event) bool {
	upTo, ok := a.acked[e.Tuple]
	end := e.Seq + uint32(e.Payload)
	if e.TCPFlags&flagFIN != 0 {
		end++
	}
	return ok && int32(end-upTo) <= 0
}
