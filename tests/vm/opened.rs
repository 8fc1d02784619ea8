//! Sticks opened on a kernel with FAT, partition tables and device-mapper.
//!
//! The guest sets things up; this very test program, run in it, then looks: see `inside`.

use crate::harness::{Machine, run};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use sugar_cellar::error::ErrorKind;
use sugar_cellar::overlay::live;
use sugar_cellar::protocol::OverlayState;
use sugar_cellar::stick::{Access, ImageContent, InUse, Left, Overlay, Stick, find};
use sugar_cellar::storage::{Folder, ReadAt, Storage};

/// What is to be looked at in the guest.
const STEP: &str = "SUGAR_CELLAR_STEP";
const OVERLAY: &str = "overlay-SOAS-12AB-34CD";

const SCRIPT: &str = r#"
step() {
    echo "== $1"
    SUGAR_CELLAR_STEP=$1 /stick-test --exact opened::inside --nocapture
}

# A stick as livecd-iso-to-disk makes one, with another one's overlay on it.
mkfs.vfat -F 32 -n SOAS -i 12ab34cd /dev/vda1 >/dev/null
mount -t vfat /dev/vda1 /mnt
mkdir -p /mnt/LiveOS /mnt/syslinux
dd if=/dev/zero of=/mnt/LiveOS/squashfs.img bs=1M count=8 status=none
truncate -s 4M /mnt/LiveOS/overlay-SOAS-12AB-34CD
truncate -s 4M /mnt/LiveOS/overlay-SOAS-0000-0000
echo "append root=live:UUID=12AB-34CD rd.live.image rd.live.overlay=UUID=12AB-34CD" \
    >/mnt/syslinux/syslinux.cfg
umount /mnt
step unmounted

mount -t vfat /dev/vda1 /mnt
step mounted
mount -o remount,ro /mnt
step read-only
umount /mnt

# A file that holds a FAT, and one that holds the whole disk.
mount -t tmpfs disk /data
dd if=/dev/vda1 of=/data/part.img bs=1M status=none
dd if=/dev/vda of=/data/disk.img bs=1M status=none
step files

# Killed while it holds one.
SUGAR_CELLAR_STEP=hold /stick-test --exact opened::inside --nocapture >/data/held 2>&1 &
child=$!
while ! grep -q HOLDING /data/held; do sleep 0.1; done
losetup -a | grep -q part.img
kill -9 $child
wait $child || true
for _ in $(seq 50); do losetup -a | grep -q . || break; sleep 0.1; done
[ -z "$(losetup -a)" ]
umount /data

# As dracut starts a live system from it; the overlay has another name than it should.
mkdir -p /run/initramfs/live /run/initramfs/overlayfs
mount -t vfat /dev/vda1 /run/initramfs/live
mv /run/initramfs/live/LiveOS/overlay-SOAS-0000-0000 /run/initramfs/live/LiveOS/other
base=$(losetup -r -f --show /run/initramfs/live/LiveOS/squashfs.img)
mount -t vfat /dev/vda1 /run/initramfs/overlayfs
store=$(losetup -f --show /run/initramfs/overlayfs/LiveOS/other)
umount -l /run/initramfs/overlayfs
dmsetup create live-rw --table "0 16384 snapshot $base $store PO 8"
step empty
dd if=/dev/urandom of=/dev/mapper/live-rw bs=4096 count=300 oflag=direct status=none
dmsetup status live-rw >/tmp/status
step booted

# Out of sight, and still in use.
umount -l /run/initramfs/live
step held
dmsetup remove live-rw
losetup -d "$base" "$store"

dmsetup create above --table "0 16384 linear /dev/vda1 0"
step above
dmsetup remove above
step unmounted
"#;

#[test]
fn on_fat_and_under_device_mapper() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let disk = tempfile::NamedTempFile::new().unwrap();
    disk.as_file().set_len(64 << 20).unwrap();
    partition(disk.path());
    let output = machine
        .guest("sticks opened")
        .pc()
        .disk(disk.path())
        .program("stick-test", &std::env::current_exe().unwrap())
        .script(SCRIPT)
        .run();
    let output = output.expect_ok();
    assert_eq!(
        output.matches("test result: ok. 1 passed").count(),
        9,
        "{output}"
    );
    let part = tempfile::NamedTempFile::new().unwrap();
    let bytes = fs::read(disk.path()).unwrap();
    fs::write(part.path(), &bytes[1 << 20..]).unwrap();
    run(Command::new("fsck.vfat").arg("-n").arg(part.path()));
}

const HYBRID: &str = r#"
for disk in vda vdb vdc; do
    echo "== $disk"
    SUGAR_CELLAR_UUID=$(blkid -s UUID -o value /dev/$disk) SUGAR_CELLAR_STEP=hybrid-$disk \
        /stick-test --exact opened::inside --nocapture
done
"#;

/// Written by image writers: a plain ISO 9660, one with partitions that are file systems as
/// well, and one whose first partition is the disk itself.
#[test]
fn on_hybrid_images() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    fs::create_dir_all(path("tree/LiveOS")).unwrap();
    fs::create_dir_all(path("tree/isolinux")).unwrap();
    fs::write(path("tree/LiveOS/squashfs.img"), [1; 5000]).unwrap();
    let entry = "append root=live:CDLABEL=SOAS-LIVE rd.live.image rd.live.overlay=LABEL=DATA\n";
    fs::write(path("tree/isolinux/isolinux.cfg"), entry).unwrap();
    let iso = |name: &str, options: &[&str]| {
        run(Command::new("xorriso")
            .args(["-as", "mkisofs", "-quiet", "-R", "-V", "SOAS-LIVE", "-o"])
            .arg(path(name))
            .args(options)
            .arg(path("tree")));
    };
    iso("plain", &[]);
    let efi = path("efi").to_str().unwrap().to_owned();
    run(Command::new("mkfs.vfat").args(["-C", &efi, "2048"]));
    iso(
        "parts",
        &[
            "-partition_offset",
            "16",
            "-append_partition",
            "2",
            "0xef",
            &efi,
        ],
    );
    iso("whole", &[]);
    let length = path("whole").metadata().unwrap().len();
    let mut table = vec![0x80, 0, 0, 0, 0x17, 0, 0, 0, 0, 0, 0, 0];
    table.extend(((length / 512) as u32).to_le_bytes());
    let whole = File::options().write(true).open(path("whole")).unwrap();
    whole.write_all_at(&table, 446).unwrap();
    whole.write_all_at(&[0x55, 0xaa], 510).unwrap();
    let output = machine
        .guest("hybrid images opened")
        .pc()
        .disk(&path("plain"))
        .disk(&path("parts"))
        .disk(&path("whole"))
        .program("stick-test", &std::env::current_exe().unwrap())
        .script(HYBRID)
        .run();
    let output = output.expect_ok();
    assert_eq!(
        output.matches("test result: ok. 1 passed").count(),
        3,
        "{output}"
    );
}

fn partition(disk: &Path) {
    let mut sfdisk = Command::new(crate::harness::which("sfdisk"))
        .args(["-q", "--no-reread", "--no-tell-kernel"])
        .arg(disk)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut script = sfdisk.stdin.take().unwrap();
    script
        .write_all(b"label: dos\nstart=2048, type=c\n")
        .unwrap();
    drop(script);
    assert!(sfdisk.wait().unwrap().success());
}

/// Runs in the guest, and does nothing elsewhere.
#[test]
fn inside() {
    let Ok(step) = std::env::var(STEP) else {
        return;
    };
    match &*step {
        "unmounted" => unmounted(),
        "mounted" => mounted(),
        "read-only" => read_only(),
        "files" => files(),
        "hold" => hold(),
        "empty" => {
            let live = live::root().unwrap().unwrap();
            assert_eq!(live.state(), Some(OverlayState::Empty));
            assert_eq!(live.figures().unwrap().used.0, 16);
        }
        "booted" => booted(),
        "held" => held(),
        "above" => above(),
        "hybrid-vda" => hybrid(&["/dev/vda"]),
        "hybrid-vdb" => hybrid(&["/dev/vdb", "/dev/vdb1"]),
        "hybrid-vdc" => hybrid(&["/dev/vdc", "/dev/vdc1"]),
        other => panic!("{other}"),
    }
}

fn open(path: &str, access: Access) -> Stick {
    Stick::open(Path::new(path), access).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn refused(path: &str, access: Access) -> ErrorKind {
    let error = Stick::open(Path::new(path), access).unwrap_err();
    println!("{path}: {error}");
    error.kind()
}

fn overlay(stick: &Stick) -> String {
    let content = ImageContent::Nested("LiveOS/rootfs.img".to_owned());
    let layout = stick.layout(&content).unwrap();
    layout.snapshot().unwrap().name.clone()
}

fn digest(path: &str) -> u32 {
    crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&fs::read(path).unwrap())
}

fn mountinfo() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

fn look_and_write(path: &str, whole: &str) {
    let (before, mounts) = (digest(whole), mountinfo());
    let stick = open(path, Access::Read);
    assert_eq!(stick.file_system(), "vfat", "{path}");
    assert_eq!(stick.label(), Some("SOAS"));
    assert_eq!(stick.uuid(), Some("12AB-34CD"));
    assert!(stick.left() == Left::InOrder && !stick.booted());
    assert_eq!(overlay(&stick), OVERLAY);
    assert!(stick.folder().create("x").is_err());
    assert_eq!(mountinfo(), mounts);
    drop(stick);
    assert_eq!(digest(whole), before, "{path}: looking changed it");

    let stick = open(path, Access::Write);
    stick.check_again().unwrap();
    assert_eq!(refused(path, Access::Write), ErrorKind::Busy);
    assert!(stick.folder().file_limit().unwrap().is_some());
    let file = stick.folder().create("squashfs.new").unwrap();
    file.write_at(&[7; 10_000], 0).unwrap();
    file.sync().unwrap();
    drop(file);
    stick
        .folder()
        .exchange("squashfs.img", "squashfs.new")
        .unwrap();
    stick.folder().sync().unwrap();
    stick.folder().forget().unwrap();
    let size = |name| stick.folder().open(name).unwrap().size().unwrap().0;
    assert_eq!(
        (size("squashfs.img"), size("squashfs.new")),
        (10_000, 8 << 20)
    );
    stick
        .folder()
        .exchange("squashfs.img", "squashfs.new")
        .unwrap();
    stick.folder().remove("squashfs.new").unwrap();
    stick.folder().sync().unwrap();
    assert_eq!(mountinfo(), mounts);
    drop(stick);
    let left = open(path, Access::Read).left();
    assert_eq!(left, Left::InOrder, "{path}: not let go in order");
}

fn unmounted() {
    look_and_write("/dev/vda1", "/dev/vda1");
    look_and_write("/dev/vda", "/dev/vda");
    assert_eq!(refused("live", Access::Read), ErrorKind::NotFound);
}

fn mounted() {
    let stick = open("/dev/vda1", Access::Write);
    // One file system, one lock, whichever way it is reached.
    assert_eq!(refused("/mnt", Access::Write), ErrorKind::Busy);
    stick.folder().create("seen").unwrap().sync().unwrap();
    assert!(Path::new("/mnt/LiveOS/seen").exists());
    stick.folder().remove("seen").unwrap();
    drop(stick);
    let stick = open("/mnt", Access::Write);
    assert_eq!(stick.label(), Some("SOAS"));
    assert_eq!(overlay(&stick), OVERLAY);
    assert_eq!(refused("/dev/vda", Access::Write), ErrorKind::Busy);
    open("/dev/vda", Access::Read);
}

fn read_only() {
    for path in ["/mnt", "/dev/vda1", "/dev/vda"] {
        assert_eq!(refused(path, Access::Write), ErrorKind::Denied);
        assert_eq!(overlay(&open(path, Access::Read)), OVERLAY);
    }
}

fn files() {
    look_and_write("/data/part.img", "/data/part.img");
    look_and_write("/data/disk.img", "/data/disk.img");
}

fn hold() {
    let stick = open("/data/part.img", Access::Write);
    println!("HOLDING {:?}", stick.device());
    std::thread::sleep(std::time::Duration::from_secs(100));
}

fn booted() {
    for path in ["live", "/run/initramfs/live", "/dev/vda1", "/dev/vda"] {
        for access in [Access::Read, Access::Write] {
            let stick = open(path, access);
            assert!(stick.booted(), "{path}");
            assert_eq!(stick.in_use().unwrap(), InUse::Live);
            assert!(stick.describe().unwrap().booted);
            // By what the kernel holds, not by name.
            assert_eq!(overlay(&stick), "other", "{path}");
        }
        open(path, Access::Write).check_again().unwrap();
    }
    let found = find::find();
    assert_eq!(found[0].found.path, "live");
    assert_eq!(found[0].found.device.as_deref(), Some("/dev/vda1"));
    assert_eq!(found.len(), 1);

    let live = live::root().unwrap().expect("a snapshot");
    let figures = live.figures().unwrap();
    let (used, total) = (figures.used, figures.total);
    let ours = format!("0 16384 snapshot {used}/{total} {}", figures.metadata);
    let kernels = fs::read_to_string("/tmp/status").unwrap();
    assert_eq!(ours, kernels.trim());
    assert_eq!(live.state(), Some(OverlayState::Active));
    assert_eq!(live.table.chunk.sectors().0, 8);
}

fn held() {
    for path in ["/dev/vda1", "/dev/vda"] {
        // Nor to look: whoever writes there would find a loop device of ours, and give up.
        for access in [Access::Read, Access::Write] {
            assert_eq!(refused(path, access), ErrorKind::Busy);
        }
    }
}

fn above() {
    for path in ["/dev/vda1", "/dev/vda"] {
        assert_eq!(refused(path, Access::Write), ErrorKind::Busy);
        assert_eq!(overlay(&open(path, Access::Read)), OVERLAY);
    }
}

fn hybrid(paths: &[&str]) {
    let uuid = std::env::var("SUGAR_CELLAR_UUID").unwrap();
    for path in paths {
        let before = digest(path);
        let stick = open(path, Access::Read);
        assert_eq!(stick.file_system(), "iso9660", "{path}");
        assert_eq!(stick.label(), Some("SOAS-LIVE"));
        assert_eq!(stick.uuid(), Some(&*uuid));
        assert_eq!(stick.image().unwrap().bytes.0, 5000);
        let layout = stick.layout(&ImageContent::Flat).unwrap();
        assert!(
            matches!(layout.overlay, Overlay::Elsewhere(_)),
            "{layout:?}"
        );
        drop(stick);
        assert_eq!(digest(path), before);
        assert_eq!(refused(path, Access::Write), ErrorKind::Unsupported);
    }
}
