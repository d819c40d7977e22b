#!/bin/bash
# Peak memory stays under 64 MiB while an image of 1 GiB goes into a bundle, out of it, and from
# registry to registry, with 16 workers.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry
free=$(df --output=avail -k "$T" | tail -n 1)
[ "$free" -gt $((5 << 20)) ] || skip "needs 5 GiB of disk, there are $((free >> 10)) MiB"

images "$T/big" big --layers 16 --layer-bytes $((64 << 20)) >"$T/names"
digest=$(image_digest "$T/big" registry.example.invalid/big/image:1)
start_registry; A=$REGISTRY
push_layout "$T/big" "$A"
rm -r "$T/big"

under_64_mib() {
    local what=$1 peak
    shift
    expect_status 0 "$TOOLS/measure" "$T/figures" "$MIRROR" "$@"
    peak=$(sed -n 's/^peak_kib //p' "$T/figures")
    echo "$what: peak $peak KiB, $(sed -n 's/^wall_ms //p' "$T/figures") ms"
    [ "$peak" -lt $((64 << 10)) ] || fail "$what: peak memory was $peak KiB"
}

under_64_mib "registry to bundle" copy --jobs 16 "docker://$A/big/image@$digest" "bundle:$T/b.tar"
[ "$(stat -c %s "$T/b.tar")" -gt $((1 << 30)) ] || fail "the bundle is smaller than its image"
start_registry; B=$REGISTRY B_DATA=$REGISTRY_DATA B_PID=$REGISTRY_PID
under_64_mib "bundle to registry" copy --jobs 16 "bundle:$T/b.tar" "docker://$B/"
expect_equal "$digest" "$(registry_digest "$B/big/image" "$digest")"
under_64_mib "verify" verify "bundle:$T/b.tar"
kill "$B_PID"
rm -r "$T/b.tar" "$B_DATA"
start_registry; C=$REGISTRY
under_64_mib "registry to registry" copy --jobs 16 "docker://$A/big/image@$digest" "docker://$C/"
expect_equal "$digest" "$(registry_digest "$C/big/image" "$digest")"
