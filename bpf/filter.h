/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Does a packet belong to the flow? The order is by cost: two bitmaps that need no call (addresses, ports) turn nearly everything
 * away; only then are tuples looked up that were learned from conntrack or from headers that changed on the way.
 */
#ifndef NETTRACE_FILTER_H
#define NETTRACE_FILTER_H

#define ROLE_SRC 1
#define ROLE_DST 2

struct address {
	u8 a[16];
};

/* The addresses that were asked for, with their role. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct address);
	__type(value, u8);
} ends SEC(".maps");

/* Tuples that belong to the flow though they do not look like it: translated requests, their replies. Value: direction. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct tuple);
	__type(value, u8);
} learned SEC(".maps");

/* Traffic that almost matched, for the message when nothing did. Key: the tuple with the client's port set to 0. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, struct tuple);
	__type(value, u64);
} similar SEC(".maps");

/* Each in a section of its own: capture.bpf.c is loaded over the same memory, and the order within a section is the compiler's. */
#define SHARED(name) SEC(".data." #name)

#define BITMAP_WORDS 1024 /* 65,536 bits */
u64 addr_bits[BITMAP_WORDS] SHARED(addr_bits); /* addresses of `ends` and of learned tuples, by hash */
u64 port_bits[BITMAP_WORDS] SHARED(port_bits); /* ports of the flow and of learned tuples; all ones when any port matches */
u32 similar_wanted;	     /* 1 while nothing has matched yet and near misses are noted */
u64 matched;		     /* packets that matched */

static __always_inline u16 addr_hash(const u8 *a)
{
	u32 w[4];

	__builtin_memcpy(w, a, 16);
	return ((w[0] ^ w[1] ^ w[2] ^ w[3]) * 2654435761u) >> 16;
}

static __always_inline bool bit(const u64 *bits, u16 n)
{
	return bits[n >> 6] >> (n & 63) & 1;
}

/* No atomic or: kernels have it since 5.12. Two processors can undo each other's bit; learn_one sets it again with the next packet. */
static __always_inline void set_bit(u64 *bits, u16 n)
{
	if (!bit(bits, n))
		bits[n >> 6] |= 1ULL << (n & 63);
}

static __always_inline bool maybe_address(const struct tuple *t)
{
	return bit(addr_bits, addr_hash(t->saddr)) || bit(addr_bits, addr_hash(t->daddr));
}

static __always_inline bool maybe_port(const struct tuple *t)
{
	return bit(port_bits, t->sport) || bit(port_bits, t->dport);
}

static __always_inline bool maybe_v4(__be32 a)
{
	return bit(addr_bits, (a * 2654435761u) >> 16); /* addr_hash of an IPv4 address: the other words are 0 */
}

static __always_inline bool maybe_v6(const struct ip6hdr *h)
{
	return bit(addr_bits, addr_hash(h->saddr)) || bit(addr_bits, addr_hash(h->daddr));
}

/* Whether an IPv6 packet with this next header may hold another packet: tunnels, ICMP errors, and what extension headers hide. */
static __always_inline bool may_hold_v6(u8 next)
{
	return next == IPPROTO_ICMPV6 || next == IPPROTO_UDP || is_ip_in_ip(next) || is_extension(next);
}

/*
 * The cheap question that nearly every packet of other flows ends at: one read of the IP header, and one or two more for a packet in VXLAN or
 * Geneve. False is certain; true means that the packet has to be parsed, as everything is that is not the plain case: options, tags, other
 * frames in the tunnel.
 */
static __always_inline bool worth_parsing(const struct window *w)
{
	struct {
		struct ip4hdr ip;
		__be16 sport, dport;
		u32 rest;
	} h;
	struct {
		u16 mac;
		__be16 type;
		struct ip4hdr ip;
	} inner;
	struct ip6hdr six;
	u32 frame = w->off + sizeof(h) + 8;
	u8 version;

	if (!read_at(w, w->off, &h, sizeof(h)))
		return true;
	version = h.ip.ihl_version >> 4;
	if (version == 6) {
		if (!read_at(w, w->off, &six, sizeof(six)))
			return true;
		return maybe_v6(&six) || may_hold_v6(six.nexthdr);
	}
	if (version != 4)
		return false;
	if (maybe_v4(h.ip.saddr) || maybe_v4(h.ip.daddr) || h.ip.protocol == IPPROTO_ICMP)
		return true;
	if (is_ip_in_ip(h.ip.protocol))
		return true;
	if (h.ip.protocol != IPPROTO_UDP)
		return false;
	if ((h.ip.ihl_version & 15) != 5)
		return true;
	if (h.dport == bpf_htons(GENEVE_PORT)) {
		if (!read_at(w, frame - 8, &h.rest, sizeof(h.rest)) || (bpf_ntohl(h.rest) & 0xffff) != ETH_P_TEB)
			return true;
		frame += geneve_options(h.rest);
	} else if (!is_vxlan_port(bpf_ntohs(h.dport))) {
		return false;
	}
	if (!read_at(w, frame + ETH_HLEN - 4, &inner, sizeof(inner)) || inner.type != bpf_htons(ETH_P_IP))
		return true;
	return maybe_v4(inner.ip.saddr) || maybe_v4(inner.ip.daddr) || inner.ip.protocol == IPPROTO_ICMP;
}

static __always_inline void reverse(const struct tuple *t, struct tuple *r)
{
	*r = *t;
	__builtin_memcpy(r->saddr, t->daddr, 16);
	__builtin_memcpy(r->daddr, t->saddr, 16);
	r->sport = t->dport;
	r->dport = t->sport;
}

static __always_inline void learn_one(const struct tuple *t, u8 dir)
{
	if (!bpf_map_lookup_elem(&learned, t))
		bpf_map_update_elem(&learned, t, &dir, BPF_ANY);
	set_bit(addr_bits, addr_hash(t->saddr));
	set_bit(addr_bits, addr_hash(t->daddr));
	set_bit(port_bits, t->sport);
	set_bit(port_bits, t->dport);
}

/* Packets with the lesson's tuple go in direction dir; those the other way round go in the other. */
GLOBAL int learn_lesson(u32 slot, u32 dir)
{
	struct scratch *s = scratch_at(slot);
	struct tuple t, back;

	if (!s)
		return 0;
	t = s->lesson;
	reverse(&t, &back);
	learn_one(&t, dir);
	learn_one(&back, dir == DIR_REQUEST ? DIR_REPLY : DIR_REQUEST);
	return 0;
}

static __always_inline void learn(struct scratch *s, const struct tuple *t, u8 dir)
{
	s->lesson = *t;
	learn_lesson(s->slot, dir);
}

static __always_inline u8 role(const u8 *a)
{
	u8 *r = bpf_map_lookup_elem(&ends, a);

	return r ? *r : 0;
}

static __always_inline bool port_is(u16 want, u16 have)
{
	return !want || want == have;
}

static __noinline u8 match(const struct tuple *t)
{
	u8 *dir, s, d;

	if (!t || t->proto != cfg_proto)
		return DIR_NONE;
	dir = bpf_map_lookup_elem(&learned, t);
	if (dir)
		return *dir;
	s = role(t->saddr);
	d = role(t->daddr);
	if ((cfg_any_src || s & ROLE_SRC) && d & ROLE_DST && port_is(cfg_dport, t->dport) && port_is(cfg_sport, t->sport))
		return DIR_REQUEST;
	if (s & ROLE_DST && (cfg_any_src || d & ROLE_SRC) && port_is(cfg_dport, t->sport) && port_is(cfg_sport, t->dport))
		return DIR_REPLY;
	return DIR_NONE;
}

/* Same hosts with another port, or the same port at one of the hosts: worth a word when nothing matches. */
static __noinline int note_similar(const struct tuple *t)
{
	u64 one = 1, *n;
	struct tuple k;
	u8 s, d;

	if (!t)
		return 0;
	s = role(t->saddr);
	d = role(t->daddr);
	k = *t;
	if (s & ROLE_SRC && d & ROLE_DST)
		k.sport = 0;
	else if (d & ROLE_DST || (s & ROLE_SRC && cfg_dport && t->dport == cfg_dport))
		k.sport = 0;
	else
		return 0;
	n = bpf_map_lookup_elem(&similar, &k);
	if (n)
		__sync_fetch_and_add(n, 1);
	else
		bpf_map_update_elem(&similar, &k, &one, BPF_NOEXIST);
	return 0;
}

#endif
