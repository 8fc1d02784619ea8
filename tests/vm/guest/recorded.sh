# What a command writes to a stick's device, recorded by the kernel. shellcheck shell=dash

# All of the narrow stick's overlay is set aside, as livecd-tools do it, and most of what is free.
mount -o loop /data/ext4-narrow /mnt
fallocate -l 136M /mnt/LiveOS/overlay-*
dd if=/dev/zero of=/mnt/filler bs=64k 2>/dev/null || true
truncate -s -500K /mnt/filler
umount /mnt
sugar-cellar-helper plan /data/ext4-narrow --json </dev/null >/run/said
grep -q '"mode":"shortened_overlay"' /run/said || { cat /run/said; exit 1; }

# record STICK NAME COMMAND...: on a copy of the stick, into NAME's log.
record() {
    stick=$1 name=$2
    shift 2
    echo "== $(cut -d ' ' -f 1 /proc/uptime) record $name"
    truncate -s "$(stat -c %s "/data/$stick")" /run/copy
    dd if="/data/$stick" of=/run/copy bs=64k conv=sparse,notrunc 2>/dev/null
    truncate -s 64M "/data/$name.log"
    copy=$(losetup -f --show /run/copy)
    log=$(losetup -f --show "/data/$name.log")
    dmsetup create recorded \
        --table "0 $(blockdev --getsz "$copy") log-writes $copy $log"
    sugar-cellar-helper "$@" --json </dev/null >/run/said
    tail -n 1 /run/said | grep -q '"event":"finished"' || { cat /run/said; return 1; }
    dmsetup remove recorded
    losetup -d "$copy" "$log"
    rm /run/copy
}
