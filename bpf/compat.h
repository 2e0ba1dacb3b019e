/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Types of modules on kernels whose modules have no BTF (before 5.11): the layouts of 5.10, used only when CO-RE finds no such type. They
 * are not relocated.
 */
#ifndef NETTRACE_COMPAT_H
#define NETTRACE_COMPAT_H

/* include/net/ip_vs.h, 5.10 */
struct old_ip_vs_conn {
	void *c_list[2];
	__be16 cport, dport, vport;
	u16 af;
	u32 caddr[4], vaddr[4], daddr[4];
	u32 flags;
	u16 protocol;
};

/* include/linux/netfilter/x_tables.h, 5.10 */
struct old_xt_table {
	void *list[2];
	u32 valid_hooks;
	void *private;
	void *me;
	u8 af;
	s32 priority;
	void *table_init;
	char name[32];
};
#define OLD_XT_ENTRIES 64 /* in struct xt_table_info */

/* include/net/netfilter/nf_tables.h, 5.10; struct rhltable is vmlinux's own type (include/linux/rhashtable-types.h) */
struct old_nft_chain {
	void *rules_gen_0, *rules_gen_1;
	void *rules[2], *list[2], *rhlhead[2];
	void *table;
	u64 handle;
	u32 use;
	u8 flags;
	char *name;
};
/* struct nft_table: list, chains_ht, four lists, hgenerator, handle, use and bit fields, name */
#define OLD_NFT_TABLE_NAME (16 + bpf_core_type_size(struct rhltable) + 4 * 16 + 8 + 8 + 8)

#endif
