//! Sticks that are images in a file, and disks with partitions.

use crate::made::{
    Ext4, MIB, OVERLAY, UUID, assert_let_go, digest, kind_of, loops_of, mountinfo, nested, run,
};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use sugar_cellar::error::ErrorKind;
use sugar_cellar::stick::layout::IMAGE;
use sugar_cellar::stick::{Access, Left, Stick};
use sugar_cellar::storage::{Folder, ReadAt, Storage};

#[test]
fn an_image_is_read_without_a_change_and_written_beneath() {
    root_only!("mkfs.ext4", "losetup");
    let ext4 = Ext4::new();
    let path = ext4.image();
    let (before, mounts) = (digest(&path), mountinfo());
    let stick = Stick::open(&path, Access::Read).unwrap();
    assert_eq!(loops_of(&path).len(), 1);
    assert_eq!(mountinfo(), mounts, "the mount is nobody else's");
    assert_eq!((stick.label(), stick.uuid()), (Some("SOAS"), Some(UUID)));
    assert_eq!(stick.file_system(), "ext4");
    assert!(stick.left() == Left::InOrder && !stick.booted());
    let layout = stick.layout(&nested()).unwrap();
    assert_eq!(layout.snapshot().unwrap().name, OVERLAY);
    assert_eq!(layout.unused, ["overlay-OTHER-1"]);
    assert!(stick.folder().create("x").is_err(), "it may only be read");
    assert!(stick.folder().open_writable(IMAGE).is_err());
    drop(stick);
    assert_let_go(&path);
    assert_eq!(digest(&path), before);

    let stick = Stick::open(&path, Access::Write).unwrap();
    stick.check_again().unwrap();
    let file = stick.folder().create("squashfs.new").unwrap();
    file.write_at(b"new", 0).unwrap();
    file.sync().unwrap();
    stick.folder().exchange(IMAGE, "squashfs.new").unwrap();
    stick.folder().sync().unwrap();
    drop(file);
    drop(stick);
    assert_let_go(&path);
    run("e2fsck", &["-fn", path.to_str().unwrap()]);
    let stick = Stick::open(&path, Access::Read).unwrap();
    let image = stick.folder().open_uncached(IMAGE).unwrap();
    assert_eq!(image.size().unwrap().0, 3);
}

#[test]
fn files_outlive_the_stick_that_they_were_opened_through() {
    root_only!("mkfs.ext4", "losetup");
    let ext4 = Ext4::new();
    let stick = Stick::open(&ext4.image(), Access::Read).unwrap();
    let file = stick.folder().open(OVERLAY).unwrap();
    drop(stick);
    let mut bytes = [1; 512];
    file.read_at(&mut bytes, 4096).unwrap();
    assert_eq!(bytes, [0; 512]);
    drop(file);
    assert_let_go(&ext4.image());
}

#[test]
fn partitions_are_found_by_gpt_and_mbr() {
    root_only!("mkfs.ext4", "sfdisk", "losetup");
    let ext4 = Ext4::new();
    for script in [
        "label: gpt\nstart=2048, size=4096\nstart=8192, size=16384\n",
        "label: dos\nstart=2048, size=4096, type=c\nstart=8192, size=16384, type=83\n",
    ] {
        let disk = ext4.disk(script, &[4 * MIB]);
        let before = digest(&disk);
        let stick = Stick::open(&disk, Access::Read).unwrap();
        assert_eq!(stick.label(), Some("SOAS"));
        assert_eq!(
            stick.layout(&nested()).unwrap().snapshot().unwrap().name,
            OVERLAY
        );
        drop(stick);
        assert_eq!(digest(&disk), before);
        let stick = Stick::open(&disk, Access::Write).unwrap();
        stick.folder().create("note").unwrap().sync().unwrap();
        drop(stick);
        assert_let_go(&disk);
        let stick = Stick::open(&disk, Access::Read).unwrap();
        assert!(stick.folder().open("note").is_ok());
    }
    // Two of them: which one is meant?
    let script = "label: gpt\nstart=2048, size=16384\nstart=20480, size=16384\n";
    let disk = ext4.disk(script, &[MIB, 10 * MIB]);
    assert_eq!(kind_of(&disk, Access::Read), ErrorKind::Refused);
    // None of them.
    let disk = ext4.disk("label: gpt\nstart=2048, size=16384\n", &[]);
    assert_eq!(kind_of(&disk, Access::Read), ErrorKind::Unsupported);
    assert_let_go(&disk);
}

/// Like a hybrid image: the file system begins at the disk's own beginning, and so does
/// partition 1; another one lies inside it.
#[test]
fn a_hybrid_table_leads_to_the_whole_disk() {
    root_only!("mkfs.ext4", "losetup");
    let ext4 = Ext4::new();
    let path = ext4.image();
    let mut file = File::options().write(true).open(&path).unwrap();
    // ext4 leaves the first 1024 bytes alone.
    file.seek(SeekFrom::Start(446)).unwrap();
    file.write_all(&[0x80, 0, 0, 0, 0x17, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0])
        .unwrap();
    file.write_all(&[0, 0, 0, 0, 0xef, 0, 0, 0, 100, 0, 0, 0, 8, 0, 0, 0])
        .unwrap();
    file.seek(SeekFrom::Start(510)).unwrap();
    file.write_all(&[0x55, 0xaa]).unwrap();
    let stick = Stick::open(&path, Access::Write).unwrap();
    assert_eq!(stick.label(), Some("SOAS"));
    drop(stick);
    assert_let_go(&path);
}

/// Sticks made to hurt: figures of the file system's beginning and of the table, changed.
#[test]
fn broken_images_end_in_an_error() {
    root_only!("mkfs.ext4", "losetup", "sfdisk");
    // Without checksums, so that more than one of them is looked at.
    let ext4 = Ext4::with(&["-O", "^metadata_csum"]);
    let path = ext4.image();
    let whole = fs::read(&path).unwrap();
    let mut opened = 0;
    for at in (1024..1024 + 264).step_by(8) {
        let mut bytes = whole.clone();
        bytes[at..at + 4].fill(0xff);
        fs::write(&path, &bytes).unwrap();
        if let Ok(stick) = Stick::open(&path, Access::Read) {
            opened += 1;
            let _ = stick.layout(&nested());
        }
        assert_let_go(&path);
        assert!(fs::read(&path).unwrap() == bytes, "looking changed it");
    }
    eprintln!("{opened} of 33 damaged superblocks were still taken by the kernel");
    fs::write(&path, &whole[..1 << 20]).unwrap();
    Stick::open(&path, Access::Read).unwrap_err();
    fs::write(&path, b"").unwrap();
    assert_eq!(kind_of(&path, Access::Read), ErrorKind::Unsupported);
    fs::write(&path, &whole).unwrap();
    let disk = ext4.disk("label: gpt\nstart=2048, size=16384\n", &[MIB]);
    let table = fs::read(&disk).unwrap();
    for at in (446..512).chain(512..604).chain(1024..1152).step_by(7) {
        let mut bytes = table.clone();
        bytes[at] ^= 0xff;
        fs::write(&disk, &bytes).unwrap();
        let _ = Stick::open(&disk, Access::Read).map_err(|error| error.to_string());
    }
    assert_let_go(&disk);
}
