#!/bin/bash
# The README's walk-through, command by command, on a mirror with TLS of its own and a log-in.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry skopeo htpasswd openssl

N=registry.example.invalid
images "$T/plain" plain >/dev/null
start_registry; A=$REGISTRY A_PID=$REGISTRY_PID
start_registry --tls --htpasswd; M=$REGISTRY
push_layout "$T/plain" "$A"
app=$(image_digest "$T/plain" "$N/team/app:1")
base=$(image_digest "$T/plain" "$N/base:1")
mkdir "$T/certs"
cp "$T/ca.crt" "$T/certs"
cp "$T/ca.crt" "$T/corp-ca.crt"
cd "$T"

# 1. Connected side.
printf '%s\n' "$A/team/app@$app  # comment" "$A/base:1@$base" >images.txt
expect_status 0 mirror copy --dry-run --file images.txt bundle:images.tar
expect_missing images.tar
expect_contains "$out" 'bytes to move:' 'requests:' 'disk needed:'
needed=$(sed -n 's/^disk needed: *\([0-9]*\) .*/\1/p' "$out")
echo '{"auths":{}}' >pull-secret.json
expect_status 0 mirror copy --require-digest --authfile pull-secret.json --file images.txt \
    bundle:images.tar
expect_equal "$needed" "$(stat -c %s images.tar)" "the bundle's size against the plan"

# 2. The disk.
expect_status 0 mirror verify bundle:images.tar
expect_status 0 mirror inspect bundle:images.tar
expect_contains "$out" "$app" linux/arm64
kill "$A_PID"

# 3. Far side.
expect_status 0 mirror copy --dest-creds pilot:secret --dest-tls-verify=true --dest-cert-dir certs \
    --mapping mapping.txt bundle:images.tar "docker://$M/mirror/"
expect_status 0 mirror copy --dest-creds pilot:secret --dest-tls-verify=true --dest-cert-dir certs \
    bundle:images.tar "docker://$M/mirror/"
expect_contains "$err" '2 present'

# 4. The cluster. The files are those that the README lists.
sed -i "s#^$A/#$N/#" mapping.txt
expect_status 0 mirror emit-icsp --from mapping.txt --ca "$M=corp-ca.crt" --output-dir cluster
find cluster -type f | sort >found
sed -n 's/^    \(cluster\/.*\)/\1/p' "$ROOT/README.md" |
    sed "s#mirror\.corp\.example:8443#$M#" | sort >listed
expect_same listed found
for kind in icsp idms; do
    expect_status 0 mirror emit-icsp --kind "$kind" --from mapping.txt --ca "$M=corp-ca.crt" \
        --output-dir "$kind"
done
expect_same icsp/node/etc/containers/policy.json idms/node/etc/containers/policy.json

# Proving it, and trying it, before the cluster does.
printf '{"auths":{"%s":{"auth":"%s"}}}' "$M" "$(printf pilot:secret | base64)" >auth.json
expect_status 0 mirror check --images mapping.txt --authfile auth.json \
    --registries-conf cluster/node/etc/containers/registries.conf \
    --policy cluster/node/etc/containers/policy.json \
    --cert-dir "cluster/node/etc/docker/certs.d/$M"
expect_contains "$err" '2 images: 2 resolve, 0 do not'
expect_status 0 skopeo --registries-conf cluster/node/etc/containers/registries.conf \
    --policy cluster/node/etc/containers/policy.json \
    copy --authfile auth.json --src-cert-dir "cluster/node/etc/docker/certs.d/$M" \
    "docker://$N/team/app@$app" dir:tried
expect_status 0 skopeo --registries-conf idms/node/etc/containers/registries.conf \
    --policy idms/node/etc/containers/policy.json \
    copy --authfile auth.json --src-cert-dir "idms/node/etc/docker/certs.d/$M" \
    "docker://$N/base@$base" dir:tried-too
