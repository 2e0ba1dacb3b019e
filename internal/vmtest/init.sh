#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# The guest's first process: mounts, modules, /job on the first serial line, power off. The kernel's own messages go to the second one.
export PATH=/bin HOME=/root TERM=dumb LC_ALL=C XTABLES_LIBDIR=/usr/lib/x86_64-linux-gnu/xtables
/bin/busybox --install -s /bin 2>/dev/null
mkdir -p /usr
for dir in /sbin /usr/bin /usr/sbin; do ln -s /bin "$dir"; done # the kernel loads modules through /sbin/modprobe
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /dev/pts /sys/fs/bpf /sys/fs/cgroup
mount -t tracefs tracefs /sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /tmp
ip link set lo up
echo 1 >/proc/sys/kernel/panic_on_oops
modprobe -a veth bridge br_netfilter vxlan geneve ipip dummy ipt_REJECT ip6t_REJECT nf_reject_ipv4 nf_reject_ipv6 sch_ingress cls_bpf nf_tables nft_compat ip_tables iptable_filter iptable_nat iptable_mangle iptable_raw \
	xt_comment xt_nat xt_MASQUERADE xt_REDIRECT nft_reject_ipv4 nft_reject_ipv6 nft_reject_inet nft_nat nft_masq nft_redir \
	ip6_tables ip6table_filter ip6table_nat ip_vs ip_vs_rr nf_conntrack nf_nat 2>/dev/null
exec </dev/null >/dev/ttyS0 2>&1
stty -F /dev/ttyS0 raw -echo 2>/dev/null
echo "@@boot"
/job
echo "@@exit $?"
sync
poweroff -f
