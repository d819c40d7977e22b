#!/bin/bash
# A second hop inside the fence: with the node files that a copy emits, a machine that reaches the mirror
# alone copies by the original names, makes differentials of them, and logs in by a helper of
# registries.conf.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry jq htpasswd

N=registry.example.invalid
images "$T/plain" plain >/dev/null
app=$(image_digest "$T/plain" "$N/team/app:1")
cd "$T"

# ---- outside: the source is there, under its own name
start_registry; S=$REGISTRY SOURCE_PID=$REGISTRY_PID
push_layout plain "$S"
jq -r '.manifests[] | .annotations["org.opencontainers.image.ref.name"] + "@" + .digest' plain/index.json |
    sed -E "s#^$N#$S#; s#:[^:/@]+@#@#" | sort -u >list
expect_status 0 mirror copy --file list bundle:out.tar

# ---- inside, first hop: into the mirror, and what a node gets for it
start_registry; M=$REGISTRY
expect_status 0 mirror copy --emit-dir cluster bundle:out.tar "docker://$M/mirror/"
node=cluster/node/etc/containers
expect_contains "$node/registries.conf" "$M/mirror"

# ---- inside, second hop: the source is gone, its names are not
kill "$SOURCE_PID"
wait "$SOURCE_PID" || true
inside=(--retry-times 0 --registries-conf "$node/registries.conf" --registries-conf-dir '')
[ ! -e "$node/policy.json" ] || inside+=(--policy "$node/policy.json")
expect_status 0 mirror copy "${inside[@]}" --report report --file list bundle:again.tar
expect_same out.tar again.tar
expect_equal "$(wc -l <list)" "$(jq -r '.images[].servedBy' report | grep -c "^$M/mirror/")" 'images from the mirror'
start_registry; FAR=$REGISTRY
expect_status 0 mirror copy "${inside[@]}" --file list "docker://$FAR/"
fetch_compare "$M/mirror/team/app" "$FAR/team/app" "$app"
expect_status 1 mirror copy --retry-times 0 --no-registries-conf --insecure-policy "docker://$S/team/app@$app" bundle:x.tar

# ---- a differential from the index.json alone reads the old manifests at the mirror too
tar xOf out.tar index.json >index.json
expect_status 0 mirror copy "${inside[@]}" --since index.json --file list bundle:nothing-new.tar
expect_lacks "$err" 'cannot be read any more'
expect_contains "$err" 'nothing is new since'

# ---- a mirror that wants a log-in: by a helper that registries.conf names
start_registry --htpasswd; C=$REGISTRY
CURL=(-u pilot:secret)
push_layout plain "$C/closed" "$N/team/app:1"
mkdir bin
cat >bin/docker-credential-desk <<END
#!/bin/sh
read -r host
echo "\$1 \$host" >>"$T/asked"
[ "\$host" = "$C" ] || { echo "credentials not found in native keychain"; exit 1; }
echo '{"ServerURL": "$C", "Username": "pilot", "Secret": "secret"}'
END
chmod +x bin/docker-credential-desk
PATH=$T/bin:$PATH
cat >helped.conf <<END
credential-helpers = ["desk"]
[[registry]]
location = "$N"
[[registry.mirror]]
location = "$C/closed"
END
helped=(--retry-times 0 --registries-conf helped.conf --registries-conf-dir '')
expect_status 0 mirror copy --debug "${helped[@]}" "docker://$N/team/app:1" bundle:helped.tar
expect_lacks "$err" secret "$(printf pilot:secret | base64)"
expect_contains asked "get $C"
expect_status 0 mirror inspect "${helped[@]}" "docker://$N/team/app:1"
sed -i 's/^credential-helpers.*/credential-helpers = ["containers-auth.json"]/' helped.conf
rm asked
expect_status 1 mirror inspect "${helped[@]}" "docker://$N/team/app:1"
expect_contains "$err" 401
expect_missing asked
