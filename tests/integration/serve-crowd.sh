#!/bin/bash
# mirror serve with two hundred clients at once, over plain HTTP and over TLS: each gets the bytes it
# asked for, no request fails, and memory does not grow with what is sent or with how often.
. "$(dirname "$0")/../lib/test.sh"
need jq curl openssl htpasswd

CROWD=200
make_certificates
htpasswd -Bbn pilot secret >"$T/users" 2>/dev/null
images "$T/big" big --layers 4 --layer-bytes 300000 >/dev/null
expect_status 0 mirror copy -q --volume-size 450KB "oci:$T/big" "bundle:$T/big.tar"
rm -r "$T/big"

peak() { sed -nE 's/^VmHWM:[^0-9]*([0-9]+) kB$/\1/p' "/proc/$SERVE_PID/status"; }

# crowd SCHEME CURL-OPTION...: everybody takes every layer
crowd() {
    local scheme=$1 i layer
    shift
    : >"$T/config"
    for ((i = 0; i < CROWD; i++)); do
        layer=${layers[i % ${#layers[@]}]}
        printf 'url = "%s://%s/v2/big/image/blobs/%s"\noutput = "%s"\n' "$scheme" "$SERVE" \
            "$layer" "$T/got/${layer#sha256:}.$i" >>"$T/config"
    done
    mkdir -p "$T/got"
    run curl -sS --fail --parallel --parallel-immediate --parallel-max "$CROWD" "$@" --config "$T/config"
    [ "$status" -eq 0 ] || fail "$scheme: somebody in the crowd got an error"
    expect_equal "$CROWD" "$(find "$T/got" -type f | wc -l)" "files, $scheme"
    (cd "$T/got" && sha256sum -- *) | awk '{split($2, name, "."); if ($1 != name[1]) bad++} END {exit bad > 0}' ||
        fail "$scheme: wrong bytes"
    rm -r "$T/got"
}

for scheme in http https; do
    options=() curl_options=()
    if [ $scheme = https ]; then
        options=(--tls-cert "$T/server.crt" --tls-key "$T/server.key" --htpasswd "$T/users")
        curl_options=(--cacert "$T/ca.crt" -u pilot:secret)
    fi
    start_serve "bundle:$T/big.tar" "${options[@]}"
    mapfile -t layers < <(web "${curl_options[@]}" "$scheme://$SERVE/v2/big/image/manifests/1" |
        jq -r '.layers[].digest')
    expect_equal 4 "${#layers[@]}" layers
    crowd $scheme "${curl_options[@]}"
    first=$(peak)
    crowd $scheme "${curl_options[@]}"
    crowd $scheme "${curl_options[@]}"
    last=$(peak)
    [ "$first" -lt 65536 ] || fail "$scheme: $CROWD clients took $first kB of memory"
    [ "$last" -lt $((first + first / 4)) ] || fail "$scheme: memory grew from $first kB to $last kB"
    echo "$scheme: $first kB, then $last kB"
    kill "$SERVE_PID"
    wait "$SERVE_PID" || fail "$scheme: status $?"
    expect_lacks "$SERVE_LOG" ' 500 ' 'error' 'broken off'
done
