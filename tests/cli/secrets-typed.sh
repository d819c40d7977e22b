#!/bin/bash
# Passwords are typed with echo off, or come from standard input; the terminal is as it was on every
# way out; one thing at a time reads standard input; and what stood on the command line is not to be
# seen there.
. "$(dirname "$0")/../lib/test.sh"
images "$T/plain" plain >/dev/null
start_registry --htpasswd
CURL=(-u pilot:secret) SCHEME=http
push_layout "$T/plain" "$REGISTRY"
image=docker://$REGISTRY/team/app:1

# typed WANT [ANSWER PROMPT TEXT]... -- CMD...; nothing that is secret is on the terminal.
typed() {
    local want=$1
    shift
    expect_status "$want" "$TOOLS/ptyrun" --shown "$T/shown" "$@"
    [ ! -e "$T/shown" ] || expect_lacks "$T/shown" secret
    expect_lacks "$err" secret
}
inspect=("$MIRROR" inspect --retry-times 0 --creds)

# ---- typed
typed 0 echo 'User (--creds): ' pilot hidden 'Password of pilot (--creds): ' secret -- \
    "${inspect[@]}" - "$image"
expect_contains "$out" team/app:1
expect_contains "$T/shown" pilot
typed 0 hidden 'Password of pilot' secret -- "${inspect[@]}" pilot "$image"
typed 1 hidden 'Password of pilot' wrong -- "${inspect[@]}" pilot "$image"
expect_contains "$err" 401
typed 0 -- "${inspect[@]}" pilot:secret "$image"
typed 1 -- "${inspect[@]}" pilot: "$image"
# Both sides ask, one after the other.
typed 0 hidden 'pilot (--src-creds)' secret hidden 'pilot (--dest-creds)' secret -- \
    "$MIRROR" copy --src-creds pilot --dest-creds pilot "$image" "docker://$REGISTRY/typed/"

# ---- and not typed after all
typed 1 key 'Password of' ^C -- "${inspect[@]}" pilot "$image"
expect_contains "$err" 'stopped by the user'
typed 1 key 'User (' ^C -- "${inspect[@]}" - "$image"
typed 1 signal 'Password of' TERM -- "${inspect[@]}" pilot "$image"
typed 1 signal 'Password of' HUP -- "${inspect[@]}" pilot "$image"
typed 2 key 'Password of' ^D -- "${inspect[@]}" pilot "$image"
expect_contains "$err" 'it is empty'
typed 2 hidden 'Password of' '' -- "${inspect[@]}" pilot "$image"
# Keys that would leave a terminal without echo behind are keys like others.
typed 1 key 'Password of' ^Z key '' ^\\ key '' ^C -- "${inspect[@]}" pilot "$image"

# ---- standard input
printf 'pilot:secret\nnot read\n' >"$T/pair"
printf 'secret\r\n' >"$T/password"
expect_status 0 mirror inspect --creds - "$image" <"$T/pair"
expect_status 0 mirror inspect --creds pilot "$image" <"$T/password"
expect_status 0 mirror copy --dest-creds - --src-creds pilot:secret "$image" \
    "docker://$REGISTRY/piped/" <"$T/pair"
refused() {
    local text=$1
    shift
    expect_status 2 mirror "$@"
    expect_contains "$err" "$text"
    expect_lacks "$err" secret
}
refused 'not USER:PASS' inspect --creds - "$image" <"$T/password"
refused 'it is empty' inspect --creds - "$image" </dev/null
refused 'no user name' inspect --creds '' "$image" </dev/null
head -c 70000 /dev/zero | tr '\0' x >"$T/long"
expect_status 1 mirror inspect --creds pilot "$image" <"$T/long"
expect_contains "$err" 'limit of 65536'
head -c 10 /dev/zero >"$T/nul"
expect_status 1 mirror inspect --creds pilot "$image" <"$T/nul"
expect_contains "$err" NUL
expect_status 1 mirror inspect --creds pilot "$image" <&-
# One thing reads it.
refused 'serve both --src-creds and --dest-creds' copy --src-creds - --dest-creds pilot "$image" \
    "docker://$REGISTRY/x/" <"$T/pair"
refused 'serve both --file - and --src-creds' copy --file - --src-creds pilot "$image" \
    "docker://$REGISTRY/x/" <"$T/pair"
refused 'serve both bundle:- and --dest-creds' copy --dest-creds - bundle:- \
    "docker://$REGISTRY/x/" <"$T/pair"
refused 'serve both bundle:- and --creds' inspect --creds - bundle:- <"$T/pair"
refused 'serve both --file - and bundle:-' copy --file - bundle:- "oci:$T/x" <"$T/pair"

# ---- the list of processes: a copy that waits for its bundle to come
mkfifo "$T/bundle"
"$MIRROR" copy --src-creds pilot:s3cr3t --dest-creds=pilot:s3cr3t bundle:- \
    "docker://$REGISTRY/slow/" <"$T/bundle" >/dev/null 2>&1 &
PROCESS=$!
STARTED+=("$PROCESS")
exec 7>"$T/bundle"
hidden() {
    tr '\0' ' ' <"/proc/$PROCESS/cmdline" | grep -q 'pilot:\*\*\*\*\*\* --dest-creds=pilot:\*\*\*\*\*\* bundle:-'
}
wait_until 10 hidden
exec 7>&-
wait "$PROCESS" || true
