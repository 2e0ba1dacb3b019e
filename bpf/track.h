/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which packet is this? A packet's identity is its skb pointer together with what translation leaves alone (IP id, TCP sequence,
 * ICMP sequence, UDP length): skb memory is reused at once, so a pointer whose packet looks different is a new packet. So is the packet of a tunnel
 * that is not looked into (WireGuard) and that sends it in the same skb: it has another length. An identity ends at
 * consume_skb or kfree_skb; where the kernel frees without either tracepoint the next user of the memory ends it.
 */
#ifndef NETTRACE_TRACK_H
#define NETTRACE_TRACK_H

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, struct track);
} tracked SEC(".maps");

/* The packet that this CPU handled last: route and neighbour events carry no packet. */
struct current_packet {
	u64 skb;
	u64 id;
	u64 ts;
	u64 next_id;
	u8 daddr[16]; /* of its last route: a neighbour that is waited for is this or the gateway */
	u8 gw[16];
	u8 dir;
	u8 received; /* its last point was a device that received it */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct current_packet);
} current SEC(".maps");

/* 1 once anything was tracked: until then no pointer needs to be looked up. */
u32 tracking SHARED(tracking);

static __always_inline struct current_packet *current_packet(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&current, &zero);
}

static __always_inline u64 fingerprint(const struct packet *p)
{
	u64 low = p->t.proto == IPPROTO_TCP ? p->seq : p->t.proto == IPPROTO_UDP ? p->l4len : p->icmp_seq;

	return low | (u64)p->ipid << 32 | (u64)p->t.proto << 48;
}

static __always_inline u64 new_id(struct current_packet *cur)
{
	return (u64)bpf_get_smp_processor_id() << 48 | ++cur->next_id;
}

/* One direction of a conntrack entry; the index must be a constant for the CO-RE relocation. */
#define READ_CT_TUPLE(ct, i, to) \
	({ \
		u16 l3 = BPF_CORE_READ(ct, tuplehash[i].tuple.src.l3num); \
		u8 proto = BPF_CORE_READ(ct, tuplehash[i].tuple.dst.protonum); \
		(to)->family = l3 == AF_INET6 ? 6 : 4; \
		(to)->proto = proto == IPPROTO_ICMPV6 ? IPPROTO_ICMP : proto; \
		(to)->sport = bpf_ntohs(BPF_CORE_READ(ct, tuplehash[i].tuple.src.u.all)); \
		(to)->dport = bpf_ntohs(BPF_CORE_READ(ct, tuplehash[i].tuple.dst.u.all)); \
		bpf_core_read((to)->saddr, 16, &(ct)->tuplehash[i].tuple.src.u3); \
		bpf_core_read((to)->daddr, 16, &(ct)->tuplehash[i].tuple.dst.u3); \
		if ((to)->family == 4) { \
			__builtin_memset((to)->saddr + 4, 0, 12); \
			__builtin_memset((to)->daddr + 4, 0, 12); \
		} \
	})

/*
 * Reads a packet's conntrack entry into the scratch and learns from it how the flow's packets and their replies look on the other side of a
 * translation. In an ICMP tuple the id stands in src and type and code in dst (nf_conntrack_tuple.h): the id goes into both ports.
 */
GLOBAL u32 learn_conntrack(u32 slot, u64 nfct, u32 dir)
{
	struct nf_conn *ct = (void *)(nfct & NFCT_PTRMASK);
	struct scratch *s = scratch_at(slot);
	u8 orig_dir;

	if (!ct || !s || !bpf_core_field_exists(ct->tuplehash))
		return 0;
	__builtin_memset(&s->ct_orig, 0, sizeof(s->ct_orig));
	__builtin_memset(&s->ct_reply, 0, sizeof(s->ct_reply));
	READ_CT_TUPLE(ct, 0, &s->ct_orig);
	READ_CT_TUPLE(ct, 1, &s->ct_reply);
	if (s->ct_orig.proto == IPPROTO_ICMP) {
		s->ct_orig.dport = s->ct_orig.sport;
		s->ct_reply.dport = s->ct_reply.sport;
	}
	s->ct_status = BPF_CORE_READ(ct, status);
	if (dir == DIR_RELATED || s->p.outer) /* the tunnel's own entry is of all its flows: every packet between the nodes would have to be parsed */
		return 1;
	orig_dir = (nfct & 7) >= 3 ? DIR_REQUEST + DIR_REPLY - dir : dir; /* IP_CT_IS_REPLY */
	learn(s, &s->ct_orig, orig_dir);
	learn(s, &s->ct_reply, DIR_REQUEST + DIR_REPLY - orig_dir);
	return 1;
}

static __always_inline void read_conntrack(u64 nfct, struct event *e, struct scratch *s)
{
	if (!learn_conntrack(s->slot, nfct, e->dir))
		return;
	e->ct_orig = s->ct_orig;
	e->ct_reply = s->ct_reply;
	e->ct_status = s->ct_status;
	e->flags |= EVENT_HAS_CT;
}

GLOBAL int new_identity(u32 slot, u64 print)
{
	struct scratch *s = scratch_at(slot);
	struct current_packet *cur = current_packet();
	struct packet *p;
	u64 key;
	u8 dir;

	if (!s || !cur)
		return 0;
	key = s->skb;
	p = &s->p;
	if (p->has_about)
		dir = maybe_address(&p->about) && match(&p->about) ? DIR_RELATED : DIR_NONE;
	else if (!maybe_address(&p->t) || (!maybe_port(&p->t) && !similar_wanted))
		dir = DIR_NONE;
	else
		dir = match(&p->t);
	if (dir == DIR_NONE) {
		if (similar_wanted && !p->has_about && maybe_address(&p->t))
			note_similar(&p->t);
		return 0;
	}
	s->t.id = new_id(cur);
	s->t.print = print;
	s->t.dir = dir;
	bpf_map_update_elem(&tracked, &key, &s->t, BPF_ANY);
	tracking = 1;
	__sync_fetch_and_add(&matched, 1);
	return 2;
}

/*
 * Finds out whether the packet in s->w belongs to the flow and which one it is. Fills s->p and s->t and returns 1 when it does, 2 at its
 * first sight, 0 when it does not.
 */
GLOBAL int identify(u32 slot)
{
	struct scratch *s = scratch_at(slot);
	struct track *known;
	u64 print, key;
	u32 l4;

	if (!s)
		return 0;
	key = s->skb;
	l4 = parse_packet(slot);
	known = tracking ? bpf_map_lookup_elem(&tracked, &key) : NULL;
	if (!l4 && !known)
		return 0;
	if (is_icmp_error(&s->p))
		parse_about(slot, l4);
	else if (s->p.t.proto == IPPROTO_TCP)
		parse_tcp(&s->w, l4, &s->p);
	print = fingerprint(&s->p);
	if (!known)
		return new_identity(slot, print);
	if (known->print != print) { /* the memory holds another packet now */
		bpf_map_delete_elem(&tracked, &key);
		return new_identity(slot, print);
	}
	s->t = *known;
	if (s->t.dir != DIR_RELATED && l4 && !match(&s->p.t))
		learn(s, &s->p.t, s->t.dir);
	return 1;
}

/* The question before any parsing: a packet that is followed, or one that looks as if it could be. */
static __always_inline bool may_matter(u64 skb, const struct window *w)
{
	return (tracking && bpf_map_lookup_elem(&tracked, &skb)) || worth_parsing(w);
}

#endif
