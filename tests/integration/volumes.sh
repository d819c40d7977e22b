#!/bin/bash
# A bundle in volumes is the bundle in one file, cut: for every command, wherever the cuts are. A
# volume that is missing, cut short or swapped is named; a limit on the size of files is answered
# with the way out.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry skopeo jq

N=registry.example.invalid
images "$T/odd" odd >"$T/names"
images "$T/big" big --layers 3 --layer-bytes 700000 >>"$T/names"
start_registry; A=$REGISTRY
start_registry; B=$REGISTRY
push_layout "$T/odd" "$A" "$N/odd/multi:1" "$N/odd/nested:1"
push_layout "$T/big" "$A"
multi=$(image_digest "$T/odd" "$N/odd/multi:1")
nested=$(image_digest "$T/odd" "$N/odd/nested:1")
big=$(image_digest "$T/big" "$N/big/image:1")
cat >"$T/list" <<END
$A/odd/multi@$multi
$A/odd/nested@$nested
$A/big/image@$big
END
count() {
    find "$1" -mindepth 1 -maxdepth 1 -name "$2" | wc -l
}

# ---- seven volumes in a row are the whole
expect_status 0 mirror copy --file "$T/list" "bundle:$T/whole.tar"
bytes=$(stat -c %s "$T/whole.tar")
size=$(((bytes / 7 + 512) / 512 * 512))
mkdir "$T/v"
expect_status 0 mirror copy --dry-run --volume-size "$size" --file "$T/list" "bundle:$T/v/a.tar"
expect_line "$out" 'volumes: *7'
expect_equal 0 "$(count "$T/v" '*')" "files after a dry run"
expect_status 0 mirror copy --volume-size "$size" --jobs 16 --report "$T/report" --file "$T/list" "bundle:$T/v/a.tar"
expect_equal 7 "$(count "$T/v" '*')" "files"
expect_equal 7 "$(jq .totals.volumes "$T/report")" "volumes in the report"
expect_equal "$(sha256sum <"$T/whole.tar")" "$(cat "$T/v"/a.tar.* | sha256sum)" "the volumes in a row"
for i in 1 2 3 4 5 6; do expect_equal "$size" "$(stat -c %s "$T/v/a.tar.00$i")"; done
# What another tool cuts is the same.
split -b "$size" -d -a 3 --numeric-suffixes=1 "$T/whole.tar" "$T/split.tar."
for i in 1 2 3 4 5 6 7; do expect_same "$T/split.tar.00$i" "$T/v/a.tar.00$i"; done

# ---- every command reads them
expect_status 0 mirror verify "bundle:$T/v/a.tar"
expect_status 0 mirror verify "bundle:$T/v/a.tar.001"
expect_status 0 mirror inspect --json "bundle:$T/v/a.tar"
cp "$out" "$T/inspect"
expect_contains "$T/inspect" "$multi" "$nested" "$big"
printf '%s\n' "$A/big/image=$B/load/big/image" >"$T/map"
expect_status 0 mirror emit-icsp --from "bundle:$T/v/a.tar" --mirror "$B/load" --output-dir "$T/emitted"
expect_contains "$T/emitted/imagecontentsourcepolicy.yaml" "$B/load/big/image"
expect_status 0 mirror copy "bundle:$T/v/a.tar" "docker://$B/load/"
fetch_compare "$A/odd/multi" "$B/load/odd/multi" "$multi"
fetch_compare "$A/odd/nested" "$B/load/odd/nested" "$nested"
fetch_compare "$A/big/image" "$B/load/big/image" "$big"
# Into one file, into a layout, and cut anew.
expect_status 0 mirror copy "bundle:$T/v/a.tar" "bundle:$T/again.tar"
expect_same "$T/whole.tar" "$T/again.tar"
expect_status 0 mirror copy "bundle:$T/v/a.tar" "oci:$T/layout"
expect_status 0 mirror verify "oci:$T/layout"
expect_status 0 mirror copy --volume-size 64KiB "bundle:$T/v/a.tar" "bundle:$T/v/small.tar"
expect_equal "$(((bytes + 65535) / 65536))" "$(count "$T/v" 'small.tar.*')" "small volumes"
expect_equal "$(sha256sum <"$T/whole.tar")" "$(cat "$T/v"/small.tar.* | sha256sum)"

# ---- serve, with blobs that lie in many volumes: whole, and from every part of them
start_serve "bundle:$T/v/small.tar"
expect_status 0 skopeo copy -q --src-tls-verify=false "docker://$SERVE/big/image@$big" "dir:$T/pulled"
expect_equal "${big#sha256:}" "$(sha256sum <"$T/pulled/manifest.json" | cut -d ' ' -f 1)"
fetch_compare "$A/big/image" "$SERVE/big/image" "$big"
fetch_compare "$A/odd/multi" "$SERVE/odd/multi" "$multi"
layer=$(jq -r '.layers[1].digest' "$T/pulled/manifest.json")
web -o "$T/layer" "http://$SERVE/v2/big/image/blobs/$layer"
expect_equal "$layer" "sha256:$(sha256sum <"$T/layer" | cut -d ' ' -f 1)"
for range in 0-99 65000-66000 100-400000 300000-; do
    web -r "$range" -o "$T/part" "http://$SERVE/v2/big/image/blobs/$layer"
    from=${range%-*} to=${range#*-}
    dd if="$T/layer" of="$T/want" bs=64K iflag=skip_bytes,count_bytes skip="$from" \
        count=$((${to:-99999999} - from + 1)) status=none
    cmp "$T/part" "$T/want" || fail "range $range"
done

# ---- again: what stands there is used, a longer set is replaced, nothing is left beside it
expect_status 0 mirror copy --volume-size 64KiB --file "$T/list" "bundle:$T/v/a.tar"
expect_equal "$(sha256sum <"$T/whole.tar")" "$(cat "$T/v"/a.tar.* | sha256sum)"
before=$(registry_requests "$T/registry1/log" 'GET /v2/.*/blobs/')
expect_status 0 mirror copy --volume-size "$size" --file "$T/list" "bundle:$T/v/a.tar"
expect_equal "$before" "$(registry_requests "$T/registry1/log" 'GET /v2/.*/blobs/')" "blobs fetched"
expect_equal 7 "$(count "$T/v" 'a.tar*')" "volumes of the new set, and nothing else"
expect_status 0 mirror verify "bundle:$T/v/a.tar"

# ---- killed and run again, with volumes of another size, and as one file
for flags in "--volume-size 100KiB" "--volume-size 1MiB" ""; do
    start_process "$T/killed.log" "$MIRROR" copy --volume-size 256KiB --file "$T/list" "bundle:$T/v/k.tar"
    wait_until 20 test -e "$T/v/k.tar.journal" -o -e "$T/v/k.tar.001"
    kill -KILL "$PROCESS"
    { wait "$PROCESS" || true; } 2>/dev/null
    if compgen -G "$T/v/k.tar.0[0-9][0-9]" >/dev/null; then # it was faster
        rm "$T/v"/k.tar.*
    fi
    # shellcheck disable=SC2086
    expect_status 0 mirror copy $flags --file "$T/list" "bundle:$T/v/k.tar"
    expect_equal "$(sha256sum <"$T/whole.tar")" "$(cat "$T/v"/k.tar* | sha256sum)" "after a kill"
    rm "$T/v"/k.tar*
done

# ---- refusals name the volume
refused() {
    local word
    for word in verify inspect; do
        expect_status 1 mirror "$word" "bundle:$T/v/a.tar"
        expect_contains "$err" "$@"
    done
    expect_status 1 mirror copy "bundle:$T/v/a.tar" "bundle:$T/refused.tar"
    expect_contains "$err" "$@"
    expect_missing "$T/refused.tar"
}
for i in 1 4 7; do
    mv "$T/v/a.tar.00$i" "$T/away"
    refused "a.tar.00$i is missing"
    mv "$T/away" "$T/v/a.tar.00$i"
done
mv "$T/v/a.tar.001" "$T/away" && mv "$T/v/a.tar.007" "$T/v/a.tar.001" && mv "$T/away" "$T/v/a.tar.007"
refused "a.tar.001 and $T/v/a.tar.007 are swapped"
mv "$T/v/a.tar.001" "$T/away" && mv "$T/v/a.tar.007" "$T/v/a.tar.001" && mv "$T/away" "$T/v/a.tar.007"
mv "$T/v/a.tar.001" "$T/away" && mv "$T/v/a.tar.003" "$T/v/a.tar.001" && mv "$T/away" "$T/v/a.tar.003"
refused "a.tar.001 and $T/v/a.tar.003 are swapped"
mv "$T/v/a.tar.001" "$T/away" && mv "$T/v/a.tar.003" "$T/v/a.tar.001" && mv "$T/away" "$T/v/a.tar.003"
cp "$T/v/a.tar.004" "$T/away"
truncate -s -1000 "$T/v/a.tar.004"
refused "a.tar.004 has $((size - 1000)) bytes, and not the $size of the other volumes"
mv "$T/away" "$T/v/a.tar.004"
cp "$T/v/a.tar.007" "$T/away"
truncate -s -512 "$T/v/a.tar.007"
refused "a.tar.007 is cut short"
mv "$T/away" "$T/v/a.tar.007"
# A byte in the middle of a layer: no header tells, the digest does, and verify where it lies.
printf 'X' | dd of="$T/v/a.tar.005" bs=1 seek=$((size / 2)) conv=notrunc status=none
expect_status 1 mirror verify "bundle:$T/v/a.tar"
expect_contains "$out" ", in $T/v/a.tar.00"
for target in "bundle:$T/never.tar" "docker://$B/never/"; do
    expect_status 3 mirror copy "bundle:$T/v/a.tar" "$target"
    expect_contains "$err" "$T/v/a.tar is damaged, in $T/v/a.tar.00"
done
expect_status 0 mirror copy "bundle:$T/whole.tar" --volume-size "$size" "bundle:$T/v/a.tar"
expect_status 0 mirror verify "bundle:$T/v/a.tar"

# ---- one file and volumes of one name do not mix
expect_status 1 mirror copy --file "$T/list" "bundle:$T/v/a.tar"
expect_contains "$err" "a.tar.001 is there"
expect_status 1 mirror copy --volume-size "$size" --file "$T/list" "bundle:$T/whole.tar"
expect_contains "$err" "whole.tar is there"
expect_missing "$T/whole.tar.001" "$T/whole.tar.001.partial" "$T/v/a.tar" "$T/v/a.tar.partial"

# ---- sizes that make no sense
for bad in 0 63KiB 4G big '' 99999999TiB; do
    expect_status 2 mirror copy --volume-size "$bad" --file "$T/list" "bundle:$T/bad.tar"
    expect_contains "$err" --volume-size hint
done
for target in "docker://$B/bad/" "oci:$T/bad" bundle:-; do
    expect_status 2 mirror copy --volume-size 1GiB --file "$T/list" "$target"
    expect_contains "$err" "only a bundle's file can be cut into volumes" "$target"
done
images "$T/large" big --layers 1 --layer-bytes 66000000 >/dev/null
expect_status 2 mirror copy --volume-size 64KiB "oci:$T/large" "bundle:$T/bad.tar"
expect_contains "$err" 'only 999 can be numbered' 'at least 1MiB'
expect_equal 0 "$(count "$T" 'bad*')" "files of refused copies"

# ---- a file system that takes no large files
expect_status 1 bash -c "ulimit -f 2048 && exec \"\$0\" \"\$@\"" "$MIRROR" copy \
    "bundle:$T/whole.tar" "bundle:$T/limited.tar"
expect_contains "$err" 'limit' '--volume-size'
expect_contains "$err" '0 copied, 0 present'
expect_equal 0 "$(count "$T" 'limited*')" "files of a copy that did not fit"
expect_status 0 bash -c "ulimit -f 2048 && exec \"\$0\" \"\$@\"" "$MIRROR" copy --volume-size 2MiB \
    "bundle:$T/whole.tar" "bundle:$T/limited.tar"
expect_equal "$(sha256sum <"$T/whole.tar")" "$(cat "$T"/limited.tar.* | sha256sum)"

# ---- more volumes than files may be open (soft limit), which is raised to what is allowed
expect_status 0 bash -c "ulimit -S -n 32 && exec \"\$0\" \"\$@\"" "$MIRROR" copy \
    --volume-size 64KiB "bundle:$T/v/small.tar" "bundle:$T/v/many.tar"
expect_equal "$(sha256sum <"$T/whole.tar")" "$(cat "$T/v"/many.tar.* | sha256sum)"
expect_status 1 bash -c "ulimit -n 32 && exec \"\$0\" \"\$@\"" "$MIRROR" verify "bundle:$T/v/small.tar"
expect_contains "$err" 'ulimit -n'
