/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* From header bytes to struct packet. Headers are read with bpf_probe_read_kernel from the skb's linear part, never past its tail. */
#ifndef NETTRACE_PACKET_H
#define NETTRACE_PACKET_H

struct packet {
	struct tuple t;
	struct tuple o;
	struct tuple about;
	u32 iplen;
	u32 seq, ack;
	u32 vni;
	u16 ipid, icmp_seq, payload;
	u16 l4len; /* of UDP, by its header */
	u8 tcp_flags, ttl, icmp_type, icmp_code;
	u8 outer; /* enum tunnel: what o is; 0 without */
	u8 has_about;
};

/* Where the headers of a packet lie: offsets from skb->head. */
struct window {
	const unsigned char *head;
	u32 off;  /* of the IP header */
	u32 tail; /* end of the linear part */
};

/*
 * Where a packet is parsed: a map's memory, not the stack. The verifier does not follow what is written there, so it walks the parser once
 * and not for every mixture of headers (100,000 instructions a program become a few thousand), and no stack is needed.
 */
struct scratch {
	u32 busy;
	u32 slot;
	u64 skb; /* whose packet it is */
	struct window w;
	struct packet p;
	struct tuple lesson; /* for learn */
	struct tuple ct_orig, ct_reply;
	u32 ct_status;
	u32 pad;
	struct track {
		u64 id;
		u64 print; /* what translation leaves alone */
		u8 dir;
	} t;
	union { /* what a kernel function's point tells, see function.h */
		struct event e;
		struct detail_event d;
		struct rule_event r;
	};
};

/* Programs nest on a processor: an interrupt's inside a task's. Each takes a scratch that is free. */
#define SCRATCHES 4
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCHES);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/*
 * A global function: the verifier walks it once for itself and takes its result as any number, instead of walking it again from every state
 * in which it is called. Its arguments are numbers: before 5.12 a global function takes no pointers. So those that parse are given the
 * place of their scratch.
 */
#define GLOBAL __attribute__((noinline))

GLOBAL u32 take_slot(void)
{
#pragma unroll
	for (u32 i = 0; i < SCRATCHES; i++) {
		u32 key = i;
		struct scratch *s = bpf_map_lookup_elem(&scratches, &key);

		if (s && !s->busy) {
			s->busy = 1;
			s->slot = i;
			return i;
		}
	}
	return SCRATCHES;
}

static __always_inline struct scratch *scratch_at(u32 slot)
{
	return bpf_map_lookup_elem(&scratches, &slot); /* NULL behind the last */
}

static __always_inline struct scratch *take_scratch(void)
{
	return scratch_at(take_slot());
}

static __always_inline void free_scratch(struct scratch *s)
{
	s->busy = 0;
}

static __always_inline bool read_at(const struct window *w, u32 off, void *to, u32 n)
{
	if (off + n > w->tail)
		return false;
	return bpf_probe_read_kernel(to, n, w->head + off) == 0;
}

static __always_inline bool is_vxlan_port(u16 port)
{
#pragma unroll
	for (int i = 0; i < VXLAN_PORTS; i++)
		if (cfg_vxlan_ports[i] && cfg_vxlan_ports[i] == port)
			return true;
	return false;
}

static __always_inline bool is_ip_in_ip(u8 proto)
{
	return proto == IPPROTO_IPIP || proto == IPPROTO_IPV6;
}

static __always_inline bool is_echo(const struct packet *p)
{
	if (p->t.family == 4)
		return p->icmp_type == 0 || p->icmp_type == 8;
	return p->icmp_type == 128 || p->icmp_type == 129;
}

/* The eight bytes of a transport header that hold what a tuple needs: ports, or ICMP type, code, id and sequence. */
static __always_inline bool parse_ports(const struct window *w, u32 off, struct packet *p)
{
	u16 h[4];

	if (!read_at(w, off, h, sizeof(h)))
		return false;
	if (p->t.proto == IPPROTO_ICMP) {
		p->icmp_type = h[0] & 0xff;
		p->icmp_code = h[0] >> 8;
		p->icmp_seq = bpf_ntohs(h[3]);
		if (is_echo(p)) /* the id stands for both ports, so that a translated echo can be learned as other tuples are */
			p->t.sport = p->t.dport = bpf_ntohs(h[2]);
		return true;
	}
	p->t.sport = bpf_ntohs(h[0]);
	p->t.dport = bpf_ntohs(h[1]);
	p->l4len = bpf_ntohs(h[2]);
	return true;
}

#define FRAGMENT 44

/* IPv6 extension headers that may stand before the transport header: hop-by-hop, routing, fragment, destination options (RFC 8200). */
static __always_inline bool is_extension(u8 next)
{
	return next == 0 || next == 43 || next == FRAGMENT || next == 60;
}

/* The offset behind the extension headers; 0 for a fragment that is not the first. */
static __always_inline u32 skip_ext(const struct window *w, u32 off, u8 *next)
{
#pragma unroll
	for (int i = 0; i < 3; i++) {
		u8 h[4];

		if (!is_extension(*next))
			break;
		if (!read_at(w, off, h, sizeof(h)))
			break;
		if (*next == FRAGMENT && (h[2] || h[3] & 0xf8))
			return 0;
		off += *next == FRAGMENT ? 8 : (h[1] + 1) * 8;
		*next = h[0];
	}
	return off;
}

GLOBAL u32 parse_v4(u32 slot)
{
	struct scratch *s = scratch_at(slot);
	struct ip4hdr h;
	struct packet *p;
	u32 off;

	if (!s)
		return 0;
	p = &s->p;
	off = s->w.off;
	if (!read_at(&s->w, off, &h, sizeof(h)) || (h.ihl_version & 15) < 5)
		return 0;
	__builtin_memset(&p->t, 0, sizeof(p->t));
	__builtin_memcpy(p->t.saddr, &h.saddr, 4);
	__builtin_memcpy(p->t.daddr, &h.daddr, 4);
	p->t.proto = h.protocol;
	p->t.family = 4;
	p->ipid = bpf_ntohs(h.id);
	p->ttl = h.ttl;
	p->iplen = bpf_ntohs(h.tot_len);
	if (h.frag_off & bpf_htons(0x1fff))
		return 0;
	return off + (h.ihl_version & 15) * 4;
}

GLOBAL u32 parse_v6(u32 slot)
{
	struct scratch *s = scratch_at(slot);
	struct ip6hdr h;
	struct packet *p;
	u32 off;
	u8 next;

	if (!s)
		return 0;
	p = &s->p;
	off = s->w.off;
	if (!read_at(&s->w, off, &h, sizeof(h)))
		return 0;
	__builtin_memcpy(p->t.saddr, h.saddr, 16);
	__builtin_memcpy(p->t.daddr, h.daddr, 16);
	p->t.sport = p->t.dport = p->t.pad = 0;
	p->t.family = 6;
	p->ipid = 0;
	p->ttl = h.hop_limit;
	p->iplen = bpf_ntohs(h.payload_len) + sizeof(h);
	next = h.nexthdr;
	off = skip_ext(&s->w, off + sizeof(h), &next);
	p->t.proto = next == IPPROTO_ICMPV6 ? IPPROTO_ICMP : next;
	return off;
}

/* Reads the IP header at s->w.off into s->p; returns the offset of the transport header, 0 when this is no IP packet or a later fragment. */
static __always_inline u32 parse_ip(struct scratch *s)
{
	u8 first;

	if (!read_at(&s->w, s->w.off, &first, 1))
		return 0;
	if (first >> 4 == 4)
		return parse_v4(s->slot);
	if (first >> 4 == 6)
		return parse_v6(s->slot);
	return 0;
}

static __always_inline bool is_icmp_error(const struct packet *p)
{
	if (p->t.proto != IPPROTO_ICMP)
		return false;
	if (p->t.family == 4)
		return p->icmp_type == 3 || p->icmp_type == 11 || p->icmp_type == 12;
	return p->icmp_type >= 1 && p->icmp_type <= 4;
}

static __always_inline void parse_tcp(const struct window *w, u32 off, struct packet *p)
{
	u32 h[5], hlen, ip;

	if (!read_at(w, off, h, sizeof(h)))
		return;
	p->seq = bpf_ntohl(h[1]);
	p->ack = bpf_ntohl(h[2]);
	p->tcp_flags = (bpf_ntohl(h[3]) >> 16) & 0xff;
	hlen = (bpf_ntohl(h[3]) >> 28) * 4;
	ip = off - w->off;
	if (p->iplen > ip + hlen)
		p->payload = p->iplen - ip - hlen;
}

/* UDP tunnels end in Ethernet, mostly: whether an IP header follows the frame's header at off. */
static __always_inline bool ip_in_frame(const struct window *w, u32 off)
{
	u16 type;

	return read_at(w, off + 12, &type, 2) && (type == bpf_htons(ETH_P_IP) || type == bpf_htons(ETH_P_IPV6));
}

/* VXLAN (RFC 7348): eight bytes after UDP, then Ethernet. */
static __always_inline u32 vxlan_inner(const struct window *w, u32 l4, struct packet *p)
{
	u32 h[2];

	if (!read_at(w, l4 + 8, h, sizeof(h)) || !(h[0] & bpf_htonl(0x08000000)) || !ip_in_frame(w, l4 + 16))
		return 0;
	p->vni = bpf_ntohl(h[1]) >> 8;
	return l4 + 16 + ETH_HLEN;
}

/* Bytes of options behind Geneve's header, from its first four bytes. */
static __always_inline u32 geneve_options(u32 first)
{
	return (bpf_ntohl(first) >> 24 & 0x3f) * 4;
}

/* Geneve (RFC 8926): eight bytes and options after UDP, then Ethernet or IP. */
static __always_inline u32 geneve_inner(const struct window *w, u32 l4, struct packet *p)
{
	u32 h[2], off;
	u16 type;

	if (!read_at(w, l4 + 8, h, sizeof(h)))
		return 0;
	off = l4 + 16 + geneve_options(h[0]);
	type = bpf_ntohl(h[0]) & 0xffff;
	p->vni = bpf_ntohl(h[1]) >> 8;
	if (type == ETH_P_TEB)
		return ip_in_frame(w, off) ? off + ETH_HLEN : 0;
	return type == ETH_P_IP || type == ETH_P_IPV6 ? off : 0;
}

/* When the packet carries another one, moves on to that: returns the kind of tunnel, 0 when it does not. */
GLOBAL u32 enter_tunnel(u32 slot, u32 l4)
{
	struct scratch *s = scratch_at(slot);
	u32 kind = 0, inner = 0;
	struct packet *p;

	if (!s)
		return 0;
	p = &s->p;
	if (is_ip_in_ip(p->t.proto)) {
		kind = TUNNEL_IPIP;
		inner = l4;
	} else if (p->t.proto == IPPROTO_UDP && is_vxlan_port(p->t.dport)) {
		kind = TUNNEL_VXLAN;
		inner = vxlan_inner(&s->w, l4, p);
	} else if (p->t.proto == IPPROTO_UDP && p->t.dport == GENEVE_PORT) {
		kind = TUNNEL_GENEVE;
		inner = geneve_inner(&s->w, l4, p);
	}
	if (!inner)
		return 0;
	p->o = p->t;
	p->outer = kind;
	s->w.off = inner;
	return kind;
}

/*
 * Reads the packet at s->w.off and, when it is a tunnel's, the packet inside it. Returns the offset of the transport header of the innermost
 * packet, 0 when there is no IP packet with ports.
 */
GLOBAL u32 parse_packet(u32 slot)
{
	struct scratch *s = scratch_at(slot);
	u32 l4;

	if (!s)
		return 0;
	__builtin_memset(&s->p, 0, sizeof(s->p));
	l4 = parse_ip(s);
	if (!l4 || (!is_ip_in_ip(s->p.t.proto) && !parse_ports(&s->w, l4, &s->p)))
		return 0;
	if (enter_tunnel(slot, l4)) {
		l4 = parse_ip(s);
		if (!l4 || !parse_ports(&s->w, l4, &s->p))
			return 0;
	}
	return l4;
}

/*
 * The start of the packet that an ICMP error carries (RFC 792, RFC 4443: after eight bytes). It is parsed in the place of the error, which
 * is put back.
 */
GLOBAL u32 parse_about(u32 slot, u32 l4)
{
	struct scratch *s = scratch_at(slot);
	struct packet *p;
	struct tuple error;
	u16 ipid, icmp_seq;
	u8 ttl, type, code;
	u32 iplen;

	if (!s)
		return 0;
	p = &s->p;
	error = p->t;
	ipid = p->ipid;
	icmp_seq = p->icmp_seq;
	ttl = p->ttl;
	type = p->icmp_type;
	code = p->icmp_code;
	iplen = p->iplen;
	s->w.off = l4 + 8;
	l4 = parse_ip(s);
	if (l4 && parse_ports(&s->w, l4, p)) {
		p->about = p->t;
		p->has_about = 1;
	}
	p->t = error;
	p->ipid = ipid;
	p->icmp_seq = icmp_seq;
	p->ttl = ttl;
	p->icmp_type = type;
	p->icmp_code = code;
	p->iplen = iplen;
	return 0;
}

#endif
