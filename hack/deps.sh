#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing for 'make demo', 'make test', 'make test-kernels' or 'make image' on Debian and Ubuntu; elsewhere it says what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:?demo, test, kernels or image}

# go env reads go.mod: it fails when this Go is too old and cannot or may not fetch the one that go.mod names.
check_go() {
	local want have why
	want=$(sed -n 's/^go //p' go.mod)
	if ! command -v go >/dev/null 2>&1; then
		echo "Go is not in PATH ($PATH): get $want or newer from https://go.dev/dl; with sudo, 'sudo env PATH=\$PATH make $what' keeps your PATH" >&2
		return 1
	fi
	why=$(go env GOVERSION 2>&1 >/dev/null) || true
	have=$(go env GOVERSION 2>/dev/null) || have=
	if [ -n "$have" ] && [ "$(printf '%s\n' "$want" "${have#go}" | sort -V | head -n 1)" = "$want" ]; then return 0; fi
	echo "Go $want or newer is needed, $(command -v go) says: ${have:-$why}. Get it from https://go.dev/dl (Go 1.21 and newer fetch it themselves when GOTOOLCHAIN is auto)" >&2
	return 1
}

install() {
	mapfile -t packages < <(printf '%s\n' "$@" | sort -u)
	if ! command -v apt-get >/dev/null 2>&1; then
		echo "nettrace needs these Debian packages, or their like: ${packages[*]}" >&2
		return 1
	fi
	if [ "$(id -u)" != 0 ]; then
		echo "not installed: ${packages[*]}; run this with sudo to install them" >&2
		return 1
	fi
	echo "installing ${packages[*]}"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q >/dev/null || true # a mirror that is down says so in the next step
	local log
	if ! log=$(apt-get install -y -q --no-install-recommends "${packages[@]}" 2>&1); then
		printf '%s\n' "$log" >&2
		return 1
	fi
}

declare -A package=([ip]=iproute2 [bridge]=iproute2 [iptables-legacy-restore]=iptables [iptables-nft-restore]=iptables [nft]=nftables [sysctl]=procps)
missing=()
if [ "$what" != image ]; then
	for cmd in "${!package[@]}"; do
		command -v "$cmd" >/dev/null 2>&1 || missing+=("${package[$cmd]}")
	done
fi
# Go fetches modules over https; only Debian and Ubuntu keep the roots here.
if command -v apt-get >/dev/null 2>&1 && [ ! -e /etc/ssl/certs/ca-certificates.crt ]; then missing+=(ca-certificates); fi
if [ ${#missing[@]} -gt 0 ]; then install "${missing[@]}"; fi
check_go

if [ "$what" = image ] || [ "$what" = test ]; then
	# internal/image takes Debian's packages apart, having seen that they are Debian's; for the test a container runtime runs what comes out.
	declare -A parts=([apt-get]=apt [dpkg-deb]=dpkg [git]=git)
	if [ "$what" = test ]; then parts+=([podman]=podman [runc]=runc); fi
	wanted=()
	for cmd in "${!parts[@]}"; do
		command -v "$cmd" >/dev/null 2>&1 || wanted+=("${parts[$cmd]}")
	done
	[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || wanted+=(debian-archive-keyring)
	if [ ${#wanted[@]} -gt 0 ]; then install "${wanted[@]}"; fi
fi

if [ "$what" = kernels ] || [ "$what" = test ]; then
	# The guests of internal/vmtest: qemu, what unpacks kernels, and the commands that are copied into them.
	declare -A guest=([qemu-system-x86_64]=qemu-system-x86 [busybox]=busybox-static [modprobe]=kmod [depmod]=kmod [xz]=xz-utils [ipvsadm]=ipvsadm [conntrack]=conntrack [tcpdump]=tcpdump [ethtool]=ethtool [ping]=iputils-ping
		[setpriv]=util-linux [unshare]=util-linux [ldd]=libc-bin [tc]=iproute2 [ss]=iproute2)
	wanted=()
	for cmd in "${!guest[@]}"; do
		command -v "$cmd" >/dev/null 2>&1 || wanted+=("${guest[$cmd]}")
	done
	[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || wanted+=(debian-archive-keyring)
	if [ ${#wanted[@]} -gt 0 ]; then install "${wanted[@]}"; fi
fi

if [ "$what" = test ]; then
	compiler=() readers=()
	command -v clang-19 >/dev/null 2>&1 || compiler+=(clang-19)
	command -v llvm-strip-19 >/dev/null 2>&1 || compiler+=(llvm-19)
	for cmd in tcpdump tshark ipset; do # the first two read what --pcap wrote; the last makes sets for the evaluator of rules
		command -v "$cmd" >/dev/null 2>&1 || readers+=("$cmd")
	done
	if [ ${#readers[@]} -gt 0 ]; then install "${readers[@]}"; fi
	[ -e /usr/include/bpf/bpf_helpers.h ] || compiler+=(libbpf-dev)
	# Not every release has the pinned clang. The compiled programs are committed, so only their comparison depends on it, which says so.
	if [ ${#compiler[@]} -gt 0 ]; then install "${compiler[@]}" || [ -z "${CI:-}" ]; fi
fi
