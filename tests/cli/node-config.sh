#!/bin/bash
# mirror node-config: inputs of every form, one file alone, nothing written when something is wrong.
# What the files hold is golden.sh's subject.
. "$(dirname "$0")/../lib/test.sh"
cd "$T"

cat >image.yaml <<'YAML'
apiVersion: config.openshift.io/v1
kind: Image
metadata:
  name: cluster
spec:
  registrySources:
    insecureRegistries: [i.io]
    containerRuntimeSearchRegistries: [quay.io]
YAML
cat >blocked.json <<'JSON'
{"apiVersion": "config.openshift.io/v1", "kind": "Image", "metadata": {"name": "cluster"},
 "spec": {"registrySources": {"blockedRegistries": ["quay.io", "b.io"]}}}
JSON
cat >idms.yml <<'YAML'
kind: List
apiVersion: v1
items:
- apiVersion: config.openshift.io/v1
  kind: ImageDigestMirrorSet
  metadata: {name: x}
  spec: {imageDigestMirrors: [{source: q.io/a, mirrors: [m.io/a]}]}
YAML

# To standard output: every file under its name, the two that every node has first.
expect_status 0 mirror node-config image.yaml
expect_equal '# etc/containers/registries.conf
# etc/containers/policy.json
# etc/containers/registries.conf.d/01-image-searchRegistries.conf' "$(grep '^# ' "$out")" "files"
expect_contains "$out" 'location = "i.io"' '"insecureAcceptAnything"'
cp "$out" whole

# A folder, standard input, and several files are the same as one.
mkdir dir
cp image.yaml dir/
cp idms.yml dir/
: >dir/notes.txt
expect_status 0 mirror node-config dir
cp "$out" from-dir
expect_status 0 mirror node-config image.yaml idms.yml
expect_same from-dir "$out"
cat image.yaml >all
echo --- >>all
cat idms.yml >>all
expect_status 0 mirror node-config - <all
expect_same from-dir "$out"

# One file alone, as it is.
expect_status 0 mirror node-config --only policy.json image.yaml
expect_equal '{' "$(head -c 1 "$out")" "the first byte of policy.json"
expect_equal '}' "$(tail -c 1 "$out")" "the last byte of policy.json"
expect_status 0 mirror node-config --only containers/registries.conf image.yaml
expect_contains "$out" 'location = "i.io"'
expect_status 1 mirror node-config --only conf image.yaml
expect_contains "$err" 'no file "conf"'

# The node's tree: modes, and the same bytes as on standard output.
expect_status 0 mirror node-config --output-dir node image.yaml
expect_equal '' "$(cat "$out")" "stdout with --output-dir"
expect_equal 644 "$(stat -c %a node/etc/containers/policy.json)" "mode of policy.json"
expect_status 0 mirror node-config --only registries.conf image.yaml
expect_same "$out" node/etc/containers/registries.conf

# The release image: without one there is a note, with one the payload's registry stays.
expect_status 0 mirror node-config blocked.json
expect_contains "$err" 'no release image is known' --release-image
expect_contains "$out" 'location = "quay.io"'
digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
expect_status 0 mirror node-config --release-image "quay.io/okd/scos-release@$digest" blocked.json
expect_line "$err" 'warning: blocked.json:2: Image/cluster: spec.registrySources.blockedRegistries\[0\]: "quay.io": not blocked: .*'
expect_line "$err" 'hint: mirror the payload by digest .*'
expect_lacks "$out" 'location = "quay.io"'
expect_contains "$out" 'location = "b.io"'
expect_status 1 mirror node-config --release-image okd:latest blocked.json
expect_contains "$err" 'okd:latest'

# What older generations wrote.
cat >icsp.yaml <<'YAML'
apiVersion: operator.openshift.io/v1alpha1
kind: ImageContentSourcePolicy
metadata: {name: x}
spec: {repositoryDigestMirrors: [{source: q.io/a, mirrors: [m.io/a]}]}
YAML
expect_status 0 mirror node-config --ocp 4.12 --only registries.conf icsp.yaml
expect_contains "$out" 'mirror-by-digest-only = true'
expect_lacks "$out" pull-from-mirror additional-layer-store-auth-helper
expect_status 0 mirror node-config --ocp current --only registries.conf icsp.yaml
expect_contains "$out" 'pull-from-mirror = "digest-only"' additional-layer-store-auth-helper
expect_status 0 mirror node-config --ocp 4.12 --only registries.conf idms.yml
expect_contains "$err" 'ImageDigestMirrorSet: has no effect: generation 4.12 (4.11 and 4.12)'
expect_equal "unqualified-search-registries = ['registry.access.redhat.com', 'docker.io']" \
    "$(cat "$out")" "registries.conf without a kind that is known"
expect_status 1 mirror node-config --strict --ocp 4.12 idms.yml
expect_status 2 mirror node-config --ocp 4.16 icsp.yaml
expect_contains "$err" '--ocp 4.16: known are 4.6 (4.2 to 4.8), 4.10' '4.14 (4.13 to 4.16)' \
    'current (4.19 and later)'

# Base files in place of the usual ones: read and written again where an object has an effect.
printf '# mine\nshort-name-mode = "enforcing"\n' >base.conf
printf '{"default": [{"type": "reject"}]}' >base.json
expect_status 0 mirror node-config --base-registries-conf base.conf --base-policy base.json \
    --output-dir based icsp.yaml
expect_contains based/etc/containers/registries.conf 'short-name-mode = "enforcing"' q.io/a
expect_same base.json based/etc/containers/policy.json
expect_status 1 mirror node-config --base-registries-conf nowhere.conf icsp.yaml
expect_contains "$err" nowhere.conf

# With --strict a warning is a failure, and nothing is written.
expect_status 1 mirror node-config --strict --release-image "quay.io/okd/scos-release@$digest" \
    --output-dir strict blocked.json
expect_contains "$err" '1 warning, and --strict was given'
expect_missing strict
expect_status 0 mirror node-config --strict --output-dir strict image.yaml

# What is wrong is named with file, line and column, or object and field; nothing is written.
wrong() {
    local text=$1
    shift
    rm -rf none
    expect_status 1 mirror node-config --output-dir none "$@"
    expect_contains "$err" "$text"
    expect_line "$err" 'mirror: .*'
    expect_missing none
}
printf 'a: 1\nb: [1, 2\nc: 3\n' >syntax.yaml
wrong 'syntax.yaml:3:' syntax.yaml
printf 'apiVersion: v1\nkind: Pod\nkind: Pod\n' >twice.yaml
wrong 'twice.yaml:3:1: key "kind" is given twice' twice.yaml
printf 'a: \0\n' >nul.yaml
wrong 'nul.yaml:1:' nul.yaml
printf 'a: &a [*a]\n' >self.yaml
wrong 'self.yaml:1:8: anchor that contains itself' self.yaml
{
    echo 'a0: &a0 [x,x,x,x,x,x,x,x,x,x]'
    for i in 1 2 3 4 5 6 7 8 9; do
        echo "a$i: &a$i [*a$((i - 1)),*a$((i - 1)),*a$((i - 1)),*a$((i - 1)),*a$((i - 1)),*a$((i - 1))]"
    done
} >bomb.yaml
wrong 'aliases that multiply' bomb.yaml
head -c 100000 /dev/zero | tr '\0' '[' >deep.yaml
wrong 'nested too deep' deep.yaml
wrong none.yaml none.yaml
printf 'registry = 5\n' >wrong.conf
wrong 'wrong.conf:1:12: registry: expected' --base-registries-conf wrong.conf image.yaml
printf '{"default": []}\n' >wrong.json
wrong 'wrong.json:1: default: must be a list' --base-policy wrong.json image.yaml
mkdir empty
wrong 'empty holds no' empty
sed 's/i.io/"*.i.io:5000"/' image.yaml >entry.yaml
wrong 'mirror: entry.yaml:7: Image/cluster: spec.registrySources.insecureRegistries[0]: "*.i.io:5000": ' entry.yaml
expect_contains "$err" 'hint: '
wrong 'given twice, first in image.yaml' image.yaml blocked.json

expect_status 2 mirror node-config --only x --output-dir y image.yaml
expect_status 2 mirror node-config
