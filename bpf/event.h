/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The wire format between kernel and user space. bpf2go writes the Go side from these types; nothing is retyped by hand. */
#ifndef NETTRACE_EVENT_H
#define NETTRACE_EVENT_H

/* Which point an event comes from. Recordings hold these numbers: append, never renumber. */
enum point {
	POINT_NONE,
	POINT_RX,	     /* net:netif_receive_skb */
	POINT_TX,	     /* net:net_dev_start_xmit */
	POINT_QUEUE,	     /* net:net_dev_queue */
	POINT_DROP,	     /* skb:kfree_skb */
	POINT_CONSUME,	     /* skb:consume_skb */
	POINT_FIB,	     /* fib:fib_table_lookup */
	POINT_FIB6,	     /* fib6:fib6_table_lookup */
	POINT_NEIGH_SEND,    /* neigh:neigh_event_send_done */
	POINT_NEIGH_DEAD,    /* neigh:neigh_event_send_dead */
	POINT_NEIGH_TIMER,   /* neigh:neigh_timer_handler */
	POINT_NEIGH_UPDATE,  /* neigh:neigh_update_done */
	POINT_ICMP,	     /* icmp:icmp_send */
	POINT_SK_STATE,	     /* sock:inet_sock_set_state */
	POINT_RETRANSMIT,    /* tcp:tcp_retransmit_skb */
	POINT_RESET_SENT,    /* tcp:tcp_send_reset */
	POINT_RESET_RECEIVED, /* tcp:tcp_receive_reset */
	POINT_TRACEPOINTS,   /* one more than the last tracepoint */
	/* From here on kernel functions: their numbers are given by the rows of pkg/tracer/functions.go. */
	POINT_FUNCTIONS = 64,
	POINT_MAX = 256,
};

/* What carries the flow's packet; in the pad of the outer tuple, where older recordings have 0 for VXLAN. */
enum tunnel {
	TUNNEL_NONE,
	TUNNEL_VXLAN,
	TUNNEL_GENEVE,
	TUNNEL_IPIP,
};

/*
 * The bodies that serve functions: a row here for each FUNCTION(name, arguments) in points/. output.bpf.h is a program of its own. Their numbers are
 * not part of recordings.
 */
#define BODIES(X) \
	X(skb) \
	X(skb_value) \
	X(release) \
	X(hook) \
	X(table) \
	X(chain) \
	X(invalid) \
	X(early_drop) \
	X(nat) \
	X(ipvs) \
	X(bridge_port) \
	X(syn) \
	X(accept) \
	X(xt) \
	X(nft) \
	X(nft_verdict)
#define BODY_NUMBER(name) BODY_##name,
enum function_body { BODIES(BODY_NUMBER) };

/* How a packet relates to the flow. */
enum direction {
	DIR_NONE,
	DIR_REQUEST,
	DIR_REPLY,
	DIR_RELATED,
};

enum event_flag {
	EVENT_OUTER = 1,    /* o and vni are set: the flow's packet is inside a tunnel */
	EVENT_HAS_CT = 2,   /* the ct fields are set */
	EVENT_HAS_SKB = 4,  /* the packet fields were read from a packet */
	EVENT_FIRST = 8,    /* first sight of this packet identity */
	EVENT_ABOUT = 16,   /* an ICMP error: about is the tuple of the packet that it is about */
	EVENT_LOCAL = 32,   /* route: the packet is for this namespace */
};

#define STACK_DEPTH 16

/*
 * A packet's addresses: network byte order, IPv4 in the first four bytes. Ports in host order. ICMPv6 has proto 1 as ICMP has;
 * family tells them apart; an echo's id stands in both ports.
 */
struct tuple {
	u8 saddr[16];
	u8 daddr[16];
	u16 sport;
	u16 dport;
	u8 proto;
	u8 family; /* 4 or 6 */
	u16 pad;
};

struct event {
	u64 ts;	  /* CLOCK_MONOTONIC, ns */
	u64 id;	  /* packet identity; 0 for an event without a packet */
	u64 skb;  /* pointer, for reports only */
	u64 addr; /* code address that dropped or consumed */
	u32 point;
	u32 reason; /* drop reason or reset reason; 0 when the kernel has none */
	u32 cpu;
	u32 netns; /* inode number; 0 when unknown */
	u32 ifindex;
	u32 iif; /* skb_iif */
	u32 mark;
	u32 len;   /* skb->len */
	u32 iplen; /* IP length of the flow's packet, from its header; for GSO packets skb->len less the headers before it */
	u32 seq;   /* TCP */
	u32 ack;   /* TCP */
	u32 vni;
	u32 ct_status;
	u32 table; /* routing table */
	s32 err;   /* negative errno of a route or neighbour event */
	u32 oif;   /* route */
	u32 nstack;
	struct tuple t; /* the flow's packet */
	struct tuple o; /* the packet that carries it */
	struct tuple about; /* the packet inside an ICMP error */
	struct tuple ct_orig;
	struct tuple ct_reply;
	u8 gw[16]; /* gateway, or the neighbour's address */
	u16 ipid;
	u16 icmp_seq;
	u16 payload; /* TCP payload bytes in the flow's packet, at most 65535 */
	u8 tcp_flags;
	u8 ttl;
	u8 icmp_type;
	u8 icmp_code;
	u8 dir;
	u8 flags;
	u8 ctinfo;
	u8 gw_family; /* 0, 4 or 6 */
	u8 old_state; /* socket or NUD state */
	u8 new_state;
	u8 dev[IFNAMSIZ];
	u8 kind[IFNAMSIZ];
	u8 oif_name[IFNAMSIZ];
};

struct drop_event {
	struct event e;
	u64 stack[STACK_DEPTH]; /* innermost first; nstack of them are set */
};

/* What some kernel functions tell besides the packet. Which of it is set depends on the function. */
struct detail_event {
	struct event e;
	u32 hook;	/* enum nf_inet_hooks */
	u32 pf;		/* NFPROTO_* */
	u32 in_ifindex; /* of the hook */
	u32 out_ifindex;
	s64 value;	/* a function's own number or address, see the program that sets it */
	s64 limit;
	struct tuple from, to; /* IPVS: client to virtual server; client to real server */
	u8 name[32];	/* table; IPVS: unused */
	u8 chain[64];	/* chain; for an invalid packet the kernel's words */
	u8 in_dev[IFNAMSIZ];
	u8 out_dev[IFNAMSIZ];
};

/* The bytes of an nftables rule up to the expression that ran. */
#define RULE_BYTES 1024
#define RULE_STEP 128
struct rule_event {
	struct event e;
	u32 known; /* bytes of before, counted from its end, that could be read */
	u32 pad;
	u8 before[RULE_BYTES];
};

/* bpf2go writes only types that the object's BTF names. */
const enum point *use_point __attribute__((unused));
const enum direction *use_direction __attribute__((unused));
const enum tunnel *use_tunnel __attribute__((unused));
const enum function_body *use_function_body __attribute__((unused));
const enum event_flag *use_event_flag __attribute__((unused));
const struct drop_event *use_drop_event __attribute__((unused));
const struct detail_event *use_detail_event __attribute__((unused));
const struct rule_event *use_rule_event __attribute__((unused));

#endif
