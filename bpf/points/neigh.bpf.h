/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Neighbours (ARP, ND). A packet that waits for one is queued; the drop comes seconds later from a timer. The neighbours that the flow
 * waited for are remembered, so that their fate is told though no packet is at hand.
 */

struct neigh_key {
	u8 addr[16];
	u32 ifindex;
	u32 netns;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct neigh_key);
	__type(value, u8);
} awaited SEC(".maps");

static __always_inline void read_neigh(struct neighbour *n, struct neigh_key *k, u8 *family)
{
	struct net_device *dev = BPF_CORE_READ(n, dev);

	*family = BPF_CORE_READ(n, tbl, family) == AF_INET6 ? 6 : 4;
	if (*family == 6)
		bpf_probe_read_kernel(k->addr, 16, n->primary_key);
	else
		bpf_probe_read_kernel(k->addr, 4, n->primary_key);
	k->ifindex = BPF_CORE_READ(dev, ifindex);
	k->netns = netns_of(dev);
}

static __always_inline int neigh_event(struct neighbour *n, u32 point, int err, bool sending)
{
	struct current_packet *cur = current_packet();
	struct neigh_key k = {};
	u8 family, one = 1;
	struct event *e;

	if (!tracking || !cur)
		return 0;
	if (sending && !still_current(cur))
		return 0;
	read_neigh(n, &k, &family);
	/* ARP for one packet can run the whole way of another one inside it: only the next hop of this packet's own route counts */
	if (sending && !same16(k.addr, cur->gw) && !same16(k.addr, cur->daddr))
		return 0;
	if (!sending && !bpf_map_lookup_elem(&awaited, &k))
		return 0;
	e = start_event(point, sizeof(*e));
	if (!e)
		return 0;
	if (sending) {
		e->id = cur->id;
		e->dir = cur->dir;
		e->skb = cur->skb;
		bpf_map_update_elem(&awaited, &k, &one, BPF_ANY);
	}
	fill_device(e, (u64)BPF_CORE_READ(n, dev));
	__builtin_memcpy(e->gw, k.addr, 16);
	e->gw_family = family;
	e->new_state = n->nud_state;
	e->err = err;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

/* rc 1: the packet waits in the neighbour's queue; 0: it can be sent now. */
SEC("tp_btf/neigh_event_send_done")
int BPF_PROG(neigh_event_send_done, struct neighbour *n, int rc)
{
	return rc ? neigh_event(n, POINT_NEIGH_SEND, rc, true) : 0;
}

SEC("tp_btf/neigh_event_send_dead")
int BPF_PROG(neigh_event_send_dead, struct neighbour *n, int rc)
{
	return neigh_event(n, POINT_NEIGH_DEAD, rc, true);
}

SEC("tp_btf/neigh_timer_handler")
int BPF_PROG(neigh_timer_handler, struct neighbour *n, int err)
{
	return neigh_event(n, POINT_NEIGH_TIMER, err, false);
}

SEC("tp_btf/neigh_update_done")
int BPF_PROG(neigh_update_done, struct neighbour *n, int err)
{
	return neigh_event(n, POINT_NEIGH_UPDATE, err, false);
}
