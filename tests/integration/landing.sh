#!/bin/bash
# Where images land in a registry, and under which tags.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry

N=registry.example.invalid
images "$T/plain" plain >"$T/names"
images "$T/other" plain --seed 70 >/dev/null
start_registry; A=$REGISTRY
start_registry; B=$REGISTRY
push_layout "$T/plain" "$A"
app=$(image_digest "$T/plain" "$N/team/app:1")
app2=$(image_digest "$T/plain" "$N/team/app:2")
base=$(image_digest "$T/plain" "$N/base:1")
pinned=pinned-$(echo "$app" | cut -c 8-23)

tags() { registry_tags "$B/$1" | paste -sd ' '; }
is() { expect_equal "$3" "$(registry_digest "$B/$1" "$2")" "$1:$2"; }

# One source and a destination without a slash at the end is exact.
expect_status 0 mirror copy "docker://$A/team/app:1" "docker://$B/exact/name:tag"
expect_equal tag "$(tags exact/name)"
is exact/name tag "$app"
expect_status 0 mirror copy "docker://$A/team/app:1" "docker://$B/exact/same-tag"
expect_equal 1 "$(tags exact/same-tag)"
expect_status 0 mirror copy "docker://$A/team/app:1@$app" "docker://$B/exact/both"
expect_equal 1 "$(tags exact/both)"
expect_status 0 mirror copy "docker://$A/team/app@$app" "docker://$B/exact/by-digest"
expect_equal "$pinned" "$(tags exact/by-digest)"
is exact/by-digest "$pinned" "$app"
expect_status 0 mirror copy --no-digest-tags "docker://$A/team/app@$app" "docker://$B/exact/bare"
expect_equal '' "$(tags exact/bare)"
is exact/bare "$app" "$app"

# Several sources, or a slash at the end: a prefix under which the source path is kept.
expect_status 0 mirror copy "docker://$A/team/app:1" "docker://$B/slash/"
is slash/team/app 1 "$app"
expect_status 0 mirror copy "docker://$A/team/app:1" "docker://$A/team/app:2" \
    "docker://$A/base:1" "docker://$B/several"
is several/team/app 1 "$app"
is several/team/app 2 "$app2"
is several/base 1 "$base"
expect_status 0 mirror copy "docker://$A/team/app:1" "docker://$B/"
is team/app 1 "$app"

# A layout's images by their names; with the host kept; not too deep.
expect_status 0 mirror copy --keep-host "oci:$T/plain" "docker://$B/hosts/"
is "hosts/$N/team/app" 1 "$app"
is "hosts/$N/base" 1 "$base"
expect_status 0 mirror copy --max-depth 2 "oci:$T/plain" "docker://$B/deep/"
is deep/team-app 2 "$app2"
is deep/base 1 "$base"
expect_status 0 mirror copy --keep-host --max-depth 3 "oci:$T/plain" "docker://$B/deep/"
is "deep/$N/team-app" 1 "$app"

# Two contents for one name are refused before anything moves.
"$TOOLS/mkimages" "$T/clash" plain --seed 71 >/dev/null
run mirror copy "oci:$T/plain" "oci:$T/clash" "docker://$B/clash/"
[ "$status" -ne 0 ] || fail "two images on one name were accepted"
expect_contains "$err" "$B/clash/"
expect_equal '' "$(web "http://$B/v2/_catalog?n=1000" | jq -r '.repositories[]' | grep ^clash || true)" \
    "what moved in spite of the clash"
# The same content twice is no clash.
expect_status 0 mirror copy "oci:$T/plain" "docker://$A/base:1" "docker://$B/twice/"
is twice/base 1 "$base"

# Mapping lines of oc image mirror: their destinations are exact; comments; standard input.
cat >"$T/lines" <<END
# comment
$A/team/app:1=$B/map/equals:x
$A/team/app:2 $B/map/blank   # two words
$A/base@$base $B/map/one:a $B/map/two:b
END
expect_status 0 mirror copy --file "$T/lines"
is map/equals x "$app"
is map/blank 2 "$app2"
is map/one a "$base"
is map/two b "$base"
expect_status 0 sh -c "printf '%s\n' '$A/base:1' 'docker://$A/team/app:1' |
    '$MIRROR' copy --file - docker://$B/stdin/"
is stdin/base 1 "$base"
is stdin/team/app 1 "$app"
