#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One healthy and one broken flow in the lab, on this machine's own kernel.
set -euo pipefail
cd "$(dirname "$0")/.."
before=$(ip netns list | wc -l)
status=0
for case in healthy-service no-endpoints; do
	printf '\n=== nettrace lab run %s ===\n' "$case"
	./nettrace lab run "$case" || { status=$?; break; }
done
printf '\n=== what is left: ip netns ===\n'
ip netns list
after=$(ip netns list | wc -l)
if [ "$after" != "$before" ]; then
	echo "namespaces were left behind" >&2
	exit 1
fi
echo "nothing"
exit $status
