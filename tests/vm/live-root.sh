#!/bin/sh
# live-root.sh DIR KERNEL: a live system like those on sticks, below DIR: a small Debian with systemd in
# squashfs.img, and the initramfs that dracut makes for the kernel unpacked in KERNEL; in initrd-invalidates
# as dracut 043 and older made it. Needs root.
set -eu

dir=$1
kernel=$2
complete=complete.$(cksum <"$0" | cut -d ' ' -f 1)
[ ! -f "$dir/$complete" ] || exit 0
rm -rf "$dir"
mkdir -p "$dir"

root=$dir/root
debootstrap --variant=minbase --include=systemd-sysv,udev,dmsetup bookworm "$root" >"$dir/debootstrap.log" 2>&1 || {
    tail -n 20 "$dir/debootstrap.log"
    exit 1
}
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/doc "$root"/usr/share/locale
echo 5eed5eed5eed40008000000000000003 >"$root/etc/machine-id"
echo stick >"$root/etc/hostname"
: >"$root/etc/fstab"
# What the test asks for stands on the last disk.
cat >"$root/etc/systemd/system/asked.service" <<'EOF'
[Unit]
Description=What the test asks for
After=multi-user.target

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'for port in 1 2; do stty -F /dev/ttyS$port raw; done; sh -eu $(ls /dev/vd? | tail -n 1) >/dev/ttyS1 2>&1; echo $? >/dev/ttyS2; systemctl poweroff --no-block'
EOF
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../asked.service "$root/etc/systemd/system/multi-user.target.wants/"
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
for unit in getty.target serial-getty@ttyS0.service systemd-timesyncd.service apt-daily.timer \
    apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

# As livecd-creator lays it out.
mkdir -p "$dir/tree/LiveOS"
/sbin/mke2fs -q -t ext4 -d "$root" "$dir/tree/LiveOS/rootfs.img" 700M
mksquashfs "$dir/tree" "$dir/squashfs.img" -comp zstd -Xcompression-level 3 -noappend -quiet -no-progress
rm -rf "$dir/tree" "$root"

version=$(ls "$kernel/lib/modules")
/sbin/depmod -b "$kernel" "$version" 2>"$dir/depmod.log"
dracut --force --quiet --no-hostonly --no-hostonly-cmdline --nofscks --no-early-microcode --zstd \
    --kver "$version" --kmoddir "$kernel/lib/modules/$version" \
    --omit "systemd systemd-initrd systemd-udevd systemd-networkd systemd-sysusers dracut-systemd network ifcfg" --modules "base bash dm dmsquash-live rootfs-block udev-rules kernel-modules fs-lib shutdown" \
    --drivers "virtio_pci virtio_blk loop squashfs ext4 vfat nls_cp437 nls_ascii nls_utf8 dm-snapshot overlay crc32c_generic" \
    "$dir/initrd" >"$dir/dracut.log" 2>&1 || {
    tail -n 20 "$dir/dracut.log"
    exit 1
}

# dracut 043 and older asked for no `O`: the kernel marked a store that ran full as invalid. The kernel
# unpacks archives one after the other, each from a multiple of 4: the later script is the one that is left.
old=$dir/old/usr/sbin/dmsquash-live-root
mkdir -p "${old%/*}"
zstdcat "$dir/initrd" | cpio -i --quiet --to-stdout usr/sbin/dmsquash-live-root >"$dir/dmsquash-live-root"
sed 's/"\$over" PO 8 | dmsetup create live-rw$/"$over" P 8 | dmsetup create live-rw/' "$dir/dmsquash-live-root" >"$old"
chmod 755 "$old"
if cmp -s "$dir/dmsquash-live-root" "$old"; then
    echo "dracut's script names its table otherwise than this one knows"
    exit 1
fi
cp "$dir/initrd" "$dir/initrd-invalidates"
truncate -s %4 "$dir/initrd-invalidates"
(cd "$dir/old" && find . | cpio -o -H newc --quiet) >>"$dir/initrd-invalidates"
rm -rf "$dir/old"
touch "$dir/$complete"
