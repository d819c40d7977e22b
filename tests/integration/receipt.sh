#!/bin/bash
# A receipt says what a mirror holds, so that --since needs no old bundle: the three ways of giving
# OLD leave out the same, and what was made with a receipt loads into the mirror it is of.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry jq

images "$T/many" many --count 10 --layers 4 >/dev/null
start_registry; A=$REGISTRY
start_registry; M=$REGISTRY M_LOG=$REGISTRY_LOG M_DATA=$REGISTRY_DATA
cd "$T"
expect_status 0 mirror copy oci:many "docker://$A/src/"
jq -r --arg a "$A" '.manifests[] | (.annotations["org.opencontainers.image.ref.name"]
    | sub("^[^/]*"; $a + "/src")) + "@" + .digest' many/index.json >all
sed -n 1,6p all >old.list
sed -n 3,10p all >new.list

left_out_of() { tar xOf "$1" mirror-base.json | jq -r '.leftOut[] | "\(.digest) \(.size)"'; }
files_of() { tar tf "$1" | grep '^blobs/'; }
uploads() { grep -c '"PUT /v2/.*/blobs/uploads/' "$M_LOG" || true; }

# ---- the three ways of giving OLD agree --------------------------------------------------------
# The mirror has the images under names of its own, and others that are not meant.
expect_status 0 mirror copy --file old.list bundle:old.tar
expect_status 0 mirror copy bundle:old.tar "docker://$M/ocp/mirrored/"
expect_status 0 mirror copy "docker://$(sed -n 10p all)" "docker://$M/ocp-other/thing:1"
expect_status 0 mirror receipt "docker://$M/ocp" -o receipt.json
expect_contains "$err" ' 6 images in '
jq -e --arg m "$M/ocp" '.version == 1 and .receipt.mirror == $m and
    (.blobs | length > 0) and (.blobs | map(.digest) | . == sort) and
    all(.blobs[]; .size > 0 and (.repository | startswith($m + "/mirrored/")))' receipt.json >/dev/null
tar xOf old.tar index.json >old.json

expect_status 0 mirror copy --file new.list --since old.tar bundle:by-bundle.tar
expect_status 0 mirror copy --file new.list --since old.json bundle:by-index.tar
expect_status 0 mirror copy --file new.list --since receipt.json bundle:by-receipt.tar
expect_contains "$err" 'left out, which receipt.json has'
for way in bundle index receipt; do
    left_out_of "by-$way.tar" >"$way.left"
    files_of "by-$way.tar" >"$way.files"
done
[ -s bundle.left ] || fail "nothing is left out"
[ -n "$(comm -23 <(jq -r '.blobs[].digest' receipt.json | sort) <(cut -d' ' -f1 bundle.left | sort))" ] ||
    fail "all of OLD is in the new images: the comparison shows nothing"
expect_same bundle.left index.left
expect_same bundle.left receipt.left
expect_same bundle.files index.files
expect_same bundle.files receipt.files

# ---- the same again, byte for byte -------------------------------------------------------------
expect_status 0 mirror receipt "docker://$M/ocp/" -o - --jobs 1
expect_same receipt.json "$out"
expect_status 0 mirror receipt "docker://$M/ocp" -o trusting.json --depth manifest
expect_same receipt.json trusting.json
# Of what is named: repositories, and the images that were copied there.
expect_status 0 mirror receipt "docker://$M/ocp/mirrored" -o named.json --images bundle:old.tar
expect_same <(tail -n +2 receipt.json) <(tail -n +2 named.json)
expect_status 0 mirror receipt "docker://$M/ocp/mirrored" -o named.json --images old.list
expect_same <(tail -n +2 receipt.json) <(tail -n +2 named.json)
repo=$(jq -r '.blobs[0].repository' receipt.json)
expect_status 0 mirror receipt "docker://$M" "${repo#*/}" no/such/repository -o one.json
expect_equal "$repo" "$(jq -r '.blobs[].repository' one.json | sort -u)" "repositories"
# Nothing there is a receipt too: nothing is left out then.
expect_status 0 mirror receipt "docker://$M/empty" -o empty.json
expect_equal 0 "$(jq '.blobs | length' empty.json)" "blobs of an empty mirror"
expect_status 0 mirror copy --file new.list --since empty.json bundle:whole.tar
expect_status 0 mirror copy --file new.list bundle:new.tar
expect_same new.tar whole.tar

# ---- an image that only its digest names -------------------------------------------------------
start_registry; D=$REGISTRY
expect_status 0 mirror copy --no-digest-tags "docker://$(sed -n 1p all | sed 's/:[^:@]*@/@/')" "docker://$D/p/"
sed -n 1p all | sed 's/:[^:@]*@/@/' >untagged
expect_status 0 mirror receipt "docker://$D/p" -o listed.json
expect_equal 0 "$(jq '.blobs | length' listed.json)" "blobs of a repository without tags"
expect_status 0 mirror receipt "docker://$D/p" -o untagged.json --images untagged
[ "$(jq '.blobs | length' untagged.json)" -gt 0 ] || fail "the digest was not asked for"

# ---- loading -------------------------------------------------------------------------------------
# Elsewhere on the mirror: what is left out is mounted from where the receipt says it is.
expect_status 0 mirror copy --dry-run bundle:by-receipt.tar "docker://$M/new/place/"
before=$(uploads)
expect_status 0 mirror copy bundle:by-receipt.tar "docker://$M/new/place/"
after=$(uploads)
expect_equal "$(grep -c . <(comm -23 <(sort receipt.files) <(tar xOf by-receipt.tar index.json |
    jq -r '.manifests[].digest | "blobs/sha256/" + sub("sha256:"; "")' | sort)))" "$((after - before))" "uploads"
while read -r image; do
    repo=${image%@*} repo=${repo%:*}
    fetch_compare "$A/${repo#*/}" "$M/new/place/${repo#*/}" "${image#*@}"
done <new.list

# The same when the mirror goes by another name.
new=$((after - before)) before=$(uploads)
expect_status 0 mirror copy bundle:by-receipt.tar "docker://localhost:${M#*:}/third/place/"
expect_equal "$new" "$(($(uploads) - before))" "uploads under another name of the mirror"

# Where it is not, the error says which receipt and mirror were meant.
start_registry
expect_status 3 mirror copy bundle:by-receipt.tar "docker://$REGISTRY/ocp/mirrored/"
expect_contains "$err" "$M/ocp had it by the receipt receipt.json" "hint: load it into $M/ocp"
expect_status 1 mirror copy bundle:by-receipt.tar bundle:lost.tar
expect_contains "$err" "$M/ocp had it by the receipt receipt.json"
expect_missing lost.tar
expect_status 0 mirror verify bundle:by-receipt.tar
expect_contains "$out" "needs its base, $M/ocp (by the receipt receipt.json, sha256:"
expect_status 0 mirror verify --base bundle:old.tar bundle:by-receipt.tar
expect_status 0 mirror inspect bundle:by-receipt.tar
expect_contains "$out" "its base is $M/ocp (by the receipt receipt.json, sha256:"

# ---- a mirror that has lost something --------------------------------------------------------
lost=$(jq -r '.blobs[0].digest' receipt.json) hex=${lost#sha256:}
[ -n "$(find "$M_DATA" -path "*$hex*")" ]
find "$M_DATA" -type d -name "$hex" -prune -exec rm -r {} +
expect_status 3 mirror receipt "docker://$M/ocp" -o lost.json
expect_contains "$err" "blob $lost is not there, though a manifest there needs it" \
    'could not be seen, and count as missing'
expect_same <(jq -r '.blobs[1:][].digest' receipt.json) <(jq -r '.blobs[].digest' lost.json)
expect_status 0 mirror receipt "docker://$M/ocp" -o lost.json --depth manifest
expect_same receipt.json lost.json

# ---- a registry that wants a log-in, and one straight from a bundle ----------------------------
start_registry --htpasswd; H=$REGISTRY
expect_status 0 mirror copy --dest-creds pilot:secret bundle:old.tar "docker://$H/ocp/mirrored/"
expect_status 1 mirror receipt "docker://$H/ocp" -o secret.json
expect_contains "$err" '401 Unauthorized' "hint: log in to $H"
expect_missing secret.json
expect_status 0 mirror receipt --creds pilot:secret "docker://$H/ocp" -o secret.json
expect_same <(sed "s#$M#$H#" receipt.json) secret.json
start_serve bundle:old.tar
expect_status 0 mirror receipt "docker://$SERVE" -o served.json
expect_same <(jq -c '.blobs[] | [.digest, .size]' receipt.json) <(jq -c '.blobs[] | [.digest, .size]' served.json)

# ---- refusals ------------------------------------------------------------------------------------
expect_status 2 mirror receipt "docker://$M"
expect_contains "$err" 'name the file to be written with --output'
expect_status 2 mirror receipt -o x.json
expect_contains "$err" 'name a mirror'
expect_status 2 mirror receipt -o x.json "$M/ocp"
expect_contains "$err" 'is named as docker://'
expect_status 2 mirror receipt -o x.json "docker://$M" UPPER
expect_contains "$err" '"UPPER" is no repository'
expect_status 2 mirror receipt -o x.json --depth config "docker://$M"
expect_contains "$err" 'it is manifest or blobs'
expect_status 1 mirror receipt -o x.json docker://127.0.0.1:1 --retry-times 0
expect_missing x.json
sed 's/"blobs":\[/&\n{/' receipt.json >broken.json
expect_status 1 mirror copy --file new.list --since broken.json bundle:x.tar
expect_contains "$err" '--since: broken.json: line 2'
expect_missing x.tar
