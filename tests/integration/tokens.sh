#!/bin/bash
# Tokens, with docker-registry and a token service: each thing is asked for once, with no more rights
# than it takes, by the user whose namespace it is, and whatever runs out on the way is asked for
# again. No password and no token is in anything that is said.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry openssl jq curl skopeo

N=registry.example.invalid
images "$T/plain" plain >/dev/null
images "$T/big" big --layers 3 --layer-bytes 1200000 >/dev/null
images "$T/many" many --count 12 --layers 1 >/dev/null
app=$(image_digest "$T/plain" "$N/team/app:1")
base=$(image_digest "$T/plain" "$N/base:1")
big=$(image_digest "$T/big" "$N/big/image:1")

RULES='user ann pw-of-ann
user bob pw-of-bob
user viv pw-of-viv
identity ann id-of-ann
allow ann team-a/* pull,push
allow bob team-b/* pull,push
allow viv team-a/* pull
allow ann public/* pull,push
allow - public/* pull'

# Whatever is printed, at whatever level, no secret is in it; "eyJ" is how every token begins.
SECRETS=(pw-of-ann pw-of-bob pw-of-viv id-of-ann eyJ)
for user in ann bob viv; do SECRETS+=("$(printf '%s:pw-of-%s' $user $user | base64)"); done
copy() {
    local want=$1
    shift
    : >"$TOKENS_LOG"
    expect_status "$want" mirror copy --debug --retry-times 2 "$@"
    expect_lacks "$out" "${SECRETS[@]}"
    expect_lacks "$err" "${SECRETS[@]}"
}
# keys KEY USER...: an auth file with these keys.
keys() {
    local entries=() auth
    while [ $# -gt 0 ]; do
        auth=$(printf '%s:pw-of-%s' "$2" "$2" | base64)
        entries+=("\"$1\":{\"auth\":\"$auth\"}")
        shift 2
    done
    (IFS=, && echo "{\"auths\":{${entries[*]}}}") >"$T/keys.json"
}
new() {
    rm -f "$T/b.tar"
    echo "bundle:$T/b.tar"
}
# asked REGEX: how many questions of the last copy are like this.
asked() { grep -cE "$1" "$TOKENS_LOG" || true; }
each_once() {
    expect_equal "" "$(sort "$TOKENS_LOG" | uniq -d)" "questions asked twice"
}

start_tokenserver "$RULES"
start_registry --token; A=$REGISTRY
start_registry --token; B=$REGISTRY B_LOG=$REGISTRY_LOG

# ---- push: pull and push of each repository, with what may be mounted from where
keys "$A" ann
copy 0 --authfile "$T/keys.json" "oci:$T/plain" "docker://$A/team-a/"
each_once
expect_equal "$(asked .)" "$(asked '^GET ann 200 ')" "questions of ann"
expect_contains "$TOKENS_LOG" "ann 200 repository:team-a/base:pull,push repository:team-a/team/app:pull -> pull,push pull"
[ "$(asked .)" -le 5 ] || fail "$(asked .) questions for two repositories"
copy 0 --authfile "$T/keys.json" --dest-creds ann:pw-of-ann "oci:$T/plain" "docker://$A/public/"

# ---- pull: nothing but pull; by a reader, by nobody where anybody may
copy 0 --src-creds viv:pw-of-viv "docker://$A/team-a/team/app@$app" "$(new)"
expect_equal "GET viv 200 repository:team-a/team/app:pull -> pull" "$(cat "$TOKENS_LOG")"
copy 0 "docker://$A/public/base@$base" "$(new)"
expect_equal "GET - 200 repository:public/base:pull -> pull" "$(cat "$TOKENS_LOG")"
copy 1 "docker://$A/team-a/base@$base" "$(new)"
expect_contains "$err" "401 Unauthorized" "log in to $A"
copy 1 --src-creds viv:wrong "docker://$A/team-a/base@$base" "$(new)"
expect_contains "$err" "token from http://$TOKENS/token: 401 Unauthorized: incorrect username" \
    "credentials of the command line were refused"
copy 1 --dest-creds viv:pw-of-viv "oci:$T/big" "docker://$A/team-a/"
expect_contains "$err" "401 Unauthorized"

# ---- two namespaces of one host, each with its own user; across, the source is only read
keys "$A/team-a" ann "$A/team-b" bob "$B/team-a" ann "$B/team-b" bob
copy 0 --authfile "$T/keys.json" "docker://$A/team-a/base@$base" "docker://$A/team-b/team-a/base"
expect_equal 0 "$(asked ' repository:team-a/base:[a-z,]*push')" "rights to push asked for the source"
printf '%s\n' "docker://$A/team-a/team/app@$app $B/team-a/app:1" \
    "docker://$A/team-b/team-a/base@$base $B/team-b/base:1" >"$T/list"
copy 0 --authfile "$T/keys.json" --file "$T/list"
each_once
expect_equal 0 "$(asked 'ann 200 repository:team-b|bob 200 repository:team-a')" "the wrong user"
fetch() {
    local token
    token=$(curl -s -u "$1:pw-of-$1" "$TOKENS_URL/token?scope=repository:$2:pull" | jq -r .token)
    curl -s --fail -o "$T/fetched" -H "Accept: $ACCEPT" -H "Authorization: Bearer $token" \
        "http://$B/v2/$2/manifests/$3"
    expect_equal "$3" "sha256:$(sha256sum <"$T/fetched" | cut -d ' ' -f 1)" "$2"
}
fetch ann team-a/app "$app"
fetch bob team-b/base "$base"
# Skopeo takes the same file for the same.
skopeo copy --authfile "$T/keys.json" --src-tls-verify=false --dest-tls-verify=false \
    "docker://$A/team-b/team-a/base@$base" "docker://$B/team-b/by-skopeo:1" >"$out" 2>"$err" ||
    fail "skopeo does not get in"
keys "$B/team-a" bob "$B/team-b" ann
copy 1 --authfile "$T/keys.json" "oci:$T/big" "docker://$B/team-a/"

# What may be mounted is; a mount from where the user may not read becomes an upload.
keys "$B/team-a" ann "$B/team-b" bob
for to in team-a/x:1 team-a/y:1 team-b/x:1; do
    echo "docker://$A/public/base@$base $B/$to"
done >"$T/list"
copy 0 --authfile "$T/keys.json" --jobs 1 --file "$T/list"
each_once
for to in team-a/x team-a/y; do fetch ann $to "$base"; done
fetch bob team-b/x "$base"
grep -qE 'POST /v2/team-a/[xy]/blobs/uploads/\?mount=[^ ]* HTTP/1.1" 201' "$B_LOG" || fail "nothing was mounted"

# ---- an identity token is changed for tokens by POST
printf '{"auths":{"%s":{"auth":"%s","identitytoken":"id-of-ann"}}}' "$A" \
    "$(printf '00000000-0000-0000-0000-000000000000:' | base64)" >"$T/identity.json"
copy 0 --src-authfile "$T/identity.json" "docker://$A/team-a/base@$base" "$(new)"
expect_equal "POST (refresh) 200 repository:team-a/base:pull -> pull" "$(cat "$TOKENS_LOG")"
sed -i 's/id-of-ann/id-of-nobody/' "$T/identity.json"
copy 1 --src-authfile "$T/identity.json" "docker://$A/team-a/base@$base" "$(new)"
expect_contains "$err" "401 Unauthorized" "log in to $A again"

# ---- a service that knows POST alone: asked by GET once (or by two at once), no more; and one that
# knows no identity tokens
start_tokenserver "$RULES" --methods POST
start_registry --token; C=$REGISTRY
copy 0 --dest-creds ann:pw-of-ann "oci:$T/plain" "docker://$C/team-a/"
[ "$(asked '^GET ann 405')" -le 2 ] || fail "asked by GET again and again"
[ "$(asked '^POST ann 200')" -ge 3 ] || fail "not asked by POST"
start_tokenserver "$RULES" --methods GET
start_registry --token
sed -e "s/id-of-nobody/id-of-ann/; s/$A/$REGISTRY/" -i "$T/identity.json"
copy 1 --src-authfile "$T/identity.json" "docker://$REGISTRY/team-a/base@$base" "$(new)"
expect_contains "$err" "405 Method Not Allowed" "takes no identity tokens"

# ---- https: a service without TLS gets no password, and is asked nothing; the CA that is trusted for
# the registry is good for its token service, which has another name
start_registry --tls --token; D=$REGISTRY
mkdir -p "$T/certs"
cp "$T/ca.crt" "$T/certs/"
tls=(--dest-tls-verify=true --dest-cert-dir "$T/certs")
copy 1 "${tls[@]}" --dest-creds ann:pw-of-ann "oci:$T/plain" "docker://$D/team-a/"
expect_contains "$err" "is not https: the credentials stay here" "over https"
expect_equal "" "$(cat "$TOKENS_LOG")" "what the service without TLS was asked"
start_tokenserver "$RULES" --tls-cert "$T/server.crt" --tls-key "$T/server.key"
start_registry --tls --token; D=$REGISTRY
copy 0 "${tls[@]}" --dest-creds ann:pw-of-ann "oci:$T/plain" "docker://$D/team-a/"
mkdir -p "$HOME/.config/containers/certs.d/$D"
cp "$T/ca.crt" "$HOME/.config/containers/certs.d/$D/"
copy 0 --dest-tls-verify=true --dest-creds ann:pw-of-ann "oci:$T/plain" "docker://$D/team-a/again/"

# ---- tokens that live for 2 s, over a link on which everything takes longer than that
# slow RATE [CHAOS...]: a link to the registry; $LINK is its address.
slow() {
    local rate=$1
    shift
    start_process "$T/link" "$TOOLS/netproxy" --rate "$rate" --buffer 16384 "$@" "$E"
    server_address "$T/link" 'listening on '
    LINK=$ADDRESS
}
# bounded REPOSITORIES: at most so many questions for each as fit into the time it took. A token is
# used for 1.5 s of its 2; a repository has three kinds at most (pull, push, with a mount).
bounded() {
    local most=$(((took / 1500 + 1) * 3 * $1))
    echo "$2: $(asked .) questions in $took ms, $(asked ' 401 ') refused, at most $most"
    [ "$(asked .)" -le "$most" ] || fail "$2: over $most questions"
    [ "$took" -ge 2500 ] || fail "$2: took only $took ms, no token ran out"
}
timed() {
    local start=$EPOCHREALTIME
    copy 0 "$@"
    took=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
}
# What the service says of it: the truth, or a lie; then only the registry's 401 tells.
for says in 2 300; do
    start_tokenserver "$RULES" --life 2 --says $says
    start_registry --token; E=$REGISTRY
    slow 1100000
    timed --dest-creds ann:pw-of-ann "oci:$T/big" "docker://$LINK/team-a/"
    bounded 1 "slow push, expires_in $says"
done
slow 1100000 --delay 200
timed --dest-creds ann:pw-of-ann --jobs 4 "oci:$T/many" "docker://$LINK/team-a/"
bounded 12 "push of many"

# Cut every now and then: what goes on goes on with a new token.
slow 1100000 --chaos 7 --kinds cut --every 700000
timed --retry-times 9 --src-creds viv:pw-of-viv "docker://$LINK/team-a/big/image@$big" "$(new)"
bounded 1 "slow pull"
slow 1100000 --chaos 7 --kinds cut --every 700000
timed --retry-times 9 --src-creds viv:pw-of-viv --dest-creds bob:pw-of-bob "docker://$LINK/team-a/big/image@$big" \
    "docker://$B/team-b/relayed"
bounded 2 "slow relay"
fetch bob team-b/relayed "$big"
expect_equal 4 "$(grep -c 'POST .*/blobs/uploads/' "$err")" "uploads of 4 blobs, begun"
