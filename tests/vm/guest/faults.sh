# A refresh that meets faults: of the device, of the machine, of whoever starts it. shellcheck shell=dash

SECTORS=98304

# stick ext4|vfat: a stick on a device whose table can be changed under it.
stick() {
    rm -f /run/stick.img
    truncate -s $((SECTORS * 512)) /run/stick.img
    case $1 in
    ext4)
        mke2fs -q -F -t ext4 -L TEST -U 1f3f10f6-2d6a-4a4b-a6f3-3f0a3c9e7e12 /run/stick.img
        OVERLAY=overlay-TEST-1f3f10f6-2d6a-4a4b-a6f3-3f0a3c9e7e12
        ;;
    vfat)
        mkfs.vfat -F 32 -s 1 -n TEST -i 12345678 /run/stick.img >/dev/null
        OVERLAY=overlay-TEST-1234-5678
        ;;
    esac
    disk=$(losetup -f --show /run/stick.img)
    mount -t "$1" "$disk" /run/stick
    mkdir /run/stick/LiveOS
    cp /data/stick/squashfs.img /run/stick/LiveOS/
    cp /data/stick/overlay "/run/stick/LiveOS/$OVERLAY"
    sync
    # The first sector that nothing lies in.
    unused=$((SECTORS - $(df -k /run/stick | tail -n 1 | awk '{print $4}') * 2))
    umount /run/stick
    dmsetup create stick --table "$(sound)"
}

sound() {
    echo "0 $SECTORS linear $disk 0"
}

# from SECTOR TARGET [FEATURES]: all behind the sector is TARGET's.
from() {
    echo "0 $1 linear $disk 0"
    echo "$1 $((SECTORS - $1)) $2"
}

# under TABLE: from now on, whatever is under way.
under() {
    dmsetup suspend --noflush --nolockfs stick
    echo "$1" | dmsetup load stick
    dmsetup resume stick
}

refresh() {
    sugar-cellar-helper refresh /dev/mapper/stick --yes --json </dev/null
}

# fails CODE: a refresh ends so, and says so in two sentences.
fails() {
    ended=0
    refresh >/run/said || ended=$?
    tail -n 1 /run/said
    [ $ended = 1 ]
    tail -n 1 /run/said | grep -q "\"event\":\"failed\".*\"code\":\"$1\",\"message\":\"[^\"]*\",\"hint\":\"[^\"]*\""
}

# whole NAME: with the device as it should be, all is on the stick, it can be written to, and refreshed.
whole() {
    under "$(sound)"
    mount /dev/mapper/stick /run/stick
    echo "left: $(ls /run/stick/LiveOS | tr '\n' ' ')"
    live_on /run/stick refresh /run/stick --yes
    umount /run/stick
    dmsetup remove stick
    losetup -d "$disk"
    echo "whole: $1"
}

# part N: so many quarters of the time that a refresh takes, in seconds: some are in the middle also where it is slower.
part() {
    awk "BEGIN {print $took * $1 / 4}"
}

# writing KIND: a refresh on a mounted stick, until its new image is there. Gives its process as $helper.
writing() {
    stick "$1"
    mount /dev/mapper/stick /run/stick
    sugar-cellar-helper refresh /run/stick --yes --json </dev/null >/run/said 2>&1 &
    helper=$!
    while [ ! -e /run/stick/LiveOS/squashfs.new ] && kill -0 $helper; do :; done
}

# ends SAID: $helper ends at once, and that is said so.
ends() {
    kill -9 $helper 2>/dev/null || true
    ended=0
    wait $helper || ended=$?
    echo "$1: $ended"
    [ $ended = 0 ] || [ $ended = 137 ]
}

mkdir -p /run/stick /run/squashfs

# The image cannot be read.
stick vfat
under "$(printf '0 4096 linear %s 0\n4096 8 error\n4104 %d linear %s 4104' "$disk" $((SECTORS - 4104)) "$disk")"
fails io
whole "read errors"

# The new one cannot be written.
stick vfat
under "$(from $((unused + 64)) error)"
fails io
whole "write errors"

# The stick says that it wrote, and did not.
stick vfat
under "$(from $((unused + 64)) "flakey $disk $((unused + 64)) 0 3600 1 drop_writes")"
fails damaged
grep -q '"message":"The new image did not come back from the stick' /run/said
whole "lost writes"

# Nothing can be written while the list is changed, and the stick stays where it is. The kernel keeps in memory what
# it could not write, and takes it for written: the next run must not. Then the power fails.
for kind in vfat ext4; do
    stick $kind
    mount /dev/mapper/stick /run/stick
    under "0 $SECTORS flakey $disk 0 0 3600 1 error_writes"
    for try in 1 2; do
        ended=0
        sugar-cellar-helper tidy /run/stick --json </dev/null >/run/said 2>&1 || ended=$?
        echo "tidied on $kind, $try: $ended, $(tail -n 1 /run/said | cut -c 1-300)"
        case $kind$try in
        vfat2) [ $ended = 0 ] ;;
        # ext4 may let nobody write any more, until it is mounted anew.
        ext42) ;;
        *) [ $ended != 0 ] ;;
        esac
        under "$(sound)"
    done
    under "0 $SECTORS error"
    umount /run/stick
    if [ $kind = ext4 ]; then
        # What ext4 noted of that is for e2fsck to look at before anybody writes. It may not have reached the device.
        under "$(sound)"
        debugfs -w -R "set_super_value state 3" /dev/mapper/stick
        fails damaged
        grep -q 'e2fsck' /run/said
        e2fsck -f -y /dev/mapper/stick || [ $? = 1 ]
    fi
    whole "a sync that failed"
done

# No memory, at the start and in the middle.
for kibibytes in 12000 15000 18000; do
    stick ext4
    ended=0
    (ulimit -v $kibibytes; refresh >/run/said 2>&1) || ended=$?
    echo "with $kibibytes KiB: $ended, $(tail -n 1 /run/said | cut -c 1-300)"
    whole "no memory"
done

for kind in vfat ext4; do
    # Somebody else fills the stick meanwhile.
    writing $kind
    kill -STOP $helper || true
    dd if=/dev/zero of=/run/stick/other bs=64k 2>/dev/null || true
    kill -CONT $helper || true
    ended=0
    wait $helper || ended=$?
    echo "filled: $ended, $(tail -n 1 /run/said | cut -c 1-300)"
    [ $ended = 0 ] || grep -q '"code":"no_space"' /run/said
    [ ! -e /run/stick/LiveOS/squashfs.new ]
    rm /run/stick/other
    umount /run/stick
    whole "filled by another"

    # The program ends at once.
    writing $kind
    ends "killed while it writes"
    umount /run/stick
    whole "killed while it writes"
done

# Started twice.
stick ext4
refresh >/run/one &
other=0
refresh >/run/two || other=$?
wait $! || other=$?
cat /run/one /run/two | grep -c '"event":"finished"' >/run/finished
[ "$(cat /run/finished)" = 2 ] || grep -q '"code":"busy"' /run/one /run/two
[ "$(cat /run/finished)" != 0 ]
whole "started twice"

# No program is started between the readings: that takes as long as the refresh.
stick vfat
read -r began _ </proc/uptime
refresh >/run/said
read -r end _ </proc/uptime
took=$(awk "BEGIN {print $end - $began}")
echo "took: $took"
whole "no fault"

for instant in 1 2 3 4 5; do
    pause=$(part $instant)
    # The program ends at once.
    [ $((instant % 2)) = 0 ] && stick ext4 || stick vfat
    # Not by the function, which would be another process.
    sugar-cellar-helper refresh /dev/mapper/stick --yes --json </dev/null >/run/said 2>&1 &
    helper=$!
    sleep "$pause"
    ends "killed"
    whole "killed $instant"

    # The device is gone at once.
    [ $((instant % 2)) = 0 ] && stick vfat || stick ext4
    refresh >/run/said 2>&1 &
    sleep "$pause"
    under "0 $SECTORS error"
    wait $! && ended=0 || ended=$?
    echo "gone: $ended, $(tail -n 1 /run/said | cut -c 1-300)"
    [ $ended = 0 ] || grep -q '"event":"failed".*"hint":' /run/said
    whole "gone $instant"
done
