#!/bin/bash
# bundle:- through pipes: what comes out is the bundle a file would be, what goes in arrives, and
# what breaks off leaves nothing that anybody takes for whole.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry skopeo

images "$T/odd" odd >/dev/null
images "$T/many" many --count 30 --layers 3 --layer-bytes 20000 >/dev/null
images "$T/plain" plain --layer-bytes 3000000 --seed 7 >/dev/null
start_registry; A=$REGISTRY A_DATA=$REGISTRY_DATA
start_registry; B=$REGISTRY
push_layout "$T/many" "$A"
push_layout "$T/plain" "$A"
for dir in many plain; do
    jq -r '.manifests[] | .annotations["org.opencontainers.image.ref.name"] + "@" + .digest' \
        "$T/$dir/index.json" | sed "s#^[^/]*#$A#"
done >"$T/list"
expect_status 0 mirror copy --file "$T/list" "bundle:$T/file.tar"

# piped COMMAND...: run commands joined by "|" and expect each to succeed; $out is the last one's.
# The states of all are in $states.
piped() {
    LAST=$1 status=0
    bash -c "$1; echo \"\${PIPESTATUS[*]}\" >&3" 3>"$T/states" >"$out" 2>"$err"
    states=$(cat "$T/states")
}
expect_states() {
    [ "$states" = "$1" ] || fail "expected states $1, got $states"
}

# ---- out -------------------------------------------------------------------------------------

# The bytes of the file, however many work on it; words are on stderr.
for jobs in 1 3 16; do
    expect_status 0 mirror copy --jobs "$jobs" --file "$T/list" bundle:-
    cmp "$out" "$T/file.tar" || fail "--jobs $jobs"
    expect_contains "$err" "33 images: 33 copied" "copied $A/"
done
expect_status 0 mirror copy "oci:$T/odd" "bundle:$T/odd.tar"
expect_status 0 mirror copy "oci:$T/odd" oci-archive:-
cmp "$out" "$T/odd.tar" || fail "the odd images"
expect_status 0 mirror copy --dry-run --file "$T/list" bundle:-
expect_equal '' "$(cat "$out")" "stdout of a dry run"
expect_contains "$err" "disk needed:   0 "
expect_status 0 mirror copy --quiet --file "$T/list" bundle:-
expect_equal '' "$(cat "$err")" "stderr of a quiet copy"

# ---- in --------------------------------------------------------------------------------------

# From a registry, through the pipe, to a registry.
piped "$MIRROR copy -q --file $T/list bundle:- | $MIRROR copy bundle:- docker://$B/in/"
expect_states "0 0"
while IFS= read -r name; do
    name=${name#*/} digest=${name#*@} name=${name%@*}
    case $name in
    item/*[1-9]:*) ;; # alike, and byte for byte takes time
    *) fetch_compare "$A/${name%:*}" "$B/in/${name%:*}" "$digest" ;;
    esac
    expect_equal "$digest" "$(registry_digest "$B/in/${name%:*}" "${name##*:}")" "$name"
done <"$T/list"

# Every kind of destination, from a pipe and from a file that stands there as standard input.
piped "cat $T/odd.tar | $MIRROR copy bundle:- docker://$B/odd/"
expect_states "0 0"
for kind in multi zstd indented layers untyped-image; do
    digest=$(image_digest "$T/odd" "registry.example.invalid/odd/$kind:1")
    expect_equal "$digest" "$(registry_digest "$B/odd/odd/$kind" 1)" "$kind"
done
piped "cat $T/odd.tar | $MIRROR copy bundle:- bundle:$T/again.tar"
expect_states "0 0"
expect_same "$T/odd.tar" "$T/again.tar"
piped "cat $T/file.tar | $MIRROR copy bundle:- oci:$T/dir"
expect_states "0 0"
expect_status 0 mirror verify "oci:$T/dir"
expect_status 0 mirror copy bundle:- "bundle:$T/in-place.tar" <"$T/file.tar"
expect_same "$T/file.tar" "$T/in-place.tar"
# A second time there is nothing to do, and the sender is heard to the end all the same.
piped "cat $T/file.tar | $MIRROR copy bundle:- docker://$B/second/ | cat"
expect_states "0 0 0"
piped "cat $T/file.tar | $MIRROR copy bundle:- docker://$B/second/ | cat"
expect_states "0 0 0"
expect_contains "$err" "33 images: 0 copied, 33 present"

# As a filter: all of it is the same bundle; some of it is a sound one.
piped "cat $T/file.tar | $MIRROR copy -q bundle:- bundle:- | cmp - $T/file.tar"
expect_states "0 0 0"
piped "cat $T/file.tar | $MIRROR copy -q bundle:-:$A/team/app:2 bundle:- | $MIRROR verify bundle:-"
expect_states "0 0 0"
expect_contains "$out" "1 image, 1 manifest" "sound"
piped "cat $T/odd.tar | $MIRROR copy -q --platform linux/arm64 \
    bundle:-:registry.example.invalid/odd/multi:1 bundle:- >$T/arm.tar"
expect_states "0 0"
expect_status 0 mirror verify "bundle:$T/arm.tar"

piped "cat $T/odd.tar | $MIRROR verify bundle:-"
expect_states "0 0"
expect_contains "$out" "sound"
piped "cat $T/file.tar | $MIRROR inspect bundle:- | tail -n 1"
expect_contains "$out" "33 images"
# What is behind the end of the archive is no part of it.
{ cat "$T/file.tar"; head -c 700000 /dev/zero; } >"$T/padded.tar"
piped "cat $T/padded.tar | $MIRROR copy bundle:- bundle:$T/unpadded.tar"
expect_states "0 0"
expect_same "$T/file.tar" "$T/unpadded.tar"

# A differential goes the same way.
head -n 20 "$T/list" >"$T/old-list"
expect_status 0 mirror copy --file "$T/old-list" "bundle:$T/old.tar"
expect_status 0 mirror copy --file "$T/list" --since "$T/old.tar" "bundle:$T/new.tar"
piped "$MIRROR copy -q --file $T/list --since $T/old.tar bundle:- | cmp - $T/new.tar"
expect_states "0 0"
expect_status 0 mirror copy "bundle:$T/old.tar" "docker://$B/since/"
piped "cat $T/new.tar | $MIRROR copy bundle:- docker://$B/since/"
expect_states "0 0"
name=$(tail -n 1 "$T/list") name=${name#*/} digest=${name#*@} name=${name%@*}
fetch_compare "$A/${name%:*}" "$B/since/${name%:*}" "$digest"

# ---- slow ways -------------------------------------------------------------------------------

# Both ends through links that are slow enough for each to wait for the other.
start_process "$T/link.log" "$TOOLS/netproxy" --delay 5 --rate 8000000 "$A"
server_address "$T/link.log" 'listening on '; SLOW_A=$ADDRESS
start_process "$T/link2.log" "$TOOLS/netproxy" --delay 5 --rate 6000000 "$B"
server_address "$T/link2.log" 'listening on '; SLOW_B=$ADDRESS
sed "s#^$A#$SLOW_A#" "$T/list" >"$T/slow-list"
piped "$MIRROR copy -q --file $T/slow-list bundle:- | $MIRROR copy bundle:- docker://$SLOW_B/slow/"
expect_states "0 0"
fetch_compare "$A/${name%:*}" "$B/slow/${name%:*}" "$digest"

# ---- breaking off ----------------------------------------------------------------------------

# The reader has enough: said so, and no more.
piped "$MIRROR copy --file $T/list bundle:- | head -c 100000 >/dev/null"
expect_states "1 0"
expect_contains "$err" "write to standard output: Broken pipe" "the program that read it has ended"

# A sender that is killed: nothing under the final name, and the same command goes on. Bytes have
# arrived when the partial file's journal is there.
mkfifo "$T/fifo"
"$MIRROR" copy -q --file "$T/slow-list" bundle:- >"$T/fifo" 2>"$T/sender.err" &
sender=$!
STARTED+=("$sender")
"$MIRROR" copy bundle:- "bundle:$T/killed.tar" <"$T/fifo" >"$out" 2>"$err" &
receiver=$!
STARTED+=("$receiver")
wait_until 20 test -e "$T/killed.tar.journal"
kill -KILL "$sender"
{ wait "$sender" || true; } 2>/dev/null
status=0; wait "$receiver" || status=$?
LAST="copy from a killed sender"
expect_equal 1 "$status" "status"
expect_contains "$err" "standard input is cut short"
expect_missing "$T/killed.tar"
piped "cat $T/file.tar | $MIRROR copy bundle:- bundle:$T/killed.tar"
expect_states "0 0"
expect_status 0 mirror verify "bundle:$T/killed.tar"
expect_missing "$T/killed.tar.partial" "$T/killed.tar.journal"

# Ctrl-C while nothing more comes, and while nobody takes what goes out: the other end of the fifo is
# open, and does nothing.
expect_stopped() {
    kill -INT "$1"
    wait_until 5 eval "! kill -0 $1"
    status=0; wait "$1" || status=$?
    expect_equal 1 "$status" "status of a copy that was stopped"
    expect_contains "$err" "stopped"
}
exec 6<>"$T/fifo"
"$MIRROR" copy bundle:- "bundle:$T/stopped.tar" <"$T/fifo" >"$out" 2>"$err" &
stopped=$!
STARTED+=("$stopped")
head -c 5000000 "$T/file.tar" >"$T/fifo"
wait_until 20 test -e "$T/stopped.tar.journal"
expect_stopped "$stopped"
expect_missing "$T/stopped.tar"
exec 6>&-
exec 6<>"$T/fifo"
"$MIRROR" copy "bundle:$T/file.tar" bundle:- >"$T/fifo" 2>"$err" &
stopped=$!
STARTED+=("$stopped")
head -c 512 <&6 >"$T/head"
expect_stopped "$stopped"
exec 6>&-

# Cut anywhere: no file, no image that is not whole.
bytes=$(stat -c %s "$T/file.tar")
for cut in 700 20000 $((bytes / 2)) $((bytes - 1024)); do
    piped "head -c $cut $T/file.tar | $MIRROR copy bundle:- bundle:$T/cut.tar"
    expect_states "0 1"
    expect_contains "$err" "cut short"
    expect_missing "$T/cut.tar"
    piped "head -c $cut $T/file.tar | $MIRROR verify bundle:-"
    expect_states "0 1"
    rm -f "$T"/cut.tar*
done

# Damaged on the way: that image is missing, and no other.
cp "$T/file.tar" "$T/bad.tar"
printf 'XXXX' | dd of="$T/bad.tar" bs=1 seek=$((bytes - 2000)) conv=notrunc 2>/dev/null
piped "cat $T/bad.tar | $MIRROR copy bundle:- docker://$B/bad/"
expect_states "0 3"
expect_contains "$err" "is damaged"
piped "cat $T/bad.tar | $MIRROR copy bundle:- bundle:$T/good.tar"
expect_states "0 3"
expect_status 0 mirror verify "bundle:$T/good.tar"
piped "cat $T/bad.tar | $MIRROR verify bundle:-"
expect_states "0 1"
expect_contains "$out" "has other content"

# An image that is not there is left out; a blob that is not there ends it all.
{ cat "$T/list"; echo "$A/none/such:1"; } >"$T/more-list"
expect_status 3 mirror copy --file "$T/more-list" bundle:-
cmp "$out" "$T/file.tar" || fail "without an image that is not there"
blob=$(jq -r '.layers[0].digest' "$T/plain/blobs/sha256/$(image_digest "$T/plain" \
    registry.example.invalid/base:1 | cut -d : -f 2)")
rm -r "$A_DATA/docker/registry/v2/blobs/sha256/${blob:7:2}/${blob:7}"
expect_status 1 mirror copy --retry-times 0 --file "$T/list" bundle:-
expect_contains "$err" "the bundle was cut off" "$blob"
cp "$out" "$T/gone.tar"
expect_status 1 mirror verify "bundle:$T/gone.tar"
expect_status 1 mirror copy "bundle:$T/gone.tar" "bundle:$T/none.tar"

# ---- refusals --------------------------------------------------------------------------------

# Other tools write their archives in any order.
skopeo copy -q --all "oci:$T/odd:registry.example.invalid/odd/multi:1" \
    "oci-archive:$T/skopeo.tar:x"
piped "cat $T/skopeo.tar | $MIRROR copy bundle:- bundle:$T/no.tar; true"
expect_contains "$err" "cannot be read from a pipe" "save it to a file first"
expect_status 0 mirror copy bundle:- "bundle:$T/yes.tar" <"$T/skopeo.tar"

piped "gzip -1 <$T/file.tar | $MIRROR copy bundle:- bundle:$T/no.tar; true"
expect_contains "$err" "is compressed (gzip)" "gunzip"
expect_status 1 mirror copy bundle:- "bundle:$T/no.tar" </dev/null
expect_contains "$err" "standard input is empty"
expect_status 2 mirror copy --volume-size 1MiB --file "$T/list" bundle:-
expect_status 2 bash -c "$MIRROR copy oci:$T/odd bundle:- >&-"
expect_contains "$err" "standard output is not open for writing"
if [ -w /dev/full ]; then
    expect_status 1 bash -c "$MIRROR copy oci:$T/odd bundle:- >/dev/full"
    expect_contains "$err" "No space left on device"
fi
if command -v script >/dev/null; then
    run script -qec "$MIRROR copy oci:$T/odd bundle:-" /dev/null
    expect_contains "$out" "not written to a terminal" "> FILE"
fi
echo "bundle:- docker://$A/one/x:1" >"$T/two"
echo "bundle:-:@0 docker://$B/two/x:1" >>"$T/two"
piped "cat $T/arm.tar | $MIRROR copy --file $T/two; true"
expect_contains "$err" "can go to one registry"
expect_status 2 mirror copy --file - bundle:- "docker://$B/x/" <"$T/list"
expect_contains "$err" "standard input"
piped "cat $T/file.tar | $MIRROR serve --listen 127.0.0.1:0 bundle:-; true"
expect_contains "$err" "save it to a file first"
expect_missing "$T/no.tar" "$T/no.tar.partial"
