#!/bin/bash
# What mirror resolve says is what skopeo and podman do: the places they try on loopback, in order,
# and what they refuse, as their debug output tells.
. "$(dirname "$0")/../lib/test.sh"
need skopeo jq

sha=sha256:$(printf '%064d' 1)
cd "$T"
# Nobody listens at the places: each fails at once, and the next one is tried.
cat >registries.conf <<'CONF'
[[registry]]
prefix = "quay.test/org"
location = "localhost:1/up"
[[registry.mirror]]
location = "localhost:2/first"
[[registry.mirror]]
location = "localhost:3/second"
insecure = true

[[registry]]
prefix = "quay.test/org/narrow"
location = "localhost:4/narrow"

[[registry]]
prefix = "digests.test"
location = "localhost:5"
mirror-by-digest-only = true
[[registry.mirror]]
location = "localhost:6/by-digest"

[[registry]]
prefix = "*.wild.test"
location = "localhost:7/wild"

[[registry]]
prefix = "blocked.test"
location = "localhost:8/blocked"
blocked = true
[[registry.mirror]]
location = "localhost:9/still"

[[registry]]
location = "localhost:8"
blocked = true
CONF
cat >policy.json <<'JSON'
{"default": [{"type": "insecureAcceptAnything"}],
 "transports": {"docker": {"quay.test/org/bad": [{"type": "reject"}], "digests.test": [{"type": "reject"}],
   "digests.test/good": [{"type": "insecureAcceptAnything"}]}}}
JSON
images=(quay.test/org/app:1 "quay.test/org/app@$sha" quay.test/org quay.test/organ/app:1
    quay.test/org/narrow:1 quay.test/org/narrow/deep:1 quay.test/org/narrower:1 digests.test/good/app:1
    "digests.test/good/app@$sha" "digests.test/good@$sha" a.wild.test/x:1 a.b.wild.test/x/y:2
    blocked.test/app:1 "blocked.test/app@$sha" localhost:8/x:1 localhost:1/x:1)
expect_status 0 mirror resolve --json --registries-conf registries.conf --policy policy.json \
    "${images[@]}"
cp "$out" rows

# places IMAGE: those we name. tried FILE: those that a debug log names, each once.
places() { jq -r --arg image "$1" 'select(.image == $image).places[].reference' rows; }
tried() { sed -n 's/.*Trying to access \\"\([^"\\]*\)\\".*/\1/p' "$1" | awk '!seen[$0]++'; }
blocked() {
    jq --arg image "$1" 'select(.image == $image).places | map(select(.blocked)) | length' rows
}
refused() { { grep -oE 'registry [^ ]+ is blocked' "$1" || true; } | sort -u | wc -l; }

for image in "${images[@]}"; do
    places "$image" >want
    [ -s want ]
    expect_status 1 skopeo --debug --registries-conf registries.conf --policy policy.json \
        copy --retry-times 0 "docker://$image" dir:nowhere
    tried "$err" >got
    diff want got || fail "$image: skopeo tries other places"
    expect_equal "$(blocked "$image")" "$(refused "$err")" "$image: blocked places"
done

if have_podman; then
    for image in quay.test/org/app:1 "digests.test/good/app@$sha" a.b.wild.test/x/y:2; do
        places "$image" >want
        CONTAINERS_REGISTRIES_CONF=registries.conf run podman_ --log-level=debug pull \
            --signature-policy policy.json "$image"
        [ "$status" -ne 0 ] || fail "podman found $image"
        tried "$err" >got
        diff want got || fail "$image: podman tries other places"
    done
fi

# The policy: an image that is there comes in, or is refused by its own name.
need docker-registry
images "$T/plain" plain >/dev/null
start_registry
push_layout "$T/plain" "$REGISTRY"
app=$(jq -r '.manifests[0].annotations["org.opencontainers.image.ref.name"]' "$T/plain/index.json")
path=${app#*/} path=${path%%[:@]*} digest=$(jq -r '.manifests[0].digest' "$T/plain/index.json")
cat >served.conf <<CONF
[[registry]]
prefix = "quay.test/org"
location = "$REGISTRY/${path%/*}"
insecure = true
[[registry]]
prefix = "digests.test"
location = "$REGISTRY/${path%/*}"
insecure = true
CONF
for image in "quay.test/org/${path##*/}@$digest" "digests.test/${path##*/}@$digest"; do
    expect_status 0 mirror resolve --json --registries-conf served.conf --policy policy.json "$image"
    want=$(jq -r .policy "$out")
    rm -rf dir
    run skopeo --registries-conf served.conf --policy policy.json copy -q "docker://$image" dir:dir
    if [ "$status" -eq 0 ]; then got=accept; else got=reject; fi
    expect_equal "$want" "$got" "$image: what skopeo does"
done
