// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Every drop of this kernel, for 'nettrace drops'. An object of its own. All drops are counted, by what they have in common; of each kind a
 * few a second are sent as samples, so that a flood costs a map update a packet and nothing in user space.
 */
#include "kernel.h"
#include "event.h"
#include "config.h"
#include "packet.h"
#include "fill.h"

#ifndef BPF_F_NO_PREALLOC
#define BPF_F_NO_PREALLOC 1 /* include/uapi/linux/bpf.h */
#endif
#define MAP_PERCPU_HASH 5 /* BPF_MAP_TYPE_PERCPU_HASH, likewise */
#define MAP_LPM_TRIE 11	  /* BPF_MAP_TYPE_LPM_TRIE, likewise */

#define TCP_RST 4

enum drop_filter {
	FILTER_PODS = 1,      /* namespaces of `spaces` or addresses of `pods` */
	FILTER_ADDRESSES = 2, /* addresses of `addresses` */
	FILTER_PORT = 4,
};

volatile const u32 cfg_filter = 0;
volatile const u16 cfg_port = 0;
volatile const u64 cfg_interval = 50000000; /* ns between two samples of a kind on a CPU, on average */
volatile const u32 cfg_burst = 20;	    /* samples that may come at once */

/* What makes drops one kind. */
struct drop_key {
	u64 location;
	u32 reason;
	u32 netns;   /* 0: not known */
	u32 ifindex; /* 0: no device */
	u16 ethertype;
	u8 proto; /* of the outermost IP header */
	u8 kind;  /* ICMP: type; TCP: 4 for a reset */
};

struct drop_count {
	u64 packets;
	u64 bytes;
	u64 due; /* token bucket: when the next sample may be sent if there were no burst, ns */
};

struct {
	__uint(type, MAP_PERCPU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct drop_key);
	__type(value, struct drop_count);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20); /* bytes */
} samples SEC(".maps");

struct prefix {
	u32 bits;
	u32 family;
	u8 addr[16];
};

struct {
	__uint(type, MAP_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, u8);
} addresses SEC(".maps");

struct {
	__uint(type, MAP_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, u8);
} pods SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, u8);
} spaces SEC(".maps");

u64 uncounted; /* drops of kinds that `counts` had no room for */
u64 unsampled; /* samples that the ring had no room for */
u64 unparsed;  /* drops that could not be compared with the filter */

static const struct drop_count new_count;

/* Where the packet was; NULL where that is not a device. */
static __always_inline struct net_device *place_of(struct sk_buff *skb, struct drop_key *k)
{
	struct net_device *dev = device_of(skb);
	struct sock *sk;

	if (dev) {
		k->netns = BPF_CORE_READ(dev, nd_net.net, ns.inum);
		k->ifindex = BPF_CORE_READ(dev, ifindex);
		return dev;
	}
	sk = BPF_CORE_READ(skb, sk);
	if (sk)
		k->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (k->netns < NETNS_FIRST)
		k->netns = 0;
	return NULL;
}

static __always_inline void look(const struct window *w, struct drop_key *k)
{
	struct ip4hdr four;
	struct ip6hdr six;
	u8 b, ext[2];
	u32 l4;

	if (!read_at(w, w->off, &four, sizeof(four)))
		return;
	if (four.ihl_version >> 4 == 4) {
		k->proto = four.protocol;
		l4 = w->off + (four.ihl_version & 15) * 4;
		if (four.frag_off & bpf_htons(0x1fff))
			return;
	} else if (four.ihl_version >> 4 == 6 && read_at(w, w->off, &six, sizeof(six))) {
		k->proto = six.nexthdr;
		l4 = w->off + sizeof(six);
		if (!k->proto && read_at(w, l4, ext, sizeof(ext))) { /* hop-by-hop options (RFC 8200, 4.3), which MLD has */
			k->proto = ext[0];
			l4 += (ext[1] + 1) * 8;
		}
	} else {
		return;
	}
	if (k->proto == IPPROTO_ICMP || k->proto == IPPROTO_ICMPV6) {
		if (read_at(w, l4, &b, 1))
			k->kind = b;
	} else if (k->proto == IPPROTO_TCP) {
		if (read_at(w, l4 + 13, &b, 1))
			k->kind = b & TCP_RST;
	}
}

static __always_inline bool listed(void *map, const struct tuple *t)
{
	struct prefix p;

	if (!t->family)
		return false;
	p.bits = 32 + 128;
	p.family = t->family;
	__builtin_memcpy(p.addr, t->saddr, 16);
	if (bpf_map_lookup_elem(map, &p))
		return true;
	__builtin_memcpy(p.addr, t->daddr, 16);
	return bpf_map_lookup_elem(map, &p);
}

static __always_inline bool wanted(const struct packet *p, u32 netns)
{
	const struct tuple *t = &p->t, *o = &p->o;
	bool outer = p->outer;

	if (cfg_filter & FILTER_PODS && !bpf_map_lookup_elem(&spaces, &netns) && !listed(&pods, t) && !(outer && listed(&pods, o)))
		return false;
	if (cfg_filter & FILTER_ADDRESSES && !listed(&addresses, t) && !(outer && listed(&addresses, o)))
		return false;
	if (cfg_filter & FILTER_PORT && t->sport != cfg_port && t->dport != cfg_port && !(outer && (o->sport == cfg_port || o->dport == cfg_port)))
		return false;
	return true;
}

/* Whether a sample may be sent. A generic cell rate: `due` runs ahead of the clock by at most a burst. */
static __always_inline bool allowed(struct drop_count *c, u64 now)
{
	u64 due = c->due;

	if (due < now)
		due = now;
	if (due - now >= cfg_interval * cfg_burst)
		return false;
	c->due = due + cfg_interval;
	return true;
}

static __always_inline void fill(struct drop_event *d, struct sk_buff *skb, struct net_device *dev, const struct drop_key *k, const struct packet *p)
{
	struct event *e = &d->e;

	e->point = POINT_DROP;
	e->cpu = bpf_get_smp_processor_id();
	e->skb = (u64)skb;
	e->addr = k->location;
	e->reason = k->reason;
	e->netns = k->netns;
	e->ifindex = k->ifindex;
	e->iif = BPF_CORE_READ(skb, skb_iif);
	e->mark = BPF_CORE_READ(skb, mark);
	e->len = BPF_CORE_READ(skb, len);
	e->flags = EVENT_HAS_SKB;
	if (dev)
		fill_name(e, dev);
	if (p)
		fill_packet(e, p);
}

static __always_inline void parse(struct scratch *s, const struct window *w)
{
	u32 l4;

	s->w = *w;
	l4 = parse_packet(s->slot);
	if (!l4)
		return;
	if (is_icmp_error(&s->p))
		parse_about(s->slot, l4);
	else if (s->p.t.proto == IPPROTO_TCP)
		parse_tcp(&s->w, l4, &s->p);
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(count_drop, struct sk_buff *skb, void *location)
{
	struct drop_key k = {.location = (u64)location};
	struct net_device *dev;
	struct scratch *s = NULL;
	struct drop_count *c;
	struct drop_event *d;
	struct window w;
	u64 now;
	long n;

	if (kfree_skb_args >= 3)
		k.reason = (u32)ctx[2];
	w.head = BPF_CORE_READ(skb, head);
	w.off = BPF_CORE_READ(skb, network_header);
	w.tail = BPF_CORE_READ(skb, tail);
	dev = place_of(skb, &k);
	k.ethertype = bpf_ntohs(BPF_CORE_READ(skb, protocol));
	look(&w, &k);
	if (cfg_filter) {
		s = take_scratch();
		if (!s) {
			__sync_fetch_and_add(&unparsed, 1);
			return 0;
		}
		parse(s, &w);
		if (!wanted(&s->p, k.netns))
			goto out;
	}
	c = bpf_map_lookup_elem(&counts, &k);
	if (!c) {
		bpf_map_update_elem(&counts, &k, &new_count, BPF_NOEXIST);
		c = bpf_map_lookup_elem(&counts, &k);
		if (!c) {
			__sync_fetch_and_add(&uncounted, 1);
			goto out;
		}
	}
	__sync_fetch_and_add(&c->packets, 1);
	__sync_fetch_and_add(&c->bytes, BPF_CORE_READ(skb, len));
	now = bpf_ktime_get_ns();
	if (!allowed(c, now))
		goto out;
	d = bpf_ringbuf_reserve(&samples, sizeof(*d), 0);
	if (!d) {
		__sync_fetch_and_add(&unsampled, 1);
		goto out;
	}
	if (!s) {
		s = take_scratch();
		if (s)
			parse(s, &w);
	}
	__builtin_memset(&d->e, 0, sizeof(d->e));
	d->e.ts = now;
	fill(d, skb, dev, &k, s ? &s->p : NULL);
	n = bpf_get_stack(ctx, d->stack, sizeof(d->stack), 0);
	d->e.nstack = n > 0 ? n / sizeof(u64) : 0;
	bpf_ringbuf_submit(d, 0);
out:
	if (s)
		free_scratch(s);
	return 0;
}

const struct drop_key *use_drop_key __attribute__((unused));
const struct drop_count *use_drop_count __attribute__((unused));
const struct prefix *use_prefix __attribute__((unused));
const enum drop_filter *use_drop_filter __attribute__((unused));

char LICENSE[] SEC("license") = "Dual BSD/GPL";
