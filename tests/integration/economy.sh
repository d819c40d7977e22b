#!/bin/bash
# Nothing is fetched that the destination has; a blob that images share moves once; within one
# registry blobs are mounted. Counted in the registries' own logs.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry

N=registry.example.invalid
images "$T/many" many --count 12 --layers 3 >/dev/null
start_registry; A=$REGISTRY A_LOG=$REGISTRY_LOG
start_registry; B=$REGISTRY B_LOG=$REGISTRY_LOG
push_layout "$T/many" "$A"
jq -r '.manifests[] | .annotations["org.opencontainers.image.ref.name"] + "@" + .digest' \
    "$T/many/index.json" | sed "s#^[^/]*#$A#" >"$T/list"

# blobs_of LINES: the configs and layers that the images on these lines of the layout need.
blobs_of() {
    local digest
    for digest in $(jq -r '.manifests[].digest' "$T/many/index.json" | sed -n "$1p"); do
        jq -r '.config.digest, .layers[].digest' "$T/many/blobs/sha256/${digest#sha256:}"
    done | sort -u
}
unique=$(blobs_of 1,12 | wc -l)

# Requests a registry saw since the last call.
since() {
    local log=$1 pattern=$2
    tail -n "+$((${SEEN[$log]:-0} + 1))" "$log" | grep -cE "\"$pattern" || true
}
declare -A SEEN
mark() {
    local log
    for log; do SEEN[$log]=$(wc -l <"$log"); done
}

mark "$A_LOG" "$B_LOG"
expect_status 0 mirror copy --file "$T/list" "docker://$B/first/"
expect_equal "$unique" "$(since "$A_LOG" 'GET /v2/[^ ]*/blobs/sha256')" "blobs fetched"
expect_equal 12 "$(since "$A_LOG" 'GET /v2/[^ ]*/manifests/')" "manifests fetched"
expect_equal "$unique" "$(since "$B_LOG" 'PUT /v2/[^ ]*/blobs/uploads')" "blobs uploaded"

# Again: one request for each image on both sides at most, and nothing that carries content.
mark "$A_LOG" "$B_LOG"
expect_status 0 mirror copy --file "$T/list" "docker://$B/first/"
expect_equal 0 "$(since "$A_LOG" 'GET /v2/[^ ]*/blobs/')" "blobs fetched again"
expect_equal 0 "$(since "$B_LOG" '(PUT|POST|PATCH) ')" "writes again"

# Elsewhere in the same registry: mounted, not uploaded.
mark "$A_LOG" "$B_LOG"
sed "s#^$A/#$B/first/#" "$T/list" >"$T/list2"
expect_status 0 mirror copy --file "$T/list2" "docker://$B/second/"
expect_equal 0 "$(since "$B_LOG" 'PUT /v2/[^ ]*/blobs/uploads')" "uploads within one registry"
expect_equal 0 "$(since "$B_LOG" 'GET /v2/[^ ]*/blobs/')" "blobs fetched within one registry"
fetch_compare "$B/first/item/0" "$B/second/first/item/0" "$(image_digest "$T/many" "$N/item/0:1")"

# Into a bundle: each blob once.
mark "$A_LOG"
expect_status 0 mirror copy --file "$T/list" "bundle:$T/b.tar"
expect_equal "$unique" "$(since "$A_LOG" 'GET /v2/[^ ]*/blobs/')" "blobs fetched into a bundle"

# From the bundle into a registry that has half of it.
start_registry; C=$REGISTRY C_LOG=$REGISTRY_LOG
head -n 6 "$T/list" >"$T/half"
expect_status 0 mirror copy --file "$T/half" "docker://$C/"
mark "$C_LOG"
expect_status 0 mirror copy "bundle:$T/b.tar" "docker://$C/"
missing=$(comm -13 <(blobs_of 1,6) <(blobs_of 7,12) | wc -l)
expect_equal "$missing" "$(since "$C_LOG" 'PUT /v2/[^ ]*/blobs/uploads')" "uploads of the other half"

# What a destination may cost, as --report counts it: two requests for each blob moved, one for each
# mount, one for each manifest, and five. The registry's own log has the same number.
requests() { jq ".totals.requests$2" "$1"; }
lines() { tail -n "+$((${SEEN[$1]:-0} + 1))" "$1" | grep -cE '"[A-Z]+ /v2/' || true; }
# in_all: how many blobs the images have in all their repositories together.
in_all=0
for line in $(seq 12); do in_all=$((in_all + $(blobs_of "$line" | wc -l))); done
allowed=$((2 * unique + in_all - unique + 12 + 5))

start_registry; D=$REGISTRY D_LOG=$REGISTRY_LOG
mark "$D_LOG" "$A_LOG"
expect_status 0 mirror copy --report "$T/push" "bundle:$T/b.tar" "docker://$D/"
expect_equal "$(lines "$D_LOG")" "$(requests "$T/push" Destination)" "requests of a push, as reported"
[ "$(requests "$T/push" Destination)" -le "$allowed" ] ||
    fail "a push cost $(requests "$T/push" Destination) requests, $allowed are allowed"

start_registry; E=$REGISTRY E_LOG=$REGISTRY_LOG
mark "$E_LOG" "$A_LOG"
expect_status 0 mirror copy --report "$T/relay" --file "$T/list" "docker://$E/"
expect_equal "$(lines "$E_LOG")" "$(requests "$T/relay" Destination)" "requests of a copy, as reported"
[ "$(requests "$T/relay" Destination)" -le "$allowed" ] ||
    fail "a copy cost $(requests "$T/relay" Destination) requests, $allowed are allowed"
expect_equal $((12 + unique)) "$(requests "$T/relay" Source)" "requests to the source"

# Nothing to do: one question for each image.
expect_status 0 mirror copy --report "$T/again" --file "$T/list" "docker://$E/"
expect_equal 12 "$(requests "$T/again" Destination)" "requests of a second run"
expect_equal 0 "$(requests "$T/again" Source)" "requests to the source of a second run"
expect_status 0 mirror copy --report "$T/again" "bundle:$T/b.tar" "docker://$D/"
expect_equal 12 "$(requests "$T/again" Destination)" "requests of a second push"
