#!/bin/bash
# Ctrl-C and SIGTERM: no file under the final name, no half-written one either, a prompt end, and
# a registry that has no manifest of what did not arrive.
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
        start_process "$T/log" env --default-signal=INT,TERM "$MIRROR" "$@"
        wait_until 20 eval "$began || ! kill -0 $PROCESS"
        kill -STOP "$frozen"
        if kill -0 "$PROCESS" 2>/dev/null && eval "$began"; then return 0; fi
        kill -CONT "$frozen"
        wait "$PROCESS" || true
        rm -f "$T/b.tar"
        [ -z "$before" ] || echo "$before" >"$T/b.tar"
    done
    fail "the copy was over before it could be stopped, $try times"
}

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
    [ "$code" -ne 0 ] || fail "it ended with status 0"
    [ "$code" -ne 139 ] && [ "$code" -ne 134 ] || fail "it crashed"
}

for signal in INT TERM; do
    stopped_by "$signal" "$A_PID" "[ -s '$T/b.tar.partial' ]" \
        copy "docker://$A/big/image@$digest" "bundle:$T/b.tar"
    expect_missing "$T/b.tar" "$T/b.tar.partial"
done

# A file that was there before stays as it was.
echo old >"$T/b.tar"
stopped_by INT "$A_PID" "[ -s '$T/b.tar.partial' ]" \
    copy "docker://$A/big/image@$digest" "bundle:$T/b.tar"
expect_equal old "$(cat "$T/b.tar")" "what stood under the name"

# Into a registry, stopped during the first upload.
stopped_by TERM "$B_PID" "grep -q 'POST /v2/big/image/blobs/uploads' '$B_LOG'" \
    copy "docker://$A/big/image@$digest" "docker://$B/"
run registry_digest "$B/big/image" "$digest"
[ "$status" -ne 0 ] || fail "the registry has a manifest of an image that was not copied"

# And then it can simply be done again.
expect_status 0 mirror copy "docker://$A/big/image@$digest" "bundle:$T/b.tar"
expect_status 0 mirror verify "bundle:$T/b.tar"
