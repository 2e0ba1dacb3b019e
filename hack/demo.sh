#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One healthy and one broken flow in the lab, on this machine's own kernel; then what is left of it, also after Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/.."
namespaces() { ip netns list | cut -d' ' -f1 | sort; }
before=$(namespaces)

finish() {
	local status=$? left
	trap - EXIT
	trap '' INT TERM
	printf '\n=== what is left: ip netns ===\n'
	left=$(comm -13 <(printf '%s\n' "$before") <(namespaces))
	if [ -n "$left" ]; then
		printf '%s\n' "$left"
		echo "these namespaces are new: if no other lab runs here, './nettrace lab down --all' removes them" >&2
		exit 1
	fi
	echo "nothing"
	exit "$status"
}
trap finish EXIT
# 'lab run' takes its lab down itself on these signals; bash runs the trap when it has ended.
trap 'exit 130' INT TERM

for case in healthy-service no-endpoints; do
	printf '\n=== nettrace lab run %s ===\n' "$case"
	./nettrace lab run "$case"
done
