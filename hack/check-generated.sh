#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Generates everything anew in a copy of the tree, from which the generated files were removed first, and compares.
# --or-say-so: a distribution without the pinned clang is told, not failed, unless CI is set.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! why=$(hack/clang.sh 2>&1); then
	if [ "${1:-}" = --or-say-so ] && [ -z "${CI:-}" ]; then
		echo "generated files were NOT compared: $why" >&2
		exit 0
	fi
	echo "$why" >&2
	exit 1
fi
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
tar -cf - --exclude=./.git . | tar -xf - -C "$copy" --no-same-owner
find "$copy/pkg" -name '*.o' -delete
grep -rlZ --include='*.go' '^// Code generated .* DO NOT EDIT\.$' "$copy/cmd" "$copy/pkg" "$copy/internal" | xargs -0 -r rm -f
(cd "$copy" && go generate ./...)
if ! diff -rq --exclude=.git . "$copy"; then
	echo "the committed files are not what their sources give: run 'make generate' and commit" >&2
	exit 1
fi
echo "generated files are up to date"
