#!/bin/bash
# A disk without room fails before anything is fetched, and says how much is needed.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry
mkdir "$T/small"
mount -t tmpfs -o size=8m none "$T/small" 2>/dev/null || skip "mounting a tmpfs is not permitted"
MOUNTED+=("$T/small")

images "$T/big" big --layers 4 --layer-bytes $((5 << 20)) >/dev/null
digest=$(image_digest "$T/big" registry.example.invalid/big/image:1)
start_registry; A=$REGISTRY A_LOG=$REGISTRY_LOG
push_layout "$T/big" "$A"

expect_status 0 mirror copy "docker://$A/big/image@$digest" "bundle:$T/roomy.tar"
bytes=$(stat -c %s "$T/roomy.tar")
fetched=$(registry_requests "$A_LOG" 'GET /v2/big/image/blobs/')

expect_status 1 mirror copy "docker://$A/big/image@$digest" "bundle:$T/small/b.tar"
# In whatever unit: 20 MiB and a bit.
grep -qE "$bytes|20\.[0-9]* MiB" "$err" || fail "the message has no figure of what is needed"
expect_contains "$err" "$T/small"
expect_equal "$fetched" "$(registry_requests "$A_LOG" 'GET /v2/big/image/blobs/')" "blobs fetched"
expect_equal '' "$(ls -A "$T/small")" "files left behind"

# A layout in a directory finds out as it goes; what it leaves is not taken for an image.
run mirror copy "docker://$A/big/image@$digest" "oci:$T/small/layout"
expect_equal 1 "$status" "status for a layout"
run mirror inspect "oci:$T/small/layout"
expect_lacks "$out" "$digest"
