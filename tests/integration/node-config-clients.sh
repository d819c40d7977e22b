#!/bin/bash
# Every file that mirror node-config writes is read by skopeo and podman, but for those it warns of:
# our golden cases, and one for each thing that the clients refuse although a cluster writes it.
#
# A client reads its files before it connects. It is asked for an image that a registry does not
# have: whoever gets as far as hearing that (or as far as refusing the image itself) has read them.
. "$(dirname "$0")/../lib/test.sh"
need skopeo jq docker-registry
start_registry

cases=0 warned=0 newer=0

# What Debian 12's skopeo (1.9) and podman (4.3) do not know yet and refuse, though later ones take
# it: signatures by certificate or with a transparency log.
is_newer_policy() {
    jq -e '[.. | objects | select(.type == "sigstoreSigned")
            | select(has("fulcio") or has("pki") or has("rekorPublicKeyData"))] | length > 0' \
        "$1" >/dev/null
}

needs_newer_clients() {
    local file
    for file in "$T"/node/etc/containers/policy.json "$T"/node/etc/crio/policies/*.json; do
        [ ! -e "$file" ] || ! is_newer_policy "$file" || return 0
    done
    return 1
}

# verdict FILE: what a client's message says about its files.
verdict() {
    if grep -qiE 'loading registries configuration|invalid policy in|loading trust policy' "$1"; then
        echo refused
    elif grep -qiE '(manifest|name) unknown|is blocked in|rejected by policy' "$1"; then
        echo read
    else
        echo unknown
    fi
}

# skopeo_says CONF POLICY DIR(registries.d)
skopeo_says() {
    run skopeo --registries-conf "$1" --policy "$2" --registries.d "$3" \
        copy --src-tls-verify=false "docker://$REGISTRY/a/b:1" "dir:$T/never"
    [ "$status" -ne 0 ] || fail "skopeo found an image that is not there"
    verdict "$err"
}

podman_says() {
    CONTAINERS_REGISTRIES_CONF=$1 run podman_ pull --quiet --tls-verify=false \
        --signature-policy "$2" "$REGISTRY/a/b:1"
    [ "$status" -ne 0 ] || fail "podman found an image that is not there"
    verdict "$err"
}

# expect_verdict CASE WHAT WANT GOT
expect_verdict() {
    [ "$3" = "$4" ] || fail "$1: $2: expected '$3', got '$4': $(tail -n 1 "$err")"
}

has_rule() {
    jq -e --arg rule "$1" 'any(.findings[]; .rule == $rule)' "$T/findings" >/dev/null
}

# What a client should make of the files in $T/node.
wanted() {
    if { has_rule policy-unreadable && [ "$atomic" = known ]; } || has_rule registries-unreadable; then
        echo refused
    else
        echo read
    fi
}

check_clients() {
    local case=$1 want=$2 etc=$T/node/etc file
    local conf=$etc/containers/registries.conf policy=$etc/containers/policy.json
    local signatures=$etc/containers/registries.d
    mkdir -p "$signatures"
    expect_verdict "$case" skopeo "$want" "$(skopeo_says "$conf" "$policy" "$signatures")"
    if have_podman >/dev/null; then
        expect_verdict "$case" podman "$want" "$(podman_says "$conf" "$policy")"
    fi
    # A namespace's policy stands in for the cluster's; a drop-in is of the same form as the file.
    for file in "$etc"/crio/policies/*.json; do
        [ ! -e "$file" ] || expect_verdict "$case" "${file##*/}" "$want" \
            "$(skopeo_says "$conf" "$file" "$signatures")"
    done
    for file in "$etc"/containers/registries.conf.d/*; do
        [ ! -e "$file" ] || expect_verdict "$case" "${file##*/}" read \
            "$(skopeo_says "$file" "$T/accept.json" "$signatures")"
    done
}

# check_case NAME OPTION-OR-OBJECT...
check_case() {
    local name=$1
    shift
    rm -rf "$T/node"
    run mirror node-config --json --output-dir "$T/node" "$@"
    [ "$status" -eq 0 ] || return 0
    cp "$out" "$T/findings"
    if needs_newer_clients; then
        newer=$((newer + 1))
        return 0
    fi
    cases=$((cases + 1))
    [ "$(wanted)" = read ] || warned=$((warned + 1))
    check_clients "$name" "$(wanted)"
}

printf '{"default": [{"type": "insecureAcceptAnything"}]}' >"$T/accept.json"

# The clients tell good files from bad ones at all.
printf 'unqualified-search-registries = []\n' >"$T/good.conf"
printf '[[registry]]\nlocation = "https://a.io"\n' >"$T/bad.conf"
printf '{"default": [{"type": "trust"}]}' >"$T/bad.json"
expect_equal read "$(skopeo_says "$T/good.conf" "$T/accept.json" "$T")" "skopeo, good files"
expect_equal refused "$(skopeo_says "$T/bad.conf" "$T/accept.json" "$T")" "skopeo, bad registries"
expect_equal refused "$(skopeo_says "$T/good.conf" "$T/bad.json" "$T")" "skopeo, bad policy"
# Debian builds its clients without the transport "atomic": they take whatever stands under it, and
# only those of others can tell whether what we warn of is refused.
printf '{"default": [{"type": "reject"}], "transports": {"atomic": {"a.io/b:1": [{"type": "reject"}]}}}' \
    >"$T/atomic.json"
atomic=unknown
[ "$(skopeo_says "$T/good.conf" "$T/atomic.json" "$T")" = read ] || atomic=known
echo "transport \"atomic\" is $atomic to skopeo"
if have_podman; then
    expect_equal read "$(podman_says "$T/good.conf" "$T/accept.json")" "podman, good files"
    expect_equal refused "$(podman_says "$T/bad.conf" "$T/accept.json")" "podman, bad registries"
    expect_equal refused "$(podman_says "$T/good.conf" "$T/bad.json")" "podman, bad policy"
fi

# Our golden cases, each for the generation that it names; a base file of its own has to be one that
# the clients read in the first place.
for case in "$ROOT"/tests/golden/node-config/*/; do
    options=(--ocp "$(cat "${case}ocp" 2>/dev/null || echo current)")
    conf=$T/good.conf policy=$T/accept.json
    if [ -e "${case}in/base-registries.conf" ]; then
        conf=${case}in/base-registries.conf
        options+=(--base-registries-conf "$conf")
    fi
    if [ -e "${case}in/base-policy.json" ]; then
        policy=${case}in/base-policy.json
        options+=(--base-policy "$policy")
    fi
    [ "$(skopeo_says "$conf" "$policy" "$T")" = read ] || continue
    check_case "$(basename "$case")" "${options[@]}" "${case}in"
done
echo "$cases golden cases, $warned of them refused as we warned; $newer need newer clients"
[ "$cases" -ge 50 ] || fail "only $cases cases"

# Whatever else the clients refuse: one object for each, and the warning is there.
image() {
    printf 'apiVersion: config.openshift.io/v1\nkind: Image\nmetadata: {name: cluster}\n'
    printf 'spec: {registrySources: {%s}}\n' "$1"
}
refused() {
    local name=$1 rule=$2
    shift 2
    check_case "$name" "$@"
    has_rule "$rule" || fail "$name: no warning $rule"
    [ "$rule" = policy-unreadable ] || expect_equal refused "$(wanted)" "$name"
}
D=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
image 'allowedRegistries: ["a.io/b:1"]' >"$T/tag.yaml"
refused "tag below the host" policy-unreadable "$T/tag.yaml"
image "blockedRegistries: [\"a.io/b@$D\"]" >"$T/digest.yaml"
refused "digest below the host" policy-unreadable "$T/digest.yaml"
image "blockedRegistries: [\"a.io/b/c:1@$D\"]" >"$T/both.yaml"
refused "tag and digest" policy-unreadable "$T/both.yaml"
image 'insecureRegistries: ["https://a.io"]' >"$T/scheme.yaml"
refused "scheme" registries-unreadable "$T/scheme.yaml"
image 'insecureRegistries: ["a.io/b/"], blockedRegistries: ["a.io/b"]' >"$T/slash.yaml"
refused "slash at the end" registries-unreadable "$T/slash.yaml"
image 'insecureRegistries: ["/"]' >"$T/empty.yaml"
refused "slash alone" registries-unreadable "$T/empty.yaml"

# What comes close and is read.
accepted() {
    local name=$1
    shift
    check_case "$name" "$@"
    expect_equal read "$(wanted)" "$name"
}
image "allowedRegistries: [\"a.io/b/c:1\", \"a.io/b/c@$D\", \"a.io/b/c/d:1\", \"a.io:5000/b\"]" >"$T/tags.yaml"
accepted "tags at the third level and below" "$T/tags.yaml"
image 'insecureRegistries: ["a.io/b/", "a.io/b", "A.io/B C", "\"\\\u0001"]' >"$T/odd.yaml"
accepted "odd entries" "$T/odd.yaml"

# A base file with the mark of older generations.
printf '[[registry]]\nlocation = "a.io"\nmirror-by-digest-only = true\n' >"$T/base.conf"
cat >"$T/idms.yaml" <<'YAML'
apiVersion: config.openshift.io/v1
kind: ImageDigestMirrorSet
metadata: {name: x}
spec: {imageDigestMirrors: [{source: a.io, mirrors: [m.io]}]}
YAML
refused "old base file" registries-unreadable --base-registries-conf "$T/base.conf" "$T/idms.yaml"

# Signatures: a plain key is read by all; what older clients do not know is left to newer ones, and
# that is the only reason for which a case is left out above.
signed() {
    printf 'apiVersion: config.openshift.io/v1\nkind: ClusterImagePolicy\nmetadata: {name: p}\n'
    printf 'spec:\n  scopes: [a.io/b]\n  policy: {rootOfTrust: %s}\n' "$1"
}
key=$(printf -- '-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n' | base64 -w 0)
ca=$(printf -- '-----BEGIN CERTIFICATE-----\nMFkw\n-----END CERTIFICATE-----\n' | base64 -w 0)
signed "{policyType: PublicKey, publicKey: {keyData: $key}}" >"$T/key.yaml"
accepted "public key" "$T/key.yaml"
signed "{policyType: PublicKey, publicKey: {keyData: $key, rekorKeyData: $key}}" >"$T/rekor.yaml"
signed "{policyType: FulcioCAWithRekor, fulcioCAWithRekor: {fulcioCAData: $ca, rekorKeyData: $key,
    fulcioSubject: {oidcIssuer: 'https://a.io', signedEmail: a@b.io}}}" >"$T/fulcio.yaml"
signed "{policyType: PKI, pki: {caRootsData: $ca, pkiCertificateSubject: {email: a@b.io}}}" >"$T/pki.yaml"
for kind in rekor fulcio pki; do
    newer=0
    check_case "$kind" "$T/$kind.yaml"
    expect_equal 1 "$newer" "$kind: is known to need newer clients"
    got=$(skopeo_says "$T/node/etc/containers/registries.conf" \
        "$T/node/etc/containers/policy.json" "$T")
    echo "$kind: $got by $(skopeo --version)"
    [ "$got" != unknown ] || fail "$kind: $(tail -n 1 "$err")"
done
