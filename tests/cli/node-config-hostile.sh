#!/bin/bash
# mirror node-config takes any bytes: too deep, too many, repeated without end, not text, said twice.
# Each is refused with file and line and nothing is written, or simply works; none takes long.
. "$(dirname "$0")/../lib/test.sh"
cd "$T"

# refused FILE TEXT: status 1, the error begins with FILE:LINE and contains TEXT, JSON says the same.
refused() {
    local file=$1 text=$2
    expect_status 1 timeout 60 "$MIRROR" node-config --output-dir none "$file"
    expect_line "$err" "mirror: $file:[0-9]+:.*"
    expect_contains "$err" "$text"
    expect_missing none
    expect_status 1 timeout 60 "$MIRROR" node-config --json --output-dir none "$file"
    jq -e --arg file "$file" '.version == 1 and .rejected and .errors == 1 and
        ([.findings[] | select(.severity == "error" and .file == $file and .line > 0)] | length == 1)' \
        "$out" >/dev/null || fail "$file: the JSON does not name file and line"
    expect_missing none
}

taken() {
    expect_status 0 timeout 60 "$MIRROR" node-config --release-image \
        "r.io/release@sha256:$(printf '0%.0s' {1..64})" --output-dir some "$1"
    rm -r some
}

image='apiVersion: config.openshift.io/v1
kind: Image
metadata: {name: cluster}
spec:
  registrySources:
    insecureRegistries:'

# Deep nesting: flow, block, JSON, and through an anchor.
head -c 200000 /dev/zero | tr '\0' '[' >deep-flow.yaml
refused deep-flow.yaml 'nested too deep'
for ((i = 0; i < 100; i++)); do printf '%*sa:\n' "$i" ''; done >deep-block.yaml
refused deep-block.yaml 'nested too deep'
printf '%s' "$(printf '{"a":%.0s' {1..100})1$(printf '}%.0s' {1..100})" >deep.json
refused deep.json 'nested'
{
    echo "a: &a $(printf '[%.0s' {1..40})$(printf ']%.0s' {1..40})"
    echo "b: $(printf '[%.0s' {1..40})*a$(printf ']%.0s' {1..40})"
} >deep-alias.yaml
refused deep-alias.yaml 'nested too deep'
for ((i = 0; i < 10; i++)); do printf '{"apiVersion":"v1","kind":"List","items":['; done >lists.json
printf '%.0s]}' {1..10} >>lists.json
refused lists.json 'List in List'

# Aliases that multiply, and that contain themselves.
{
    echo 'a0: &a0 [x,x,x,x,x,x,x,x,x,x]'
    for i in {1..20}; do echo "a$i: &a$i [*a$((i - 1)),*a$((i - 1)),*a$((i - 1)),*a$((i - 1))]"; done
} >bomb.yaml
refused bomb.yaml 'aliases that multiply'
{
    echo 'a0: &a0 {k: v}'
    for i in {1..30}; do echo "a$i: &a$i {x: *a$((i - 1)), y: *a$((i - 1))}"; done
} >bomb-maps.yaml
refused bomb-maps.yaml 'aliases that multiply'
printf 'a: 1\nb: &b\n  c: *b\n' >self.yaml
refused self.yaml 'self.yaml:3:6: anchor that contains itself'

# Bytes that are no text.
printf 'a: x\nb: \0\n' >nul.yaml
refused nul.yaml nul.yaml:2:
printf 'a: x\nb: "x\\0y"\n' >nul-escaped.yaml
refused nul-escaped.yaml 'nul-escaped.yaml:2:4: NUL'
printf '{"a": 1,\n "b": "x\\u0000y"}' >nul.json
refused nul.json nul.json:2:
printf 'a: x\nb: \xff\xfe\n' >bytes.yaml
refused bytes.yaml bytes.yaml:2:
printf '{"a": 1,\n"b": "\xc3\x28"}' >bytes.json
refused bytes.json bytes.json:2:
printf '%s\n    - "a\xed\xa0\x80.io"\n' "$image" >surrogate.yaml
refused surrogate.yaml surrogate.yaml:7:
head -c 100000 /dev/urandom >random.yaml
run timeout 60 "$MIRROR" node-config --output-dir none random.yaml
expect_equal 1 "$status" "random bytes"
: >empty.yaml
taken empty.yaml

# Said twice: keys, merges, objects.
printf '%s [a.io]\n    insecureRegistries: [b.io]\n' "$image" >twice.yaml
refused twice.yaml 'twice.yaml:7:5: key "insecureRegistries" is given twice'
printf '{"kind": "Image",\n"apiVersion": "v1",\n"kind": "Pod"}' >twice.json
refused twice.json 'twice.json:3:1: key "kind" is given twice'
printf 'a: &a {b: 1}\nc:\n  <<: *a\n  <<: *a\n' >twice-merged.yaml
refused twice-merged.yaml 'twice-merged.yaml:4:3: key "<<" is given twice'
printf '%s [a.io]\n---\n%s [b.io]\n' "$image" "$image" >objects.yaml
refused objects.yaml 'objects.yaml:8: Image/cluster: given twice'

# 100,000 of everything: entries, objects, sets, mirrors, scopes, keys, documents, scalars in a line.
entries() { printf -- "$1" $(seq 1 100000); }
{
    echo "$image"
    entries '    - r%d.io\n'
} >entries.yaml
taken entries.yaml
{
    echo "$image"
    entries '    - r%d.io\n'
    echo '    - "*"'
} >entries-bad.yaml
refused entries-bad.yaml 'entries-bad.yaml:100007: Image/cluster: spec.registrySources.insecureRegistries[100000]: "*": '
{
    echo "$image"
    entries '    - r%d.io/x:1\n'
    echo '    allowedRegistries: [a.io]'
} >entries-warned.yaml
expect_status 0 timeout 60 "$MIRROR" node-config --json entries-warned.yaml
expect_equal 100000 "$(jq '[.findings[] | select(.rule == "insecure-not-allowed")] | length' "$out")" warnings
expect_equal '[100006,"spec.registrySources.insecureRegistries[99999]"]' "$(jq -c \
    '[.findings[] | select(.rule == "insecure-not-allowed")][99999] | [.line, .path]' "$out")" "the last"
set='apiVersion: config.openshift.io/v1
kind: ImageDigestMirrorSet
metadata: {name: x}
spec:
  imageDigestMirrors:'
{
    echo "$set"
    entries '  - {source: r%d.io/a, mirrors: [m.io]}\n'
} >sets.yaml
taken sets.yaml
{
    echo "$set"
    echo '  - source: a.io'
    echo '    mirrors:'
    entries '    - m%d.io\n'
} >mirrors.yaml
taken mirrors.yaml
{
    echo 'apiVersion: config.openshift.io/v1'
    echo 'kind: ClusterImagePolicy'
    echo 'metadata: {name: x}'
    echo 'spec:'
    echo '  policy: {rootOfTrust: {policyType: PublicKey, publicKey: {keyData: aa==}}}'
    echo '  scopes:'
    entries '  - r%d.io\n'
} >scopes.yaml
taken scopes.yaml
{
    echo 'apiVersion: v1'
    echo 'kind: ConfigMap'
    echo 'metadata: {name: image-registry-ca, namespace: openshift-config-managed}'
    echo 'data:'
    entries '  r%d.io: x\n'
    echo 'binaryData:'
    entries '  r%d.io: aa==\n'
} >keys.yaml
expect_status 0 timeout 60 "$MIRROR" node-config keys.yaml
expect_equal 100000 "$(grep -c '^# etc/docker/certs.d/' "$out")" "files of one ConfigMap"
entries '---\n{apiVersion: v1, kind: Pod, metadata: {name: p%d}}\n' >documents.yaml
taken documents.yaml
{
    printf '{"apiVersion": "v1", "kind": "List", "items": ['
    entries '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p%d"}},\n'
    printf '{}]}'
} >items.json
refused items.json 'items.json:100001: an object without kind'
printf '%s\n    - "%s"\n' "$image" "$(printf 'a.%.0s' {1..100000})" >long-entry.yaml
refused long-entry.yaml 'long-entry.yaml:7: Image/cluster: spec.registrySources.insecureRegistries[0]: longer'
printf '%s\n  - {mirrors: [m.io], source: "%s"}\n' "$set" "$(printf 'a.%.0s' {1..100000})" >long-source.yaml
refused long-source.yaml 'spec.imageDigestMirrors[0].source: longer than 4096 bytes'
printf '%s\n    - "%s"\n' "$image" "$(printf 'a.%.0s' {1..2047})io" >longest-entry.yaml
taken longest-entry.yaml
head -c 4000000 /dev/zero | tr '\0' 'x' >long.yaml
refused long.yaml 'document: must be an object'
entries '%d,' | sed 's/^/[/; s/,$/]/' >scalars.yaml
refused scalars.yaml 'scalars.yaml:1: document: must be an object'
