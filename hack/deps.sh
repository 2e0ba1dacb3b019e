#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing for 'make demo' or 'make test' on Debian and Ubuntu; elsewhere it says what is missing.
set -euo pipefail
what=${1:?demo or test}
declare -A package=([ip]=iproute2 [iptables-legacy-restore]=iptables [iptables-nft-restore]=iptables [nft]=nftables [bridge]=iproute2 [sysctl]=procps)
if [ "$what" = test ]; then
	package+=([clang-19]=clang-19 [llvm-strip-19]=llvm-19 [git]=git)
fi
missing=()
for cmd in "${!package[@]}"; do
	command -v "$cmd" >/dev/null 2>&1 || missing+=("${package[$cmd]}")
done
if [ "$what" = test ] && [ ! -e /usr/include/bpf/bpf_helpers.h ]; then missing+=(libbpf-dev); fi
if [ ${#missing[@]} -gt 0 ]; then
	mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
	if ! command -v apt-get >/dev/null 2>&1; then
		echo "nettrace needs these Debian packages, or their like: ${missing[*]}" >&2
		exit 1
	fi
	if [ "$(id -u)" != 0 ]; then
		echo "not installed: ${missing[*]}; run this with sudo to install them" >&2
		exit 1
	fi
	echo "installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q >/dev/null || true
	if ! log=$(apt-get install -y -q --no-install-recommends "${missing[@]}" 2>&1); then
		echo "$log" >&2
		exit 1
	fi
fi
if ! command -v go >/dev/null 2>&1; then
	echo "Go is not installed: get 1.26 or newer from https://go.dev/dl (any Go since 1.21 fetches the right one by itself)" >&2
	exit 1
fi
