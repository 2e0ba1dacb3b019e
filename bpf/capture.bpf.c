// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Copies the flow's packets where they cross a device, for 'nettrace flow --pcap'. An object of its own, loaded only then, over the maps
 * of nettrace.bpf.c: what belongs to the flow (translated, answered, encapsulated packets included) is decided there; here it is only read.
 *
 * Ingress runs right behind the tracepoint netif_receive_skb (net/core/dev.c, __netif_receive_skb_core), egress before the queue and
 * net_dev_start_xmit (__dev_queue_xmit): a packet's first sight can be here.
 */
#include "kernel.h"
#include "event.h"
#include "config.h"
#include "packet.h"
#include "filter.h"
#include "track.h"

#define TC_NEXT -1 /* TCX_NEXT, TC_ACT_UNSPEC: as if this program were not there */
#define SNAP_MAX 9216

volatile const u32 cfg_snap = SNAP_MAX; /* bytes of a packet that are kept, at most SNAP_MAX */

/* include/uapi/linux/bpf.h: the kernel's ABI, never relocated. The pointer is that of the kernel's sk_buff. */
struct __sk_buff {
	u32 len, pkt_type, mark, queue_mapping, protocol;
	u32 vlan_present, vlan_tci, vlan_proto;
	u32 priority, ingress_ifindex, ifindex;
};

enum side {
	SIDE_NONE,
	SIDE_INGRESS,
	SIDE_EGRESS,
	SIDE_MAX,
};

/* What goes through the ring: this, and behind it caplen bytes from the start of the frame. */
struct captured {
	u64 ts; /* CLOCK_MONOTONIC, ns */
	u64 id; /* packet identity; 0 when nettrace.bpf.c has not seen it yet */
	u32 side;
	u32 cpu;
	u32 netns; /* inode number */
	u32 ifindex;
	u32 len; /* skb->len, the frame's header included */
	u32 caplen;
	u32 mark;
	u32 seq; /* TCP */
	struct tuple t; /* the flow's packet, innermost */
	u16 ipid;
	u16 vlan_tci;	/* the tag that the kernel took out of the frame */
	u16 vlan_proto; /* its ethertype; 0: there was none */
	u8 dir;
	u8 pad;
	u32 l3; /* where the IP header begins in the frame */
	u32 pad2;
};

struct frame {
	u64 skb;
	struct captured c;
	u8 data[SNAP_MAX];
};

/* No stack holds a frame. A program is not interrupted by another one here: both sides run with bottom halves disabled. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct frame);
} frames SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20); /* bytes; the loader sets it */
} captures SEC(".maps");

u64 captures_lost; /* packets that the ring had no room for */

/* As identify does, without remembering: 1 when the packet in s->w belongs to the flow. Fills c. */
static __noinline int belongs(u64 skb, struct scratch *s, struct captured *c)
{
	struct track *known;
	struct packet *p;
	u32 l4;

	if (!s || !c)
		return 0;
	p = &s->p;
	l4 = parse_packet(s->slot);
	known = tracking ? bpf_map_lookup_elem(&tracked, &skb) : NULL;
	if (!l4 && !known)
		return 0;
	if (is_icmp_error(p))
		parse_about(s->slot, l4);
	else if (p->t.proto == IPPROTO_TCP)
		parse_tcp(&s->w, l4, p);
	c->t = p->t;
	c->seq = p->seq;
	c->ipid = p->ipid;
	if (known && known->print == fingerprint(p)) {
		c->id = known->id;
		c->dir = known->dir;
		return 1;
	}
	c->id = 0;
	if (p->has_about)
		c->dir = maybe_address(&p->about) && match(&p->about) ? DIR_RELATED : DIR_NONE;
	else
		c->dir = maybe_address(&p->t) && maybe_port(&p->t) ? match(&p->t) : DIR_NONE;
	return c->dir != DIR_NONE;
}

static __always_inline bool wanted(u64 skb, const struct window *w, struct captured *c)
{
	struct scratch *s;
	bool yes;

	if (!may_matter(skb, w))
		return false;
	s = take_scratch();
	if (!s) {
		__sync_fetch_and_add(&captures_lost, 1);
		return false;
	}
	s->w = *w;
	yes = belongs(skb, s, c);
	free_scratch(s);
	return yes;
}

/* Keeps the compiler from checking another register than the one that is used, which the verifier would not understand. */
#define barrier_on(n) asm volatile("" : "+r"(n))

static __always_inline int capture(struct __sk_buff *ctx, u32 side)
{
	struct window w;
	struct frame *f;
	struct sk_buff *skb;
	struct net_device *dev;
	u32 zero = 0;
	u64 n;

	f = bpf_map_lookup_elem(&frames, &zero);
	if (!f)
		return TC_NEXT;
	/* through memory it becomes a number: kernels before 5.12 take no pointer as a key (cd17d38f8b28) */
	*(volatile u64 *)&f->skb = (u64)ctx;
	skb = (struct sk_buff *)*(volatile u64 *)&f->skb;
	w.head = BPF_CORE_READ(skb, head);
	w.off = BPF_CORE_READ(skb, network_header);
	w.tail = BPF_CORE_READ(skb, tail);
	if (!wanted((u64)skb, &w, &f->c))
		return TC_NEXT;
	dev = BPF_CORE_READ(skb, dev);
	f->c.ts = bpf_ktime_get_ns();
	f->c.side = side;
	f->c.cpu = bpf_get_smp_processor_id();
	f->c.netns = BPF_CORE_READ(dev, nd_net.net, ns.inum);
	f->c.ifindex = ctx->ifindex;
	f->c.len = ctx->len;
	f->c.mark = ctx->mark;
	f->c.l3 = w.off - (u32)(BPF_CORE_READ(skb, data) - w.head);
	f->c.vlan_tci = ctx->vlan_tci;
	f->c.vlan_proto = ctx->vlan_present ? bpf_ntohs(ctx->vlan_proto) : 0;
	f->c.caplen = 0;
	n = (ctx->len < cfg_snap ? ctx->len : cfg_snap) - 1ULL;
	barrier_on(n);
	if (n < SNAP_MAX && !bpf_skb_load_bytes(ctx, 0, f->data, n + 1)) /* 5.10 understands that this is not 0, and nothing simpler */
		f->c.caplen = n + 1;
	n = f->c.caplen;
	barrier_on(n);
	if (n > SNAP_MAX || bpf_ringbuf_output(&captures, &f->c, sizeof(f->c) + n, 0))
		__sync_fetch_and_add(&captures_lost, 1);
	return TC_NEXT;
}

SEC("tc")
int capture_ingress(struct __sk_buff *skb)
{
	return capture(skb, SIDE_INGRESS);
}

SEC("tc")
int capture_egress(struct __sk_buff *skb)
{
	return capture(skb, SIDE_EGRESS);
}

const enum side *use_side __attribute__((unused));
const struct captured *use_captured __attribute__((unused));

char LICENSE[] SEC("license") = "Dual BSD/GPL";
