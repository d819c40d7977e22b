#!/bin/bash
# What registries refuse to take in, with docker-registry itself: in maintenance, under a name that
# leads elsewhere, with places that are relative. Each works, or says what to do.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry htpasswd

N=registry.example.invalid
images "$T/plain" plain >/dev/null
app=$(image_digest "$T/plain" "$N/team/app:1")
start_registry; A=$REGISTRY A_CONFIG=$T/registry1/config.yml
push_layout "$T/plain" "$A"
expect_status 0 mirror copy "docker://$A/team/app:1@$app" "bundle:$T/b.tar"

# again CONFIG SED-SCRIPT: the same registry, with another configuration: $ADDRESS.
again() {
    AGAIN=$((${AGAIN:-0} + 1))
    sed -e "$2" "$1" >"$T/again$AGAIN.yml"
    start_process "$T/again$AGAIN.log" docker-registry serve "$T/again$AGAIN.yml"
    server_address "$T/again$AGAIN.log" 'listening on '
}

# ---- maintenance: what is there can be read, nothing is taken, and it is said why
again "$A_CONFIG" 's/^storage:/&\n  maintenance: {readonly: {enabled: true}}/'; R=$ADDRESS
expect_status 0 mirror copy "docker://$R/team/app@$app" "bundle:$T/from-read-only.tar"
expect_status 0 mirror copy "bundle:$T/b.tar" "docker://$R/"
for source in "bundle:$T/b.tar" "docker://$A/team/app@$app"; do
    expect_status 1 mirror copy --retry-times 2 "$source" "docker://$R/new/"
    expect_contains "$err" "405 Method Not Allowed" "$R takes nothing in: it is read-only"
    expect_equal 0 "$(registry_requests "$T/again1.log" 'PUT ')" "PUTs"
done

# ---- places that are relative
again "$A_CONFIG" 's/^http: {/&relativeurls: true, /'; L=$ADDRESS
expect_status 0 mirror copy "bundle:$T/b.tar" "docker://$L/relative/"
expect_status 0 mirror copy "docker://$A/team/app@$app" "docker://$L/relative2/"
fetch_compare "$A/team/app" "$L/relative/team/app" "$app"

# ---- a registry that believes it is called otherwise: credentials do not go there
start_registry --htpasswd
again "$T/registry2/config.yml" "s#^http: {#&host: 'http://localhost:1', #"; H=$ADDRESS
expect_status 1 mirror copy --retry-times 0 --dest-creds pilot:secret "bundle:$T/b.tar" "docker://$H/x/"
expect_contains "$err" localhost:1
again "$T/registry2/config.yml" "s#^http: {#&host: 'http://localhost:${REGISTRY##*:}', #"; H=$ADDRESS
expect_status 1 mirror copy --retry-times 0 --dest-creds pilot:secret "bundle:$T/b.tar" "docker://$H/x/"
expect_contains "$err" 401 "sends uploads to localhost:${REGISTRY##*:}, where its credentials do not go" \
    X-Forwarded-Host
