/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ICMP errors that this kernel sends about a packet (net/ipv4/icmp.c, since 6.1). */

SEC("tp_btf/icmp_send")
int BPF_PROG(icmp_send, struct sk_buff *skb, int type, int code)
{
	struct event *e = tracked_event(skb, POINT_ICMP);

	if (!e)
		return 0;
	e->t.family = skb->protocol == bpf_htons(ETH_P_IPV6) ? 6 : 4;
	e->icmp_type = type;
	e->icmp_code = code;
	bpf_ringbuf_submit(e, 0);
	return 0;
}
