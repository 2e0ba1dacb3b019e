// SPDX-License-Identifier: Apache-2.0

package journey

import (
	"net/netip"
	"time"
)

// Direction says how a packet relates to the flow that was asked for.
type Direction string

// The directions of the contract: the flow's own packets, the answers to them, and packets about them (ICMP errors).
const (
	Request Direction = "request"
	Reply   Direction = "reply"
	Related Direction = "related"
)

// End says how a packet's way ended on the nodes that were watched.
type End string

// The ends of the contract. Open means that the evidence does not say how the way ended.
const (
	Delivered End = "delivered"
	Dropped   End = "dropped"
	Rejected  End = "rejected"
	LeftNode  End = "left-node"
	Open      End = "open"
)

// NoFurtherSight is the EndWhy of a packet that no event tells more about.
const NoFurtherSight = "no further sight"

// Stage is the chapter of the packet's way that a hop belongs to.
type Stage string

// The stages of the contract.
const (
	StageDeviceTx  Stage = "device-tx"
	StageDeviceRx  Stage = "device-rx"
	StageBridge    Stage = "bridge"
	StageTC        Stage = "tc"
	StageXDP       Stage = "xdp"
	StageConntrack Stage = "conntrack"
	StageNetfilter Stage = "netfilter"
	StageNAT       Stage = "nat"
	StageIPVS      Stage = "ipvs"
	StageRoute     Stage = "route"
	StageNeighbour Stage = "neighbour"
	StageTunnel    Stage = "tunnel"
	StageFragment  Stage = "fragment"
	StageQdisc     Stage = "qdisc"
	StageSocket    Stage = "socket"
	StageDrop      Stage = "drop"
)

// Tuple is a packet's addresses and ports; ports are 0 where the protocol has none. For ICMP echo both ports are 0.
type Tuple struct {
	Src   netip.Addr `json:"src"`
	Sport uint16     `json:"sport"`
	Dst   netip.Addr `json:"dst"`
	Dport uint16     `json:"dport"`
}

// Packet is the packet as it was when it was first seen.
type Packet struct {
	Proto string `json:"proto"`
	Tuple
	Flags string `json:"flags,omitempty"` // TCP flags, "SYN,ACK"
	Len   uint32 `json:"len"`             // IP length in bytes
	IPID  uint16 `json:"ipid,omitempty"`
	Seq   uint32 `json:"seq,omitempty"`
	ICMP  string `json:"icmp,omitempty"` // ICMP kind, "echo request", "port unreachable"
	// SrcRef and DstRef are the Kubernetes objects that the packet's first addresses belong to.
	SrcRef *Ref `json:"srcRef,omitempty"`
	DstRef *Ref `json:"dstRef,omitempty"`
}

// Where is the place of a hop in words: a node's host namespace, a pod, or a namespace without a better name.
type Where struct {
	Kind      string `json:"kind"` // host, pod, netns
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// Ref is the Kubernetes object that an address or rule belongs to.
type Ref struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	Port      string `json:"port,omitempty"`
}

// NAT is one translation; From and To are "address:port" of the side that changed.
type NAT struct {
	Type string `json:"type"` // dnat, snat, masquerade, redirect
	From string `json:"from"`
	To   string `json:"to"`
	// Undo is true for the way back: the reply's addresses are put back to what the client knows.
	Undo bool `json:"undo,omitempty"`
}

// CT is the conntrack entry that a packet carried at a hop.
type CT struct {
	State  string   `json:"state"` // NEW, ESTABLISHED, RELATED, INVALID, UNTRACKED
	Status []string `json:"status,omitempty"`
	Orig   *Tuple   `json:"orig,omitempty"`
	Reply  *Tuple   `json:"reply,omitempty"`
}

// Rule is the firewall or NAT rule that decided at a hop.
type Rule struct {
	Backend   string `json:"backend"` // iptables-legacy, iptables-nft, nft, ipvs
	Family    string `json:"family,omitempty"`
	Table     string `json:"table,omitempty"`
	Chain     string `json:"chain,omitempty"`
	Number    int    `json:"number,omitempty"` // 1-based position in the chain; 0 for the chain's policy
	Handle    uint64 `json:"handle,omitempty"`
	Text      string `json:"text,omitempty"`
	Comment   string `json:"comment,omitempty"`
	Verdict   string `json:"verdict,omitempty"`
	Certainty string `json:"certainty"` // exact, inferred
	// Alternatives is the number of other rules that fit as well.
	Alternatives int `json:"alternatives,omitempty"`
	// Owner is who wrote the rule: kube-proxy, Calico, "node firewall"; Policy is true when the rule enforces NetworkPolicies.
	Owner  string `json:"owner,omitempty"`
	Policy bool   `json:"policy,omitempty"`
	// Why is what the rule is for when it refuses packets to a Service: "has no endpoints", "has no local endpoints".
	Why string `json:"why,omitempty"`
}

// Route is the result of a route lookup. Local is true when the kernel decided that the packet is for this namespace.
type Route struct {
	Table   uint32     `json:"table"`
	OIF     string     `json:"oif,omitempty"`
	Gateway netip.Addr `json:"gateway,omitzero"`
	Error   string     `json:"error,omitempty"` // errno name, "ENETUNREACH"
	Local   bool       `json:"local,omitempty"`
}

// Tunnel is a crossing of a tunnel; Outer is the packet that carries the flow's packet.
type Tunnel struct {
	Type  string `json:"type"` // vxlan, geneve, ipip
	Op    string `json:"op"`   // encap, decap
	VNI   uint32 `json:"vni"`
	Outer Tuple  `json:"outer"`
}

// Hop is one step of a packet's way. Fields that do not apply are absent.
type Hop struct {
	T        int64   `json:"t"`                // ns since the journey's first hop
	Approx   bool    `json:"approx,omitempty"` // T compares the clocks of two nodes and is no better than a guess
	Node     string  `json:"node,omitempty"`
	NetNS    uint32  `json:"netns,omitempty"` // inode number
	Where    *Where  `json:"where,omitempty"`
	Dev      string  `json:"dev,omitempty"`
	DevKind  string  `json:"devKind,omitempty"`
	Ifindex  uint32  `json:"ifindex,omitempty"`
	Port     string  `json:"port,omitempty"` // bridge: the port at which the packet came in
	Stage    Stage   `json:"stage"`
	Func     string  `json:"func,omitempty"` // kernel function or tracepoint; empty for a step deduced from its neighbours
	Backend  string  `json:"backend,omitempty"`
	What     string  `json:"what"`
	Tuple    *Tuple  `json:"tuple,omitempty"`
	NAT      *NAT    `json:"nat,omitempty"`
	CT       *CT     `json:"ct,omitempty"`
	Rule     *Rule   `json:"rule,omitempty"`
	Route    *Route  `json:"route,omitempty"`
	Tunnel   *Tunnel `json:"tunnel,omitempty"`
	Ref      *Ref    `json:"ref,omitempty"`
	Reason   string  `json:"reason,omitempty"`   // kernel drop reason by name
	Location string  `json:"location,omitempty"` // function that dropped
	Verdict  string  `json:"verdict,omitempty"`  // drop, reject, accept, queue, stolen
	// Hook is the netfilter hook in which the packet was dropped, read from the call stack: PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING.
	Hook string `json:"hook,omitempty"`
	// Stack is the kernel's call stack at a drop, innermost first.
	Stack []string `json:"stack,omitempty"`
	// ICMP is the error that this node sent about the packet, e.g. "port unreachable" (stage drop or netfilter).
	ICMP string `json:"icmp,omitempty"`
	// Outer is the packet that carries the flow's packet at this hop: set on every hop where the packet is inside a tunnel.
	Outer *Tuple `json:"outer,omitempty"`
	// Len is the packet's length in bytes at this hop, where it differs from the packet's first.
	Len uint32 `json:"len,omitempty"`
	// Mark is skb->mark at this hop.
	Mark uint32 `json:"mark,omitempty"`
	// Step tells hops of one stage apart where the stage does not: "hook", "lookup", "confirm", "flood", "real-server", ...; at a drop it
	// is what the packet's last steps say about the cause: "conntrack-full", "insert-failed", "hairpin", "accept-queue-full", ...
	Step string `json:"step,omitempty"`
	// Tables are the iptables tables and nftables base chains ("table/chain") that were asked in a netfilter hook of family ip, ip6, ...
	Tables []string `json:"tables,omitempty"`
	Family string   `json:"family,omitempty"`
	// Why are the kernel's own words, or numbers, for a step: why a packet is INVALID, how full a queue is.
	Why  string `json:"why,omitempty"`
	IPVS *IPVS  `json:"ipvs,omitempty"`
	// From is the bridge port at which the packet came in, at a hop that tells the port to which it goes.
	From string `json:"from,omitempty"`
	// Seen are the rules that were seen to have their say in the hook that dropped or translated, oldest first; not part of the contract's JSON.
	Seen []Sighting `json:"-"`
}

// IPVS is the choice of a real server; addresses with ports.
type IPVS struct {
	Method  string `json:"method"` // masquerading, tunneling, direct routing
	Virtual string `json:"virtual"`
	Server  string `json:"server"`
}

// Journey is one packet's way through the namespaces that are watched.
type Journey struct {
	ID        int       `json:"id"` // 1-based, in order of first sight
	Direction Direction `json:"direction"`
	Attempt   int       `json:"attempt"` // 1 for the first transmission, 2 for its first retransmission, ...
	Packet    Packet    `json:"packet"`
	Hops      []Hop     `json:"hops"`
	End       End       `json:"end"`
	// EndWhy says what the end was read from: "socket", "tcp-ack", "icmp-reply", "drop", "no further sight", ...
	EndWhy string `json:"endWhy,omitempty"`
	// Complete is false when a hop may be missing: events were lost while the packet was under way, or its first sight was not at its sender.
	Complete bool `json:"complete"`
	// Lost is the number of events that the tracer lost while the packet was under way.
	Lost uint64 `json:"lost"`
	// At is the time of the first hop by the wall clock of the node that saw it.
	At time.Time `json:"at,omitzero"`
	// Start is the monotonic time of the first hop, in ns; not part of the contract's JSON.
	Start uint64 `json:"-"`
}
