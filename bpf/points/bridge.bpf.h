/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* br_forward(port, skb, ...): the bridge found the port for the packet. */
FUNCTION(bridge_port, 2)
{
	struct scratch *s = function_event(cookie, a[1]);
	struct net_bridge_port *port = (void *)a[0];
	struct net_device *dev;

	if (!s)
		return 0;
	if (bpf_core_type_exists(struct net_bridge_port)) {
		dev = BPF_CORE_READ(port, dev);
		s->d.out_ifindex = BPF_CORE_READ(dev, ifindex);
		bpf_probe_read_kernel_str(s->d.out_dev, sizeof(s->d.out_dev), &dev->name);
	}
	return tell_detail(s->slot);
}
