#!/bin/bash
# Bundles merged are the bundle that would have been made of all images at once, byte for byte.
. "$(dirname "$0")/../lib/test.sh"
need jq

images "$T/many" many --count 8 --layers 12 >/dev/null
images "$T/odd" odd >/dev/null
cd "$T"
for set in many odd; do
    jq -r --arg s "$set" '.manifests[] | "oci:\($s):" +
        .annotations["org.opencontainers.image.ref.name"]' "$set/index.json" >"$set.all"
done
sed -n 1,5p many.all >a.list
sed -n 4,8p many.all >b.list
grep -v odd/multi odd.all | head -n 4 >c.list
multi=$(grep odd/multi odd.all | head -n 1)
for set in a b c; do expect_status 0 mirror copy --file $set.list bundle:$set.tar; done

# ---- the same as all at once -----------------------------------------------------------------
expect_status 0 mirror copy --file a.list --file b.list --file c.list bundle:once.tar
expect_status 0 mirror merge a.tar b.tar c.tar -o merged.tar
expect_contains "$out" '-> bundle:merged.tar'
expect_same once.tar merged.tar
expect_status 0 mirror merge bundle:c.tar --jobs 1 --output bundle:again.tar b.tar a.tar a.tar
expect_same once.tar again.tar
mkdir layout
expect_status 0 mirror copy --file b.list oci:layout
expect_status 0 mirror merge a.tar layout c.tar -o - --quiet
expect_same once.tar "$out"
expect_status 0 mirror copy --volume-size 64KiB bundle:a.tar bundle:volumes.tar
expect_status 0 mirror merge volumes.tar.001 b.tar c.tar -o cut.tar --volume-size 100KiB
[ -e cut.tar.002 ]
cat cut.tar.0* >again.tar
expect_same once.tar again.tar
expect_status 0 mirror merge a.tar b.tar c.tar -o oci:whole
expect_status 0 mirror diff --exit-code once.tar whole
expect_status 0 mirror verify oci:whole
# Onto one of its own parts; as one image more.
cp a.tar into.tar
expect_status 0 mirror merge into.tar b.tar bundle:c.tar -o into.tar
expect_same once.tar into.tar
name=$(sed -n 1p c.list | sed 's/^oci:odd://')
expect_status 0 mirror merge a.tar "bundle:c.tar:$name" -o one.tar
expect_status 0 mirror inspect --json bundle:one.tar
expect_equal 6 "$(jq '.images | length' "$out")" "images"

# ---- a differential and its base ---------------------------------------------------------------
expect_status 0 mirror copy --since a.tar --file b.list bundle:diff.tar
expect_status 0 mirror copy --file a.list --file b.list bundle:both.tar
expect_status 0 mirror merge diff.tar a.tar -o merged.tar
expect_same both.tar merged.tar
expect_status 1 mirror merge diff.tar c.tar -o none.tar
expect_contains "$err" 'its base a.tar has it'
expect_missing none.tar none.tar.partial

# ---- platforms that two bundles have of one index ---------------------------------------------
expect_status 0 mirror copy --platform linux/amd64 "$multi" bundle:amd64.tar
expect_status 0 mirror copy --platform linux/arm64 "$multi" bundle:arm64.tar
expect_status 0 mirror copy --platform linux/amd64 --platform linux/arm64 "$multi" bundle:two.tar
expect_status 0 mirror copy "$multi" bundle:all.tar
expect_status 0 mirror merge arm64.tar amd64.tar -o merged.tar
expect_same two.tar merged.tar
expect_status 0 mirror merge amd64.tar two.tar arm64.tar -o merged.tar
expect_same two.tar merged.tar
expect_status 0 mirror verify bundle:merged.tar
expect_status 0 mirror merge arm64.tar all.tar -o merged.tar
expect_same all.tar merged.tar

# In the order of the index, also where what belongs together does not stand together.
attested=$(grep odd/attested odd.all)
for platform in amd64 arm64; do
    expect_status 0 mirror copy --platform linux/$platform "$attested" bundle:$platform.tar
done
expect_status 0 mirror copy --platform linux/arm64 --platform linux/amd64 "$attested" bundle:two.tar
expect_status 0 mirror merge arm64.tar amd64.tar -o merged.tar
expect_same two.tar merged.tar

# ---- layers that need not be distributed: what is there stays ----------------------------------
held=$(grep odd/foreign-held odd.all)
expect_status 0 mirror copy --include-nondistributable "$held" bundle:held.tar
expect_status 0 mirror copy "$held" bundle:left.tar
expect_status 0 mirror merge left.tar held.tar -o merged.tar
expect_same held.tar merged.tar
expect_status 0 mirror merge left.tar -o merged.tar
expect_same left.tar merged.tar

# ---- one name, two contents --------------------------------------------------------------------
jq '.manifests = [.manifests[1] + {annotations: .manifests[0].annotations}]' layout/index.json >index
cp -r layout moved
mv index moved/index.json
name=$(jq -r '.manifests[0].annotations["org.opencontainers.image.ref.name"]' moved/index.json)
digests=$(jq -r '.manifests[0:2][].digest' layout/index.json)
expect_status 1 mirror merge layout moved -o x.tar
expect_contains "$err" "${name%@*} is " ' in oci:layout, and ' ' in oci:moved' 'hint: name the images'
for digest in $digests; do expect_contains "$err" "$digest"; done
expect_missing x.tar x.tar.partial
# Two digests of one repository, without a tag, are two images.
jq '.manifests[].annotations["org.opencontainers.image.ref.name"] |= sub(":[^:@]*@"; "@")' \
    layout/index.json >index && mv index layout/index.json
expect_status 0 mirror merge layout -o x.tar

# ---- shown, reported, refused ------------------------------------------------------------------
expect_status 0 mirror merge --dry-run a.tar b.tar -o dry.tar
expect_contains "$out" 'images:        10 (0 present, 0 failed)' 'unique blobs:'
expect_missing dry.tar dry.tar.partial
expect_status 0 mirror merge --report report.json a.tar b.tar -o x.tar
expect_equal "copied" "$(jq -r '[.images[].outcome] | unique[]' report.json)" "outcomes"
expect_status 2 mirror merge a.tar
expect_contains "$err" 'name the bundle to be written with --output'
expect_status 2 mirror merge -o x.tar
expect_contains "$err" 'name the bundles to be merged'
expect_status 2 mirror merge a.tar docker://r.example.com/a -o x.tar
expect_contains "$err" 'bundles are merged'
expect_status 2 mirror merge a.tar -o docker://r.example.com/a
expect_contains "$err" 'bundles are merged'
expect_status 1 mirror merge a.tar not-there.tar -o x.tar
expect_contains "$err" 'open not-there.tar'
