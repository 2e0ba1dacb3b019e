// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"strings"

	"github.com/nettrace-io/nettrace/pkg/journey"
	"github.com/nettrace-io/nettrace/pkg/netstate"
)

// dropAt is one drop with what is known about its place.
type dropAt struct {
	in *Input
	j  *journey.Journey
	i  int
	h  *journey.Hop
	ns *netstate.Namespace // as it was after the run, else before; nil when unknown
}

// tuple is the packet at the drop.
func (d *dropAt) tuple() journey.Tuple { return d.j.TupleAt(d.i) }

// reason is why the kernel dropped: its own word, or what the place tells, or where one place has several reasons what was counted there.
func (d *dropAt) reason() string {
	word, inferred := strings.CutPrefix(d.h.Reason, journey.Inferred)
	if inferred || word == "" || word == "NOT_SPECIFIED" {
		if counted := d.counted(); counted != "" {
			return counted
		}
	}
	return word
}

// counted tells the reason of a drop at a place that has several from the counters that go with them: net/ipv4/tcp_ipv4.c (tcp_v4_rcv) and
// net/ipv4/udp.c (__udp4_lib_rcv, udp_queue_rcv_one_skb) free for a wrong checksum and for want of a socket or of room in its buffer alike;
// __netif_receive_skb_core (net/core/dev.c) frees what a tc program dropped, into which kernels before 5.16 allow no look.
func (d *dropAt) counted() string {
	grew := func(counter string) bool { n, ok := d.grew(counter); return ok && n > 0 }
	switch d.h.Location {
	case "tcp_v4_rcv", "tcp_v6_rcv":
		if d.j.Packet.Proto == "tcp" && d.h.Outer == nil && grew("Tcp.InCsumErrors") {
			return "TCP_CSUM"
		}
	case "__udp4_lib_rcv", "__udp6_lib_rcv", "udp_queue_rcv_one_skb", "udpv6_queue_rcv_one_skb", "udp_queue_rcv_skb", "udpv6_queue_rcv_skb":
		switch {
		case d.h.ICMP != "":
		case grew("Udp.InCsumErrors"):
			return "UDP_CSUM"
		case grew("Udp.RcvbufErrors"):
			return "SOCKET_RCVBUFF"
		}
	case "__netif_receive_skb_core", "sch_handle_ingress":
		if l := d.ns.Link(d.h.Dev); l != nil && l.Ingress {
			return "TC_INGRESS"
		}
	}
	return ""
}

// conntrack is the last step of connection tracking in the namespace of the drop, nil when none was seen.
func (d *dropAt) conntrack() *journey.Hop {
	for k := d.i; k >= 0; k-- {
		if h := &d.j.Hops[k]; h.Stage == journey.StageConntrack && h.NetNS == d.h.NetNS && h.Step != "confirm" && (h.Outer == nil) == (d.h.Outer == nil) {
			return h
		}
	}
	return nil
}

// host reports whether the drop was in a node's host namespace.
func (d *dropAt) host() bool { return d.h.Where != nil && d.h.Where.Kind == "host" }

// translated reports whether the packet's destination had been translated before the drop.
func (d *dropAt) translated() *journey.Hop {
	for k := d.i; k >= 0; k-- {
		if h := &d.j.Hops[k]; h.NAT != nil && h.NAT.Type == "dnat" && !h.NAT.Undo {
			return h
		}
	}
	return nil
}

// translatedUnseen reports whether a request has another destination than the flow that it belongs to, and no hop shows who changed it.
func (d *dropAt) translatedUnseen() bool {
	t := d.tuple()
	return d.j.Direction == journey.Request && d.h.Outer == nil && d.translated() == nil && d.in.Flow.Dst != "" && d.in.Flow.Dport != 0 &&
		(t.Dst.String() != d.in.Flow.Dst || t.Dport != d.in.Flow.Dport)
}

// lastRoute is the last route that was looked up in the namespace of the drop for the packet, or for the one that carries it when that was dropped.
func (d *dropAt) lastRoute() *journey.Route {
	for k := d.i; k >= 0; k-- {
		if h := &d.j.Hops[k]; h.Stage == journey.StageRoute && h.NetNS == d.h.NetNS && (h.Outer == nil) == (d.h.Outer == nil) {
			return h.Route
		}
	}
	return nil
}
