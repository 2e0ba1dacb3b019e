/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A listening socket takes a packet: how full its accept queue is. The kernel drops a SYN, and a handshake's last ACK, without a word when
 * sk_ack_backlog is above sk_max_ack_backlog (include/net/sock.h, sk_acceptq_is_full).
 */
static __always_inline int listener(u64 cookie, u64 sock, u64 skb)
{
	struct scratch *s = function_event(cookie, skb);
	struct sock *sk = (void *)sock;

	if (!s)
		return 0;
	s->d.value = BPF_CORE_READ(sk, sk_ack_backlog);
	s->d.limit = BPF_CORE_READ(sk, sk_max_ack_backlog);
	return tell_detail(s->slot);
}

/* tcp_conn_request(rsk_ops, af_ops, sk, skb): a SYN */
FUNCTION(syn, 4)
{
	return listener(cookie, a[2], a[3]);
}

/* tcp_v4_syn_recv_sock, tcp_v6_syn_recv_sock: (sk, skb, ...): the ACK that completes a handshake */
FUNCTION(accept, 2)
{
	return listener(cookie, a[0], a[1]);
}
