#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The compiled programs are committed; only the pinned clang gives the same bytes. Fails, and says how to get it, when it is not here.
set -euo pipefail
want=$(cat "$(dirname "$0")/../bpf/CLANG_VERSION")
have=$(clang-19 --version 2>/dev/null | sed -n 's/.*clang version \([0-9.]*\).*/\1/p' | head -n 1) || true
install="Debian 12 and 13 have it: apt-get install clang-19 llvm-19 libbpf-dev; elsewhere: https://apt.llvm.org or a Debian container"
if [ "$have" != "$want" ]; then
	echo "bpf/ is compiled with clang $want, found '${have:-none}'. $install" >&2
	exit 1
fi
if ! command -v llvm-strip-19 >/dev/null 2>&1; then
	echo "llvm-strip-19 is missing. $install" >&2
	exit 1
fi
