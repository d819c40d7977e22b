# shellcheck shell=bash disable=SC2034
# Helpers for tests/cli/*.sh and tests/integration/*.sh. A script begins with
#     #!/bin/bash
#     # What this script promises, in a sentence.
#     . "$(dirname "$0")/../lib/test.sh"
# and from then on every command that fails fails the test (set -e), which prints where, and what
# the last command under test said.
#
# $T is a fresh folder, removed at exit together with every process and mount that was started
# through these functions. MIRROR, TOOLS and OBJECTS come from tests/lib/run-tests; by hand, the
# plain build is taken. mirror is a function that runs the binary under test.
#
#   run CMD...                 run it; $status, $out (file) and $err (file) hold what came of it
#   expect_status N CMD...     run it, and it has to exit with N
#   expect_contains FILE TEXT...      each TEXT (a fixed string) is in FILE
#   expect_lacks FILE TEXT...         none is
#   expect_line FILE REGEX            a whole line of FILE matches
#   expect_equal WANT GOT [WHAT]      two strings
#   expect_same FILE FILE             two files, byte for byte
#   expect_missing PATH...            nothing is there
#   fail TEXT                  end the test
#   skip WHY                   end it as skipped (exit 77)
#   need COMMAND...            skip unless they are installed
#   wait_until SECONDS CMD...  until CMD succeeds; fails the test after that time
#   start_registry [--tls | --mutual] [--htpasswd] [--token]   a docker-registry on loopback: $REGISTRY
#   start_tokenserver RULES [OPTIONS]   a token service for --token: $TOKENS, $TOKENS_LOG
#   start_httpproxy ARGS...    an HTTP proxy on loopback: $HTTPPROXY, $HTTPPROXY_LOG
#   have_podman                is there a podman that works? podman_ ARGS... runs it
#   start_serve ARGS...        "mirror serve ARGS --listen 127.0.0.1:0": $SERVE
#   images DIR SET [OPTIONS]   an OCI layout with the images of a set (tests/lib/tools/mkimages.c)
#   image_digest DIR NAME      the digest a name of that layout stands for
# tests/lib/images.sh, read from here too, pushes and fetches images with curl alone.

set -euE -o pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
: "${MIRROR:=$ROOT/build/plain/mirror}"
: "${OBJECTS:=$ROOT/build/plain}"
: "${TOOLS:=$OBJECTS/tests/lib/tools}"
export MIRROR OBJECTS TOOLS ROOT

T=$(mktemp -d "${TMPDIR:-/tmp}/mirror-test.XXXXXX")
out=$T/.out err=$T/.err status=0
: | tee "$out" >"$err"
STARTED=() MOUNTED=()
REGISTRIES=0

# Nothing of the caller's own set-up may decide a test.
export HOME=$T/.home XDG_RUNTIME_DIR=$T/.run XDG_CONFIG_HOME=$T/.home/.config LC_ALL=C TZ=UTC
unset REGISTRY_AUTH_FILE DOCKER_CONFIG CONTAINERS_REGISTRIES_CONF SOURCE_DATE_EPOCH \
    http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY \
    SSL_CERT_FILE SSL_CERT_DIR
mkdir -p "$HOME" "$XDG_RUNTIME_DIR"

at_exit() {
    local code=$? pid path
    trap - EXIT ERR
    set +e
    for pid in "${STARTED[@]}"; do kill "$pid" 2>/dev/null; done
    for pid in "${STARTED[@]}"; do wait "$pid" 2>/dev/null; done
    for path in "${MOUNTED[@]}"; do umount "$path"; done
    rm -rf "$T"
    exit "$code"
}
trap at_exit EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

show_last() {
    [ ! -s "$out" ] || { echo "--- its stdout"; tail -n 30 "$out"; }
    [ ! -s "$err" ] || { echo "--- its stderr"; tail -n 30 "$err"; }
}

where() {
    local i
    for ((i = 1; i < ${#BASH_LINENO[@]}; i++)); do
        case ${BASH_SOURCE[i]} in */lib/test.sh | */lib/images.sh) continue ;; esac
        echo "${BASH_SOURCE[i]#"$ROOT"/}:${BASH_LINENO[i - 1]}"
        return
    done
}

# Servers that are not there any more, and what they said last.
show_dead() {
    local pid
    for pid in "${STARTED[@]}"; do
        kill -0 "$pid" 2>/dev/null || echo "--- process $pid has ended"
        if [ "$pid" = "${REGISTRY_PID:-}" ] && ! kill -0 "$pid" 2>/dev/null; then
            tail -n 5 "$REGISTRY_LOG"
        fi
    done
}

fail() {
    {
        echo "$(where): $*"
        echo "--- last command: ${LAST:-none} (status $status)"
        show_last
        show_dead
    } >&2
    exit 1
}

on_error() {
    local code=$1 command=$2
    trap - ERR
    fail "status $code from: $command"
}
trap 'on_error $? "$BASH_COMMAND"' ERR

skip() {
    echo "$*"
    exit 77
}

need() {
    local command
    for command; do
        command -v "$command" >/dev/null || skip "$command is not installed"
    done
}

mirror() {
    "$MIRROR" "$@"
}

# ---- running and expecting -------------------------------------------------------------------

run() {
    LAST="$*"
    status=0
    "$@" >"$out" 2>"$err" || status=$?
}

expect_status() {
    local want=$1
    shift
    run "$@"
    [ "$status" -eq "$want" ] || fail "expected status $want, got $status"
}

expect_contains() {
    local file=$1 text
    shift
    for text; do
        grep -qF -e "$text" -- "$file" || fail "$file does not contain: $text"
    done
}

expect_lacks() {
    local file=$1 text
    shift
    for text; do
        ! grep -qF -e "$text" -- "$file" || fail "$file contains: $text"
    done
}

expect_line() {
    grep -qxE -e "$2" -- "$1" || fail "$1 has no line like: $2"
}

expect_equal() {
    [ "$1" = "$2" ] || fail "${3:-value}: expected '$1', got '$2'"
}

expect_same() {
    cmp -s -- "$1" "$2" || {
        diff -u -- "$1" "$2" | head -n 40 >&2 || true
        fail "$1 and $2 differ"
    }
}

expect_missing() {
    local path
    for path; do
        [ ! -e "$path" ] || fail "$path is there"
    done
}

# Bounded polling of a condition: the only way anything here waits for another process.
wait_until() {
    local seconds=$1 end=$((SECONDS + $1))
    shift
    until "$@" 2>/dev/null; do
        [ "$SECONDS" -le "$end" ] || fail "not within $seconds s: $*"
        sleep 0.02
    done
}

# ---- servers ---------------------------------------------------------------------------------

# start_process LOG CMD...: in the background, ended at exit; its id is in $PROCESS.
start_process() {
    local log=$1
    shift
    "$@" >"$log" 2>&1 </dev/null &
    PROCESS=$!
    STARTED+=("$PROCESS")
}

# Until the log of a server names the address it listens on, or the server is gone.
listens_or_died() {
    grep -qE "$2" "$1" || ! kill -0 "$PROCESS"
}

# server_address LOG PATTERN: sets $ADDRESS to what comes after PATTERN, 127.0.0.1:PORT.
server_address() {
    wait_until 20 listens_or_died "$1" "$2"
    ADDRESS=$(sed -nE "s#.*$2(127\.0\.0\.1:[0-9]+).*#\1#p" "$1" | head -n 1)
    [ -n "$ADDRESS" ] || {
        cat "$1" >&2
        fail "a server did not start"
    }
}

# A throw-away CA and a certificate of 127.0.0.1, localhost and all below mirror.test, a name that
# nobody can resolve: $T/ca.crt, $T/server.{crt,key}.
make_certificates() {
    [ ! -e "$T/ca.crt" ] || return 0
    local subject=basicConstraints=critical,CA:TRUE
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=test CA" \
        -addext "$subject" -keyout "$T/ca.key" -out "$T/ca.crt" 2>/dev/null
    sign_certificate "$T/server.crt" "$T/server.key" localhost \
        'subjectAltName=DNS:localhost,DNS:*.mirror.test,IP:127.0.0.1' 2
}

# sign_certificate CERT KEY NAME EXTENSION DAYS: by that CA. 0 days: it has run out.
sign_certificate() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$3" \
        -keyout "$2" -out "$T/.csr" 2>/dev/null
    printf '%s\n' "$4" >"$T/.ext"
    openssl x509 -req -in "$T/.csr" -CA "$T/ca.crt" -CAkey "$T/ca.key" -CAcreateserial \
        -days "$5" -extfile "$T/.ext" -out "$1" 2>/dev/null
}

# The registry's data is in $REGISTRY_DATA, its log in $REGISTRY_LOG, its id in $REGISTRY_PID.
# --htpasswd lets in user "pilot" with password "secret" alone; TLS has the certificates above, and
# with --mutual the registry wants one of that CA from its clients.
start_registry() {
    need docker-registry
    local home tls='' auth='' option
    REGISTRIES=$((REGISTRIES + 1))
    home=$T/registry$REGISTRIES
    mkdir -p "$home"
    for option; do
        case $option in
        --tls)
            make_certificates
            tls=", tls: {certificate: $T/server.crt, key: $T/server.key}"
            ;;
        --mutual)
            make_certificates
            tls=", tls: {certificate: $T/server.crt, key: $T/server.key, clientcas: [$T/ca.crt]}"
            ;;
        --htpasswd)
            need htpasswd
            htpasswd -Bbn pilot secret >"$home/htpasswd" 2>/dev/null
            auth="auth: {htpasswd: {realm: test, path: $home/htpasswd}}"
            ;;
        --token)
            auth="auth: {token: {realm: $TOKENS_URL/token, service: test, issuer: tokenserver,
  rootcertbundle: $T/token.crt}}"
            ;;
        *) fail "start_registry: unknown option $option" ;;
        esac
    done
    cat >"$home/config.yml" <<END
version: 0.1
log: {level: info, accesslog: {disabled: false}}
storage:
  filesystem: {rootdirectory: $home/data, maxthreads: 100}
  delete: {enabled: true}
http: {addr: "127.0.0.1:0"$tls}
validation: {manifests: {urls: {allow: ["^https?://"]}}}
$auth
END
    REGISTRY_DATA=$home/data REGISTRY_LOG=$home/log
    start_process "$REGISTRY_LOG" docker-registry serve "$home/config.yml"
    server_address "$REGISTRY_LOG" 'listening on '
    REGISTRY=$ADDRESS REGISTRY_PID=$PROCESS
}

# start_tokenserver RULES [OPTIONS]: RULES is the text of tests/lib/tools/tokenserver.c's --rules.
# $TOKENS is its address, $TOKENS_URL begins with its scheme; it speaks https when given --tls-cert.
start_tokenserver() {
    local home scheme=http
    TOKENSERVERS=$((${TOKENSERVERS:-0} + 1))
    home=$T/tokens$TOKENSERVERS
    mkdir -p "$home"
    printf '%s\n' "$1" >"$home/rules"
    shift
    case " $* " in *" --tls-cert "*) scheme=https ;; esac
    [ -e "$T/token.crt" ] ||
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=token signer" \
            -keyout "$T/token.key" -out "$T/token.crt" 2>/dev/null
    TOKENS_LOG=$home/requests
    : >"$TOKENS_LOG"
    start_process "$home/log" "$TOOLS/tokenserver" --rules "$home/rules" --cert "$T/token.crt" \
        --key "$T/token.key" --log "$TOKENS_LOG" "$@"
    server_address "$home/log" 'listening on '
    TOKENS=$ADDRESS TOKENS_URL=$scheme://$ADDRESS TOKENS_PID=$PROCESS
}

# How many requests a registry got that match a pattern ("GET /v2/a/blobs/").
registry_requests() {
    local count
    count=$(grep -cE "\"$2" "$1") || true
    echo "$count"
}

# start_httpproxy ARGS...: tests/lib/tools/httpproxy.c; its address is in $HTTPPROXY, what it was
# asked for in $HTTPPROXY_LOG.
start_httpproxy() {
    HTTPPROXIES=$((${HTTPPROXIES:-0} + 1))
    HTTPPROXY_LOG=$T/httpproxy$HTTPPROXIES.log
    start_process "$T/httpproxy$HTTPPROXIES.out" "$TOOLS/httpproxy" --log "$HTTPPROXY_LOG" "$@"
    server_address "$T/httpproxy$HTTPPROXIES.out" 'listening on '
    HTTPPROXY=$ADDRESS
}

start_serve() {
    SERVES=$((${SERVES:-0} + 1))
    SERVE_LOG=$T/serve$SERVES.log
    start_process "$SERVE_LOG" "$MIRROR" serve "$@" --listen 127.0.0.1:0
    server_address "$SERVE_LOG" 'listening on https?://'
    SERVE=$ADDRESS SERVE_PID=$PROCESS
}

# ---- podman ----------------------------------------------------------------------------------

# podman with storage of its own. It makes its root a private mount, which fails where the root is
# a mere folder (a plain chroot): there it gets one that is a mount.
podman_() {
    local storage=(--root "$T/.podman" --runroot "$T/.podman-run" --storage-driver vfs
        --cgroup-manager cgroupfs --events-backend none)
    if awk '$5 == "/" {found = 1} END {exit !found}' /proc/self/mountinfo; then
        podman "${storage[@]}" "$@"
    else
        mkdir -p "$T/.root"
        unshare --mount --propagation unchanged sh -c 'root=$1 && shift &&
            mount --rbind / "$root" && mount --make-rslave "$root" && exec chroot "$root" "$@"' \
            in-mount "$T/.root" podman "${storage[@]}" "$@"
    fi
}

# Can podman store an image here at all? Containers and plain users often may not mount.
have_podman() {
    [ -z "${PODMAN_WORKS:-}" ] || return "$PODMAN_WORKS"
    PODMAN_WORKS=0
    command -v podman >/dev/null &&
        "$ROOT/examples/make-sample-image" "$T/.sample" localhost/sample:1 >/dev/null &&
        tar -C "$T/.sample" -cf "$T/.sample.tar" . &&
        podman_ load -i "$T/.sample.tar" >"$T/.podman-log" 2>&1 &&
        podman_ rmi -af >>"$T/.podman-log" 2>&1 || PODMAN_WORKS=1
    [ "$PODMAN_WORKS" -eq 0 ] || echo "podman does not work here: $(tail -n 1 "$T/.podman-log")"
    return "$PODMAN_WORKS"
}

# ---- images ----------------------------------------------------------------------------------

images() {
    "$TOOLS/mkimages" "$@"
}

image_digest() {
    jq -er --arg name "$2" '.manifests[]
        | select(.annotations["org.opencontainers.image.ref.name"] == $name) | .digest' \
        "$1/index.json"
}

if [ -e "$ROOT/tests/lib/images.sh" ]; then
    . "$ROOT/tests/lib/images.sh"
fi
