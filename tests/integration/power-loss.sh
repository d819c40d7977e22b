#!/bin/bash
# The worst disk: the power fails in the middle of a copy, and what was not synced is there in part,
# in any order. What then stands under the final name is the old bundle or the new one, whole; and
# the same copy, run again, gives the bundle that an undisturbed run gives and leaves nothing else.
#
# A run is recorded call by call (tests/lib/preload/powerlog.c), then the disk of many moments is
# built from the record (tests/lib/tools/powerloss.c). POWER_CUTS=N is how many of each case
# (default 12), POWER_FIRST the first seed (default 0: right after the end, when all must last),
# POWER_CASES chooses among them, POWER_KEEP=DIR keeps the disks that broke the promise.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry jq

N=registry.example.invalid
images "$T/plain" plain >/dev/null
images "$T/big" big --layers 2 --layer-bytes 1200000 >/dev/null
images "$T/old" big --layers 2 --layer-bytes 150000 --seed 7 >/dev/null
start_registry; A=$REGISTRY A_DATA=$REGISTRY_DATA
for layout in plain big old; do push_layout "$T/$layout" "$A"; done
BIG=docker://$A/big/image@$(image_digest "$T/big" $N/big/image:1)
OLD=docker://$A/big/image@$(image_digest "$T/old" $N/big/image:1)
LIST=("docker://$A/team/app:1" "docker://$A/team/app:2" "docker://$A/base:1" "$BIG")

# ---- recording -------------------------------------------------------------------------------

# record STATUS ARGS...: on the folder $D/disk, which was $D/before. $D/after is what came of it.
record() {
    local want=$1
    shift
    cp -r "$D/disk" "$D/before"
    LAST="$*" status=0
    LD_PRELOAD=$TOOLS/powerlog.so POWERLOG_ROOT=$D/disk POWERLOG_FILE=$D/record \
        "$MIRROR" copy -q "$@" >"$out" 2>"$err" || status=$?
    expect_equal "$want" "$status" "status of the recorded run"
    cp -r "$D/disk" "$D/after"
    [ "$("$TOOLS/powerloss" "$D/record" "$D/before" count)" -gt 5 ] || fail "little was recorded"
    # What the record says and what happened are the same.
    "$TOOLS/powerloss" "$D/record" "$D/before" replay "$D/replayed"
    diff -r "$D/after" "$D/replayed" >&2 || fail "the record is not what happened"
    rm -r "$D/replayed"
}

# ---- checking --------------------------------------------------------------------------------

# What stands under a name, as one stream; nothing if nothing does.
content() {
    if [ -e "$1" ]; then
        cat "$1"
    elif [ -e "$1.001" ]; then
        cat "$1".[0-9][0-9][0-9]
    fi
}

# readable PLACE: something stands there that a reader would take.
readable() {
    case $1 in
    bundle:*) [ -e "${1#bundle:}" ] || [ -e "${1#bundle:}.001" ] ;;
    oci:*) [ -e "${1#oci:}/index.json" ] ;;
    esac
}

# Seed 0 is after the end: what the program has said to be done lasts.
whole_or_absent() {
    local place=$1 name=$2 seed=$3
    if ! readable "$place"; then
        # Of volumes the first goes before the others are replaced.
        [[ $name == volumes* ]] || ! readable "${place/"$D/cut"/"$D/before"}" || fail "the old one is gone"
        [ "$seed" -ne 0 ] || fail "the new one is gone"
        return 0
    fi
    mirror verify "$place" >"$D/verify" 2>&1 || fail "verify refuses it: $(cat "$D/verify")"
    case $place in
    bundle:*)
        content "${place#bundle:}" >"$D/content"
        cmp -s "$D/content" "$D/content.after" ||
            { [ "$seed" -ne 0 ] && cmp -s "$D/content" "$D/content.before"; } ||
            fail "it is neither the old one nor the new one"
        ;;
    oci:*)
        cmp -s "${place#oci:}/index.json" "$D/after/layout/index.json" ||
            { [ "$seed" -ne 0 ] && cmp -s "${place#oci:}/index.json" "$D/before/layout/index.json"; } ||
            fail "index.json is neither the old one nor the new one"
        ;;
    esac
}

# No blob of a layout has a name that its bytes do not have.
names_are_true() {
    local list
    [ -d "$1/blobs/sha256" ] || return 0
    cd "$1/blobs/sha256"
    list=$(find . -type f -name '[0-9a-f]*' | sed -E 's#^\./(.*)#\1  \1#')
    [ -z "$list" ] || sha256sum --quiet -c - <<<"$list" >&2 || fail "a blob is not what its name says"
    cd "$OLDPWD"
}

# cut NAME PLACE SEED ARGS...: one failure of the power. PLACE and ARGS name things below HERE.
cut() {
    local name=$1 place=${2/HERE/$D/cut} seed=$3 args=()
    shift 3
    args=("${@/HERE/$D/cut}")
    rm -rf "$D/cut"
    HOW=$("$TOOLS/powerloss" "$D/record" "$D/before" build "$D/cut" "$seed")
    rm -rf "$D/cut.kept"
    [ -z "${POWER_KEEP:-}" ] || cp -r "$D/cut" "$D/cut.kept"
    whole_or_absent "$place" "$name" "$seed"
    names_are_true "$D/cut/layout"
    expect_status 0 mirror copy "${args[@]}"
    mirror verify "$place" >/dev/null
    diff -r "$D/whole" "$D/cut" >&2 || fail "run again it is not what an undisturbed run gives"
}

# cuts NAME PLACE ARGS...: all failures of the power in a recorded run.
cuts() {
    local name=$1 place=$2 seed first=${POWER_FIRST:-0} bad=0 code
    shift 2
    content "$D/before/b.tar" >"$D/content.before"
    content "$D/after/b.tar" >"$D/content.after"
    for ((seed = first; seed < first + ${POWER_CUTS:-12}; seed++)); do
        # In the background, because in a condition no command of it could fail.
        (cut "$name" "$place" "$seed" "$@") >"$D/log" 2>&1 &
        code=0
        wait "$!" || code=$?
        [ "$code" -ne 0 ] || continue
        bad=$((bad + 1))
        echo "$name, seed $seed: $("$TOOLS/powerloss" "$D/record" "$D/before" build "$D/again" "$seed")"
        tail -n 12 "$D/log"
        rm -rf "$D/again"
        [ -z "${POWER_KEEP:-}" ] || cp -r "$D/cut.kept" "$POWER_KEEP/$name.$seed"
    done
    echo "$name: $((${POWER_CUTS:-12} - bad)) held, $bad did not;" \
        "$("$TOOLS/powerloss" "$D/record" "$D/before" count) steps"
    BROKEN=$((BROKEN + bad))
}

# ---- the cases -------------------------------------------------------------------------------

# undisturbed BEFORE-COMMAND ARGS...: $D/whole, which every run that is repeated has to end in.
undisturbed() {
    mkdir "$D/whole"
    "$1" "$D/whole"
    shift
    expect_status 0 mirror copy "${@/HERE/$D/whole}"
}
nothing() { :; }
old_bundle() { mirror copy -q "$OLD" "bundle:$1/b.tar"; }
most_of_it() { mirror copy -q "${LIST[@]:1}" "bundle:$1/b.tar"; }
old_volumes() { mirror copy -q --volume-size 64KiB "$OLD" "bundle:$1/b.tar"; }
old_layout() { mirror copy -q "$OLD" "oci:$1/layout"; }

# A bundle where nothing was.
case_new() {
    undisturbed nothing "${LIST[@]}" bundle:HERE/b.tar
    record 0 "${LIST[@]}" "bundle:$D/disk/b.tar"
    cuts new bundle:HERE/b.tar "${LIST[@]}" bundle:HERE/b.tar
}

# A bundle in the place of an old one.
case_over() {
    undisturbed old_bundle "${LIST[@]}" bundle:HERE/b.tar
    old_bundle "$D/disk"
    record 0 "${LIST[@]}" "bundle:$D/disk/b.tar"
    cuts over bundle:HERE/b.tar "${LIST[@]}" bundle:HERE/b.tar
}

# A bundle in the place of one that has most of it already.
case_update() {
    undisturbed most_of_it "${LIST[@]}" bundle:HERE/b.tar
    most_of_it "$D/disk"
    record 0 "${LIST[@]}" "bundle:$D/disk/b.tar"
    cuts update bundle:HERE/b.tar "${LIST[@]}" bundle:HERE/b.tar
}

# Volumes in the place of an old set, which has more of them, and smaller ones.
case_volumes() {
    local args=(--volume-size 1MiB "${LIST[@]}" bundle:HERE/b.tar)
    undisturbed old_volumes "${args[@]}"
    old_volumes "$D/disk"
    record 0 "${args[@]/HERE/$D/disk}"
    cuts volumes bundle:HERE/b.tar "${args[@]}"
}

# A layout where nothing was.
case_new-layout() {
    undisturbed nothing "${LIST[@]}" oci:HERE/layout
    record 0 "${LIST[@]}" "oci:$D/disk/layout"
    cuts new-layout oci:HERE/layout "${LIST[@]}" oci:HERE/layout
}

# A layout that holds another image.
case_layout() {
    undisturbed old_layout "${LIST[@]}" oci:HERE/layout
    old_layout "$D/disk"
    record 0 "${LIST[@]}" "oci:$D/disk/layout"
    cuts layout oci:HERE/layout "${LIST[@]}" oci:HERE/layout
}

# twice NAME ARGS...: where the power has failed before, at three moments, and what then goes on from
# there loses it again.
twice() {
    local name=$1 first place=bundle:HERE/b.tar
    shift
    mv "$D/record" "$D/record.once"
    mv "$D/before" "$D/before.once"
    for first in ${POWER_TWICE:-21 22 23}; do
        rm -rf "$D/disk" "$D/after" "$D/before"
        echo "before: $("$TOOLS/powerloss" "$D/record.once" "$D/before.once" build "$D/disk" "$first")"
        record 0 "${@/HERE/$D/disk}"
        POWER_CUTS=$(((${POWER_CUTS:-12} + 2) / 3)) cuts "$name" "$place" "$@"
    done
}

case_twice() {
    undisturbed old_bundle "${LIST[@]}" bundle:HERE/b.tar
    old_bundle "$D/disk"
    record 0 "${LIST[@]}" "bundle:$D/disk/b.tar"
    twice twice "${LIST[@]}" bundle:HERE/b.tar
}

case_volumes-twice() {
    local args=(--volume-size 1MiB "${LIST[@]}" bundle:HERE/b.tar)
    undisturbed old_volumes "${args[@]}"
    old_volumes "$D/disk"
    record 0 "${args[@]/HERE/$D/disk}"
    twice volumes-twice "${args[@]}"
}

# Where a run has failed before, and the recorded one goes on from what it left.
case_resumed() {
    undisturbed old_bundle "${LIST[@]}" bundle:HERE/b.tar
    old_bundle "$D/disk"
    break_source run mirror copy "${LIST[@]}" "bundle:$D/disk/b.tar"
    [ "$status" -ne 0 ] || fail "it should not have succeeded"
    old_again
    record 0 "${LIST[@]}" "bundle:$D/disk/b.tar"
    cuts resumed bundle:HERE/b.tar "${LIST[@]}" bundle:HERE/b.tar
}

# The same, and meanwhile the list has changed.
case_changed() {
    undisturbed old_bundle "${LIST[@]:1}" bundle:HERE/b.tar
    old_bundle "$D/disk"
    break_source run mirror copy "${LIST[@]}" "bundle:$D/disk/b.tar"
    [ "$status" -ne 0 ] || fail "it should not have succeeded"
    old_again
    record 0 "${LIST[@]:1}" "bundle:$D/disk/b.tar"
    cuts changed bundle:HERE/b.tar "${LIST[@]:1}" bundle:HERE/b.tar
}

# An image fails, and the others make a bundle.
case_part() {
    undisturbed old_bundle "${LIST[@]}" bundle:HERE/b.tar
    old_bundle "$D/disk"
    break_source record 3 "${LIST[@]}" "bundle:$D/disk/b.tar"
    cuts part bundle:HERE/b.tar "${LIST[@]}" bundle:HERE/b.tar
}

# A layer of the big image is not in the registry while CMD runs.
break_source() {
    local layer blob
    layer=$(jq -r '.layers[1].digest[7:]' "$T/big/blobs/sha256/${BIG##*:}")
    blob=$A_DATA/docker/registry/v2/blobs/sha256/${layer:0:2}/$layer/data
    mv "$blob" "$T/away"
    "$@"
    mv "$T/away" "$blob"
}

# A run with status 3 has put what it could under the name; the case wants the old one there.
old_again() {
    [ "$status" -ne 3 ] || old_bundle "$D/disk"
}

BROKEN=0
CASES='new over update volumes new-layout layout resumed changed part twice volumes-twice'
for name in ${POWER_CASES:-$CASES}; do
    D=$T/$name
    mkdir -p "$D/disk"
    "case_$name"
    rm -rf "$D"
done
[ "$BROKEN" -eq 0 ] || fail "$BROKEN times what the power left broke the promise"
