// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"net/netip"

	"github.com/nettrace-io/nettrace/pkg/netstate/ruleset"
)

// Snapshot is what the network of this kernel looked like at one moment, in the namespaces that were asked for.
type Snapshot struct {
	TimeNS     uint64      `json:"timeNs"` // CLOCK_MONOTONIC
	Namespaces []Namespace `json:"namespaces"`
}

// Namespace is one network namespace.
type Namespace struct {
	Inode uint32 `json:"inode"`          // of /proc/PID/ns/net
	Name  string `json:"name"`           // name in /run/netns, "pid:N", or "host"
	Node  string `json:"node,omitempty"` // the node that it belongs to
	Host  bool   `json:"host,omitempty"` // the node's host namespace
	// PodUID is the UID of the pod that a process in the namespace belongs to; "" when that is not known.
	PodUID string `json:"podUid,omitempty"`

	Links   []Link            `json:"links,omitempty"`
	Routes  []Route           `json:"routes,omitempty"`
	Policy  []PolicyRule      `json:"policy,omitempty"` // none: those of every namespace
	Neighs  []Neigh           `json:"neighs,omitempty"`
	FDB     []FDBEntry        `json:"fdb,omitempty"`
	Sockets []Socket          `json:"sockets,omitempty"` // listening TCP, bound UDP
	Sysctls map[string]string `json:"sysctls,omitempty"` // "net.ipv4.ip_forward": "1"
	// Counters are of the whole namespace since it was made, by nstat's names: "TcpExt.ListenOverflows". See Delta.
	Counters map[string]uint64 `json:"counters,omitempty"`
	// Tracked are the conntrack entries of the packets that were asked for, after a run.
	Tracked   []Tracked         `json:"tracked,omitempty"`
	Rulesets  []ruleset.Ruleset `json:"rulesets,omitempty"`
	IPSets    *ruleset.IPSets   `json:"ipsets,omitempty"` // when iptables rules ask for any
	IPVS      *ruleset.IPVS     `json:"ipvs,omitempty"`   // when there are virtual servers
	Unread    []string          `json:"unread,omitempty"` // what could not be read and why, one sentence each
	TruncNote string            `json:"truncated,omitempty"`
	// LinksOnly says that nothing but Links was read; Older, after a run, that the namespace is as it was before: no packet of the flow came there.
	LinksOnly bool `json:"linksOnly,omitempty"`
	Older     bool `json:"older,omitempty"`
}

// Link is a network device.
type Link struct {
	Index     int            `json:"index"`
	Name      string         `json:"name"`
	Kind      string         `json:"kind"` // bridge, veth, vxlan, ...; "phys" for a device without rtnl_link_ops, "loopback" for lo
	MTU       int            `json:"mtu"`
	Up        bool           `json:"up"`             // IFF_UP
	Oper      string         `json:"oper,omitempty"` // operstate: up, down, lowerlayerdown, unknown
	Master    int            `json:"master,omitempty"`
	PeerIndex int            `json:"peerIndex,omitempty"` // veth: ifindex of the peer in its namespace
	MAC       string         `json:"mac,omitempty"`
	Addrs     []netip.Prefix `json:"addrs,omitempty"`
	Hairpin   *bool          `json:"hairpin,omitempty"` // bridge ports only
	VXLAN     *VXLAN         `json:"vxlan,omitempty"`
	// Offloads are features of uplinks and tunnels, by ethtool's names: on or off; missing when the driver does not tell.
	Offloads map[string]bool `json:"offloads,omitempty"`
	Qdisc    string          `json:"qdisc,omitempty"` // root queueing discipline: noqueue, fq_codel, tbf, ...
	// QdiscDrops are the packets that it has dropped since it was made.
	QdiscDrops uint64    `json:"qdiscDrops,omitempty"`
	XDP        uint32    `json:"xdp,omitempty"`      // id of the attached XDP program
	Ingress    bool      `json:"ingress,omitempty"`  // it has a place for tc filters on what it receives: queueing discipline clsact or ingress
	Programs   []Program `json:"programs,omitempty"` // of tc and XDP
}

// VXLAN is the configuration of a vxlan device.
type VXLAN struct {
	VNI      int        `json:"vni"`
	Port     int        `json:"port"` // UDP destination port
	Local    netip.Addr `json:"local,omitzero"`
	Underlay int        `json:"underlay,omitempty"` // ifindex
	Learning bool       `json:"learning,omitempty"`
}

// VXLANOverhead is what VXLAN to an address puts before an inner IP packet, in bytes: inner Ethernet 14, VXLAN 8, UDP 8 (RFC 7348, 5) and the outer
// header, 20 for IPv4, 40 for IPv6. It counts for IPv4 where the address is not known.
func VXLANOverhead(outer netip.Addr) int {
	if outer.Is6() && !outer.Is4In6() {
		return 70
	}
	return 50
}

// Route is one route; Dst is 0.0.0.0/0 or ::/0 for a default route.
type Route struct {
	Table   int          `json:"table"`
	Dst     netip.Prefix `json:"dst"`
	Type    string       `json:"type"` // unicast, local, broadcast, blackhole, unreachable, prohibit, throw
	Dev     string       `json:"dev,omitempty"`
	Gateway netip.Addr   `json:"gateway,omitzero"`
	MTU     int          `json:"mtu,omitempty"`
}

// PolicyRule is a rule of 'ip rule'; Dst is 0.0.0.0/0 or ::/0 for every destination.
type PolicyRule struct {
	Priority int          `json:"priority"`
	Dst      netip.Prefix `json:"dst"`
	Table    int          `json:"table,omitempty"` // 0: the rule does something else than to look into a table
	// Selects says that the rule asks for more than the destination: a source, a mark, a device, a port, a user.
	Selects bool `json:"selects,omitempty"`
}

// Neigh is one neighbour entry.
type Neigh struct {
	Dev   string     `json:"dev"`
	IP    netip.Addr `json:"ip"`
	MAC   string     `json:"mac,omitempty"`
	State string     `json:"state"` // REACHABLE, STALE, PERMANENT, FAILED, INCOMPLETE, ...
}

// FDBEntry is one forwarding entry of a bridge port or vxlan device.
type FDBEntry struct {
	Dev string     `json:"dev"`
	MAC string     `json:"mac"`
	Dst netip.Addr `json:"dst,omitzero"` // vxlan: the VTEP
}

// Socket is a listening TCP or bound UDP socket.
type Socket struct {
	Proto string         `json:"proto"` // tcp, udp
	Local netip.AddrPort `json:"local"`
	RecvQ uint32         `json:"recvq,omitempty"`
	SendQ uint32         `json:"sendq,omitempty"` // TCP listener: backlog limit
	// Process is the name of a process that has it open (/proc/PID/comm); "" when that could not be found out. It is whatever the process calls
	// itself: escape it before a terminal.
	Process string `json:"process,omitempty"`
	inode   uint32 // in sockfs
}
