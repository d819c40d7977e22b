#!/bin/bash
# mirror check finds each trap in a set-up that has it, and passes the mended twin: what
# registries.conf and policy.json do to an image, what a mirror lacks, and how it is reached.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry jq htpasswd openssl

N=registry.example.invalid
images "$T/plain" plain >/dev/null
app=$N/team/app@$(image_digest "$T/plain" "$N/team/app:1")
base=$N/base@$(image_digest "$T/plain" "$N/base:1")
tag=$N/team/app:1
start_registry; M=$REGISTRY DATA=$REGISTRY_DATA LOG=$REGISTRY_LOG
start_registry --tls; S=$REGISTRY
start_registry --htpasswd; U=$REGISTRY
expect_status 0 mirror copy "oci:$T/plain" "docker://$M/mirror/"
expect_status 0 mirror copy "oci:$T/plain" "docker://$S/mirror/" --dest-tls-verify=false
expect_status 0 mirror copy "oci:$T/plain" "docker://$U/mirror/" --dest-creds pilot:secret
cd "$T"

# ---- writing set-ups -------------------------------------------------------------------------

# entry FILE PREFIX [LINE...]: an entry of registries.conf; mirror FILE LOCATION [LINE...]: its mirror.
entry() {
    local file=$1 prefix=$2
    shift 2
    { printf '[[registry]]\nprefix = "%s"\n' "$prefix"
      case $prefix in \**) ;; *) printf 'location = "%s"\n' "$prefix" ;; esac
      [ $# -eq 0 ] || printf '%s\n' "$@"; } >>"$file"
}
mirror_at() {
    local file=$1 location=$2
    shift 2
    { printf '[[registry.mirror]]\nlocation = "%s"\n' "$location"; [ $# -eq 0 ] || printf '%s\n' "$@"; } >>"$file"
}
http='insecure = true'
entry good.conf "$N"; mirror_at good.conf "$M/mirror" "$http"

TRAPS=0
# broken TRAP ARGUMENTS...: the check fails, and names the trap. mended ARGUMENTS...: it passes.
broken() {
    local want=$1
    shift
    TRAPS=$((TRAPS + 1))
    expect_status 1 mirror check --retry-times 0 --json "$@"
    expect_equal "$want" "$(jq -r 'select(.ok | not).trap' "$out")" "trap $TRAPS: check $*"
    jq -e 'select(.ok | not) | .error | length > 0' "$out" >/dev/null
}
mended() {
    expect_status 0 mirror check --retry-times 0 --json "$@"
    expect_equal true "$(jq .ok "$out" | sort -u)" "check $*"
}

# ---- registries.conf -------------------------------------------------------------------------

# A narrow entry hides the mirrors of a broader one.
cp good.conf 1.conf; entry 1.conf "$N/team/app"
cp 1.conf 1-mended.conf; mirror_at 1-mended.conf "$M/mirror/team/app" "$http"
broken hidden --registries-conf 1.conf "$app"
expect_contains "$out" "the entry \\\"$N/team/app\\\" (1.conf:7) has no mirror for it and hides \\\"$N\\\""
mended --registries-conf 1-mended.conf "$app" "$base"
# So does one whose mirrors are for tags, where the image is named by digest.
cp good.conf 2.conf; entry 2.conf "$N/team"; mirror_at 2.conf "$M/mirror/team" "$http" 'pull-from-mirror = "tag-only"'
cp 2.conf 2-mended.conf
mirror_at 2-mended.conf "$M/mirror/team" "$http" 'pull-from-mirror = "digest-only"'
broken hidden --registries-conf 2.conf "$app"
mended --registries-conf 2-mended.conf "$app" "$tag"
# Mirrors for digests, and an image named by tag: in both ways of saying so.
entry 3.conf "$N"; mirror_at 3.conf "$M/mirror" "$http" 'pull-from-mirror = "digest-only"'
broken digest-only --registries-conf 3.conf "$tag"
mended --registries-conf 3.conf "$app"
entry 4.conf "$N" 'mirror-by-digest-only = true'; mirror_at 4.conf "$M/mirror" "$http"
broken digest-only --registries-conf 4.conf "$tag"
sed 's/only = true/only = false/' 4.conf >4-mended.conf
mended --registries-conf 4-mended.conf "$tag"
entry 5.conf "$N"; mirror_at 5.conf "$M/mirror" "$http" 'pull-from-mirror = "tag-only"'
broken tag-only --registries-conf 5.conf "$app"
mended --registries-conf 5.conf "$tag"
# Blocked without a mirror; and a mirror that is blocked itself.
entry 6.conf "$N" 'blocked = true'
broken blocked --registries-conf 6.conf "$app"
cp 6.conf 6-mended.conf; mirror_at 6-mended.conf "$M/mirror" "$http"
mended --registries-conf 6-mended.conf "$app"
cp good.conf 7.conf; entry 7.conf "$M" 'blocked = true'
broken mirror-blocked --registries-conf 7.conf "$app"
mended --registries-conf good.conf "$app"
# Nothing leads to a mirror: no entry, one without mirrors, a wildcard that is not for the host.
entry 8.conf other.invalid; mirror_at 8.conf "$M/mirror" "$http"
broken no-mirror --registries-conf 8.conf "$app"
mended --registries-conf good.conf "$app"
entry 9.conf "$M" "$http"
broken no-mirror --registries-conf 9.conf "$M/mirror/${app#*/}"
mended --registries-conf 9.conf --source-reachable "$M/mirror/${app#*/}"
entry 10.conf "*.$N"; mirror_at 10.conf "$M/mirror" "$http"
broken no-mirror --registries-conf 10.conf "$app"
entry 10-mended.conf '*.example.invalid'; mirror_at 10-mended.conf "$M/mirror" "$http"
mended --registries-conf 10-mended.conf "$app"
# A location and a name that make no reference together: a wildcard leaves the port behind.
entry 11.conf '*.invalid'; mirror_at 11.conf "$M/mirror" "$http"
broken rewrite --registries-conf 11.conf "host.invalid:5000/${app#*/}"
mended --registries-conf 11.conf "host.invalid/${app#*/}"
broken reference --registries-conf good.conf "$N/Team/app:1"
mended --registries-conf good.conf "$N/team/app:1"

# ---- policy.json -----------------------------------------------------------------------------

policy() { # FILE DEFAULT [SCOPE REQUIREMENTS]
    printf '{"default": [%s], "transports": {"docker": {%s}}}' "$2" "${3:+\"$3\": [$4]}" >"$1"
}
reject='{"type": "reject"}' accept='{"type": "insecureAcceptAnything"}'
policy 12.json "$accept" "$N/team" "$reject"
policy 12-mended.json "$reject" "$N/team" "$accept"
policy 13.json "$reject" "$M/mirror" "$accept"
policy 14.json "$accept" "$N/team" '{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/nowhere"}'
broken rejected --registries-conf good.conf --policy 12.json "$app"
mended --registries-conf good.conf --policy 12-mended.json "$app"
# A policy judges by the name of the source: allowing the mirror is not enough.
broken rejected --registries-conf good.conf --policy 13.json "$app"
broken signature --registries-conf good.conf --policy 14.json "$app"
mended --registries-conf good.conf --policy 14.json --assume-signed "$app"

# ---- how a mirror is reached -----------------------------------------------------------------

sed '/insecure/d' good.conf >15.conf
broken plain-http --registries-conf 15.conf "$app"
mended --registries-conf good.conf "$app"
entry 16.conf "$N"; mirror_at 16.conf "$S/mirror"
mkdir certs; cp ca.crt certs
broken certificate --registries-conf 16.conf "$app"
mended --registries-conf 16.conf --cert-dir certs "$app"
mkdir -p "$HOME/.config/containers/certs.d/$S"; cp ca.crt "$HOME/.config/containers/certs.d/$S"
mended --registries-conf 16.conf "$app"
rm -r "$HOME/.config/containers"
entry 17.conf "$N"; mirror_at 17.conf "$U/mirror" "$http"
broken login --registries-conf 17.conf "$app"
broken login --registries-conf 17.conf --creds pilot:wrong "$app"
mended --registries-conf 17.conf --creds pilot:secret "$app"
entry 18.conf "$N"; mirror_at 18.conf localhost:1/mirror "$http"
broken unreachable --registries-conf 18.conf "$app"
cp 18.conf 18-mended.conf; mirror_at 18-mended.conf "$M/mirror" "$http"
mended --registries-conf 18-mended.conf "$app"
expect_equal "unreachable sound" "$(jq -r '[.asked[].result] | join(" ")' "$out")" "what was asked"

# ---- what a mirror has -----------------------------------------------------------------------

entry 19.conf "$N"; mirror_at 19.conf "$M" "$http" # the path is wrong
broken absent --registries-conf 19.conf "$app"
broken absent --registries-conf good.conf "$N/team/app:other"
broken absent --registries-conf good.conf "$N/team/new:1"
expect_status 0 mirror copy "docker://$M/mirror/team/app:2" "docker://$M/mirror/team/new:1"
mended --registries-conf good.conf "$N/team/new:1"

# file_of DIGEST: where the registry keeps it; link_of REPO DIGEST: that a repository has the blob.
file_of() { echo "$DATA/docker/registry/v2/blobs/sha256/${1:7:2}/${1:7}/data"; }
link_of() { echo "$DATA/docker/registry/v2/repositories/$1/_layers/sha256/${2:7}/link"; }
layout_blob() { cat "plain/blobs/sha256/${1:7}"; }
child=$(layout_blob "${app#*@}" | jq -r '.manifests[0].digest')
config=$(layout_blob "$child" | jq -r .config.digest)
layer=$(layout_blob "$child" | jq -r '.layers[0].digest')

# without FILE CHECK...: broken as long as the file is away.
without() {
    local file=$1
    shift
    mv "$file" away
    broken "$@"
    mv away "$file"
}
without "$(file_of "$layer")" incomplete --registries-conf good.conf "$app"
expect_contains "$out" "$layer"
mended --registries-conf good.conf "$app"
without "$(link_of mirror/team/app "$layer")" incomplete --registries-conf good.conf "$app"
mv "$(file_of "$layer")" away
mended --depth config --registries-conf good.conf "$app"
mv away "$(file_of "$layer")"
without "$(file_of "$config")" incomplete --depth config --registries-conf good.conf "$app"
mv "$(file_of "$config")" away
mended --depth manifest --registries-conf good.conf "$app"
mv away "$(file_of "$config")"
without "$(file_of "$child")" incomplete --depth manifest --registries-conf good.conf "$app"
mended --depth manifest --registries-conf good.conf "$app"
cp "$(file_of "${base#*@}")" kept
sed 's/schemaVersion/schemaVersiom/' kept >"$(file_of "${base#*@}")"
broken broken --registries-conf good.conf "$base"
cp kept "$(file_of "${base#*@}")"
mended --registries-conf good.conf "$base"
broken platform --platform linux/s390x --registries-conf good.conf "$app"
expect_contains "$out" 'the index has no linux/s390x'
mended --platform linux/amd64 --registries-conf good.conf "$app"
# A mirror that has the manifest and not all of it is where a runtime stays.
entry 20.conf "$N"; mirror_at 20.conf "$M/mirror" "$http"; mirror_at 20.conf "$S/mirror" "$http"
without "$(file_of "$layer")" incomplete --registries-conf 20.conf "$app"
# One that lacks the manifest is passed over.
mv "$(file_of "${app#*@}")" away
mended --registries-conf 20.conf "$app"
mv away "$(file_of "${app#*@}")"
expect_equal "$S/mirror/${app#*/}" "$(jq -r .place "$out")" "the second place serves it"

[ "$TRAPS" -ge 20 ] || fail "only $TRAPS set-ups"
echo "$TRAPS broken set-ups"

# ---- a whole bundle, its list, mapping and report --------------------------------------------

expect_status 0 mirror copy "oci:$T/plain" bundle:b.tar
expect_status 0 mirror copy bundle:b.tar "docker://$M/mirror/" --report report.json --mapping mapping.txt
cut -d= -f1 mapping.txt >list.txt
before=$(wc -l <"$LOG")
for what in bundle:b.tar report.json mapping.txt list.txt; do
    mended --registries-conf good.conf --images "$what"
    expect_equal 3 "$(wc -l <"$out")" "images of $what"
done
mended --registries-conf good.conf --images - <list.txt
# One request for each blob and manifest of a repository, whatever images share.
parts=$(tail -n "+$((before + 1))" "$LOG" | grep -oE '"(HEAD|GET) /v2/[^ ]*' | sort | uniq -c | sort -rn)
expect_equal 5 "$(awk '{ print $1 }' <<<"$parts" | sort -u)" "five checks, each part asked for once in each"
expect_equal "$(jq -r '.manifests[].digest' plain/index.json | wc -l)" 3 "images"

# ---- from the objects of a cluster -----------------------------------------------------------

cat >objects.yaml <<YAML
apiVersion: config.openshift.io/v1
kind: ImageDigestMirrorSet
metadata: {name: team}
spec:
  imageDigestMirrors: [{source: $N, mirrors: [$M/mirror], mirrorSourcePolicy: NeverContactSource}]
YAML
broken plain-http --with objects.yaml "$app"
cat >image.yaml <<YAML
apiVersion: config.openshift.io/v1
kind: Image
metadata: {name: cluster}
spec: {registrySources: {insecureRegistries: ["$M"]}}
YAML
mended --with objects.yaml --with image.yaml "$app" "$base"
broken digest-only --with objects.yaml --with image.yaml "$tag"

# ---- for people, and refusals ----------------------------------------------------------------

expect_status 1 mirror check --retry-times 0 --registries-conf 1.conf "$app" "$base"
expect_line "$out" "FAILED  $app \[hidden\]: .*"
expect_line "$out" "ok      $base from $M/mirror/${base#*/}"
expect_line "$out" '        hint: give .*'
expect_contains "$err" '2 images: 1 resolve, 1 do not' '1 of 2 images cannot be pulled'
expect_status 2 mirror check --registries-conf good.conf
expect_contains "$err" 'name images'
expect_status 2 mirror check --depth all "$app"
expect_status 2 mirror check --platform x "$app"
: >empty.txt
expect_status 1 mirror check --images empty.txt
expect_contains "$err" 'no image to check'
echo 'unqualified-search-registries = 7' >bad.conf
expect_status 1 mirror check --registries-conf bad.conf "$app"
expect_contains "$err" 'no image can be pulled' bad.conf
