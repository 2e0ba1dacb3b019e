#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs every fuzz target for the given time.
set -euo pipefail
cd "$(dirname "$0")/.."
grep -rln --include='*_test.go' '^func Fuzz' . | while read -r f; do
	for t in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$f"); do
		echo "== $t in $(dirname "$f")"
		go test -run '^$' -fuzz "^$t\$" -fuzztime "$1" -fuzzminimizetime 5s "$(dirname "$f")"
	done
done
