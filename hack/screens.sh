#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Replaces each block between <!-- screen:CASE --> and <!-- /screen --> in the README by the real output of that lab case; of
# <!-- screen:CASE COMMAND SRC DST -->, by that of the command in a lab that is up with the case.
# The suffix of the kernel's release, which says who built it, is left out.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT
kernel='s/\(kernel [0-9][0-9.]*\)[^ ,]*/\1/'

# screen_of LINE CASE COMMAND SRC DST: the failure is there, what would a user type?
screen_of() {
	local cluster='--cluster /run/nettrace-lab/nettrace.yaml'
	local scopes='--scope node1=nettrace-node1+nettrace-client+nettrace-web-a --scope node2=nettrace-node2+nettrace-web-b'
	./nettrace lab up --case "$2" >/dev/null 2>&1 </dev/null
	trap 'rm -f "$out"; ./nettrace lab down' EXIT
	printf '%s\n```console\n$ sudo ./nettrace lab up --case %s\n$ sudo ./nettrace %s %s %s \\\n    %s \\\n    %s\n' "$1" "$2" "$3" "$4" "$5" "$cluster" "$scopes" >>"$out"
	# shellcheck disable=SC2086 # they are several words
	{ ./nettrace "$3" "$4" "$5" $cluster $scopes 2>/dev/null </dev/null || test $? = 2; } | sed "$kernel" >>"$out"
	printf '```\n' >>"$out"
	./nettrace lab down
	trap 'rm -f "$out"' EXIT
}

inside=0
while IFS= read -r line; do
	case $line in
	'<!-- screen:'*)
		if [ $inside = 1 ]; then break; fi
		case_name=${line#<!-- screen:}
		case_name=${case_name% -->}
		if [[ $case_name == *' '* ]]; then
			screen_of "$line" ${case_name%% *} ${case_name#* }
			inside=1
			continue
		fi
		printf '%s\n```console\n$ sudo ./nettrace lab run %s\n' "$line" "$case_name" >>"$out"
		./nettrace lab run "$case_name" 2>/dev/null </dev/null | sed "$kernel" >>"$out"
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
