/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What goes into an event as it is, for whoever makes one. */
#ifndef NETTRACE_FILL_H
#define NETTRACE_FILL_H

/*
 * The device that a packet is at. While a socket queues it, dev holds something else (a tree's node, dev_scratch: a union in struct sk_buff), so
 * what is read there has to make sense.
 */
static __always_inline struct net_device *device_of(const struct sk_buff *skb)
{
	struct net_device *dev = BPF_CORE_READ(skb, dev);

	if (!dev || BPF_CORE_READ(dev, nd_net.net, ns.inum) < NETNS_FIRST || BPF_CORE_READ(dev, ifindex) <= 0)
		return NULL;
	return dev;
}

static __always_inline void fill_name(struct event *e, const struct net_device *dev)
{
	const char *kind;

	bpf_probe_read_kernel_str(e->dev, sizeof(e->dev), dev->name);
	kind = BPF_CORE_READ(dev, rtnl_link_ops, kind);
	if (BPF_CORE_READ(dev, flags) & IFF_LOOPBACK)
		__builtin_memcpy(e->kind, "loopback", 9);
	else if (kind)
		bpf_probe_read_kernel_str(e->kind, sizeof(e->kind), kind);
	else
		__builtin_memcpy(e->kind, "phys", 5);
}

static __always_inline void fill_packet(struct event *e, const struct packet *p)
{
	e->t = p->t;
	e->iplen = p->iplen;
	e->seq = p->seq;
	e->ack = p->ack;
	e->ipid = p->ipid;
	e->icmp_seq = p->icmp_seq;
	e->payload = p->payload;
	e->tcp_flags = p->tcp_flags;
	e->ttl = p->ttl;
	e->icmp_type = p->icmp_type;
	e->icmp_code = p->icmp_code;
	if (p->outer) {
		e->o = p->o;
		e->o.pad = p->outer;
		e->vni = p->vni;
		e->flags |= EVENT_OUTER;
	}
	if (p->has_about) {
		e->about = p->about;
		e->flags |= EVENT_ABOUT;
	}
}

#endif
