#!/bin/bash
# What mirror serve makes of bundles: names of other tools' archives, several bundles at once, pages
# of names, broken downloads that go on, flat memory, damage, and how it starts and ends.
. "$(dirname "$0")/../lib/test.sh"
need skopeo jq

N=registry.example.invalid
images "$T/plain" plain >"$T/names"
images "$T/odd" odd >>"$T/names"

# Another tool's archive whose image is called by a tag alone, or not at all: the file's name serves.
expect_status 0 skopeo copy -q "oci:$T/plain:$N/base:1" "oci-archive:$T/Golden Base.tar:v7"
expect_status 0 skopeo copy -q "oci:$T/plain:$N/base:1" "oci:$T/unnamed"
base=$(image_digest "$T/plain" "$N/base:1")
start_serve "oci-archive:$T/Golden Base.tar" "oci:$T/unnamed" "oci:$T/odd" "oci:$T/plain"
expect_equal v7 "$(registry_tags "$SERVE/golden-base")"
for repo in golden-base unnamed base "$N/base"; do
    expect_status 0 skopeo copy -q --src-tls-verify=false "docker://$SERVE/$repo@$base" \
        "dir:$T/got-${repo//\//-}"
    expect_equal "${base#sha256:}" "$(sha256sum <"$T/got-${repo//\//-}/manifest.json" | cut -d ' ' -f 1)"
done

# Images of all four are there, and skopeo reads the same tags as we do.
expect_status 0 skopeo list-tags --tls-verify=false "docker://$SERVE/$N/team/app"
expect_equal '["1","2"]' "$(jq -c .Tags "$out")"
while read -r name digest; do
    name=${name#"$N"/}
    expect_equal "$digest" "$(registry_digest "$SERVE/${name%:*}" "${name##*:}")" "$name"
done <"$T/names"

# Pages: following the links, every repository comes once, in order.
next=/v2/_catalog?n=7
: >"$T/paged"
while [ -n "$next" ]; do
    web -D "$T/head" "http://$SERVE$next" | jq -r '.repositories[]' >>"$T/paged"
    next=$(tr -d '\r' <"$T/head" | sed -nE 's/^Link: <(.*)>; rel="next"$/\1/p')
done
web "http://$SERVE/v2/_catalog" | jq -r '.repositories[]' >"$T/whole"
expect_same "$T/whole" "$T/paged"
LC_ALL=C sort -uc "$T/whole"
expect_line "$T/whole" "$N/odd/multi"
expect_line "$T/whole" "odd/multi"

# Each request is in the log, with what came of it.
registry_digest "$SERVE/base" 1 >/dev/null
expect_line "$SERVE_LOG" "127\.0\.0\.1 (GET|HEAD) /v2/base/manifests/1 200 [0-9]+"

# Two images that claim one short name: each under its full name, neither under the short one.
expect_status 0 skopeo copy -q "oci:$T/plain:$N/base:1" "oci-archive:$T/a.tar:one.invalid/x:1"
expect_status 0 skopeo copy -q "oci:$T/odd:$N/odd/single:1" "oci-archive:$T/b.tar:two.invalid/x:1"
start_serve "oci-archive:$T/a.tar" "oci-archive:$T/b.tar"
expect_contains "$SERVE_LOG" 'warning: x:1 means different images'
expect_equal 1 "$(registry_tags "$SERVE/one.invalid/x")"
expect_equal "$base" "$(registry_digest "$SERVE/one.invalid/x" 1)"
expect_equal '' "$(registry_tags "$SERVE/x")"
expect_equal 404 "$(curl -s -o "$T/answer" -w '%{http_code}' "http://$SERVE/v2/x/manifests/1")"
expect_status 0 skopeo inspect --raw --tls-verify=false "docker://$SERVE/x@$base"

# A broken download goes on, and a large blob does not grow the server.
images "$T/big" big --layers 1 --layer-bytes 150000000 >/dev/null
expect_status 0 mirror copy -q "oci:$T/big" "bundle:$T/big.tar"
rm -r "$T/big"
start_serve --shutdown-timeout 1 "bundle:$T/big.tar"
layer=$(web "http://$SERVE/v2/big/image/manifests/1" | jq -r '.layers[0].digest')
url=http://$SERVE/v2/big/image/blobs/$layer
web -r 0-99999999 -o "$T/layer" "$url"
web -C - -o "$T/layer" "$url"
expect_equal "${layer#sha256:}" "$(sha256sum <"$T/layer" | cut -d ' ' -f 1)"
pids=()
for i in 1 2 3 4; do
    { web "$url" | sha256sum >"$T/sum$i"; } &
    pids+=($!)
done
wait "${pids[@]}"
for i in 1 2 3 4; do expect_contains "$T/sum$i" "${layer#sha256:}"; done
peak=$(sed -nE 's/^VmHWM:[^0-9]*([0-9]+) kB$/\1/p' "/proc/$SERVE_PID/status")
[ "$peak" -lt 49152 ] || fail "serving took $peak kB of memory"

# It ends with status 0 on either signal, also with a client in the middle of a download.
# That one is waited for, for as long as --shutdown-timeout says.
curl -s --limit-rate 1M -o "$T/slow" "$url" &
slow=$!
STARTED+=("$slow")
wait_until 10 test -s "$T/slow"
kill -INT "$SERVE_PID"
status=0
wait "$SERVE_PID" || status=$?
expect_equal 0 "$status" "status after SIGINT"
wait "$slow" || true
start_serve "bundle:$T/big.tar"
kill -TERM "$SERVE_PID"
wait "$SERVE_PID" || fail "SIGTERM did not end it with status 0"

# What cannot be served is said at once.
start_serve "oci:$T/plain"
expect_status 1 mirror serve "oci:$T/plain" --listen "$SERVE"
expect_contains "$err" "$SERVE" 'hint: choose another address'
head -c 100000 "$T/big.tar" >"$T/cut.tar"
expect_status 1 mirror serve "bundle:$T/cut.tar" --listen 127.0.0.1:0
expect_contains "$err" "$T/cut.tar"
expect_equal '' "$(cat "$out")" 'stdout of a server that did not start'
expect_status 2 mirror serve "docker://$N/team/app:1" --listen 127.0.0.1:0
expect_status 2 mirror serve "bundle:$T/big.tar:$N/big/image:1" --listen 127.0.0.1:0

# A bundle damaged on the way: the sound images are served, the other one is named.
victim=$(image_digest "$T/plain" "$N/base:1")
printf 'x' | dd of="$T/plain/blobs/sha256/${victim#sha256:}" bs=1 seek=40 conv=notrunc status=none
start_serve "oci:$T/plain"
expect_contains "$SERVE_LOG" "$victim: not served as a manifest"
expect_equal '1
2' "$(registry_tags "$SERVE/team/app")"
expect_equal 404 "$(curl -s -o "$T/answer" -w '%{http_code}' "http://$SERVE/v2/base/manifests/1")"
