#!/bin/bash
# The worst network: whatever a proxy cuts, resets, stalls, flips, refuses and loses, a copy ends in
# a complete, verified result, or with every missing image named in the report and on stderr; never
# with a wrong byte under a final name. Then the network heals, and the same command completes.
#
# CHAOS_SEEDS=N runs N seeds of each direction (default 3), CHAOS_FIRST is the first (default 1),
# CHAOS_DIRECTIONS chooses among bundle, push, relay, layout and pipe, CHAOS_PARALLEL is how many
# run at a time (what they do most is wait before they try again), CHAOS_KEEP=DIR keeps what a seed
# left that broke the promise.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry curl jq openssl

N=registry.example.invalid
LIMIT=100 # seconds for one copy; the longest wait for another try is far below

# ---- what is copied --------------------------------------------------------------------------

images "$T/plain" plain >/dev/null
images "$T/big" big --layers 3 --layer-bytes 500000 >/dev/null
images "$T/many" many --count 5 >/dev/null
images "$T/odd" odd >/dev/null
images "$T/old" big --layers 1 --layer-bytes 5000 --seed 9 >/dev/null
ODD=(odd/nested:1 odd/list:1 odd/attested:1 odd/artifact:1)

start_registry; A=$REGISTRY A_DATA=$REGISTRY_DATA
start_registry --tls; A_TLS=$REGISTRY A_TLS_DATA=$REGISTRY_DATA
start_registry; B=$REGISTRY B_DATA=$REGISTRY_DATA
start_registry --tls; B_TLS=$REGISTRY B_TLS_DATA=$REGISTRY_DATA
mkdir "$T/certs"
cp "$T/ca.crt" "$T/certs/"

for layout in plain big many old; do push_layout "$T/$layout" "$A"; done
push_layout "$T/odd" "$A" "${ODD[@]/#/$N/}"
cp -r "$A_DATA" "$A_TLS_DATA"

# walk LAYOUT DIGEST: a line "manifest HEX" or "blob HEX" for everything an image is made of.
walk() {
    local file=$T/$1/blobs/sha256/${2#sha256:} child
    echo "manifest ${2#sha256:}"
    jq -r '(.config? // empty, .layers[]?) | select(.urls | not) | "blob \(.digest[7:])"' "$file"
    for child in $(jq -r '.manifests[]?.digest' "$file"); do walk "$1" "$child"; done
}

# $T/names: REPO:TAG and digest of each image; $T/parts/HEX: what it is made of.
mkdir "$T/parts"
declare -A NAMES
for layout in plain big many odd; do
    jq -r '.manifests[] | [.annotations["org.opencontainers.image.ref.name"], .digest] | @tsv' \
        "$T/$layout/index.json" | sed "s#^$N/##" >"$T/layout"
    while IFS=$'\t' read -r name digest; do
        [ "$layout" != odd ] || [[ " ${ODD[*]} " == *" $name "* ]] || continue
        printf '%s\t%s\n' "$name" "$digest" >>"$T/names"
        NAMES[$digest]=$name
        walk "$layout" "$digest" | sort -u >"$T/parts/${digest#sha256:}"
    done <"$T/layout"
done
IMAGES=$(wc -l <"$T/names")

# Half of them by digest, half by tag.
sources() {
    local host=$1 name digest by=tag
    while IFS=$'\t' read -r name digest; do
        if [ "$by" = tag ]; then
            echo "docker://$host/$name" && by=digest
        else
            echo "docker://$host/${name%:*}@$digest" && by=tag
        fi
    done <"$T/names"
}
sources "$A" >"$T/list"
expect_status 0 mirror copy --file "$T/list" "bundle:$T/source.tar"
expect_status 0 mirror copy "docker://$A/big/image@$(image_digest "$T/old" $N/big/image:1)" \
    "bundle:$T/old.tar"

# ---- one seed --------------------------------------------------------------------------------

# disturb SEED HOST: a proxy in front of it, in $PROXY. How bad it is depends on the seed.
disturb() {
    local seed=$1 upstream=$2 how
    case $((seed % 4)) in
    0) how=(--every 1000000 --answers 20 --losses 10 --refusals 20) ;;
    1) how=(--every 2000000 --answers 60 --losses 20 --refusals 50) ;;
    2) how=(--every 300000 --answers 80 --losses 30 --refusals 100) ;;
    3) how=(--every 600000 --answers 40 --losses 20 --refusals 150) ;;
    esac
    # So bad that next to nothing arrives; soon given up, too.
    if [ $((SEED % 10)) -eq 2 ]; then
        how=(--every 20000 --answers 500 --losses 150 --refusals 300)
        PATIENCE+=(--retry-times 0)
    fi
    PROXIES=$((${PROXIES:-0} + 1))
    start_process "$D/proxy$PROXIES.log" "$TOOLS/netproxy" --chaos "$seed" "${how[@]}" \
        --freezes 60 --counts "$D/proxy$PROXIES.counts" "$upstream"
    server_address "$D/proxy$PROXIES.log" 'listening on '
    PROXY=$ADDRESS
    PROXY_IDS+=("$PROCESS")
}

# With the time and the tries that everybody has, because a busy machine is no broken network.
peace() {
    local id i
    PATIENCE=()
    for id in "${PROXY_IDS[@]}"; do kill -USR2 "$id"; done
    # The counts are written after the same signals were seen.
    for ((i = 1; i <= ${#PROXY_IDS[@]}; i++)); do
        kill -USR1 "${PROXY_IDS[i - 1]}"
        wait_until 10 test -e "$D/proxy$i.counts"
    done
}

# Every image that failed is named, in the report and for people.
all_named() {
    local source outcome failed=0 listed
    [ -s "$D/report" ] || fail "status $status without a report"
    listed=$(jq '.images | length' "$D/report")
    expect_equal "$IMAGES" "$listed" "images in the report"
    while IFS=$'\t' read -r outcome source; do
        case $outcome in
        failed)
            failed=$((failed + 1))
            expect_contains "$err" "$source"
            ;;
        copied | present) ;;
        *) [ "$status" -eq 1 ] || fail "$source is $outcome" ;;
        esac
    done < <(jq -r '.images[] | [.outcome, .source] | @tsv' "$D/report")
    case $status in
    0) expect_equal 0 "$failed" "failed images with status 0" ;;
    3) [ "$failed" -gt 0 ] && [ "$failed" -lt "$listed" ] || fail "status 3, $failed of $listed failed" ;;
    *) [ "$failed" -gt 0 ] || fail "status 1 and no image failed" ;;
    esac
}

# holds DATA PREFIX DIGEST NAME: a registry has all of an image below a prefix, under its tag.
holds() {
    local repo=$1/docker/registry/v2/repositories/$2/${4%:*} kind hex link target
    while read -r kind hex; do
        case $kind in
        manifest) link=$repo/_manifests/revisions/sha256/$hex/link ;;
        blob) link=$repo/_layers/sha256/$hex/link ;;
        esac
        target=
        [ ! -e "$link" ] || read -r target <"$link" || true # its last line has no end
        [ "$target" = "sha256:$hex" ] || fail "$kind $hex of $2/$4 is not there"
    done <"$T/parts/${3#sha256:}"
}

tagged() {
    expect_equal "$4" \
        "$(cat "$1/docker/registry/v2/repositories/$2/_manifests/tags/$3/current/link")" "tag $2:$3"
}

# What the report says has arrived is in the registry. With status 0 that is everything.
registry_keeps() {
    local data=$1 prefix=$2 outcome digest destination name
    while IFS=$'\t' read -r outcome digest destination; do
        case $outcome in copied | present) ;; *) continue ;; esac
        name=${NAMES[$digest]:-}
        [ -n "$name" ] || fail "the report has a digest that nobody asked for: $digest"
        holds "$data" "$prefix" "$digest" "$name"
        if [[ ${destination##*/} == *:* ]]; then
            tagged "$data" "$prefix/${name%:*}" "${destination##*:}" "$digest"
        fi
    done < <(jq -r '.images[] | [.outcome, .digest // "", .destination] | @tsv' "$D/report")
}

# The bundle that stands under the name is the old one, or one that verify takes and that has what
# the report says.
bundle_keeps() {
    local place=$1 kept
    if [ "$status" -eq 1 ]; then
        old_one_stands "$place"
        return
    fi
    kept=$(jq '[.images[] | select(.outcome != "failed") | .digest] | unique | length' "$D/report")
    mirror verify "$place" >"$D/verify" 2>&1 || fail "verify refuses it: $(cat "$D/verify")"
    # A layout keeps what it had.
    expect_equal "$kept" "$(mirror inspect --json "$place" | jq --arg old "$OLD" \
        '[.images[].digest | select(. != $old)] | unique | length')" "images in $place"
}

# What stands under a name, as one stream.
content() {
    if [ -e "$1" ]; then cat "$1"; else cat "$1".[0-9][0-9][0-9]; fi
}

old_one_stands() {
    case $1 in
    bundle:*) cmp -s "$T/old.tar" <(content "${1#bundle:}") || fail "the old bundle is not what it was" ;;
    oci:*) expect_same "$T/old.layout/index.json" "${1#oci:}/index.json" ;;
    esac
    mirror verify "$1" >"$D/verify" 2>&1 || fail "verify refuses what stood there: $(cat "$D/verify")"
}

attempt() {
    status=0
    LAST="$*"
    timeout "$LIMIT" "$MIRROR" copy -q "${TRUST[@]}" "${PATIENCE[@]}" --report "$D/report" "$@" \
        >"$out" 2>"$err" || status=$?
    judge_status
}

judge_status() {
    case $status in
    0 | 1 | 3) all_named ;;
    124) fail "it did not end within $LIMIT s" ;;
    *) fail "it ended with status $status" ;;
    esac
}

# Registry to bundle, or to a layout.
seed_bundle() {
    local place=$1 whole=$2
    disturb "$SEED" "$FROM"
    sources "$PROXY" >"$D/list"
    attempt "${FORM[@]}" --file "$D/list" "$place"
    bundle_keeps "$place"
    first=$status
    peace
    [ "$status" -eq 0 ] || attempt "${FORM[@]}" --file "$D/list" "$place"
    expect_equal 0 "$status" "status of the run after the chaos"
    bundle_keeps "$place"
    attempt "${FORM[@]}" --file "$D/list" "$whole"
    expect_equal 0 "$status" "status of the undisturbed run"
}

seed_of_bundle() {
    if [ $((SEED % 5)) -eq 0 ]; then
        FORM=(--volume-size 400KiB)
        split -a 3 --numeric-suffixes=1 -b 64K "$T/old.tar" "$D/b.tar."
    else
        cp "$T/old.tar" "$D/b.tar"
    fi
    seed_bundle "bundle:$D/b.tar" "bundle:$D/whole.tar"
    cmp <(content "$D/whole.tar") <(content "$D/b.tar") >&2 || fail "it is not the whole bundle"
    expect_equal "$(ls "$D" | grep -c '^whole')" "$(ls "$D" | grep -c '^b\.tar')" "files of the bundle"
}

seed_of_layout() {
    cp -r "$T/old.layout" "$D/layout"
    seed_bundle "oci:$D/layout" "oci:$D/whole"
    jq -S '.manifests | map(select(.digest != $old))' --arg old "$OLD" "$D/layout/index.json" >"$D/index"
    jq -S '.manifests' "$D/whole/index.json" >"$D/index.whole"
    expect_same "$D/index.whole" "$D/index"
    ! ls "$D/layout/blobs/sha256" | grep -v -E '^[0-9a-f]{64}$' || fail "something was left behind"
}

seed_to_registry() {
    attempt "$@" "docker://$PROXY/$PREFIX/" < <(cat "${INPUT:-/dev/null}")
    registry_keeps "$TO_DATA" "$PREFIX"
    first=$status
    peace
    [ "$status" -eq 0 ] || attempt "$@" "docker://$PROXY/$PREFIX/" < <(cat "${INPUT:-/dev/null}")
    expect_equal 0 "$status" "status of the run after the chaos"
    registry_keeps "$TO_DATA" "$PREFIX"
}

# Registry to a pipe: what went out cannot be taken back, so nothing is in part.
attempt_pipe() {
    local all
    LAST="$* bundle:-"
    set +e
    trap - ERR
    timeout "$LIMIT" "$MIRROR" copy -q "${TRUST[@]}" "${PATIENCE[@]}" --report "$D/report" "$@" \
        bundle:- 2>"$err" | cat >"$D/piped.tar"
    all=("${PIPESTATUS[@]}")
    set -e
    trap 'on_error $? "$BASH_COMMAND"' ERR
    status=${all[0]}
    : >"$out"
    judge_status
}

# Out of a pipe, or into one.
seed_of_pipe() {
    if [ $((SEED % 2)) -eq 0 ]; then
        disturb "$SEED" "$TO"
        INPUT=$T/source.tar seed_to_registry bundle:-
        return
    fi
    disturb "$SEED" "$FROM"
    sources "$PROXY" >"$D/list"
    attempt_pipe --file "$D/list"
    first=$status
    peace
    if [ "$status" -ne 0 ]; then
        ! mirror verify "bundle:$D/piped.tar" >/dev/null 2>&1 || fail "what was cut is taken for whole"
        attempt_pipe --file "$D/list"
        expect_equal 0 "$status" "status of the run after the chaos"
    fi
    attempt --file "$D/list" "bundle:$D/whole.tar"
    expect_equal 0 "$status" "status of the undisturbed run"
    expect_same "$D/whole.tar" "$D/piped.tar"
}

seed_of_push() {
    disturb "$SEED" "$TO"
    seed_to_registry "bundle:$T/source.tar"
}

seed_of_relay() {
    disturb $((SEED + 1000)) "$FROM"
    sources "$PROXY" >"$D/list"
    disturb "$SEED" "$TO"
    seed_to_registry --file "$D/list"
}

# ---- many seeds ------------------------------------------------------------------------------

# In a subshell of its own: the status of the first run in $T/done/DIRECTION.SEED, and what struck it
# in $T/done/DIRECTION.SEED.counts.
run_seed() {
    local direction=$1
    SEED=$2 D=$T/$1.$2 PREFIX=$1$2
    mkdir "$D"
    out=$D/out err=$D/err
    TRUST=() FORM=() PROXY_IDS=() FROM=$A TO=$B TO_DATA=$B_DATA
    case $((SEED % 8)) in
    3) FROM=$A_TLS TO=$B_TLS TO_DATA=$B_TLS_DATA ;;
    7)
        FROM=$A_TLS TO=$B_TLS TO_DATA=$B_TLS_DATA
        TRUST=(--src-tls-verify=true --src-cert-dir "$T/certs"
            --dest-tls-verify=true --dest-cert-dir "$T/certs")
        ;;
    esac
    "seed_of_$direction"
    cat "$D"/*.counts >"$T/done/$direction.$SEED.counts"
    echo "$first" >"$T/done/$direction.$SEED"
    kill "${PROXY_IDS[@]}"
    rm -rf "$D"
}

keep() {
    echo "$1: broke the promise"
    tail -n 40 "$T/$1.log"
    [ -z "${CHAOS_KEEP:-}" ] || cp -r "$T/$1" "$T/$1.log" "$CHAOS_KEEP/"
}

PATIENCE=(--stall-timeout 2)
OLD=$(image_digest "$T/old" $N/big/image:1)
expect_status 0 mirror copy "docker://$A/big/image@$OLD" "oci:$T/old.layout"
mkdir "$T/done"
running=0
for ((seed = ${CHAOS_FIRST:=1}; seed < CHAOS_FIRST + ${CHAOS_SEEDS:-3}; seed++)); do
    for direction in ${CHAOS_DIRECTIONS:-bundle push relay layout pipe}; do
        (run_seed "$direction" "$seed") >"$T/$direction.$seed.log" 2>&1 &
        running=$((running + 1))
        [ "$running" -lt "${CHAOS_PARALLEL:-8}" ] || { wait -n || true; running=$((running - 1)); }
    done
done
while [ "$running" -gt 0 ]; do
    wait -n || true
    running=$((running - 1))
done

# ---- what came of it -------------------------------------------------------------------------

broken=0
for direction in ${CHAOS_DIRECTIONS:-bundle push relay layout pipe}; do
    ended=([0]=0 [1]=0 [3]=0)
    for ((seed = CHAOS_FIRST; seed < CHAOS_FIRST + ${CHAOS_SEEDS:-3}; seed++)); do
        if [ -e "$T/done/$direction.$seed" ]; then
            first=$(cat "$T/done/$direction.$seed")
            ended[first]=$((ended[first] + 1))
        else
            broken=$((broken + 1))
            keep "$direction.$seed"
        fi
    done
    echo "$direction: ${ended[0]} complete, ${ended[3]} in part, ${ended[1]} not at all"
done
cat "$T"/done/*.counts | awk '{n[$1] += $2} END {for (k in n) print k, n[k]}' | sort >"$T/struck"
paste -s -d ' ' "$T/struck"
# Few seeds need not meet everything; those that `make check` runs do.
if [ -z "${CHAOS_DIRECTIONS:-}" ] && [ "${CHAOS_SEEDS:-3}" -ge 3 ]; then
    for kind in cut reset stall flip answer lose replace refuse; do
        expect_line "$T/struck" "$kind [1-9][0-9]*"
    done
fi

# Every blob that a registry stores, and so would serve, is what its name says.
for data in "$B_DATA" "$B_TLS_DATA"; do
    [ -d "$data/docker/registry/v2/blobs/sha256" ] || continue
    cd "$data/docker/registry/v2/blobs/sha256"
    find . -name data | sed -E 's#^\./../([0-9a-f]*)/data#\1  &#' | sha256sum --quiet -c - ||
        fail "a registry has a blob that is not what its digest says"
    cd "$OLDPWD"
done
# And it does serve them: one image by curl, to make sure of what the folders were taken for.
if [ -e "$T/done/relay.$CHAOS_FIRST" ] && [ $((CHAOS_FIRST % 4)) -ne 3 ]; then # not in TLS
    digest=$(awk '/^team\/app:1/ {print $2}' "$T/names")
    fetch_compare "$A/team/app" "$B/relay$CHAOS_FIRST/team/app" "$digest"
fi
[ "$broken" -eq 0 ] || fail "$broken seeds broke the promise"
