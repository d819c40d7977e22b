#!/bin/bash
# Registry to bundle to another registry, and registry to registry: every manifest and blob of
# every odd kind arrives byte for byte. Compared with curl and sha256sum, not with our own code.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry curl jq

images "$T/odd" odd >"$T/names"
start_registry; A=$REGISTRY
start_registry; B=$REGISTRY
start_registry; C=$REGISTRY
push_layout "$T/odd" "$A"

each() {
    local name digest path
    while read -r name digest; do
        path=${name#*/}
        "$@" "${path%:*}" "$digest"
    done <"$T/names"
}

# foreign-held has its own part below: its layer is in the registry, but not to be copied.
pinned() { [ "$1" = odd/foreign-held ] || echo "$A/$1@$2"; }
each pinned >"$T/list"

expect_status 0 mirror copy --require-digest --file "$T/list" "bundle:$T/b.tar"
expect_status 0 mirror verify "bundle:$T/b.tar"
expect_status 0 mirror copy "bundle:$T/b.tar" "docker://$B/carried/"
expect_status 0 mirror copy --file "$T/list" "docker://$C/direct/"

compare() {
    [ "$1" != odd/foreign-held ] || return 0
    fetch_image "$A/$1" "$2" "$T/a"
    fetch_image "$B/carried/$1" "$2" "$T/b"
    fetch_image "$C/direct/$1" "$2" "$T/c"
    diff -r "$T/a" "$T/b" || fail "$1 is not the same after a bundle"
    diff -r "$T/a" "$T/c" || fail "$1 is not the same after a direct copy"
    rm -r "$T/a" "$T/b" "$T/c"
    # Quay deletes what no tag names, so each digest has got one, and no other.
    expect_equal "$2" "$(registry_digest "$B/carried/$1" "pinned-$(echo "$2" | cut -c 8-23)")"
    expect_equal "$(grep -c "/$1:" "$T/names")" "$(registry_tags "$B/carried/$1" | wc -l)" "tags of $1"
}
each compare

# A layer that is not to be distributed stays behind unless asked for; its manifest does not.
name=registry.example.invalid/odd/foreign-held:1
digest=$(image_digest "$T/odd" "$name")
layer=$(jq -r '.layers[0].digest' "$T/odd/blobs/sha256/${digest#sha256:}")
expect_status 0 mirror copy "docker://$A/odd/foreign-held@$digest" "bundle:$T/without.tar"
tar tf "$T/without.tar" >"$T/without"
expect_lacks "$T/without" "${layer#sha256:}"
expect_status 0 mirror verify "bundle:$T/without.tar"
expect_status 0 mirror copy "bundle:$T/without.tar" "docker://$B/without/"
expect_equal "$digest" "$(registry_digest "$B/without/odd/foreign-held" "$digest")"
expect_status 0 mirror copy --include-nondistributable "docker://$A/odd/foreign-held@$digest" \
    "bundle:$T/with.tar"
tar tf "$T/with.tar" >"$T/with"
expect_contains "$T/with" "blobs/sha256/${layer#sha256:}"
expect_status 0 mirror copy --include-nondistributable "bundle:$T/with.tar" "docker://$B/with/"
fetch_compare "$A/odd/foreign-held" "$B/with/odd/foreign-held" "$digest"

# Through an OCI layout in a directory.
expect_status 0 mirror copy --file "$T/list" "oci:$T/layout"
expect_status 0 mirror verify "oci:$T/layout"
for kind in nested list zstd artifact; do
    digest=$(image_digest "$T/odd" "registry.example.invalid/odd/$kind:1")
    expect_status 0 mirror copy "oci:$T/layout:$A/odd/$kind@$digest" "docker://$B/layout/$kind"
    fetch_compare "$A/odd/$kind" "$B/layout/$kind" "$digest"
done

# By tag, an image keeps it: also a signature and the index of what refers to an image, which are
# found by their tags alone.
grep -oE 'odd/(signed|nested):[^ ]*' "$T/names" | sed "s#^#docker://$A/#" >"$T/tagged"
expect_status 0 mirror copy --file "$T/tagged" "bundle:$T/tagged.tar"
expect_status 0 mirror copy "bundle:$T/tagged.tar" "docker://$B/tagged/"
expect_status 0 mirror copy --file "$T/tagged" "docker://$C/tagged/"
expect_equal 4 "$(wc -l <"$T/tagged")" "images asked for by tag"
while read -r source; do
    name=${source#*/odd/}
    digest=$(image_digest "$T/odd" "registry.example.invalid/odd/$name")
    for host in "$B" "$C"; do
        expect_equal "$digest" "$(registry_digest "$host/tagged/odd/${name%:*}" "${name##*:}")" "$name"
        fetch_compare "$A/odd/${name%:*}" "$host/tagged/odd/${name%:*}" "$digest"
    done
done <"$T/tagged"
