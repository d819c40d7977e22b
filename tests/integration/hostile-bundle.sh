#!/bin/bash
# A bundle that is not what it should be is refused with its name and the trouble, and nothing of it
# reaches a registry.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry

images "$T/layout" plain >/dev/null
expect_status 0 mirror copy "oci:$T/layout" "bundle:$T/good.tar"
start_registry

nothing_pushed() {
    expect_equal '{"repositories":[]}' "$(web "http://$REGISTRY/v2/_catalog" | tr -d '\n')" "$1"
}

# refused WHAT FILE TEXT...: pushing FILE fails, says TEXT, and leaves the registry empty.
refused() {
    local what=$1 file=$2
    shift 2
    expect_status 1 mirror copy --retry-times 0 "bundle:$file" "docker://$REGISTRY/in/"
    expect_contains "$err" "$file" "$@"
    nothing_pushed "$what"
}

head -c 3000 "$T/good.tar" >"$T/cut.tar"
refused "cut in the headers" "$T/cut.tar"

size=$(stat -c %s "$T/good.tar")
head -c $((size - 4096)) "$T/good.tar" >"$T/short.tar"
refused "cut in the last blob" "$T/short.tar"

cp "$T/good.tar" "$T/sum.tar"
printf 'x' | dd of="$T/sum.tar" bs=1 seek=100 conv=notrunc status=none
refused "a header that was changed" "$T/sum.tar"

mkdir -p "$T/tree"
tar -C "$T/tree" -xf "$T/good.tar"
outside() {
    rm -f "$T/out.tar"
    tar -C "$T/tree" --transform="s#^oci-layout#$1#" -Pcf "$T/out.tar" oci-layout index.json blobs
}
outside '../oci-layout'
refused "a name outside" "$T/out.tar" '..'
outside '/etc/oci-layout'
refused "an absolute name" "$T/out.tar" '/etc/oci-layout'

ln -s /etc/passwd "$T/tree/blobs/sha256/$(printf 'a%.0s' {1..64})"
tar -C "$T/tree" -cf "$T/link.tar" oci-layout index.json blobs
refused "a link" "$T/link.tar" 'link'
rm "$T/tree/blobs/sha256/$(printf 'a%.0s' {1..64})"

tar -C "$T/tree" -cf "$T/twice.tar" oci-layout index.json blobs index.json
refused "one name twice" "$T/twice.tar" 'index.json'

sed 's/sha256:[0-9a-f]\{8\}/sha256:00000000/' "$T/tree/index.json" >"$T/index.json"
tar -C "$T/tree" --exclude index.json -cf "$T/points.tar" oci-layout blobs
tar -C "$T" -rf "$T/points.tar" index.json
refused "an index that points nowhere" "$T/points.tar" 'sha256:00000000'

# One layer with other bytes: the registry is offered it, and takes neither it nor the image.
for i in $(seq 0 $(($(jq '.manifests | length' "$T/layout/index.json") - 1))); do
    manifest=$(jq -r ".manifests[$i].digest" "$T/layout/index.json")
    layer=$(jq -r '.layers[-1].digest // empty' "$T/layout/blobs/sha256/${manifest#sha256:}")
    [ -z "$layer" ] || break
done
file=$T/tree/blobs/sha256/${layer#sha256:}
size=$(stat -c %s "$file")
head -c "$size" /dev/zero >"$file"
tar -C "$T/tree" -cf "$T/damaged.tar" oci-layout index.json blobs
run mirror copy --retry-times 0 "bundle:$T/damaged.tar" "docker://$REGISTRY/in/"
[ "$status" -ne 0 ] || fail "a damaged layer went through"
expect_contains "$err" "$T/damaged.tar is damaged" "$layer" 'mirror verify'
name=$(jq -r ".manifests[$i]"'.annotations["org.opencontainers.image.ref.name"]' "$T/layout/index.json")
name=${name#*/} tag=${name##*:}
expect_equal 404 "$(curl -s -o /dev/null -w '%{http_code}' \
    "http://$REGISTRY/v2/in/${name%:*}/manifests/$tag")" "the image with the damaged layer"
