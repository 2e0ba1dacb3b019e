/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ICMP errors that this kernel sends about a packet (net/ipv4/icmp.c, since 6.1). */

SEC("tp_btf/icmp_send")
int BPF_PROG(icmp_send, struct sk_buff *skb, int type, int code)
{
	struct window w = window_of(skb, skb->network_header);
	struct packet p;
	struct track t;
	struct event *e;

	if (!identify((u64)skb, &w, &p, &t))
		return 0;
	e = start_event(POINT_ICMP, sizeof(*e));
	if (!e)
		return 0;
	fill_device(e, skb->dev);
	fill_skb(e, skb, &p, &t);
	e->icmp_type = type;
	e->icmp_code = code;
	bpf_ringbuf_submit(e, 0);
	return 0;
}
