#!/bin/bash
# The TOML reader against the TOML project's own suite, where it is at hand beside the checkout: every
# valid document is read to the meaning beside it, every invalid one is refused with line and column.
# Before that: the tool that compares would notice a difference.
. "$(dirname "$0")/../lib/test.sh"

SUITE=${MIRROR_GOLDEN:-$ROOT/../shared/golden}/toml-test
cd "$T"

cat >all.toml <<'END'
s = "a\u0000b"
n = [-1, 0x10, 1.5, -0.0, inf, true]
t = [1979-05-27T07:32:00.5-07:00, 1979-05-27 07:32:00Z, 1979-05-27T07:32:00, 1979-05-27, 07:32:00]
x.y = {}
END
cat >all.json <<'END'
{"s": {"type": "string", "value": "a\u0000b"},
 "n": [{"type": "integer", "value": "-1"}, {"type": "integer", "value": "16"},
       {"type": "float", "value": "1.50"}, {"type": "float", "value": "-0"},
       {"type": "float", "value": "+inf"}, {"type": "bool", "value": "true"}],
 "t": [{"type": "datetime", "value": "1979-05-27t07:32:00.500000-07:00"},
       {"type": "datetime", "value": "1979-05-27T07:32:00Z"},
       {"type": "datetime-local", "value": "1979-05-27 07:32:00"},
       {"type": "date-local", "value": "1979-05-27"}, {"type": "time-local", "value": "07:32:00"}],
 "x": {"y": {}}}
END
expect_status 0 "$TOOLS/toml2json" --expect all.json all.toml
expect_contains "$out" '1 hold, 0 do not'

# Each of these edits changes the meaning.
for edit in 's/u0000b/u0000c/' 's/"-1"/"1"/' 's/"-0"/"0"/' 's/1\.50/1.51/' 's/+inf/-inf/' 's/true/false/' \
    's/integer/float/' 's/\.500000/.500001/' 's/-07:00/+07:00/' 's/datetime-local/datetime/' \
    's/"y": {}/"y": []/' 's/"y": {}/"z": {}/' 's/"x": {"y": {}}/"x": {"y": {}, "z": {}}/' \
    's/32:00"}\],/32:00"}, {}],/' 's/1979-05-27"/1979-05-28"/'; do
    sed "$edit" all.json >edited.json
    cmp -s all.json edited.json && fail "the edit $edit changes nothing"
    expect_status 1 "$TOOLS/toml2json" --expect edited.json all.toml all.json all.toml
    expect_contains "$out" '1 hold, 1 do not' 'all.toml: read as'
done

printf 'a = 1\nb = \n' >wrong.toml
expect_status 0 "$TOOLS/toml2json" --refused wrong.toml
expect_status 1 "$TOOLS/toml2json" --refused wrong.toml all.toml
expect_contains "$out" '1 hold, 1 do not' 'all.toml: was taken'
expect_status 1 "$TOOLS/toml2json" --expect all.json wrong.toml
expect_contains "$out" "wrong.toml:2:5: expected a value, found the end of the line"
expect_status 1 "$TOOLS/toml2json" --expect all.json missing.toml

[ -d "$SUITE" ] || skip "the TOML project's suite is not at hand: $SUITE is missing"

mapfile -t valid < <(find "$SUITE/valid" -name '*.toml' | sort)
mapfile -t invalid < <(find "$SUITE/invalid" -name '*.toml' | sort)
[ "${#valid[@]}" -ge 200 ] || fail "only ${#valid[@]} valid documents"
[ "${#invalid[@]}" -ge 400 ] || fail "only ${#invalid[@]} invalid documents"

pairs=()
for document in "${valid[@]}"; do pairs+=("${document%.toml}.json" "$document"); done
expect_status 0 "$TOOLS/toml2json" --expect "${pairs[@]}"
expect_contains "$out" "${#valid[@]} hold, 0 do not"
expect_status 0 "$TOOLS/toml2json" --refused "${invalid[@]}"
expect_contains "$out" "${#invalid[@]} hold, 0 do not"
echo "toml-test: ${#valid[@]} valid and ${#invalid[@]} invalid documents"
