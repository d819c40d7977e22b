#!/bin/bash
# mirror serve is a registry to skopeo, podman and ourselves, straight from a bundle or a layout.
. "$(dirname "$0")/../lib/test.sh"
need skopeo docker-registry

N=registry.example.invalid
images "$T/odd" odd >"$T/names"
expect_status 0 mirror copy "oci:$T/odd" "bundle:$T/b.tar"
start_serve "bundle:$T/b.tar"; S=$SERVE S_PID=$SERVE_PID
start_serve "oci:$T/odd"; L=$SERVE

for kind in multi nested list artifact zstd layers; do
    digest=$(image_digest "$T/odd" "$N/odd/$kind:1")
    fetch_compare "$S/odd/$kind" "$L/odd/$kind" "$digest"
    expect_equal "$digest" "$(registry_digest "$S/odd/$kind" 1)" "tag of $kind"
done
expect_equal 1 "$(registry_tags "$S/odd/multi")" tags

# Other clients.
digest=$(image_digest "$T/odd" "$N/odd/multi:1")
expect_status 0 skopeo copy --all --src-tls-verify=false "docker://$S/odd/multi:1" "dir:$T/dir"
expect_equal "${digest#sha256:}" "$(sha256sum <"$T/dir/manifest.json" | cut -d ' ' -f 1)"
if have_podman; then
    expect_status 0 podman_ pull -q --tls-verify=false "$S/odd/multi@$digest"
fi

# Ourselves, many at once, and on into a real registry.
sed "s#^$N/\([^:]*\):[^ ]* #$S/\1@#" "$T/names" >"$T/list"
expect_status 0 mirror copy --jobs 16 --file "$T/list" "bundle:$T/again.tar"
expect_status 0 mirror verify "bundle:$T/again.tar"
start_registry; B=$REGISTRY
expect_status 0 mirror copy "docker://$S/odd/multi@$digest" "docker://$B/pushed/"
fetch_compare "$S/odd/multi" "$B/pushed/odd/multi" "$digest"

# A part of a blob, what is not there, and what is not allowed.
blob=$(jq -r '.layers[0].digest' \
    "$T/odd/blobs/sha256/$(image_digest "$T/odd" "$N/odd/single:1" | cut -c 8-)")
web -r 10-29 -o "$T/part" "http://$S/v2/odd/single/blobs/$blob"
tail -c +11 "$T/odd/blobs/sha256/${blob#sha256:}" | head -c 20 >"$T/want"
expect_same "$T/want" "$T/part"
answer() { curl -s -o "$T/answer" -w '%{http_code}' "$@"; }
expect_equal 200 "$(answer "http://$S/v2/")"
expect_equal 404 "$(answer "http://$S/v2/odd/single/manifests/none")"
expect_equal 404 "$(answer "http://$S/v2/no/such/manifests/1")"
expect_equal 404 "$(answer "http://$S/v2/odd/single/blobs/sha256:$(printf '%064d' 0)")"
case $(answer -X POST "http://$S/v2/odd/single/blobs/uploads/") in
401 | 403 | 405) ;;
*) fail "a read-only registry let an upload begin" ;;
esac

# It ends when told to.
kill "$S_PID"
wait_until 5 eval "! kill -0 $S_PID"
