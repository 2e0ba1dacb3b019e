/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* IPVS: ip_vs_{nat,tunnel,dr,bypass}_xmit(skb, cp, pp, iph), where cp is the connection with the chosen real server. */

GLOBAL int fill_ipvs(u32 slot, u64 cp)
{
	struct scratch *s = scratch_at(slot);
	struct old_ip_vs_conn c = {};
	struct detail_event *d;

	if (!s)
		return 0;
	d = &s->d;
	if (bpf_core_type_exists(struct ip_vs_conn)) {
		struct ip_vs_conn *now = (void *)cp;

		c.af = BPF_CORE_READ(now, af) & 0xff; /* one byte since 7.1 */
		c.cport = BPF_CORE_READ(now, cport);
		c.vport = BPF_CORE_READ(now, vport);
		c.dport = BPF_CORE_READ(now, dport);
		c.protocol = BPF_CORE_READ(now, protocol);
		bpf_core_read(c.caddr, 16, &now->caddr);
		bpf_core_read(c.vaddr, 16, &now->vaddr);
		bpf_core_read(c.daddr, 16, &now->daddr);
	} else {
		bpf_probe_read_kernel(&c, sizeof(c), (void *)cp);
	}
	d->from.family = d->to.family = c.af == AF_INET6 ? 6 : 4;
	d->from.proto = d->to.proto = c.protocol;
	d->from.sport = d->to.sport = bpf_ntohs(c.cport);
	d->from.dport = bpf_ntohs(c.vport);
	d->to.dport = bpf_ntohs(c.dport);
	if (c.af == AF_INET6) {
		__builtin_memcpy(d->from.saddr, c.caddr, 16);
		__builtin_memcpy(d->to.saddr, c.caddr, 16);
		__builtin_memcpy(d->from.daddr, c.vaddr, 16);
		__builtin_memcpy(d->to.daddr, c.daddr, 16);
	} else {
		__builtin_memcpy(d->from.saddr, c.caddr, 4);
		__builtin_memcpy(d->to.saddr, c.caddr, 4);
		__builtin_memcpy(d->from.daddr, c.vaddr, 4);
		__builtin_memcpy(d->to.daddr, c.daddr, 4);
	}
	return 0;
}

FUNCTION(ipvs, 2)
{
	struct scratch *s = function_event(cookie, a[0]);

	if (!s)
		return 0;
	fill_ipvs(s->slot, a[1]);
	return tell_detail(s->slot);
}
