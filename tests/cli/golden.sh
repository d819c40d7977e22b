#!/bin/bash
# The node files are exact to the byte: our own cases (tests/golden/node-config, one for each rule),
# and, where they are at hand beside the checkout, those taken from the operator itself.
#
# A case is a folder: in/ holds the objects, expect/ the files; expect/error.txt stands for "rejected,
# nothing written", expect/warnings.txt (own cases) for texts that the warnings contain. Base files of
# its own are in/base-registries.conf and in/base-policy.json; a file "ocp" (own cases) names the
# generation, else it is the current one.
. "$(dirname "$0")/../lib/test.sh"

OWN=$ROOT/tests/golden/node-config
SHARED=${MIRROR_GOLDEN:-$ROOT/../shared/golden}
passed=0

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

# The arguments for a case: its objects by name in byte order, and its base files.
case_arguments() {
    local case=$1 file
    arguments=()
    for file in "$case"/in/*; do
        case $file in
        */base-registries.conf) arguments+=(--base-registries-conf "$file") ;;
        */base-policy.json) arguments+=(--base-policy "$file") ;;
        *) arguments+=("$file") ;;
        esac
    done
}

# run_case CASE GENERATION
run_case() {
    local case=$1 generation=$2 arguments
    case_arguments "$case"
    rm -rf "$T/node"
    run mirror node-config --ocp "$generation" --output-dir "$T/node" "${arguments[@]}"
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

LC_ALL=C
for case in "$OWN"/*/; do
    generation=current
    [ ! -e "${case}ocp" ] || generation=$(cat "${case}ocp")
    run_case "${case%/}" "$generation"
    check_warnings "${case%/}"
    [ -e "$case/expect/error.txt" ] && expect_contains "$err" "$(cat "$case/expect/error.txt")"
    passed=$((passed + 1))
done
[ "$passed" -ge 100 ] || fail "only $passed cases of our own"
echo "$passed cases of our own"

if [ ! -d "$SHARED/node-config" ]; then
    echo "the operator's cases are not at hand: $SHARED is missing"
    exit 0
fi

# run_set FOLDER GENERATION AT_LEAST
run_set() {
    local case
    passed=0
    for case in "$SHARED/$1"/*/; do
        run_case "${case%/}" "$2"
        passed=$((passed + 1))
    done
    [ "$passed" -ge "$3" ] || fail "$1: only $passed cases ran"
    echo "$1: $passed cases"
}

run_set node-config current 100
run_set node-config-random current 100
for generation in 4.6 4.10 4.12 4.14 4.18; do
    run_set "node-config-ocp/$generation" "$generation" 70
done
