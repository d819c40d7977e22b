#!/bin/bash
# mirror node-config --against: how the files of a node would change, as a difference that patch can
# apply, and what the cluster would do about it, with the line that decides.
. "$(dirname "$0")/../lib/test.sh"
need jq patch
cd "$T"

idms() { # SOURCE MIRROR...
    local source=$1
    shift
    printf -- '---\napiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nmetadata: {name: x}\n'
    printf 'spec: {imageDigestMirrors: [{source: %s, mirrors: [%s]}]}\n' "$source" "$(IFS=,; echo "$*")"
}
image() { # JSON of registrySources
    printf -- '---\napiVersion: config.openshift.io/v1\nkind: Image\nmetadata: {name: cluster}\n'
    printf 'spec: {registrySources: %s}\n' "$1"
}
idms q.io/a m.io/a >one.yaml
idms q.io/a m.io/a n.io/a >two.yaml
expect_status 0 mirror node-config --output-dir node one.yaml

# The same files: nothing to do.
expect_status 0 mirror node-config --against node --exit-code --at-most nothing one.yaml
expect_equal 'The cluster would: do nothing, no file changes' "$(cat "$out")" "no change"

# A mirror for digests comes: CRI-O is reloaded, and the difference is one that other tools know.
expect_status 0 mirror node-config --against node two.yaml
cat >want <<'DIFF'
diff --git a/etc/containers/registries.conf b/etc/containers/registries.conf
--- a/etc/containers/registries.conf
+++ b/etc/containers/registries.conf
@@ -9,3 +9,7 @@
   [[registry.mirror]]
     location = "m.io/a"
     pull-from-mirror = "digest-only"
+
+  [[registry.mirror]]
+    location = "n.io/a"
+    pull-from-mirror = "digest-only"

The cluster would: reload CRI-O, no drain and no reboot
  reload: etc/containers/registries.conf: changes, and in no way that pods would have to leave for
DIFF
expect_same want "$out"
expect_equal '' "$(cat "$err")" stderr

# Back again: the mirror goes, which drains; the line is one of the file as it is.
expect_status 0 mirror node-config --output-dir node2 two.yaml
expect_status 0 mirror node-config --against node2 one.yaml
expect_contains "$out" 'The cluster would: drain the node, then reload CRI-O' \
    '  drain: etc/containers/registries.conf:14 (as it is now): "q.io/a": the mirror "n.io/a" goes away'
expect_equal '    location = "n.io/a"' "$(sed -n 14p node2/etc/containers/registries.conf)" "line 14"

# Many files at once: new, changed and removed ones. What comes out makes the old tree the new one.
cat >policies.yaml <<'YAML'
---
apiVersion: config.openshift.io/v1
kind: ImagePolicy
metadata: {name: p, namespace: ns}
spec: {scopes: [s.io], policy: {rootOfTrust: {policyType: PublicKey, publicKey: {keyData: a2V5}}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: image-registry-ca, namespace: openshift-config-managed}
data: {m.io..5000: "certificate"}
YAML
{
    cat policies.yaml two.yaml
    image '{containerRuntimeSearchRegistries: [s.io], allowedRegistries: [q.io, s.io]}'
} >all.yaml
sed 's/m.io..5000/n.io..5000/; s/namespace: ns/namespace: other/' all.yaml |
    grep -v containerRuntime >other.yaml
expect_status 0 mirror node-config --output-dir big all.yaml
expect_status 0 mirror node-config --output-dir other other.yaml
cp -r big patched
expect_status 0 mirror node-config --against big other.yaml
expect_contains "$out" 'The cluster would: drain and reboot the node' \
    '  reboot: etc/containers/registries.conf.d/01-image-searchRegistries.conf: changes' \
    '  reload: etc/crio/policies/ns.json: changes' '  nothing: etc/docker/certs.d/m.io:5000/ca.crt: ' \
    'deleted file mode 100644' 'new file mode 100644' '--- /dev/null' '+++ /dev/null' \
    '\ No newline at end of file'
cp "$out" big.diff
patch -s -d patched -p1 <big.diff
find patched -type d -empty -delete
diff -r patched other || fail "the difference does not lead there"
cp -r big applied
(cd applied && git init -q . && mirror node-config --against . ../other.yaml 2>/dev/null | git apply)
rm -rf applied/.git
find applied -type d -empty -delete
diff -r applied other || fail "git does not get there"

# A copy of /etc/containers alone: the rest is not compared, and that is said.
expect_status 0 mirror node-config --against big/etc/containers all.yaml
expect_contains "$out" 'do nothing'
expect_contains "$err" '2 files outside of /etc/containers are not compared'
# Without the cluster's own certificates it is not known which others go.
expect_status 0 mirror node-config --against big two.yaml
expect_contains "$err" '1 of the node'"'"'s folders in /etc/docker/certs.d are not compared'
expect_lacks "$out" certs.d
# What is no file of the operator's is left alone.
mkdir -p big/etc/containers/registries.conf.d big/etc/containers/registries.d
echo 'x = 1' >big/etc/containers/registries.conf.d/000-shortnames.conf
echo 'docker: {}' >big/etc/containers/registries.d/default.yaml
expect_status 0 mirror node-config --against big --at-most nothing all.yaml

# For scripts: exit status and JSON.
expect_status 1 mirror node-config --against node --exit-code two.yaml
expect_contains "$err" 'mirror: 1 file would change'
expect_status 0 mirror node-config --against node --at-most reload two.yaml
expect_status 1 mirror node-config --against node2 --at-most reload one.yaml
expect_contains "$err" 'the cluster would drain, and --at-most reload was given'
expect_status 1 mirror node-config --against node2 --at-most reload --json one.yaml
expect_equal 'drain etc/containers/registries.conf changed drain' \
    "$(jq -r '.changes | "\(.action) \(.files[0].path) \(.files[0].change) \(.files[0].action)"' "$out")" files
expect_equal 'mirror-removed etc/containers/registries.conf 14 now q.io/a true drain' \
    "$(jq -r '.changes.causes[0] | "\(.rule) \(.file) \(.line) \(.side) \(.entry) \(.certain) \(.action)"' "$out")" causes
jq -r '.changes.files[0].diff' "$out" >diff
expect_line diff '-    location = "n.io/a"'
expect_equal 1 "$(jq .version "$out")" version
expect_status 0 mirror node-config --against node --json one.yaml
expect_equal '{"action":"nothing","files":[],"causes":[]}' "$(jq -c .changes "$out")" "no changes"
# An older generation knows less, and says so.
expect_status 0 mirror node-config --ocp 4.6 --against node2 one.yaml
expect_contains "$out" '  reboot: etc/containers/registries.conf: any change reboots' '(not certain)'

# What objects do to a node that has one mirror for digests: only more of the same goes without a drain.
becomes() { # ACTION RULE OBJECTS
    expect_status 0 mirror node-config --against node --json "$3"
    expect_equal "$1 $2" "$(jq -r '.changes | .action as $action |
        "\($action) \([.causes[] | select(.action == $action)][0].rule)"' "$out")" "$3"
}
{ cat one.yaml && idms q.io/b m.io/b | sed 's/: x}/: second}/'; } >more.yaml
becomes reload file more.yaml
sed 's/config.openshift.io.v1/operator.openshift.io\/v1alpha1/; s/ImageDigestMirrorSet/ImageContentSourcePolicy/
    s/imageDigestMirrors/repositoryDigestMirrors/' more.yaml >icsp.yaml
becomes reload file icsp.yaml
{ cat one.yaml && idms q.io/b m.io/b | sed 's/\]}\]/], mirrorSourcePolicy: NeverContactSource}]/; s/: x}/: second}/'; } >never-new.yaml
becomes reload file never-new.yaml
sed 's/\]}\]/], mirrorSourcePolicy: NeverContactSource}]/' one.yaml >never.yaml
becomes drain entry-blocked never.yaml
{ cat one.yaml && idms q.io/b m.io/b | sed 's/ImageDigest/ImageTag/; s/imageDigest/imageTag/'; } >tags.yaml
becomes drain entry-added tags.yaml
{ cat one.yaml && idms q.io/a m.io/a | sed 's/ImageDigest/ImageTag/; s/imageDigest/imageTag/'; } >same-tags.yaml
becomes drain mirror-pull same-tags.yaml
{ cat one.yaml && image '{blockedRegistries: [b.io]}'; } >blocked.yaml
becomes drain entry-added blocked.yaml
{ cat one.yaml && image '{blockedRegistries: [q.io/a/b]}'; } >blocked-inside.yaml
becomes reload file blocked-inside.yaml
{ cat one.yaml && image '{insecureRegistries: [i.io]}'; } >insecure.yaml
becomes drain entry-added insecure.yaml
{ cat one.yaml && image '{insecureRegistries: [m.io]}'; } >insecure-mirror.yaml
becomes drain entry-added insecure-mirror.yaml
{ cat one.yaml && image '{allowedRegistries: [q.io]}'; } >allowed.yaml
becomes reload file allowed.yaml
idms q.io/a/b m.io/a/b >finer.yaml
becomes drain entry-removed finer.yaml
idms q.io m.io >broader.yaml
becomes drain entry-removed broader.yaml

# Long lists of causes are cut for people, not for programs.
for i in $(seq 30); do idms "q.io/$i" "m.io/$i" | sed "s/name: x/name: x$i/"; done >many.yaml
expect_status 0 mirror node-config --output-dir many many.yaml
expect_status 0 mirror node-config --against many one.yaml
expect_contains "$out" '  and 10 more in etc/containers/registries.conf'
expect_status 0 mirror node-config --against many --json one.yaml
expect_equal 30 "$(jq '.changes.causes | length' "$out")" "causes in JSON"

# Also written, into the very folder that is compared.
cp -r node both
expect_status 0 mirror node-config --against both --output-dir both two.yaml
expect_contains "$out" '+    location = "n.io/a"'
diff -r both node2 || fail "not written"

# Colours on a terminal only.
if command -v script >/dev/null; then
    TERM=xterm script -qec "'$MIRROR' node-config --against node two.yaml" /dev/null >coloured </dev/null
    expect_contains coloured $'\e[32m+    location = "n.io/a"' $'\e[36m@@ -9,3 +9,7 @@' $'\e[1mThe cluster'
    NO_COLOR=1 TERM=xterm script -qec "'$MIRROR' node-config --against node two.yaml" /dev/null >plain </dev/null
    expect_lacks plain $'\e['
    sed 's/\x1b\[[0-9;]*m//g' coloured | tr -d '\r' >stripped
    expect_same want stripped
fi

# What cannot be compared.
mkdir empty
expect_status 1 mirror node-config --against empty one.yaml
expect_contains "$err" 'no etc/containers in it'
expect_status 1 mirror node-config --against missing one.yaml
printf '\n[[registry]\n' >node/etc/containers/registries.conf
expect_status 1 mirror node-config --against node one.yaml
expect_contains "$err" "--against node: the node's present file: etc/containers/registries.conf:2:"
expect_equal '' "$(cat "$out")" "stdout of a failure"
rm node/etc/containers/registries.conf
mkdir node/etc/containers/registries.conf
expect_status 1 mirror node-config --against node one.yaml
expect_contains "$err" 'node/etc/containers/registries.conf is not a file'
expect_status 1 mirror node-config --against node --json one.yaml
expect_equal true "$(jq .rejected "$out")" "a node that cannot be read, in JSON"
expect_status 2 mirror node-config --exit-code one.yaml
expect_status 2 mirror node-config --at-most drain one.yaml
expect_status 2 mirror node-config --against node2 --at-most much one.yaml
expect_status 2 mirror node-config --against node2 --only policy.json one.yaml
