//! What the file system of a stick needs before it is written.

use crate::made::{Device, Ext4, assert_let_go, digest, kind_of, put, run};
use std::fs;
use std::path::Path;
use std::time::Duration;
use sugar_cellar::error::{Error, ErrorKind};
use sugar_cellar::stick::{Access, Left, Stick};
use sugar_cellar::storage::{Folder, Storage};

#[test]
fn older_kinds_of_ext_are_read_and_written_too() {
    root_only!("mkfs.ext4", "losetup", "e2fsck");
    let old = "none,^extent,^64bit,^metadata_csum";
    for features in ["^has_journal", "none", old, "bigalloc,^has_journal"] {
        let ext4 = Ext4::with(&["-O", features]);
        let path = ext4.image();
        let before = digest(&path);
        let stick = Stick::open(&path, Access::Read).unwrap();
        assert_eq!(stick.label(), Some("SOAS"));
        drop(stick);
        assert_let_go(&path);
        assert_eq!(digest(&path), before, "{features}");
        let stick = Stick::open(&path, Access::Write).unwrap();
        stick.folder().create("new").unwrap().sync().unwrap();
        stick.close().unwrap();
        assert_let_go(&path);
        run("e2fsck", &["-fn", path.to_str().unwrap()]);
    }
}

/// Without a journal, a file's length, what it takes and the list of that reach the device at different times.
#[test]
fn only_with_a_journal_a_files_length_is_changed() {
    root_only!("mkfs.ext4", "losetup", "mount");
    for (features, at_once) in [
        ("has_journal", true),
        ("^has_journal", false),
        ("none", false),
    ] {
        let ext4 = Ext4::with(&["-O", features]);
        let shortens = |path: &Path, access: Access| {
            let stick = Stick::open(path, access).unwrap();
            let found = stick.folder().shortens_at_once().unwrap();
            assert_eq!(found, at_once, "{features} {access:?} {}", path.display());
            let refused = matches!(stick.lets_files_grow(), Err(Error::NoJournal));
            assert_eq!(refused, !at_once, "{features} {access:?}");
        };
        for access in [Access::Read, Access::Write] {
            shortens(&ext4.image(), access);
            assert_let_go(&ext4.image());
        }
        let mut device = Device::new(&ext4.image(), &[]);
        // Where there is no journal, the kernel may not take the option to leave it alone.
        let options = ["rw", "ro", "ro,noload"];
        for options in &options[..if at_once { 3 } else { 2 }] {
            let point = device.mount(options);
            shortens(&point, Access::Read);
            device.unmount();
        }
        let point = device.mount("rw");
        for path in [&*point, Path::new(&device.node)] {
            if at_once {
                shortens(path, Access::Write);
            } else {
                // Nobody can see any more whether it was left in order.
                let refused = Stick::open(path, Access::Write).err();
                assert!(matches!(refused, Some(Error::Unseen)), "{refused:?}");
            }
        }
        // In a folder of somebody's disk it is one to practise on.
        let practice = point.join("practice");
        put(&practice);
        let stick = Stick::open(&practice, Access::Write).unwrap();
        stick.lets_files_grow().unwrap();
    }
}

#[test]
fn what_has_no_journal_is_checked_before_it_is_written() {
    root_only!("mkfs.ext4", "debugfs", "losetup", "mount", "e2fsck");
    let ext4 = Ext4::with(&["-O", "^has_journal"]);
    let path = ext4.image();
    let [cut, wrong] = ["cut.img", "wrong.img"].map(|name| ext4.place.path().join(name));
    let set = |path: &Path, value: &str| {
        let asked = format!("set_super_value {value}");
        run("debugfs", &["-w", "-R", &asked, path.to_str().unwrap()]);
    };
    let stick = Stick::open(&path, Access::Write).unwrap();
    stick.folder().sync().unwrap();
    fs::copy(&path, &cut).unwrap();
    drop(stick);
    let left = |path| Stick::open(path, Access::Read).unwrap().left();
    assert_eq!(left(&path), Left::InOrder);
    fs::copy(&path, &wrong).unwrap();
    set(&wrong, "state 3");
    // Where it is mounted, the driver tells that it noted an error.
    set(&wrong, "error_count 2");
    let mut device = Device::new(&wrong, &[]);
    let point = device.mount("rw");
    for path in [&*point, Path::new(&device.node)] {
        let refused = Stick::open(path, Access::Write).err();
        assert!(matches!(refused, Some(Error::Unchecked)), "{refused:?}");
    }
    device.unmount();
    drop(device);
    // Held by another run, it is in use and not in disorder.
    let device = Device::new(&path, &[]);
    let held = Stick::open(Path::new(&device.node), Access::Write).unwrap();
    let refused = kind_of(Path::new(&device.node), Access::Write);
    assert_eq!(refused, ErrorKind::Busy);
    drop(held);
    drop(device);
    for path in [&cut, &wrong] {
        let before = digest(path);
        assert_eq!(left(path), Left::Unchecked);
        let refused = Stick::open(path, Access::Write).err();
        assert!(matches!(refused, Some(Error::Unchecked)), "{refused:?}");
        assert_eq!(digest(path), before);
        run(
            "sh",
            &["-c", "e2fsck -fy $0 || [ $? = 1 ]", path.to_str().unwrap()],
        );
        assert_eq!(left(path), Left::InOrder);
        Stick::open(path, Access::Write).unwrap();
    }
}

#[test]
fn a_journal_is_replayed_for_writing_only() {
    root_only!("mkfs.ext4", "losetup", "e2fsck");
    let ext4 = Ext4::new();
    let path = ext4.image();
    // Copied while it is mounted and written to: as after a power cut.
    let cut = ext4.place.path().join("cut.img");
    let stick = Stick::open(&path, Access::Write).unwrap();
    let file = stick.folder().create("late").unwrap();
    file.write_at(&[3; 4096], 0).unwrap();
    file.sync().unwrap();
    // A file that is open and has no name left: whoever mounts it read-write clears it up,
    // and on a device that can be written, whoever mounts it read-only does so as well.
    let orphan = stick.folder().create("orphan").unwrap();
    orphan.write_at(&[4; 65536], 0).unwrap();
    stick.folder().remove("orphan").unwrap();
    for _ in 0..100 {
        stick.folder().sync().unwrap();
        rustix::fs::sync();
        fs::copy(&path, &cut).unwrap();
        if fs::read(&cut).unwrap()[1024 + 0xe8..][..4] != [0; 4] {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_ne!(
        fs::read(&cut).unwrap()[1024 + 0xe8..][..4],
        [0; 4],
        "no orphan"
    );
    drop((file, orphan, stick));

    let before = digest(&cut);
    let stick = Stick::open(&cut, Access::Read).unwrap();
    assert_eq!(stick.left(), Left::Cut);
    drop(stick);
    assert_let_go(&cut);
    assert_eq!(digest(&cut), before, "looking must not replay the journal");
    let stick = Stick::open(&cut, Access::Write).unwrap();
    assert!(stick.folder().open("late").is_ok());
    drop(stick);
    assert_let_go(&cut);
    run("e2fsck", &["-fn", cut.to_str().unwrap()]);
    let stick = Stick::open(&cut, Access::Read).unwrap();
    assert_eq!(stick.left(), Left::InOrder);
}
