#!/bin/bash
# examples/demo.sh, with the binary under test.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry skopeo
expect_status 0 "$ROOT/examples/demo.sh"
expect_contains "$out" "demo: done."
