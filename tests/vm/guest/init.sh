#!/bin/busybox sh
# A guest's first process: makes it a small Linux, runs /script, says how it ended.
# Serial ports: 0 the kernel's messages, 1 what the script says, 2 its exit status.
export PATH=/usr/bin:/bin HOME=/root LC_ALL=C
# No udev here: libdevmapper shall make its nodes itself.
export DM_DISABLE_UDEV=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do
    insmod "/modules/$module.ko" || echo "insmod $module failed"
done </modules/order
# A kernel that is a process has disks of another name.
for disk in /dev/ubd*; do
    [ ! -e "$disk" ] || ln -s "${disk##*/}" "/dev/vd${disk#/dev/ubd}"
done
stty -F /dev/ttyS1 raw
stty -F /dev/ttyS2 raw
# Not busybox's shell: it takes its own applets before any other tool.
dash -eu -c '. /lib.sh; . /script' >/dev/ttyS1 2>&1 </dev/null
status=$?
sync
echo "$status" >/dev/ttyS2
poweroff -f
