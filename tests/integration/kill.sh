#!/bin/bash
# SIGKILL at random moments of a copy, and the same command again until it is done: the result is
# that of an undisturbed copy, byte for byte, and next to nothing is fetched twice.
#
# KILLS (15) is how often a pull into a bundle is killed; the other copies are killed a third as
# often. SEED draws the moments. What is asserted of a round of K kills and a run to the end:
#
#   bytes delivered to the client <= those of an undisturbed copy
#                                      + K * (JOBS * BUFFER + MANIFESTS)
#
# counted by a proxy whose link is slow enough for the sockets to stay nearly empty. BUFFER is what
# a worker has received before it is noted as reached; a single kill may cost SOCKET more for each,
# which is what the kernel held, but all together may not. MANIFESTS is what every run reads anew:
# the manifest, and the headers of its answers (1 KiB each).
. "$(dirname "$0")/../lib/test.sh"
need docker-registry

: "${KILLS:=15}" "${SEED:=1}"
JOBS=4 BUFFER=$((128 << 10)) SOCKET=$((64 << 10)) RATE=$((16 << 20)) SPAN_MS=300
RANDOM=$SEED

images "$T/big" big --layers 8 --layer-bytes $((2 << 20)) >/dev/null
digest=$(image_digest "$T/big" registry.example.invalid/big/image:1)
manifest_bytes=$(stat -c %s "$T/big/blobs/sha256/${digest#sha256:}")
MANIFESTS=$((manifest_bytes + (JOBS + 4) * 1024))

# link LOG COUNTS TARGET: a slow way to a registry: $LINK, $LINK_PID.
link() {
    start_process "$1" "$TOOLS/netproxy" --rate "$RATE" --buffer 16384 --counts "$2" "$3"
    LINK_PID=$PROCESS
    server_address "$1" 'listening on '
    LINK=$ADDRESS
}

# Bytes the link has delivered so far, down (to the client) or up.
delivered() {
    rm -f "$T/counts"
    kill -USR1 "$LINK_PID"
    wait_until 10 test -e "$T/counts"
    sed -n "s/^$1 //p" "$T/counts"
}

# killed ARGS...: run mirror, and kill it at a random moment. False when it was done before.
killed() {
    local pid code=0
    "$MIRROR" "$@" >"$out" 2>"$err" </dev/null &
    pid=$!
    STARTED+=("$pid")
    sleep "$(printf '0.%03d' $((RANDOM % SPAN_MS)))"
    kill -KILL "$pid" 2>/dev/null || true
    { wait "$pid" || code=$?; } 2>/dev/null
    unset 'STARTED[-1]'
    LAST="mirror $*" status=$code
    [ "$code" -eq 0 ] || [ "$code" -eq 137 ] || fail "it ended with status $code"
    [ "$code" -eq 137 ]
}

# round LIMIT ARGS...: kill a copy at most LIMIT times, and let it end; $kills says how often.
round() {
    local limit=$1
    shift
    kills=0
    while [ "$kills" -lt "$limit" ]; do
        killed "$@" || return 0
        kills=$((kills + 1))
    done
    expect_status 0 mirror "$@"
}

# pulls NAME LIMIT CHECK ARGS...: rounds of a copy from behind the link into a fresh $T/to, until it
# was killed LIMIT times. CHECK looks at the result; nothing else may be left.
pulls() {
    local name=$1 limit=$2 check=$3 total=0 rounds=0 before fetched over=0 allowed most=0
    shift 3
    while [ "$total" -lt "$limit" ]; do
        rm -rf "$T/to"
        mkdir "$T/to"
        before=$(delivered down)
        round $((limit - total)) copy --jobs "$JOBS" -q --report "$T/report" "$@"
        fetched=$(($(delivered down) - before - undisturbed))
        over=$((over + fetched)) most=$((kills > most ? kills : most))
        [ "$fetched" -le $((kills * (JOBS * (BUFFER + SOCKET) + MANIFESTS))) ] ||
            fail "$name: $fetched bytes too many after $kills kills"
        "$check"
        expect_equal "$left" "$(cd "$T/to" && find . ! -name . -prune | sort)" "what is left"
        total=$((total + kills)) rounds=$((rounds + 1))
    done
    allowed=$((total * (JOBS * BUFFER + MANIFESTS)))
    echo "$name: $total kills in $rounds rounds (at most $most in one) of $undisturbed bytes:" \
        "$over bytes more than undisturbed, $allowed allowed"
    [ "$over" -le "$allowed" ] || fail "$name: too many"
}

start_registry
push_layout "$T/big" "$REGISTRY"
link "$T/link" "$T/counts" "$REGISTRY"
source=docker://$LINK/big/image:1@$digest

# ---- an undisturbed copy -----------------------------------------------------------------------

expect_status 0 mirror copy --jobs "$JOBS" -q "$source" "bundle:$T/whole.tar"
undisturbed=$(delivered down)
expect_status 0 mirror copy -q "bundle:$T/whole.tar" "oci:$T/whole"

# ---- pulls -------------------------------------------------------------------------------------

is_whole_bundle() {
    expect_same "$T/whole.tar" "$T/to/b.tar"
}
left=./b.tar
pulls "into a bundle" "$KILLS" is_whole_bundle "$source" "bundle:$T/to/b.tar"
[ "$(jq .totals.bytesReused "$T/report")" -gt 0 ] || fail "the last run went on from nothing"

is_whole_layout() {
    diff -r "$T/whole" "$T/to/layout" >&2 || fail "the layouts differ"
}
left=./layout
pulls "into a directory" $(((KILLS + 2) / 3)) is_whole_layout "$source" "oci:$T/to/layout"

# The bundle cut into pieces; "cat" makes it whole.
is_whole_set() {
    cat "$T/to"/b.tar.* | cmp - "$T/whole.tar" || fail "the volumes are not the bundle"
}
left=$(printf './b.tar.%03d\n' 1 2 3 4 5)
pulls "into volumes" $(((KILLS + 2) / 3)) is_whole_set --volume-size 4MiB "$source" \
    "bundle:$T/to/b.tar"

# A list that grows with each kill: what came for the shorter one is used for the longer one.
images "$T/many" many --count 12 --layer-bytes 700000 >/dev/null
push_layout "$T/many" "$REGISTRY"
jq -r '.manifests[] | .annotations["org.opencontainers.image.ref.name"] + "@" + .digest' \
    "$T/many/index.json" | sed "s#^[^/]*#$LINK#" >"$T/all"
before=$(delivered down)
expect_status 0 mirror copy --jobs "$JOBS" -q --file "$T/all" "bundle:$T/all.tar"
undisturbed=$(($(delivered down) - before))
MANIFESTS=$((MANIFESTS + 12 * 2048))
total=0 over=0 limit=$(((KILLS + 2) / 3))
while [ "$total" -lt "$limit" ]; do
    rm -rf "$T/to"
    mkdir "$T/to"
    before=$(delivered down)
    for ((lines = 2; lines <= 12; lines += 2)); do
        head -n "$lines" "$T/all" >"$T/some"
        ! killed copy --jobs "$JOBS" -q --file "$T/some" "bundle:$T/to/b.tar" || total=$((total + 1))
    done
    expect_status 0 mirror copy --jobs "$JOBS" -q --file "$T/all" "bundle:$T/to/b.tar"
    over=$((over + $(delivered down) - before - undisturbed))
    expect_same "$T/all.tar" "$T/to/b.tar"
    expect_equal ./b.tar "$(cd "$T/to" && find . ! -name . -prune)" "what is left"
done
allowed=$((total * (JOBS * BUFFER + MANIFESTS)))
echo "a list that grows: $total kills of $undisturbed bytes: $over bytes more than undisturbed," \
    "$allowed allowed"
[ "$over" -le "$allowed" ] || fail "too many"

# ---- pushes ------------------------------------------------------------------------------------

# Uploads begin anew after a kill, so small blobs go forward where large ones would not.
images "$T/small" big --layers 80 --layer-bytes $((200 << 10)) --seed 2 >/dev/null
digest=$(image_digest "$T/small" registry.example.invalid/big/image:1)
tar -C "$T/small" -cf "$T/small.tar" .

mirror copy -q "bundle:$T/small.tar" "docker://$REGISTRY/"
from_registry=docker://$REGISTRY/big/image@$digest

start_registry
link "$T/link2" "$T/counts" "$REGISTRY"
blobs=81 total=0 rounds=0 again=0 limit=$(((KILLS + 2) / 3))
while [ "$total" -lt "$limit" ] || [ "$rounds" -lt 2 ]; do
    rounds=$((rounds + 1))
    from=bundle:$T/small.tar
    [ $((rounds % 2)) -eq 1 ] || from=$from_registry
    round $(((limit + 1) / 2)) copy --jobs "$JOBS" -q "$from" "docker://$LINK/r$rounds/"
    total=$((total + kills))
    fetch_image "$REGISTRY/r$rounds/big/image" "$digest" "$T/fetched$rounds"
    # What has arrived is not sent again, but for what arrived as the client died.
    sent=$(grep -cE "\"PUT /v2/r$rounds/big/image/blobs/uploads/[^\"]*\" 201" "$REGISTRY_LOG") || true
    [ "$sent" -ge "$blobs" ] && [ "$sent" -le $((blobs + kills * JOBS)) ] ||
        fail "$sent uploads of $blobs blobs, with $kills kills"
    again=$((again + sent - blobs))
done
find "$REGISTRY_DATA" -path '*/blobs/sha256/*/data' | while read -r file; do
    hex=$(basename "$(dirname "$file")")
    echo "$hex  $file"
done >"$T/sums"
[ -s "$T/sums" ] || fail "the registry has nothing"
sha256sum --quiet -c "$T/sums" || fail "the registry holds wrong bytes under a digest"
echo "into a registry: $total kills in $rounds rounds of $blobs blobs: $again were sent once more"
