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
