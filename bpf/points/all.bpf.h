/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Every body as one kprobe program, but for points/output.bpf.h: this one has nothing to do until a packet is followed, and says so before it
 * reads anything.
 */
SEC("kprobe") int kprobe_all(struct pt_regs *ctx)
{
	u64 a[MAX_ARGS], cookie;

	if (!tracking)
		return 0;
	cookie = kprobe_cookie(ctx);
	if (!cookie)
		return 0;
	a[0] = PT_REGS_PARM1(ctx);
	a[1] = PT_REGS_PARM2(ctx);
	a[2] = PT_REGS_PARM3(ctx);
	a[3] = PT_REGS_PARM4(ctx);
	a[4] = PT_REGS_PARM5(ctx);
	switch (COOKIE_BODY(cookie)) {
	case BODY_SKB: return any_skb(cookie, a);
	case BODY_SKB_VALUE: return on_skb_value(ctx, cookie, a);
	case BODY_RELEASE: return on_release(ctx, cookie, a);
	case BODY_HOOK: return on_hook(ctx, cookie, a);
	case BODY_TABLE: return on_table(ctx, cookie, a);
	case BODY_CHAIN: return on_chain(ctx, cookie, a);
	case BODY_INVALID: return invalid(cookie, a);
	case BODY_EARLY_DROP: return on_early_drop(ctx, cookie, a);
	case BODY_NAT: return on_nat(ctx, cookie, a);
	case BODY_IPVS: return on_ipvs(ctx, cookie, a);
	case BODY_BRIDGE_PORT: return on_bridge_port(ctx, cookie, a);
	case BODY_SYN: return on_syn(ctx, cookie, a);
	case BODY_ACCEPT: return on_accept(ctx, cookie, a);
	case BODY_XT: return on_xt(ctx, cookie, a);
	case BODY_NFT: return on_nft(ctx, cookie, a);
	case BODY_NFT_VERDICT: return on_nft_verdict(ctx, cookie, a);
	}
	return 0;
}
