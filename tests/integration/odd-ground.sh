#!/bin/bash
# Bundles on real file systems: memory, journalling ones, one that cannot reserve blocks, one that is
# read-only, one that is too small. The same bytes everywhere, little more written than the bundle, or
# an error that says why and leaves nothing behind.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry

images "$T/big" big --layers 3 --layer-bytes $((4 << 20)) >/dev/null
digest=$(image_digest "$T/big" registry.example.invalid/big/image:1)
start_registry; A=$REGISTRY A_LOG=$REGISTRY_LOG
push_layout "$T/big" "$A"
source=docker://$A/big/image@$digest
expect_status 0 mirror copy "$source" "bundle:$T/want.tar"
bytes=$(stat -c %s "$T/want.tar")
tried=0

# mount_at NAME ARGS...: mount on $T/NAME; false when that is not permitted here.
mount_at() {
    local path=$T/$1
    shift
    mkdir -p "$path"
    mount "$@" "$path" 2>/dev/null || return 1
    MOUNTED+=("$path")
    tried=$((tried + 1))
}

# image_of SIZE MKFS...: a file system in a file; false when there is no such mkfs, or it fails.
image_of() {
    local size=$1
    shift
    command -v "$1" >/dev/null || return 1
    rm -f "$T/image"
    truncate -s "$size" "$T/image"
    "$@" "$T/image" >/dev/null 2>&1
}

# sound_in DIR: a bundle there is the one we want, alone, also when done again, in volumes, as layout.
sound_in() {
    expect_status 0 mirror copy "$source" "bundle:$1/b.tar"
    expect_same "$T/want.tar" "$1/b.tar"
    expect_status 0 mirror copy "$source" "bundle:$1/b.tar"
    expect_same "$T/want.tar" "$1/b.tar"
    rm "$1/b.tar"
    expect_status 0 mirror copy --volume-size 5MiB "$source" "bundle:$1/v.tar"
    cat "$1"/v.tar.??? | cmp - "$T/want.tar" || fail "$1: the volumes are not the bundle"
    rm "$1"/v.tar.???
    expect_status 0 mirror copy "$source" "oci:$1/layout"
    expect_status 0 mirror verify "oci:$1/layout"
    rm -r "$1/layout"
    ls -A "$1" >"$T/left"
    expect_lacks "$T/left" b.tar v.tar partial journal
}

if mount_at tmpfs -t tmpfs -o size=64m none; then sound_in "$T/tmpfs"; fi
if mount_at ramfs -t ramfs none; then sound_in "$T/ramfs"; fi # it cannot reserve

if image_of 96M mkfs.ext4 -q && mount_at ext4 -o loop "$T/image"; then
    sound_in "$T/ext4"
    # What goes to the disk is the bundle and next to nothing else.
    device=$(findmnt -n -o MAJ:MIN "$T/ext4" | tr -d ' ')
    if [ -r "/sys/dev/block/$device/stat" ]; then
        sync -f "$T/ext4"
        before=$(awk '{print $7}' "/sys/dev/block/$device/stat")
        expect_status 0 mirror copy "$source" "bundle:$T/ext4/b.tar"
        after=$(awk '{print $7}' "/sys/dev/block/$device/stat")
        # the file system's own journal and tables are no business of ours: 5 in 100 and 256 KiB
        [ $(((after - before) * 512)) -le $((bytes + bytes / 20 + 262144)) ] ||
            fail "$(((after - before) * 512)) bytes went to the disk, for a bundle of $bytes"
        rm "$T/ext4/b.tar"
    fi
    # A read-only disk, and a bundle on it that is there already.
    expect_status 0 mirror copy "$source" "bundle:$T/ext4/b.tar"
    mount -o remount,ro "$T/ext4"
    expect_status 1 mirror copy "$source" "bundle:$T/ext4/c.tar"
    expect_contains "$err" "$T/ext4/c.tar" "Read-only file system"
    expect_status 0 mirror verify "bundle:$T/ext4/b.tar"
fi

# Half the room: known before anything is fetched, and nothing is left.
if mount_at small -t tmpfs -o size=8m none; then
    fetched=$(registry_requests "$A_LOG" 'GET /v2/big/image/blobs/')
    expect_status 1 mirror copy "$source" "bundle:$T/small/b.tar"
    expect_contains "$err" "no room" "$bytes bytes"
    expect_equal "$fetched" "$(registry_requests "$A_LOG" 'GET /v2/big/image/blobs/')" "blobs fetched"
    expect_equal '' "$(ls -A "$T/small")" "files left behind"
fi

if image_of 320M mkfs.xfs -q && mount_at xfs -o loop "$T/image"; then sound_in "$T/xfs"; fi

# A limit on the size of files, as FAT32 has one; the shell counts in KiB.
expect_status 1 bash -c "ulimit -f $((bytes / 1024 / 2)); exec \"\$0\" \"\$@\"" \
    "$MIRROR" copy "$source" "bundle:$T/limited.tar"
expect_contains "$err" --volume-size
expect_missing "$T/limited.tar" "$T/limited.tar.partial" "$T/limited.tar.journal"
expect_status 0 bash -c "ulimit -f $((bytes / 1024 / 2)); exec \"\$0\" \"\$@\"" \
    "$MIRROR" copy --volume-size $((bytes / 1024 / 3 * 1024)) "$source" "bundle:$T/limited.tar"
cat "$T"/limited.tar.??? | cmp - "$T/want.tar" || fail "the volumes are not the bundle"

[ "$tried" -gt 0 ] || skip "mounting is not permitted"
