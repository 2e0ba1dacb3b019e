#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs every test. Packages run one after the other: the tests that trace share one kernel, and a flood in one would cost events in another.
# Skipped tests are listed with their reasons; one that testdata/skips.txt does not allow fails the run. The last line is gotestsum's own.
set -uo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mountpoint -q /sys/kernel/tracing 2>/dev/null || mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null || true
go tool gotestsum --format pkgname --jsonfile "$scratch/events" -- -p 1 -count=1 -timeout 80m ./... 2>&1 | tee "$scratch/said"
status=${PIPESTATUS[0]}
go run -buildvcs=false ./internal/testreport testdata/skips.txt <"$scratch/events" || status=1
if ! why=$(hack/clang.sh 2>&1); then echo "generated files were NOT compared: $why"; fi
echo "each kernel in a guest ran a third of the lab, and the cases that need its features: 'make test-kernels' runs the whole lab on each"
grep '^DONE ' "$scratch/said" | tail -n 1
exit "$status"
