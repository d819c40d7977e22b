#!/bin/bash
# mirror emit-icsp --scope auto and --with: scopes as broad as is right beside what the cluster has, which
# stays right too; objects that oc apply can take; a second run beside the first one's objects.
. "$(dirname "$0")/../lib/test.sh"
cd "$T"

A=sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
sources() { grep -o 'source: .*' "$1" | cut -c9- | paste -sd ' '; }
cat >mapping.txt <<MAPPING
q.io/a/b:1@$A=m.io/p/a/b:1
q.io/a/c@$A=m.io/p/a/c
q.io/a/d@$A=m.io/elsewhere
r.io/x/y@$A=m.io/r/x/y
MAPPING
cat >cluster.yaml <<'YAML'
apiVersion: v1
kind: List
items:
- apiVersion: config.openshift.io/v1
  kind: ImageDigestMirrorSet
  metadata: {name: old}
  spec: {imageDigestMirrors: [{source: q.io/a, mirrors: [o.io/a]}]}
- apiVersion: config.openshift.io/v1
  kind: Image
  metadata: {name: cluster}
  spec: {registrySources: {insecureRegistries: [o.io]}}
YAML

# By itself: whole hosts, and what lies elsewhere.
expect_status 0 mirror emit-icsp --from mapping.txt --scope auto --only imagecontentsourcepolicy.yaml
expect_equal 'q.io q.io/a/d r.io' "$(sources "$out")" sources

# Beside an entry of the cluster: as narrow as that one where it has to be; its mirrors are taken along
# where ours would hide them. The node files are those of all objects together.
expect_status 0 mirror emit-icsp --from mapping.txt --scope auto --kind idms,itms --with cluster.yaml \
    --output-dir new
expect_equal 'q.io/a q.io/a/d r.io' "$(sources new/imagedigestmirrorset.yaml)" sources
expect_contains new/imagedigestmirrorset.yaml '    - o.io/a/d'
expect_contains "$err" 'takes along mirrors that the cluster has for a broader scope'
expect_contains new/node/etc/containers/registries.conf 'location = "o.io/a"' 'insecure = true'
expect_status 0 mirror node-config --output-dir together cluster.yaml new/*.yaml
diff -r together new/node || fail "the node files are not those of all objects"

# What was written and applied is in the cluster the next time: the same comes out.
mkdir both
cp cluster.yaml new/*.yaml both
expect_status 0 mirror emit-icsp --from mapping.txt --scope auto --kind idms,itms --with both \
    --output-dir again
diff -r new again || fail "a second run gives something else"
expect_status 0 mirror emit-icsp --from mapping.txt --scope auto --kind idms,itms --with cluster.yaml \
    --with new/imagedigestmirrorset.yaml --with new/imagetagmirrorset.yaml --output-dir again
diff -r new again || fail "--with more than once gives something else"

# Levels that are named mind the cluster too.
expect_status 0 mirror emit-icsp --from mapping.txt --scope registry --kind idms --with cluster.yaml \
    --only imagedigestmirrorset.yaml
expect_equal 'q.io/a/b q.io/a/c q.io/a/d r.io' "$(sources "$out")" sources

# An Image of ours takes the place of the cluster's, which is said.
expect_status 0 mirror emit-icsp --from mapping.txt --with cluster.yaml --insecure --only registries.conf
expect_contains "$err" 'warning: cluster.yaml:8: Image/cluster: the Image that is written takes its place'

# Thousands of repositories that share nothing: several objects, each small enough, of distinct names.
for i in $(seq 4000); do
    echo "registry.example.com/organisation/team-$i/some-longer-name@$A=m.io/x/$i"
done >large.txt
expect_status 0 mirror emit-icsp --from large.txt --scope auto --kind icsp,idms --output-dir large
for file in large/imagedigestmirrorset.yaml large/imagecontentsourcepolicy.yaml; do
    rm -rf parts && mkdir parts
    csplit -s -z -f parts/x "$file" '/^---$/' '{*}'
    expect_equal '  name: mirror   name: mirror-1' \
        "$(grep -h '^  name:' parts/* | paste -sd ' ')" "names in $file"
    for part in parts/*; do
        [ "$(wc -c <"$part")" -lt 250000 ] || fail "$part has $(wc -c <"$part") bytes"
    done
    expect_equal 4000 "$(grep -c 'source: ' "$file")" "entries of $file"
done
expect_equal 4000 "$(grep -c '^\[\[registry\]\]' large/node/etc/containers/registries.conf)" "entries on a node"
# Fewer the next time: what is not written any more has to be deleted.
head -n 100 large.txt >small.txt
expect_status 0 mirror emit-icsp --from small.txt --kind idms --with large/imagedigestmirrorset.yaml \
    --output-dir small
expect_contains "$err" 'warning: ImageDigestMirrorSet/mirror-1: is in the cluster, and is not written any more'
expect_equal 100 "$(grep -c '^\[\[registry\]\]' small/node/etc/containers/registries.conf)" "entries on a node"

# What cannot be is refused, with the reason, and leaves nothing.
refused() {
    local text=$1
    shift
    expect_status 1 mirror emit-icsp --from mapping.txt --output-dir none "$@"
    expect_contains "$err" "$text"
    expect_missing none
}
sed 's/insecureRegistries: .o.io./blockedRegistries: [m.io]/' cluster.yaml >blocked.yaml
refused '"q.io/a/d": pulled by digest, a node would not ask at m.io/elsewhere, whatever the scope: "m.io" is blocked' \
    --scope auto --with blocked.yaml
refused 'would not ask at' --with blocked.yaml
sed 's,source: q.io/a,source: q.io/a:1,' cluster.yaml >bad.yaml
refused 'what the cluster has: ' --scope auto --with bad.yaml
refused missing.yaml --with missing.yaml
# A generation that does not know the kind.
refused 'would not ask at' --scope auto --kind idms --ocp 4.12
expect_status 0 mirror emit-icsp --from mapping.txt --scope auto --ocp 4.12 --only imagecontentsourcepolicy.yaml
expect_equal 'q.io q.io/a/d r.io' "$(sources "$out")" "sources of 4.12"

# From standard input, by one reader.
expect_status 0 mirror emit-icsp --from mapping.txt --scope auto --with - --only imagecontentsourcepolicy.yaml \
    <cluster.yaml
expect_equal 'q.io/a q.io/a/d r.io' "$(sources "$out")" "sources with a cluster from standard input"
expect_status 2 mirror emit-icsp --from - --with - <mapping.txt
expect_contains "$err" '--with -' '--from -'
