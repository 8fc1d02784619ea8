# The kernel goes on with a stick. shellcheck shell=dash
# Needs write.sh; the data disk holds sticks/NAME/{overlay, squashfs.img or image, expected}.

# use_it: saves, edits and deletes in /mnt, whatever root that is.
use_it() {
    # Room in the image is not what is tested.
    rm -rf /mnt/home/learner/day*
    mkdir -p /mnt/home/learner/later
    cp -r /data/saved/journal /data/saved/pictures /mnt/home/learner/later
    sync
    find /mnt/usr /mnt/home -type f -size +16 ! -path '*/later/*' | sort | head -n 20 >/run/found
    while read -r file && read -r other; do
        dd if=/data/saved/noise of="$file" bs=4096 count=1 seek=1 conv=notrunc status=none
        rm "$other"
    done </run/found
    rm /mnt/home/learner/later/pictures/2.jpg
}

# carry_on NAME: reads the stick's root and compares it with `expected`, where
# that is; a learner saves and deletes; then it is closed, opened again and read once more.
carry_on() {
    out=/data/sticks/$1
    echo "== $(cut -d ' ' -f 1 /proc/uptime) $1"
    overlay=$out/overlay
    if [ -e "$out/squashfs.img" ]; then
        mkdir -p /run/squashfs
        mount -o ro,loop "$out/squashfs.img" /run/squashfs
        image=$(losetup -r -f --show /run/squashfs/LiveOS/*.img)
    else
        image=$(losetup -r -f --show "$out/image")
    fi
    sectors=$(blockdev --getsz "$image")

    open_root PO 8
    dmsetup status root >"$out/opened"
    [ ! -e "$out/expected" ] || cmp /dev/mapper/root "$out/expected"
    mount_root
    manifest /mnt >"$out/files"
    use_it
    manifest /mnt >/run/files
    umount /mnt
    e2fsck -fn /dev/mapper/root >/run/fsck 2>&1 || { cat /run/fsck; return 1; }
    close_root

    open_root P 8
    dmsetup status root | cmp - "$out/live"
    mount_root
    manifest /mnt | cmp - /run/files
    umount /mnt
    e2fsck -fn /dev/mapper/root >/run/fsck 2>&1 || { cat /run/fsck; return 1; }
    close_root
    close_image
    [ ! -e "$out/squashfs.img" ] || umount /run/squashfs
}
