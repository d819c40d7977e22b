#!/bin/bash
# mirror migrate-icsp: every ImageContentSourcePolicy of a file becomes an ImageDigestMirrorSet with
# the same sources, mirrors and metadata, and means the same on a node; the rest is left and named.
. "$(dirname "$0")/../lib/test.sh"
cd "$T"

cat >icsp.yaml <<'YAML'
apiVersion: operator.openshift.io/v1alpha1
kind: ImageContentSourcePolicy
metadata:
  name: first
  labels: {"icspIdx": "1"}
  annotations:
    who: me
  creationTimestamp: "2020-01-01T00:00:00Z"
  generation: 3
  managedFields: [{manager: oc}]
  resourceVersion: "77"
  uid: 1-2-3
spec:
  repositoryDigestMirrors:
  - source: s.example.com/b
    mirrors: [z.example.com/b, y.example.com:5000/b, a.example.com]
  - source: s.example.com/a
  - mirrors: ["m.example.com/a"]
    source: s.example.com/a
status: {}
---
apiVersion: operator.openshift.io/v1alpha1
kind: ImageContentSourcePolicy
metadata: {name: second}
YAML

# One for one, in order, without what a server writes.
expect_status 0 mirror migrate-icsp icsp.yaml --dest-dir new
expect_line "$out" 'wrote ImageDigestMirrorSet to new/imagedigestmirrorset_first\.[0-9]+\.yaml'
expect_equal 1 "$(wc -l <"$out")" "lines of output"
expect_equal '' "$(cat "$err")" stderr
cat >want <<'YAML'
apiVersion: config.openshift.io/v1
kind: ImageDigestMirrorSet
metadata:
  name: first
  labels:
    icspIdx: "1"
  annotations:
    who: me
spec:
  imageDigestMirrors:
  - mirrors:
    - z.example.com/b
    - y.example.com:5000/b
    - a.example.com
    source: s.example.com/b
  - source: s.example.com/a
  - mirrors:
    - m.example.com/a
    source: s.example.com/a
---
apiVersion: config.openshift.io/v1
kind: ImageDigestMirrorSet
metadata:
  name: second
spec:
  imageDigestMirrors: []
YAML
expect_same want new/*.yaml

# The same on a node.
expect_status 0 mirror node-config --output-dir old-node icsp.yaml
expect_status 0 mirror node-config --output-dir new-node new
diff -r old-node new-node || fail "a node would tell the two kinds apart"

# The same input gives the same file; another content that begins with the same object another one.
expect_status 0 mirror migrate-icsp --dest-dir new - <icsp.yaml
expect_equal 1 "$(find new -type f | wc -l)" "files after the second time"
sed 's/z\.example/x.example/' icsp.yaml >other.yaml
expect_status 0 mirror migrate-icsp --dest-dir new icsp.yaml other.yaml
expect_equal 2 "$(find new -type f | wc -l)" "files of two inputs"
expect_equal 2 "$(wc -l <"$out")" "lines for two inputs"

# Into the current directory, with its whole name.
mkdir here
(cd here && "$MIRROR" migrate-icsp ../icsp.yaml) >printed
expect_line printed "wrote ImageDigestMirrorSet to $T/here/imagedigestmirrorset_first\.[0-9]+\.yaml"
expect_same want here/*.yaml

# Lists, and other kinds among them.
cat >mixed.yaml <<'YAML'
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: cm}
- apiVersion: operator.openshift.io/v1alpha1
  kind: ImageContentSourcePolicy
  metadata: {name: in-a-list}
  spec: {repositoryDigestMirrors: [{source: s.io/a, mirrors: ["m.io/a:1", "m.io/b", "m.io/b"]}]}
- apiVersion: operator.openshift.io/v1
  kind: ImageContentSourcePolicy
  metadata: {name: odd}
YAML
expect_status 0 mirror migrate-icsp --dest-dir mixed mixed.yaml
expect_line "$err" 'warning: mixed.yaml:4: ConfigMap/cm: left as it is: .*'
expect_line "$err" 'warning: mixed.yaml:11: ImageContentSourcePolicy/odd: apiVersion: "operator.openshift.io/v1": left as it is: .*'
# What the old kind took and the new one does not.
expect_contains "$err" 'ImageDigestMirrorSet/in-a-list: spec.imageDigestMirrors[0].mirrors[0]: "m.io/a:1"' \
    'spec.imageDigestMirrors[0].mirrors[2]'
grep -q 'name: in-a-list' mixed/imagedigestmirrorset_in-a-list.*.yaml
expect_equal 1 "$(grep -c '^kind:' mixed/*.yaml)" "objects written"

# What cannot be migrated leaves nothing, names the file, and does not stop the others.
refused() {
    local text=$1
    shift
    expect_status 1 mirror migrate-icsp --dest-dir none "$@"
    expect_contains "$err" "$text"
    expect_missing none
}
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n' >map.yaml
refused 'map.yaml: holds no ImageContentSourcePolicy' map.yaml
: >empty.yaml
refused 'empty.yaml: holds no ImageContentSourcePolicy' empty.yaml
refused missing.yaml missing.yaml
sed 's/name: first/name: ..\/..\/first/' icsp.yaml >path.yaml
refused '"../../first": not the name of a cluster object' path.yaml
sed '/name: first/d' icsp.yaml >unnamed.yaml
refused 'not the name of a cluster object' unnamed.yaml
sed 's/source: s.example.com\/b/source: [5]/' icsp.yaml >type.yaml
refused 'type.yaml:15: ImageContentSourcePolicy/first: spec.repositoryDigestMirrors[0].source' type.yaml
printf 'a: [\n' >syntax.yaml
refused syntax.yaml:2: syntax.yaml
echo '[[[]]]' >nonsense.yaml
refused 'holds no' nonsense.yaml
expect_status 1 mirror migrate-icsp --dest-dir some type.yaml icsp.yaml missing.yaml
expect_contains "$err" type.yaml missing.yaml '2 of 3 files were not migrated'
expect_same want some/*.yaml
: >file
expect_status 1 mirror migrate-icsp --dest-dir file icsp.yaml
expect_status 2 mirror migrate-icsp
