#!/bin/bash
# A node that has nothing but the files we emit pulls images whose source resolves nowhere from mirror
# serve, out of a bundle in two volumes and a differential that needs it, through TLS and a password.
. "$(dirname "$0")/../lib/test.sh"
need skopeo jq htpasswd openssl

N=registry.example.invalid
! getent hosts "$N" >/dev/null || fail "$N resolves: this test would prove nothing"
images "$T/plain" plain --layer-bytes 300000 >/dev/null
one=$(image_digest "$T/plain" "$N/team/app:1")
two=$(image_digest "$T/plain" "$N/team/app:2")
base=$(image_digest "$T/plain" "$N/base:1")

# The first month's bundle, in two volumes; the second month's has what is new.
expect_status 0 mirror copy -q "oci:$T/plain:$N/team/app:1" "oci:$T/plain:$N/base:1" "bundle:$T/march.tar"
half=$(($(stat -c %s "$T/march.tar") / 2 + 512))
mkdir "$T/v" "$T/empty"
expect_status 0 mirror copy -q --volume-size "$half" "oci:$T/plain:$N/team/app:1" \
    "oci:$T/plain:$N/base:1" "bundle:$T/v/march.tar"
rm "$T/march.tar"
[ -e "$T/v/march.tar.002" ] && [ ! -e "$T/v/march.tar.003" ] || fail "not two volumes"
expect_status 0 mirror copy -q --since "bundle:$T/v/march.tar" "oci:$T/plain" "bundle:$T/april.tar"
expect_status 0 mirror inspect --json "bundle:$T/april.tar"

# The differential alone: an image that needs its base is not served, and it is said which that is.
start_serve "bundle:$T/april.tar"
expect_contains "$SERVE_LOG" 'march.tar' 'is not served'
expect_equal 404 "$(curl -s -o "$T/answer" -w '%{http_code}' "http://$SERVE/v2/base/manifests/$base")"

# Both, as a cluster would have it.
make_certificates
htpasswd -Bbn node 'pass word' >"$T/users" 2>/dev/null
start_serve "bundle:$T/v/march.tar" "bundle:$T/april.tar" --tls-cert "$T/server.crt" \
    --tls-key "$T/server.key" --htpasswd "$T/users"
expect_lacks "$SERVE_LOG" 'warning'

pull_with_skopeo() {
    local node=$1 digest=$2 name=$3
    expect_status 0 skopeo --registries-conf "$node/etc/containers/registries.conf" \
        --policy "$node/etc/containers/policy.json" --registries.d "$T/empty" \
        copy -q --all --authfile "$T/auth.json" "docker://$N/$name@$digest" "dir:$T/got"
    expect_equal "${digest#sha256:}" "$(sha256sum <"$T/got/manifest.json" | cut -d ' ' -f 1)"
    rm -rf "$T/got"
}
pull_with_podman() {
    local node=$1 digest=$2 name=$3
    CONTAINERS_REGISTRIES_CONF=$node/etc/containers/registries.conf expect_status 0 podman_ pull -q \
        --signature-policy "$node/etc/containers/policy.json" --authfile "$T/auth.json" \
        "$N/$name@$digest"
    podman_ rmi -af >/dev/null
}

printf '{"auths": {"%s": {"auth": "%s"}}}\n' "$SERVE" "$(printf 'node:pass word' | base64)" >"$T/auth.json"
# Names without the host, and with it: one server serves what either set of objects points at.
for how in short keep; do
    options=()
    [ $how = short ] || options=(--keep-host)
    expect_status 0 mirror emit-icsp --from "bundle:$T/april.tar" --mirror "$SERVE" \
        --ca "$SERVE=$T/ca.crt" --output-dir "$T/$how" "${options[@]}"
    node=$T/$how/node
    # Where a node has its certificates; this is not the machine's own /etc.
    rm -rf "$HOME/.config/containers"
    mkdir -p "$HOME/.config/containers"
    cp -r "$node/etc/docker/certs.d" "$HOME/.config/containers/certs.d"
    for image in "$one team/app" "$two team/app" "$base base"; do
        # shellcheck disable=SC2086
        pull_with_skopeo "$node" $image
    done
    if have_podman; then
        pull_with_podman "$node" "$two" team/app
        pull_with_podman "$node" "$base" base
    fi
done

# A chain: May leaves out what April holds, April what March does. All three are one registry; without
# the first, what only it has is not served.
images "$T/plain" plain --layer-bytes 300000 --seed 5 >/dev/null
five=$(image_digest "$T/plain" "$N/team/app:1")
[ "$five" != "$one" ]
expect_status 0 mirror copy -q --since "bundle:$T/april.tar" "oci:$T/plain" "bundle:$T/may.tar"
start_serve "bundle:$T/may.tar" "bundle:$T/april.tar" "bundle:$T/v/march.tar"
for digest in "$one" "$two" "$base" "$five"; do
    expect_status 0 skopeo copy -q --all --src-tls-verify=false "docker://$SERVE/team/app@$digest" "dir:$T/got"
    expect_equal "${digest#sha256:}" "$(sha256sum <"$T/got/manifest.json" | cut -d ' ' -f 1)"
    rm -rf "$T/got"
done
start_serve "bundle:$T/may.tar" "bundle:$T/april.tar"
expect_status 1 skopeo copy -q --all --src-tls-verify=false "docker://$SERVE/base@$base" "dir:$T/got"
