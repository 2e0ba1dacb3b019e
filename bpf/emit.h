/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reserve, fill, submit; what does not fit into the ring is counted per point. */
#ifndef NETTRACE_EMIT_H
#define NETTRACE_EMIT_H

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20); /* bytes; the loader sets it */
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, POINT_MAX);
	__type(key, u32);
	__type(value, u64);
} lost SEC(".maps");

/* By point, and in place 0 all of them. */
static __always_inline void count_lost(u32 point)
{
	u64 *n = bpf_map_lookup_elem(&lost, &point);
	u32 all = 0;

	if (n)
		++*n;
	n = bpf_map_lookup_elem(&lost, &all);
	if (n)
		++*n;
}

/*
 * Pointers are followed by reading memory, not by the verifier's types: since 6.4 it searches all types of the kernel by name for every pointer that
 * it follows (btf_nested_type_is_trusted), which was half of a start.
 */
static __always_inline u32 netns_of(const struct net_device *dev)
{
	return dev ? BPF_CORE_READ(dev, nd_net.net, ns.inum) : 0;
}

/* A sender's packet has no device before it is routed; its socket knows the namespace. */
static __always_inline u32 netns_of_sender(const struct sk_buff *skb)
{
	struct sock *sk = BPF_CORE_READ(skb, sk);

	return sk ? BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum) : 0;
}

static __noinline int fill_device(struct event *e, u64 device)
{
	const struct net_device *dev = (void *)device;

	if (!e || !dev)
		return 0;
	e->ifindex = BPF_CORE_READ(dev, ifindex);
	e->netns = netns_of(dev);
	fill_name(e, dev);
	return 0;
}

/* A zeroed event with what every point has. NULL, and counted, when the ring is full. */
static __always_inline struct event *start_event(u32 point, u64 size)
{
	struct event *e = bpf_ringbuf_reserve(&events, size, 0);

	if (!e) {
		count_lost(point);
		return NULL;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->ts = bpf_ktime_get_ns();
	e->point = point;
	e->cpu = bpf_get_smp_processor_id();
	return e;
}

static __always_inline void fill_skb(struct event *e, const struct sk_buff *skb, struct scratch *s)
{
	const struct track *t = &s->t;
	u64 nfct = skb->_nfct;

	e->skb = (u64)skb;
	e->id = t->id;
	e->dir = t->dir;
	e->mark = skb->mark;
	e->len = skb->len;
	e->iif = skb->skb_iif;
	e->flags |= EVENT_HAS_SKB;
	e->ctinfo = nfct & 7;
	fill_packet(e, &s->p);
	if (nfct)
		read_conntrack(nfct, e, s);
}

static __always_inline struct window window_of(const struct sk_buff *skb, u32 l3)
{
	struct window w = {.head = skb->head, .off = l3, .tail = skb->tail};

	return w;
}

/* Remembers the packet for the route and neighbour events that follow on this CPU. */
static __always_inline void set_current(const struct sk_buff *skb, const struct track *t, u64 ts, u32 point)
{
	struct current_packet *cur = current_packet();

	if (!cur)
		return;
	cur->skb = (u64)skb;
	cur->id = t->id;
	cur->dir = t->dir;
	cur->ts = ts;
	cur->received = point == POINT_RX;
}

/*
 * A fragment behind the first has no ports and is not followed. It has the addresses of the one that is, so what is looked up for it must not be
 * taken for that one's.
 */
static __always_inline void pass_fragment(const struct scratch *s)
{
	struct current_packet *cur = current_packet();

	if (cur && s->p.t.family && !s->p.t.sport && !s->p.t.dport)
		cur->skb = 0;
}

/* What every point with a packet does once it knows that the packet may matter. Returns the filled event, not yet submitted. */
static __always_inline struct event *packet_event(const struct sk_buff *skb, struct scratch *s, const struct net_device *dev, u32 point, u64 size)
{
	struct event *e;
	int seen;

	s->skb = (u64)skb;
	seen = identify(s->slot);
	if (!seen) {
		pass_fragment(s);
		return NULL;
	}
	e = start_event(point, size);
	if (!e)
		return NULL;
	if (seen == 2)
		e->flags |= EVENT_FIRST;
	fill_device(e, (u64)dev);
	if (!dev)
		e->netns = netns_of_sender(skb);
	fill_skb(e, skb, s);
	set_current(skb, &s->t, e->ts, point);
	return e;
}

/* The whole of a plain point with a packet: does it belong to the flow, which one is it, tell user space. */
static __always_inline int skb_point(const struct sk_buff *skb, u32 l3, const struct net_device *dev, u32 point)
{
	struct window w = window_of(skb, l3);
	struct scratch *s;
	struct event *e;

	if (!may_matter((u64)skb, &w))
		return 0;
	s = take_scratch();
	if (!s) {
		count_lost(point);
		return 0;
	}
	s->w = w;
	e = packet_event(skb, s, dev, point, sizeof(*e));
	if (e)
		bpf_ringbuf_submit(e, 0);
	free_scratch(s);
	return 0;
}

/* A packet that is followed, at a point where its headers say nothing new. NULL for any other. */
static __always_inline struct event *tracked_event(const struct sk_buff *skb, u32 point)
{
	u64 key = (u64)skb;
	struct track *t = tracking ? bpf_map_lookup_elem(&tracked, &key) : NULL;
	struct event *e;

	if (!t)
		return NULL;
	e = start_event(point, sizeof(*e));
	if (!e)
		return NULL;
	e->skb = key;
	e->id = t->id;
	e->dir = t->dir;
	e->mark = skb->mark;
	e->len = skb->len;
	fill_device(e, (u64)device_of(skb));
	return e;
}

#endif
