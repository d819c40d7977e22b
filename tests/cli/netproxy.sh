#!/bin/bash
# The proxy that other tests and the benchmark trust: it delays, limits and counts as it says, and
# disturbs what it says, from the seed it was given, until it is told to stop.
. "$(dirname "$0")/../lib/test.sh"
need curl jq

images "$T/big" big --layers 1 --layer-bytes 400000 >/dev/null
manifest=$(image_digest "$T/big" registry.example.invalid/big/image:1)
blob=$(jq -r '.layers[0].digest' "$T/big/blobs/sha256/${manifest#sha256:}")
bytes=$(stat -c %s "$T/big/blobs/sha256/${blob#sha256:}")
start_serve "oci:$T/big"

# proxy OPTIONS...: one in front of the server; $P is its address.
proxy() {
    PROXIES=$((${PROXIES:-0} + 1))
    start_process "$T/proxy$PROXIES.log" "$TOOLS/netproxy" --counts "$T/counts" "$@" "$SERVE"
    server_address "$T/proxy$PROXIES.log" 'listening on '
    P=$ADDRESS P_ID=$PROCESS
}
counted() {
    rm -f "$T/counts"
    kill -USR1 "$P_ID"
    wait_until 10 test -e "$T/counts"
    awk -v name="$1" '$1 == name {print $2}' "$T/counts"
}
# get [OPTIONS]: the blob to $T/got; $code is the status, $time the milliseconds, $failed curl's own.
get() {
    local answer
    failed=0
    rm -f "$T/got"
    answer=$(curl -s --max-time 20 -o "$T/got" -w '%{http_code} %{time_total}' "$@" \
        "http://$P/v2/big/image/blobs/$blob") || failed=$?
    code=${answer% *}
    time=$(awk '{printf "%d", $2 * 1000}' <<<"$answer")
}
is_right() { [ "sha256:$(sha256sum <"$T/got" | cut -d ' ' -f 1)" = "$blob" ]; }

# Nothing asked for: bytes pass as they are, and are counted to the last.
proxy
get
is_right || fail "the bytes are not what the server has"
head=$(curl -s -D - -o /dev/null "http://$SERVE/v2/big/image/blobs/$blob" | wc -c)
expect_equal $((bytes + head)) "$(counted down)" "bytes to the client"
expect_equal "1 1" "$(counted connections) $(counted requests)" "connections and requests"

# 100 ms there and back: one for the handshake, one for the request; and the bandwidth's time.
proxy --delay 100 --rate 1000000
get
is_right || fail "the bytes are not what the server has"
[ "$time" -ge $((200 + bytes / 1000)) ] || fail "too fast: $time ms"
[ "$time" -lt $((1500 + bytes / 1000)) ] || fail "too slow: $time ms"
# A second request on the same connection has no handshake: 100 ms, and less than 200.
curl -s -o /dev/null -o /dev/null -w '%{time_starttransfer} ' "http://$P/v2/" "http://$P/v2/" >"$T/times"
awk '{exit !($2 >= 0.1 && $2 < $1)}' "$T/times" || fail "starts of answers: $(cat "$T/times")"

# Two share the bandwidth: each has half of it.
get & get
wait $!
[ "$time" -ge $((200 + bytes * 18 / 10000)) ] || fail "two at a time took only $time ms"

# A wrong bit: as long as the right one, and not the same.
proxy --chaos 1 --kinds flip --every 1000
get
expect_equal "0 200 $bytes" "$failed $code $(stat -c %s "$T/got")"
! is_right || fail "no bit was flipped"
[ "$(counted flip)" -gt 0 ] || fail "no flip was counted"

# Cut off, with what had come by then.
proxy --chaos 1 --kinds cut --every 20000
get
expect_equal 18 "$failed" "curl's status of a body cut short"
[ "$(stat -c %s "$T/got")" -lt "$bytes" ] || fail "it was not cut"
proxy --chaos 1 --kinds reset --every 20000
get
expect_equal 56 "$failed" "curl's status of a reset"

# Answered by the proxy: the server's counter stands still.
proxy --chaos 1 --kinds answer --answers 1000
get
case $code in 429 | 500 | 502 | 503) ;; *) fail "status $code" ;; esac
expect_equal 0 "$(counted up)" "bytes to the server"
# Done by the server and answered by the proxy.
proxy --chaos 1 --kinds replace --answers 0 --losses 500
for ((i = 0; i < 20; i++)); do
    get
    [ "$code" != 502 ] || break
done
expect_equal 502 "$code" "status of an answer that was replaced"
[ "$(counted up)" -gt 0 ] || fail "the server was not asked"
proxy --chaos 1 --kinds lose --answers 0 --losses 1000
get
[ "$failed" -eq 52 ] || [ "$failed" -eq 56 ] || fail "curl's status of a lost answer: $failed"

# The same seed, the same disturbances; and then peace.
for try in 1 2; do
    proxy --chaos 7 --every 60000 --stall 1
    for i in 1 2 3 4 5 6 7 8; do get --max-time 5; done
    counted down >/dev/null
    grep -vE '^(up|down) ' "$T/counts" >"$T/counts.$try"
done
expect_same "$T/counts.1" "$T/counts.2"
kill -USR2 "$P_ID"
counted down >/dev/null
for i in 1 2 3 4; do
    get
    is_right || fail "it goes on after peace"
done
