# What a command writes to a stick's device, recorded by the kernel. shellcheck shell=dash

# fill STICK MODE: leaves so little free that a refresh takes that way.
fill() {
    mount -o loop "/data/$1" /mnt
    [ "$2" = scratch ] || fallocate -l 136M /mnt/LiveOS/overlay-*
    dd if=/dev/zero of=/mnt/filler bs=64k 2>/dev/null || true
    truncate -s -600K /mnt/filler
    umount /mnt
    sugar-cellar-helper plan "/data/$1" --json </dev/null >/run/said || true
    grep -q "\"mode\":\"$2\"" /run/said || { cat /run/said; exit 1; }
}
# All of the narrow stick's overlay is set aside, as livecd-tools do it.
fill ext4-narrow shortened_overlay
fill ext4-full scratch
fill bare-full scratch
fill fat-full scratch

sectors() {
    echo $(($(stat -c %s "$1") / 512))
}

# record STICK NAME COMMAND...: on a copy of the stick, into NAME's log. A disk for its scratch folder
# is recorded behind the stick. It is asked for no flush: as its computer lives on, all of it arrives.
record() {
    stick=/data/$1 scratch=/data/$1.scratch name=$2
    shift 2
    echo "== $(cut -d ' ' -f 1 /proc/uptime) record $name"
    dd if="$stick" of=/run/copy bs=64k conv=sparse,notrunc 2>/dev/null
    truncate -s "$(stat -c %s "$stick")" /run/copy
    if [ -e "$scratch" ]; then
        cat "$scratch" >>/run/copy
    fi
    truncate -s 64M "/data/$name.log"
    copy=$(losetup -f --show /run/copy)
    log=$(losetup -f --show "/data/$name.log")
    dmsetup create recorded \
        --table "0 $(sectors /run/copy) log-writes $copy $log"
    dmsetup create stick \
        --table "0 $(sectors "$stick") linear /dev/mapper/recorded 0"
    if [ -e "$scratch" ]; then
        dmsetup create scratch \
            --table "0 $(sectors "$scratch") linear /dev/mapper/recorded $(sectors "$stick")"
        mkdir -p /run/scratch
        mount -o nobarrier /dev/mapper/scratch /run/scratch
    fi
    sugar-cellar-helper "$@" --json </dev/null >/run/said
    tail -n 1 /run/said | grep -q '"event":"finished"' || { cat /run/said; return 1; }
    if [ -e "$scratch" ]; then
        umount /run/scratch
        dmsetup remove scratch
    fi
    dmsetup remove stick
    dmsetup remove recorded
    losetup -d "$copy" "$log"
    rm /run/copy
}
