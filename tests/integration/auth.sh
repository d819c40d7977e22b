#!/bin/bash
# Credentials and certificates: from flags, files and the environment, and never in what is said.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry htpasswd openssl

N=registry.example.invalid
images "$T/plain" plain >/dev/null
app=$(image_digest "$T/plain" "$N/team/app:1")
start_registry --tls --htpasswd; A=$REGISTRY
start_registry --tls --htpasswd; B=$REGISTRY
CURL=(--cacert "$T/ca.crt" -u pilot:secret) SCHEME=https
push_layout "$T/plain" "$A"
mkdir "$T/certs" "$T/no-certs"
cp "$T/ca.crt" "$T/certs/ca.crt"
image="docker://$A/team/app@$app"
secret64=$(printf pilot:secret | base64)

# Whatever is printed, at whatever level, no secret is in it.
copy() {
    local want=$1
    shift
    expect_status "$want" mirror copy --debug --retry-times 0 "$@"
    expect_lacks "$out" pilot:secret "$secret64"
    expect_lacks "$err" pilot:secret "$secret64"
}
new() {
    rm -f "$T/b.tar"
    echo "bundle:$T/b.tar"
}

# ---- creds on the command line, both sides
copy 1 "$image" "$(new)"
expect_contains "$err" 401
expect_missing "$T/b.tar"
copy 1 --src-creds pilot:wrong "$image" "$(new)"
copy 0 --src-creds pilot:secret "$image" "$(new)"
copy 1 "bundle:$T/b.tar" "docker://$B/in/"
copy 0 --dest-creds pilot:secret "bundle:$T/b.tar" "docker://$B/in/"
fetch_compare "$A/team/app" "$B/in/team/app" "$app"
copy 0 --src-creds pilot:secret --dest-creds pilot:secret "$image" "docker://$B/across/"
fetch_compare "$A/team/app" "$B/across/team/app" "$app"

# ---- auth files: by flag, by environment, in the usual places
auth_file() {
    mkdir -p "$(dirname "$1")"
    printf '{"auths":{"%s":{"auth":"%s"}}}' "$2" "$secret64" >"$1"
}
auth_file "$T/auth.json" "$A"
copy 0 --authfile "$T/auth.json" "$image" "$(new)"
REGISTRY_AUTH_FILE=$T/auth.json copy 0 "$image" "$(new)"
auth_file "$T/for-another.json" "$B"
copy 1 --authfile "$T/for-another.json" "$image" "$(new)"
# A file that was named is the only one that is read.
auth_file "$XDG_RUNTIME_DIR/containers/auth.json" "$A"
copy 0 "$image" "$(new)"
REGISTRY_AUTH_FILE=$T/for-another.json copy 1 "$image" "$(new)"
rm "$XDG_RUNTIME_DIR/containers/auth.json"
auth_file "$HOME/.docker/config.json" "$A"
copy 0 "$image" "$(new)"
rm -r "$HOME/.docker"
auth_file "$T/docker/config.json" "$A"
DOCKER_CONFIG=$T/docker copy 0 "$image" "$(new)"
# Keys reach down to a repository; the nearest wins.
auth_file "$T/repo.json" "$A/team/app"
copy 0 --authfile "$T/repo.json" "$image" "$(new)"
auth_file "$T/elsewhere.json" "$A/another"
copy 1 --authfile "$T/elsewhere.json" "$image" "$(new)"
copy 2 --authfile "$T/missing.json" "$image" "$(new)"
echo 'not json' >"$T/bad.json"
run mirror copy --authfile "$T/bad.json" "$image" "bundle:$T/b.tar"
[ "$status" -ne 0 ] || fail "an auth file that is not JSON was accepted"
expect_contains "$err" bad.json

# ---- certificates: verified when asked for, against the directory that was named
auth=(--src-creds pilot:secret)
copy 1 "${auth[@]}" --src-tls-verify=true "$image" "$(new)"
grep -qiE 'certificate|tls' "$err" || fail "the message does not speak of the certificate"
copy 0 "${auth[@]}" --src-tls-verify=true --src-cert-dir "$T/certs" "$image" "$(new)"
copy 1 "${auth[@]}" --src-tls-verify=true --src-cert-dir "$T/no-certs" "$image" "$(new)"
copy 0 "${auth[@]}" --src-tls-verify=false "$image" "$(new)"
copy 0 --dest-creds pilot:secret --dest-tls-verify=true --dest-cert-dir "$T/certs" \
    "bundle:$T/b.tar" "docker://$B/verified/"
copy 1 --dest-creds pilot:secret --dest-tls-verify=true "bundle:$T/b.tar" "docker://$B/refused/"

# ---- plain http is spoken only to those who let it be
SCHEME=http CURL=()
start_registry; C=$REGISTRY
copy 0 "bundle:$T/b.tar" "docker://$C/loopback/"
copy 0 --dest-tls-verify=false "bundle:$T/b.tar" "docker://$C/asked/"
copy 1 --dest-tls-verify=true "bundle:$T/b.tar" "docker://$C/refused/"
