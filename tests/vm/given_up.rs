//! Overlays that the kernel gave up: what was saved until then is there after a refresh.

use crate::harness::{self, Machine};
use crate::sticks::{Disk, Format, named};

const SCRIPT: &str = r#"
helper() { sugar-cellar-helper "$@" --json </dev/null; }

# overflow DEVICE: saves until the kernel gives up, and cuts the power, so to speak.
overflow() {
    live_root "$1" "$2" P
    mount /dev/mapper/live-rw /mnt
    dd if=/dev/urandom of=/mnt/kept bs=64k count=20 status=none
    sync
    md5sum </mnt/kept >/run/kept
    dd if=/dev/zero of=/mnt/too-much bs=64k count=2000 status=none || true
    sync || true
    dmsetup status live-rw | grep Invalid
    umount /mnt || true
    live_end
}

# kept DEVICE: the learner's files are there, and more can be saved.
kept() {
    live_root "$1" "$2" P
    mount /dev/mapper/live-rw /mnt
    md5sum </mnt/kept | cmp - /run/kept
    dd if=/dev/urandom of=/mnt/more bs=64k count=10 status=none
    sync
    umount /mnt
    e2fsck -fn /dev/mapper/live-rw >/run/fsck 2>&1 || { cat /run/fsck; exit 1; }
    live_end
}

echo "== refreshed"
overflow /dev/vda $FIRST
helper status /dev/vda | grep '"state":"invalid"'
helper explain /dev/vda --quick | tail -n 1 | grep '"path":"kept"'
helper refresh /dev/vda --yes | grep '"event":"finished"'
helper check /dev/vda
kept /dev/vda $FIRST

echo "== enlarged"
overflow /dev/vdb $SECOND
helper enlarge /dev/vdb +16M | grep '"event":"finished"'
kept /dev/vdb $SECOND

echo "== tidied"
overflow /dev/vdc $THIRD
helper tidy /dev/vdc | grep '"event":"finished"'
echo "end"
"#;

#[test]
fn what_was_saved_until_then_is_there() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let folder = tempfile::tempdir_in(harness::folder()).unwrap();
    let stick = named(machine, "empty");
    let disks: Vec<Disk> = [Format::Ext4, Format::Fat32, Format::Ext4]
        .into_iter()
        .enumerate()
        .map(|(index, format)| {
            let path = folder.path().join(format!("stick-{index}"));
            Disk::make(&path, format, 96, &stick.squashfs(), &stick.overlay())
        })
        .collect();
    let names = format!(
        "FIRST={} SECOND={} THIRD={}",
        disks[0].overlay(),
        disks[1].overlay(),
        disks[2].overlay()
    );
    let guest = disks.iter().fold(machine.guest("given up"), |guest, disk| {
        guest.disk(&disk.path)
    });
    let said = guest
        .script(&names.replace(' ', "\n"))
        .script(include_str!("guest/live.sh"))
        .script(SCRIPT)
        .run()
        .expect_ok();
    assert!(said.ends_with("end\n"), "{said}");
}
