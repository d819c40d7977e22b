#!/bin/bash
# Proxies of the environment: who goes through one and who does not, what is said when it does not
# work, and that its password is never shown. 0.0.0.0 leads to a registry here without being
# loopback, and can be reached both ways.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry skopeo jq

images "$T/plain" plain >/dev/null
app=$(image_digest "$T/plain" registry.example.invalid/team/app:1)
start_registry; HERE=$REGISTRY THERE=0.0.0.0:${REGISTRY#*:}
expect_status 0 mirror copy "oci:$T/plain" "docker://$HERE/"
start_httpproxy --auth me:hush --map "$THERE=$HERE" --map "only.mirror.test:80=$HERE"
PROXY=http://me:hush@$HTTPPROXY
plain=(--tls-verify=false)

# asked COUNT: how often the proxy was used since the last time.
LAST_ASKED=0
asked() {
    local now
    now=$(wc -l <"$HTTPPROXY_LOG")
    [ "$1" = some ] && [ "$now" -gt "$LAST_ASKED" ] || expect_equal "$1" "$((now - LAST_ASKED))" \
        "requests of the proxy"
    LAST_ASKED=$now
}
look() {
    expect_status "$1" mirror inspect --debug --retry-times 0 "${plain[@]}" "docker://$2/team/app@$app"
    expect_lacks "$err" hush
    expect_lacks "$out" hush
}
witness() {
    expect_status "$1" skopeo --insecure-policy inspect "${plain[@]}" "docker://$2/team/app@$app"
}
: >"$HTTPPROXY_LOG"

# ---- who goes through it, for us and for skopeo ----------------------------------------------
look 0 "$THERE"
asked 0
for who in look witness; do
    HTTP_PROXY=$PROXY $who 0 "$THERE"
    asked some
    http_proxy=$PROXY $who 0 "$THERE"
    asked some
    # Loopback never does, whatever is set.
    HTTP_PROXY=$PROXY HTTPS_PROXY=$PROXY $who 0 "$HERE"
    HTTP_PROXY=$PROXY HTTPS_PROXY=$PROXY $who 0 "localhost:${HERE#*:}"
    asked 0
    for except in "$THERE" 0.0.0.0 0.0.0.0/8 'a.example, 0.0.0.0' '*'; do
        HTTP_PROXY=$PROXY HTTPS_PROXY=$PROXY NO_PROXY=$except $who 0 "$THERE"
        asked 0
        HTTP_PROXY=$PROXY HTTPS_PROXY=$PROXY no_proxy=$except $who 0 "$THERE"
        asked 0
    done
    for except in 0.0.0.0:1 10.0.0.0/8 only.mirror.test; do
        HTTP_PROXY=$PROXY NO_PROXY=$except $who 0 "$THERE"
        asked some
    done
    # Nobody else can tell where this is.
    HTTP_PROXY=$PROXY HTTPS_PROXY=$PROXY $who 0 only.mirror.test
    asked some
done
ALL_PROXY=$PROXY look 0 "$THERE"
asked some

# ---- one side through it, the other not ------------------------------------------------------
start_registry; B=$REGISTRY
HTTP_PROXY=$PROXY HTTPS_PROXY=$PROXY expect_status 0 mirror copy --src-tls-verify=false \
    "docker://only.mirror.test/team/app@$app" "docker://$B/in/"
fetch_compare "$HERE/team/app" "$B/in/team/app" "$app"
expect_lacks "$HTTPPROXY_LOG" "$B"
LAST_ASKED=$(wc -l <"$HTTPPROXY_LOG")

# ---- what does not work ----------------------------------------------------------------------
ALL_PROXY=http://me:hush@127.0.0.1:1 look 1 only.mirror.test
expect_contains "$err" "the proxy http://127.0.0.1:1 (from ALL_PROXY): " NO_PROXY=only.mirror.test
ALL_PROXY=http://you:hush@$HTTPPROXY look 1 only.mirror.test
expect_contains "$err" "the proxy http://$HTTPPROXY (from ALL_PROXY) wants a login: 407" \
    "http://USER:PASS@HOST:PORT"
HTTP_PROXY=http://$HTTPPROXY look 1 "$THERE"
expect_contains "$err" "the proxy http://$HTTPPROXY (from HTTP_PROXY) wants a login: 407"
HTTPS_PROXY=$PROXY HTTP_PROXY=$PROXY look 1 other.mirror.test
expect_contains "$err" "through the proxy http://$HTTPPROXY (from HTTP_PROXY): 403 Forbidden"
HTTPS_PROXY=$PROXY expect_status 1 mirror inspect "docker://other.mirror.test/team/app@$app"
expect_contains "$err" "the proxy http://$HTTPPROXY (from HTTPS_PROXY) does not connect us: 403" \
    "allow this host and port"
HTTP_PROXY=mailto://hush@x look 1 "$THERE"
expect_contains "$err" "HTTP_PROXY names no proxy that can be used"

# Nothing that is written down knows the password, either.
ALL_PROXY=http://you:hush@$HTTPPROXY expect_status 1 mirror copy --debug --retry-times 0 \
    --src-tls-verify=false --report "$T/report.json" "docker://only.mirror.test/team/app@$app" \
    "bundle:$T/x.tar"
expect_contains "$T/report.json" "wants a login"
expect_lacks "$T/report.json" hush
expect_lacks "$err" hush
