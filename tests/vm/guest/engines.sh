# The kernel engine, and what the kernel itself does with odd stores. shellcheck shell=dash

# Whatever way it ended.
nothing_left() {
    for _ in $(seq 100); do
        [ -n "$(losetup -a)" ] || break
        sleep 0.1
    done
    [ -z "$(losetup -a)" ]
    [ "$(dmsetup ls)" = "No devices found" ]
    [ -z "$(ls -A /data/scratch)" ]
}

step() {
    echo "== $(cut -d ' ' -f 1 /proc/uptime) $1"
    SUGAR_CELLAR_ENGINES=$1 /engine-test --exact engines::inside --nocapture
    nothing_left
}

# bare_merge NAME: what the kernel's own merge does with the store as it is.
bare_merge() {
    echo "== $(cut -d ' ' -f 1 /proc/uptime) bare merge of $1"
    onto=$(losetup -f --show "/data/stores/$1.image")
    from=$(losetup -f --show "/data/stores/$1.overlay")
    dmsetup create merge --table "0 $(blockdev --getsz "$onto") snapshot-merge $onto $from P 8"
    for _ in $(seq 200); do
        # 0 131072 snapshot-merge 5648/65536 32
        status=$(dmsetup status merge)
        # shellcheck disable=SC2086 # to be split
        set -- "$1" $status
        case $5 in
        */*) [ "${5%/*}" = "$6" ] && break ;;
        *) break ;;
        esac
        sleep 0.1
    done
    echo "bare $1: $status"
    dmsetup remove merge
    losetup -d "$onto" "$from"
    sync
}

# fill CHUNKS: a store of so many chunks of 4 KiB, used chunk by chunk until no more can be had.
fill() {
    truncate -s 4M /run/origin
    rm -f /run/store
    truncate -s $((4096 * $1)) /run/store
    origin=$(losetup -r -f --show /run/origin)
    store=$(losetup -f --show /run/store)
    dmsetup create filled --table "0 8192 snapshot $origin $store PO 8"
    dd if=/dev/urandom of=/dev/mapper/filled bs=4096 count=1000 oflag=direct status=none 2>/dev/null || true
    dmsetup remove filled
    dmsetup create filled --readonly --table "0 8192 snapshot $origin $store P 8"
    echo "filled $1: $(dmsetup status filled)"
    dmsetup remove filled
    losetup -d "$origin" "$store"
}

engine() {
    sugar-cellar-helper "$@" --engine kernel --scratch /data/scratch --json </dev/null
}

# killed DEVICE: in the middle of the merge, and of mksquashfs's work.
killed() {
    for what in 'losetup -a | grep -q scratch' 'pidof mksquashfs'; do
        echo "== $(cut -d ' ' -f 1 /proc/uptime) killed: $what"
        # Not by the function, which would be another process.
        sugar-cellar-helper refresh "$1" --yes --engine kernel --scratch /data/scratch \
            </dev/null >/run/said 2>&1 &
        child=$!
        until eval "$what" >/dev/null; do
            kill -0 $child || { cat /run/said; return 1; }
        done
        kill -9 $child
        wait $child || true
        nothing_left
    done
}

# by_helper DEVICE: as a person asks for it.
by_helper() {
    echo "== $(cut -d ' ' -f 1 /proc/uptime) by the helper"
    engine plan "$1"
    # Not for whoever became root by pkexec: nobody's path is followed then.
    ! PKEXEC_UID=1000 engine refresh "$1" --yes 2>&1
    engine refresh "$1" --yes
    nothing_left
    echo "== $(cut -d ' ' -f 1 /proc/uptime) done"
}
