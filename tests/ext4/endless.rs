//! Maps that lead round in circles, and journals without end.

use crate::damage;
use crate::make::Image;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use sugar_cellar::error::{Error, Result};
use sugar_cellar::ext4::{FileSystem, Inode, Kind, Owner, Replayed, Visitor};
use sugar_cellar::progress::{Progress, Silent};
use sugar_cellar::protocol::Stage;

/// A block that names nothing but itself: of contents, and of the map at each level.
const CIRCLE: u32 = 40_000;

/// An ext3 in which the map of `inode` goes on with the circle at its second level.
fn circle(inode: &str) -> Image {
    let image = Image::new("45059K", &["-b", "1024", "-t", "ext3"]);
    image.debugfs(&format!("sif {inode} block[DIND] {CIRCLE}\n"));
    let file = File::options().write(true).open(image.path()).unwrap();
    let block = CIRCLE.to_le_bytes().repeat(256);
    file.write_all_at(&block, u64::from(CIRCLE) * 1024).unwrap();
    image
}

/// An end was asked for.
struct Ended;

impl Progress for Ended {
    fn step(&self, _: Stage, _: u64, _: u64) {}

    fn cancelled(&self) -> bool {
        true
    }
}

#[track_caller]
fn damaged<T: std::fmt::Debug>(result: Result<T>) {
    let error = result.unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, Error::Damaged { .. }), "{said}");
    assert!(said.contains("more blocks than there are"), "{said}");
}

#[test]
fn no_map_names_more_blocks_than_there_are() {
    let image = circle("<8>");
    let disk = image.open();
    let fs = FileSystem::open(&disk).unwrap();
    let mut named = 0;
    let mut runs = fs.runs(&fs.inode(8).unwrap());
    let end = loop {
        match runs.next().unwrap() {
            Ok(run) => named += run.count,
            Err(fault) => break fault,
        }
        assert!(named <= fs.geometry().blocks);
    };
    damaged::<()>(Err(end.into()));
    assert!(runs.next().is_none());
    image.debugfs("feature needs_recovery\n");
    let disk = image.open();
    damaged(Replayed::new(&disk, &Silent));
}

#[test]
fn a_folder_ends_where_it_says() {
    let image = circle("journal");
    let disk = image.open();
    let fs = FileSystem::open(&disk).unwrap();
    let find = |name| fs.find(&["journal", name], &Silent).unwrap();
    // Neither what is there nor what is not takes the circle.
    assert_eq!(find("entry 7").unwrap().bytes, 7 * 37);
    assert!(find("no such").is_none());
    let cancelled = fs.find(&["journal", "entry 7"], &Ended);
    assert!(matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
    // Nor are names told that lie behind its end.
    image.debugfs("sif journal size 1024\n");
    let disk = image.open();
    let fs = FileSystem::open(&disk).unwrap();
    let there = |index: u32| {
        let found = fs.find(&["journal", &format!("entry {index}")], &Silent);
        found.unwrap().is_some()
    };
    let there = (0..300).filter(|index| there(*index)).count();
    assert!((10..100).contains(&there), "{there}");
    // One that says it never ends does so with the map.
    image.debugfs("sif journal size 0x7fffffff\n");
    let disk = image.open();
    let fs = FileSystem::open(&disk).unwrap();
    assert!(fs.find(&["journal", "entry 7"], &Silent).unwrap().is_some());
    damaged(fs.find(&["journal", "no such"], &Silent));
}

/// Who listens meets each inode once, also where all groups name one table.
#[test]
fn a_table_of_inodes_is_read_once() {
    let image = Image::new("45059K", &["-b", "1024", "-O", "^metadata_csum,^uninit_bg"]);
    let count = || {
        let disk = image.open();
        let mut count = Count(0);
        let fs = FileSystem::open(&disk).unwrap();
        let unclear = fs.visit(&Silent, &mut count).unwrap();
        (count.0, unclear > 0)
    };
    let (all, unclear) = count();
    assert!(all > 300 && !unclear, "{all}");
    let [_, _, table] = damage::places(&image)[0];
    let groups = 1..damage::places(&image).len();
    let same = groups.map(|group| format!("set_bg {group} inode_table {table}\n"));
    image.debugfs(&same.collect::<String>());
    let (now, unclear) = count();
    assert!(now <= all && unclear, "{now} of {all}");
}

struct Count(usize);

impl Visitor for Count {
    fn inode(&mut self, _: &Inode) {
        self.0 += 1;
    }

    fn uses(&mut self, _: Owner, _: Range<u64>) {}

    fn names(&mut self, _: u32, _: Range<u64>) {}
}

/// A journal has to be gone through in memory.
#[test]
fn a_journal_of_gigabytes_is_not_replayed() {
    let options = ["-b", "1024", "-J", "size=1040", "-E", "lazy_journal_init=1"];
    let image = Image::of("2300M", &options, None);
    image.debugfs("feature needs_recovery\n");
    let disk = image.open();
    let fs = FileSystem::open(&disk).unwrap();
    let journal = fs.inode(fs.journal().unwrap()).unwrap();
    let runs = fs.runs(&journal).map(|run| run.unwrap());
    let blocks: u64 = runs
        .filter(|run| run.kind != Kind::Map)
        .map(|run| run.count)
        .sum();
    assert!(blocks > 1 << 20, "{blocks}");
    let replayed = Replayed::new(&disk, &Silent);
    assert!(
        matches!(replayed, Err(Error::Unsupported { .. })),
        "{replayed:?}"
    );
}

#[test]
fn a_replay_is_cancelled() {
    let image = Image::new("45059K", &["-b", "1024"]);
    image.debugfs("feature needs_recovery\n");
    let disk = image.open();
    let cancelled = Replayed::new(&disk, &Ended);
    assert!(matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
}
