#!/bin/bash
# No secret gets out, whichever way it came in: not in what is printed at the highest log level, not
# in a file that is left behind, not in the command line others can read; nor when it is refused.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry htpasswd openssl jq

PASS='pa55/w+rd~%&"x'
IDENTITY='id:of/ann+%7E'
N=registry.example.invalid
images "$T/plain" plain >/dev/null
images "$T/big" big --layers 1 --layer-bytes 3000000 >/dev/null
app=$(image_digest "$T/plain" "$N/team/app:1")
start_registry --htpasswd; A=$REGISTRY
htpasswd -Bbn pilot "$PASS" >"$T/registry1/htpasswd" 2>/dev/null
start_registry --htpasswd --tls; B=$REGISTRY
htpasswd -Bbn pilot "$PASS" >"$T/registry2/htpasswd" 2>/dev/null
start_tokenserver "user ann $PASS
identity ann $IDENTITY
allow ann * pull,push"
start_registry --token; C=$REGISTRY

# ---- every form a secret could be written in
forms() {
    local text=$1
    printf '%s\n' "$text"
    printf '%s' "$text" | base64 -w 0 | tr -d =
    echo
    jq -rn --arg text "$text" '$text | @uri, (@uri | ascii_downcase), @json[1:-1]'
}
{
    forms "$PASS"
    forms "$IDENTITY"
    for user in pilot ann; do printf '%s:%s' $user "$PASS" | base64 -w 0 | tr -d =; echo; done
    echo eyJ # how every token begins
} | sort -u >"$T/.secrets"

# work CMD...: in a folder of its own, where nothing may have a secret afterwards.
W=$T/work
work() {
    local want=$1 found
    shift
    mkdir -p "$W"
    LAST="$*" status=0
    (cd "$W" && "$@" >"$W/stdout" 2>"$W/stderr") || status=$?
    cp "$W/stdout" "$out"
    cp "$W/stderr" "$err"
    [ "$status" -eq "$want" ] || fail "expected status $want, got $status"
    found=$(grep -rlaF -f "$T/.secrets" "$W") || true
    [ -z "$found" ] || fail "a secret is in $found: $(grep -rhoaF -f "$T/.secrets" "$W" | sort -u | tr '\n' ' ')"
    rm -rf "$W"
}
copy() {
    local want=$1
    shift
    work "$want" "$MIRROR" copy --debug --retry-times 1 --report report.json --mapping mapping.txt "$@"
}
piped() {
    local want=$1 text=$2
    shift 2
    work "$want" bash -c 'printf "%s\n" "$0" | "$@"' "$text" "$MIRROR" copy --debug "$@"
}
auth_file() {
    jq -n --arg host "$1" --argjson entry "$2" '{auths: {($host): $entry}}' >"$T/auth.json"
}
basic() {
    printf '{"auth": "%s"}' "$(printf '%s:%s' "$1" "$2" | base64 -w 0)"
}

# The check sees what it has to see.
for text in "$PASS" "$(printf 'pilot:%s' "$PASS" | base64 -w 0)" eyJhbGciOi; do
    if (trap - EXIT ERR && work 0 echo "$text") 2>"$T/.seen"; then fail "the check is blind"; fi
    expect_contains "$T/.seen" 'a secret is in'
    rm -rf "$W"
done

# ---- Basic: by option, by standard input, by file; let in and refused
copy 0 --dest-creds "pilot:$PASS" "oci:$T/plain" "docker://$A/"
copy 0 --dest-creds "pilot:$PASS" "oci:$T/plain" "docker://$B/"
copy 1 --dest-creds "nobody:$PASS" "oci:$T/plain" "docker://$A/refused/"
expect_contains "$err" 401
copy 0 --src-creds "pilot:$PASS" "docker://$A/team/app@$app" bundle:b.tar
copy 0 --src-creds "pilot:$PASS" "docker://$B/team/app@$app" bundle:b.tar
copy 1 --src-creds "nobody:$PASS" "docker://$A/team/app@$app" bundle:b.tar
copy 1 --src-creds "pilot:$PASS" --src-tls-verify=true "docker://$B/team/app@$app" bundle:b.tar
copy 0 --src-creds "pilot:$PASS" --dest-creds "pilot:$PASS" --emit-dir emitted \
    "docker://$A/team/app@$app" "docker://$B/across/"
piped 0 "pilot:$PASS" --src-creds - "docker://$A/team/app@$app" bundle:b.tar
piped 0 "$PASS" --src-creds pilot "docker://$A/team/app@$app" bundle:b.tar
piped 1 "$PASS" --src-creds nobody "docker://$A/team/app@$app" bundle:b.tar
auth_file "$A/team" "$(basic pilot "$PASS")"
copy 0 --authfile "$T/auth.json" "docker://$A/team/app@$app" bundle:b.tar
auth_file "$A/team" "$(basic nobody "$PASS")"
copy 1 --authfile "$T/auth.json" "docker://$A/team/app@$app" bundle:b.tar
# A file that is broken in the middle of its secret.
printf '{"auths":{"%s":{"auth":"%s"' "$A" "$(printf 'pilot:%s' "$PASS" | base64 -w 0)" >"$T/auth.json"
work 2 "$MIRROR" copy --debug --authfile "$T/auth.json" "docker://$A/team/app@$app" bundle:b.tar
printf '{"auths":{"%s":{"auth":"%s"}}}' "$A" "$PASS" >"$T/auth.json"
work 2 "$MIRROR" copy --debug --authfile "$T/auth.json" "docker://$A/team/app@$app" bundle:b.tar

# ---- tokens: for a password, for an identity token; realms that refuse
auth_file "$C" "$(basic ann "$PASS")"
copy 0 --authfile "$T/auth.json" "oci:$T/plain" "docker://$C/"
copy 0 --authfile "$T/auth.json" "docker://$C/team/app@$app" bundle:b.tar
auth_file "$C" "$(jq -n --arg token "$IDENTITY" '{identitytoken: $token}')"
copy 0 --authfile "$T/auth.json" "docker://$C/team/app@$app" bundle:b.tar
copy 0 --authfile "$T/auth.json" "docker://$C/team/app@$app" "docker://$C/again/"
auth_file "$C" "$(jq -n --arg token "${IDENTITY}x" '{identitytoken: $token}')"
copy 1 --authfile "$T/auth.json" "docker://$C/team/app@$app" bundle:b.tar
copy 1 --src-creds "nobody:$PASS" "docker://$C/team/app@$app" bundle:b.tar

# ---- a credential helper that talks too much
mkdir "$T/bin"
cat >"$T/bin/docker-credential-chatty" <<END
#!/bin/bash
echo 'asked for a password, which is $PASS' >&2
cat >/dev/null
jq -n --arg secret '$PASS' '{ServerURL: "x", Username: "pilot", Secret: \$secret}'
END
chmod +x "$T/bin/docker-credential-chatty"
jq -n --arg host "$A" '{credHelpers: {($host): "chatty"}}' >"$T/auth.json"
PATH=$T/bin:$PATH copy 0 --authfile "$T/auth.json" "docker://$A/team/app@$app" bundle:b.tar
printf '#!/bin/bash\necho "no, not %s"; echo "%s" >&2; exit 1\n' "$PASS" "$PASS" \
    >"$T/bin/docker-credential-chatty"
PATH=$T/bin:$PATH copy 1 --authfile "$T/auth.json" "docker://$A/team/app@$app" bundle:b.tar

# ---- what is kept of a run that was ended in the middle, and the command line others read
copy 0 --dest-creds "pilot:$PASS" "oci:$T/big" "docker://$A/"
big=$(image_digest "$T/big" "$N/big/image:1")
mkdir "$W"
start_process "$W/log" "$MIRROR" copy --debug --limit-rate 300K --src-creds "pilot:$PASS" \
    "docker://$A/big/image@$big" "bundle:$W/b.tar"
wait_until 20 grep -q 'GET .*blobs/.*: 200\|big/image' "$W/log"
wait_until 20 test -e "$W/b.tar.partial"
tr '\0' ' ' <"/proc/$PROCESS/cmdline" >"$W/cmdline"
grep -q 'src-creds' "$W/cmdline" || fail "this is not its command line: $(cat "$W/cmdline")"
kill -KILL "$PROCESS"
wait "$PROCESS" 2>/dev/null || true
work 0 true

# ---- the other commands that log in
work 0 "$MIRROR" inspect --debug --creds "pilot:$PASS" "docker://$A/team/app@$app"
work 1 "$MIRROR" inspect --debug --creds "nobody:$PASS" "docker://$A/team/app@$app"
for format in '' --json; do
    # shellcheck disable=SC2086
    work 0 "$MIRROR" auth explain --debug $format --creds "pilot:$PASS" "docker://$A/team/app:1"
    # shellcheck disable=SC2086
    work 1 "$MIRROR" auth explain --debug $format --creds "nobody:$PASS" "docker://$A/team/app:1"
    # shellcheck disable=SC2086
    work 0 "$MIRROR" auth explain --debug $format --creds "ann:$PASS" "docker://$C/team/app:1"
done
work 0 "$MIRROR" login --debug --authfile "$T/login.json" -u pilot -p "$PASS" "$A"
work 0 bash -c 'printf %s "$0" | "$@"' "$PASS" "$MIRROR" login --debug --authfile "$T/login.json" \
    -u ann --password-stdin "$C"
work 1 "$MIRROR" login --debug --authfile "$T/login.json" -u nobody -p "$PASS" "$B"
work 0 "$MIRROR" login --debug --authfile "$T/login.json" --get-login "$A"
work 0 "$MIRROR" logout --debug --authfile "$T/login.json" "$A"
