# What comes of a stick with odd entries in its folders. shellcheck shell=dash

# helper ARGUMENTS...: with a head line that tells how it ended.
helper() {
    ended=0
    sugar-cellar-helper "$@" </dev/null >/run/said 2>&1 || ended=$?
    printf '\n<<%s %s %s>>\n' "$name" "$ended" "$*"
    cat /run/said
}

# A copy of all of it, and that nothing in it has changed since. What is kept in memory of the device
# knows nothing of what is written to its files.
keep() {
    blockdev --flushbufs "$disk"
    cat "$disk" >/run/before
}

unchanged() {
    blockdev --flushbufs "$disk"
    cmp "$disk" /run/before
}

# All beside LiveOS, which may not even be looked at.
outside() {
    mount -t vfat -o ro,iocharset=ascii,utf8 "$disk" /mnt
    (cd /mnt && echo * && md5sum photo.jpg)
    umount /mnt
}

# changes ARGUMENTS...: what may change it, unless it fails.
changes() {
    helper "$@"
    if [ $ended = 0 ]; then keep; else unchanged; fi
}

# try DEVICE NAME: every command on it.
try() {
    disk=$1 name=$2
    outside >/run/outside
    keep
    for verb in plan check explain; do
        helper $verb "$disk"
    done
    helper status "$disk"
    helper status "$disk" --json
    unchanged

    # As its own system has it, with names in another encoding.
    mkdir -p /run/initramfs/live
    mount -t vfat -o ro,iocharset=ascii,utf8 "$disk" /run/initramfs/live
    helper list
    helper list --json
    helper status live
    helper status live --json
    umount /run/initramfs/live

    changes tidy "$disk"
    changes enlarge "$disk" +1M --json
    changes refresh "$disk" --yes --json
    outside | cmp - /run/outside
}
