/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Route lookups. They carry a flow key and no packet: the packet is the one that this CPU handled last, when its header (read again,
 * since it may have been translated meanwhile) has the addresses of the key. A lookup with a socket's key before the first packet
 * (connect) is told without a packet.
 */

#define CURRENT_NS 100000000 /* a packet handled longer ago than this is not the one being routed */

/* Whether this processor's packet is still the one that it was: its memory was not given back meanwhile. */
static __always_inline bool still_current(const struct current_packet *cur)
{
	u64 key = cur->skb;
	struct track *t;

	if (!key || bpf_ktime_get_ns() - cur->ts > CURRENT_NS)
		return false;
	t = bpf_map_lookup_elem(&tracked, &key);
	return t && t->id == cur->id;
}

struct lookup_key {
	u8 saddr[16];
	u8 daddr[16];
	u16 sport, dport;
	u8 proto, family;
	u8 input; /* asked for a packet that came in, not by a sender */
};

#define LOOPBACK_IFINDEX 1 /* flowic_iif of an output lookup (net/ipv4/route.c, ip_route_output_key_hash) */

static __always_inline void copy_v4(u8 *to, const __be32 *from)
{
	__builtin_memset(to, 0, 16);
	*(u32 *)to = *from;
}

static __always_inline bool same16(const u8 *a, const u8 *b)
{
	u64 x[2], y[2];

	__builtin_memcpy(x, a, 16);
	__builtin_memcpy(y, b, 16);
	return x[0] == y[0] && x[1] == y[1];
}

/* The kind of tunnel whose packet the key would be. */
static __always_inline u32 tunnel_of(const struct lookup_key *k)
{
	if (is_ip_in_ip(k->proto))
		return TUNNEL_IPIP;
	if (k->proto != IPPROTO_UDP)
		return 0;
	return is_vxlan_port(k->dport) ? TUNNEL_VXLAN : k->dport == GENEVE_PORT ? TUNNEL_GENEVE : 0;
}

/* The packet of this CPU as it is now, parsed into s, when it is the one that the key asks a route for. */
static __noinline int current_matches(const struct lookup_key *k, struct scratch *s)
{
	struct current_packet *cur = current_packet();
	struct sk_buff *skb;

	if (!cur || !k || !s || !still_current(cur))
		return 0;
	if (k->input && !cur->received) /* ARP for a packet on its way out runs the other side's input inside it */
		return 0;
	skb = (void *)cur->skb;
	s->w.head = BPF_CORE_READ(skb, head);
	s->w.off = BPF_CORE_READ(skb, network_header);
	s->w.tail = BPF_CORE_READ(skb, tail);
	if (!parse_packet(s->slot))
		return 0;
	if (same16(s->p.t.daddr, k->daddr) && same16(s->p.t.saddr, k->saddr))
		return 1;
	if (s->p.outer && same16(s->p.o.daddr, k->daddr) && same16(s->p.o.saddr, k->saddr))
		return 1;
	/* the outer packet of a tunnel: no header yet, but the key names its port */
	return tunnel_of(k) && !s->p.outer && (k->proto != s->p.t.proto || s->p.t.dport != k->dport) ? 2 : 0;
}

/* A lookup for a socket: with ports for a connection that is known, without the sender's while connect() still chooses them. */
static __always_inline u8 socket_lookup_matches(const struct lookup_key *k)
{
	u8 zero[16] = {};
	struct tuple t = {};

	t.proto = k->proto == IPPROTO_ICMPV6 ? IPPROTO_ICMP : k->proto;
	if (t.proto != cfg_proto)
		return DIR_NONE;
	if (!bit(addr_bits, addr_hash(k->daddr)) && !bit(addr_bits, addr_hash(k->saddr)))
		return DIR_NONE;
	__builtin_memcpy(t.saddr, k->saddr, 16);
	__builtin_memcpy(t.daddr, k->daddr, 16);
	t.family = k->family;
	if (t.proto != IPPROTO_ICMP) {
		t.sport = k->sport;
		t.dport = k->dport;
	}
	if (t.sport)
		return match(&t);
	if (!(role(k->daddr) & ROLE_DST) || !port_is(cfg_dport, k->dport))
		return DIR_NONE;
	if (cfg_any_src || same16(k->saddr, zero) || role(k->saddr) & ROLE_SRC)
		return DIR_REQUEST;
	return DIR_NONE;
}

static __always_inline u32 task_netns(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
}

static __always_inline void fill_key(struct tuple *t, const struct lookup_key *k)
{
	__builtin_memcpy(t->saddr, k->saddr, 16);
	__builtin_memcpy(t->daddr, k->daddr, 16);
	t->sport = k->sport;
	t->dport = k->dport;
	t->proto = k->proto;
	t->family = k->family;
}

/* The route of the packet that this CPU handles; with outer: of the tunnel packet around it, which has no header yet. */
static __noinline int fill_current(struct event *e, struct scratch *s, bool outer)
{
	struct current_packet *cur = current_packet();
	struct net_device *dev;
	struct sk_buff *skb;
	u64 nfct;

	if (!e || !s || !cur)
		return 0;
	skb = (void *)cur->skb;
	dev = device_of(skb);
	nfct = BPF_CORE_READ(skb, _nfct);
	e->skb = cur->skb;
	e->id = cur->id;
	e->dir = cur->dir;
	e->mark = BPF_CORE_READ(skb, mark);
	e->netns = dev ? netns_of(dev) : netns_of_sender(skb); /* a sender's packet that was translated is routed again before it has a device */
	if (!outer && !s->p.outer)
		__builtin_memcpy(cur->daddr, s->p.t.daddr, 16);
	e->ctinfo = nfct & 7;
	fill_packet(e, &s->p);
	e->flags |= outer ? EVENT_OUTER : EVENT_HAS_SKB;
	if (nfct)
		read_conntrack(nfct, e, s);
	if (!outer && cur->dir != DIR_RELATED && !match(&s->p.t))
		learn(s, &s->p.t, cur->dir);
	return 0;
}

/* Where the packet is parsed; NULL while nothing is followed, or, counted, when there is none left. */
static __always_inline struct scratch *route_scratch(u32 point)
{
	struct scratch *s;

	if (!tracking)
		return NULL;
	s = take_scratch();
	if (!s)
		count_lost(point);
	return s;
}

static __always_inline struct event *route_event(u32 point, const struct lookup_key *k)
{
	struct scratch *s = route_scratch(point);
	int m = s ? current_matches(k, s) : 0;
	u8 dir = m ? DIR_REQUEST : socket_lookup_matches(k);
	struct event *e = dir ? start_event(point, sizeof(*e)) : NULL;

	if (e && m)
		fill_current(e, s, m == 2);
	if (s)
		free_scratch(s);
	if (!e)
		return NULL;
	if (m == 2) {
		fill_key(&e->o, k);
		e->o.pad = tunnel_of(k);
	}
	if (!m) {
		fill_key(&e->t, k);
		e->dir = dir;
	}
	return e;
}

#define RT_SCOPE_NOWHERE 255 /* include/uapi/linux/rtnetlink.h: the next hop's scope of a local route (net/ipv4/fib_semantics.c) */

static __always_inline void fill_nexthop(struct event *e, const struct fib_nh_common *nhc)
{
	struct current_packet *cur = current_packet();
	struct net_device *dev = BPF_CORE_READ(nhc, nhc_dev);
	u8 family = BPF_CORE_READ(nhc, nhc_gw_family);

	e->oif = BPF_CORE_READ(nhc, nhc_oif);
	if (family == AF_INET) {
		e->gw_family = 4;
		copy_v4(e->gw, &(__be32){BPF_CORE_READ(nhc, nhc_gw.ipv4)});
	} else if (family == AF_INET6) {
		e->gw_family = 6;
		bpf_core_read(e->gw, sizeof(e->gw), &nhc->nhc_gw.ipv6.in6_u.u6_addr8);
	}
	if (cur && e->id)
		__builtin_memcpy(cur->gw, e->gw, 16);
	if (!dev)
		return;
	bpf_probe_read_kernel_str(e->oif_name, sizeof(e->oif_name), dev->name);
	if (!e->netns)
		e->netns = netns_of(dev);
}

/*
 * ARP for a packet can run the whole way to another namespace inside it, where the same addresses are looked up: that is not this
 * packet's route.
 */
static __always_inline bool elsewhere(const struct event *e, const struct fib_nh_common *nhc)
{
	struct net_device *dev = BPF_CORE_READ(nhc, nhc_dev);

	return e->id && dev && netns_of(dev) != e->netns;
}

/*
 * An argument of a tracepoint that may be NULL, as a number. From 6.5 on until 838a10bd2ebf (6.13, and late 6.12) verifiers take every such
 * pointer for one that is never NULL: they delete the program's own check, and what reads through it is not guarded.
 */
static __always_inline void *nullable(const u64 *ctx, u32 n)
{
	u64 p = 0;

	bpf_probe_read_kernel(&p, sizeof(p), &ctx[n]);
	return (void *)p;
}

SEC("tp_btf/fib_table_lookup")
int BPF_PROG(fib_table_lookup, u32 tb_id, struct flowi4 *flp, void *never, int err)
{
	struct fib_nh_common *nhc = nullable(ctx, 2); /* NULL where no route was found */
	struct lookup_key k = {.family = 4};
	struct event *e;

	copy_v4(k.daddr, &(__be32){flp->daddr});
	if (!tracking && !bit(addr_bits, addr_hash(k.daddr)))
		return 0;
	copy_v4(k.saddr, &(__be32){flp->saddr});
	k.proto = flp->__fl_common.flowic_proto;
	k.input = flp->__fl_common.flowic_iif > LOOPBACK_IFINDEX;
	k.sport = bpf_ntohs(flp->uli.ports.sport);
	k.dport = bpf_ntohs(flp->uli.ports.dport);
	e = route_event(POINT_FIB, &k);
	if (!e)
		return 0;
	e->table = tb_id;
	e->err = err;
	if (nhc) {
		if (elsewhere(e, nhc)) {
			bpf_ringbuf_discard(e, 0);
			return 0;
		}
		fill_nexthop(e, nhc);
		if (!err && BPF_CORE_READ(nhc, nhc_scope) == RT_SCOPE_NOWHERE)
			e->flags |= EVENT_LOCAL;
	}
	if (!e->netns)
		e->netns = task_netns();
	bpf_ringbuf_submit(e, 0);
	return 0;
}

#define RTN_LOCAL 2

SEC("tp_btf/fib6_table_lookup")
int BPF_PROG(fib6_table_lookup, struct net *net, struct fib6_result *res, struct fib6_table *table, struct flowi6 *flp)
{
	struct lookup_key k = {.family = 6};
	struct fib6_nh *nh = res->nh;
	struct event *e;

	__builtin_memcpy(k.daddr, flp->daddr.in6_u.u6_addr8, 16);
	if (!tracking && !bit(addr_bits, addr_hash(k.daddr)))
		return 0;
	__builtin_memcpy(k.saddr, flp->saddr.in6_u.u6_addr8, 16);
	k.proto = flp->__fl_common.flowic_proto;
	k.input = flp->__fl_common.flowic_iif > LOOPBACK_IFINDEX;
	k.sport = bpf_ntohs(flp->uli.ports.sport);
	k.dport = bpf_ntohs(flp->uli.ports.dport);
	e = route_event(POINT_FIB6, &k);
	if (!e)
		return 0;
	e->table = table->tb6_id;
	e->netns = net->ns.inum;
	e->new_state = res->fib6_type;
	if (nh) {
		if (elsewhere(e, &nh->nh_common)) {
			bpf_ringbuf_discard(e, 0);
			return 0;
		}
		fill_nexthop(e, &nh->nh_common);
	}
	if (res->fib6_type == RTN_LOCAL)
		e->flags |= EVENT_LOCAL;
	bpf_ringbuf_submit(e, 0);
	return 0;
}
