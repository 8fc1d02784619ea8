//! The practice stick, judged by programs that did not make it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use sugar_cellar::error::{Error, ErrorKind};
use sugar_cellar::practice::{self, Compression, Options};
use sugar_cellar::progress::{Progress, Silent};
use sugar_cellar::protocol::Stage;

const SMALL: Options = Options {
    mebibytes: 32,
    seed: 7,
    compression: Compression::Xz,
};

fn make(place: &Path, options: &Options) -> PathBuf {
    let stick = place.join("stick");
    practice::make(&stick, options, &Silent).unwrap();
    stick
}

/// All files below `folder`, by path.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}

fn overlay(stick: &Path) -> Vec<u8> {
    let all = files(stick);
    let mut found = all.iter().filter(|(path, _)| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("overlay-PRACTICE-")
    });
    found.next().unwrap().1.clone()
}

/// The exceptions of a store with chunks of 4 KiB, read as the kernel's document describes them.
fn exceptions(store: &[u8]) -> Vec<(u64, u64)> {
    let number = |at: usize| u64::from_le_bytes(store[at..at + 8].try_into().unwrap());
    assert_eq!(&store[..16], b"SnAp\x01\0\0\0\x01\0\0\0\x08\0\0\0");
    let mut found = Vec::new();
    for area in 0.. {
        for entry in 0..256 {
            let at = (1 + area * 257) * 4096 + entry * 16;
            if number(at + 8) == 0 {
                return found;
            }
            found.push((number(at), number(at + 8)));
        }
    }
    unreachable!()
}

fn tool(name: &str) -> Command {
    let place = ["/usr/sbin", "/sbin", "/usr/bin"].map(|folder| Path::new(folder).join(name));
    Command::new(place.iter().find(|path| path.exists()).unwrap())
}

/// `image (+) overlay` as a file.
fn merged(stick: &Path, place: &Path) -> PathBuf {
    let unpacked = place.join("unpacked");
    let mut unsquashfs = tool("unsquashfs");
    unsquashfs
        .args(["-n", "-q", "-d"])
        .arg(&unpacked)
        .arg(stick.join("LiveOS/squashfs.img"));
    assert!(unsquashfs.output().unwrap().status.success());
    let inner = unpacked.join("LiveOS/rootfs.img");
    let file = File::options().write(true).open(&inner).unwrap();
    let store = overlay(stick);
    for (old, new) in exceptions(&store) {
        let data = &store[new as usize * 4096..][..4096];
        file.write_all_at(data, old * 4096).unwrap();
    }
    inner
}

fn debugfs(image: &Path, order: &str) -> String {
    let said = tool("debugfs")
        .args(["-R", order])
        .arg(image)
        .output()
        .unwrap();
    String::from_utf8(said.stdout).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = files(&make(one.path(), &SMALL));
    // A second later, so that no clock of the machine goes unnoticed.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let second = files(&make(other.path(), &SMALL));
    assert_eq!(first.len(), 2);
    let contents = |all: BTreeMap<PathBuf, Vec<u8>>| all.into_values().collect::<Vec<_>>();
    assert!(contents(first) == contents(second));

    let third = tempfile::tempdir().unwrap();
    let another = Options { seed: 8, ..SMALL };
    let names = |stick: &Path| fs::read_dir(stick.join("LiveOS")).unwrap().count();
    let stick = make(third.path(), &another);
    assert_eq!(names(&stick), 2);
    assert!(overlay(&stick) != overlay(&one.path().join("stick")));
}

#[test]
fn image_and_overlay_are_what_the_learner_has() {
    let place = tempfile::tempdir().unwrap();
    let stick = make(place.path(), &SMALL);
    let store = overlay(&stick);
    let listed = exceptions(&store);
    let percent = (listed.len() * 4096 * 100) / store.len();
    assert!((35..=60).contains(&percent), "{percent} %");
    // In the order of three days, not of places: a list as the kernel's.
    assert!(
        listed
            .windows(2)
            .filter(|pair| pair[0].0 > pair[1].0)
            .count()
            >= 2
    );

    let inner = merged(&stick, place.path());
    let judged = tool("e2fsck")
        .args(["-f", "-n"])
        .arg(&inner)
        .output()
        .unwrap();
    assert!(
        judged.status.success(),
        "{}",
        String::from_utf8_lossy(&judged.stdout)
    );
    assert!(!debugfs(&inner, "features").contains("needs_recovery"));

    // Added, edited, deleted.
    assert!(debugfs(&inner, "ls -p /home/liveuser/Pictures").contains("third 0.jpg"));
    assert_eq!(debugfs(&inner, "cat /etc/hostname"), "class-3-stick-7\n");
    assert!(!debugfs(&inner, "ls -p /usr/share/sugar/activities").contains("Maze"));
    let datastore = debugfs(&inner, "ls -p /home/liveuser/.sugar/default/datastore");
    for name in ["checksums", "index", "version", "index_updated"] {
        assert!(datastore.contains(&format!("/{name}/")), "{datastore}");
    }
    let owner = debugfs(&inner, "stat /home/liveuser/Documents");
    assert!(owner.contains("User:  1000   Group:  1000"), "{owner}");
}

#[test]
fn every_compressor_holds_the_same() {
    let mut seen = Vec::new();
    for compression in Compression::ALL {
        let place = tempfile::tempdir().unwrap();
        let options = Options {
            compression,
            ..SMALL
        };
        let stick = make(place.path(), &options);
        seen.push(fs::read(merged(&stick, place.path())).unwrap());
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn an_empty_folder_is_taken_and_anything_else_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let stick = place.path().join("stick");
    fs::create_dir(&stick).unwrap();
    make(place.path(), &SMALL);
    let before = files(&stick);
    let refused = practice::make(&stick, &SMALL, &Silent).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(files(&stick) == before);
    for mebibytes in [0, 31, 5000] {
        let options = Options { mebibytes, ..SMALL };
        let refused = practice::make(&place.path().join("other"), &options, &Silent);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Refused);
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

/// Asks for an end as soon as `stage` is reached.
struct Until(Stage, std::sync::atomic::AtomicBool);

impl Progress for Until {
    fn step(&self, stage: Stage, _: u64, _: u64) {
        if stage == self.0 {
            self.1.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }

    fn cancelled(&self) -> bool {
        self.1.load(std::sync::atomic::Ordering::Relaxed)
    }
}

#[test]
fn cancelled_nothing_is_left() {
    for stage in [Stage::Build, Stage::Verify] {
        for exists in [false, true] {
            let place = tempfile::tempdir().unwrap();
            let stick = place.path().join("stick");
            if exists {
                fs::create_dir(&stick).unwrap();
            }
            let until = Until(stage, false.into());
            let error = practice::make(&stick, &SMALL, &until).unwrap_err();
            assert!(matches!(error, Error::Cancelled), "{error}");
            assert_eq!(stick.exists(), exists);
            assert!(files(place.path()).is_empty());
        }
    }
}
