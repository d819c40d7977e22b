#!/bin/bash
# A login is checked with the registry, kept in the file that podman and skopeo share, with nobody
# else's entries touched, and forgotten again; helpers keep what a file leaves to them. What we write
# the others use, and the other way round.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry htpasswd skopeo jq

start_registry --htpasswd; A=$REGISTRY
start_registry; OPEN=$REGISTRY
F=$XDG_RUNTIME_DIR/containers/auth.json
code=$(printf pilot:secret | base64)

# Whatever is said, at whatever level, no password is in it.
login() {
    local want=$1
    shift
    expect_status "$want" mirror login --debug "$@"
    expect_lacks "$out" secret "$code"
    expect_lacks "$err" secret "$code"
}
keep() {
    printf '%s' "$2" >"$1"
}
pass() {
    printf 'secret\n' | login 0 --username pilot --password-stdin "$@"
}
key_of() {
    jq -er --arg key "$2" '.auths[$key].auth' "$1"
}

# ---- in, and where it is kept
pass "$A"
expect_line "$out" 'Login Succeeded!'
expect_contains "$err" "kept in $F"
expect_equal "$code" "$(key_of "$F" "$A")"
expect_equal 600 "$(stat -c %a "$F")" mode
expect_equal 700 "$(stat -c %a "${F%/*}")" 'mode of the folder'
expect_status 0 mirror login --get-login "$A"
expect_equal pilot "$(cat "$out")"
expect_status 1 mirror login --get-login "other.example:5000"
expect_contains "$err" 'not logged in'
# A second time, nothing is asked.
login 0 "$A" </dev/null
expect_contains "$out" "Already logged in to $A as pilot"
expect_status 0 mirror login -u pilot -psecret "docker://$A/"

# ---- refused, and nothing changes
cp "$F" "$T/before"
printf 'secret2\n' | login 1 --username pilot --password-stdin "$A"
expect_contains "$err" "$A refuses user pilot"
expect_same "$T/before" "$F"
printf 'secret' | login 1 --username nobody --password-stdin --authfile "$T/new.json" "$A"
expect_missing "$T/new.json"
printf 'secret' | login 1 --username pilot --password-stdin --tls-verify=true "$A"
printf 'secret' | login 1 --username pilot --password-stdin localhost:1
wrong() {
    local text=$1
    shift
    expect_status 2 mirror "$@" </dev/null
    expect_contains "$err" "$text"
}
wrong 'name a registry' login
wrong 'no host' login UP_PER/x
wrong 'no path' login "$A/team/app:1"
wrong 'one registry at a time' login "$A" "$OPEN"
wrong 'no terminal' login --authfile "$T/none.json" "$A"
wrong 'no terminal' login --authfile "$T/none.json" --username pilot "$A"
wrong 'needs --username' login --password-stdin "$A"
wrong 'exclude each other' login -u pilot -p x --password-stdin "$A"
wrong 'no colon' login -u pi:lot -p x "$A"
wrong 'it is empty' login -u pilot --password-stdin --authfile "$T/none.json" "$A"
wrong 'name a registry' logout
wrong 'or of all' logout --all "$A"

# ---- typed
expect_status 0 "$TOOLS/ptyrun" --shown "$T/shown" echo 'User: ' pilot hidden 'Password: ' secret -- \
    "$MIRROR" login --authfile "$T/typed.json" "$A"
expect_equal "$code" "$(key_of "$T/typed.json" "$A")"
expect_lacks "$T/shown" secret
keep "$T/typed.json" "{\"auths\":{\"$A\":{\"auth\":\"$(printf pilot:old | base64)\"}}}"
expect_status 0 "$TOOLS/ptyrun" echo 'User: ' pilot hidden 'Password: ' secret -- \
    "$MIRROR" login --authfile "$T/typed.json" "$A"
expect_contains "$err" 'not let in any more'
expect_equal "$code" "$(key_of "$T/typed.json" "$A")"
expect_status 1 "$TOOLS/ptyrun" key 'User: ' ^C -- \
    "$MIRROR" login --authfile "$T/typed2.json" "$A"
expect_missing "$T/typed2.json"

# ---- what the file held before stays, in its order
cat >"$T/full.json" <<END
{
  "HttpHeaders": {"User-Agent": "x/1"},
  "auths": {
    "z.example": {"auth": "eDp5", "email": "me@z.example"},
    "$A": {"email": "pilot@here", "identitytoken": "old-secret", "username": "a", "password": "b"},
    "a.example/ns": {},
    "https://index.docker.io/v1/": {"auth": "eDp5"}
  },
  "credHelpers": {"gcr.example": "none"},
  "psFormat": "é\u0001 \"quoted\" 	{{.ID}}", "big": 9007199254740993, "list": [1, null, true, {"a": []}]
}
END
chmod 644 "$T/full.json"
sed -i 's/\t{{/{{/' "$T/full.json"
pass --authfile "$T/full.json" "$A/team"
pass --authfile "$T/full.json" "$A"
jq --arg a "$A" --arg code "$code" '.auths[$a] = {"email": "pilot@here", "auth": $code}
    | .auths[$a + "/team"] = {"auth": $code}' "$T/full.json" >"$T/want"
jq . "$T/full.json" | expect_same "$T/want" /dev/stdin
expect_equal "HttpHeaders auths credHelpers psFormat big list" \
    "$(jq -r 'keys_unsorted | join(" ")' "$T/full.json")" order
expect_equal "z.example $A a.example/ns https://index.docker.io/v1/ $A/team" \
    "$(jq -r '.auths | keys_unsorted | join(" ")' "$T/full.json")" order
expect_contains "$T/full.json" 9007199254740993 $'\n\t"auths": {'
expect_equal 600 "$(stat -c %a "$T/full.json")" mode
expect_lacks "$T/full.json" old-secret
expect_status 0 mirror logout --authfile "$T/full.json" "$A/team"
expect_contains "$out" "Removed the login to $A/team from $T/full.json"
expect_status 0 mirror logout --authfile "$T/full.json" docker.io
expect_equal "z.example $A a.example/ns" \
    "$(jq -r '.auths | keys_unsorted | join(" ")' "$T/full.json")" 'what is left'

# ---- through links, to where they lead
mkdir -p "$T/links/real"
keep "$T/links/real/auth.json" '{"auths":{}}'
ln -s real/auth.json "$T/links/one.json"
ln -s "$T/links/one.json" "$T/links/two.json"
pass --authfile "$T/links/two.json" "$A"
[ -L "$T/links/two.json" ] && [ -L "$T/links/one.json" ] || fail 'a link was replaced'
expect_equal "$code" "$(key_of "$T/links/real/auth.json" "$A")"
ln -s later/auth.json "$T/links/dangling.json"
pass --authfile "$T/links/dangling.json" "$A"
expect_equal "$code" "$(key_of "$T/links/later/auth.json" "$A")"
ln -s loop.json "$T/links/loop.json"
printf secret | login 1 -u pilot --password-stdin --authfile "$T/links/loop.json" "$A"

# ---- files that are none
for text in 'not json' '[]' '{"auths":[]}' '{"auths":{"a":1}}' '{"credHelpers":1}' '{"a":1,"a":2}'; do
    keep "$T/bad.json" "$text"
    run mirror login --authfile "$T/bad.json" -u pilot -p secret "$A"
    [ "$status" -ne 0 ] || fail "a login went into $text"
    expect_contains "$err" bad.json
    expect_equal "$text" "$(cat "$T/bad.json")" 'a file that is none'
done
keep "$T/empty.json" ''
pass --authfile "$T/empty.json" "$A"
keep "$T/bare.json" '{"auths":null,"x":1}'
pass --authfile "$T/bare.json" "$A"
expect_equal 1 "$(jq .x "$T/bare.json")"
REGISTRY_AUTH_FILE=$T/by-environment.json pass "$A"
expect_equal "$code" "$(key_of "$T/by-environment.json" "$A")"

# ---- many at once: none undoes what another did
for i in 1 2 3 4 5 6 7 8; do
    "$MIRROR" login --authfile "$T/many.json" -u pilot -p secret "$A/ns$i" >/dev/null 2>&1 &
    STARTED+=($!)
done
wait "${STARTED[@]: -8}"
expect_equal 8 "$(jq '.auths | length' "$T/many.json")" 'logins at once'
expect_status 0 mirror logout --authfile "$T/many.json" --all
expect_equal '{"auths":{}}' "$(jq -c . "$T/many.json")"
expect_equal '' "$(ls "$T" | grep 'json\.' || true)" 'files left behind'

# ---- a registry that asks nobody
printf x | login 0 -u pilot --password-stdin --authfile "$T/open.json" "$OPEN"
expect_contains "$err" 'not checked'

# ---- out
expect_status 0 mirror logout "$A"
expect_equal '{"auths":{}}' "$(jq -c . "$F")"
expect_status 1 mirror logout "$A"
expect_contains "$err" "not logged in to $A"
mkdir -p "$HOME/.docker"
keep "$HOME/.docker/config.json" "{\"auths\":{\"$A\":{\"auth\":\"$code\"}}}"
expect_status 0 mirror logout "$A"
expect_contains "$out" 'still let in as pilot' .docker/config.json
keep "$HOME/.docker/config.json" "{\"auths\":{\"$A\":{\"auth\":\"$(printf pilot:old | base64)\"}}}"
expect_status 1 mirror logout "$A"
expect_contains "$err" .docker/config.json
expect_status 1 mirror logout --authfile "$T/none.json" "$A"
expect_missing "$T/none.json"
rm -r "$HOME/.docker"

# ---- helpers
mkdir "$T/bin" "$T/store"
cat >"$T/bin/docker-credential-box" <<END
#!/bin/bash
# A helper that keeps each server in a file.
file() { echo "$T/store/\$(printf %s "\$1" | tr -c 'a-zA-Z0-9.\n' _)"; }
input=\$(cat)
case \$1 in
store) printf '%s' "\$input" >"\$(file "\$(jq -r .ServerURL <<<"\$input")")" ;;
get) cat "\$(file "\$input")" 2>/dev/null || { echo 'credentials not found in native keychain'; exit 1; } ;;
erase) rm "\$(file "\$input")" 2>/dev/null || { echo 'credentials not found'; exit 1; } ;;
list) cat "$T/store"/* 2>/dev/null | jq -cn '[inputs | {(.ServerURL): .Username}] | add // {}' ;;
esac
END
chmod +x "$T/bin/docker-credential-box"
PATH=$T/bin:$PATH
keep "$T/helped.json" "{\"auths\":{},\"credHelpers\":{\"$A\":\"box\"}}"
cp "$T/helped.json" "$T/before"
pass --authfile "$T/helped.json" "$A"
expect_contains "$err" 'kept in docker-credential-box'
expect_same "$T/before" "$T/helped.json"
expect_equal "$A pilot secret" "$(jq -r '"\(.ServerURL) \(.Username) \(.Secret)"' "$T/store"/*)"
expect_status 0 mirror login --authfile "$T/helped.json" --get-login "$A"
expect_equal pilot "$(cat "$out")"
expect_status 0 skopeo login --authfile "$T/helped.json" --get-login "$A"
expect_equal pilot "$(cat "$out")"
expect_status 0 mirror logout --authfile "$T/helped.json" "$A"
expect_equal '' "$(ls "$T/store")" 'what the helper keeps'
expect_status 1 mirror logout --authfile "$T/helped.json" "$A"
# It keeps hosts, not parts of them, and nobody would look into the file for one.
printf secret | login 2 -u pilot --password-stdin --authfile "$T/helped.json" "$A/team"
expect_contains "$err" "a login to $A/team would not be found"
expect_same "$T/before" "$T/helped.json"
# The store of all takes over what the file had.
keep "$T/stored.json" "{\"auths\":{\"$A\":{\"auth\":\"$code\"}},\"credsStore\":\"box\"}"
pass --authfile "$T/stored.json" "$A"
expect_equal '{"auths":{},"credsStore":"box"}' "$(jq -c . "$T/stored.json")"
expect_status 0 mirror login --authfile "$T/stored.json" --get-login "$A"
pass --authfile "$T/stored.json" "$A/team"
expect_equal "$code" "$(key_of "$T/stored.json" "$A/team")"
expect_status 0 mirror logout --authfile "$T/stored.json" --all
expect_equal '' "$(ls "$T/store")" 'what the helper keeps'
keep "$T/missing.json" "{\"credHelpers\":{\"$A\":\"not-there\"}}"
run mirror login --authfile "$T/missing.json" -u pilot -p secret "$A"
[ "$status" -ne 0 ] || fail 'a helper that is not there took a login'
expect_contains "$err" 'docker-credential-not-there'

# ---- registries.conf: its helpers are asked in order, and what it says of the registry counts
helpers() {
    printf 'unqualified-search-registries = []\ncredential-helpers = [%s]\n' "$1" >"$T/r.conf"
}
own=(--registries-conf "$T/r.conf" --registries-conf-dir '')
helpers '"not-there", "box", "containers-auth.json"'
pass "${own[@]}" --authfile "$T/order.json" "$A"
expect_contains "$err" 'kept in docker-credential-box'
expect_missing "$T/order.json"
expect_status 0 mirror login "${own[@]}" --authfile "$T/order.json" --get-login "$A"
expect_status 0 skopeo --registries-conf "$T/r.conf" login --authfile "$T/order.json" \
    --get-login "$A"
expect_equal pilot "$(cat "$out")"
# A part of a host is for the file.
pass "${own[@]}" --authfile "$T/order.json" "$A/team"
expect_equal "$code" "$(key_of "$T/order.json" "$A/team")"
expect_status 0 mirror logout "${own[@]}" --authfile "$T/order.json" "$A"
expect_equal '' "$(ls "$T/store")" 'what the helper keeps'
expect_status 0 mirror logout "${own[@]}" --authfile "$T/order.json" "$A/team"
helpers '"not-there"'
run mirror login "${own[@]}" -u pilot -p secret "$A"
[ "$status" -ne 0 ] || fail 'no helper took the login, and it went in'
echo 'no toml' >"$T/r.conf"
wrong 'registries.conf' login "${own[@]}" -u pilot -p secret "$A"
expect_status 0 mirror login --no-registries-conf --authfile "$T/order.json" -u pilot -p secret "$A"

# ---- skopeo and podman: they use what we wrote, and we what they wrote
images "$T/plain" plain >/dev/null
CURL=(-u pilot:secret) SCHEME=http
push_layout "$T/plain" "$A"
rm -f "$F"
pass "$A/team"
expect_status 0 skopeo inspect --tls-verify=false "docker://$A/team/app:1"
expect_status 0 skopeo login --get-login "$A/team"
expect_equal pilot "$(cat "$out")"
expect_status 0 skopeo logout "$A/team"
expect_status 1 mirror login --get-login "$A/team"
for tool in skopeo podman; do
    command -v $tool >/dev/null || continue
    rm -f "$F"
    expect_status 0 $tool login --tls-verify=false -u pilot -p secret "$A"
    expect_status 0 mirror login --get-login "$A"
    expect_equal pilot "$(cat "$out")"
    expect_status 0 mirror inspect "docker://$A/team/app:1"
    expect_status 0 $tool login --tls-verify=false -u pilot -p secret "$A/other"
    cp "$F" "$T/theirs"
    expect_status 0 mirror login -u pilot -p secret "$A"
    diff -u <(jq -S . "$T/theirs") <(jq -S . "$F") || fail "not written as $tool does"
    expect_status 0 mirror logout "$A/other"
    expect_status 0 $tool login --get-login "$A"
    expect_status 0 $tool logout "$A"
    expect_status 1 mirror logout "$A"
    pass "$A"
    expect_status 0 $tool logout --all
    expect_status 1 mirror login --get-login "$A"
done
