#!/bin/bash
# policy.json decides what is copied, in the way skopeo has it: by the image's own name, or by the path
# of a file; what needs a signature is refused, because none is verified.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry skopeo jq

N=registry.example.invalid
images "$T/plain" plain >/dev/null
app=$(image_digest "$T/plain" "$N/team/app:1")
other=$(jq -r '.manifests[].annotations["org.opencontainers.image.ref.name"]' "$T/plain/index.json" |
    grep -v "^$N/team/app:1$" | head -n 1)
start_registry; A=$REGISTRY
push_layout "$T/plain" "$A"
ACCEPT='[{"type":"insecureAcceptAnything"}]'
REJECT='[{"type":"reject"}]'
SIGNED='[{"type":"signedBy","keyType":"GPGKeys","keyPath":"/dev/null"}]'
STORED='[{"type":"sigstoreSigned","keyData":"a2V5"}]'
policy=$T/policy.json

# policy DEFAULT [TRANSPORT SCOPE REQUIREMENTS]...
policy() {
    jq -n --argjson default "$1" '{default: $default, transports: {}}' >"$policy"
    shift
    while [ $# -gt 0 ]; do
        jq --arg t "$1" --arg s "$2" --argjson r "$3" '.transports[$t][$s] = $r' "$policy" >"$T/next"
        mv "$T/next" "$policy"
        shift 3
    done
}
# judged accept|reject|signature SOURCE: by us, and by skopeo (without a key both fail alike).
judged() {
    local want=$1 source=$2
    rm -rf "$T/to" "$T/to.tar"
    run mirror copy --retry-times 0 --policy "$policy" "$source" "bundle:$T/to.tar"
    case $want in
    accept) [ "$status" -eq 0 ] || fail "$source: refused" ;;
    reject)
        [ "$status" -eq 1 ] || fail "$source: status $status, not rejected"
        expect_contains "$err" 'is rejected by' "$policy" --insecure-policy
        ;;
    signature)
        [ "$status" -eq 1 ] || fail "$source: status $status, passed without a signature"
        expect_contains "$err" 'needs a signature by' "$policy" 'signatures are not verified here'
        ;;
    esac
    [ "$status" -eq 0 ] || expect_missing "$T/to.tar" "$T/to.tar.partial"
    run skopeo --policy "$policy" copy --src-tls-verify=false "${source/#bundle:/oci-archive:}" "dir:$T/to"
    if [ "$want" = accept ]; then
        [ "$status" -eq 0 ] || fail "$source: skopeo refuses it"
    else
        [ "$status" -ne 0 ] || fail "$source: skopeo takes it"
    fi
}

image=docker://$A/team/app
policy "$ACCEPT"; judged accept "$image:1"
policy "$REJECT"; judged reject "$image:1"
expect_status 1 mirror copy --policy "$policy" "$image:1" "bundle:$T/to.tar"
expect_contains "$err" "$A/team/app:1 is rejected by $policy (the default)"
policy "$REJECT" docker "$A" "$ACCEPT"; judged accept "$image:1"
policy "$REJECT" docker "$A/team" "$ACCEPT"; judged accept "$image@$app"
policy "$REJECT" docker "$A/tea" "$ACCEPT"; judged reject "$image:1"
policy "$REJECT" docker "${A%%:*}" "$ACCEPT"; judged reject "$image:1"
policy "$REJECT" docker '' "$ACCEPT"; judged accept "$image:1"
policy "$ACCEPT" docker '' "$REJECT"; judged reject "$image:1"
expect_status 1 mirror copy --policy "$policy" "$image:1" "bundle:$T/to.tar"
expect_contains "$err" '(transport docker, its default)'
policy "$ACCEPT" docker "$A/team/app" "$REJECT" docker "$A/team/app:1" "$ACCEPT"
judged accept "$image:1"
judged reject "$image@$app"
policy "$ACCEPT" docker "$A/team/app:1" "$REJECT"; judged reject "$image:1"; judged accept "$image@$app"
policy "$ACCEPT" docker "$A/team/app@$app" "$REJECT"; judged accept "$image:1"; judged reject "$image@$app"
policy "$ACCEPT" atomic "$A" "$REJECT"; judged accept "$image:1"
policy "$ACCEPT" docker "$A" "$SIGNED"; judged signature "$image:1"
expect_status 1 mirror copy --policy "$policy" "$image:1" "bundle:$T/to.tar"
expect_contains "$err" "(transport docker, scope \"$A\", signedBy)"
policy "$STORED"; judged signature "$image:1"
policy "$ACCEPT" docker "$A" '[{"type":"insecureAcceptAnything"},{"type":"reject"}]'
judged reject "$image:1"
# Both tag and digest, which skopeo refuses: by the digest.
policy "$REJECT" docker "$A/team/app@$app" "$ACCEPT"
expect_status 0 mirror copy --policy "$policy" "$image:1@$app" "bundle:$T/to.tar"
expect_status 0 mirror copy --insecure-policy "$image:1" "bundle:$T/pinned.tar"

# ---- files and directories
mkdir "$T/in"
expect_status 0 mirror copy --insecure-policy "$image:1" "bundle:$T/in/b.tar"
expect_status 0 mirror copy --insecure-policy "$image:1" "oci:$T/in/dir"
ln -s "$T/in" "$T/link"
policy "$REJECT"; judged reject "bundle:$T/in/b.tar"; judged reject "oci:$T/in/dir"
policy "$REJECT" oci-archive "$T/in/b.tar" "$ACCEPT" oci "$T/in" "$ACCEPT"
judged accept "bundle:$T/in/b.tar"
judged accept "bundle:$T/link/b.tar"
judged accept "oci:$T/in/dir"
policy "$ACCEPT" oci-archive "$T/in" "$REJECT" oci "$T/in/dir" "$SIGNED"
judged reject "bundle:$T/in/b.tar"
judged signature "oci:$T/in/dir"
policy "$ACCEPT" docker '' "$REJECT"; judged accept "bundle:$T/in/b.tar"
# Volumes by the name of the whole; a pipe has none.
expect_status 0 mirror copy --insecure-policy --volume-size 64KiB "$image:1" "bundle:$T/in/v.tar"
policy "$REJECT" oci-archive "$T/in/v.tar" "$ACCEPT"
expect_status 0 mirror copy --policy "$policy" "bundle:$T/in/v.tar" "bundle:$T/whole.tar"
expect_status 1 mirror copy --policy "$policy" bundle:- "oci:$T/piped" <"$T/in/b.tar"
expect_contains "$err" 'standard input is rejected by'
policy "$REJECT" oci-archive '' "$ACCEPT"
expect_status 0 mirror copy --policy "$policy" bundle:- "oci:$T/piped" <"$T/in/b.tar"

# ---- the name counts, not the mirror that serves it
printf '[[registry]]\nlocation = "%s"\n[[registry.mirror]]\nlocation = "%s"\n' "$N" "$A" >"$T/conf"
policy "$REJECT" docker "$N/team" "$ACCEPT"
expect_status 0 mirror copy --registries-conf "$T/conf" --policy "$policy" "docker://$N/team/app:1" "oci:$T/named"
policy "$REJECT" docker "$A" "$ACCEPT"
expect_status 1 mirror copy --registries-conf "$T/conf" --policy "$policy" "docker://$N/team/app:1" "oci:$T/unnamed"

# ---- one of two: the other is copied
policy "$ACCEPT" docker "$A/team/app:1" "$REJECT"
expect_status 3 mirror copy --policy "$policy" --report "$T/report" "$image:1" "docker://$A/${other#*/}" "bundle:$T/some.tar"
expect_equal 'failed copied' "$(jq -r '[.images[].outcome] | join(" ")' "$T/report")" outcomes

# ---- the machine's own file; one that is no good; and doing without
mkdir -p "$HOME/.config/containers"
policy "$REJECT"
cp "$policy" "$HOME/.config/containers/policy.json"
expect_status 1 mirror copy "$image:1" "bundle:$T/own.tar"
expect_contains "$err" "is rejected by $HOME/.config/containers/policy.json (the default)"
expect_status 0 mirror inspect "$image:1" # looking is free
echo '{"default": [{"type": "insecureAcceptAnything", "keyPath": "/k"}]}' >"$HOME/.config/containers/policy.json"
expect_status 2 mirror copy "$image:1" "bundle:$T/own.tar"
expect_contains "$err" "$HOME/.config/containers/policy.json:1: unknown key \"keyPath\"" --insecure-policy
expect_status 0 mirror copy --insecure-policy "$image:1" "bundle:$T/own.tar"
expect_status 2 mirror copy --policy "$T/none" "$image:1" "bundle:$T/own.tar"
expect_contains "$err" "$T/none"
expect_status 2 mirror copy --policy "$policy" --insecure-policy "$image:1" "bundle:$T/own.tar"
