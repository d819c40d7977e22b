#!/bin/bash
# Our bundle is an oci-archive to skopeo and podman; theirs, and their layouts, are one to us.
. "$(dirname "$0")/../lib/test.sh"
need skopeo docker-registry

images "$T/odd" odd >"$T/names"
start_registry; B=$REGISTRY
N=registry.example.invalid/odd

# Sources named by a layout keep their names in the bundle.
expect_status 0 mirror copy "oci:$T/odd" "bundle:$T/b.tar"

# What skopeo's own reader of OCI layouts accepts by name; it knows no docker types there.
for kind in single multi zstd uncompressed indented layers shared-a shared-b untyped-image; do
    digest=$(image_digest "$T/odd" "$N/$kind:1")
    expect_status 0 skopeo copy --all --preserve-digests \
        "oci-archive:$T/b.tar:$N/$kind:1@$digest" "dir:$T/dir"
    expect_equal "${digest#sha256:}" "$(sha256sum <"$T/dir/manifest.json" | cut -d ' ' -f 1)" "$kind"
    rm -r "$T/dir"
done

if have_podman; then
    # A bundle of one image is loaded; out of one with many, an image is pulled by name.
    digest=$(image_digest "$T/odd" "$N/single:1")
    expect_status 0 mirror copy "oci:$T/odd:$N/single:1" "bundle:$T/one.tar"
    expect_status 0 podman_ load -i "$T/one.tar"
    expect_status 0 podman_ image exists "$N/single@$digest"
    expect_status 0 podman_ rmi -af
    expect_status 0 podman_ pull -q "oci-archive:$T/one.tar"
    expect_status 0 podman_ image exists "$N/single@$digest"
    digest=$(image_digest "$T/odd" "$N/multi:1")
    expect_status 0 podman_ pull -q "oci-archive:$T/b.tar:$N/multi:1@$digest"
    expect_status 0 podman_ rmi -af
fi

# The other way: what skopeo wrote.
digest=$(image_digest "$T/odd" "$N/multi:1")
skopeo copy -q --all "oci:$T/odd:$N/multi:1" "oci-archive:$T/skopeo.tar:$N/multi:1"
expect_status 0 mirror verify "oci-archive:$T/skopeo.tar"
expect_status 0 mirror copy "oci-archive:$T/skopeo.tar" "docker://$B/archive/"
expect_equal "$digest" "$(registry_digest "$B/archive/odd/multi" 1)"
fetch_image "$B/archive/odd/multi" 1 "$T/fetched"

skopeo copy -q --all "oci:$T/odd:$N/multi:1" "oci:$T/skopeo:short"
expect_status 0 mirror copy "oci:$T/skopeo:short" "docker://$B/layout/multi:7"
expect_equal "$digest" "$(registry_digest "$B/layout/multi" 7)"
fetch_compare "$B/archive/odd/multi" "$B/layout/multi" "$digest"

# No name at all, as skopeo writes it when none was given: by its place.
skopeo copy -q "oci:$T/odd:$N/single:1" "oci-archive:$T/nameless.tar"
expect_status 0 mirror copy "bundle:$T/nameless.tar:@0" "docker://$B/nameless/single:1"
expect_equal "$(image_digest "$T/odd" "$N/single:1")" "$(registry_digest "$B/nameless/single" 1)"

# And from a bundle of ours that skopeo has pushed, nothing has changed either.
digest=$(image_digest "$T/odd" "$N/multi:1")
skopeo copy -q --all --dest-tls-verify=false "oci-archive:$T/b.tar:$N/multi:1@$digest" \
    "docker://$B/by-skopeo/multi:1"
fetch_compare "$B/archive/odd/multi" "$B/by-skopeo/multi" "$digest"
