#!/bin/bash
# The node files are exact to the byte: our own cases (tests/golden/node-config, one for each rule),
# and, where they are at hand beside the checkout, those taken from the operator itself.
#
# A case is a folder: in/ holds the objects, expect/ the files; expect/error.txt stands for "rejected,
# nothing written", expect/warnings.txt (own cases) for texts that the warnings contain.
. "$(dirname "$0")/../lib/test.sh"

OWN=$ROOT/tests/golden/node-config
SHARED=${MIRROR_GOLDEN:-$ROOT/../shared/golden}
passed=0 left_out=0

# The path on a node of a file in expect/.
node_path() {
    case $1 in
    crio-policies/*) echo "etc/crio/policies/${1#crio-policies/}" ;;
    certs.d/*) echo "etc/docker/$1" ;;
    *) echo "etc/containers/$1" ;;
    esac
}

expected_tree() {
    local case=$1 file
    rm -rf "$T/expect"
    mkdir "$T/expect"
    while IFS= read -r file; do
        case $file in error.txt | warnings.txt) continue ;; esac
        install -D -m 0644 "$case/expect/$file" "$T/expect/$(node_path "$file")"
    done < <(cd "$case/expect" && find . -type f -printf '%P\n')
}

run_case() {
    local case=$1 text
    rm -rf "$T/node"
    run mirror node-config --output-dir "$T/node" "$case/in"
    if [ -e "$case/expect/error.txt" ]; then
        [ "$status" -eq 1 ] || fail "$case: should be rejected: $(head -n 1 "$case/expect/error.txt")"
        expect_missing "$T/node"
        return
    fi
    [ "$status" -eq 0 ] || fail "$case: rejected"
    expected_tree "$case"
    diff -r "$T/expect" "$T/node" >"$T/diff" || {
        cat "$T/diff"
        fail "$case: expected (<) and written (>) differ"
    }
}

check_warnings() {
    local case=$1 text
    [ -e "$case/expect/warnings.txt" ] || return 0
    while IFS= read -r text; do expect_contains "$err" "$text"; done <"$case/expect/warnings.txt"
}

for case in "$OWN"/*/; do
    run_case "${case%/}"
    check_warnings "${case%/}"
    [ -e "$case/expect/error.txt" ] && expect_contains "$err" "$(cat "$case/expect/error.txt")"
    passed=$((passed + 1))
done
[ "$passed" -ge 15 ] || fail "only $passed cases of our own"
echo "$passed cases of our own"

if [ ! -d "$SHARED/node-config" ]; then
    echo "the operator's cases are not at hand: $SHARED is missing"
    exit 0
fi
for set in node-config node-config-random; do
    passed=0 left_out=0
    for case in "$SHARED/$set"/*/; do
        # Base files of the user's own are not read yet.
        if compgen -G "${case}in/base-*" >/dev/null; then
            left_out=$((left_out + 1))
            continue
        fi
        run_case "${case%/}"
        passed=$((passed + 1))
    done
    [ "$passed" -ge 100 ] || fail "$set: only $passed cases ran"
    echo "$set: $passed cases, $left_out left out"
done
