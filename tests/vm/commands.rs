//! The commands in a guest, on sticks with a file system of their own: FAT32, ext4, partitioned.

use crate::harness::{self, Machine, run};
use crate::kernel_written::merge;
use crate::refreshed::{Free, compare};
use crate::sticks::{Disk, Format, named};
use std::fs;
use std::process::Command;
use sugar_cellar::protocol::{Event, OverlayState, Status};

const SCRIPT: &str = r#"
helper() { sugar-cellar-helper "$@" --json </dev/null; }
state() { cat /proc/mounts; losetup -l; dmsetup table; }

state >/run/before
echo "== refresh a FAT, by its device"
helper refresh /dev/vda --yes
echo "== refresh an ext4, by its folder"
mount /dev/vdb /mnt
helper refresh /mnt --yes --keep-deleted
umount /mnt
echo "== tidy a partition, by its disk"
helper tidy /dev/vdc
for disk in vda vdb vdc1; do
    echo "== check $disk"
    helper check /dev/$disk
done
state | cmp - /run/before

echo "== live"
live_root /dev/vda $OVERLAY
dmsetup status live-rw
mount /dev/mapper/live-rw /mnt
umount /mnt
e2fsck -fn /dev/mapper/live-rw >/run/fsck 2>&1 || { cat /run/fsck; exit 1; }
live_end
"#;

#[test]
fn refresh_and_tidy_on_fat_ext4_and_a_partition() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let folder = tempfile::tempdir_in(harness::folder()).unwrap();
    let make = |name: &str, format: Format| {
        let stick = named(machine, name);
        let path = folder.path().join(name);
        let disk = Disk::make(&path, format, 80, &stick.squashfs(), &stick.overlay());
        (stick, disk)
    };
    let all = [
        make("chunk-16", Format::Fat32),
        make("old-image", Format::Ext4),
        make("deletions", Format::Partition),
    ];
    let said = machine
        .guest("commands")
        .disk(&all[0].1.path)
        .disk(&all[1].1.path)
        .disk(&all[2].1.path)
        .script(&format!("OVERLAY={}", all[0].1.overlay()))
        .script(include_str!("guest/live.sh"))
        .script(SCRIPT)
        .run()
        .expect_ok();

    let finished: Vec<(Status, Status)> = said
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter_map(|event| match event {
            Event::Finished { before, after, .. } => Some((*before, *after)),
            _ => None,
        })
        .collect();
    assert_eq!(finished.len(), 3, "{said}");
    for ((stick, disk), (before, after)) in all.iter().zip(&finished) {
        let name = stick.name;
        assert_eq!(before.overlay.state, OverlayState::Active, "{name}");
        let (squashfs, overlay) = (disk.extract("squashfs.img"), disk.extract(&disk.overlay()));
        assert_eq!(disk.names(), [disk.overlay(), "squashfs.img".to_owned()]);
        disk.check();
        let unpacked = folder.path().join(format!("{name}.unpacked"));
        run(Command::new("unsquashfs")
            .args(["-q", "-n", "-d"])
            .args([&unpacked, &squashfs]));
        let inner = unpacked.join("LiveOS").join(stick.base.inner);
        let (bytes, free) = match name {
            "deletions" => {
                assert!(after.overlay.used_sectors.0 * 3 < before.overlay.used_sectors.0);
                (merge(&inner, &overlay, name), Free::Any)
            }
            "chunk-16" => (fs::read(&inner).unwrap(), Free::Zero),
            _ => (fs::read(&inner).unwrap(), Free::Same),
        };
        let state = match name {
            "deletions" => OverlayState::Active,
            _ => OverlayState::Empty,
        };
        assert_eq!(after.overlay.state, state, "{name}");
        compare(name, bytes, &stick.merged().unwrap(), free);
    }
    let live = said.split("== live\n").nth(1).unwrap();
    let total = finished[0].1.overlay.total_sectors;
    assert!(live.contains(&format!(" snapshot 32/{total} 32")), "{live}");
}
