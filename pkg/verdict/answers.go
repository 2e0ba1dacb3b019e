// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
)

func isReset(j *journey.Journey) bool { return strings.Contains(j.Packet.Flags, "RST") }

// clientEnd is where answers go to: before or behind a translation on this node.
type clientEnd struct {
	addr   netip.Addr
	port   uint16
	behind bool // where the packet ended its way here, else where it began
}

// mayGoOn reports whether a request acknowledges something: it is no handshake and no reset, and came further than this node's drops.
func mayGoOn(j *journey.Journey) bool {
	p := &j.Packet
	return j.Direction == journey.Request && p.Proto == "tcp" && strings.Contains(p.Flags, "ACK") && !strings.Contains(p.Flags, "SYN") && !isReset(j) &&
		(j.End == journey.Delivered || j.End == journey.LeftNode)
}

// acknowledged is the last request that goes on from an answer which left the node: an acknowledgement of the same connection, seen later. From the
// server's node an answer only leaves, and that is how it shows that it arrived. 0 when there is none.
func (in *Input) acknowledged() (id int) {
	first := map[clientEnd]int{} // the first answer to each end
	answer := func(e clientEnd, id int) {
		if have, ok := first[e]; !ok || id < have {
			first[e] = id
		}
	}
	for i := range in.Journeys {
		if j := &in.Journeys[i]; j.Direction == journey.Reply && j.End == journey.LeftNode {
			from, to := j.Packet.Tuple, j.TupleAt(len(j.Hops)-1)
			answer(clientEnd{to.Dst, to.Dport, false}, j.ID)
			answer(clientEnd{from.Dst, from.Dport, true}, j.ID)
		}
	}
	for i := range in.Journeys {
		j := &in.Journeys[i]
		if len(first) == 0 || j.ID <= id || !mayGoOn(j) {
			continue
		}
		from, to := j.Packet.Tuple, j.TupleAt(len(j.Hops)-1)
		for _, e := range []clientEnd{{from.Src, from.Sport, false}, {to.Src, to.Sport, true}} {
			if a, ok := first[e]; ok && j.ID > a {
				id = j.ID
			}
		}
	}
	return id
}

// sentAgain is an answer that left the node once more after all that was acknowledged; nil for none.
func (in *Input) sentAgain() *journey.Journey {
	last := in.acknowledged()
	for i := range in.Journeys {
		if j := &in.Journeys[i]; j.Direction == journey.Reply && j.End == journey.LeftNode && j.Attempt > 1 && j.ID > last {
			return j
		}
	}
	return nil
}

// cameBack reports whether an answer reached the client, be it a refusal: then the way there and back is whole, at least for some packets.
func (in *Input) cameBack() bool {
	return in.acknowledged() > 0 || slices.ContainsFunc(in.Journeys, func(j journey.Journey) bool { return j.Direction == journey.Reply && j.End == journey.Delivered })
}

// cutOff is the finding when an answer came back and the flow did not work all the same.
func cutOff(in *Input) Finding {
	f := Finding{Outcome: Delivered, Layer: Application, Cause: "no-answer", Hop: -1, Confidence: Inconclusive}
	answers, resets := 0, 0
	for i := range in.Journeys {
		j := &in.Journeys[i]
		if j.Direction != journey.Reply || j.End != journey.Delivered {
			continue
		}
		answers++
		if isReset(j) {
			resets++
		}
		f.Journey, f.Hop = j.ID, len(j.Hops)-1
	}
	to := in.flowDst()
	f.Evidence = []string{fmt.Sprintf("kernel: %d packets of the answer were followed to the client, %d of them resets; no drop was reported", answers, resets)}
	elsewhere := fmt.Sprintf("run nettrace on the node that has %s", in.Flow.Dst)
	large := "large packets may be lost on the way: the flag --mtu of the probe tells"
	again := in.sentAgain()
	switch {
	case answers == 0 && again != nil:
		f.Outcome, f.Layer, f.Cause, f.Journey, f.Hop = Lost, Underlay, "left-node", again.ID, len(again.Hops)-1
		f.Summary = fmt.Sprintf("the first answers of %s arrived, later ones leave %s again and again and are not acknowledged", to, place(&again.Hops[f.Hop]))
		f.Evidence = []string{fmt.Sprintf("kernel: an answer of %d bytes left %d times and was not acknowledged; no drop was reported", again.Packet.Len, again.Attempt)}
		f.Fix = []string{large, fmt.Sprintf("run nettrace on the node that has %s", again.TupleAt(f.Hop).Dst)}
	case resets > 0 && resets == answers:
		f.Outcome, f.Cause, f.Confidence = Rejected, "not-listening", Likely
		f.Summary = fmt.Sprintf("%s refuses the connection: its only answer is a reset, as a host sends it where nothing listens on the port", to)
		f.Fix = []string{"is the application up, and on this port? ss -ltn there; a firewall that rejects with a reset looks the same", elsewhere}
	case resets > 0:
		f.Summary = fmt.Sprintf("%s answered and then reset the connection", to)
		f.Fix = []string{"look at the application's log; a proxy or firewall on the way can end a connection in its name", elsewhere}
	case in.Flow.Proto == "tcp":
		f.Summary = fmt.Sprintf("%s answered the handshake, and then no more", to)
		f.Fix = []string{"look at the application: does it wait for something? " + elsewhere, large}
	default:
		f.Summary = fmt.Sprintf("answers of %s came back, and what the probe waited for did not", to)
		f.Fix = []string{"look at the application's log; " + elsewhere}
	}
	return f
}
