#!/bin/bash
# Which credentials are used, out of all the places where there may be some: a table of files,
# environment and image, and who the registry saw. skopeo is asked the same.
#
# Everything runs in a network of its own, with a hosts file of its own: so the images may have the
# names they have elsewhere, docker.io among them.
if [ -z "${AUTH_ORDER_INSIDE:-}" ]; then
    unshare --net --mount true 2>/dev/null || {
        echo "a network namespace cannot be made here"
        exit 77
    }
    AUTH_ORDER_INSIDE=1 exec unshare --net --mount "$0"
fi
. "$(dirname "$0")/../lib/test.sh"
need skopeo base64 mount
ROWS=$(dirname "$0")/auth-order.rows
HOSTS="h.io g.io sub.h.io quay.io registry-1.docker.io"

printf '127.0.0.1 localhost\n127.0.0.1 %s\n' "$HOSTS" >"$T/hosts"
mount --bind "$T/hosts" /etc/hosts
mount -t tmpfs tmpfs /run
start_process "$T/who" "$TOOLS/whoserver" 80 5000
wait_until 20 listens_or_died "$T/who" listening
grep -q listening "$T/who" || fail "no server: $(cat "$T/who")"
unset XDG_CONFIG_HOME
export PATH=$T/bin:$PATH
UID_=$(id -u)
rows=0 differing=0

# ---- one row ---------------------------------------------------------------------------------

begin_row() {
    name=$1 image=h.io/team/app:1 winner='' witness='' flags=()
    rm -rf "${T:?}/row" "$T/bin" /run/containers
    mkdir -p "$T/row/home" "$T/row/run" "$T/bin"
    environment=("HOME=$T/row/home" "XDG_RUNTIME_DIR=$T/row/run")
}

put_file() {
    local path=${1%% *} text=${1#"${1%% *}"} user
    text=${text# } path=${path//@UID/$UID_}
    while [[ $text =~ \<([a-z])\> ]]; do
        user=${BASH_REMATCH[1]}
        text=${text//"<$user>"/"\"auth\":\"$(printf '%s:hunter2' "$user" | base64)\""}
    done
    case $path in /*) ;; *) path=$T/row/$path ;; esac
    mkdir -p "$(dirname "$path")"
    printf '%s' "$text" >"$path"
}

# The first word is a name; the rest what it answers.
put_helper() {
    local file=$T/bin/docker-credential-${1%% *} answer=${1#* }
    {
        printf '#!/bin/sh\nread -r host\n'
        case $answer in
        none) echo 'echo credentials not found in native keychain; exit 1' ;;
        fail) echo 'echo the keyring is locked; exit 1' ;;
        only\ *)
            printf '[ "$host" = "%s" ] || { echo credentials not found in native keychain; exit 1; }\n' \
                "${answer#only }"
            echo "echo '{\"Username\":\"u\",\"Secret\":\"hunter2\"}'"
            ;;
        *) printf 'cat <<END\n%s\nEND\n' "${answer//"{host}"/'$host'}" ;;
        esac
    } >"$file"
    chmod +x "$file"
}

# who PROGRAM...: what the registry saw of it, into $seen.
who() {
    local before
    before=$(wc -l <"$T/who")
    run env "${environment[@]}" "$@"
    [ "$status" -ne 0 ] || fail "$name: an image that is not there was found"
    seen=$(tail -n "+$((before + 1))" "$T/who" | sort -u)
    [ -n "$seen" ] || seen=refusal
}

end_row() {
    [ -n "${name:-}" ] || return 0
    [ -n "$winner" ] || fail "$name: no winner"
    rows=$((rows + 1))
    who "$MIRROR" inspect --debug --retry-times 0 --tls-verify=false "${flags[@]}" "docker://$image"
    expect_equal "$winner" "$seen" "$name, mirror"
    # The password, what it is in base64 behind "u:" for any u, and the identity token.
    expect_lacks "$err" hunter2 dW50ZXIy idt
    [ "$winner" != refusal ] || expect_contains "$err" credentials:
    who skopeo --debug inspect --raw --tls-verify=false "${flags[@]}" "docker://$image"
    expect_equal "${witness:-$winner}" "$seen" "$name, skopeo"
    [ -z "$witness" ] || differing=$((differing + 1))
}

# ---- all of them -----------------------------------------------------------------------------

while read -r word rest; do
    rest=${rest//@D/$T/row}
    case $word in
    '' | '#'*) ;;
    row) end_row && begin_row "$rest" ;;
    image) image=$rest ;;
    file) put_file "$rest" ;;
    env) environment+=("$rest") ;;
    unset) environment=(-u "$rest" "${environment[@]/#$rest=*/A=}") ;;
    flag) read -ra more <<<"$rest" && flags+=("${more[@]}") ;;
    helper) put_helper "$rest" ;;
    winner) winner=$rest ;;
    skopeo) witness=$rest ;;
    *) fail "$ROWS: what is \"$word\"?" ;;
    esac
done <"$ROWS"
end_row
[ "$rows" -ge 40 ] || fail "only $rows rows were read"
echo "$rows rows, of which skopeo sees $differing otherwise"
