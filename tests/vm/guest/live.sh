# The live root as dracut sets it up. shellcheck shell=dash

# live_root DEVICE OVERLAY [PO|P]: boots, so to speak, from DEVICE: /dev/mapper/live-rw.
live_root() {
    mkdir -p /run/initramfs/live /run/initramfs/squashfs
    mount -o noatime "$1" /run/initramfs/live
    mount -o ro,loop /run/initramfs/live/LiveOS/squashfs.img /run/initramfs/squashfs
    base=$(losetup -r -f --show /run/initramfs/squashfs/LiveOS/*.img)
    store=$(losetup -f --show "/run/initramfs/live/LiveOS/$2")
    sectors=$(blockdev --getsz "$base")
    dmsetup create --readonly live-base --table "0 $sectors linear $base 0"
    dmsetup create live-rw --table "0 $sectors snapshot $base $store ${3:-PO} 8"
}

# live_end: shuts it down in order.
live_end() {
    dmsetup remove live-rw
    dmsetup remove live-base
    losetup -d "$store" "$base"
    umount /run/initramfs/squashfs
    umount /run/initramfs/live
}

# goes_on DEVICE OVERLAY: it starts, and more can be saved.
goes_on() {
    live_root "$1" "$2"
    mount /dev/mapper/live-rw /mnt
    head -c 1000000 /dev/urandom >/mnt/more
    umount /mnt
    e2fsck -fn /dev/mapper/live-rw >/run/fsck 2>&1 || { cat /run/fsck; exit 1; }
    live_end
}
