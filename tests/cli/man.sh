#!/bin/bash
# The man pages and --help agree: every option of a command is in its page and the other way round,
# every page has its sections, and mandoc finds nothing wrong.
. "$(dirname "$0")/../lib/test.sh"
need mandoc
PAGES=$ROOT/docs/man
COMMON='--debug --help --verbose'

# Option names that a help text declares, one per line.
help_options() {
    "$MIRROR" "$1" --help | sed -nE 's/^  (-[a-zA-Z], |    )(--[a-z][a-z0-9-]*).*/\2/p' | sort -u
}
# Option names at the head of a .TP paragraph below OPTIONS.
page_options() {
    sed -n '/^\.SH OPTIONS/,/^\.SH EXIT/p' "$1" | sed -n '/^\.TP/{n;p}' | sed 's/\\-/-/g' |
        grep -oE -e '--[a-z][a-z0-9-]*' | sort -u
}

expect_status 0 mirror --help
commands=$(sed -nE 's/^  ([a-z][a-z-]*)  .*/\1/p' "$out")
for command in copy emit-icsp node-config serve verify resolve check inspect diff receipt merge; do
    expect_contains <(echo "$commands") "$command"
done

for command in $commands; do
    own=$(comm -23 <(help_options "$command") <(tr ' ' '\n' <<<"$COMMON"))
    page=$PAGES/mirror-$command.1
    sed 's/\\-/-/g' "$PAGES/mirror.1" >"$T/overview"
    expect_contains "$T/overview" "mirror $command"
    if [ ! -e "$page" ]; then
        expect_equal '' "$own" "options of $command, which has no page"
        continue
    fi
    diff <(echo "$own") <(page_options "$page") >"$T/diff" || {
        cat "$T/diff" >&2
        fail "--help (<) and $page (>) do not agree"
    }
done
expect_equal "$COMMON" "$(page_options "$PAGES/mirror.1" | paste -sd ' ')" "options in mirror.1"

for page in "$PAGES"/*.1; do
    for section in NAME SYNOPSIS DESCRIPTION OPTIONS 'EXIT STATUS' FILES ENVIRONMENT EXAMPLES; do
        grep -qx "\.SH \"\?$section\"\?" "$page" || fail "$page has no section $section"
    done
    # Warnings too; the style level has opinions about things that are not wrong.
    expect_status 0 mandoc -T lint -W warning "$page"
    expect_contains "$page" "$("$MIRROR" version | sed -n '1s/^mirror /mirror /p')"
done
