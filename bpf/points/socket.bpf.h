/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* TCP sockets: states, retransmissions, resets. The tuple is the socket's own: local to remote. */

static __always_inline void socket_v4(const struct sock *sk, struct tuple *t)
{
	t->family = 4;
	copy_v4(t->saddr, &(__be32){BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr)});
	copy_v4(t->daddr, &(__be32){BPF_CORE_READ(sk, __sk_common.skc_daddr)});
}

static __always_inline void socket_tuple(const struct sock *sk, struct tuple *t)
{
	t->proto = IPPROTO_TCP;
	t->sport = BPF_CORE_READ(sk, __sk_common.skc_num);
	t->dport = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET) {
		socket_v4(sk, t);
		return;
	}
	t->family = 6;
	bpf_core_read(t->saddr, sizeof(t->saddr), &sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
	bpf_core_read(t->daddr, sizeof(t->daddr), &sk->__sk_common.skc_v6_daddr.in6_u.u6_addr8);
	/* an IPv4 connection of a dual-stack socket */
	if (!*(u64 *)t->saddr && *(u32 *)(t->saddr + 8) == bpf_htonl(0xffff))
		socket_v4(sk, t);
}

static __always_inline struct event *socket_event(const struct sock *sk, u32 point)
{
	struct tuple t = {};
	struct event *e;
	u8 dir;

	if (cfg_proto != IPPROTO_TCP)
		return NULL;
	socket_tuple(sk, &t);
	if (!maybe_address(&t))
		return NULL;
	dir = match(&t);
	if (!dir)
		return NULL;
	e = start_event(point, sizeof(*e));
	if (!e)
		return NULL;
	e->t = t;
	e->dir = dir;
	e->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	return e;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int oldstate, int newstate)
{
	struct event *e;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	e = socket_event(sk, POINT_SK_STATE);
	if (!e)
		return 0;
	e->old_state = oldstate;
	e->new_state = newstate;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

/* The skb is the one in the write queue: no headers; struct tcp_skb_cb starts with the sequence number (include/net/tcp.h). */
SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(tcp_retransmit_skb, struct sock *sk, struct sk_buff *skb)
{
	struct event *e = socket_event(sk, POINT_RETRANSMIT);

	if (!e)
		return 0;
	if (skb)
		bpf_probe_read_kernel(&e->seq, sizeof(e->seq), skb->cb);
	bpf_ringbuf_submit(e, 0);
	return 0;
}

/* The packet that is answered came in at a device, so it is tracked; what it is was told there. */
static __always_inline struct event *answered_with_reset(const struct sk_buff *skb)
{
	u64 key = (u64)skb;
	struct track *t = tracking ? bpf_map_lookup_elem(&tracked, &key) : NULL;
	struct event *e;

	if (!t)
		return NULL;
	e = start_event(POINT_RESET_SENT, sizeof(*e));
	if (!e)
		return NULL;
	e->skb = key;
	e->id = t->id;
	e->dir = t->dir;
	fill_device(e, (u64)device_of(skb));
	return e;
}

/* The skb is the packet that is answered with a reset; there is none when a closing socket sends one, and no socket where nothing listens. */
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(tcp_send_reset)
{
	struct sock *sk = nullable(ctx, 0);
	struct sk_buff *skb = nullable(ctx, 1);
	struct event *e;

	/* one path each to the end: verifiers before 6.2 lose track of the reservation where the two meet */
	if (skb) {
		e = answered_with_reset(skb);
		if (!e)
			return 0;
		if (send_reset_args >= 3)
			e->reason = (u32)ctx[2];
		bpf_ringbuf_submit(e, 0);
		return 0;
	}
	if (!sk)
		return 0;
	e = socket_event(sk, POINT_RESET_SENT);
	if (!e)
		return 0;
	if (send_reset_args >= 3)
		e->reason = (u32)ctx[2];
	bpf_ringbuf_submit(e, 0);
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(tcp_receive_reset, struct sock *sk)
{
	struct event *e = socket_event(sk, POINT_RESET_RECEIVED);

	if (e)
		bpf_ringbuf_submit(e, 0);
	return 0;
}
