/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The kernel structs that are read, with only the fields that are used. preserve_access_index makes each access a CO-RE
 * relocation: the loader puts in the running kernel's offsets. Each struct names the kernel header that defines it.
 */
#ifndef NETTRACE_KERNEL_H
#define NETTRACE_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
#define s64 __s64
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __u16 __sum16;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

/* include/uapi/linux/bpf.h: only what is used; the numbers are kernel ABI. */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum { BPF_ANY = 0, BPF_NOEXIST = 1 };

#define __VMLINUX_H__ /* the names of registers are those of the kernel itself */
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#define u8 __u8
#define u16 __u16
#define u32 __u32
#define u64 __u64
#define s32 __s32

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_ICMP 1
#define IPPROTO_IPIP 4
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_IPV6 41
#define IPPROTO_ICMPV6 58
#define IPPROTO_SCTP 132
#define ETH_P_8021Q 0x8100
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define ETH_P_TEB 0x6558
#define GENEVE_PORT 6081 /* RFC 8926 */
#define ETH_HLEN 14
#define IFF_LOOPBACK 0x8
#define IFNAMSIZ 16
/* The lowest number of a network namespace: that of the first one since 6.18 (include/uapi/linux/nsfs.h), before it PROC_DYNAMIC_FIRST (fs/proc/generic.c). */
#define NETNS_FIRST 0xEFFFFFF9
#define NFCT_PTRMASK ~7UL /* include/linux/netfilter/nf_conntrack_common.h */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* include/net/net_namespace.h, include/linux/ns_common.h */
struct ns_common {
	unsigned int inum;
};
struct net {
	struct ns_common ns;
};
typedef struct {
	struct net *net;
} possible_net_t;

/* include/net/rtnetlink.h */
struct rtnl_link_ops {
	const char *kind;
};

/* include/linux/netdevice.h */
struct net_device {
	unsigned int flags;
	char name[IFNAMSIZ];
	int ifindex;
	possible_net_t nd_net;
	const struct rtnl_link_ops *rtnl_link_ops;
};

/* include/linux/skbuff.h */
struct sock;
struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	char cb[48];
	unsigned long _nfct;
	unsigned int len;
	int skb_iif;
	__u32 mark;
	__be16 protocol;
	__u16 network_header;
	__u32 tail;
	unsigned char *head, *data;
};

/* include/net/sock.h */
struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};
struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};
struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	u32 sk_ack_backlog;
	u32 sk_max_ack_backlog;
};

/* include/net/flow.h */
struct flowi_common {
	int flowic_oif;
	int flowic_iif;
	__u8 flowic_proto;
};
union flowi_uli {
	struct {
		__be16 dport;
		__be16 sport;
	} ports;
};
struct flowi4 {
	struct flowi_common __fl_common;
	__be32 saddr;
	__be32 daddr;
	union flowi_uli uli;
};
struct flowi6 {
	struct flowi_common __fl_common;
	struct in6_addr daddr;
	struct in6_addr saddr;
	union flowi_uli uli;
};

/* include/net/ip_fib.h, include/net/ip6_fib.h */
struct fib_nh_common {
	struct net_device *nhc_dev;
	int nhc_oif;
	unsigned char nhc_scope;
	u8 nhc_gw_family;
	union {
		__be32 ipv4;
		struct in6_addr ipv6;
	} nhc_gw;
};
struct fib6_nh {
	struct fib_nh_common nh_common;
};
struct fib6_result {
	struct fib6_nh *nh;
	u32 fib6_flags;
	u8 fib6_type;
};
struct fib6_table {
	u32 tb6_id;
};

/* include/net/neighbour.h */
struct neigh_table {
	int family;
};
struct neighbour {
	struct neigh_table *tbl;
	__u8 nud_state;
	struct net_device *dev;
	u8 primary_key[0];
};

/* include/net/netfilter/nf_conntrack_tuple.h, nf_conntrack.h */
union nf_inet_addr {
	__u32 all[4];
};
union nf_conntrack_man_proto {
	__be16 all;
};
struct nf_conntrack_man {
	union nf_inet_addr u3;
	union nf_conntrack_man_proto u;
	u16 l3num;
};
struct nf_conntrack_tuple {
	struct nf_conntrack_man src;
	struct {
		union nf_inet_addr u3;
		union {
			__be16 all;
		} u;
		u8 protonum;
	} dst;
};
struct nf_conntrack_tuple_hash {
	struct nf_conntrack_tuple tuple;
};
struct nf_conn {
	struct nf_conntrack_tuple_hash tuplehash[2];
	unsigned long status;
};

/* include/linux/netfilter.h */
struct nf_hook_state {
	u8 hook;
	u8 pf;
	struct net_device *in;
	struct net_device *out;
	struct net *net;
};

/* include/linux/netfilter/x_tables.h: a module's type, in vmlinux's BTF only on some kernels */
struct xt_table_info {
	unsigned char entries[0];
};
struct xt_table {
	struct xt_table_info *private;
	char name[32];
};

/* include/net/netfilter/nf_tables.h, likewise */
struct nft_table {
	char *name;
};
struct nft_chain {
	struct nft_table *table;
	char *name;
};

/* include/linux/rhashtable-types.h; only its size is needed (compat.h) */
struct rhashtable {
	unsigned int key_len;
};
struct rhltable {
	struct rhashtable ht;
};

/* include/net/ip_vs.h, likewise */
struct ip_vs_conn {
	__be16 cport;
	__be16 dport;
	__be16 vport;
	u16 af;
	union nf_inet_addr caddr;
	union nf_inet_addr vaddr;
	union nf_inet_addr daddr;
	u16 protocol;
};

/* net/bridge/br_private.h, likewise */
struct net_bridge_port {
	struct net_device *dev;
};

/* include/linux/nsproxy.h, include/linux/sched.h */
struct nsproxy {
	struct net *net_ns;
};
struct task_struct {
	struct nsproxy *nsproxy;
};

#pragma clang attribute pop

/* arch/x86/include/asm/ptrace.h, arch/arm64/include/uapi/asm/ptrace.h: what a kprobe program gets; the verifier fixes its layout. */
#if defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	u64 regs[31];
	u64 sp;
	u64 pc;
	u64 pstate;
};
struct pt_regs {
	struct user_pt_regs user_regs;
};
#else
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#endif

/* Headers on the wire: fixed by RFC 791, 8200, 9293, 768, 792, 7348; never relocated. */
struct ip4hdr {
	u8 ihl_version, tos;
	__be16 tot_len, id, frag_off;
	u8 ttl, protocol;
	__sum16 check;
	__be32 saddr, daddr;
};
struct ip6hdr {
	__be32 ver_flow;
	__be16 payload_len;
	u8 nexthdr, hop_limit;
	u8 saddr[16], daddr[16];
};

#endif
