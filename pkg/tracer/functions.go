// SPDX-License-Identifier: Apache-2.0

package tracer

// Role is what a kernel function's call means for a packet's way: the journey asks for it rather than for a name.
type Role uint8

// The roles. Several functions can have the same one: IPv4 and IPv6, or the ways in which IPVS forwards.
const (
	RoleNone        Role = iota
	RoleOutput           // a sender's packet, before any device
	RoleHook             // a netfilter hook starts
	RoleTable            // an iptables table is asked
	RoleChain            // an nftables base chain is asked
	RoleConntrack        // connection tracking looks the packet up
	RoleInvalid          // connection tracking cannot make sense of it; Words say why
	RoleTableFull        // the conntrack table is full
	RoleConfirm          // a new connection is entered into the conntrack table
	RoleNAT              // the packet is rewritten
	RoleMasquerade       // the connection's new source is chosen from the output device
	RoleRedirect         // the connection's new destination is this node
	RoleQueue            // handed to a program in user space
	RoleReset            // a rule rejects it with a TCP reset
	RoleICMP             // this kernel sends an ICMP error about it
	RoleSchedule         // IPVS chooses a real server
	RoleIPVS             // IPVS sends it to a real server
	RoleNoServer         // IPVS has no real server for it
	RoleSourceCheck      // the source is checked against the routes (rp_filter)
	RoleUnroutable       // the route's answer is an error
	RoleForward          // forwarded to another device
	RoleLocal            // for this namespace
	RoleFragment         // cut into fragments
	RoleBridgePort       // the bridge forwards it to one port
	RoleBridgeFlood      // the bridge floods it to all ports
	RoleBridgeUp         // the bridge hands it to its own node
	RoleTunnel           // a tunnel device takes it
	RoleTunnelSend       // put into a tunnel
	RoleTC               // tc filters are asked
	RoleTCRedirect       // a tc program redirects it
	RoleCgroup           // cgroup programs are asked
	RoleTransport        // given to TCP, UDP or ICMP
	RoleListener         // a listening socket takes it; Value and Limit are its accept queue
	RoleRelease          // its memory is given back
	RoleRule             // a rule had its say; Value or Memory tell where it lies
)

// The first point of a function (bpf/event.h).
const firstFunction = bpfPointPOINT_FUNCTIONS

// Function is one kernel function as a point. A plain one is a row here and nothing else.
type Function struct {
	Point   Point  // appended, never renumbered: recordings hold it
	Name    string // in the kernel; functions that the running kernel does not have are blind
	Module  string // where it lives, "" for the kernel itself or where configurations differ
	Program string // of bpf/points: kprobe_NAME and fentry_NAME
	Skb     uint8  // which argument is the packet, for program "skb"
	Role    Role
	Meaning string
	Family  uint8 // 4 or 6 for a function that only such packets reach
	// Instead names the tracepoint that tells the same where it exists.
	Instead string
	// Else is the function of the same module that other kernels have instead.
	Else string
	// Idle is true for functions that are reached only while rules use their module: where none does they are no points of a flow.
	Idle bool
	// NoFentry is true for functions with variable arguments.
	NoFentry bool
}

// Functions is the table of all kernel functions that are points, in the order of a packet's way.
var Functions = []Function{
	{Point: 64, Name: "__ip_local_out", Program: "local_out", Role: RoleOutput, Meaning: "a sender's packet, before any device", Family: 4},
	{Point: 65, Name: "__ip6_local_out", Program: "local_out", Role: RoleOutput, Meaning: "a sender's IPv6 packet, before any device", Family: 6},
	{Point: 66, Name: "nf_hook_slow", Program: "hook", Role: RoleHook, Meaning: "a netfilter hook"},
	{Point: 67, Name: "ipt_do_table", Module: "ip_tables", Program: "table", Role: RoleTable, Meaning: "an iptables table was asked", Family: 4},
	{Point: 68, Name: "ip6t_do_table", Module: "ip6_tables", Program: "table", Role: RoleTable, Meaning: "an ip6tables table was asked", Family: 6},
	{Point: 69, Name: "nft_do_chain", Module: "nf_tables", Program: "chain", Role: RoleChain, Meaning: "an nftables base chain was asked"},
	{Point: 70, Name: "nf_conntrack_in", Module: "nf_conntrack", Program: "skb", Role: RoleConntrack, Meaning: "connection tracking looked the packet up"},
	{Point: 71, Name: "nf_ct_l4proto_log_invalid", Module: "nf_conntrack", Program: "invalid", Role: RoleInvalid, Meaning: "connection tracking calls the packet INVALID", NoFentry: true},
	{Point: 72, Name: "early_drop", Module: "nf_conntrack", Program: "early_drop", Role: RoleTableFull, Meaning: "the conntrack table is full"},
	{Point: 73, Name: "__nf_conntrack_confirm", Module: "nf_conntrack", Program: "skb", Role: RoleConfirm, Meaning: "a connection was entered into the conntrack table"},
	{Point: 74, Name: "nf_nat_manip_pkt", Module: "nf_nat", Program: "nat", Role: RoleNAT, Meaning: "the packet was rewritten"},
	{Point: 75, Name: "nf_nat_masquerade_ipv4", Module: "nf_nat", Program: "skb", Role: RoleMasquerade, Meaning: "a masquerade rule chose the source", Family: 4},
	{Point: 76, Name: "nf_nat_masquerade_ipv6", Module: "nf_nat", Program: "skb", Role: RoleMasquerade, Meaning: "a masquerade rule chose the IPv6 source", Family: 6},
	{Point: 77, Name: "nf_nat_redirect_ipv4", Module: "nf_nat", Program: "skb", Role: RoleRedirect, Meaning: "a redirect rule chose this node", Family: 4},
	{Point: 78, Name: "nf_nat_redirect_ipv6", Module: "nf_nat", Program: "skb", Role: RoleRedirect, Meaning: "a redirect rule chose this node for IPv6", Family: 6},
	{Point: 79, Name: "nf_send_reset", Module: "nf_reject_ipv4", Program: "skb", Skb: 2, Role: RoleReset, Meaning: "a rule answered with a TCP reset", Family: 4},
	{Point: 80, Name: "nf_send_reset6", Module: "nf_reject_ipv6", Program: "skb", Skb: 2, Role: RoleReset, Meaning: "a rule answered with a TCP reset over IPv6", Family: 6},
	{Point: 81, Name: "nf_queue", Program: "skb", Role: RoleQueue, Meaning: "a rule handed the packet to user space"},
	{Point: 82, Name: "__icmp_send", Program: "skb_value", Role: RoleICMP, Meaning: "the kernel sent an ICMP error about the packet", Family: 4, Instead: "icmp_send"},
	{Point: 83, Name: "icmp6_send", Program: "skb_value", Role: RoleICMP, Meaning: "the kernel sent an ICMPv6 error about the packet", Family: 6},
	{Point: 84, Name: "ip_vs_schedule", Module: "ip_vs", Program: "skb", Skb: 1, Role: RoleSchedule, Meaning: "IPVS chose a real server"},
	{Point: 85, Name: "ip_vs_nat_xmit", Module: "ip_vs", Program: "ipvs", Role: RoleIPVS, Meaning: "IPVS sent the packet to a real server (masquerading)", Family: 4},
	{Point: 86, Name: "ip_vs_nat_xmit_v6", Module: "ip_vs", Program: "ipvs", Role: RoleIPVS, Meaning: "IPVS sent the IPv6 packet to a real server (masquerading)", Family: 6},
	{Point: 87, Name: "ip_vs_tunnel_xmit", Module: "ip_vs", Program: "ipvs", Role: RoleIPVS, Meaning: "IPVS sent the packet to a real server (tunnelling)"},
	{Point: 88, Name: "ip_vs_dr_xmit", Module: "ip_vs", Program: "ipvs", Role: RoleIPVS, Meaning: "IPVS sent the packet to a real server (direct routing)"},
	{Point: 89, Name: "ip_vs_leave", Module: "ip_vs", Program: "skb", Skb: 1, Role: RoleNoServer, Meaning: "IPVS has no real server for the packet"},
	{Point: 90, Name: "fib_validate_source", Program: "skb", Role: RoleSourceCheck, Meaning: "the source was checked against the routes", Family: 4},
	{Point: 91, Name: "ip_error", Program: "skb", Role: RoleUnroutable, Meaning: "the route's answer is an error", Family: 4},
	{Point: 92, Name: "ip_forward", Program: "skb", Role: RoleForward, Meaning: "the packet is forwarded", Family: 4},
	{Point: 93, Name: "ip6_forward", Program: "skb", Role: RoleForward, Meaning: "the IPv6 packet is forwarded", Family: 6},
	{Point: 94, Name: "ip_local_deliver", Program: "skb", Role: RoleLocal, Meaning: "the packet is for this namespace", Family: 4},
	{Point: 95, Name: "ip6_input", Program: "skb", Role: RoleLocal, Meaning: "the IPv6 packet is for this namespace", Family: 6},
	{Point: 96, Name: "ip_do_fragment", Program: "skb", Skb: 2, Role: RoleFragment, Meaning: "the packet is cut into fragments", Family: 4},
	{Point: 97, Name: "ip6_fragment", Program: "skb", Skb: 2, Role: RoleFragment, Meaning: "the IPv6 packet is cut into fragments", Family: 6},
	{Point: 98, Name: "br_forward", Module: "bridge", Program: "bridge_port", Role: RoleBridgePort, Meaning: "the bridge forwards the packet to a port"},
	{Point: 99, Name: "br_flood", Module: "bridge", Program: "skb", Skb: 1, Role: RoleBridgeFlood, Meaning: "the bridge floods the packet to its ports"},
	{Point: 100, Name: "br_pass_frame_up", Module: "bridge", Program: "skb", Role: RoleBridgeUp, Meaning: "the bridge hands the packet to its node"},
	{Point: 101, Name: "vxlan_xmit", Module: "vxlan", Program: "skb", Role: RoleTunnel, Meaning: "a VXLAN device takes the packet"},
	{Point: 102, Name: "vxlan_xmit_one", Module: "vxlan", Program: "skb", Role: RoleTunnelSend, Meaning: "the packet is put into VXLAN"},
	{Point: 103, Name: "geneve_xmit", Module: "geneve", Program: "skb", Role: RoleTunnel, Meaning: "a Geneve device takes the packet"},
	{Point: 104, Name: "ip_tunnel_xmit", Module: "ip_tunnel", Program: "skb", Role: RoleTunnel, Meaning: "an IP-in-IP or GRE device takes the packet"},
	{Point: 105, Name: "tcf_classify", Program: "skb", Role: RoleTC, Meaning: "tc filters were asked"},
	{Point: 106, Name: "skb_do_redirect", Program: "skb", Role: RoleTCRedirect, Meaning: "a tc program redirects the packet"},
	{Point: 107, Name: "__cgroup_bpf_run_filter_skb", Program: "skb", Skb: 1, Role: RoleCgroup, Meaning: "cgroup programs were asked"},
	{Point: 108, Name: "tcp_v4_rcv", Program: "skb", Role: RoleTransport, Meaning: "given to TCP", Family: 4},
	{Point: 109, Name: "tcp_v6_rcv", Program: "skb", Role: RoleTransport, Meaning: "given to TCP over IPv6", Family: 6},
	{Point: 110, Name: "udp_rcv", Program: "skb", Role: RoleTransport, Meaning: "given to UDP", Family: 4},
	{Point: 111, Name: "udpv6_rcv", Program: "skb", Role: RoleTransport, Meaning: "given to UDP over IPv6", Family: 6},
	{Point: 112, Name: "icmp_rcv", Program: "skb", Role: RoleTransport, Meaning: "given to ICMP", Family: 4},
	{Point: 113, Name: "icmpv6_rcv", Program: "skb", Role: RoleTransport, Meaning: "given to ICMPv6", Family: 6},
	{Point: 114, Name: "tcp_conn_request", Program: "syn", Role: RoleListener, Meaning: "a listening socket takes a SYN"},
	{Point: 115, Name: "tcp_v4_syn_recv_sock", Program: "accept", Role: RoleListener, Meaning: "a handshake is completed", Family: 4},
	{Point: 116, Name: "tcp_v6_syn_recv_sock", Program: "accept", Role: RoleListener, Meaning: "a handshake over IPv6 is completed", Family: 6},
	{Point: 117, Name: "skb_release_head_state", Program: "release", Role: RoleRelease, Meaning: "the packet's memory is given back"},
	{Point: 118, Name: "comment_mt", Module: "xt_comment", Program: "xt", Role: RoleRule, Idle: true, Meaning: "an iptables rule's comment was reached"},
	{Point: 119, Name: "reject_tg", Module: "ipt_REJECT", Program: "xt", Role: RoleRule, Idle: true, Meaning: "an iptables rule rejects the packet", Family: 4},
	{Point: 120, Name: "reject_tg6", Module: "ip6t_REJECT", Program: "xt", Role: RoleRule, Idle: true, Meaning: "an ip6tables rule rejects the packet", Family: 6},
	{Point: 121, Name: "xt_dnat_target_v2", Module: "xt_nat", Program: "xt", Role: RoleRule, Idle: true, Meaning: "an iptables rule translates the destination"},
	{Point: 122, Name: "xt_snat_target_v2", Module: "xt_nat", Program: "xt", Role: RoleRule, Idle: true, Meaning: "an iptables rule translates the source"},
	{Point: 123, Name: "masquerade_tg", Module: "xt_MASQUERADE", Program: "xt", Role: RoleRule, Idle: true, Meaning: "an iptables rule masquerades the source", Family: 4},
	{Point: 124, Name: "masquerade_tg6", Module: "xt_MASQUERADE", Program: "xt", Role: RoleRule, Idle: true, Meaning: "an ip6tables rule masquerades the source", Family: 6},
	{Point: 125, Name: "redirect_tg4", Module: "xt_REDIRECT", Program: "xt", Role: RoleRule, Idle: true, Meaning: "an iptables rule redirects the packet to this node", Family: 4},
	{Point: 126, Name: "redirect_tg6", Module: "xt_REDIRECT", Program: "xt", Role: RoleRule, Idle: true, Meaning: "an ip6tables rule redirects the packet to this node", Family: 6},
	{Point: 127, Name: "nft_immediate_eval", Module: "nf_tables", Program: "nft_verdict", Role: RoleRule, Meaning: "an nftables rule drops the packet"},
	{Point: 128, Name: "nft_reject_ipv4_eval", Module: "nft_reject_ipv4", Program: "nft", Role: RoleRule, Idle: true, Meaning: "an nftables rule rejects the packet", Family: 4},
	{Point: 129, Name: "nft_reject_ipv6_eval", Module: "nft_reject_ipv6", Program: "nft", Role: RoleRule, Idle: true, Meaning: "an nftables rule rejects the IPv6 packet", Family: 6},
	{Point: 130, Name: "nft_reject_inet_eval", Module: "nft_reject_inet", Program: "nft", Role: RoleRule, Idle: true, Meaning: "an nftables rule of family inet rejects the packet"},
	{Point: 131, Name: "nft_nat_eval", Module: "nft_nat", Program: "nft", Role: RoleRule, Idle: true, Meaning: "an nftables rule translates the packet"},
	{Point: 132, Name: "nft_nat_inet_eval", Module: "nft_nat", Program: "nft", Role: RoleRule, Idle: true, Meaning: "an nftables rule of family inet translates the packet"},
	{Point: 133, Name: "nft_masq_eval", Module: "nft_masq", Program: "nft", Role: RoleRule, Idle: true, Meaning: "an nftables rule masquerades the source", Else: "nft_masq_ipv4_eval"},
	{Point: 134, Name: "nft_masq_ipv4_eval", Module: "nft_masq", Program: "nft", Role: RoleRule, Idle: true, Meaning: "the same before 6.12", Family: 4, Else: "nft_masq_eval"},
	{Point: 135, Name: "nft_masq_ipv6_eval", Module: "nft_masq", Program: "nft", Role: RoleRule, Idle: true, Meaning: "the same for IPv6", Family: 6, Else: "nft_masq_eval"},
	{Point: 136, Name: "nft_masq_inet_eval", Module: "nft_masq", Program: "nft", Role: RoleRule, Idle: true, Meaning: "the same for family inet", Else: "nft_masq_eval"},
	{Point: 137, Name: "nft_redir_eval", Module: "nft_redir", Program: "nft", Role: RoleRule, Idle: true, Meaning: "an nftables rule redirects the packet to this node"},
	{Point: 138, Name: "nft_target_eval_xt", Module: "nft_compat", Program: "nft", Role: RoleRule, Idle: true, Meaning: "a target of iptables-nft"},
}

// functionsByPoint is Functions by number.
var functionsByPoint = func() map[Point]*Function {
	m := map[Point]*Function{}
	for i := range Functions {
		m[Functions[i].Point] = &Functions[i]
	}
	return m
}()

// RoleOf is the role of a function's point; RoleNone for a tracepoint.
func RoleOf(p Point) Role {
	if f := functionsByPoint[p]; f != nil {
		return f.Role
	}
	return RoleNone
}

// Meanings is what each point tells, by its name.
func Meanings() map[string]string {
	m := map[string]string{}
	for _, p := range Points {
		m[p.Name] = p.Meaning
	}
	for _, f := range Functions {
		m[f.Name] = f.Meaning
	}
	return m
}
