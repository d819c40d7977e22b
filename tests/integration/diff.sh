#!/bin/bash
# mirror diff: names, manifests and blobs that only one of two sets has, agree with what jq and
# sort say of the layouts; bundles, layouts, differentials and registries are the same to it.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry jq
cd "$T"

images many many --count 8 --layers 3 >/dev/null
names() { jq -r '.manifests[].annotations["org.opencontainers.image.ref.name"]' many/index.json; }
names | sed 's#^#oci:many:#' >all
sed -n 1,6p all >old.list
sed -n 3,8p all >new.list
expect_status 0 mirror copy --file old.list bundle:old.tar
expect_status 0 mirror copy --file new.list bundle:new.tar
expect_status 0 mirror copy --file new.list --since old.tar bundle:more.tar

# What the two tars hold, without us.
blobs() { tar tvf "$1" | awk '$NF ~ /^blobs\/sha256\/./ { print $NF, $3 }' | sort; }
sum() { awk '{ count++; bytes += $2 } END { print count + 0, bytes + 0 }'; }
blobs old.tar >old.blobs
blobs new.tar >new.blobs
total() { jq -r "[.manifests.$1, .blobs.$1] | \"\(map(.count) | add) \(map(.bytes) | add)\"" "$out"; }

expect_status 0 mirror diff --json old.tar new.tar
expect_equal "$(comm -13 old.blobs new.blobs | sum)" "$(total added)" added
expect_equal "$(comm -23 old.blobs new.blobs | sum)" "$(total removed)" removed
expect_equal "$(comm -12 old.blobs new.blobs | sum)" "$(total same)" "the same"
expect_equal 4 "$(jq .same "$out")" "names that are the same"
cp "$out" by-files
expect_equal "$(names | sed -n 7,8p)" "$(jq -r '.images[] | select(has("from") | not).image' "$out")"
expect_equal "$(names | sed -n 1,2p)" "$(jq -r '.images[] | select(has("to") | not).image' "$out")"

# Whatever form the sets have, the answer is the same; a differential has what its base has.
mkdir layout
expect_status 0 mirror copy --file new.list oci:layout
for new in layout oci:layout bundle:new.tar more.tar; do
    expect_status 0 mirror diff --json bundle:old.tar "$new"
    expect_same by-files "$out"
done

# ---- for people, and for scripts -------------------------------------------------------------
expect_status 0 mirror diff old.tar new.tar
expect_equal 2 "$(grep -c '^+ ' "$out")" "lines of what is added"
expect_equal 2 "$(grep -c '^- ' "$out")" "lines of what is removed"
expect_line "$out" 'images: 2 added, 2 removed, 0 changed, 4 the same'
expect_status 1 mirror diff --exit-code old.tar new.tar
expect_contains "$err" 'old.tar and new.tar differ'
expect_status 0 mirror diff --exit-code new.tar oci:layout
expect_line "$out" 'images: 0 added, 0 removed, 0 changed, 6 the same'
expect_line "$out" 'blobs: 0 added \(0 B\), 0 removed \(0 B\), .*'

# ---- a tag that moved is one change ----------------------------------------------------------
start_registry
first=$(sed -n 1p all) second=$(sed -n 2p all)
expect_status 0 mirror copy "$first" "docker://$REGISTRY/team/app:1"
expect_status 0 mirror copy "docker://$REGISTRY/team/app:1" bundle:before.tar
expect_status 0 mirror copy "$second" "docker://$REGISTRY/team/app:1"
expect_status 0 mirror diff bundle:before.tar "docker://$REGISTRY/team/app:1"
expect_line "$out" "~ $REGISTRY/team/app:1 sha256:[0-9a-f]+ -> sha256:[0-9a-f]+"
expect_line "$out" 'images: 0 added, 0 removed, 1 changed, 0 the same'

# A layout whose names are tags alone, as other tools write it, is known by them.
jq '.manifests[0].annotations["org.opencontainers.image.ref.name"] = "v1" | .manifests |= .[:1]' \
    layout/index.json >index && mv index layout/index.json
cp -r layout other
expect_status 0 mirror diff --exit-code layout other
expect_line "$out" 'images: 0 added, 0 removed, 0 changed, 1 the same'

# ---- refusals --------------------------------------------------------------------------------
expect_status 2 mirror diff old.tar
expect_contains "$err" 'name two sets of images'
expect_status 2 mirror diff old.tar new.tar more.tar
expect_contains "$err" 'more.tar is one too many'
expect_status 2 mirror diff old.tar not-there.tar
rm "layout/blobs/sha256/$(jq -r '.manifests[0].digest' layout/index.json | cut -d: -f2)"
expect_status 1 mirror diff old.tar layout
expect_contains "$err" layout
