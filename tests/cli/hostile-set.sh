#!/bin/bash
# The list of what hostile servers are played by the tests is true: each test is there, once.
. "$(dirname "$0")/../lib/test.sh"
LIST=$ROOT/tests/hostile-set

grep -vE '^(#|$)' "$LIST" >"$T/cases"
while read -r program test what; do
    [ -n "$what" ] || fail "$program $test: no word of what it is"
    grep -qF "cmocka_unit_test($test)" "$ROOT/tests/$program.c" || fail "$program has no test $test"
done <"$T/cases"
expect_equal '' "$(awk '{print $2}' "$T/cases" | sort | uniq -d)" "cases that are listed twice"
[ "$(wc -l <"$T/cases")" -ge 30 ] || fail "fewer than 30 cases"

# No test of a program that plays nothing else is missing.
for program in "$ROOT"/tests/protocol/access_hostile*.c; do
    name=protocol/$(basename "$program" .c)
    sed -n 's/.*cmocka_unit_test(\(.*\)),.*/\1/p' "$program" >"$T/tests"
    while read -r test; do
        grep -q "^$name $test " "$T/cases" || echo "$name $test"
    done <"$T/tests" >"$T/missing"
    case $name in
    protocol/access_hostile_body) grep -vE 'still_of_use|after_a_pause|as_slow_as_the_limit' "$T/missing" >"$T/left" || true ;;
    *) cp "$T/missing" "$T/left" ;;
    esac
    expect_equal '' "$(cat "$T/left")" "tests that are not listed"
done
