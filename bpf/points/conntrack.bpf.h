/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Connection tracking and NAT. */

/*
 * nf_ct_l4proto_log_invalid: the kernel's own words for why a packet is INVALID, also when the sysctl that prints them is off.
 * (skb, net, pf, protonum, fmt, ...) before 5.15, (skb, ct, state, fmt, ...) since; nf_ct_l4proto_log_invalid takes variable arguments, so there
 * is no fentry. A protocol number is smaller than any address.
 */
static __always_inline int on_invalid(void *ctx, u64 cookie, const u64 *a)
{
	u64 words = a[3] < 4096 ? a[4] : a[3];
	struct scratch *s = function_event(cookie, a[0]);

	if (!s)
		return 0;
	bpf_probe_read_kernel_str(s->d.chain, sizeof(s->d.chain), (void *)words);
	return tell_detail(s->slot);
}

SEC("kprobe") int kprobe_invalid(struct pt_regs *ctx)
{
	u64 a[MAX_ARGS] = {PT_REGS_PARM1(ctx), 0, 0, PT_REGS_PARM4(ctx), PT_REGS_PARM5(ctx)};
	u64 cookie = tracking ? kprobe_cookie(ctx) : 0;

	return cookie ? on_invalid(ctx, cookie, a) : 0;
}

/* early_drop(net, hash): the table is full and an entry is looked for that can go. The packet is the one that this CPU handles. */
FUNCTION(early_drop, 1)
{
	struct current_packet *cur = current_packet();

	return cur && still_current(cur) ? plain(cookie, cur->skb) : 0;
}

/* nf_nat_manip_pkt(skb, ct, maniptype, dir): this packet is rewritten now, to what the entry's other direction answers. */
FUNCTION(nat, 4)
{
	struct scratch *s = function_event(cookie, a[0]);

	if (!s)
		return 0;
	s->d.value = (u32)a[2];
	s->d.limit = (u32)a[3];
	if (!(s->e.flags & EVENT_HAS_CT))
		copy_conntrack(s->slot, a[1]);
	return tell_detail(s->slot);
}
