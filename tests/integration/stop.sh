#!/bin/bash
# Ctrl-C, SIGTERM and SIGHUP: a prompt end, no file under the final name, a registry that has no
# manifest of what did not arrive, and the same command goes on from what did.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry

images "$T/big" big --layers 4 --layer-bytes $((32 << 20)) >/dev/null
digest=$(image_digest "$T/big" registry.example.invalid/big/image:1)
start_registry; A=$REGISTRY A_PID=$REGISTRY_PID
start_registry; B=$REGISTRY B_PID=$REGISTRY_PID B_LOG=$REGISTRY_LOG
push_layout "$T/big" "$A"

# begin_frozen PEER BEGAN ARGS...: start a copy, and freeze its peer in the middle of the transfer, so
# that a signal certainly comes before the end; a program that waits for the peer would hang. A
# machine that looks away long enough for the copy to finish gets another chance.
begin_frozen() {
    local frozen=$1 began=$2 before='' try
    shift 2
    [ ! -e "$T/b.tar" ] || before=$(cat "$T/b.tar")
    for try in 1 2 3 4 5; do
        cp "$T/b.tar.journal" "$T/journal.before" 2>/dev/null || true
        start_process "$T/log" env --default-signal=INT,TERM,HUP "$MIRROR" "$@"
        wait_until 20 eval "$began || ! kill -0 $PROCESS"
        kill -STOP "$frozen"
        if kill -0 "$PROCESS" 2>/dev/null && eval "$began"; then return 0; fi
        kill -CONT "$frozen"
        wait "$PROCESS" || true
        rm -f "$T"/b.tar*
        [ -z "$before" ] || echo "$before" >"$T/b.tar"
    done
    fail "the copy was over before it could be stopped, $try times"
}

# stopped_by SIGNAL PEER BEGAN ARGS...
stopped_by() {
    local signal=$1 frozen=$2 began=$3 begin code=0
    shift 3
    begin_frozen "$frozen" "$began" "$@"
    begin=$(date +%s%N)
    kill -"$signal" "$PROCESS"
    wait "$PROCESS" || code=$?
    kill -CONT "$frozen"
    cp "$T/log" "$err"
    LAST="$signal during: mirror $*" status=$code
    [ $((($(date +%s%N) - begin) / 1000000)) -lt 3000 ] || fail "it took longer than 3 s to end"
    expect_equal 1 "$code" "exit status"
    expect_contains "$err" "stopped before everything was copied" "run the same command again"
}

# Has a good piece of a blob come into the bundle in this run? The journal says so.
something_came() {
    [ -e "$T/b.tar.journal" ] && ! cmp -s "$T/b.tar.journal" "$T/journal.before" &&
        awk 'NR > 1 {sub(/^0+/, "", $3); n += length($3) > 4} END {exit !n}' "$T/b.tar.journal"
}

# Slowly, so that the end is not there before the signal.
pull=(copy --limit-rate 48M --report "$T/report" "docker://$A/big/image@$digest" "bundle:$T/b.tar")

# Three times, each going on from the one before, and then to the end.
for signal in INT TERM HUP; do
    stopped_by "$signal" "$A_PID" something_came "${pull[@]}"
    expect_missing "$T/b.tar"
    [ -s "$T/b.tar.partial" ] || fail "what has come is not there"
done
expect_status 0 mirror "${pull[@]}"
[ "$(jq .totals.bytesReused "$T/report")" -gt 0 ] || fail "it began anew"
expect_line "$err" '.* moved, .* reused from the disk, [0-9]* requests'
expect_status 0 mirror verify "bundle:$T/b.tar"
expect_missing "$T"/b.tar.*
cp "$T/b.tar" "$T/whole.tar"

# A file that was there before stays as it was, until the copy is done.
echo old >"$T/b.tar"
stopped_by INT "$A_PID" something_came "${pull[@]}"
expect_equal old "$(cat "$T/b.tar")" "what stood under the name"
expect_status 0 mirror "${pull[@]}"
expect_same "$T/whole.tar" "$T/b.tar"
expect_missing "$T"/b.tar.*

# Under nohup a hang-up is nothing.
trap '' HUP
start_process "$T/log" "$MIRROR" copy -q "docker://$A/big/image@$digest" \
    "bundle:$T/nohup.tar"
trap - HUP
for ((i = 0; i < 20; i++)); do kill -HUP "$PROCESS" 2>/dev/null || break; done
wait "$PROCESS" || fail "it took notice: $(cat "$T/log")"
expect_same "$T/whole.tar" "$T/nohup.tar"

rm "$T/b.tar"

# Into a directory.
stopped_by TERM "$A_PID" "find '$T/layout' -name '*.partial' -size +0 2>/dev/null | grep -q ." \
    copy "docker://$A/big/image@$digest" "oci:$T/layout"
expect_missing "$T/layout/index.json"
expect_status 0 mirror copy --report "$T/report" "docker://$A/big/image@$digest" "oci:$T/layout"
[ "$(jq .totals.bytesMoved "$T/report")" -lt "$(jq .totals.bytes "$T/report")" ] ||
    fail "it began anew"
expect_status 0 mirror verify "oci:$T/layout"
[ -z "$(find "$T/layout" -name '*.partial')" ] || fail "something half-written is left"

# Into a registry, stopped during the first upload.
stopped_by TERM "$B_PID" "grep -q 'POST /v2/big/image/blobs/uploads' '$B_LOG'" \
    copy "docker://$A/big/image@$digest" "docker://$B/"
run registry_digest "$B/big/image" "$digest"
[ "$status" -ne 0 ] || fail "the registry has a manifest of an image that was not copied"
expect_status 0 mirror copy "docker://$A/big/image@$digest" "docker://$B/"
expect_equal "$digest" "$(registry_digest "$B/big/image" "$digest")" "what arrived then"
