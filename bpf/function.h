/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Kernel functions as points. One body serves many functions and every rung: FUNCTION(name, n) makes it an fentry program, which the loader
 * copies for each function, and a kprobe program of its own for verifiers that refuse points/all.bpf.h, in which all bodies are one program:
 * a single one is quicker to load, and quicker to attach and detach by kprobe.multi.
 *
 * Functions tell what happens to packets that are followed already: a packet is recognised by its pointer, so that one of another flow
 * costs a single lookup, and none before the first packet of the flow. Only points/output.bpf.h looks at packets that nothing knows yet.
 */
#ifndef NETTRACE_FUNCTION_H
#define NETTRACE_FUNCTION_H

#define MAX_ARGS 5

/* Function address to point, where the kernel cannot give a kprobe a cookie (before 5.15). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__type(key, u64);
	__type(value, u64);
} functions SEC(".maps");

/* A cookie is the point's number, which argument is the packet (bit 16 on) and which body serves it (bit 24 on). */
#define COOKIE_POINT(c) ((u32)(c) & 0xffff)
#define COOKIE_SKB(c) ((u32)((c) >> 16) & 7)
#define COOKIE_BODY(c) ((u32)((c) >> 24) & 31)

/* The loader puts the cookie of the function into the copy of an fentry program. */
#define FENTRY_COOKIE 0x7ace00000000ULL

static __always_inline u64 kprobe_cookie(struct pt_regs *ctx)
{
	u64 ip = PT_REGS_IP(ctx), *c;

	if (cfg_cookies)
		return bpf_get_attach_cookie(ctx);
#if defined(__TARGET_ARCH_x86)
	ip -= 1; /* behind the breakpoint, also where ftrace stands in for it (arch/x86/kernel/kprobes/ftrace.c) */
#endif
	c = bpf_map_lookup_elem(&functions, &ip);
	return c ? *c : 0;
}

#define FUNCTION(name, n) \
static __always_inline int on_##name(void *ctx, u64 cookie, const u64 *a); \
SEC("kprobe") int kprobe_##name(struct pt_regs *ctx) \
{ \
	u64 a[MAX_ARGS] = {PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx), PT_REGS_PARM4(ctx), PT_REGS_PARM5(ctx)}; \
	u64 cookie = tracking ? kprobe_cookie(ctx) : 0; \
	return cookie ? on_##name(ctx, cookie, a) : 0; \
} \
FENTRY(name, n)

#define FENTRY(name, n) \
SEC("fentry/nf_hook_slow") int fentry_##name(u64 *ctx) \
{ \
	u64 a[MAX_ARGS] = {}, cookie; \
	if (!tracking) \
		return 0; \
	bpf_probe_read_kernel(a, n * sizeof(a[0]), ctx); /* as numbers: the verifier lets nobody calculate with its pointers */ \
	asm volatile("%0 = %1 ll" : "=r"(cookie) : "i"(FENTRY_COOKIE)); \
	return on_##name(ctx, cookie, a); \
} \
static __always_inline int on_##name(void *ctx, u64 cookie, const u64 *a)

static __always_inline struct track *tracked_packet(u64 skb)
{
	return bpf_map_lookup_elem(&tracked, &skb);
}

/* The conntrack entry as it is, without learning from it: that is done where packets are parsed. */
static __noinline int copy_conntrack(u64 nfct, struct event *e)
{
	struct nf_conn *ct = (void *)(nfct & NFCT_PTRMASK);
	struct tuple t = {};

	if (!e || !ct || !bpf_core_field_exists(ct->tuplehash))
		return 0;
	READ_CT_TUPLE(ct, 0, &t);
	if (t.proto == IPPROTO_ICMP)
		t.dport = t.sport;
	e->ct_orig = t;
	READ_CT_TUPLE(ct, 1, &t);
	if (t.proto == IPPROTO_ICMP)
		t.dport = t.sport;
	e->ct_reply = t;
	e->ct_status = BPF_CORE_READ(ct, status);
	e->flags |= EVENT_HAS_CT;
	return 0;
}

/* Fills what can be had from any packet without parsing it. */
static __noinline int fill_function(struct event *e, u64 key, const struct track *t)
{
	struct sk_buff *skb = (void *)key;
	struct net_device *dev;
	struct current_packet *cur;
	u64 nfct;

	if (!e || !t)
		return 0;
	dev = BPF_CORE_READ(skb, dev);
	nfct = BPF_CORE_READ(skb, _nfct);
	e->skb = key;
	e->id = t->id;
	e->dir = t->dir;
	e->mark = BPF_CORE_READ(skb, mark);
	e->len = BPF_CORE_READ(skb, len);
	e->iif = BPF_CORE_READ(skb, skb_iif);
	e->ctinfo = nfct & 7;
	if (dev) {
		e->ifindex = BPF_CORE_READ(dev, ifindex);
		e->netns = BPF_CORE_READ(dev, nd_net.net, ns.inum);
		bpf_probe_read_kernel_str(e->dev, sizeof(e->dev), &dev->name);
	}
	if (nfct & NFCT_PTRMASK)
		copy_conntrack(nfct, e);
	cur = current_packet();
	if (cur && cur->skb != key) { /* for the functions that have no packet among their arguments */
		cur->skb = key;
		cur->id = t->id;
		cur->dir = t->dir;
		cur->ts = e->ts;
		cur->received = 1;
	}
	return 0;
}

static __always_inline struct event *function_event(u32 point, u64 skb, u64 size)
{
	struct track *t = tracked_packet(skb);
	struct event *e;

	if (!t)
		return NULL;
	e = start_event(point, size);
	if (e)
		fill_function(e, skb, t);
	return e;
}

static __always_inline struct detail_event *detailed_event(u32 point, u64 skb)
{
	struct detail_event *d = (void *)function_event(point, skb, sizeof(struct detail_event));

	if (d)
		__builtin_memset((void *)d + sizeof(d->e), 0, sizeof(*d) - sizeof(d->e));
	return d;
}

#endif
