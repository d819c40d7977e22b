#!/bin/bash
# On a file system that can share blocks, a bundle that is made of one that is there already takes
# next to no space: blobs that lie alike within their blocks are not written again.
. "$(dirname "$0")/../lib/test.sh"
need mkfs.xfs filefrag

truncate -s 320M "$T/disk"
mkfs.xfs -q -m reflink=1 "$T/disk" >/dev/null 2>&1 || skip "no XFS with shared blocks can be made"
mkdir "$T/xfs"
mount -o loop "$T/disk" "$T/xfs" 2>/dev/null || skip "no file system can be mounted here"
MOUNTED+=("$T/xfs")

# used: KiB of the file system that are taken.
used() {
    sync -f "$T/xfs"
    df --output=used "$T/xfs" | tail -n 1
}

images "$T/big" big --layers 4 --layer-bytes $((8 << 20)) >/dev/null
expect_status 0 mirror copy "oci:$T/big:@0" "bundle:$T/xfs/a.tar"
before=$(used)

# From one bundle into another, and again over what stands there.
for ((i = 0; i < 2; i++)); do
    expect_status 0 mirror copy "bundle:$T/xfs/a.tar" "bundle:$T/xfs/b.tar"
    expect_same "$T/xfs/a.tar" "$T/xfs/b.tar"
    [ $(($(used) - before)) -lt 2048 ] || fail "a second bundle takes $(($(used) - before)) KiB"
done
expect_status 0 mirror verify "bundle:$T/xfs/b.tar"

# What is shared is not changed in both: the second bundle, damaged, is made again from the first.
printf x | dd of="$T/xfs/b.tar" bs=1 seek=$((12 << 20)) conv=notrunc status=none
cp --reflink=never "$T/xfs/a.tar" "$T/a.tar"
expect_status 1 mirror verify "bundle:$T/xfs/b.tar"
expect_status 0 mirror copy "bundle:$T/xfs/a.tar" "bundle:$T/xfs/b.tar"
expect_same "$T/a.tar" "$T/xfs/a.tar"
expect_same "$T/a.tar" "$T/xfs/b.tar"
