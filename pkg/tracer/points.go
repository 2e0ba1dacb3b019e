// SPDX-License-Identifier: Apache-2.0

package tracer

// PointInfo describes one place in the kernel that nettrace listens at.
type PointInfo struct {
	Point   Point
	Name    string // tracepoint, without its group
	Program string // BPF program that serves it
	Meaning string // one sentence for people
	Blind   string // what is not seen when it cannot be attached
	Family  uint8  // 4 or 6 for a point that only such packets reach
}

// Points is the table of all points, in the order of a packet's way. A new point is a row here.
var Points = []PointInfo{
	{PointFIB, "fib_table_lookup", bpfProgFibTableLookup, "an IPv4 route was looked up", "IPv4 route decisions", 0},
	{PointFIB6, "fib6_table_lookup", bpfProgFib6TableLookup, "an IPv6 route was looked up", "IPv6 route decisions", 6},
	{PointQueue, "net_dev_queue", bpfProgNetDevQueue, "a device's queue took the packet", "time in device queues", 0},
	{PointTX, "net_dev_start_xmit", bpfProgNetDevStartXmit, "the packet was handed to a device", "departures from devices", 0},
	{PointRX, "netif_receive_skb", bpfProgNetifReceiveSkb, "a device received the packet", "arrivals at devices", 0},
	{PointNeighSend, "neigh_event_send_done", bpfProgNeighEventSendDone, "the packet waits for a neighbour's answer", "packets that wait for ARP or ND", 0},
	{PointNeighDead, "neigh_event_send_dead", bpfProgNeighEventSendDead, "the neighbour entry is dead", "dead neighbours", 0},
	{PointNeighTimer, "neigh_timer_handler", bpfProgNeighTimerHandler, "a neighbour did not answer in time", "neighbours that fail", 0},
	{PointNeighUpdate, "neigh_update_done", bpfProgNeighUpdateDone, "a neighbour answered", "neighbours that answer", 0},
	{PointICMP, "icmp_send", bpfProgIcmpSend, "the kernel sent an ICMP error about the packet", "which ICMP error a reject sent", 0},
	{PointDrop, "kfree_skb", bpfProgKfreeSkb, "the packet was dropped", "drops", 0},
	{PointConsume, "consume_skb", bpfProgConsumeSkb, "the packet ended normally", "normal ends of packets", 0},
	{PointSockState, "inet_sock_set_state", bpfProgInetSockSetState, "a TCP socket changed state", "TCP states", 0},
	{PointRetransmit, "tcp_retransmit_skb", bpfProgTcpRetransmitSkb, "TCP sent again", "TCP retransmissions", 0},
	{PointResetSent, "tcp_send_reset", bpfProgTcpSendReset, "TCP sent a reset", "why a reset was sent", 0},
	{PointResetReceived, "tcp_receive_reset", bpfProgTcpReceiveReset, "TCP received a reset", "resets received", 0},
}

// PointStatus is one point on the running kernel, as in the start record of the contract.
type PointStatus struct {
	Name     string `json:"name"`
	Backend  string `json:"backend,omitempty"`
	Attached bool   `json:"attached"`
	Why      string `json:"why,omitempty"` // why it is not attached
	// Needless is true when nothing is missed by it: no packet can pass there, or another point tells the same.
	Needless bool `json:"needless,omitempty"`
}

// The rungs, as the contract names them. Every kernel with BTF has tracepoints.
const (
	BackendAuto        = "auto"
	BackendFentry      = "fentry"
	BackendKprobeMulti = "kprobe-multi"
	BackendKprobe      = "kprobe"
	BackendTracepoint  = "tracepoint"
)

// Backends are the values of --backend.
func Backends() []string {
	return []string{BackendAuto, BackendFentry, BackendKprobeMulti, BackendKprobe, BackendTracepoint}
}

// FuncOf is the kernel name of a point, for a hop's func.
func FuncOf(p Point) string {
	for i := range Points {
		if Points[i].Point == p {
			return Points[i].Name
		}
	}
	if f := functionsByPoint[p]; f != nil {
		return f.Name
	}
	return ""
}
