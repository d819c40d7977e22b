#!/bin/bash
# mirror node-config --json: all findings on standard output, whatever comes of the objects; --strict
# and --output-dir beside it; every rule is documented.
. "$(dirname "$0")/../lib/test.sh"
need jq
cd "$T"

cat >image.yaml <<'YAML'
apiVersion: v1
kind: List
items:
- apiVersion: config.openshift.io/v1
  kind: Image
  metadata:
    name: cluster
  spec:
    registrySources:
      blockedRegistries:
      - b.io
      - a.io/x:1
- apiVersion: v1
  kind: Pod
  metadata: {name: p, namespace: ns}
YAML
release="r.io/release@sha256:$(printf '0%.0s' {1..64})"

# findings JQ: the answer of jq to the last output.
findings() {
    jq -r "$1" "$out"
}

# Accepted, with warnings: all in one object, no files on standard output, no lines on stderr.
expect_status 0 mirror node-config --json --release-image "$release" image.yaml
expect_equal '1 false 0 2' "$(findings '[.version, .rejected, .errors, .warnings] | join(" ")')" totals
expect_equal 'image.yaml:12 Image/cluster spec.registrySources.blockedRegistries[1] a.io/x:1' "$(findings \
    '.findings[] | select(.rule == "policy-unreadable") | "\(.file):\(.line) \(.object) \(.path) \(.value)"')" place
expect_equal 'warning true true' "$(findings \
    '.findings[] | select(.rule == "policy-unreadable") | [.severity, (.text != ""), (.hint != "")] | join(" ")')" words
expect_equal 'detail image.yaml 13 Pod/ns/p' "$(findings \
    '.findings[] | select(.rule == "no-effect") | "\(.severity) \(.file) \(.line) \(.object)"')" "what is passed over"
expect_equal '' "$(cat "$err")" stderr

# The files are written beside it; with --strict they are not.
expect_status 0 mirror node-config --json --release-image "$release" --output-dir node image.yaml
[ -s node/etc/containers/policy.json ] || fail "no file"
findings '.findings | length' >/dev/null
expect_status 1 mirror node-config --json --strict --release-image "$release" --output-dir strict image.yaml
expect_equal 'false 2' "$(findings '[.rejected, .warnings] | join(" ")')" "with --strict"
expect_contains "$err" '2 warnings, and --strict was given'
expect_missing strict
expect_status 0 mirror node-config --json --strict - </dev/null

# Without --json, the same for people: a line for each, and the hint.
expect_status 0 mirror node-config --release-image "$release" --output-dir node image.yaml
expect_line "$err" 'warning: image.yaml:12: Image/cluster: spec.registrySources.blockedRegistries\[1\]: "a.io/x:1": makes policy.json unreadable.*'
expect_line "$err" 'hint: leave tag and digest out.*'
expect_lacks "$err" Pod/ns/p
expect_status 0 mirror node-config --debug --release-image "$release" --output-dir node image.yaml
expect_contains "$err" 'image.yaml:13: Pod/ns/p: passed over'

# Rejected: by a rule, by the reader, by the system, by a base file.
rejected() {
    local want=$1
    shift
    expect_status 1 mirror node-config --json --output-dir none "$@"
    expect_equal "$want" "$(findings '[.findings[] | select(.severity == "error")][0] |
        "\(.rule) \(.file) \(.line) \(.path)"')" "$*"
    expect_equal true "$(findings .rejected)" "$* is rejected"
    expect_missing none
}
sed 's/b.io/"*"/' image.yaml >star.yaml
rejected 'list-entry star.yaml 11 spec.registrySources.blockedRegistries[0]' star.yaml
printf 'a: [\n\nb: 1\n' >syntax.yaml
rejected 'unreadable syntax.yaml 4 null' syntax.yaml
rejected 'unreadable missing.yaml null null' missing.yaml
rejected 'given-twice image.yaml 4 null' image.yaml image.yaml
printf '{"default": [],\n "transports": 5}' >base.json
rejected 'unreadable base.json 1 null' --base-policy base.json image.yaml
rejected 'wrong-type standard input 1 document' - <<<text
# What is rejected is still looked at for what else is wrong.
sed 's/b.io/"*"/; s/a.io.x:1/A B/' image.yaml >both.yaml
rejected 'list-entry both.yaml 11 spec.registrySources.blockedRegistries[0]' both.yaml
expect_equal 'spec.registrySources.blockedRegistries[1]' "$(findings \
    '.findings[] | select(.rule == "api-entry-format") | .path')" "the warning beside the error"

expect_status 2 mirror node-config --json --only policy.json image.yaml

# Every rule of the compiler is documented, and every documented one exists.
sed -n '/^## .mirror node-config --json/,$p' "$ROOT/docs/report-format.md" |
    sed -n '/| rule |/,$p' | grep -oE '^\| `.*` \|' | grep -oE '`[a-z-]+`' | tr -d '`' |
    grep -vx rule | sort >documented
grep -ohE '(rule = |rule: |\? )?"[a-z]+(-[a-z]+)*"' "$ROOT"/icsp/{findings,model,compile,guard,sigstore,validate,certs_d,signature,lint,lint_api,lint_files,lint_hiding,generation,registries_read,migrate,drain}.c |
    grep -oE '"[a-z-]+"' | tr -d '"' | sort -u >words
while IFS= read -r rule; do
    grep -qx -e "$rule" words || fail "documented, and not there: $rule"
done <documented
grep -ohE 'rule = (pulls \? )?"[a-z-]+"( : "[a-z-]+")?|"api-[a-z-]+"|warn\(lint, "[a-z-]+"' "$ROOT"/icsp/*.c |
    grep -oE '"[a-z-]+"' | tr -d '"' | sort -u >rules
[ "$(wc -l <rules)" -gt 30 ] || fail "only $(wc -l <rules) rules found"
while IFS= read -r rule; do
    grep -qx -e "$rule" documented || fail "not documented: $rule"
done <rules
