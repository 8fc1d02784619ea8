# How the kernel comes to write overlays. shellcheck shell=dash
# The data disk is mounted at /data: images/BASE/ from the host, out/ for the host.

outs=/data/out

# open_image BASE: the inner image, in $image and $sectors. Not out of the SquashFS,
# as the live system has it: the bytes are the same, and emulated xz takes minutes.
open_image() {
    image=$(losetup -r -f --show "/data/images/$1"/LiveOS/*.img)
    sectors=$(blockdev --getsz "$image")
}

close_image() {
    losetup -d "$image"
}

# begin NAME BASE BYTES: a new stick's overlay, all zeros.
begin() {
    base=$2
    out=$outs/$1
    echo "== $(cut -d ' ' -f 1 /proc/uptime) $1"
    mkdir -p "$out"
    open_image "$2"
    overlay=$out/overlay
    truncate -s "$3" "$overlay"
}

# open_root MODE CHUNK: the stick's root as the live system has it, /dev/mapper/root.
open_root() {
    store=$(losetup -f --show "$overlay")
    dmsetup create root --table "0 $sectors snapshot $image $store $1 $2"
}

# close_root: notes the kernel's figures, then closes it.
close_root() {
    dmsetup status root >"$out/live"
    dmsetup remove root
    losetup -d "$store"
}

mount_root() {
    mount -o noatime /dev/mapper/root /mnt
}

# reset_overlay: as the reset at boot does it.
reset_overlay() {
    dd if=/dev/zero of="$overlay" bs=64k count=1 conv=notrunc status=none
}

# touch_chunks FIRST COUNT: overwrites 4 KiB chunks with other content, past all file systems.
touch_chunks() {
    dd if=/data/saved/noise of=/dev/mapper/root bs=4096 seek="$1" count="$2" oflag=direct status=none
}

# learn DAY: what a learner does on one day, in /mnt.
learn() {
    day=/mnt/home/learner/day$1
    mkdir -p "$day/notes"
    cp -r /data/saved/pictures /data/saved/journal "$day"
    n=0
    while [ $n -lt 60 ]; do
        echo "note $n of day $1" >"$day/notes/$n.txt"
        n=$((n + 1))
    done
    sync
    # Edits: at the end, in the middle, and as editors do it, by a new file.
    echo "10.0.0.$1 school" >>/mnt/etc/hosts
    dd if=/data/saved/noise of=/mnt/usr/share/books/3.txt bs=4096 seek=5 count=7 skip="$1" conv=notrunc status=none
    cp "/mnt/home/learner/Documents/$1.txt" "$day/essay.new"
    echo "more of it" >>"$day/essay.new"
    mv "$day/essay.new" "/mnt/home/learner/Documents/$1.txt"
    # Deletions: of what came with the image, and of what was saved today.
    rm -r /mnt/usr/share/games/level"$1"* "$day/pictures/1.jpg" "$day/pictures/3.jpg"
    sync
    # Other kinds: links, a hole, another mode, another name.
    ln -s ../Documents "$day/link"
    ln "$day/pictures/2.jpg" "$day/same.jpg"
    truncate -s 3M "$day/hole"
    chmod 700 "$day/notes"
    mv "/mnt/usr/share/icons/$1.svg" "$day/icon.svg"
}

# manifest FOLDER: all that is in it, one line each.
manifest() {
    (
        cd "$1"
        find . -type f -exec md5sum {} + | sort -k 2
        # A folder's size and links depend on how it came to be.
        find . -type d -exec stat -c '%n %A %u:%g' {} + | sort
        find . ! -type d -exec stat -c '%n %A %u:%g %h %s %N' {} + | sort
    )
}

# merge BASE_DEVICE STORE_DEVICE CHUNK: the kernel's own merge. Ends when it has ended, or with an error.
merge() {
    dmsetup create merge --table "0 $sectors snapshot-merge $1 $2 P $3"
    while :; do
        # 0 131072 snapshot-merge 5648/65536 32
        # shellcheck disable=SC2046 # to be split
        set -- $(dmsetup status merge)
        case $4 in
        */*) [ "${4%/*}" = "$5" ] && break ;;
        *) break ;;
        esac
        sleep 0.1
    done
    dmsetup remove merge
    case $4 in */*) ;; *) return 1 ;; esac
}

# judge [closely]: what the kernel says of the finished overlay: figures and merged
# bytes; closely, the files in it as well, and what a read-only snapshot reads.
# The overlay itself is not written.
judge() {
    store=$(losetup -r -f --show "$overlay")
    dmsetup create --readonly look --table "0 $sectors snapshot $image $store P 8"
    dmsetup status look >"$out/status"
    if grep -q Invalid "$out/status"; then
        dmsetup remove look
        losetup -d "$store"
        close_image
        return
    fi

    merged=$out/merged.img
    cp --sparse=always "/data/images/$base"/LiveOS/*.img "$merged"
    cp --sparse=always "$overlay" /data/copy
    onto=$(losetup -f --show "$merged")
    from=$(losetup -f --show /data/copy)
    merge "$onto" "$from" 8
    losetup -d "$from"
    losetup -d "$onto"
    [ "${1:-}" != closely ] || cmp /dev/mapper/look "$merged"
    dmsetup remove look
    losetup -d "$store"
    close_image
    [ "${1:-}" = closely ] || return 0

    # Files are there for certain only after the journal's replay: on a copy.
    cp --sparse=always "$merged" /data/copy
    mount -o loop,noatime /data/copy /mnt
    manifest /mnt >"$out/files"
    umount /mnt
    e2fsck -fn /data/copy
    rm /data/copy
}
