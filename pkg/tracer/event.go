// SPDX-License-Identifier: Apache-2.0

package tracer

import "net/netip"

// Point says which kernel point an event comes from; the numbers are those of enum point in bpf/event.h.
type Point = bpfPoint

// The points. What each one means is in the points table.
const (
	PointRX            = bpfPointPOINT_RX
	PointTX            = bpfPointPOINT_TX
	PointQueue         = bpfPointPOINT_QUEUE
	PointDrop          = bpfPointPOINT_DROP
	PointConsume       = bpfPointPOINT_CONSUME
	PointFIB           = bpfPointPOINT_FIB
	PointFIB6          = bpfPointPOINT_FIB6
	PointNeighSend     = bpfPointPOINT_NEIGH_SEND
	PointNeighDead     = bpfPointPOINT_NEIGH_DEAD
	PointNeighTimer    = bpfPointPOINT_NEIGH_TIMER
	PointNeighUpdate   = bpfPointPOINT_NEIGH_UPDATE
	PointICMP          = bpfPointPOINT_ICMP
	PointSockState     = bpfPointPOINT_SK_STATE
	PointRetransmit    = bpfPointPOINT_RETRANSMIT
	PointResetSent     = bpfPointPOINT_RESET_SENT
	PointResetReceived = bpfPointPOINT_RESET_RECEIVED
)

// Direction says how the kernel side related the packet to the flow.
type Direction = bpfDirection

// The directions.
const (
	DirNone    = bpfDirectionDIR_NONE
	DirRequest = bpfDirectionDIR_REQUEST
	DirReply   = bpfDirectionDIR_REPLY
	DirRelated = bpfDirectionDIR_RELATED
)

// IP protocol numbers as they stand in a Tuple; ICMPv6 has ICMP's number, the addresses tell them apart.
const (
	ProtoICMP = 1
	ProtoTCP  = 6
	ProtoUDP  = 17
	ProtoSCTP = 132
)

// Tuple is a packet's addresses and ports. For an ICMP echo both ports hold its id, for other ICMP they are 0.
type Tuple struct {
	Src, Dst     netip.Addr
	Sport, Dport uint16
	Proto        uint8
}

// Valid reports whether the tuple was set.
func (t *Tuple) Valid() bool { return t.Dst.IsValid() }

// Reverse is the tuple of an answer.
func (t Tuple) Reverse() Tuple {
	return Tuple{Src: t.Dst, Dst: t.Src, Sport: t.Dport, Dport: t.Sport, Proto: t.Proto}
}

// Event is one thing that happened to a packet or socket of the flow. Which fields are set depends on the point.
type Event struct {
	Time  uint64 // CLOCK_MONOTONIC, ns
	ID    uint64 // packet identity, 0 for an event without a packet
	Skb   uint64
	Point Point
	Dir   Direction
	CPU   uint32

	NetNS   uint32 // inode number of the device's or socket's namespace, 0 when unknown
	Ifindex uint32
	IIF     uint32
	Mark    uint32
	Dev     string
	Kind    string // rtnl_link_ops kind; "loopback", "phys"

	HasPacket bool   // Tuple and the header fields were read from a packet
	First     bool   // first sight of this identity
	Tuple     Tuple  // the flow's packet, innermost
	Outer     Tuple  // the packet that carries it, if any
	Tunnel    string // what Outer is: vxlan, geneve, ipip
	About     Tuple  // for an ICMP error: the packet that it is about
	VNI       uint32
	Len       uint32 // skb->len
	IPLen     uint32 // from the header of the flow's packet
	Seq, Ack  uint32
	Payload   uint16 // TCP payload bytes
	IPID      uint16
	ICMPSeq   uint16
	TCPFlags  uint8
	TTL       uint8
	ICMPType  uint8
	ICMPCode  uint8

	HasCT    bool
	CTInfo   uint8 // enum ip_conntrack_info
	CTStatus uint32
	CTOrig   Tuple
	CTReply  Tuple

	RouteTable uint32     // routing table
	Local      bool       // route: the packet is for this namespace
	OIF        string     // route: output device
	Gateway    netip.Addr // route: gateway; neighbour: its address
	Err        int32      // negative errno of a route or neighbour event
	Old        uint8      // socket state
	New        uint8      // socket or NUD state, IPv6 route type

	// What some kernel functions tell; see Function.
	Hook, PF         uint32 // of netfilter: enum nf_inet_hooks, NFPROTO_*
	InDev, OutDev    string // of a netfilter hook; OutDev: a bridge's port
	InIndex          uint32
	OutIndex         uint32
	Table            string // of netfilter
	Chain            string // of netfilter
	Words            string // why a packet is INVALID, in the kernel's words
	Value, Limit     int64  // address of a table's rules, or of a rule's parameters; a listener's queue and its bound; ICMP type and code; NAT: which side, which direction
	Memory           []byte // of an nftables rule: what lies before the expression that ran
	Virtual, Backend Tuple  // IPVS: client to virtual server, client to real server

	Reason   string   // drop or reset reason by the kernel's own name, "" when it has none
	Location string   // function that dropped or consumed
	Stack    []string // call stack of a drop, innermost first
}
