//! Every write of a command to a stick's own device, recorded by the kernel, and the power cut
//! after each of them.
//!
//! A guest records, on ext4 and on FAT32, and then goes through the states that a cut may leave:
//! all that was flushed, and of the rest any part, in any order, torn at sector borders. Each is
//! mounted by the kernel, searched for everything that the learner had, written to, and given to
//! the next run.

mod log;
mod replay;

use crate::harness::{self, Machine};
use crate::model::small::{OVERLAY, Small};
use crate::sticks::{Disk, Format, ext4_disk};
use replay::Operation;
use std::fs;
use std::path::Path;
use std::time::Duration;
use sugar_cellar::sources::IMAGE;
use sugar_cellar::storage::fault::Rules;

/// States for each command on each file system; `SUGAR_CELLAR_STATES=1000` tries more.
const STATES: usize = 8;
/// Set in the guest: how many states there.
const WANTED: &str = "SUGAR_CELLAR_RECORDED";
/// The stick's file systems.
const FORMATS: [(&str, Format); 2] = [("ext4", Format::Ext4), ("fat", Format::Fat32)];
/// A stick, in MiB.
const MEBIBYTES: u64 = 40;

#[test]
fn a_stick_is_cut_at_every_write() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let wanted = std::env::var("SUGAR_CELLAR_STATES").map_or(STATES, |n| n.parse().unwrap());
    let place = tempfile::tempdir_in(harness::folder()).unwrap();
    let data = place.path().join("data");
    fs::create_dir(&data).unwrap();
    let small = Small::new(Rules::Ext4, 8 << 20);
    let [image, overlay] = [IMAGE, OVERLAY].map(|name| {
        let file = place.path().join(name);
        fs::write(&file, small.folder.read(name).unwrap()).unwrap();
        file
    });
    replay::put(&small.learner, &data);
    let mut script = String::new();
    for (name, format) in FORMATS {
        Disk::make(&data.join(name), format, MEBIBYTES, &image, &overlay);
        for operation in &Operation::ALL {
            let command = operation.command.replace("STICK", "/dev/mapper/recorded");
            script += &format!("record {name} {} {command}\n", operation.name);
        }
    }
    let disk = place.path().join("disk");
    ext4_disk(&data, &disk, "1G", &["-O", "^has_journal"]);
    let states = wanted * FORMATS.len() * Operation::ALL.len();
    let said = machine
        .guest("recorded")
        .disk(&disk)
        .limit(Duration::from_secs(900 + 30 * states as u64))
        .program("replay-test", &std::env::current_exe().unwrap())
        .script("mount /dev/vda /data; mkdir /data/scratch")
        .script(include_str!("../guest/recorded.sh"))
        .script(&script)
        .script(&format!(
            "{WANTED}={wanted} /replay-test --exact recorded::inside --nocapture"
        ))
        .script("umount /data")
        .run()
        .expect_ok();
    println!("{said}");
    let tried = said.lines().filter(|line| line.starts_with("cut: "));
    assert_eq!(tried.count(), FORMATS.len() * Operation::ALL.len());
}

/// Goes through what was recorded; run in the guest.
#[test]
fn inside() {
    let Ok(wanted) = std::env::var(WANTED) else {
        return;
    };
    for (format, _) in FORMATS {
        replay::all(Path::new("/data"), format, wanted.parse().unwrap());
    }
}
