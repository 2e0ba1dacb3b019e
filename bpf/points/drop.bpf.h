/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The end of a packet: kfree_skb is a drop, consume_skb a normal end (or a silent drop inside vxlan_xmit). */

SEC("tp_btf/kfree_skb")
int BPF_PROG(kfree_skb, struct sk_buff *skb, void *location)
{
	struct window w = window_of(skb, skb->network_header);
	struct scratch *s;
	struct drop_event *d;
	u64 key = (u64)skb;
	long n;

	if (!may_matter(key, &w))
		return 0;
	s = take_scratch();
	if (!s) {
		count_lost(POINT_DROP);
		return 0;
	}
	s->w = w;
	d = (struct drop_event *)packet_event(skb, s, device_of(skb), POINT_DROP, sizeof(*d));
	if (d) {
		d->e.addr = (u64)location;
		if (kfree_skb_args >= 3)
			d->e.reason = (u32)ctx[2];
		n = bpf_get_stack(ctx, d->stack, sizeof(d->stack), 0);
		d->e.nstack = n > 0 ? n / sizeof(u64) : 0;
		bpf_ringbuf_submit(d, 0);
	}
	free_scratch(s);
	bpf_map_delete_elem(&tracked, &key);
	return 0;
}

SEC("tp_btf/consume_skb")
int BPF_PROG(consume_skb, struct sk_buff *skb)
{
	u64 key = (u64)skb;
	struct track *t;
	struct event *e;

	if (!tracking)
		return 0;
	t = bpf_map_lookup_elem(&tracked, &key);
	if (!t)
		return 0;
	e = start_event(POINT_CONSUME, sizeof(*e));
	if (!e)
		goto end;
	e->skb = key;
	e->id = t->id;
	e->dir = t->dir;
	if (consume_skb_args >= 2)
		e->addr = ctx[1];
	fill_device(e, (u64)device_of(skb));
	bpf_ringbuf_submit(e, 0);
end:
	bpf_map_delete_elem(&tracked, &key);
	return 0;
}
