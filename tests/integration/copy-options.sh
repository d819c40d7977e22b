#!/bin/bash
# What the flags of copy promise: pinning, platforms, dry runs, reports, exit statuses.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry

N=registry.example.invalid
images "$T/plain" plain >/dev/null
images "$T/odd" odd >/dev/null
start_registry; A=$REGISTRY A_LOG=$REGISTRY_LOG
start_registry; B=$REGISTRY B_LOG=$REGISTRY_LOG B_DATA=$REGISTRY_DATA
push_layout "$T/plain" "$A"
push_layout "$T/odd" "$A" "$N/odd/attested:1" "$N/odd/nested:1"
app=$(image_digest "$T/plain" "$N/team/app:1")
base=$(image_digest "$T/plain" "$N/base:1")
gone=sha256:0000000000000000000000000000000000000000000000000000000000000000

# ---- pinning: a tag is resolved once, and the digest is recorded and printed
expect_status 0 mirror copy "docker://$A/team/app:1" "bundle:$T/tag.tar"
cat "$out" "$err" >"$T/said"
expect_contains "$T/said" "$app"
expect_equal "$A/team/app:1@$app" "$(tar xOf "$T/tag.tar" index.json |
    jq -r '.manifests[0].annotations["org.opencontainers.image.ref.name"]')" "name in the bundle"
run mirror copy --require-digest "docker://$A/team/app:1" "bundle:$T/unpinned.tar"
[ "$status" -ne 0 ] || fail "--require-digest took a tag"
expect_contains "$err" "$A/team/app:1" digest
expect_missing "$T/unpinned.tar" "$T/unpinned.tar.partial"
expect_status 0 mirror copy --require-digest "docker://$A/team/app:1@$app" "bundle:$T/pinned.tar"

# ---- platforms: some of them, with the bytes of the index kept
expect_status 0 mirror copy --platform linux/arm64 "docker://$A/team/app@$app" "bundle:$T/arm.tar"
tar tf "$T/arm.tar" >"$T/listing"
expect_contains "$T/listing" "${app#sha256:}"
child() {
    jq -r --arg arch "$1" '.manifests[] | select(.platform.architecture == $arch) | .digest' \
        "$T/plain/blobs/sha256/${app#sha256:}"
}
arm=$(child arm64) amd=$(child amd64)
expect_contains "$T/listing" "${arm#sha256:}"
expect_lacks "$T/listing" "${amd#sha256:}"
expect_status 0 mirror verify "bundle:$T/arm.tar"
expect_status 0 mirror inspect "bundle:$T/arm.tar"
# Attestations go with the platform that they are about.
attested=$(image_digest "$T/odd" "$N/odd/attested:1")
expect_status 0 mirror copy --platform linux/amd64 "docker://$A/odd/attested@$attested" \
    "bundle:$T/attested.tar"
tar tf "$T/attested.tar" >"$T/listing"
jq -r '.manifests[] | "\(.platform.architecture) \(.digest)
    \(.annotations["vnd.docker.reference.digest"] // "")"' \
    "$T/odd/blobs/sha256/${attested#sha256:}" | paste - - | sed 's/sha256://g' >"$T/children"
amd=$(sed -n 's/^amd64[ \t]*\([0-9a-f]*\).*/\1/p' "$T/children")
arm=$(sed -n 's/^arm64[ \t]*\([0-9a-f]*\).*/\1/p' "$T/children")
expect_contains "$T/listing" "$amd" "$(sed -n "s/^unknown[ \t]*\([0-9a-f]*\)[ \t]*$amd\$/\1/p" "$T/children")"
expect_lacks "$T/listing" "$arm" "$(sed -n "s/^unknown[ \t]*\([0-9a-f]*\)[ \t]*$arm\$/\1/p" "$T/children")"
# Two platforms; and one that the image does not have.
nested=$(image_digest "$T/odd" "$N/odd/nested:1")
expect_status 0 mirror copy --platform linux/ppc64le --platform linux/s390x \
    "docker://$A/odd/nested@$nested" "bundle:$T/two.tar"
expect_status 0 mirror verify "bundle:$T/two.tar"
run mirror copy --platform plan9/mips "docker://$A/team/app@$app" "bundle:$T/none.tar"
[ "$status" -ne 0 ] || fail "a platform that the image does not have was taken"
expect_contains "$err" plan9/mips
expect_missing "$T/none.tar"

# ---- a dry run prints the plan and changes nothing
find "$B_DATA" -type f 2>/dev/null | sort >"$T/before" || true
before=$(wc -l <"$B_LOG")
expect_status 0 mirror copy --dry-run "docker://$A/team/app:1" "docker://$A/base:1" "docker://$B/dry/"
expect_contains "$out" dry/team/app dry/base "$app"
find "$B_DATA" -type f 2>/dev/null | sort >"$T/after" || true
expect_same "$T/before" "$T/after"
expect_equal 0 "$(tail -n "+$((before + 1))" "$B_LOG" | grep -cE '"(PUT|POST|PATCH) ' || true)" "writes"
expect_status 0 mirror copy --dry-run "docker://$A/team/app:1" "bundle:$T/dry.tar"
expect_missing "$T/dry.tar" "$T/dry.tar.partial"

# ---- report and mapping
expect_status 0 mirror copy --report "$T/report" --mapping "$T/map" \
    "docker://$A/team/app:1" "docker://$A/base@$base" "docker://$B/told/"
expect_equal "copied copied" "$(jq -r '.images[].outcome' "$T/report" | paste -sd ' ')" outcomes
expect_equal "$app $base" "$(jq -r '.images[].digest' "$T/report" | paste -sd ' ')" digests
jq -e '.images | all(.bytes > 0 and (.source | length > 0) and (.destination | length > 0))' \
    "$T/report" >"$out"
expect_line "$T/map" "$A/team/app:1@$app=$B/told/team/app:1"
expect_line "$T/map" "$A/base@$base=$B/told/base:pinned-$(echo "$base" | cut -c 8-23)"
expect_status 0 mirror copy --report "$T/report" "docker://$A/base@$base" "docker://$B/told/"
expect_equal present "$(jq -r '.images[].outcome' "$T/report")" "outcome of the second time"

# ---- one image's failure does not stop the rest, and the exit status says which kind it was
expect_status 3 mirror copy --retry-times 0 --report "$T/report" "docker://$A/base:1" \
    "docker://$A/team/app@$gone" "docker://$A/nothing/here:1" "docker://$A/team/app:2" "docker://$B/some/"
expect_contains "$err" "$gone" "$A/nothing/here:1"
expect_equal "1 2" "$(registry_tags "$B/some/base") $(registry_tags "$B/some/team/app")" "what arrived"
expect_equal "copied failed failed copied" "$(jq -r '.images[].outcome' "$T/report" | paste -sd ' ')"
jq -e '[.images[] | select(.outcome == "failed") | .error] | all(. != null)' "$T/report" >"$out"
expect_status 1 mirror copy --retry-times 0 "docker://$A/nothing/here:1" "docker://$B/some/"
expect_status 3 mirror copy --retry-times 0 "docker://$A/base:1" "docker://$A/nothing/here:1" \
    "bundle:$T/some.tar"
expect_status 0 mirror verify "bundle:$T/some.tar"
expect_equal 1 "$(tar xOf "$T/some.tar" index.json | jq '.manifests | length')" "images in the bundle"
expect_status 1 mirror copy --retry-times 0 "docker://$A/nothing/here:1" "bundle:$T/nothing.tar"
expect_missing "$T/nothing.tar" "$T/nothing.tar.partial"
expect_status 1 mirror copy --retry-times 0 "docker://127.0.0.1:1/a/b:1" "bundle:$T/nothing.tar"
expect_missing "$T/nothing.tar"

# ---- progress in the form asked for; quiet means quiet
expect_status 0 mirror copy --progress json "docker://$A/base:1" "bundle:$T/progress.tar"
grep '^{' "$err" | jq -es 'length > 0' >"$T/x"
expect_status 0 mirror copy --quiet "docker://$A/base:1" "bundle:$T/progress.tar"
expect_equal '' "$(cat "$err")" "stderr of --quiet"
expect_status 0 mirror copy --progress none "docker://$A/base:1" "bundle:$T/progress.tar"
expect_status 0 mirror copy --progress plain "docker://$A/base:1" "bundle:$T/progress.tar"
expect_lacks "$err" "$(printf '\033')" "$(printf '\r')"

# On a terminal there are bars, the last one full, and gone from the line when all is done.
expect_status 0 script -qec "'$MIRROR' copy 'docker://$A/base:1' 'bundle:$T/progress.tar'" /dev/null
grep -q "$(printf '\r')\[##*\] .* of .*B/s" "$out" || fail "no bar on a terminal"
tail -n 1 "$out" | grep -q '^1 image: ' || fail "the bar was left on the line"

# ---- docker's first format has a message of its own
cat >"$T/schema1" <<'END'
{"schemaVersion":1,"name":"old","tag":"1","architecture":"amd64","fsLayers":[],"history":[]}
END
mkdir -p "$T/old/blobs/sha256"
hex=$(sha256sum <"$T/schema1") && hex=${hex%% *}
cp "$T/schema1" "$T/old/blobs/sha256/$hex"
echo '{"imageLayoutVersion":"1.0.0"}' >"$T/old/oci-layout"
printf '{"schemaVersion":2,"manifests":[{"mediaType":"%s","digest":"sha256:%s","size":%d}]}' \
    application/vnd.docker.distribution.manifest.v1+json "$hex" "$(stat -c %s "$T/schema1")" \
    >"$T/old/index.json"
expect_status 1 mirror copy "oci:$T/old" "docker://$B/old:1"
expect_contains "$err" "schema 1"
