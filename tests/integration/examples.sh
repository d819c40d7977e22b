#!/bin/bash
# Everything in examples/ works as it stands, with hosts and digests of the test put in.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry skopeo

N=registry.example.invalid
images "$T/plain" plain >/dev/null
start_registry; A=$REGISTRY
start_registry; B=$REGISTRY
push_layout "$T/plain" "$A"
app=$(image_digest "$T/plain" "$N/team/app:1")
app2=$(image_digest "$T/plain" "$N/team/app:2")
base=$(image_digest "$T/plain" "$N/base:1")
here() {
    sed -E -e "s/sha256:1{64}/$app/; s/sha256:2{64}/$base/" -e "s/registry\.example\.com/$A/" \
        -e "s/mirror\.example\.com:8443/$B/g" "$ROOT/examples/$1" >"$T/$1"
}

here images.txt
expect_status 0 mirror copy --file "$T/images.txt" "bundle:$T/b.tar"
expect_equal 3 "$(tar xOf "$T/b.tar" index.json | jq '.manifests | length')" "images"

here mapping.txt
expect_status 0 mirror copy --file "$T/mapping.txt"
expect_equal "$app" "$(registry_digest "$B/apps/app" stable)"
expect_equal "$app2" "$(registry_digest "$B/apps/app" 2)"
expect_equal "$base" "$(registry_digest "$B/base" 1)"
expect_equal "$base" "$(registry_digest "$B/base" latest)"

# The layout that the demo begins with is one to others too, and the same one each time.
digest=$("$ROOT/examples/make-sample-image" "$T/sample" "$N/demo/hello:1")
expect_equal "$digest" "$("$ROOT/examples/make-sample-image" "$T/sample2" "$N/demo/hello:1")"
expect_status 0 skopeo copy --all "oci:$T/sample:$N/demo/hello:1" "dir:$T/dir"
expect_status 0 mirror verify "oci:$T/sample"

# The demo itself, with the binary under test.
expect_status 0 "$ROOT/examples/demo.sh"
expect_contains "$out" "demo: done."
