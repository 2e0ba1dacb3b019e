/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The generic point: a function was called with a packet that is followed. A row in pkg/tracer/functions.go makes a function such a point. */

static __always_inline int plain(u64 cookie, u64 skb)
{
	struct scratch *s = function_event(cookie, skb);

	return s ? tell_plain(s->slot) : 0;
}

static __always_inline int on_skb(void *ctx, u64 cookie, const u64 *a)
{
	switch (COOKIE_SKB(cookie)) {
	case 0: return plain(cookie, a[0]);
	case 1: return plain(cookie, a[1]);
	case 2: return plain(cookie, a[2]);
	default: return plain(cookie, a[3]);
	}
}

SEC("kprobe") int kprobe_skb(struct pt_regs *ctx)
{
	u64 a[MAX_ARGS] = {PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx), PT_REGS_PARM4(ctx)};
	u64 cookie = tracking ? kprobe_cookie(ctx) : 0;

	return cookie ? on_skb(ctx, cookie, a) : 0;
}

/* One for each place of the packet among the arguments. */
#define FENTRY_SKB(i) \
SEC("fentry/nf_hook_slow") int fentry_skb##i(u64 *ctx) \
{ \
	u64 cookie, skb = 0; \
	if (!tracking) \
		return 0; \
	bpf_probe_read_kernel(&skb, sizeof(skb), ctx + i); /* as a number, see FENTRY */ \
	asm volatile("%0 = %1 ll" : "=r"(cookie) : "i"(FENTRY_COOKIE)); \
	return plain(cookie, skb); \
}
FENTRY_SKB(0)
FENTRY_SKB(1)
FENTRY_SKB(2)
FENTRY_SKB(3)

/* A function's number: the ICMP type and code, the hook, the VNI. */
FUNCTION(skb_value, 3)
{
	struct scratch *s = function_event(cookie, a[0]);

	if (!s)
		return 0;
	s->d.value = (u32)a[1];
	s->d.limit = (u32)a[2];
	return tell_detail(s->slot);
}

/* The packet's memory is given back (net/core/skbuff.c): also where neither kfree_skb nor consume_skb is traced. */
FUNCTION(release, 1)
{
	u64 skb = a[0];
	struct scratch *s = function_event(cookie, skb);

	if (!s)
		return 0;
	tell_plain(s->slot);
	bpf_map_delete_elem(&tracked, &skb);
	return 0;
}
