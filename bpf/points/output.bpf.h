/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * __ip_local_out(net, sk, skb), __ip6_local_out: a sender's packet before the OUTPUT hook, seen before any device. The only function that
 * looks at packets which nothing knows yet.
 */
static __always_inline int local_out(u64 cookie, u64 ns, u64 key)
{
	struct sk_buff *skb = (void *)key;
	struct window w = {
		.head = BPF_CORE_READ(skb, head), .off = BPF_CORE_READ(skb, network_header), .tail = BPF_CORE_READ(skb, tail),
	};
	struct scratch *s;
	int seen;

	if (!cookie || !may_matter(key, &w))
		return 0;
	s = take_scratch();
	if (!s) {
		count_lost(COOKIE_POINT(cookie));
		return 0;
	}
	s->w = w;
	s->skb = key;
	seen = identify(s->slot);
	if (!seen) {
		free_scratch(s);
		return 0;
	}
	fill_function(s->slot, key, COOKIE_POINT(cookie));
	s->e.flags |= EVENT_HAS_SKB | (seen == 2 ? EVENT_FIRST : 0);
	fill_packet(&s->e, &s->p);
	s->e.iplen = s->e.len; /* its header gets the length in this function */
	s->e.netns = BPF_CORE_READ((struct net *)ns, ns.inum); /* there is no device yet */
	return tell_plain(s->slot);
}

SEC("kprobe") int kprobe_local_out(struct pt_regs *ctx)
{
	return local_out(kprobe_cookie(ctx), PT_REGS_PARM1(ctx), PT_REGS_PARM3(ctx));
}

SEC("fentry/nf_hook_slow") int fentry_local_out(u64 *ctx)
{
	u64 cookie, a[3] = {};

	bpf_probe_read_kernel(a, sizeof(a), ctx); /* as numbers, see FENTRY */
	asm volatile("%0 = %1 ll" : "=r"(cookie) : "i"(FENTRY_COOKIE));
	return local_out(cookie, a[0], a[2]);
}
