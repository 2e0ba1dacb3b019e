#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The compiled programs are committed; only the pinned clang gives the same bytes.
set -euo pipefail
want=$(cat "$(dirname "$0")/../bpf/CLANG_VERSION")
have=$(clang-19 --version 2>/dev/null | sed -n 's/.*clang version \([0-9.]*\).*/\1/p' | head -n 1) || true
if [ "$have" != "$want" ]; then
	echo "bpf/ is compiled with clang $want, found '${have:-none}': apt-get install clang-19 llvm-19 libbpf-dev (Debian 12 and 13 have this version)" >&2
	exit 1
fi
