/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Netfilter: which hook, which table, which chain. That a packet goes on behind one says that it was accepted there. */

GLOBAL int fill_hook(u32 slot, u64 hook)
{
	struct nf_hook_state *state = (void *)hook;
	struct scratch *s = scratch_at(slot);
	struct net_device *in, *out;
	struct detail_event *d;

	if (!s)
		return 0;
	d = &s->d;
	in = BPF_CORE_READ(state, in);
	out = BPF_CORE_READ(state, out);
	d->hook = BPF_CORE_READ(state, hook);
	d->pf = BPF_CORE_READ(state, pf);
	d->e.netns = BPF_CORE_READ(state, net, ns.inum);
	if (in) {
		d->in_ifindex = BPF_CORE_READ(in, ifindex);
		bpf_probe_read_kernel_str(d->in_dev, sizeof(d->in_dev), &in->name);
	}
	if (out) {
		d->out_ifindex = BPF_CORE_READ(out, ifindex);
		bpf_probe_read_kernel_str(d->out_dev, sizeof(d->out_dev), &out->name);
	}
	return 0;
}

/* nf_hook_slow(skb, state, entries, index) */
FUNCTION(hook, 2)
{
	struct scratch *s = function_event(cookie, a[0]);

	if (!s)
		return 0;
	fill_hook(s->slot, a[1]);
	return tell_detail(s->slot);
}

/*
 * ipt_do_table, ip6t_do_table: (skb, state, table) before 5.16, (table, skb, state) since. The packet is the one that is followed. The value is
 * the address of the table's rules.
 */
FUNCTION(table, 3)
{
	bool old = tracked_packet(a[0]) != NULL;
	struct scratch *s = function_event(cookie, old ? a[0] : a[1]);
	struct xt_table *table = (void *)(old ? a[2] : a[0]);
	struct detail_event *d;

	if (!s)
		return 0;
	d = &s->d;
	fill_hook(s->slot, old ? a[1] : a[2]);
	if (bpf_core_type_exists(struct xt_table)) {
		bpf_probe_read_kernel_str(d->name, sizeof(d->name), &table->name);
		d->value = (u64)BPF_CORE_READ(table, private);
		d->value += bpf_core_field_offset(struct xt_table_info, entries);
	} else {
		struct old_xt_table t = {};

		bpf_probe_read_kernel(&t, sizeof(t), table);
		bpf_probe_read_kernel_str(d->name, sizeof(d->name), ((struct old_xt_table *)table)->name);
		d->value = (u64)t.private + OLD_XT_ENTRIES;
	}
	return tell_detail(s->slot);
}

/* nft_do_chain(pkt, chain): struct nft_pktinfo starts with the packet. */
FUNCTION(chain, 2)
{
	struct scratch *s;
	char *table = NULL, *chain = NULL;
	u64 skb = 0;

	bpf_probe_read_kernel(&skb, sizeof(skb), (void *)a[0]);
	s = function_event(cookie, skb);
	if (!s)
		return 0;
	if (bpf_core_type_exists(struct nft_chain)) {
		struct nft_chain *c = (void *)a[1];

		table = BPF_CORE_READ(c, table, name);
		chain = BPF_CORE_READ(c, name);
	} else {
		struct old_nft_chain c = {};

		bpf_probe_read_kernel(&c, sizeof(c), (void *)a[1]);
		chain = c.name;
		bpf_probe_read_kernel(&table, sizeof(table), c.table + OLD_NFT_TABLE_NAME);
	}
	bpf_probe_read_kernel_str(s->d.name, sizeof(s->d.name), table);
	bpf_probe_read_kernel_str(s->d.chain, sizeof(s->d.chain), chain);
	return tell_detail(s->slot);
}
