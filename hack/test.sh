#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs every test. Packages run one after the other: the tests that trace share one kernel, and a flood in one would cost events in another.
# Skipped tests are listed with their reasons; one that testdata/skips.txt does not allow fails the run.
set -uo pipefail
cd "$(dirname "$0")/.."
json=$(mktemp)
trap 'rm -f "$json"' EXIT
mountpoint -q /sys/kernel/tracing 2>/dev/null || mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null || true
go tool gotestsum --format pkgname --jsonfile "$json" -- -p 1 -count=1 -timeout 60m ./...
status=$?
go run ./internal/testreport testdata/skips.txt <"$json" || status=1
exit $status
