#!/bin/bash
# "mirror completion bash" prints a completion that bash takes, and that knows commands and flags.
. "$(dirname "$0")/../lib/test.sh"

expect_status 0 mirror completion bash
cp "$out" "$T/completion"
bash -n "$T/completion"

# What bash would offer after some words; the last one may be unfinished.
offers() {
    bash --norc -c '
        . "$1"
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
        COMPREPLY=()
        spec=$(complete -p mirror) || exit 1
        function=$(sed -n "s/.*-F \([^ ]*\).*/\1/p" <<<"$spec")
        "$function" mirror "${@: -1}" "${*: -2:1}"
        printf "%s\n" "${COMPREPLY[@]}" | sed "s/ *$//" | sort' offers "$T/completion" "$@"
}

offers mirror '' >"$T/got"
for command in copy emit-icsp node-config serve verify resolve check inspect diff receipt merge; do
    expect_line "$T/got" "$command"
done
offers mirror ins >"$T/got"
expect_equal inspect "$(cat "$T/got")"

# After a command: exactly its flags.
for command in copy emit-icsp node-config serve verify resolve check inspect diff receipt merge; do
    "$MIRROR" "$command" --help |
        sed -nE 's/^  (-[a-zA-Z], |    )(--[a-z][a-z0-9-]*).*/\2/p' | sort -u >"$T/want"
    offers mirror "$command" -- >"$T/got"
    expect_same "$T/want" "$T/got"
done

wrong_shell() {
    expect_status 2 mirror completion "$@"
}
wrong_shell tcsh
