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

// Hostile or endless traffic keeps a bounded number of acknowledgements.
func TestAcknowledgementsAreBounded(t *testing.T) {
	a := New(Options{})
	for i := range uint32(maxAcked + 10) {
		e := ev(1, tracer.PointTX, 2, "eth0", "veth")
		e.TCPFlags, e.Tuple.Sport, e.Tuple.Dport = flagACK, uint16(i), uint16(i>>16)
		a.acknowledges(&e)
	}
	if len(a.acked) != 10 {
		t.Errorf("%d connections", len(a.acked))
	}
}
