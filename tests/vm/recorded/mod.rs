//! Every write of a command to a stick's own device, recorded by the kernel, and the power cut
//! after each of them.
//!
//! A guest records, on ext4 with and without a journal and on FAT32, and then goes through the states that a cut may leave:
//! all that was flushed, and of the rest any part, in any order, torn at sector borders. Each is
//! mounted by the kernel, searched for everything that the learner had, written to, and given to
//! the next run.

mod cases;
mod log;
mod replay;
mod states;

use crate::harness::{self, Machine, run};
use crate::sticks::ext4_disk;
use cases::{Case, FAT, FORMATS};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// States for each command on each file system; `SUGAR_CELLAR_STATES=1000` tries more.
const STATES: usize = 6;
/// Set in the guest: how many states there.
const WANTED: &str = "SUGAR_CELLAR_RECORDED";
/// Set by who tries many, as root: those not on FAT are tried under this machine's own kernel, which takes a
/// tenth of the time that an emulated one takes.
const HERE: &str = "SUGAR_CELLAR_HERE";

#[test]
fn a_stick_is_cut_at_every_write() {
    let Some(machine) = Machine::get() else {
        return;
    };
    let wanted = std::env::var("SUGAR_CELLAR_STATES").map_or(STATES, |n| n.parse().unwrap());
    let here = std::env::var_os(HERE).is_some();
    let (here, there): (Vec<_>, Vec<_>) = FORMATS
        .into_iter()
        .partition(|format| here && *format != FAT);
    let place = tempfile::tempdir_in(harness::folder()).unwrap();
    let data = place.path().join("data");
    fs::create_dir(&data).unwrap();
    cases::make(place.path(), &data);
    // Sticks are copied in memory again and again. Where the kernel is a process, new memory takes long.
    let mut script =
        "export MALLOC_MMAP_THRESHOLD_=1000000000 MALLOC_TRIM_THRESHOLD_=1000000000\n".to_owned();
    for case in Case::all() {
        let command = case.operation.command.replace("STICK", "/dev/mapper/stick");
        script += &format!("record {} {} {command}\n", case.stick(), case.name());
    }
    for format in there {
        script += &format!(
            "{WANTED}='{format} {wanted}' /replay-test --exact recorded::inside --nocapture\n"
        );
    }
    let disk = place.path().join("disk");
    ext4_disk(&data, &disk, "1500M", &["-O", "^has_journal"]);
    let states = wanted * Case::all().count();
    let mut said = machine
        .guest("recorded")
        .disk(&disk)
        .limit(Duration::from_secs(900 + 30 * states as u64))
        .program("replay-test", &std::env::current_exe().unwrap())
        .script("mount /dev/vda /data; mkdir /data/scratch")
        .script(include_str!("../guest/recorded.sh"))
        .script(&script)
        .script("umount /data")
        .run()
        .expect_ok();
    if !here.is_empty() {
        let seen = tempfile::tempdir_in(place.path()).unwrap();
        run(Command::new("mount")
            .args(["-o", "loop,ro"])
            .arg(&disk)
            .arg(seen.path()));
        let tried = std::panic::catch_unwind(|| {
            let tried = here
                .iter()
                .map(|format| replay::all(seen.path(), format, wanted));
            tried.collect::<String>()
        });
        run(Command::new("umount").arg(seen.path()));
        match tried {
            Ok(tried) => said += &tried,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    println!("{said}");
    let tried = said.lines().filter(|line| line.starts_with("cut: "));
    assert_eq!(tried.count(), Case::all().count());
}

/// Goes through what was recorded; run in the guest.
#[test]
fn inside() {
    let Ok(asked) = std::env::var(WANTED) else {
        return;
    };
    let (format, wanted) = asked.split_once(' ').unwrap();
    let tried = replay::all(Path::new("/data"), format, wanted.parse().unwrap());
    // On one processor, the test's runner has begun a line.
    println!("\n{tried}");
}
