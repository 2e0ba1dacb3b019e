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
	bpf_probe_read_kernel(a, n * sizeof(a[0]), ctx); /* as numbers: the verifier's pointers are neither calculated with nor given to global functions */ \
	asm volatile("%0 = %1 ll" : "=r"(cookie) : "i"(FENTRY_COOKIE)); \
	return on_##name(ctx, cookie, a); \
} \
static __always_inline int on_##name(void *ctx, u64 cookie, const u64 *a)

static __always_inline struct track *tracked_packet(u64 skb)
{
	return bpf_map_lookup_elem(&tracked, &skb);
}

/* The conntrack entry as it is, without learning from it: that is done where packets are parsed. */
GLOBAL int copy_conntrack(u32 slot, u64 nfct)
{
	struct nf_conn *ct = (void *)(nfct & NFCT_PTRMASK);
	struct scratch *s = scratch_at(slot);

	if (!s || !ct || !bpf_core_field_exists(ct->tuplehash))
		return 0;
	READ_CT_TUPLE(ct, 0, &s->e.ct_orig);
	READ_CT_TUPLE(ct, 1, &s->e.ct_reply);
	if (s->e.ct_orig.proto == IPPROTO_ICMP)
		s->e.ct_orig.dport = s->e.ct_orig.sport;
	if (s->e.ct_reply.proto == IPPROTO_ICMP)
		s->e.ct_reply.dport = s->e.ct_reply.sport;
	s->e.ct_status = BPF_CORE_READ(ct, status);
	s->e.flags |= EVENT_HAS_CT;
	return 0;
}

/* Fills the scratch's event with what can be had from any packet without parsing it. Which packet it is stands in the scratch. */
GLOBAL int fill_function(u32 slot, u64 key, u32 point)
{
	struct sk_buff *skb = (void *)key;
	struct scratch *s = scratch_at(slot);
	struct current_packet *cur = current_packet();
	struct net_device *dev;
	u64 nfct;

	if (!s || !cur)
		return 0;
	__builtin_memset(&s->d, 0, sizeof(s->d));
	s->e.ts = bpf_ktime_get_ns();
	s->e.point = point;
	s->e.cpu = bpf_get_smp_processor_id();
	dev = device_of(skb);
	nfct = BPF_CORE_READ(skb, _nfct);
	s->e.skb = key;
	s->e.id = s->t.id;
	s->e.dir = s->t.dir;
	s->e.mark = BPF_CORE_READ(skb, mark);
	s->e.len = BPF_CORE_READ(skb, len);
	s->e.iif = BPF_CORE_READ(skb, skb_iif);
	s->e.ctinfo = nfct & 7;
	if (dev) {
		s->e.ifindex = BPF_CORE_READ(dev, ifindex);
		s->e.netns = BPF_CORE_READ(dev, nd_net.net, ns.inum);
		bpf_probe_read_kernel_str(s->e.dev, sizeof(s->e.dev), &dev->name);
	}
	if (nfct & NFCT_PTRMASK)
		copy_conntrack(slot, nfct);
	if (cur->skb != key || cur->id != s->t.id) { /* for the points that have no packet among their arguments */
		cur->skb = key;
		cur->id = s->t.id;
		cur->dir = s->t.dir;
		cur->received = 1;
	}
	cur->ts = s->e.ts;
	return 0;
}

/*
 * Begins what a function has to tell about a packet that is followed: the place of a scratch whose event is filled, to be given back by one of
 * the three below; SCRATCHES for any other packet. Each body adds its own. All of these are global functions, so that the verifier walks them
 * once and not in each body.
 */
GLOBAL u32 begin_function(u32 point, u64 key)
{
	struct track *t = bpf_map_lookup_elem(&tracked, &key);
	struct scratch *s;
	u32 slot;

	if (!t)
		return SCRATCHES;
	slot = take_slot();
	s = scratch_at(slot);
	if (!s) {
		count_lost(point);
		return SCRATCHES;
	}
	s->t = *t;
	fill_function(slot, key, point);
	return slot;
}

static __always_inline int tell(u32 slot, u64 size)
{
	struct scratch *s = scratch_at(slot);

	if (!s)
		return 0;
	if (bpf_ringbuf_output(&events, &s->e, size, 0))
		count_lost(s->e.point);
	free_scratch(s);
	return 0;
}

GLOBAL int tell_plain(u32 slot) { return tell(slot, sizeof(struct event)); }
GLOBAL int tell_detail(u32 slot) { return tell(slot, sizeof(struct detail_event)); }
GLOBAL int tell_rule(u32 slot) { return tell(slot, sizeof(struct rule_event)); }

/* The scratch of a packet that is followed, NULL for any other. */
static __always_inline struct scratch *function_event(u64 cookie, u64 skb)
{
	return scratch_at(begin_function(COOKIE_POINT(cookie), skb));
}

#endif
