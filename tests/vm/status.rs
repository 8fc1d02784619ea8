//! `status` in a guest, of sticks named in every way, mounted or not, and of the booted one.

use crate::harness::{self, Machine};
use crate::sticks::{Disk, Format, KernelStatus, parse_status, written};
use sugar_cellar::protocol::Status;

const SCRIPT: &str = "
status() {
    what=$1; shift
    echo \"$what $(sugar-cellar-helper status --json \"$@\")\"
}
state() { cat /proc/mounts; losetup -l; dmsetup table; }

state >/run/before
status fat /dev/vda
status ext4 /dev/vdb
status disk /dev/vdc
status partition /dev/vdc1
state | cmp - /run/before

mount -o ro /dev/vda /mnt
status mounted /mnt
status mounted-device /dev/vda
umount /mnt
mount /dev/vdb /mnt
cp /dev/vda /mnt/stick.img
status file /mnt/stick.img
rm /mnt/stick.img
umount /mnt
state | cmp - /run/before

live_root /dev/vda $FAT_OVERLAY
state >/run/before
status live live
status live-device /dev/vda
state | cmp - /run/before
echo \"before $(dmsetup status live-rw)\"
mount /dev/mapper/live-rw /mnt
dd if=/dev/urandom of=/mnt/new bs=64k count=40 status=none
sync
status written live
echo \"after $(dmsetup status live-rw)\"
sugar-cellar-helper status live
";

#[test]
fn status_is_the_kernels_however_a_stick_is_named() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let folder = tempfile::tempdir_in(harness::folder()).unwrap();
    let make = |name: &str, format: Format, mebibytes: u64, stick: &str| {
        let stick = written(machine).iter().find(|other| other.name == stick);
        let stick = stick.unwrap();
        let path = folder.path().join(name);
        let disk = Disk::make(
            &path,
            format,
            mebibytes,
            &stick.squashfs(),
            &stick.overlay(),
        );
        (disk, stick.status)
    };
    let (fat, fat_says) = make("fat", Format::Fat32, 80, "old-image");
    let (ext4, ext4_says) = make("ext4", Format::Ext4, 200, "chunk-16");
    let (disk, disk_says) = make("disk", Format::Partition, 80, "chunk-32");
    let said = machine
        .guest("status")
        .disk(&fat.path)
        .disk(&ext4.path)
        .disk(&disk.path)
        .script(&format!("FAT_OVERLAY={}", fat.overlay()))
        .script(include_str!("guest/live.sh"))
        .script(SCRIPT)
        .run()
        .expect_ok();

    let line = |what: &str| {
        let of = |line: &'_ str| {
            line.split_once(' ')
                .map(|(key, value)| (key == what, value.to_owned()))
        };
        said.lines()
            .filter_map(of)
            .find(|(found, _)| *found)
            .expect(what)
            .1
    };
    let status = |what: &str| -> Status { serde_json::from_str(&line(what)).expect(what) };
    let figures = |what: &str| {
        let overlay = status(what).overlay;
        KernelStatus::Figures(
            overlay.used_sectors.0,
            overlay.total_sectors.0,
            overlay.metadata_sectors.0,
        )
    };
    for what in ["fat", "mounted", "mounted-device", "file"] {
        assert_eq!(figures(what), fat_says, "{what}");
        assert!(!status(what).stick.booted, "{what}");
    }
    assert_eq!(figures("ext4"), ext4_says);
    assert_eq!(figures("disk"), disk_says);
    assert_eq!(figures("partition"), disk_says);
    assert_eq!(status("fat").stick.file_system, "vfat");
    assert_eq!(status("ext4").stick.file_system, "ext4");
    assert_eq!(status("ext4").overlay.chunk_sectors.0, 16);
    assert_eq!(
        status("fat").image.inner.as_deref(),
        Some("LiveOS/ext3fs.img")
    );

    assert_eq!(figures("live"), parse_status(&line("before")));
    assert_eq!(figures("live-device"), figures("live"));
    assert_eq!(figures("written"), parse_status(&line("after")));
    assert_ne!(figures("written"), figures("live"));
    for what in ["live", "live-device", "written"] {
        assert!(status(what).stick.booted, "{what}");
    }
}
