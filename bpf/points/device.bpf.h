/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Devices: a packet is received by one, queued at one, handed to one. */

/*
 * netif_receive_skb fires before skb_reset_network_header (net/core/dev.c, __netif_receive_skb_core), so the IP header is found at
 * skb->data, behind a VLAN tag where there is one.
 */
SEC("tp_btf/netif_receive_skb")
int BPF_PROG(netif_receive_skb, struct sk_buff *skb)
{
	u32 l3 = skb->data - skb->head;

	if (skb->protocol == bpf_htons(ETH_P_8021Q))
		l3 += 4;
	return skb_point(skb, l3, BPF_CORE_READ(skb, dev), POINT_RX);
}

SEC("tp_btf/net_dev_start_xmit")
int BPF_PROG(net_dev_start_xmit, struct sk_buff *skb, struct net_device *dev)
{
	return skb_point(skb, skb->network_header, dev, POINT_TX);
}

/*
 * The time between this and net_dev_start_xmit is the time in the device's queue. It fires for devices without a queue as well, so it
 * looks only at packets that are known already: a sender's first device shows no queueing time.
 */
SEC("tp_btf/net_dev_queue")
int BPF_PROG(net_dev_queue, struct sk_buff *skb)
{
	struct event *e = tracked_event(skb, POINT_QUEUE);

	if (e)
		bpf_ringbuf_submit(e, 0);
	return 0;
}
