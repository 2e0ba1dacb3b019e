#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compiles bpf/ in a copy of the tree and compares with the committed files.
set -euo pipefail
cd "$(dirname "$0")/.."
hack/clang.sh
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy/pkg/tracer"
cp -r bpf go.mod go.sum "$copy/"
cp pkg/tracer/gen.go "$copy/pkg/tracer/"
(cd "$copy/pkg/tracer" && go generate .)
status=0
for f in "$copy"/pkg/tracer/bpf_*; do
	cmp "$f" "pkg/tracer/$(basename "$f")" || status=1
done
if [ $status != 0 ]; then
	echo "the committed files are not what bpf/ compiles to: run 'make generate' and commit" >&2
	exit 1
fi
echo "generated files are up to date"
