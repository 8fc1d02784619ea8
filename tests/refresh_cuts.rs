//! A whole refresh is cut at every call, on a small stick made by mke2fs, debugfs and
//! mksquashfs: what is left boots, everything is on it, more can be saved, and the next run ends well.

#![allow(clippy::unwrap_used)]

mod model;

use model::cuts::{Depth, Operation, Tried, cut_everywhere};
use model::learner::Learner;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use sugar_cellar::error::{Error, ErrorKind, Part, Result};
use sugar_cellar::ext4::{self, Trust};
use sugar_cellar::overlay::{ExceptionStore, write};
use sugar_cellar::progress::{Progress, Silent};
use sugar_cellar::protocol::{OverlayState, Stage};
use sugar_cellar::refresh::{self, Options, SECOND};
use sugar_cellar::sources::{Guard, IMAGE, Target};
use sugar_cellar::squash::Image;
use sugar_cellar::storage::fault::{FaultFolder, Rules};
use sugar_cellar::storage::{Folder, ReadAt, Storage};
use sugar_cellar::tidy;
use sugar_cellar::units::{Bytes, ChunkSize, Chunks};

const OVERLAY: &str = "overlay-TEST-0123";
const CHUNK: usize = 4096;
const INNER_BYTES: usize = 5 << 20;
const OVERLAY_BYTES: u64 = 3 << 20;

struct Alone;

impl Guard for Alone {
    fn still_ours(&self) -> Result<()> {
        Ok(())
    }
}

/// The small stick: a folder in memory, and what the learner has on it.
struct Small {
    folder: FaultFolder,
    learner: Learner,
}

fn run(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments);
    // The same bytes each time.
    command.env("E2FSPROGS_FAKE_TIME", "1700000000");
    command.env("SOURCE_DATE_EPOCH", "1700000000");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {text} {output:?}"
    );
    text
}

fn noise(length: usize, mut state: u64) -> Vec<u8> {
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8 & 0x3f
    };
    (0..length).map(|_| next()).collect()
}

fn base(place: &Path) -> String {
    let tree = place.join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("work"), noise(600 << 10, 1)).unwrap();
    fs::write(tree.join("kept"), noise(900 << 10, 2)).unwrap();
    fs::write(tree.join("deleted"), noise(500 << 10, 3)).unwrap();
    let image = place.join("rootfs.img");
    fs::File::create(&image)
        .unwrap()
        .set_len(INNER_BYTES as u64)
        .unwrap();
    let image = image.to_str().unwrap().to_owned();
    let hash = "hash_seed=6b33f586-a183-4383-921d-30ab1f3b0e2e";
    let uuid = "1f3f10f6-2d6a-4a4b-a6f3-3f0a3c9e7e11";
    let tree = tree.to_str().unwrap();
    run(
        "mke2fs",
        &[
            "-q", "-t", "ext4", "-b", "1024", "-E", hash, "-U", uuid, "-d", tree, &image,
        ],
    );
    image
}

impl Small {
    fn new(rules: Rules, room: u64) -> Small {
        let place = tempfile::tempdir().unwrap();
        let image = base(place.path());
        let live = place.path().join("root/LiveOS");
        fs::create_dir_all(&live).unwrap();
        fs::copy(&image, live.join("rootfs.img")).unwrap();
        let squash = place
            .path()
            .join("squashfs.img")
            .to_str()
            .unwrap()
            .to_owned();
        let root = place.path().join("root").to_str().unwrap().to_owned();
        let flags = [
            "-comp",
            "zstd",
            "-b",
            "32K",
            "-noappend",
            "-quiet",
            "-no-progress",
        ];
        run(
            "mksquashfs",
            &[&[root.as_str(), &squash], &flags[..]].concat(),
        );
        let before = fs::read(&image).unwrap();
        // The learner deletes, writes, and changes.
        let added = place.path().join("added");
        fs::write(&added, noise(300 << 10, 4)).unwrap();
        for request in [
            "rm deleted".to_owned(),
            format!("write {} added", added.display()),
            "mkdir folder".to_owned(),
        ] {
            run("debugfs", &["-w", "-R", &request, &image]);
        }
        let after = fs::read(&image).unwrap();
        let blocks = run("debugfs", &["-R", "blocks /work", &image]);
        let places = whole_chunks(&blocks);
        assert!(places.len() > 100, "{blocks}");

        let folder = FaultFolder::new(rules);
        folder.put(IMAGE, &fs::read(&squash).unwrap()).unwrap();
        let store = folder.create(OVERLAY).unwrap();
        store.set_len(Bytes(OVERLAY_BYTES)).unwrap();
        let chunks = (0..INNER_BYTES / CHUNK).filter_map(|chunk| {
            let range = chunk * CHUNK..(chunk + 1) * CHUNK;
            let changed = before[range.clone()] != after[range.clone()];
            changed.then(|| (Chunks(chunk as u64), after[range].to_vec()))
        });
        let list = write::format(&store, ChunkSize::LIVE, chunks).unwrap();
        assert!(list.len() > 80, "{list:?}");
        folder.sync().unwrap();
        let used = fs::metadata(&squash).unwrap().len() + OVERLAY_BYTES;
        folder.set_capacity(Bytes(used + room));
        folder.record();

        let Trust::Free(free) = ext4::free_blocks(&after, &Silent).unwrap() else {
            panic!("not trusted");
        };
        let careless = (0..(INNER_BYTES / CHUNK) as u64)
            .filter(|chunk| free.is_free_range(chunk * CHUNK as u64..(chunk + 1) * CHUNK as u64));
        let learner = Learner {
            content: after,
            chunk_bytes: CHUNK,
            careless: careless.collect(),
            places: Some(places),
            may_lurk: false,
        };
        Small { folder, learner }
    }
}

/// Of a file's 1 KiB blocks, the chunks of 4 KiB that are all its own.
fn whole_chunks(blocks: &str) -> Vec<u64> {
    let blocks: BTreeSet<u64> = blocks
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let chunks: BTreeSet<u64> = blocks.iter().map(|block| block / 4).collect();
    let whole = |chunk: &u64| (0..4).all(|part| blocks.contains(&(chunk * 4 + part)));
    chunks.into_iter().filter(whole).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Refresh,
    /// The next run is a tidy: it, too, must cope with what a cut refresh left.
    TidyAfterwards,
}

/// The operation, and decoded images by their time of making: decoding is most of the work.
struct Whole {
    what: What,
    keep_deleted: bool,
    first: Mutex<bool>,
    decoded: Mutex<BTreeMap<Vec<u8>, Arc<Vec<u8>>>>,
}

impl Whole {
    fn new(what: What, keep_deleted: bool) -> Whole {
        Whole {
            what,
            keep_deleted,
            first: Mutex::new(true),
            decoded: Mutex::default(),
        }
    }

    fn refresh(&self, folder: &FaultFolder) -> Result<()> {
        let target = Target {
            folder,
            overlay: OVERLAY,
        };
        let options = Options {
            compression: None,
            keep_deleted: self.keep_deleted,
            threads: 1,
        };
        refresh::recover(target, 1, &Alone, &Silent)?;
        let plan = refresh::plan(target, options, &Silent)?;
        if !plan.is_needed() {
            return Ok(());
        }
        refresh::refresh(plan.ready()?, &Alone, &Silent)
    }

    fn tidy(&self, folder: &FaultFolder) -> Result<()> {
        let target = Target {
            folder,
            overlay: OVERLAY,
        };
        refresh::recover(target, 1, &Alone, &Silent)?;
        tidy::stick(target, &Alone, &Silent).map(|_| ())
    }
}

impl Operation for Whole {
    fn boot(&self, folder: &FaultFolder) -> std::result::Result<(Arc<Vec<u8>>, String), String> {
        let decode = || -> Result<Arc<Vec<u8>>> {
            let file = folder.open(IMAGE).map_err(|source| Error::Io {
                doing: "booting".to_owned(),
                source,
            })?;
            // What tells images apart, and a sum over all bytes: a torn one must not pass.
            let mut bytes = vec![0; file.size().unwrap().0 as usize];
            file.read_at(&mut bytes, 0).unwrap();
            let mut known = self.decoded.lock().unwrap();
            if let Some(known) = known.get(&bytes) {
                return Ok(Arc::clone(known));
            }
            let image = Image::open(Arc::new(bytes.clone()))?;
            let mut inner = vec![0; image.inner_bytes().0 as usize];
            image
                .reader(4)
                .read_at(&mut inner, 0)
                .map_err(|source| Error::Io {
                    doing: "booting".to_owned(),
                    source,
                })?;
            let inner = Arc::new(inner);
            if known.len() > 50 {
                known.clear();
            }
            known.insert(bytes, Arc::clone(&inner));
            Ok(inner)
        };
        let image = decode().map_err(|error| format!("does not boot: {error}"))?;
        Ok((image, OVERLAY.to_owned()))
    }

    fn run(&self, folder: &FaultFolder) -> Result<()> {
        let first = std::mem::replace(&mut *self.first.lock().unwrap(), false);
        let run = || match self.what {
            What::TidyAfterwards if !first => self.tidy(folder),
            _ => self.refresh(folder),
        };
        let before = folder.read(IMAGE).unwrap();
        match run() {
            // FAT's half-done exchange: said, nothing touched, and mended from outside.
            Err(Error::Damaged {
                part: Part::Disk, ..
            }) => {
                assert_eq!(folder.read(IMAGE).unwrap(), before);
                assert_eq!(folder.read(SECOND).unwrap(), before);
                folder.remove(SECOND).unwrap();
                folder.put(IMAGE, &before).unwrap();
                folder.record();
                run()
            }
            other => other,
        }
    }

    fn check_done(
        &self,
        folder: &FaultFolder,
        learner: &Learner,
    ) -> std::result::Result<(), String> {
        if folder.open(SECOND).is_ok() {
            return Err("a second image is left".into());
        }
        let store = folder.open(OVERLAY).unwrap();
        let list = ExceptionStore::read(&store, Some(Bytes(learner.content.len() as u64)));
        let list = list.map_err(|error| error.to_string())?;
        match (self.what, list.state()) {
            (What::TidyAfterwards, _) | (_, OverlayState::Empty) => Ok(()),
            (_, state) => Err(format!("{state:?} {list:?}")),
        }
    }
}

fn depth() -> Depth {
    Depth {
        seeds: 24,
        saves: 6,
        fill_every: 29,
        again_every: 3,
        write_every: 1,
    }
}

fn cut(name: &str, small: &Small, operation: &Whole) -> Tried {
    let tried = cut_everywhere(name, &small.folder, &small.learner, operation, depth());
    eprintln!("{name}: {tried:?}");
    tried
}

#[test]
fn a_refresh_on_ext4() {
    let small = Small::new(Rules::Ext4, 8 << 20);
    let tried = cut("ext4", &small, &Whole::new(What::Refresh, false));
    assert!(tried.states > 60, "{tried:?}");
}

#[test]
fn a_refresh_on_fat() {
    let small = Small::new(Rules::Fat, 8 << 20);
    let tried = cut("FAT", &small, &Whole::new(What::Refresh, true));
    assert!(tried.states > 60, "{tried:?}");
}

#[test]
fn a_refresh_with_a_tidy_behind_it() {
    let small = Small::new(Rules::Fat, 8 << 20);
    cut(
        "tidy behind",
        &small,
        &Whole::new(What::TidyAfterwards, false),
    );
}

/// Each call fails once: nothing is lost, the message is no lie, the next run ends well.
#[test]
fn failing_calls_lose_nothing() {
    let small = Small::new(Rules::Ext4, 8 << 20);
    let operation = Whole::new(What::Refresh, false);
    let whole = small.folder.copy();
    operation.run(&whole).unwrap();
    for call in 0..whole.calls() {
        for error in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
            let folder = small.folder.copy();
            let image = folder.read(IMAGE).unwrap();
            let store = folder.read(OVERLAY).unwrap();
            folder.fail_call(call, error);
            let failed = operation.run(&folder);
            let has_all = |folder: &FaultFolder| {
                let (image, overlay) = operation.boot(folder).unwrap();
                let store = folder.open_writable(&overlay).unwrap();
                small.learner.find_all(&store, &image).unwrap();
            };
            has_all(&folder);
            match failed {
                Ok(()) => {}
                Err(Error::Unfinished(_)) => {}
                Err(Error::Undo { .. }) => assert!(folder.open(SECOND).is_ok()),
                Err(_) => {
                    assert!(folder.open(SECOND).is_err(), "call {call}");
                    assert_eq!(folder.read(IMAGE).unwrap(), image, "call {call}");
                    assert_eq!(folder.read(OVERLAY).unwrap(), store, "call {call}");
                }
            }
            operation.run(&folder).unwrap();
            has_all(&folder);
            operation.check_done(&folder, &small.learner).unwrap();
        }
    }
}

/// A stick that is full says so before anything is written.
#[test]
fn too_little_room_is_told_and_nothing_written() {
    let small = Small::new(Rules::Fat, 100 << 10);
    let calls = small.folder.calls();
    let refused = Whole::new(What::Refresh, false).run(&small.folder);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NoSpace);
    assert_eq!(small.folder.calls(), calls);
}

/// What reads back otherwise than it was written is found before the exchange.
#[test]
fn verify_reads_the_device() {
    let small = Small::new(Rules::Ext4, 8 << 20);
    let image = small.folder.read(IMAGE).unwrap();
    let trials = 40;
    let mut found = 0;
    for trial in 0..trials {
        let folder = small.folder.copy();
        let flip = FlipAfterSync {
            folder: &folder,
            place: trial,
            of: trials,
            done: AtomicBool::new(false),
        };
        let target = Target {
            folder: &folder,
            overlay: OVERLAY,
        };
        let options = Options {
            compression: None,
            keep_deleted: false,
            threads: 1,
        };
        let plan = refresh::plan(target, options, &Silent).unwrap();
        let result = refresh::refresh(plan.ready().unwrap(), &Alone, &flip);
        match result {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
                assert_eq!(folder.read(IMAGE).unwrap(), image);
                assert!(folder.open(SECOND).is_err());
                found += 1;
            }
        }
    }
    // A flip in the padding, or in a reserved field, harms nobody.
    assert!(found >= trials - 3, "{found} of {trials}");
}

/// Flips a bit of the new image on the device as soon as verifying begins.
struct FlipAfterSync<'a> {
    folder: &'a FaultFolder,
    place: u64,
    of: u64,
    done: AtomicBool,
}

impl Progress for FlipAfterSync<'_> {
    fn step(&self, stage: Stage, _: u64, _: u64) {
        if stage == Stage::Verify && !self.done.swap(true, Ordering::Relaxed) {
            let size = self.folder.open(SECOND).unwrap().size().unwrap().0;
            let offset = size * self.place / self.of;
            self.folder.flip(SECOND, offset, 4).unwrap();
        }
    }

    fn cancelled(&self) -> bool {
        false
    }
}
