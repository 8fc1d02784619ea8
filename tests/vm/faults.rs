//! A refresh under faults that a model cannot stand for: a device that fails, lies or goes away, a program that
//! is killed, started twice, or has no memory. Afterwards the stick is unchanged or completable.

use crate::harness::{self, Machine};
use crate::model::small::{OVERLAY, Small, files};
use crate::sticks::{Disk, Format, ext4_disk};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use sugar_cellar::sources::IMAGE;
use sugar_cellar::storage::fault::Rules;

/// The small stick's files in a folder for a guest: what the learner has, and image and overlay.
fn put(data: &Path) -> [PathBuf; 2] {
    for folder in ["files", "stick"] {
        fs::create_dir_all(data.join(folder)).unwrap();
    }
    for (name, contents) in files() {
        fs::write(data.join("files").join(name), contents).unwrap();
    }
    let small = Small::new(Rules::Ext4, 8 << 20);
    [(IMAGE, IMAGE), (OVERLAY, "overlay")].map(|(name, to)| {
        let path = data.join("stick").join(to);
        fs::write(&path, small.folder.read(name).unwrap()).unwrap();
        path
    })
}

#[test]
fn faults_lose_nothing() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let place = tempfile::tempdir_in(harness::folder()).unwrap();
    let data = place.path().join("data");
    put(&data);
    let disk = place.path().join("disk");
    ext4_disk(&data, &disk, "64M", &["-O", "^has_journal"]);
    let said = machine
        .guest("faults")
        .disk(&disk)
        .script("mount -o ro /dev/vda /data")
        .script(include_str!("guest/cut.sh"))
        .script(include_str!("guest/faults.sh"))
        .run()
        .expect_ok();
    println!("{said}");
    assert_eq!(said.matches("whole: ").count(), 24);
    // None came too late, or none of several.
    for met in [
        "filled: 1,",
        "killed while it writes: 137",
        "killed: 137",
        "gone: 1,",
    ] {
        assert!(said.contains(met), "{met}");
    }
}

/// Away from its bus while it is refreshed, as when it is pulled out, and plugged in again.
#[test]
fn a_stick_that_is_pulled_out_loses_nothing() {
    let Some(machine) = Machine::get() else {
        return;
    };
    const MEBIBYTES: u64 = 41;
    let place = tempfile::tempdir_in(harness::folder()).unwrap();
    let data = place.path().join("data");
    let [image, overlay] = put(&data);
    for (name, format) in [("fat", Format::Fat32), ("ext4", Format::Ext4)] {
        let stick = Disk::make(&data.join(name), format, MEBIBYTES, &image, &overlay);
        fs::write(data.join(format!("{name}.overlay")), stick.overlay()).unwrap();
    }
    let (disk, stick) = (place.path().join("disk"), place.path().join("stick"));
    ext4_disk(&data, &disk, "192M", &["-O", "^has_journal"]);
    File::create(&stick)
        .unwrap()
        .set_len(MEBIBYTES << 20)
        .unwrap();
    let said = machine
        .guest("pulled out")
        .pc()
        .disk(&disk)
        .disk(&stick)
        .script(&format!("SECTORS={}", MEBIBYTES << 11))
        .script("mount -o ro /dev/vda /data")
        .script(include_str!("guest/cut.sh"))
        .script(include_str!("guest/unplugged.sh"))
        .run()
        .expect_ok();
    println!("{said}");
    assert_eq!(said.matches("plugged in: ").count(), 8);
    assert!(said.contains("pulled: 1"), "{said}");
}
