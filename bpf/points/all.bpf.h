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
#define BODY_CASE(name) \
	case BODY_##name: \
		return on_##name(ctx, cookie, a);
	switch (COOKIE_BODY(cookie)) {
		BODIES(BODY_CASE)
	}
	return 0;
}
