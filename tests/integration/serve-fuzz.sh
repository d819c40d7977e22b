#!/bin/bash
# mirror serve under requests that are nearly right: answers stay in form, bytes stay right. By hand,
# with more answers and under sanitizers: build/asan/tests/lib/tools/servefuzz 1000000 SEED
. "$(dirname "$0")/../lib/test.sh"

expect_status 0 "$TOOLS/servefuzz" 20000 1
expect_line "$out" '[0-9]+ requests on .*[1-9][0-9]* bodies with the right digest'
