#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Replaces each block between <!-- screen:CASE --> and <!-- /screen --> in the README by the real output of that lab case.
# The suffix of the kernel's release, which says who built it, is left out.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT
inside=0
while IFS= read -r line; do
	case $line in
	'<!-- screen:'*)
		if [ $inside = 1 ]; then break; fi
		case_name=${line#<!-- screen:}
		case_name=${case_name% -->}
		printf '%s\n```console\n$ sudo ./nettrace lab run %s\n' "$line" "$case_name" >>"$out"
		./nettrace lab run "$case_name" 2>/dev/null </dev/null | sed 's/\(kernel [0-9][0-9.]*\)[^ ,]*/\1/' >>"$out"
		printf '```\n' >>"$out"
		inside=1
		;;
	'<!-- /screen -->') inside=0 ;;
	esac
	if [ $inside = 0 ]; then printf '%s\n' "$line" >>"$out"; fi
done <README.md
if [ $inside = 1 ]; then
	echo "README.md: the block of screen:$case_name has no end: add <!-- /screen -->; nothing was changed" >&2
	exit 1
fi
cat "$out" >README.md
