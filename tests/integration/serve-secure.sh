#!/bin/bash
# mirror serve with TLS and users: podman, skopeo, curl and mirror itself pull through both; the access
# log tells who did; SIGHUP reads all again; SIGTERM lets a download end.
. "$(dirname "$0")/../lib/test.sh"
need skopeo jq htpasswd openssl curl

N=registry.example.invalid
make_certificates
images "$T/plain" plain >/dev/null
app=$(image_digest "$T/plain" "$N/team/app:1")
expect_status 0 mirror copy -q "oci:$T/plain" "bundle:$T/b.tar"
htpasswd -Bbn pilot 's3cret:word' >"$T/users" 2>/dev/null
start_serve "bundle:$T/b.tar" --tls-cert "$T/server.crt" --tls-key "$T/server.key" \
    --htpasswd "$T/users" --access-log "$T/access" --prefix lab
expect_contains "$SERVE_LOG" "listening on https://$SERVE"

# ---- curl: who may, who may not, and by which protocol
code() { curl -s -o "$T/answer" -w '%{http_code}' --cacert "$T/ca.crt" "$@"; }
url=https://$SERVE
expect_equal 401 "$(code "$url/v2/")"
expect_contains "$T/answer" '"code":"UNAUTHORIZED"'
expect_equal 401 "$(code -u pilot:wrong "$url/v2/")"
expect_equal 401 "$(code -u nobody:s3cret:word "$url/v2/")"
expect_equal 200 "$(code -u pilot:s3cret:word "$url/v2/")"
expect_equal 200 "$(code "$url/healthz")"
expect_equal 200 "$(code -u pilot:s3cret:word "$url/v2/lab/team/app/manifests/1")"
expect_equal "$app" "sha256:$(sha256sum <"$T/answer" | cut -d ' ' -f 1)"
expect_equal 200 "$(code -u pilot:s3cret:word "$url/v2/lab/$N/team/app/manifests/1")"
expect_equal 200 "$(code -u pilot:s3cret:word "$url/v2/lab/team/app/manifests/1?ns=$N")"
expect_equal 404 "$(code -u pilot:s3cret:word "$url/v2/lab/team/app/manifests/1?ns=elsewhere.invalid")"
expect_equal 404 "$(code -u pilot:s3cret:word "$url/v2/team/app/manifests/1")"
! curl -s -o "$T/answer" "$url/v2/" || fail "a certificate nobody knows was taken"
! curl -s -o "$T/answer" "http://$SERVE/v2/" || fail "plain HTTP was answered"
expect_equal 000 "$(code --tls-max 1.1 "$url/healthz" || true)" 'old TLS'
expect_equal 200 "$(code --tls-max 1.2 "$url/healthz")"

# ---- skopeo, podman and mirror
mkdir -p "$T/certs"
cp "$T/ca.crt" "$T/certs/"
expect_status 1 skopeo copy -q --src-cert-dir "$T/certs" "docker://$SERVE/lab/team/app:1" "dir:$T/never"
expect_status 0 skopeo copy -q --all --src-cert-dir "$T/certs" --src-creds pilot:s3cret:word \
    "docker://$SERVE/lab/team/app:1" "dir:$T/skopeo"
expect_equal "${app#sha256:}" "$(sha256sum <"$T/skopeo/manifest.json" | cut -d ' ' -f 1)"
expect_status 0 mirror copy -q --src-cert-dir "$T/certs" --src-creds pilot:s3cret:word \
    "docker://$SERVE/lab/team/app@$app" "bundle:$T/again.tar"
expect_status 0 mirror verify "bundle:$T/again.tar"
if have_podman; then
    echo s3cret:word >"$T/word"
    LAST="podman login" podman_ login -u pilot --password-stdin --cert-dir "$T/certs" \
        --authfile "$T/auth.json" "$SERVE" <"$T/word" >/dev/null
    expect_status 0 podman_ pull -q --cert-dir "$T/certs" --authfile "$T/auth.json" \
        "$SERVE/lab/$N/team/app@$app"
fi

# ---- the log tells who, and no secret
expect_line "$T/access" '127\.0\.0\.1 - - \[.*\] "GET /v2/ HTTP/1\.[01]" 401 [0-9]+ "-" "curl/[^"]*" [0-9]+ \+'
expect_line "$T/access" '127\.0\.0\.1 - pilot \[.*\] "GET /v2/lab/team/app/manifests/1 HTTP/1\.[01]" 200 .*'
expect_lacks "$T/access" s3cret "$(printf pilot:s3cret:word | base64)"
expect_lacks "$SERVE_LOG" s3cret

# ---- SIGHUP: another bundle under the same name, other users, the log begun anew
images "$T/odd" odd >/dev/null
expect_status 0 mirror copy -q "oci:$T/odd" "bundle:$T/new.tar"
mv "$T/new.tar" "$T/b.tar"
mv "$T/access" "$T/access.1"
htpasswd -Bbn other word >"$T/users" 2>/dev/null
expect_equal 200 "$(code -u pilot:s3cret:word "$url/v2/lab/team/app/manifests/1")" 'before SIGHUP'
kill -HUP "$SERVE_PID"
wait_until 10 grep -q 'read again: 52 repositories' "$SERVE_LOG"
expect_equal 401 "$(code -u pilot:s3cret:word "$url/v2/")"
expect_equal 200 "$(code -u other:word "$url/v2/lab/odd/single/manifests/1")"
expect_equal 404 "$(code -u other:word "$url/v2/lab/team/app/manifests/1")"
expect_contains "$T/access" '/v2/lab/odd/single/manifests/1'
# ... and what cannot be read changes nothing.
printf 'other:plain\n' >"$T/users"
kill -HUP "$SERVE_PID"
wait_until 10 grep -q 'not read again, all stays as it was: .*users: line 1' "$SERVE_LOG"
expect_equal 200 "$(code -u other:word "$url/v2/lab/odd/single/manifests/1")"

# ---- SIGTERM: a download that has begun ends well, a new one does not begin
images "$T/big" big --layers 1 --layer-bytes 40000000 >/dev/null
expect_status 0 mirror copy -q "oci:$T/big" "bundle:$T/big.tar"
start_serve "bundle:$T/big.tar"
layer=$(web "http://$SERVE/v2/big/image/manifests/1" | jq -r '.layers[0].digest')
curl -s --fail --limit-rate 20M -o "$T/slow" "http://$SERVE/v2/big/image/blobs/$layer" &
slow=$!
STARTED+=("$slow")
wait_until 10 test -s "$T/slow"
kill -TERM "$SERVE_PID"
wait "$slow" || fail 'SIGTERM broke a download off'
expect_equal "${layer#sha256:}" "$(sha256sum <"$T/slow" | cut -d ' ' -f 1)"
wait "$SERVE_PID" || fail "SIGTERM did not end it with status 0"
! curl -s -o "$T/answer" "http://$SERVE/healthz" || fail 'the port is open still'

# A second one ends it at once, and a time limit ends it soon.
for how in again limit; do
    start_serve "bundle:$T/big.tar" --shutdown-timeout "$([ $how = again ] && echo 600 || echo 0)"
    rm -f "$T/slow"
    curl -s --limit-rate 1M -o "$T/slow" "http://$SERVE/v2/big/image/blobs/$layer" &
    slow=$!
    STARTED+=("$slow")
    wait_until 10 test -s "$T/slow"
    kill -TERM "$SERVE_PID"
    if [ $how = again ]; then
        # The first one has been seen once the port is closed.
        wait_until 10 eval "! curl -s -o '$T/answer' 'http://$SERVE/healthz'"
        kill -TERM "$SERVE_PID"
    fi
    status=0
    wait "$SERVE_PID" || status=$?
    expect_equal "$([ $how = again ] && echo 143 || echo 0)" "$status" "status, $how"
    ! wait "$slow" || fail "$how: the download ended well"
done
expect_contains "$SERVE_LOG" '1 transfers were broken off'

# ---- what is wrong is said at once
expect_status 2 mirror serve "bundle:$T/b.tar" --tls-key "$T/server.key"
expect_status 2 mirror serve "bundle:$T/b.tar" --prefix Lab/
expect_status 2 mirror serve "bundle:$T/b.tar" --verify some
expect_status 1 mirror serve "bundle:$T/b.tar" --listen 127.0.0.1:0 --tls-cert "$T/none.crt"
expect_contains "$err" "$T/none.crt"
expect_status 1 mirror serve "bundle:$T/b.tar" --listen 127.0.0.1:0 --tls-cert "$T/server.crt" \
    --tls-key "$T/ca.key"
expect_contains "$err" "$T/server.crt" "$T/ca.key"
printf 'not a certificate\n' >"$T/bad.crt"
expect_status 1 mirror serve "bundle:$T/b.tar" --listen 127.0.0.1:0 --tls-cert "$T/bad.crt" \
    --tls-key "$T/server.key"
expect_contains "$err" "$T/bad.crt"
expect_status 1 mirror serve "bundle:$T/b.tar" --listen 127.0.0.1:0 --htpasswd "$T/users"
expect_contains "$err" "$T/users: line 1" 'htpasswd -B'
