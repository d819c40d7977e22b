# shellcheck shell=bash disable=SC2034,SC2153
# The registries and slow links that tests/bench/transfer measures over. Source and destination,
# plain and TLS, are docker-registry processes of their own; both sources read the same storage.
#
#   start_sources             the two sources, empty
#   use_servers LINK SCHEME   sets SRC DST (HOST:PORT), SRC_PID SRC_LOG DST_PID DST_LOG, and what the
#                             contenders need for this scheme; starts what is not there yet
#   empty_destination         a new, empty one, at the same address

declare -A SERVER_ADDRESS SERVER_PID LINK_ADDRESS

# launch NAME SCHEME STORAGE LEVEL ADDRESS
launch() {
    local name=$1 scheme=$2 tls=''
    if [ "$scheme" = tls ]; then
        make_certificates
        mkdir -p "$T/ca"
        cp "$T/ca.crt" "$T/ca/ca.crt"
        tls=", tls: {certificate: $T/server.crt, key: $T/server.key}"
    fi
    cat >"$T/$name.yml" <<END
version: 0.1
log: {level: $4, accesslog: {disabled: false}}
storage:
  filesystem: {rootdirectory: $3, maxthreads: 200}
  cache: {blobdescriptor: inmemory}
  maintenance: {uploadpurging: {enabled: false}}
http: {addr: "$5"$tls}
END
    start_process "$T/$name.log" docker-registry serve "$T/$name.yml"
    SERVER_PID[$name]=$PROCESS
}

accepts() {
    (: <"/dev/tcp/${1%:*}/${1#*:}") 2>/dev/null
}

# start_server NAME SCHEME STORAGE: the first time it says which port the system gave it, which it
# only does at a level at which it also writes three lines a request; so it is started once more.
start_server() {
    local name=$1
    if [ -z "${SERVER_ADDRESS[$name]:-}" ]; then
        launch "$@" info 127.0.0.1:0
        server_address "$T/$name.log" 'listening on '
        SERVER_ADDRESS[$name]=$ADDRESS
        stop_server "$name"
    fi
    launch "$@" error "${SERVER_ADDRESS[$name]}"
    wait_until 20 accepts "${SERVER_ADDRESS[$name]}"
}

stop_server() {
    kill "${SERVER_PID[$1]}"
    wait "${SERVER_PID[$1]}" || true
}

start_sources() {
    start_server src-plain plain "$T/source"
    start_server src-tls tls "$T/source"
}

# link_address NAME: a slow way to a server.
link_address() {
    local name=$1 delay rate
    if [ -z "${LINK_ADDRESS[$name]:-}" ]; then
        read -r delay rate <<<"$BENCH_WAN"
        start_process "$T/$name.link" "$TOOLS/netproxy" --delay "$delay" \
            --rate $((rate * 125000)) "${SERVER_ADDRESS[$name]}"
        server_address "$T/$name.link" 'listening on '
        LINK_ADDRESS[$name]=$ADDRESS
    fi
    ADDRESS=${LINK_ADDRESS[$name]}
}

use_servers() {
    local link=$1 scheme=$2
    [ -n "${SERVER_ADDRESS[dst-$scheme]:-}" ] || start_server "dst-$scheme" "$scheme" "$T/destination"
    SRC=${SERVER_ADDRESS[src-$scheme]} DST=${SERVER_ADDRESS[dst-$scheme]}
    if [ "$link" = wan ]; then
        link_address "src-$scheme" && SRC=$ADDRESS
        link_address "dst-$scheme" && DST=$ADDRESS
    fi
    USED_SCHEME=$scheme
    know_servers
    scheme_options "$scheme"
}

know_servers() {
    SRC_PID=${SERVER_PID[src-$USED_SCHEME]} SRC_LOG=$T/src-$USED_SCHEME.log
    DST_PID=${SERVER_PID[dst-$USED_SCHEME]} DST_LOG=$T/dst-$USED_SCHEME.log
}

empty_destination() {
    stop_server "dst-$USED_SCHEME"
    rm -rf "$T/destination"
    start_server "dst-$USED_SCHEME" "$USED_SCHEME" "$T/destination"
    know_servers
}
