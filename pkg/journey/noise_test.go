// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"net/netip"
	"testing"

	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// Topology: a kernel without drop reasons. Action: tcp_v4_rcv frees a packet of a connection in TIME_WAIT, and sends no reset. Expectation: the
// end of the connection is no drop; data, a SYN, and what is answered with a reset are.
func TestTheEndOfAConnectionIsNoDrop(t *testing.T) {
	const fin = flagFIN | flagACK
	for _, tc := range []struct {
		name    string
		flags   uint8
		payload uint16
		reset   bool
		reason  string
		noise   bool
	}{
		{"the last FIN", fin, 0, false, "", true},
		{"an ACK", flagACK, 0, false, "", true},
		{"data", flagACK, 10, false, "", false},
		{"a SYN", flagSYN, 0, false, "", false},
		{"answered with a reset", fin, 0, true, "", false},
		{"a kernel that says why", fin, 0, false, "TCP_CSUM", false},
		{"a window probe", flagACK, 0, false, "TCP_INVALID_SEQUENCE", true},
		{"data outside the window", flagACK, 10, false, "TCP_INVALID_SEQUENCE", false},
	} {
		f := &flight{local: true, hasRST: tc.reset}
		e := dropped2(5, "tcp_v4_rcv", tc.reason)
		e.TCPFlags, e.Payload = tc.flags, tc.payload
		if got := f.noise(New(Options{}), &e); got != tc.noise {
			t.Errorf("%s: noise %v", tc.name, got)
		}
	}
}

// Topology: a client and a server of one TCP connection. Action: the server acknowledges data, and data comes that the kernel drops for its
// sequence or its timestamp. Expectation: what was acknowledged before is a copy of what arrived; anything else is a drop.
func TestWhatWasAcknowledgedIsNoDrop(t *testing.T) {
	const data = flagACK | 8 // PSH
	for _, tc := range []struct {
		name        string
		reason      string
		seq         uint32
		payload     uint16
		flags       uint8
		ack         uint32
		acks, noise bool
	}{
		{"a copy", "TCP_INVALID_SEQUENCE", 1000, 100, data, 1100, true, true},
		{"a copy with an old timestamp", "TCP_RFC7323_PAWS", 1000, 100, data, 1300, true, true},
		{"one byte is new", "TCP_INVALID_SEQUENCE", 1000, 100, data, 1099, true, false},
		{"the FIN is new", "TCP_INVALID_SEQUENCE", 1000, 100, data | flagFIN, 1100, true, false},
		{"beyond the window", "TCP_INVALID_SEQUENCE", 90000, 100, data, 1100, true, false},
		{"a timestamp that went back", "TCP_RFC7323_PAWS", 1000, 100, data, 1000, true, false},
		{"nothing was acknowledged", "TCP_RFC7323_PAWS", 1000, 100, data, 0, false, false},
		{"a copy for which there is no memory", "PROTO_MEM", 1000, 100, data, 1100, true, false},
		{"the answer to the SYN once more", "TCP_INVALID_SYN", 1000, 0, flagSYN | flagACK, 1001, true, true},
		{"another SYN", "TCP_INVALID_SYN", 5000, 0, flagSYN, 1001, true, false},
		{"the numbers begin anew", "TCP_INVALID_SEQUENCE", 0xffffffc0, 100, data, 50, true, true},
	} {
		a := New(Options{})
		if tc.acks {
			ack := ev(1, tracer.PointTX, 2, "eth0", "veth")
			ack.ID, ack.Dir, ack.Tuple, ack.TCPFlags, ack.Ack = 9, tracer.DirReply, ack.Tuple.Reverse(), flagACK, tc.ack
			a.Add(&ack)
			older := ack
			older.Time, older.Ack = 2*ms, tc.ack-50 // overtaken on the way
			a.Add(&older)
		}
		e := dropped2(5, "tcp_validate_incoming", tc.reason)
		e.Seq, e.Payload, e.TCPFlags = tc.seq, tc.payload, tc.flags
		f := &flight{local: true}
		if got := f.noise(a, &e); got != tc.noise {
			t.Errorf("%s: noise %v", tc.name, got)
		}
		if f.local = false; f.noise(a, &e) {
			t.Errorf("%s: no drop, on its way", tc.name)
		}
	}
}

// Topology: a server that is slow. Action: an ACK waits for a locked socket until its journey has ended, and is freed then. Expectation: the free
// is no journey of its own in the namespace that has the address; it is one elsewhere, and when the kernel says that something was wrong.
func TestAFreeAfterTheJourneyIsNone(t *testing.T) {
	own := func(netns uint32, _ netip.Addr) bool { return netns == 2 }
	free := dropped2(5000, "tcp_v4_do_rcv", "NOT_SPECIFIED")
	free.TCPFlags = flagACK
	in := ev(1, tracer.PointRX, 2, "eth0", "veth")
	in.TCPFlags = flagACK
	a := New(Options{IsLocal: own})
	a.Add(&in)
	a.Advance(1000*ms, 0)
	a.Add(&free)
	a.Flush()
	if js := a.Done(); len(js) != 1 || stages(&js[0]) != "device-rx socket = delivered" || len(a.Drops()) != 0 {
		t.Errorf("%d journeys, %d drops", len(js), len(a.Drops()))
	}
	elsewhere, bad, tunnelled := free, free, free
	elsewhere.NetNS = 3
	bad.Reason = "TCP_CSUM"
	tunnelled.Outer = syn(server, 8472)
	for name, e := range map[string]tracer.Event{"in another namespace": elsewhere, "with a wrong checksum": bad, "in a tunnel": tunnelled} {
		if js := play(Options{IsLocal: own}, e); len(js) != 1 || js[0].End != Dropped {
			t.Errorf("%s: %d journeys", name, len(js))
		}
	}
	if js := play(Options{}, free); len(js) != 1 {
		t.Errorf("whose address it is is not known: %d journeys", len(js))
	}
}

// Hostile or endless traffic keeps a bounded number of connections.
func TestConnectionsAreBounded(t *testing.T) {
	a := New(Options{})
	for i := range uint32(maxHalves + 10) {
		e := ev(1, tracer.PointTX, 2, "eth0", "veth")
		e.TCPFlags, e.Tuple.Sport, e.Tuple.Dport = flagACK, uint16(i), uint16(i>>16)
		a.remember(&e)
	}
	if len(a.halves) != 10 {
		t.Errorf("%d halves of connections", len(a.halves))
	}
}

// Topology: a server that listens. Action: both ends close, the server's FIN is sent again, and the client's second answer to it finds the listener,
// which answers it with a reset (net/ipv4/tcp_input.c, tcp_rcv_state_process). Expectation: that is no drop; it is one while an end is open, for
// data that nobody acknowledged, and for a SYN, after which the addresses are another connection's.
func TestTheLastACKOnceMoreIsNoDrop(t *testing.T) {
	const client, gone = 1, 2 // whose FIN was seen
	for _, tc := range []struct {
		name    string
		fins    int
		flags   uint8
		seq     uint32
		payload uint16
		reason  string
		again   bool // a new connection with the same addresses began
		noise   bool
	}{
		{"the ACK once more", client | gone, flagACK, 501, 0, "NOT_SPECIFIED", false, true},
		{"the same of a kernel without reasons", client | gone, flagACK, 501, 0, "", false, true},
		{"nobody listens", client | gone, flagACK, 501, 0, "NO_SOCKET", false, true},
		{"a newer kernel's listener", client | gone, flagACK, 501, 0, "TCP_FLAGS", false, true},
		{"the FIN once more", client | gone, flagFIN | flagACK, 500, 0, "NOT_SPECIFIED", false, true},
		{"the server had not closed", client, flagACK, 501, 0, "NOT_SPECIFIED", false, false},
		{"the client had not closed", gone, flagACK, 501, 0, "NOT_SPECIFIED", false, false},
		{"data behind the FIN", client | gone, flagACK, 501, 10, "NOT_SPECIFIED", false, false},
		{"a wrong checksum", client | gone, flagACK, 501, 0, "TCP_CSUM", false, false},
		{"a SYN", client | gone, flagSYN, 501, 0, "NO_SOCKET", false, false},
		{"the next connection", client | gone, flagACK, 501, 0, "NO_SOCKET", true, false},
	} {
		a := New(Options{})
		e := dropped2(9, "tcp_v4_do_rcv", tc.reason)
		e.TCPFlags, e.Seq, e.Payload = tc.flags, tc.seq, tc.payload
		seen := func(tuple tracer.Tuple, flags uint8, ack uint32) {
			p := ev(1, tracer.PointTX, 2, "eth0", "veth")
			p.Tuple, p.TCPFlags, p.Ack = tuple, flags, ack
			a.remember(&p)
		}
		seen(e.Tuple.Reverse(), flagACK, 501)
		if tc.fins&client != 0 {
			seen(e.Tuple, flagFIN|flagACK, 700)
		}
		if tc.fins&gone != 0 {
			seen(e.Tuple.Reverse(), flagFIN|flagACK, 501)
		}
		if tc.again {
			seen(e.Tuple, flagSYN, 0)
			seen(e.Tuple.Reverse(), flagSYN|flagACK, 1)
		}
		f := &flight{local: true, hasRST: true}
		if got := f.noise(a, &e); got != tc.noise {
			t.Errorf("%s: noise %v", tc.name, got)
		}
	}
}

// A SYN that is sent again leaves what is known of its connection; one of the next connection, which has the same addresses, does not.
func TestASYNBeginsAConnection(t *testing.T) {
	for _, tc := range []struct {
		name        string
		seq         uint32
		fins, known bool
	}{{"once more", 100, false, true}, {"with other numbers", 90000, false, false}, {"after both had closed", 100, true, false}} {
		a := New(Options{})
		syn := ev(1, tracer.PointTX, 2, "eth0", "veth")
		a.remember(&syn)
		answer := syn
		answer.Tuple, answer.TCPFlags, answer.Seq, answer.Ack = syn.Tuple.Reverse(), flagSYN|flagACK, 500, 101
		a.remember(&answer)
		if tc.fins {
			for _, e := range []tracer.Event{syn, answer} {
				e.TCPFlags = flagFIN
				a.remember(&e)
			}
		}
		again := syn
		again.Seq = tc.seq
		a.remember(&again)
		if got := a.halves[syn.Tuple].known; got != tc.known {
			t.Errorf("%s: known %v", tc.name, got)
		}
	}
}

// Topology: a sender whose segments are seen first where their headers have no length yet (__ip_local_out). Action: data is sent twice, an ACK too.
// Expectation: the data's second packet is attempt 2; an ACK without data is never one.
func TestAttemptsOfASendersOwnData(t *testing.T) {
	for _, tc := range []struct {
		name    string
		iplen   uint32
		payload uint16
		want    int
	}{{"data without a length", 1450, 0, 2}, {"data", 60, 8, 2}, {"an ACK with all options", 100, 0, 1}, {"an ACK", 52, 0, 1}} {
		a := New(Options{})
		e := ev(1, tracer.PointTX, 2, "eth0", "veth")
		e.TCPFlags, e.IPLen, e.Payload = flagACK, tc.iplen, tc.payload
		if first, second := a.attempt(&e), a.attempt(&e); first != 1 || second != tc.want {
			t.Errorf("%s: attempts %d and %d", tc.name, first, second)
		}
	}
}
