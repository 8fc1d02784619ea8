# A stick that is pulled out while it is refreshed. shellcheck shell=dash

# pull DISK: away with it, as its bus does; what was under way fails.
pull() {
    bus=$(readlink -f "/sys/block/$1/device/..")
    echo 1 >"$bus/remove"
    [ ! -e "/sys/block/$1" ]
}

# plug: it is there again.
plug() {
    echo 1 >/sys/bus/pci/rescan
    for _ in $(seq 100); do
        stick=$(find_stick) && return
        sleep 0.1
    done
    return 1
}

# The disk with as many sectors as the stick: it comes back under any name.
find_stick() {
    for disk in /sys/block/vd*; do
        name=${disk##*/}
        [ "$(cat "$disk/size")" = "$SECTORS" ] && [ -b "/dev/$name" ] && echo "$name" && return
    done
    return 1
}

mkdir -p /run/stick /run/squashfs
for kind in fat ext4; do
    OVERLAY=$(cat /data/$kind.overlay)
    for instant in 1 2 3 4; do
        stick=$(find_stick)
        dd if=/data/$kind of="/dev/$stick" bs=1M conv=fsync status=none
        sugar-cellar-helper refresh "/dev/$stick" --yes --json </dev/null >/run/said 2>&1 &
        helper=$!
        sleep "$(awk "BEGIN {print $instant * 0.08}")"
        pull "$stick"
        ended=0
        wait $helper || ended=$?
        echo "pulled: $ended, $(tail -n 1 /run/said | cut -c 1-300)"
        [ $ended = 0 ] || grep -q '"event":"failed".*"hint":' /run/said
        plug
        mount "/dev/$stick" /run/stick
        live_on /run/stick refresh /run/stick --yes
        umount /run/stick
        echo "plugged in: $kind $instant"
    done
done
