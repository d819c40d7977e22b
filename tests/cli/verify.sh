#!/bin/bash
# mirror verify: sound bundles pass with status 0, anything else is named on stdout and ends with
# status 1, wrong command lines with 2; text and JSON say the same.
. "$(dirname "$0")/../lib/test.sh"
need jq tar
cd "$T"

# Bundles of the same images: made by tar, by us, and the directory.
images layout odd >/dev/null
tar -C layout -cf by-tar.tar .
expect_status 0 mirror copy --quiet oci:layout bundle:ours.tar

for bundle in oci:layout bundle:by-tar.tar oci-archive:by-tar.tar bundle:ours.tar; do
    expect_status 0 mirror verify "$bundle"
    expect_line "$out" '.*: [0-9]+ images?, [0-9]+ manifests?, [0-9]+ blobs?, .* hashed.*: sound'
    expect_equal '' "$(cat "$err")" "stderr of verify $bundle"
    expect_equal 1 "$(wc -l <"$out")" "lines of verify $bundle"
done
for jobs in 1 16; do
    expect_status 0 mirror verify --jobs "$jobs" bundle:ours.tar
done
expect_status 0 mirror verify --json bundle:ours.tar
expect_equal true "$(jq .sound "$out")"
expect_equal "$(jq '.manifests | length' layout/index.json)" "$(jq .images "$out")" images
expect_equal 0 "$(jq '.problems | length' "$out")"

# A flipped bit in each kind of blob, and a missing one.
name=$(jq -r '.manifests[0].annotations["org.opencontainers.image.ref.name"]' layout/index.json)
first=$(jq -r '.manifests[0].digest' layout/index.json)
some_blob=$(basename "$(find layout/blobs/sha256 -type f | sort | sed -n 1p)")
for hex in "${first#sha256:}" "$some_blob"; do
    file=layout/blobs/sha256/$hex
    cp "$file" kept
    printf '\377' | dd of="$file" bs=1 seek=1 conv=notrunc status=none
    expect_status 1 mirror verify oci:layout
    expect_contains "$out" "$hex" 'other content'
    expect_line "$err" 'mirror: layout is not sound: [0-9]+ problems?'
    expect_status 1 mirror verify --json oci:layout
    expect_equal false "$(jq .sound "$out")"
    jq -r '.problems[]' "$out" >problems
    expect_contains problems "$hex"
    rm "$file"
    expect_status 1 mirror verify oci:layout
    expect_contains "$out" "$hex is missing"
    cp kept "$file"
done
expect_status 0 mirror verify oci:layout

# The same inside a tar, where nothing but that blob changes.
cp ours.tar bad.tar
offset=$(grep -obaF "blobs/sha256/${first#sha256:}" bad.tar | sed -n 1p | cut -d: -f1)
printf 'X' | dd of=bad.tar bs=1 seek=$((offset + 512)) conv=notrunc status=none
expect_status 1 mirror verify bundle:bad.tar
expect_contains "$out" "image $name@$first: manifest $first has other content than its digest"
expect_equal 2 "$(wc -l <"$out")" "one problem and the count"

# A cut file, a changed header, and what is no bundle at all: one error, nothing on stdout.
unreadable() {
    local text=$1
    shift
    expect_status 1 mirror verify "$@"
    expect_contains "$err" "$text"
    expect_line "$err" 'mirror: .*'
    expect_equal '' "$(cat "$out")" "stdout of verify $*"
}
head -c -2000 ours.tar >cut.tar
unreadable 'cut short' bundle:cut.tar
cp ours.tar bad.tar
printf 'Z' | dd of=bad.tar bs=1 seek=$((offset + 20)) conv=notrunc status=none
unreadable "at byte $offset" bundle:bad.tar
gzip -k ours.tar
unreadable 'gunzip ours.tar.gz' bundle:ours.tar.gz
unreadable 'oci:layout' bundle:layout
unreadable 'bundle:ours.tar' oci:ours.tar
unreadable 'has no oci-layout' oci:.
unreadable none.tar bundle:none.tar

# Wrong command lines.
wrong() {
    local text=$1
    shift
    expect_status 2 mirror verify "$@"
    expect_contains "$err" "$text"
    expect_equal '' "$(cat "$out")" "stdout of verify $*"
}
wrong 'name a bundle'
wrong 'one bundle' bundle:ours.tar bundle:ours.tar
wrong 'whole' "bundle:ours.tar:$name"
wrong 'not a bundle' docker://localhost:1/a/b:1
wrong transport ours.tar
wrong --jobs --jobs 0 bundle:ours.tar
wrong --jobs --jobs 1000 bundle:ours.tar
