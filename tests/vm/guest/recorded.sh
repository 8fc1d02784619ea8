# What a command writes to a stick's device, recorded by the kernel. shellcheck shell=dash

# record STICK NAME COMMAND...: on a copy of the stick, into NAME's log.
record() {
    from=$1 name=$1-$2
    shift 2
    echo "== $(cut -d ' ' -f 1 /proc/uptime) record $name"
    cp "/data/$from" /run/copy
    truncate -s 64M "/data/$name.log"
    copy=$(losetup -f --show /run/copy)
    log=$(losetup -f --show "/data/$name.log")
    dmsetup create recorded \
        --table "0 $(blockdev --getsz "$copy") log-writes $copy $log"
    sugar-cellar-helper "$@" --json </dev/null | tail -n 1 >/run/said
    grep -q '"event":"finished"' /run/said || { cat /run/said; return 1; }
    dmsetup remove recorded
    losetup -d "$copy" "$log"
    rm /run/copy
}
