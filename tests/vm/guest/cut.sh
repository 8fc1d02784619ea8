# States that a cut left, in the hands of the kernel. shellcheck shell=dash

# boot FOLDER: as dracut does it.
boot() {
    mount -o ro,loop "$1/LiveOS/squashfs.img" /run/squashfs
    base=$(losetup -r -f --show /run/squashfs/LiveOS/rootfs.img)
    store=$(losetup -f --show "$1/LiveOS/$OVERLAY")
    dmsetup create live-rw --table "0 $(blockdev --getsz "$base") snapshot $base $store PO 8"
    mount /dev/mapper/live-rw /mnt
}

shut_down() {
    umount /mnt
    dmsetup status live-rw
    dmsetup remove live-rw
    losetup -d "$base" "$store"
    umount /run/squashfs
}

# find_all FOLDER: what the learner had, and what was written to since.
find_all() {
    for file in /data/files/*; do
        cmp "$file" "/mnt/${file##*/}"
    done
    [ -d /mnt/folder ]
    [ ! -e /mnt/deleted ]
}

# live_on FOLDER COMMAND...: boots a state, saves, lets the next run go over it, and boots again.
live_on() {
    folder=$1
    shift
    echo "== $(cut -d ' ' -f 1 /proc/uptime) $folder $*"
    boot "$folder"
    find_all
    head -c 60000 /data/files/kept >/mnt/saved
    # In the middle of a file: the same, but the kernel cannot know.
    dd if=/data/files/work of=/mnt/work bs=4k skip=9 seek=9 count=5 conv=notrunc status=none
    shut_down
    sugar-cellar-helper "$@" --json </dev/null | tail -n 1 >/run/said
    grep -q '"event":"finished"' /run/said || { cat /run/said; return 1; }
    boot "$folder"
    find_all
    head -c 60000 /data/files/kept | cmp - /mnt/saved
    shut_down
    [ ! -e "$folder/LiveOS/squashfs.new" ]
}
