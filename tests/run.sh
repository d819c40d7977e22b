#!/bin/bash
# Everything from nothing: install what is missing, build, run all tests. Works as the only command
# in a fresh clone on a bare system; needs root or sudo only if something has to be installed.
# The last line has the totals: "N passed, N failed, N skipped".
set -eu -o pipefail
cd "$(dirname "$0")/.."

tests/lib/install-deps
make -j"$(nproc)" --no-print-directory all tests

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
make --no-print-directory check 2>&1 | tee "$log" || status=$?
# make has its own last words after a failure; the totals come last all the same.
[ "$status" -eq 0 ] || grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log" | tail -n 1
exit "$status"
