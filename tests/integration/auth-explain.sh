#!/bin/bash
# "mirror auth explain" says what a copy would meet on its way in, right down to who may pull and push,
# leaves nothing behind in the registry, and never shows a secret.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry htpasswd openssl jq

images "$T/plain" plain >/dev/null
app=$(image_digest "$T/plain" registry.example.invalid/team/app:1)
start_registry --htpasswd; A=$REGISTRY A_DATA=$REGISTRY_DATA
CURL=(-u pilot:secret) SCHEME=http
push_layout "$T/plain" "$A"
start_registry; OPEN=$REGISTRY
CURL=()
push_layout "$T/plain" "$OPEN"
code=$(printf pilot:secret | base64)
F=$XDG_RUNTIME_DIR/containers/auth.json

# Text and JSON say the same; no secret is in either, at whatever level.
explain() {
    local want=$1
    shift
    expect_status "$want" mirror auth explain --json --debug --retry-times 0 "$@"
    expect_lacks "$out" secret "$code"
    expect_lacks "$err" secret "$code"
    cp "$out" "$T/json"
    expect_status "$want" mirror auth explain --retry-times 0 "$@"
    expect_lacks "$out" secret "$code"
}
told() {
    expect_equal "$2" "$(jq -r "$1" "$T/json")" "$1"
}
keep() {
    mkdir -p "$(dirname "$1")"
    printf '%s' "$2" >"$1"
}

# ---- open to everybody
explain 0 "docker://$OPEN/team/app:1"
told .registry.scheme http
told .registry.verified false
told .asNobody.status 200
told .credentials.found false
told .pull.allowed true
told .pull.digest "$app"
told .push.allowed true
told .push.takenBack true
expect_line "$out" "registry +http://$OPEN, not encrypted"
expect_line "$out" 'as nobody +status 200: open to everybody'
expect_line "$out" "pull +yes: $app"
expect_line "$out" 'push +yes'
expect_contains "$out" "$F: not there" "$HOME/.docker/config.json: not there"
explain 0 --pull-only "$OPEN/team/app@$app"
told .reference "$app"
told 'has("push")' false
explain 0 "$OPEN/team/app"
told .pull.allowed true
explain 0 "$OPEN/team/app:none"
told .pull.exists false
expect_contains "$out" 'nothing of that name'
explain 0 "$OPEN/none"
told .pull.exists false

# ---- Basic: nobody, somebody, the wrong one
explain 1 "$A/team/app:1"
told .asNobody.status 401
told '.asNobody | has("basic")' true
told .pull.allowed false
told .push.allowed false
told '.advice | length' 1
expect_line "$out" 'as nobody +status 401: Basic'
expect_contains "$out" "mirror login $A" "mirror login $A/team"
expect_contains "$err" 401
keep "$F" "{\"auths\":{\"other.example\":{},\"$A/team\":{\"auth\":\"$code\"}}}"
explain 0 "$A/team/app:1"
told .credentials.user pilot
told .credentials.kind password
told .credentials.from "$F, key \"$A/team\""
told .pull.digest "$app"
told .push.takenBack true
expect_line "$out" "credentials +pilot, password, from $F, key \"$A/team\""
told "[.credentials.lookedAt[] | select(.place == \"$F\") | .outcome][0]" \
    "key \"$A/team\": user pilot"
explain 0 --creds pilot:secret "$A/team/app:1"
told .credentials.from 'the command line'
explain 1 --creds pilot:secret2 "$A/team/app:1"
expect_contains "$out" 'was refused'
explain 1 --no-creds "$A/team/app:1"
# Nothing is left behind by all the uploads that were begun (but for the state of a hash of nothing,
# which docker-registry writes after it has done away with the upload).
expect_equal '' "$(find "$A_DATA" -path '*/_uploads/*' -name startedat)" 'uploads left'

# ---- advice: what hides what, and what is spelled wrongly
keep "$F" "{\"auths\":{\"$A\":{\"auth\":\"$(printf pilot:old | base64)\"}}}"
keep "$HOME/.docker/config.json" "{\"auths\":{\"$A/team\":{\"auth\":\"$code\"}}}"
explain 1 "$A/team/app:1"
expect_contains "$out" "$HOME/.docker/config.json: not needed: key \"$A/team\"" \
    "$HOME/.docker/config.json is not looked at as long as $F, key \"$A\" comes first"
rm -r "$F" "$HOME/.docker"
for key in "docker://$A" "$A/other" "${A%:*}" "$A/team/app:1" "//$A" "$A/"; do
    keep "$F" "{\"auths\":{\"x.example\":{},\"$key\":{\"auth\":\"$code\"}}}"
    explain 1 "$A/team/app:1"
    expect_contains "$out" "$F has \"$key\", which does not stand for $A/team/app"
    told '.advice | length' 2
done
keep "$F" "{\"credHelpers\":{\"$A\":\"not-there\"}}"
explain 2 "$A/team/app:1"
expect_contains "$out" 'docker-credential-not-there: no such program' 'no way past the last'
told 'has("pull")' false
keep "$F" '{"auths":'
explain 2 "$A/team/app:1"
expect_contains "$out" "$F:"
rm "$F"
expect_status 2 mirror auth explain --authfile "$T/none.json" "$A/team/app:1"
expect_contains "$err" none.json

# ---- tokens: who may what, in the registry's own words
start_tokenserver "user pilot secret
user reader secret-too
user builder third-secret
allow pilot team/* pull,push
allow reader team/* pull
allow builder lab/* pull,push"
start_registry --token; B=$REGISTRY B_DATA=$REGISTRY_DATA
expect_status 0 mirror copy --dest-creds pilot:secret "oci:$T/plain:registry.example.invalid/team/app:1" \
    "docker://$B/team/app:1"
explain 0 --creds pilot:secret "$B/team/app:1"
told .asNobody.bearer.realm "$TOKENS_URL/token"
told .asNobody.bearer.service test
told .asNobody.bearer.scope repository:team/app:pull
told .pull.digest "$app"
told .push.allowed true
expect_contains "$out" "Bearer realm=\"$TOKENS_URL/token\" service=\"test\" scope=\"repository:team/app:pull\""
# docker-registry wants the right to delete for taking an upload back.
told .push.takenBack false
expect_contains "$out" 'could not be taken back'
explain 0 --creds reader:secret-too "$B/team/app:1"
told .pull.allowed true
told .push.allowed false
expect_line "$out" 'push +no: .*'
explain 1 --creds pilot:secret "$B/elsewhere/app:1"
told .pull.allowed false
explain 1 --creds pilot:wrong-secret "$B/team/app:1"
expect_contains "$out" "token from $TOKENS_URL/token"
explain 1 "$B/team/app:1"
# A login asks for a token too, one for no repository.
login() {
    expect_status "$1" mirror login --authfile "$T/tokens.json" -u "$2" -p "$3" "$B"
    expect_lacks "$err" secret
}
login 0 pilot secret
login 0 reader secret-too
login 1 reader secret
login 1 nobody secret
expect_status 0 mirror login --authfile "$T/tokens.json" --get-login "$B"
expect_equal reader "$(cat "$out")"

# Two parts of one host, two users: each is let in where it may go.
expect_status 0 mirror login -u reader -p secret-too "$B/team"
expect_status 0 mirror login -u builder -p third-secret "$B/lab"
explain 0 "$B/team/app:1"
told .credentials.user reader
explain 0 "$B/lab/app:1"
told .credentials.user builder
told .push.allowed true
expect_status 0 mirror copy "docker://$B/team/app:1" "docker://$B/lab/app:1"
expect_status 1 mirror copy "docker://$B/lab/app:1" "docker://$B/team/app:2"
expect_status 0 mirror logout "$B/lab"
explain 1 "$B/lab/app:1"
expect_contains "$out" "$F has \"$B/team\", which does not stand for $B/lab/app"
rm "$F"

# ---- TLS, and nobody there
start_registry --tls --token
explain 1 --creds pilot:secret "$REGISTRY/team/app:1"
expect_contains "$out" 'the credentials stay here'
told '.advice | length' 0
start_registry --tls --htpasswd; C=$REGISTRY
mkdir "$T/certs"
cp "$T/ca.crt" "$T/certs"
explain 0 --creds pilot:secret "$C/none:1"
told .registry.verified false
expect_contains "$out" "https://$C, its certificate not verified"
explain 0 --creds pilot:secret --tls-verify=true --cert-dir "$T/certs" "$C/none:1"
told .registry.verified true
told .registry.certificates "$T/certs"
mkdir -p "$HOME/.config/containers/certs.d/$C"
explain 1 --creds pilot:secret --tls-verify=true "$C/none:1"
expect_contains "$out" "certificates of $HOME/.config/containers/certs.d/$C"
cp "$T/ca.crt" "$HOME/.config/containers/certs.d/$C"
explain 0 --creds pilot:secret --tls-verify=true "$C/none:1"
rm -r "$HOME/.config/containers/certs.d"
explain 1 --creds pilot:secret --tls-verify=true "$C/none:1"
told 'has("pull")' false
grep -qi certificate "$out" || fail 'the text does not speak of the certificate'
explain 1 localhost:1/a:1
told '.registry | has("error")' true

# ---- where a copy would look, if registries.conf has something to say
cat >"$T/r.conf" <<END
[[registry]]
location = "$A/team"
insecure = true
[[registry.mirror]]
location = "$OPEN/team"
END
own=(--registries-conf "$T/r.conf" --registries-conf-dir '')
explain 1 "${own[@]}" "$A/team/app:1"
told '[.registriesConf.places[].reference] | join(" ")' "$OPEN/team/app:1 $A/team/app:1"
told .registriesConf.places[1].insecure true
told .registriesConf.line 1
expect_line "$out" "places +$OPEN/team/app:1"
expect_contains "$out" "as \"$A/team\" in $T/r.conf:1 says"
explain 0 "${own[@]}" "$OPEN/team/app:1"
told 'has("registriesConf")' false
expect_status 2 mirror auth explain --registries-conf "$T/none.conf" "$A/team/app:1"
expect_contains "$err" none.conf
explain 1 "${own[@]}" --no-creds "$A/team/app@$app"

# ---- command lines
wrong() {
    local text=$1
    shift
    expect_status 2 mirror auth "$@"
    expect_contains "$err" "$text"
}
wrong 'what to do'
wrong 'what to do' "$A/team/app:1"
wrong 'name an image' explain
wrong 'one image' explain "$A/a:1" "$A/b:1"
wrong busybox explain busybox
wrong 'bundle:x' explain bundle:x
