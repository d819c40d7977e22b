#!/bin/bash
# The main job, end to end, on this machine: an image goes from one registry through a file into
# another registry, and a container client then pulls it by its original name, which by then leads
# nowhere. Needs nothing but a base system (root or sudo, to install what is missing).
#
# Leaves nothing behind but the build. DEMO_KEEP=1 keeps the folder with all files of the demo.
set -eu -o pipefail
cd "$(dirname "$0")/.."

NAME=registry.example.invalid/demo/hello

work=$(mktemp -d "${TMPDIR:-/tmp}/mirror-demo.XXXXXX")
started=()

finish() {
    local code=$?
    trap - EXIT
    for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
    wait
    if [ "${DEMO_KEEP:-0}" = 1 ]; then echo "kept: $work"; else rm -rf "$work"; fi
    [ "$code" -eq 0 ] || echo "demo: FAILED (status $code)" >&2
    exit "$code"
}
trap finish EXIT

step() {
    printf '\n== %s\n' "$1"
    shift
    [ $# -eq 0 ] || printf '   %s\n' "$@"
}

# Print a command as one would type it, then do it.
try() {
    printf '\n$ %s\n' "$*" | sed "s#$work/##g"
    "$@"
}

# serve LOG COMMAND...: start a server and wait until its log names the port it got: sets $address.
serve() {
    local log=$1 tries
    shift
    printf '\n$ %s &\n' "$*" | sed "s#$work/##g"
    "$@" >"$log" 2>&1 </dev/null &
    started+=($!)
    for ((tries = 0; tries < 200; tries++)); do
        address=$(grep -oE '127\.0\.0\.1:[1-9][0-9]*' "$log" | head -n 1) && break
        kill -0 "${started[-1]}" 2>/dev/null || break
        sleep 0.05
    done
    [ -n "$address" ] || { cat "$log" >&2; exit 1; }
    echo "listening on $address"
}

step "1. Install what is missing, build" \
    "A compiler, the libraries, and for the last steps a registry (docker-registry) and a" \
    "container client (skopeo), all from the distribution's packages."
if [ -n "${MIRROR:-}" ]; then
    # The tests bring a binary of their own.
    mkdir "$work/bin"
    ln -s "$MIRROR" "$work/bin/mirror"
    PATH=$work/bin:$PATH
else
    tests/lib/install-deps
    make -j"$(nproc)" --no-print-directory
    PATH=$PWD/build:$PATH
fi
try mirror version

step "2. Make a sample image from files of this machine" \
    "Two platforms, two layers. Its name lives in a domain that does not exist, as the real" \
    "registry does for a cluster without internet."
try examples/make-sample-image "$work/sample" "$NAME:1" | tee "$work/digest"
digest=$(tail -n 1 "$work/digest")

step "3. Play the registry on the internet" \
    "mirror serve is a read-only registry over a layout or a bundle; nothing is unpacked."
serve "$work/serve.log" mirror serve "oci:$work/sample" --listen 127.0.0.1:0
source=$address

step "4. Connected side: copy the image, pinned, into a bundle" \
    "The digest says exactly which bytes are meant; what arrives is checked against it." \
    "--require-digest refuses anything that is not pinned. The bundle is one tar file, which" \
    "skopeo and podman can read too. The same image gives the same file, byte for byte."
try mirror copy --require-digest "docker://$source/demo/hello@$digest" "bundle:$work/images.tar"
try mirror inspect "bundle:$work/images.tar"
(cd "$work" && try sha256sum images.tar)

step "5. Carry the file across, and check it on the other side" \
    "The source goes away now: from here on there is only the file."
kill "${started[-1]}"
wait "${started[-1]}" || true
unset 'started[-1]'
try mirror verify "bundle:$work/images.tar"

step "6. Disconnected side: push the bundle into the registry there" \
    "An ordinary docker-registry. An image that only a digest names also gets the tag" \
    "pinned-..., so that no clean-up takes it away. --mapping notes what went where."
registry=$(command -v docker-registry || command -v registry)
cat >"$work/registry.yml" <<END
version: 0.1
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: "127.0.0.1:0"}
END
serve "$work/registry.log" "$registry" serve "$work/registry.yml"
mirror=$address
try mirror copy --mapping "$work/mapping.txt" "bundle:$work/images.tar" "docker://$mirror/mirror/"
try cat "$work/mapping.txt"

step "7. Tell the cluster" \
    "In this demo the source was on loopback; the workloads call it $NAME." \
    "So the mapping gets the real name, and the objects for the cluster and the files that" \
    "each node ends up with come out of it. --insecure: our registry here speaks plain http."
sed -i "s#^$source/#registry.example.invalid/#" "$work/mapping.txt"
try mirror emit-icsp --from "$work/mapping.txt" --insecure --output-dir "$work/cluster"
try cat "$work/cluster/imagecontentsourcepolicy.yaml"
try cat "$work/cluster/node/etc/containers/registries.conf"

step "8. Be the node: pull the image by its original name" \
    "skopeo reads the same files as a node's runtime. registry.example.invalid does not resolve;" \
    "the mirror answers instead, and the digest proves that it answers with the right bytes."
try skopeo --registries-conf "$work/cluster/node/etc/containers/registries.conf" \
    --policy "$work/cluster/node/etc/containers/policy.json" \
    copy --all "docker://$NAME@$digest" "dir:$work/pulled"
pulled=$(sha256sum <"$work/pulled/manifest.json")
pulled=sha256:${pulled%% *}
echo "wanted $digest"
echo "got    $pulled"
[ "$pulled" = "$digest" ]

printf '\ndemo: done. The image is %s, and it came from the mirror.\n' "$NAME@$digest"
