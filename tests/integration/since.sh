#!/bin/bash
# A differential and its base load to the same registry content as the full bundle; all ways of
# naming the base leave out the same bytes; what moves is what is new; a missing base is named.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry jq

images "$T/many" many --count 12 --layers 4 >/dev/null
images "$T/odd" odd >/dev/null
start_registry; A=$REGISTRY A_LOG=$REGISTRY_LOG
expect_status 0 mirror copy "oci:$T/many" "docker://$A/"
expect_status 0 mirror copy "oci:$T/odd" "docker://$A/"
for set in many odd; do
    jq -r '.manifests[] | .annotations["org.opencontainers.image.ref.name"] + "@" + .digest' \
        "$T/$set/index.json" | sed "s#^[^/]*#$A#" >"$T/$set.list"
done
mkdir -p "$T/blobs"
cp "$T"/many/blobs/sha256/* "$T/blobs"
cp "$T"/odd/blobs/sha256/* "$T/blobs"
cd "$T"

# What refers to what: lines "child DIGEST DIGEST" and "part DIGEST DIGEST" (configs and layers; those
# that need not be distributed are left behind, as copy does).
(cd blobs && grep -l '"schemaVersion"' -- * | xargs jq -r '("sha256:" + input_filename) as $of
    | (.manifests[]? | "child \($of) \(.digest)"),
      (.config // empty, .layers[]? | select(.mediaType | test("foreign|nondistributable") | not)
       | "part \($of) \(.digest)")') >refers

# manifests_of: those on standard input, and all below them. parts_of: what they refer to.
manifests_of() {
    awk 'NR == FNR { if ($1 == "child") children[$2] = children[$2] " " $3; next }
         function add(digest, list, count, i) {
             if (digest in seen) return
             seen[digest] = 1
             print digest
             count = split(children[digest], list)
             for (i = 1; i <= count; i++) add(list[i])
         }
         { add($1) }' refers - | sort
}
parts_of() {
    manifests_of | awk 'NR == FNR { if ($1 == "part") parts[$2] = parts[$2] "\n" $3; next }
         { printf "%s", parts[$1] }' refers - | sed 1d | sort -u
}
# fetch_all HOST/PREFIX DIR < lines REPO:TAG@DIGEST: all they consist of, hashed, in one go; a file
# REPO/DIGEST for each, and REPO/tag-TAG for what the tag stands for.
fetch_all() {
    local name repo digest tag url want
    mkdir "$2"
    while read -r name; do
        repo=${name%%:*} digest=${name#*@} tag=${name#*:} url=$(repo_url "$1/${name%%:*}")
        tag=${tag%@*}
        echo "$digest" | manifests_of | sed 's#^#manifests/#' >.want
        echo "$digest" | parts_of | sed 's#^#blobs/#' >>.want
        while read -r want; do
            printf 'url = "%s/%s"\noutput = "%s/%s/%s"\n' "$url" "$want" "$2" "$repo" "${want#*/}"
        done <.want
        printf 'url = "%s/manifests/%s"\noutput = "%s/%s/tag-%s"\n' "$url" "$tag" "$2" "$repo" "$tag"
    done >.fetch
    web --create-dirs -H "Accept: $ACCEPT" --config .fetch
    (cd "$2" && find . -name 'sha256:*' -printf '%f  %p\n' | sed 's/^sha256://' |
        sha256sum --quiet -c -) || fail "$1: content is not what its digest says"
}
digests() { sed 's/.*@//' "$@"; }
bytes_of() { # bytes of the blobs on standard input
    local sum=0 digest
    while read -r digest; do sum=$((sum + $(stat -c %s "blobs/${digest#sha256:}"))); done
    echo "$sum"
}
left_out_of() { tar xOf "$1" mirror-base.json | jq -r '.leftOut[].digest'; }
requests_since() { # LOG PATTERN: requests since the last mark
    tail -n "+$((${SEEN[$1]:-0} + 1))" "$1" | grep -cE "\"$2" || true
}
declare -A SEEN
mark() {
    local log
    for log; do SEEN[$log]=$(wc -l <"$log"); done
}

# The old images: some of many, half of odd, one of them for one platform alone.
sed -n 1,7p many.list >old.list
sed -n 1,12p odd.list | grep -v odd/multi >>old.list
cat many.list odd.list | sed 1,4d >new.list
mkdir -p bundle layout index volumes
expect_status 0 mirror copy --file old.list bundle:bundle/base.tar
expect_status 0 mirror copy --file old.list oci:layout/base.tar
expect_status 0 mirror copy --volume-size 100KiB bundle:bundle/base.tar bundle:volumes/base.tar
[ -e volumes/base.tar.002 ]
tar xOf bundle/base.tar index.json >index/base.tar
expect_status 0 mirror copy --file new.list bundle:full.tar

# ---- what is left out, and what moves --------------------------------------------------------

digests old.list | parts_of >old.parts
digests new.list | parts_of >new.parts
comm -12 old.parts new.parts >common.parts
comm -13 old.parts new.parts >fresh.parts
[ -s common.parts ]
[ -s fresh.parts ]

mark "$A_LOG"
expect_status 0 mirror copy --since bundle/base.tar --file new.list --report report.json bundle:diff.tar
expect_contains "$err" "left out, which bundle/base.tar has"
expect_equal "$(wc -l <fresh.parts)" "$(requests_since "$A_LOG" 'GET /v2/[^ ]*/blobs/sha256')" \
    "blobs fetched"
expect_same common.parts <(left_out_of diff.tar)
expect_same fresh.parts <(tar tf diff.tar | sed -n 's#^blobs/sha256/#sha256:#p' | sort |
    comm -12 - <(sort new.parts))
expect_equal "$(bytes_of <common.parts)" "$(jq .totals.bytesLeftOut report.json)" "bytes left out"
expect_equal "$(wc -l <common.parts)" "$(jq .totals.blobsLeftOut report.json)" "blobs left out"
expect_equal "$(jq .totals.bytes report.json)" \
    "$(jq '.totals.bytesMoved + .totals.bytesLeftOut' report.json)" "bytes"
expect_equal "base.tar sha256:$(sha256sum <index/base.tar | cut -d' ' -f1)" \
    "$(jq -r '.base.name + " " + .base.index' report.json)" "base of the report"
expect_same <(tar xOf full.tar index.json) <(tar xOf diff.tar index.json)
tar tf diff.tar | sed -n 1,3p >head
expect_same head <(printf 'oci-layout\nindex.json\nmirror-base.json\n')
tar xOf diff.tar mirror-base.json | jq -e --arg a "$A" \
    'all(.leftOut[]; .size > 0 and (.repository | startswith($a)))' >/dev/null
expect_status 0 mirror copy --dry-run --since bundle/base.tar --file new.list bundle:dry.tar
expect_contains "$out" "left out:      $(bytes_of <common.parts) "
expect_missing dry.tar dry.tar.partial

# Other tools read what there is.
if command -v skopeo >/dev/null; then
    name=$(jq -r '.manifests[] | select(.annotations["org.opencontainers.image.ref.name"]
        | test("odd/zstd")) | .annotations["org.opencontainers.image.ref.name"]' <(tar xOf diff.tar index.json))
    expect_status 0 skopeo inspect --raw "oci-archive:diff.tar:$name"
fi

# ---- every way of naming the base ------------------------------------------------------------

mark "$A_LOG"
for old in bundle:bundle/base.tar oci-archive:bundle/base.tar layout/base.tar layout/base.tar/ \
    oci:layout/base.tar index/base.tar volumes/base.tar bundle:volumes/base.tar.001; do
    expect_status 0 mirror copy --since "$old" --file new.list --jobs 3 bundle:again.tar
    expect_same diff.tar again.tar
    rm again.tar
done
# Manifests that both have are read once, also when only index.json is there.
mark "$A_LOG"
expect_status 0 mirror copy --since index/base.tar --file new.list bundle:again.tar
expect_equal "$(cat old.list new.list | digests | manifests_of | wc -l)" \
    "$(requests_since "$A_LOG" 'GET /v2/[^ ]*/manifests/')" "manifests fetched"
tac new.list >reversed.list
expect_status 0 mirror copy --since index/base.tar --file reversed.list --jobs 1 bundle:again.tar
expect_same diff.tar again.tar

# A differential with the same images counts as what it stands for.
sed -n 5,8p old.list >oldest.list
mkdir -p chain
expect_status 0 mirror copy --file oldest.list bundle:oldest.tar
expect_status 0 mirror copy --since oldest.tar --file old.list bundle:chain/base.tar
[ "$(stat -c %s chain/base.tar)" -lt "$(stat -c %s bundle/base.tar)" ]
expect_status 0 mirror copy --since chain/base.tar --file new.list bundle:again.tar
expect_same diff.tar again.tar
mkdir unpacked
tar xf chain/base.tar -C unpacked
mv unpacked base.tar
expect_status 0 mirror copy --since base.tar --file new.list bundle:again.tar
expect_same diff.tar again.tar

# Platforms: what the base was cut to is all that it holds.
grep odd/multi odd.list >multi.list
expect_status 0 mirror copy --platform linux/arm64 --file multi.list bundle:cut.tar
expect_status 0 mirror copy --since cut.tar --file multi.list bundle:cut-diff.tar
expect_equal 2 "$(left_out_of cut-diff.tar | wc -l)" "blobs of one platform"
tar xOf cut.tar index.json >cut.json
cp cut.json index/cut.tar
expect_status 0 mirror copy --since index/cut.tar --file multi.list bundle:again.tar
expect_same cut-diff.tar again.tar

# Layers that need not be distributed are taken again, since an index.json does not tell of them.
held=oci:odd:registry.example.invalid/odd/foreign-held:1
expect_status 0 mirror copy --include-nondistributable "$held" bundle:held.tar
expect_status 0 mirror copy --include-nondistributable --since held.tar "$held" bundle:again.tar
digest=$(jq -r '.layers[0].digest' "blobs/$(sed -n 's#.*odd/foreign-held:1@sha256:##p' odd.list)")
tar tf again.tar >listing
expect_contains listing "blobs/sha256/${digest#sha256:}"
expect_equal 1 "$(left_out_of again.tar | wc -l)" "blobs left out: the config"

# Nothing new, and nothing in common.
expect_status 0 mirror copy --since full.tar --file new.list bundle:nothing.tar
expect_contains "$err" "nothing is new since full.tar"
expect_equal 0 "$(tar tf nothing.tar | sed -n 's#^blobs/sha256/#sha256:#p' | sort |
    comm -12 - new.parts | wc -l)" "configs and layers in a bundle without news"
expect_status 0 mirror copy --since cut.tar --file oldest.list bundle:again.tar
expect_same oldest.tar again.tar

# ---- loading ----------------------------------------------------------------------------------

start_registry; B=$REGISTRY B_LOG=$REGISTRY_LOG
start_registry; C=$REGISTRY
expect_status 0 mirror copy bundle:full.tar "docker://$C/x/"

# Without its base: everything that needs it fails, and is told which one.
expect_status 3 mirror copy bundle:diff.tar "docker://$B/early/"
expect_contains "$err" "base.tar has it" "$(sha256sum <index/base.tar | cut -d' ' -f1)" \
    "hint: load base.tar first, or give both bundles" "blob sha256:"
while read -r digest; do
    expect_equal 0 "$(requests_since "$B_LOG" "PUT .*digest=sha256.*${digest#sha256:}")" "upload"
done < <(head -n 3 common.parts)
expect_status 3 mirror copy --dry-run bundle:diff.tar "docker://$B/early/"
expect_contains "$err" "hint: load base.tar first"
expect_contains "$out" "failed $A/item/4"

# With it: mounted or found in place, and all that is uploaded is new.
expect_status 0 mirror copy bundle:bundle/base.tar "docker://$B/x/"
expect_status 0 mirror copy --dry-run bundle:diff.tar "docker://$B/x/"
mark "$B_LOG"
expect_status 0 mirror copy --report report.json bundle:diff.tar "docker://$B/x/"
# A new blob may go into more than one repository: then it is mounted there.
expect_equal "$(wc -l <fresh.parts)" "$(requests_since "$B_LOG" 'PUT /v2/[^ ]*/blobs/uploads')" "uploads"
jq -r '.images[] | select(.outcome != "failed") | .image' report.json | sed 's#^[^/]*/##' >loaded
expect_equal "$(wc -l <new.list)" "$(wc -l <loaded)" "images loaded"
fetch_all "$B/x" fetched-b <loaded
fetch_all "$C/x" fetched-c <loaded
diff -r fetched-b fetched-c
expect_equal "$(wc -l <loaded)" "$(find fetched-b -name 'tag-*' | wc -l)" "tags"

# Both at once, and a chain of differentials one after the other.
start_registry; D=$REGISTRY
expect_status 0 mirror copy bundle:diff.tar bundle:bundle/base.tar "docker://$D/x/"
expect_status 0 mirror copy bundle:oldest.tar "docker://$D/chain/"
expect_status 0 mirror copy bundle:chain/base.tar "docker://$D/chain/"
expect_status 0 mirror copy bundle:diff.tar "docker://$D/chain/"
grep -E 'item/(5|7)|nested|shared-b' loaded >some
for place in x chain; do
    fetch_all "$D/$place" "fetched-$place" <some
    while read -r name; do
        diff -r "fetched-$place/${name%%:*}" "fetched-c/${name%%:*}"
    done <some
done
# One image to a place of its own.
name=$(grep item/5 new.list)
expect_status 3 mirror copy --quiet bundle:diff.tar "docker://$D/elsewhere/"
expect_status 0 mirror copy "bundle:diff.tar:$name" bundle:bundle/base.tar "docker://$D/single/"

# Into bundles and layouts: with the base beside it, or under the target's name.
expect_status 1 mirror copy bundle:diff.tar bundle:made.tar
expect_contains "$err" "bundle:made.tar: $(wc -l <common.parts) blobs" "base.tar has it"
expect_missing made.tar made.tar.partial
expect_status 1 mirror copy bundle:diff.tar oci:made
expect_missing made
expect_status 0 mirror copy bundle:bundle/base.tar bundle:diff.tar bundle:both.tar
expect_status 0 mirror copy --file old.list --file new.list bundle:both-full.tar
expect_same both-full.tar both.tar
cp bundle/base.tar made.tar
expect_status 0 mirror copy bundle:diff.tar bundle:made.tar
expect_same full.tar made.tar
expect_status 0 mirror copy bundle:diff.tar oci:layout/base.tar
expect_status 0 mirror verify oci:layout/base.tar
# A differential of a differential.
expect_status 0 mirror copy --since bundle/base.tar bundle:diff.tar bundle:again.tar
expect_same diff.tar again.tar

# ---- verify, inspect, serve, emit-icsp --------------------------------------------------------

expect_status 0 mirror verify bundle:diff.tar
expect_contains "$out" "$(wc -l <common.parts) blobs" "left out: sound" "needs its base, base.tar"
expect_status 0 mirror verify bundle:diff.tar --base bundle:bundle/base.tar
expect_contains "$out" "whole together with the base given"
expect_status 1 mirror verify bundle:diff.tar --base bundle:chain/base.tar
expect_contains "$out" "is left out, and not in the bases given"
expect_status 0 mirror verify bundle:diff.tar --base bundle:chain/base.tar --base bundle:oldest.tar
expect_contains "$out" "whole together with the bases given"
expect_status 0 mirror verify --json bundle:diff.tar
expect_equal "$(wc -l <common.parts) base.tar" \
    "$(jq -r '"\(.blobsLeftOut) \(.base.name)"' "$out")" "verify --json"
cp bundle/base.tar hurt.tar
digest=$(head -n 1 common.parts)
at=$(grep -abo "blobs/sha256/${digest#sha256:}" hurt.tar | head -n 1 | cut -d: -f1)
printf '\0\0\0\0' | dd of=hurt.tar bs=1 seek=$((at + 512)) conv=notrunc status=none
expect_status 1 mirror verify bundle:diff.tar --base bundle:hurt.tar
expect_contains "$out" "$digest is left out, and in hurt.tar has other content"

expect_status 0 mirror inspect bundle:diff.tar
expect_contains "$out" "diff.tar is a differential; its base is base.tar" \
    "$(wc -l <common.parts) blobs, "
expect_status 0 mirror inspect --json bundle:diff.tar
expect_equal "$(wc -l <common.parts) $(bytes_of <common.parts) base.tar" \
    "$(jq -r '"\(.blobsLeftOut) \(.bytesLeftOut) \(.bases[0].name)"' "$out")" "inspect --json"
expect_status 0 mirror inspect --json bundle:diff.tar bundle:bundle/base.tar
expect_equal 0 "$(jq .blobsLeftOut "$out")" "left out of both together"

name=$(sed -n "s#^$A/\(item/5\):1@.*#\1#p" new.list)
digest=$(sed -n "s#^$A/item/5:1@##p" new.list)
status_of() { curl -s -o /dev/null -w '%{http_code}' "http://$SERVE/v2/$name/$1"; }
layer=$(jq -r '.layers[0].digest' "blobs/${digest#sha256:}")
start_serve bundle:diff.tar
expect_contains "$SERVE_LOG" "diff.tar leaves out" "name its base too, base.tar" \
    "image $digest is not served"
expect_equal 404 "$(status_of "manifests/$digest")" "an image that lacks a layer"
start_serve bundle:diff.tar --verify none
expect_equal 404 "$(status_of "blobs/$layer")" "status"
expect_equal 200 "$(status_of "manifests/$digest")" "status"
start_serve bundle:diff.tar bundle:bundle/base.tar
expect_lacks "$SERVE_LOG" "leaves out"
fetch_all "$SERVE" fetched-serve <loaded
diff -r fetched-serve fetched-c

expect_status 0 mirror emit-icsp --from bundle:full.tar --mirror "$B/x" -o full-objects
expect_status 0 mirror emit-icsp --from bundle:diff.tar --mirror "$B/x" -o diff-objects
diff -r full-objects diff-objects

# ---- when something is missing or wrong -------------------------------------------------------

# An image that cannot be fetched takes what only it left out along.
grep -v -e item/7 -e odd/nested new.list >rest.list
expect_status 0 mirror copy --since bundle/base.tar --file rest.list bundle:rest.tar
blob=$(jq -r '.layers[3].digest' "blobs/$(sed -n 's#.*item/7:1@sha256:##p' new.list)")
nested=$(jq -r '.manifests[1].digest' "blobs/$(sed -n 's#.*odd/nested:1@sha256:##p' new.list)")
rm "$T/registry1/data/docker/registry/v2/blobs/sha256/${blob:7:2}/${blob#sha256:}/data"
rm "$T/registry1/data/docker/registry/v2/blobs/sha256/${nested:7:2}/${nested#sha256:}/data"
expect_status 3 mirror copy --retry-times 0 --since bundle/base.tar --file new.list bundle:less.tar
expect_same rest.tar less.tar
expect_status 0 mirror verify bundle:less.tar

# A manifest of an index.json that is gone: a warning, and what only it held is taken again.
gone=$(sed -n 's#.*item/6:1@##p' many.list)
curl -sS --fail -X DELETE "http://$A/v2/item/6/manifests/$gone"
grep -v item/6 rest.list >left.list
grep -v item/6 old.list | digests | parts_of >left-old.parts
expect_status 0 mirror copy --retry-times 0 --since index/base.tar --file left.list bundle:warned.tar
expect_contains "$err" "manifest $gone of $A/item/6 cannot be read any more"
expect_same <(comm -12 left-old.parts <(digests left.list | parts_of)) <(left_out_of warned.tar)

# Command lines that make no sense.
expect_status 2 mirror copy --since bundle/base.tar --file left.list "docker://$B/x/"
expect_contains "$err" "a differential is a bundle file"
expect_status 2 mirror copy --since bundle/base.tar --file left.list oci:made
expect_status 2 mirror copy --since diff.tar --file left.list bundle:diff.tar
expect_contains "$err" "is the destination too"
expect_status 2 mirror copy --since volumes/base.tar --file left.list bundle:volumes/base.tar
ln -s diff.tar link.tar
expect_status 2 mirror copy --since link.tar --file left.list bundle:diff.tar
expect_status 2 mirror copy --since "docker://$B/x" --file left.list bundle:made.tar
expect_status 2 mirror copy --since "bundle:diff.tar:$A/item/5" --file left.list bundle:made.tar
expect_status 2 mirror copy --since bundle:- --file left.list bundle:made.tar <diff.tar
cp bundle/base.tar hurt.tar
at=$(grep -abo schemaVersion hurt.tar | sed -n 3p | cut -d: -f1)
printf X | dd of=hurt.tar bs=1 seek="$at" conv=notrunc status=none
expect_status 1 mirror copy --since hurt.tar --file left.list bundle:made.tar
expect_contains "$err" "hurt.tar is damaged" "mirror verify"
expect_missing made.tar.partial
expect_status 1 mirror copy --since nowhere.tar --file left.list bundle:made.tar
expect_contains "$err" "--since: " "nowhere.tar"
head -c 3000 diff.tar >short.tar
expect_status 1 mirror copy --since short.tar --file left.list bundle:made.tar
expect_contains "$err" "short.tar" "cut short"
printf '{"schemaVersion":2}' >empty.json
expect_status 0 mirror copy --since empty.json "docker://$A/item/5:1" bundle:made.tar
printf '{"hello":1}' >odd.json
expect_status 1 mirror copy --since odd.json "docker://$A/item/5:1" bundle:made.tar
expect_contains "$err" "odd.json is not an image index"
printf 'hello' >text
expect_status 1 mirror copy --since text "docker://$A/item/5:1" bundle:made.tar
