/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Knobs, set by the loader before load: constants to the verifier, which deletes what they switch off. */
#ifndef NETTRACE_CONFIG_H
#define NETTRACE_CONFIG_H

/*
 * How many arguments a tracepoint has on the running kernel, read by the loader from the BTF of btf_trace_<name>. Reading one that
 * does not exist is refused by the verifier, so every optional argument stands behind these.
 */
volatile const u32 kfree_skb_args = 2;	 /* 2 before 5.17, then + reason, since 6.11 + rx_sk */
volatile const u32 consume_skb_args = 1; /* 1, since 6.12 + location */
volatile const u32 send_reset_args = 2;	 /* 2, since 6.10 + reason */

volatile const bool cfg_cookies = true; /* kprobes have cookies: since 5.15 */

volatile const u8 cfg_proto = IPPROTO_TCP; /* ICMPv6 as 1 */
volatile const u16 cfg_sport = 0;	   /* 0: any */
volatile const u16 cfg_dport = 0;	   /* 0: any */
volatile const bool cfg_any_src = false;

#define VXLAN_PORTS 4
volatile const u16 cfg_vxlan_ports[VXLAN_PORTS] = {8472, 4789, 0, 0};

#endif
