#!/bin/bash
# mirror resolve says what the container library does: every row of tests/golden/resolve, one case a
# rule, and where they are at hand beside the checkout those taken from the library itself. The text
# says why; objects and the files they become are the same to it.
. "$(dirname "$0")/../lib/test.sh"
need jq

: >"$T/want"
: >"$T/got"

# check_case EXPECTED ARGUMENTS...: all images of a case at once; compared at the end.
check_case() {
    local expected=$1 images
    shift
    mapfile -t images < <(jq -r .image "$expected")
    run mirror resolve --json "$@" -- "${images[@]}"
    cat "$expected" >>"$T/want"
    cat "$out" >>"$T/got"
}

# Of an error only the word before the colon counts; what the library does not judge ("unsupported
# reference") is not compared.
compare_rows() {
    jq -rn --slurpfile want "$T/want" --slurpfile got "$T/got" '
        def narrow: if .error then .error |= sub(":.*"; "") else . end;
        if ($want | length) != ($got | length) then "\($want | length) rows, \($got | length) answers"
        else range($want | length) as $i | ($want[$i] | narrow) as $a | ($got[$i] | narrow) as $b
            | (if $a.policy == "unsupported reference" then ["policy"] else [] end) as $blind
            | ($a | delpaths([$blind | select(. != [])])) as $a
            | ($b | delpaths([$blind | select(. != [])])) as $b
            | select($a != $b) | "want \($a)\ngot  \($b)" end' >"$T/diff"
    [ ! -s "$T/diff" ] || fail "$(head -n 4 "$T/diff")"
}

# with_policy FILE: the argument, where there is one that the library loads.
with_policy() {
    policy=()
    [ ! -e "$1" ] || policy=(--policy "$1")
}

for case in "$ROOT"/tests/golden/resolve/*/; do
    with_policy "${case}policy.json"
    [ ! -d "${case}registries.conf.d" ] || policy+=(--registries-conf-dir "${case}registries.conf.d")
    check_case "${case}expect.jsonl" --registries-conf "${case}registries.conf" "${policy[@]}"
done
compare_rows
[ "$(wc -l <"$T/got")" -ge 100 ] || fail "only $(wc -l <"$T/got") rows"

SHARED=${MIRROR_GOLDEN:-$ROOT/../shared/golden}
if [ -d "$SHARED/resolve" ]; then
    for expected in "$SHARED"/resolve/node-config/*.jsonl; do
        case=$(basename "$expected" .jsonl)
        with_policy "$SHARED/node-config/$case/expect/policy.json"
        check_case "$expected" "${policy[@]}" \
            --registries-conf "$SHARED/node-config/$case/expect/registries.conf"
    done
    for case in "$SHARED"/resolve/random/*/; do
        check_case "${case}expect.jsonl" --registries-conf "${case}registries.conf"
    done
    compare_rows
else
    echo "$SHARED/resolve is not here: those rows are left out"
fi
echo "$(wc -l <"$T/got") rows"

# ---- for people ------------------------------------------------------------------------------
cd "$T"
cat >node.conf <<'CONF'
[[registry]]
prefix = "quay.example/org"
location = "quay.example/org"
blocked = true
[[registry.mirror]]
location = "mirror.example:5000/org"
insecure = true
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "tags.example/org"
pull-from-mirror = "tag-only"
CONF
cat >policy.json <<'JSON'
{"default": [{"type": "insecureAcceptAnything"}],
 "transports": {"docker": {"quay.example/org": [{"type": "reject"}]}}}
JSON
sha=sha256:$(printf '%064d' 1)
expect_status 0 mirror resolve --registries-conf node.conf --policy policy.json \
    "docker://quay.example/org/app@$sha"
expect_line "$out" '  entry: "quay.example/org" \(node.conf:1\)'
expect_line "$out" "  1\. mirror.example:5000/org/app@$sha  mirror, not verified, http too"
expect_line "$out" "  2\. quay.example/org/app@$sha  the place itself, blocked by .*node.conf:1\)"
expect_line "$out" '  not asked: tags.example/org, which is for pulls by tag'
expect_line "$out" '  policy: reject, by docker "quay.example/org" \(reject, policy.json\)'
expect_status 0 mirror resolve --registries-conf node.conf busybox
expect_line "$out" '  means: docker.io/library/busybox:latest'
expect_line "$out" '  entry: none'
expect_lacks "$out" policy

# ---- objects instead of files: what they become ----------------------------------------------
cat >objects.yaml <<'YAML'
apiVersion: config.openshift.io/v1
kind: ImageDigestMirrorSet
metadata: {name: org}
spec:
  imageDigestMirrors:
  - {source: quay.example/org, mirrors: [mirror.example:5000/org], mirrorSourcePolicy: NeverContactSource}
YAML
expect_status 0 mirror node-config -o node objects.yaml
expect_status 0 mirror resolve --json --registries-conf node/etc/containers/registries.conf \
    --policy node/etc/containers/policy.json "quay.example/org/app@$sha" quay.example/org/app:1
cp "$out" by-files
expect_equal "mirror.example:5000/org/app@$sha" "$(head -n 1 by-files | jq -r '.places[0].reference')"
expect_status 0 mirror resolve --json --with objects.yaml "quay.example/org/app@$sha" \
    quay.example/org/app:1
expect_same by-files "$out"
expect_status 0 mirror resolve --with - busybox <objects.yaml

# ---- refusals --------------------------------------------------------------------------------
expect_status 2 mirror resolve
expect_contains "$err" 'name an image'
expect_status 2 mirror resolve --with objects.yaml --policy policy.json busybox
expect_contains "$err" 'not both'
expect_status 2 mirror resolve --registries-conf-dir . busybox
expect_contains "$err" 'goes with --registries-conf'
expect_status 2 mirror resolve --ocp 4.6 --registries-conf node.conf busybox
expect_status 1 mirror resolve --registries-conf not-there.conf busybox
expect_contains "$err" not-there.conf
expect_status 1 mirror resolve --with not-there.yaml busybox
expect_contains "$err" not-there.yaml
echo 'unqualified-search-registries = 7' >bad.conf
expect_status 1 mirror resolve --registries-conf bad.conf busybox
expect_contains "$err" bad.conf
echo '{"default": []}' >bad.json
expect_status 1 mirror resolve --json --registries-conf node.conf --policy bad.json busybox
expect_contains "$err" bad.json
expect_equal false "$(jq 'has("policy")' "$out")" "a policy that does not load says nothing"
expect_status 1 mirror resolve --registries-conf node.conf busybox UPPER/x
expect_line "$out" '  refused: .*UPPER.*'
expect_contains "$err" '1 of 2 images'
