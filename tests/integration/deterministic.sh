#!/bin/bash
# Same images, same bytes: whatever --jobs, whatever order they were asked for. And writing a
# bundle writes the bundle: no second copy, no pass of zeros.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry

images "$T/many" many --count 40 --layers 3 --layer-bytes 30000 >/dev/null
images "$T/plain" plain --layer-bytes 1500000 --seed 50 >/dev/null
start_registry; A=$REGISTRY
push_layout "$T/many" "$A"
push_layout "$T/plain" "$A"
for dir in many plain; do
    jq -r '.manifests[] | .annotations["org.opencontainers.image.ref.name"] + "@" + .digest' \
        "$T/$dir/index.json" | sed "s#^[^/]*#$A#"
done >"$T/list"

sum() { sha256sum <"$1"; }

expect_status 0 mirror copy --jobs 1 --file "$T/list" "bundle:$T/one.tar"
expect_status 0 "$TOOLS/measure" "$T/figures" "$MIRROR" copy --jobs 16 --file "$T/list" \
    "bundle:$T/sixteen.tar"
expect_equal "$(sum "$T/one.tar")" "$(sum "$T/sixteen.tar")" "checksum with --jobs 16"
tac "$T/list" >"$T/tsil"
expect_status 0 mirror copy --file "$T/tsil" "bundle:$T/backwards.tar"
expect_equal "$(sum "$T/one.tar")" "$(sum "$T/backwards.tar")" "checksum in another order"
cat "$T/list" "$T/list" >"$T/twice"
expect_status 0 mirror copy --file "$T/twice" "bundle:$T/twice.tar"
expect_equal "$(sum "$T/one.tar")" "$(sum "$T/twice.tar")" "checksum when asked twice"

# Once more onto a file that stands there already, and from that file.
expect_status 0 mirror copy --file "$T/list" "bundle:$T/one.tar"
expect_equal "$(sum "$T/sixteen.tar")" "$(sum "$T/one.tar")" "checksum over an older file"
expect_status 0 mirror copy "bundle:$T/one.tar" "bundle:$T/copied.tar"
expect_equal "$(sum "$T/one.tar")" "$(sum "$T/copied.tar")" "checksum of a bundle's copy"

# The time stamp is that of the caller who asks for one.
SOURCE_DATE_EPOCH=86400 expect_status 0 mirror copy --file "$T/list" "bundle:$T/dated.tar"
tar tvf "$T/dated.tar" >"$T/listing"
expect_equal 0 "$(grep -cv 1970-01-02 "$T/listing" || true)" "entries with another date"
tar tvf "$T/one.tar" >"$T/listing"
expect_equal 0 "$(grep -cv 1970-01-01 "$T/listing" || true)" "entries with another date"

# Bytes written. What the program prints and notes is allowed 64 KiB; pages are written once.
bytes=$(stat -c %s "$T/sixteen.tar")
written=$(sed -n 's/^written //p' "$T/figures")
dirtied=$(sed -n 's/^dirtied //p' "$T/figures")
echo "bundle $bytes, written $written, pages dirtied $dirtied"
[ "$written" -le $((bytes + 65536)) ] || fail "$written bytes written for a bundle of $bytes"
[ "$dirtied" -le $((bytes + bytes / 8 + 1048576)) ] || fail "$dirtied bytes of pages for $bytes"
