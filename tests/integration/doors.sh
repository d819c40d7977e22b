#!/bin/bash
# Push, pull and registry to registry through every kind of door, each door shut to who has no key;
# skopeo goes through the same doors as a witness.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry htpasswd openssl skopeo curl jq

images "$T/plain" plain >/dev/null
app=$(image_digest "$T/plain" registry.example.invalid/team/app:1)
secret64=$(printf pilot:secret | base64)
make_certificates

# ---- what goes through a door ----------------------------------------------------------------

# sides SRC|DEST... -- OPTION...: the options of one registry for each side: "authfile=F" becomes
# "--src-authfile=F". Set in OPTIONS.
sides() {
    local side option chosen=()
    while [ "$1" != -- ]; do
        chosen+=("$1")
        shift
    done
    shift
    OPTIONS=()
    for side in "${chosen[@]}"; do
        for option; do OPTIONS+=("--$side-$option"); done
    done
}

attempt() {
    expect_status "$1" mirror copy --debug --retry-times 1 "${@:2}"
    expect_lacks "$out" pilot:secret "$secret64" hu%40sh hu@sh
    expect_lacks "$err" pilot:secret "$secret64" hu%40sh hu@sh
}

# through LABEL OPTION...: A is the registry in front, B the other; both take the same options.
through() {
    local label=$1
    shift
    sides dest -- "$@"
    attempt 0 "${OPTIONS[@]}" "oci:$T/plain" "docker://$A/$label/"
    sides src -- "$@"
    attempt 0 "${OPTIONS[@]}" "docker://$A/$label/team/app@$app" "bundle:$T/$label.tar"
    expect_status 0 mirror verify "bundle:$T/$label.tar"
    sides src dest -- "$@"
    attempt 0 "${OPTIONS[@]}" "docker://$A/$label/team/app@$app" "docker://$B/$label/over/"
    fetch_compare "$A/$label/team/app" "$B/$label/over/$label/team/app" "$app"
    witness "$label" "$@"
}

# skopeo in and out by the same options.
witness() {
    local label=$1
    shift
    sides src dest -- "$@"
    expect_status 0 skopeo --insecure-policy copy --all --preserve-digests -q "${OPTIONS[@]}" \
        "docker://$A/$label/team/app@$app" "docker://$B/$label/witness:1"
    fetch_compare "$A/$label/team/app" "$B/$label/witness" "$app"
}

# shut TEXT OPTION...: neither in nor out, and the reason is said.
shut() {
    local text=$1
    shift
    sides src -- "$@"
    attempt 1 "${OPTIONS[@]}" "docker://$A/shut/team/app@$app" "bundle:$T/shut.tar"
    expect_contains "$err" "$text"
    expect_missing "$T/shut.tar"
    sides dest -- "$@"
    attempt 1 "${OPTIONS[@]}" "oci:$T/plain" "docker://$A/shut/"
    expect_contains "$err" "$text"
}

# ---- Basic, over plain http on loopback ------------------------------------------------------
start_registry --htpasswd; A=$REGISTRY
start_registry --htpasswd; B=$REGISTRY
CURL=(-u pilot:secret) SCHEME=http
printf '{"auths":{"%s":{"auth":"%s"},"%s":{"auth":"%s"}}}' "$A" "$secret64" "$B" "$secret64" \
    >"$T/auth.json"
through basic "authfile=$T/auth.json" tls-verify=false
through creds creds=pilot:secret tls-verify=false
shut "401 Unauthorized" no-creds
shut "401 Unauthorized" creds=pilot:wrong

# ---- TLS with a CA of our own ----------------------------------------------------------------
start_registry --tls --htpasswd; A=$REGISTRY
start_registry --tls --htpasswd; B=$REGISTRY
CURL=(--cacert "$T/ca.crt" -u pilot:secret) SCHEME=https
mkdir "$T/ca-only"
cp "$T/ca.crt" "$T/ca-only/ours.crt"
trusted() {
    local folder=$HOME/.config/containers/certs.d host
    for host in "$A" "$B"; do
        mkdir -p "$folder/$host"
        cp "$@" "$folder/$host/"
    done
}
forget() { rm -rf "$HOME/.config/containers/certs.d"; }

through cert-dir creds=pilot:secret tls-verify=true "cert-dir=$T/ca-only"
export SSL_CERT_FILE=$T/ca.crt
through cert-file creds=pilot:secret tls-verify=true
unset SSL_CERT_FILE
export SSL_CERT_DIR=/nonexistent:$T/ca-only
through cert-folder creds=pilot:secret tls-verify=true
unset SSL_CERT_DIR
trusted "$T/ca.crt"
through certs.d creds=pilot:secret tls-verify=true
forget
through unverified creds=pilot:secret tls-verify=false
shut "is signed by CN = test CA, which is not trusted here" creds=pilot:secret tls-verify=true

# ---- a certificate on both sides -------------------------------------------------------------
start_registry --mutual; A=$REGISTRY
start_registry --mutual; B=$REGISTRY
sign_certificate "$T/me.cert" "$T/me.key" pilot extendedKeyUsage=clientAuth 2
CURL=(--cacert "$T/ca.crt" --cert "$T/me.cert" --key "$T/me.key") SCHEME=https
cp -r "$T/ca-only" "$T/pair"
cp "$T/me.cert" "$T/me.key" "$T/pair/"
through mutual-dir tls-verify=true "cert-dir=$T/pair"
trusted "$T/ca.crt" "$T/me.cert" "$T/me.key"
through mutual-certs.d tls-verify=true
forget
shut "wants a client certificate, and got none" tls-verify=true "cert-dir=$T/ca-only"

# ---- insecure in registries.conf, without a word on the command line -------------------------
# 0.0.0.0 leads here without being loopback, which would be let off anyway.
insecure() {
    mkdir -p "$HOME/.config/containers"
    printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' "$@" \
        >"$HOME/.config/containers/registries.conf"
}
start_registry --htpasswd; A=0.0.0.0:${REGISTRY#*:}
start_registry --htpasswd; B=0.0.0.0:${REGISTRY#*:}
CURL=(-u pilot:secret) SCHEME=http
insecure "$A" "$B"
through insecure-http creds=pilot:secret
shut "does not answer with TLS" creds=pilot:secret tls-verify=true
start_registry --tls --htpasswd; A=0.0.0.0:${REGISTRY#*:}
start_registry --tls --htpasswd; B=0.0.0.0:${REGISTRY#*:}
CURL=(-k -u pilot:secret) SCHEME=https
insecure "$A" "$B"
through insecure-https creds=pilot:secret
rm "$HOME/.config/containers/registries.conf"
shut "is signed by CN = test CA, which is not trusted here" creds=pilot:secret

# ---- through a proxy that wants a login, to names that only it knows ------------------------
A=source.mirror.test B=dest.mirror.test:5000
start_registry --htpasswd; a=$REGISTRY
start_registry --htpasswd; b=$REGISTRY
start_httpproxy --auth pilot:hu@sh --map "$A:80=$a" --map "$B=$b"
CURL=(-u pilot:secret) SCHEME=http
export HTTP_PROXY=http://pilot:hu%40sh@$HTTPPROXY HTTPS_PROXY=http://pilot:hu%40sh@$HTTPPROXY
export http_proxy=$HTTP_PROXY # curl reads this one only
through plain-proxy creds=pilot:secret tls-verify=false
expect_line "$HTTPPROXY_LOG" "200 PUT http://$A/v2/plain-proxy/team/app/manifests/.*"
expect_line "$HTTPPROXY_LOG" "200 PUT http://$B/v2/plain-proxy/over/.*"
export HTTP_PROXY=http://pilot:wrong@$HTTPPROXY HTTPS_PROXY=http://pilot:wrong@$HTTPPROXY
shut "the proxy http://$HTTPPROXY (from HTTPS_PROXY) wants a login" tls-verify=false

start_registry --tls --htpasswd; a=$REGISTRY
start_registry --tls --htpasswd; b=$REGISTRY
start_httpproxy --auth pilot:hu@sh --map "$A:443=$a" --map "$B=$b"
CURL=(--cacert "$T/ca.crt" -u pilot:secret) SCHEME=https
export HTTPS_PROXY=http://pilot:hu%40sh@$HTTPPROXY
unset HTTP_PROXY http_proxy
trusted "$T/ca.crt"
through tunnel creds=pilot:secret
expect_line "$HTTPPROXY_LOG" "200 CONNECT $A:443 .*"
expect_line "$HTTPPROXY_LOG" "200 CONNECT $B .*"
# What is meant for the registry is no business of the proxy's.
! grep -E '[ ,]authorization' "$HTTPPROXY_LOG" || fail "the proxy saw the registry's credentials"
forget
shut "is signed by CN = test CA, which is not trusted here" creds=pilot:secret
