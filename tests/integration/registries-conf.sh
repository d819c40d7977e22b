#!/bin/bash
# Sources come from where registries.conf has them: mirrors in order, for tags or digests, blocked and
# insecure places, drop-ins; names stay those of the source. skopeo asks the same places.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry skopeo jq

N=registry.example.invalid
images "$T/plain" plain >/dev/null
app=$(image_digest "$T/plain" "$N/team/app:1")
start_registry; A=$REGISTRY A_LOG=$REGISTRY_LOG
start_registry; B=$REGISTRY B_LOG=$REGISTRY_LOG
push_layout "$T/plain" "$A/one"
push_layout "$T/plain" "$B/two"
conf=$T/registries.conf
no_drop_ins=--registries-conf-dir=

# table NAME LOCATION[;LINE...]: one table, with further lines
table() {
    local location=${2%%;*}
    printf '[[%s]]\nlocation = "%s"\n' "$1" "$location"
    [ "$location" = "$2" ] || tr ';' '\n' <<<"${2#*;}"
}
# entry LOCATION[;LINE...] MIRROR[;LINE...]...: a registry and its mirrors
entry() {
    local mirror
    table registry "$1"
    shift
    for mirror; do table registry.mirror "$mirror"; done
}
write() {
    entry "$@" >"$conf"
}
copy() {
    local want=$1
    shift
    rm -f "$T/b.tar"
    expect_status "$want" mirror copy --retry-times 0 --registries-conf "$conf" $no_drop_ins "$@"
}
served_by() {
    jq -r '.images[0].servedBy // "-"' "$T/report"
}
get() {
    copy 0 --report "$T/report" --mapping "$T/map" "$1" "bundle:$T/b.tar"
}

# ---- a name that resolves nowhere, by tag and by digest; all names stay the source's
write "$N" "$A/one"
get "docker://$N/team/app:1"
expect_equal "$A/one/team/app" "$(served_by)" 'served by'
expect_equal "$N/team/app:1@$app" "$(jq -r '.images[0].image' "$T/report")" 'name in the report'
expect_equal "$N/team/app:1@$app=bundle:$T/b.tar" "$(cat "$T/map")" mapping
expect_status 0 mirror verify "bundle:$T/b.tar"
expect_status 0 mirror inspect --json "bundle:$T/b.tar"
expect_equal "$N/team/app:1@$app" "$(jq -r '.images[0].image' "$out")" 'name in the bundle'
get "docker://$N/team/app@$app"
expect_equal "$A/one/team/app" "$(served_by)" 'served by'
cp "$T/b.tar" "$T/by-digest.tar"
expect_status 0 mirror inspect --registries-conf "$conf" $no_drop_ins "docker://$N/team/app@$app"
expect_status 0 mirror diff --registries-conf "$conf" $no_drop_ins --exit-code \
    "docker://$N/team/app@$app" "bundle:$T/by-digest.tar"
expect_status 1 mirror inspect --retry-times 0 --no-registries-conf "docker://$N/team/app@$app"

# ---- registry to registry, by the names of the source
copy 0 "docker://$N/team/app:1" "docker://$B/landed/"
fetch_compare "$A/one/team/app" "$B/landed/team/app" "$app"

# ---- the first that has it serves all of it
write "$N" "$A/nothing" "$B/two" "$A/one"
before=$(registry_requests "$A_LOG" 'GET /v2/one/')
get "docker://$N/team/app@$app"
expect_equal "$B/two/team/app" "$(served_by)" 'served by'
expect_equal "$before" "$(registry_requests "$A_LOG" 'GET /v2/one/')" 'requests to the third place'
# ... also where nobody listens at the first
write "$N" 127.0.0.1:1/x "$B/two"
get "docker://$N/team/app:1"
expect_equal "$B/two/team/app" "$(served_by)" 'served by'
# ... and the source itself comes last, and is not named.
write "$A/one" "$B/nothing"
get "docker://$A/one/team/app:1"
expect_equal - "$(served_by)" 'served by'
[ "$(registry_requests "$B_LOG" 'GET /v2/nothing/team/app/manifests/')" -ge 1 ] || fail 'the mirror was not asked'

# ---- when none has it, the error has all of them
write "$N/team" "$A/nothing" "$B/void"
copy 1 "docker://$N/team/app:1" "bundle:$T/b.tar"
expect_contains "$err" "$N/v2/team/app/manifests/1" 'before that: ' "$A/v2/nothing/app/manifests/1" "$B/v2/void/app/manifests/1"
expect_missing "$T/b.tar"

# ---- mirrors for digests, for tags
write "$N" "$A/one;pull-from-mirror = \"digest-only\"" "$B/two;pull-from-mirror = \"tag-only\""
get "docker://$N/team/app@$app"
expect_equal "$A/one/team/app" "$(served_by)" 'by digest'
get "docker://$N/team/app:1"
expect_equal "$B/two/team/app" "$(served_by)" 'by tag'
get "docker://$N/team/app:1@$app"
expect_equal "$A/one/team/app" "$(served_by)" 'by both'

# ---- several images, one of which only a later place has
push_layout "$T/plain" "$A/part" "$N/team/app:1"
other=$(jq -r '.manifests[].annotations["org.opencontainers.image.ref.name"]' "$T/plain/index.json" |
    grep -v "^$N/team/app:1$" | head -n 1)
write "$N" "$A/part" "$B/two"
copy 0 --report "$T/report" "docker://$N/team/app:1" "docker://$other" "bundle:$T/b.tar"
expect_equal "$A/part/team/app" "$(served_by)" 'the one'
expect_contains <(jq -r '.images[1].servedBy' "$T/report") "$B/two/"

# ---- blocked: names file and entry; a mirror of a blocked registry serves
write "$A/one;blocked = true"
copy 1 "docker://$A/one/team/app:1" "bundle:$T/b.tar"
expect_contains "$err" "$A/one/team/app:1 is blocked by \"$A/one\" in $conf:1" --no-registries-conf
copy 0 "docker://$B/two/team/app:1" "bundle:$T/b.tar"
write "$A/one;blocked = true" "$B/two"
get "docker://$A/one/team/app:1"
expect_equal "$B/two/team/app" "$(served_by)" 'mirror of a blocked registry'
write "$N" "$A/one" "$B/two"
entry "$A;blocked = true" >>"$conf"
get "docker://$N/team/app:1"
expect_equal "$B/two/team/app" "$(served_by)" 'a blocked mirror is passed over'

# ---- insecure: 0.0.0.0 is this machine, and no loopback name, so http needs the word
I=0.0.0.0:${A##*:}
write "$N" "$I/one"
copy 1 "docker://$N/team/app:1" "bundle:$T/b.tar"
write "$N" "$I/one;insecure = true"
get "docker://$N/team/app:1"
expect_equal "$I/one/team/app" "$(served_by)" 'an insecure mirror'
copy 1 --src-tls-verify=true "docker://$N/team/app:1" "bundle:$T/b.tar"
write "$I;insecure = true"
get "docker://$I/one/team/app:1"

# ... and https without a certificate that anybody knows
start_registry --tls; K=0.0.0.0:${REGISTRY##*:}
CURL=(--cacert "$T/ca.crt") SCHEME=https
push_layout "$T/plain" "$REGISTRY/four" "$N/team/app:1"
CURL=() SCHEME=http
write "$N" "$K/four"
copy 1 "docker://$N/team/app:1" "bundle:$T/b.tar"
write "$N" "$K/four;insecure = true"
get "docker://$N/team/app:1"
expect_equal "$K/four/team/app" "$(served_by)" 'an insecure mirror with TLS'

# ---- destinations: their entry's own flags, not its mirrors
write "$I;insecure = true"
copy 0 "docker://$A/one/team/app:1" "docker://$I/insecure/"
fetch_compare "$A/one/team/app" "$A/insecure/one/team/app" "$app"
write "$N"
copy 1 "docker://$A/one/team/app:1" "docker://$I/refused/"
write "$B/closed;blocked = true" "$A/open"
copy 1 "docker://$A/one/team/app:1" "docker://$B/closed/"
expect_contains "$err" "$B/closed/one/team/app is blocked by \"$B/closed\" in $conf:1"
write "$B" "$A/open"
copy 0 "docker://$A/one/team/app:1" "docker://$B/own/"
fetch_compare "$A/one/team/app" "$B/own/one/team/app" "$app"
expect_equal 0 "$(registry_requests "$A_LOG" '[A-Z]+ /v2/open/')" 'requests to the mirror of a destination'

# ---- where the files are: environment, home, drop-ins, none
write "$N" "$A/one"
rm -f "$T/b.tar"
CONTAINERS_REGISTRIES_CONF=$conf expect_status 0 mirror copy --retry-times 0 \
    "docker://$N/team/app:1" "bundle:$T/b.tar"
mkdir -p "$HOME/.config/containers/registries.conf.d"
cp "$conf" "$HOME/.config/containers/registries.conf"
rm -f "$T/b.tar"
expect_status 0 mirror copy --retry-times 0 "docker://$N/team/app:1" "bundle:$T/b.tar"
write "$N" "$B/two"
cp "$conf" "$HOME/.config/containers/registries.conf.d/50-near.conf"
rm -f "$T/b.tar"
expect_status 0 mirror copy --retry-times 0 --report "$T/report" "docker://$N/team/app:1" "bundle:$T/b.tar"
expect_equal "$B/two/team/app" "$(served_by)" 'a drop-in replaces an entry'
expect_status 1 mirror copy --retry-times 0 --no-registries-conf "docker://$N/team/app:1" "bundle:$T/c.tar"

# ---- a file that is no good is an error that names it, unless nobody wants it
echo 'location =' >"$HOME/.config/containers/registries.conf.d/99-bad.conf"
expect_status 2 mirror copy "docker://$N/team/app:1" "bundle:$T/c.tar"
expect_contains "$err" "$HOME/.config/containers/registries.conf.d/99-bad.conf:1:" --no-registries-conf
expect_status 0 mirror copy --no-registries-conf "docker://$A/one/team/app:1" "bundle:$T/c.tar"
rm -f "$T/c.tar"
expect_status 0 mirror copy "bundle:$T/b.tar" "bundle:$T/c.tar" # no registry, no registries.conf
rm -r "$HOME/.config"
printf '[registries.block]\nregistries = ["%s"]\n' "$A" >"$conf"
copy 1 "docker://$A/one/team/app:1" "bundle:$T/b.tar"
expect_contains "$err" "is blocked by \"$A\" in $conf:2"
printf '[[registry]]\nlocation = "q.io"\n' >>"$conf"
copy 2 "docker://$A/one/team/app:1" "bundle:$T/b.tar"
expect_contains "$err" "$conf: versions 1"
expect_status 2 mirror copy --registries-conf "$T/none" "docker://$N/a:1" "bundle:$T/b.tar"
expect_contains "$err" "$T/none"
expect_status 2 mirror copy --registries-conf "$conf" --no-registries-conf "docker://$N/a:1" "bundle:$T/b.tar"
write "$N/team/app" "$A"
copy 1 "docker://$N/team/app:1" "bundle:$T/b.tar"
expect_contains "$err" "$conf:3: location \"$A\" makes \"$A:1\", which is no image reference"

# ---- credentials: those of the command line are not for mirrors; auth files are
need htpasswd
start_registry --htpasswd; C=$REGISTRY C_LOG=$REGISTRY_LOG
CURL=(-u pilot:secret)
push_layout "$T/plain" "$C/three" "$N/team/app:1"
write "$N" "$C/three"
copy 1 --src-creds pilot:secret "docker://$N/team/app:1" "bundle:$T/b.tar"
expect_contains "$err" 401
# (it would let these in)
printf '{"auths": {"%s/three": {"auth": "%s"}}}' "$C" "$(printf pilot:secret | base64)" >"$T/auth.json"
copy 0 --authfile "$T/auth.json" --src-creds nobody:nothing "docker://$N/team/app:1" "bundle:$T/b.tar"
expect_lacks "$C_LOG" nobody
write "$C/three" "$A/nothing"
copy 0 --src-creds pilot:secret "docker://$C/three/team/app:1" "bundle:$T/b.tar"
CURL=()

# ---- skopeo asks the same places in the same order
# Whatever is asked goes to a port where nobody listens, so nothing leaves this machine.
asked_by_skopeo() {
    HTTPS_PROXY=http://127.0.0.1:1 HTTP_PROXY=http://127.0.0.1:1 skopeo --debug \
        --registries-conf "$1" inspect --raw "docker://$2" 2>&1 |
        grep -o 'Trying to access \\"[^"\\]*' | sed 's/.*"//' || true
}
rows=0
for case in longest-prefix pull-from-mirror blocked wildcards wildcard-wins-a-tie docker-hub version-1; do
    while IFS= read -r row; do
        image=$(jq -r .image <<<"$row")
        # Both tag and digest: skopeo's transport refuses them. IPv6: later versions alone.
        case $image in *:*@* | \[*) continue ;; esac
        expect_equal "$(jq -r '.places[]?.reference' <<<"$row")" \
            "$(asked_by_skopeo "$ROOT/tests/golden/resolve/$case/registries.conf" "$image")" "$case, $image"
        rows=$((rows + 1))
    done <"$ROOT/tests/golden/resolve/$case/expect.jsonl"
done
echo "$rows look-ups as skopeo makes them"
