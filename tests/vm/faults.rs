//! A refresh under faults that a model cannot stand for: a device that fails, lies or goes away, a program that
//! is killed, started twice, or has no memory. Afterwards the stick is unchanged or completable.

use crate::harness::{self, Machine};
use crate::model::small::{OVERLAY, Small, files};
use crate::sticks::ext4_disk;
use std::fs;
use sugar_cellar::sources::IMAGE;
use sugar_cellar::storage::fault::Rules;

#[test]
fn faults_lose_nothing() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let place = tempfile::tempdir_in(harness::folder()).unwrap();
    let data = place.path().join("data");
    for folder in ["files", "stick"] {
        fs::create_dir_all(data.join(folder)).unwrap();
    }
    for (name, contents) in files() {
        fs::write(data.join("files").join(name), contents).unwrap();
    }
    let small = Small::new(Rules::Ext4, 8 << 20);
    for (name, to) in [(IMAGE, IMAGE), (OVERLAY, "overlay")] {
        fs::write(
            data.join("stick").join(to),
            small.folder.read(name).unwrap(),
        )
        .unwrap();
    }
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
    assert_eq!(said.matches("whole: ").count(), 18);
}
