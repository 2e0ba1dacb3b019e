// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"regexp"

	"github.com/nettrace-io/nettrace/internal/debian"
)

// Kernel is one line of the matrix: the newest package of a Debian suite whose name fits.
type Kernel struct {
	Line   string   // name of the line: "5.10"
	Suites []string // apt sources "URL SUITE COMPONENT"
	Name   *regexp.Regexp
	// Parts are the packages that hold the kernel, with %s for the release; one package before Debian split them.
	Parts []string
	// Blind are the points that do not attach, by name, with words of the reason; any other blind point fails the tests.
	Blind map[string]string
	// BlindOn are those that do not attach on one rung, when that one is forced.
	BlindOn map[string]map[string]string
	// Rungs are the backends that this kernel is known to have, besides the tracepoints; a test forces each of them. The last is the preferred.
	Rungs []string
	// Cases are the lab's cases for a rung on which others than the usual ones make sense; the preferred rung has all.
	Cases map[string][]string
	// Unable are the lab's cases that this kernel cannot decide as the others do, by name, with the reason; all others must pass.
	Unable map[string]string
	Why    string // what makes it different
}

const (
	mirror   = debian.Mirror
	security = debian.Security
)

// Kernels is the matrix, oldest first.
var Kernels = []Kernel{
	{
		Line: "5.10", Suites: []string{mirror + " bullseye main", security + " bullseye-security main"},
		Name: regexp.MustCompile(`^linux-image-(5\.10\.0-\d+-cloud-amd64)$`), Parts: []string{"linux-image-%s"},
		Rungs: []string{"fentry", "kprobe"}, Why: "no drop reasons, no module BTF, no kprobe.multi",
		BlindOn: map[string]map[string]string{"fentry": with(manyArguments[:1], varargs, noModuleBTF)},
		Cases:   map[string][]string{"fentry": {"healthy-same-node", "accept-queue-full", "route-missing"}}, // conntrack and NAT are modules
		Unable: map[string]string{"timestamps-rejected": "tcp_drop frees where no point sees it: the cause is told by its counter, and only likely",
			"conntrack-race": "it lets the query go on, and the answer comes back translated for its rival"},
	},
	{
		Line: "6.1", Suites: []string{mirror + " bookworm main", security + " bookworm-security main"},
		Name: regexp.MustCompile(`^linux-image-(6\.1\.0-\d+-cloud-amd64)$`), Parts: []string{"linux-image-%s"},
		Rungs: []string{"fentry", "kprobe"}, Why: "drop reasons and module BTF, no kprobe.multi",
		BlindOn: map[string]map[string]string{"fentry": with(manyArguments, varargs, nil)},
		Unable:  map[string]string{"conntrack-race": "it lets the query go on, and the answer comes back translated for its rival"},
	},
	{
		Line: "6.12", Suites: []string{mirror + " bookworm-backports main", security + " bookworm-security main"},
		Name: regexp.MustCompile(`^linux-image-(6\.12\.\d+\+deb12(?:\.\d+)?-cloud-amd64)$`), Parts: []string{"linux-image-%s"},
		Rungs: []string{"kprobe", "fentry", "kprobe-multi"}, Why: "kprobe.multi, tcx",
		BlindOn: map[string]map[string]string{"fentry": with(nil, varargs, nil)},
	},
	{
		Line: "7.x", Suites: []string{mirror + " trixie-backports main"},
		Name: regexp.MustCompile(`^linux-image-(7\.\d+\.\d+\+deb13(?:\.\d+)?-cloud-amd64)$`), Parts: []string{"linux-binary-%s", "linux-modules-%s"},
		Rungs: []string{"kprobe", "fentry", "kprobe-multi"}, Why: "renamed and reshaped functions",
		BlindOn: map[string]map[string]string{"fentry": with(nil, varargs, nil)},
	},
}

// What fentry cannot do, by kernel.
var (
	varargs       = []string{"nf_ct_l4proto_log_invalid"}
	manyArguments = []string{"fib_validate_source", "tcp_v4_syn_recv_sock", "tcp_v6_syn_recv_sock"} // more than six, until 6.6
	noModuleBTF   = []string{
		"ipt_do_table", "ip6t_do_table", "nft_do_chain", "nf_conntrack_in", "early_drop", "__nf_conntrack_confirm", "nf_nat_manip_pkt", "nf_nat_masquerade_ipv4", "nf_nat_masquerade_ipv6",
		"nf_nat_redirect_ipv4", "nf_nat_redirect_ipv6", "nf_send_reset", "nf_send_reset6", "ip_vs_schedule", "ip_vs_nat_xmit", "ip_vs_nat_xmit_v6", "ip_vs_tunnel_xmit", "ip_vs_dr_xmit",
		"ip_vs_leave", "br_forward", "br_flood", "br_pass_frame_up", "vxlan_xmit", "vxlan_xmit_one", "geneve_xmit", "ip_tunnel_xmit",
		"comment_mt", "reject_tg", "reject_tg6", "xt_dnat_target_v2", "xt_snat_target_v2", "masquerade_tg", "masquerade_tg6", "redirect_tg4", "redirect_tg6", "nft_immediate_eval",
		"nft_reject_ipv4_eval", "nft_reject_ipv6_eval", "nft_reject_inet_eval", "nft_nat_eval", "nft_nat_inet_eval", "nft_masq_eval", "nft_masq_ipv4_eval", "nft_masq_ipv6_eval",
		"nft_masq_inet_eval", "nft_redir_eval", "nft_target_eval_xt",
	}
)

// with makes a list of blind points with the words of their reasons.
func with(manyArguments, varargs, noBTF []string) map[string]string {
	m := map[string]string{}
	for why, names := range map[string][]string{"so many arguments": manyArguments, "variable arguments": varargs, "has no BTF": noBTF} {
		for _, name := range names {
			m[name] = why
		}
	}
	return m
}
