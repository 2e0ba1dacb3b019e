/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Rules that had their say. A match or target runs with parameters that lie inside the rule itself, so their address tells which rule it
 * is; user space knows the rules and finds it. Plain DROP and ACCEPT of iptables call nothing and are not seen.
 */

/*
 * iptables matches and targets: (skb, struct xt_action_param *par), which starts with the match or target, its parameters and the hook's state
 * (include/linux/netfilter/x_tables.h, since 4.10).
 */
FUNCTION(xt, 2)
{
	struct scratch *s = function_event(cookie, a[0]);
	u64 par[3] = {};

	if (!s)
		return 0;
	bpf_probe_read_kernel(par, sizeof(par), (void *)a[1]);
	fill_hook(s->slot, par[2]);
	s->d.value = par[1];
	return tell_detail(s->slot);
}

/* What lies in memory before an nftables expression: the rest of its rule, with the header that holds the rule's handle. */
GLOBAL int submit_rule(u64 cookie, u64 expr, u64 pkt)
{
	struct rule_event *r;
	struct scratch *s;
	u64 skb = 0;

	bpf_probe_read_kernel(&skb, sizeof(skb), (void *)pkt); /* struct nft_pktinfo starts with the packet */
	s = function_event(cookie, skb);
	if (!s)
		return 0;
	r = &s->r;
	__builtin_memset(r->before, 0, sizeof(r->before));
	r->known = 0;
	for (int i = RULE_BYTES - RULE_STEP; i >= 0; i -= RULE_STEP) { /* backwards, until memory ends */
		if (bpf_probe_read_kernel(r->before + i, RULE_STEP, (void *)(expr - RULE_BYTES + i)))
			break;
		r->known += RULE_STEP;
	}
	return tell_rule(s->slot);
}

/* nftables expressions that decide: (expr, regs, pkt) */
FUNCTION(nft, 3)
{
	return submit_rule(cookie, a[0], a[2]);
}

/*
 * nft_immediate_eval(expr, regs, pkt): of interest is only the verdict drop. struct nft_immediate_expr, behind the operations: 16 bytes of data,
 * of which a verdict's code is the first, and the destination register, 0 for the verdict (net/netfilter/nft_immediate.c).
 */
FUNCTION(nft_verdict, 3)
{
	u32 code = 1;
	u8 dreg = 1;

	bpf_probe_read_kernel(&code, sizeof(code), (void *)a[0] + 8);
	bpf_probe_read_kernel(&dreg, sizeof(dreg), (void *)a[0] + 24);
	if (code || dreg) /* NF_DROP is 0 */
		return 0;
	return submit_rule(cookie, a[0], a[2]);
}
