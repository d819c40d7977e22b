#!/bin/bash
# With the files we emit, skopeo and podman pull by the original name while that name resolves to
# nothing; and with --allow-only they refuse what is not on the list.
. "$(dirname "$0")/../lib/test.sh"
need skopeo docker-registry

images "$T/plain" plain >"$T/names"
start_registry; B=$REGISTRY
N=registry.example.invalid
app=$(image_digest "$T/plain" "$N/team/app:1")
base=$(image_digest "$T/plain" "$N/base:1")
getent hosts "$N" && fail "$N resolves: this test would prove nothing"

expect_status 0 mirror copy "oci:$T/plain" "bundle:$T/b.tar"
expect_status 0 mirror copy --mapping "$T/map" "bundle:$T/b.tar" "docker://$B/mirror/"

skopeo_with() {
    local node=$1
    shift
    skopeo --registries-conf "$node/etc/containers/registries.conf" \
        --policy "$node/etc/containers/policy.json" --registries.d "$T/empty" "$@"
}
podman_with() {
    local node=$1 verb=$2
    shift 2
    CONTAINERS_REGISTRIES_CONF=$node/etc/containers/registries.conf \
        podman_ "$verb" --signature-policy "$node/etc/containers/policy.json" "$@"
}
mkdir "$T/empty"

# The object set from the bundle, from the mapping and from a report is the same. The latter two
# know where the images are; what they are told again is fine.
expect_status 0 mirror copy --report "$T/report" "bundle:$T/b.tar" "docker://$B/mirror/"
for from in "bundle:$T/b.tar --mirror $B/mirror" "$T/map" "$T/map --mirror $B" \
    "$T/map --mirror $B/mirror" "$T/report" "$T/report --mirror $B/mirror"; do
    # shellcheck disable=SC2086
    expect_status 0 mirror emit-icsp --from $from --insecure --output-dir "$T/cluster"
    [ -d "$T/first" ] || cp -r "$T/cluster" "$T/first"
    diff -r "$T/first" "$T/cluster" || fail "--from $from emits something else"
    rm -r "$T/cluster"
done
expect_status 2 mirror emit-icsp --from "$T/map" --mirror "$B/elsewhere" --output-dir "$T/x"
expect_contains "$err" elsewhere "$B"
node=$T/first/node

run skopeo copy "docker://$N/team/app@$app" "dir:$T/x"
[ "$status" -ne 0 ] || fail "the source answers without a mirror"
expect_status 0 skopeo_with "$node" copy --all "docker://$N/team/app@$app" "dir:$T/pulled"
expect_equal "${app#sha256:}" "$(sha256sum <"$T/pulled/manifest.json" | cut -d ' ' -f 1)"
expect_status 0 skopeo_with "$node" copy "docker://$N/base@$base" "dir:$T/pulled-base"
# ICSP mirrors are for digests alone: a tag goes to the source, which is not there.
run skopeo_with "$node" copy "docker://$N/team/app:1" "dir:$T/x"
[ "$status" -ne 0 ] || fail "a tag was pulled through a mirror that is for digests"

if have_podman; then
    expect_status 0 podman_with "$node" pull -q "$N/base@$base"
    expect_status 0 podman_with "$node" pull -q "$N/team/app@$app"
fi

# --allow-only lets in what was mirrored and nothing else: an image of another host is refused by the
# client's policy, although a mirror has it.
sed "s#^$N/base#other.example.invalid/base#" "$T/map" >"$T/map2"
expect_contains "$T/map2" other.example.invalid/base "$N/team/app"
expect_status 0 mirror emit-icsp --from "$T/map2" --insecure \
    --output-dir "$T/open"
expect_status 0 skopeo_with "$T/open/node" copy "docker://other.example.invalid/base@$base" \
    "dir:$T/pulled-other"
grep "^$N/team/app" "$T/map" >"$T/map3"
expect_status 0 mirror emit-icsp --from "$T/map3" --insecure --allow-only \
    --output-dir "$T/closed"
mkdir -p "$T/mixed"
expect_status 0 mirror node-config "$T/open/imagecontentsourcepolicy.yaml" "$T/closed/image.yaml" \
    --output-dir "$T/mixed"
expect_status 0 skopeo_with "$T/mixed" copy "docker://$N/team/app@$app" "dir:$T/pulled2"
run skopeo_with "$T/mixed" copy "docker://other.example.invalid/base@$base" "dir:$T/x2"
[ "$status" -ne 0 ] || fail "an image outside the allow list was pulled"
expect_contains "$err" rejected
if have_podman; then
    run podman_with "$T/mixed" pull -q "other.example.invalid/base@$base"
    [ "$status" -ne 0 ] || fail "podman pulled an image outside the allow list"
    expect_contains "$err" rejected
fi

# copy --emit-dir does the same at the end of a copy; it knows by itself that this registry speaks
# http, and the nodes have to know too. And a copy of one CR set is compiled by
# node-config to the same node.
expect_status 0 mirror copy --emit-dir "$T/at-once" "bundle:$T/b.tar" "docker://$B/mirror/"
for file in imagecontentsourcepolicy.yaml image.yaml node/etc/containers/registries.conf \
    node/etc/containers/policy.json; do
    expect_same "$T/first/$file" "$T/at-once/$file"
done
expect_status 0 mirror node-config "$T/first/imagecontentsourcepolicy.yaml" "$T/first/image.yaml" \
    --output-dir "$T/again"
expect_same "$node/etc/containers/registries.conf" "$T/again/etc/containers/registries.conf"
expect_same "$node/etc/containers/policy.json" "$T/again/etc/containers/policy.json"
