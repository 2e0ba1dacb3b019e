// SPDX-License-Identifier: Apache-2.0

package tracer

// PointInfo describes one place in the kernel that nettrace listens at.
type PointInfo struct {
	Point   Point
	Name    string // tracepoint, without its group
	Program string // BPF program that serves it
	Meaning string // one sentence for people
	Blind   string // what is not seen when it cannot be attached
}

// Points is the table of all points, in the order of a packet's way. A new point is a row here.
var Points = []PointInfo{
	{PointFIB, "fib_table_lookup", bpfProgFibTableLookup, "an IPv4 route was looked up", "IPv4 route decisions"},
	{PointFIB6, "fib6_table_lookup", bpfProgFib6TableLookup, "an IPv6 route was looked up", "IPv6 route decisions"},
	{PointQueue, "net_dev_queue", bpfProgNetDevQueue, "a device's queue took the packet", "time in device queues"},
	{PointTX, "net_dev_start_xmit", bpfProgNetDevStartXmit, "the packet was handed to a device", "departures from devices"},
	{PointRX, "netif_receive_skb", bpfProgNetifReceiveSkb, "a device received the packet", "arrivals at devices"},
	{PointNeighSend, "neigh_event_send_done", bpfProgNeighEventSendDone, "the packet waits for a neighbour's answer", "packets that wait for ARP or ND"},
	{PointNeighDead, "neigh_event_send_dead", bpfProgNeighEventSendDead, "the neighbour entry is dead", "dead neighbours"},
	{PointNeighTimer, "neigh_timer_handler", bpfProgNeighTimerHandler, "a neighbour did not answer in time", "neighbours that fail"},
	{PointNeighUpdate, "neigh_update_done", bpfProgNeighUpdateDone, "a neighbour answered", "neighbours that answer"},
	{PointICMP, "icmp_send", bpfProgIcmpSend, "the kernel sent an ICMP error about the packet", "which ICMP error a reject sent"},
	{PointDrop, "kfree_skb", bpfProgKfreeSkb, "the packet was dropped", "drops"},
	{PointConsume, "consume_skb", bpfProgConsumeSkb, "the packet ended normally", "normal ends of packets"},
	{PointSockState, "inet_sock_set_state", bpfProgInetSockSetState, "a TCP socket changed state", "TCP states"},
	{PointRetransmit, "tcp_retransmit_skb", bpfProgTcpRetransmitSkb, "TCP sent again", "TCP retransmissions"},
	{PointResetSent, "tcp_send_reset", bpfProgTcpSendReset, "TCP sent a reset", "why a reset was sent"},
	{PointResetReceived, "tcp_receive_reset", bpfProgTcpReceiveReset, "TCP received a reset", "resets received"},
}

// PointStatus is one point on the running kernel, as in the start record of the contract.
type PointStatus struct {
	Name     string `json:"name"`
	Backend  string `json:"backend,omitempty"`
	Attached bool   `json:"attached"`
	Why      string `json:"why,omitempty"` // why it is not attached
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
