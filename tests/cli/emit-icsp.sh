#!/bin/bash
# mirror emit-icsp: objects and node files from a bundle, a list, a mapping and a report; the same
# input gives the same bytes; what no cluster would take is refused.
. "$(dirname "$0")/../lib/test.sh"
cd "$T"

A=sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
B=sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
cat >mapping.txt <<MAPPING
# two images
docker://q.io/team/app:1@$A=docker://m.io:5000/x/team/app:1
q.io/team/db@$B=m.io:5000/x/team/db:pinned-bbbbbbbbbbbbbbbb
MAPPING
printf -- '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n' >ca.pem

# One file for each object, and the node's tree.
expect_status 0 mirror emit-icsp --from mapping.txt --kind icsp,idms,itms --insecure --allow-only \
    --ca m.io:5000=ca.pem --import-from m.io:5000 --external-hostname reg.example.com \
    --allow quay.io --output-dir full
expect_equal '' "$(cat "$out")" "stdout with --output-dir"
expect_equal './configmap-registry-ca.yaml
./image.yaml
./imagecontentsourcepolicy.yaml
./imagedigestmirrorset.yaml
./imagetagmirrorset.yaml
./node/etc/containers/policy.json
./node/etc/containers/registries.conf
./node/etc/docker/certs.d/m.io:5000/ca.crt' "$(cd full && find . -type f | LC_ALL=C sort)" "files"
expect_same ca.pem full/node/etc/docker/certs.d/m.io:5000/ca.crt
cat >want <<'YAML'
---
apiVersion: operator.openshift.io/v1alpha1
kind: ImageContentSourcePolicy
metadata:
  name: mirror
spec:
  repositoryDigestMirrors:
  - mirrors:
    - m.io:5000/x/team/app
    source: q.io/team/app
  - mirrors:
    - m.io:5000/x/team/db
    source: q.io/team/db
YAML
expect_same want full/imagecontentsourcepolicy.yaml
expect_contains full/imagetagmirrorset.yaml 'source: q.io/team/app'
expect_lacks full/imagetagmirrorset.yaml 'q.io/team/db'
expect_contains full/configmap-registry-ca.yaml 'm.io..5000: |' 'namespace: openshift-config'
expect_contains full/image.yaml 'insecureRegistries:' 'domainName: m.io:5000' 'name: registry-ca' \
    '- image-registry.openshift-image-registry.svc:5000' '- reg.example.com' '- quay.io'
expect_lacks full/image.yaml creationTimestamp

# The node files are those of the objects.
expect_status 0 mirror node-config --output-dir again full/*.yaml
diff -r full/node again || fail "node files and objects do not belong together"

# The same input in another order, the same bytes; nothing depends on the time.
tac mapping.txt >reversed.txt
expect_status 0 mirror emit-icsp --from reversed.txt --kind icsp,idms,itms --insecure --allow-only \
    --ca m.io:5000=ca.pem --import-from m.io:5000 --external-hostname reg.example.com \
    --allow quay.io --output-dir full2
diff -r full full2 || fail "the order of the mapping changes the output"

# To standard output, from standard input, one file alone.
expect_status 0 mirror emit-icsp --from - <mapping.txt
expect_contains "$out" '# imagecontentsourcepolicy.yaml' '# node/etc/containers/registries.conf'
expect_contains "$err" 'pulls by tag do not use these mirrors'
expect_status 0 mirror emit-icsp --from mapping.txt --only imagecontentsourcepolicy.yaml
expect_same want "$out"

# A bundle and a list of images land where a copy puts them.
images layout plain >images.txt
tar -cf sample.tar -C layout .
expect_status 0 mirror inspect oci:layout
expect_status 0 mirror emit-icsp --from bundle:sample.tar --mirror m.io/pre --only registries.conf
cp "$out" from-bundle
expect_status 0 mirror emit-icsp --from oci:layout --mirror m.io/pre --only registries.conf
expect_same from-bundle "$out"
grep -q 'location = "m.io/pre/' from-bundle || fail "no mirror below the prefix"
printf 'q.io/team/app:1\ndocker://q.io/db@%s\n' "$B" >list.txt
expect_status 0 mirror emit-icsp --from list.txt --mirror m.io/pre --only imagecontentsourcepolicy.yaml
expect_contains "$out" '- m.io/pre/team/app' '- m.io/pre/db'
expect_status 0 mirror emit-icsp --from list.txt --mirror m.io/pre --keep-host --max-depth 2 \
    --only imagecontentsourcepolicy.yaml
expect_contains "$out" '- m.io/pre/q.io-team-app' '- m.io/pre/q.io-db'
expect_status 2 mirror emit-icsp --from list.txt
expect_contains "$err" --mirror

# A report: what failed is left out, with a warning.
cat >report.json <<JSON
{"version": 1, "images": [
 {"source": "docker://q.io/team/app:1", "image": "q.io/team/app:1@$A", "digest": "$A",
  "destination": "docker://m.io/team/app:1", "outcome": "copied"},
 {"source": "docker://q.io/team/db:1", "destination": "docker://m.io/team/db:1", "outcome": "failed"}
]}
JSON
expect_status 0 mirror emit-icsp --from report.json --only imagecontentsourcepolicy.yaml
expect_contains "$out" 'source: q.io/team/app'
expect_lacks "$out" db
expect_contains "$err" 'warning: docker://q.io/team/db:1 is left out'
# --mirror gives the registry another name.
expect_status 0 mirror emit-icsp --from report.json --mirror other.io --only imagecontentsourcepolicy.yaml
expect_contains "$out" '- other.io/team/app'
expect_status 2 mirror emit-icsp --from report.json --mirror other.io/prefix

# Scopes: broad where that is right, with a note where it is not.
cat >scopes.txt <<MAPPING
q.io/a/b@$A=m.io/p/a/b
q.io/a/c@$A=m.io/p/a/c
q.io/a/d@$A=m.io/elsewhere
MAPPING
expect_status 0 mirror emit-icsp --from scopes.txt --scope namespace --only imagecontentsourcepolicy.yaml
expect_equal 'source: q.io/a source: q.io/a/d' "$(grep -o 'source: .*' "$out" | paste -sd ' ')" sources
expect_contains "$err" '1 of 3 repositories get scopes of their own'
expect_status 0 mirror emit-icsp --from scopes.txt --scope registry --only imagecontentsourcepolicy.yaml
expect_equal 'source: q.io source: q.io/a/d' "$(grep -o 'source: .*' "$out" | paste -sd ' ')" sources
expect_lacks "$err" 'hides the mirrors'

# The node files of an older generation; the objects stay the same.
expect_status 0 mirror emit-icsp --from mapping.txt --ocp 4.12 --only registries.conf
expect_contains "$out" 'mirror-by-digest-only = true'
expect_lacks "$out" pull-from-mirror
expect_status 0 mirror emit-icsp --from mapping.txt --ocp 4.12 --only imagecontentsourcepolicy.yaml
expect_same want "$out"
expect_status 0 mirror emit-icsp --from mapping.txt --ocp 4.12 --kind idms --only registries.conf
expect_contains "$err" 'ImageDigestMirrorSet: has no effect: generation 4.12'
expect_status 2 mirror emit-icsp --from mapping.txt --ocp 5

# Warnings that say why pods would fail.
expect_status 0 mirror emit-icsp --from mapping.txt --allow-only --output-dir w
expect_contains "$err" "a release payload's registry is not allowed" 'will fail to pull'
expect_lacks "$err" 'internal registry'
expect_status 0 mirror emit-icsp --from mapping.txt --allow quay.io --output-dir w
expect_contains "$err" 'the internal registry is not allowed'
expect_status 0 mirror emit-icsp --from mapping.txt --block quay.io --output-dir w
expect_contains "$err" "a release payload's registry" 'is blocked and has no mirror'
expect_status 0 mirror emit-icsp --from mapping.txt --output-dir w \
    --block image-registry.openshift-image-registry.svc:5000
expect_contains "$err" 'the internal registry is blocked'
expect_status 1 mirror emit-icsp --from mapping.txt --block quay.io --strict --output-dir none
expect_missing none
# A leftover of an earlier run would be applied too.
expect_status 0 mirror emit-icsp --from mapping.txt --output-dir full
expect_contains "$err" 'full/imagetagmirrorset.yaml is from an earlier run'

# Sources blocked: pulls can only come from the mirror.
expect_status 0 mirror emit-icsp --from mapping.txt --block-source --only registries.conf
expect_equal 3 "$(grep -c 'blocked = true' "$out")" "blocked entries"

# What is refused leaves nothing behind.
wrong() {
    local code=$1 text=$2
    shift 2
    expect_status "$code" mirror emit-icsp --output-dir none "$@"
    expect_contains "$err" "$text"
    expect_missing none
}
wrong 2 'exclude each other' --from mapping.txt --allow-only --block-source
wrong 2 'exclude each other' --from mapping.txt --allow a.io --block b.io
wrong 2 '--from is needed' --mirror m.io
wrong 2 '"every"' --from mapping.txt --kind every
wrong 2 '--scope all' --from mapping.txt --scope all
wrong 2 'HOST[:PORT]=FILE' --from mapping.txt --ca ca.pem
wrong 1 'none.pem' --from mapping.txt --ca m.io=none.pem
wrong 1 'no PEM certificate' --from mapping.txt --ca m.io=mapping.txt
wrong 2 '"Bad"' --from mapping.txt --name Bad
wrong 2 '"a b"' --from mapping.txt --allow 'a b'
wrong 2 'options only' --from mapping.txt surplus
wrong 1 'lies inside' --from mapping.txt --block m.io:5000
wrong 1 none.txt --from none.txt
: >empty.txt
wrong 1 'names no image' --from empty.txt
printf 'q.io/A@%s=m.io/a\n' "$A" >bad.txt
wrong 1 'bad.txt:1' --from bad.txt
echo '{"images": [{}]}' >bad.json
wrong 1 'not a report' --from bad.json
echo '{"images": 5}' >bad.json
wrong 1 'not a report' --from bad.json
printf '{"images": [\n}' >bad.json
wrong 1 'bad.json:2:' --from bad.json
head -c 5000 sample.tar >cut.tar
wrong 1 cut.tar --from bundle:cut.tar --mirror m.io
