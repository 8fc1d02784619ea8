//! Block devices, mounted or not, whole or in partitions, and who else holds them.

use crate::made::{Device, Ext4, MIB, OVERLAY, UUID, digest, kind_of, mountinfo, nested, run};
use std::fs;
use std::path::{Path, PathBuf};
use sugar_cellar::error::ErrorKind;
use sugar_cellar::stick::layout::IMAGE;
use sugar_cellar::stick::{Access, InUse, Stick};
use sugar_cellar::storage::{Folder, Storage};

#[test]
fn a_device_is_opened_mounted_or_not() {
    root_only!("mkfs.ext4", "losetup", "mount");
    let ext4 = Ext4::new();
    let mut device = Device::new(&ext4.image(), &[]);
    let node = PathBuf::from(&device.node);
    let before = digest(&ext4.image());
    let stick = Stick::open(&node, Access::Read).unwrap();
    assert_eq!(
        stick.layout(&nested()).unwrap().snapshot().unwrap().name,
        OVERLAY
    );
    assert_eq!(stick.in_use().unwrap(), InUse::Free);
    drop(stick);
    assert_eq!(digest(&ext4.image()), before);
    let stick = Stick::open(&node, Access::Write).unwrap();
    stick.folder().create("one").unwrap().sync().unwrap();
    drop(stick);

    // Mounted by somebody else: the same file system, seen at once.
    let point = device.mount("rw");
    let mounts = mountinfo();
    let stick = Stick::open(&node, Access::Write).unwrap();
    assert_eq!(mountinfo(), mounts);
    stick.folder().create("two").unwrap();
    assert!(point.join("LiveOS/two").exists());
    // The lock is one, whichever way the stick was reached.
    assert_eq!(kind_of(&point, Access::Write), ErrorKind::Busy);
    drop(stick);
    let reader = Stick::open(&node, Access::Read).unwrap();
    fs::write(point.join("LiveOS/three"), "x").unwrap();
    assert!(reader.folder().open("three").is_ok());
    assert!(reader.folder().create("four").is_err());
    drop(reader);
    // By its mount point it has a name as well.
    let stick = Stick::open(&point, Access::Write).unwrap();
    assert_eq!((stick.label(), stick.uuid()), (Some("SOAS"), Some(UUID)));
    assert_eq!(
        stick.layout(&nested()).unwrap().snapshot().unwrap().name,
        OVERLAY
    );
    drop(stick);
    device.unmount();

    let point = device.mount("ro");
    assert_eq!(kind_of(&node, Access::Write), ErrorKind::Denied);
    assert_eq!(kind_of(&point, Access::Write), ErrorKind::Denied);
    Stick::open(&node, Access::Read).unwrap();
    // Without rights: where it is mounted.
    let caller = sugar_cellar::stick::Caller {
        root: false,
        ..sugar_cellar::stick::Caller::current()
    };
    Stick::open_as(&caller, &node, Access::Read).unwrap();
    device.unmount();
    let error = Stick::open_as(&caller, &node, Access::Read).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
}

#[test]
fn a_disk_with_partitions_is_opened_by_its_own_name() {
    root_only!("mkfs.ext4", "losetup", "sfdisk", "addpart");
    let ext4 = Ext4::new();
    let script = "label: gpt\nstart=2048, size=4096\nstart=8192, size=16384\n";
    let disk = ext4.disk(script, &[4 * MIB]);
    let device = Device::new(&disk, &["-P"]);
    let node = PathBuf::from(&device.node);
    let part = PathBuf::from(format!("{}p2", device.node));
    if !part.exists() {
        // A kernel that reads no partition tables takes them from us.
        run("addpart", &[&device.node, "1", "2048", "4096"]);
        run("addpart", &[&device.node, "2", "8192", "16384"]);
    }
    for name in [&node, &part] {
        let stick = Stick::open(name, Access::Write).unwrap();
        assert_eq!(stick.label(), Some("SOAS"));
        drop(stick);
    }
    let first = PathBuf::from(format!("{}p1", device.node));
    assert_eq!(kind_of(&first, Access::Read), ErrorKind::Unsupported);
    // What is built upon the whole disk holds the partition as well.
    let above = Device::new(Path::new(&device.node), &["-r"]);
    assert_eq!(kind_of(&part, Access::Write), ErrorKind::Busy);
    drop(above);
}

#[test]
fn an_overlay_held_under_another_name_is_seen() {
    root_only!("mkfs.ext4", "losetup", "mount");
    let ext4 = Ext4::new();
    let mut device = Device::new(&ext4.image(), &[]);
    let point = device.mount("rw");
    let away = tempfile::tempdir().unwrap();
    // A hard link outside LiveOS, a bind mount, and a name that is gone.
    fs::hard_link(point.join("LiveOS").join(OVERLAY), point.join("link")).unwrap();
    run(
        "mount",
        &[
            "--bind",
            point.to_str().unwrap(),
            away.path().to_str().unwrap(),
        ],
    );
    fs::hard_link(point.join("LiveOS").join(IMAGE), point.join("gone")).unwrap();
    let names = [
        point.join("link"),
        away.path().join("LiveOS").join(OVERLAY),
        point.join("gone"),
    ];
    for name in &names {
        let holder = Device::new(name, &["-r"]);
        if name.ends_with("gone") {
            fs::remove_file(name).unwrap();
        }
        for stick in [&point, &PathBuf::from(&device.node)] {
            assert_eq!(
                kind_of(stick, Access::Write),
                ErrorKind::Busy,
                "{}",
                name.display()
            );
            let reader = Stick::open(stick, Access::Read).unwrap();
            assert!(matches!(reader.in_use().unwrap(), InUse::Held(_)));
        }
        drop(holder);
        Stick::open(&point, Access::Write).unwrap();
    }
    // Taken between opening and writing.
    let stick = Stick::open(&point, Access::Write).unwrap();
    stick.check_again().unwrap();
    let holder = Device::new(&point.join("link"), &[]);
    assert_eq!(stick.check_again().unwrap_err().kind(), ErrorKind::Busy);
    drop(holder);
    stick.check_again().unwrap();
    drop(stick);
    run("umount", &[away.path().to_str().unwrap()]);
}

/// A device that is itself held by a loop device is not written to.
#[test]
fn a_device_under_a_loop_device_is_held() {
    root_only!("mkfs.ext4", "losetup");
    let ext4 = Ext4::new();
    let device = Device::new(&ext4.image(), &[]);
    let above = Device::new(Path::new(&device.node), &["-r"]);
    assert_eq!(
        kind_of(Path::new(&device.node), Access::Write),
        ErrorKind::Busy
    );
    drop(above);
    Stick::open(Path::new(&device.node), Access::Write).unwrap();
}
