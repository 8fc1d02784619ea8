//! A whole refresh is cut at every call, on a small stick made by mke2fs, debugfs and
//! mksquashfs: what is left boots, everything is on it, more can be saved, and the next run ends well.

#![allow(clippy::unwrap_used)]

mod model;

use model::alone::Alone;
use model::cuts::{Depth, Operation, Tried, cut_everywhere};
use model::learner::Learner;
use model::small::{OVERLAY, Small};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use sugar_cellar::error::{Error, ErrorKind, Part, Result};
use sugar_cellar::overlay::ExceptionStore;
use sugar_cellar::progress::{Progress, Silent};
use sugar_cellar::protocol::{OverlayState, SpaceMode, Stage};
use sugar_cellar::refresh::{self, Options, SECOND};
use sugar_cellar::sources::{Guard, IMAGE, Target, Use};
use sugar_cellar::squash::Image;
use sugar_cellar::stick::layout::NOTE;
use sugar_cellar::storage::fault::{FaultFolder, Rules};
use sugar_cellar::storage::{Folder, ReadAt, Storage};
use sugar_cellar::tidy;
use sugar_cellar::units::Bytes;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Refresh,
    /// The next run is a tidy: it, too, must cope with what a cut refresh left.
    TidyAfterwards,
    /// A system runs from the stick; the rest is done where it is gone, or the next time.
    Running,
    /// The stick has no room for two images without the overlay's unused end.
    Borrowing,
}

/// So much of its unused end the overlay keeps.
const RESERVE: Bytes = Bytes(512 << 10);

/// The operation, and decoded images by their time of making: decoding is most of the work.
struct Whole {
    what: What,
    keep_deleted: bool,
    /// What the device holds, where that is to matter: a copy of a folder has all the room there is.
    capacity: Option<Bytes>,
    first: Mutex<bool>,
    decoded: Mutex<BTreeMap<Vec<u8>, Arc<Vec<u8>>>>,
}

impl Whole {
    fn new(what: What, keep_deleted: bool) -> Whole {
        Whole {
            what,
            keep_deleted,
            capacity: None,
            first: Mutex::new(true),
            decoded: Mutex::default(),
        }
    }

    fn refresh(&self, folder: &FaultFolder, used: Use) -> Result<()> {
        let target = Target {
            folder,
            overlay: OVERLAY,
        };
        let options = Options {
            keep_deleted: self.keep_deleted,
            used,
            ..options(RESERVE)
        };
        if used == Use::AtRest {
            refresh::recover(target, 1, &Alone, &Silent)?;
        }
        let plan = refresh::plan(target, options, &Silent)?;
        if !plan.is_needed() {
            return Ok(());
        }
        refresh::refresh(plan.ready()?, &Alone, &Silent).map(drop)
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
        if let Some(capacity) = self.capacity {
            folder.set_capacity(capacity);
        }
        let first = std::mem::replace(&mut *self.first.lock().unwrap(), false);
        let run = || match self.what {
            What::TidyAfterwards | What::Running if !first => self.tidy(folder),
            What::Running => {
                self.refresh(folder, Use::Running)?;
                self.tidy(folder)
            }
            _ => self.refresh(folder, Use::AtRest),
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
        if folder.open(NOTE).is_ok() || list.total() < Bytes(2 << 20).sectors() {
            return Err(format!("the overlay is {} sectors long", list.total()));
        }
        match (self.what, list.state()) {
            (What::TidyAfterwards | What::Running, _) | (_, OverlayState::Empty) => Ok(()),
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

#[test]
fn a_refresh_of_the_running_stick() {
    for rules in [Rules::Fat, Rules::Ext4] {
        let small = Small::new(rules, 8 << 20);
        cut("running", &small, &Whole::new(What::Running, false));
    }
}

/// A small stick without room for two images: less than the new one takes, and more than it takes beside what
/// the overlay can lend. And what its device holds.
fn brimful() -> (Small, Bytes) {
    let small = Small::new(Rules::Ext4, 700 << 10);
    // All of the overlay's room is set aside, as livecd-tools do it.
    let store = small.folder.open_writable(OVERLAY).unwrap();
    let list = ExceptionStore::read(&store, None).unwrap();
    let used = list.figures().used.bytes().unwrap().0;
    let rest = (store.size().unwrap().0 - used) as usize;
    store.write_at(&vec![0x5a; rest], used).unwrap();
    small.folder.sync().unwrap();
    small.folder.record();
    let image = small.folder.read(IMAGE).unwrap().len() as u64;
    (small, Bytes(image + (3 << 20) + (700 << 10)))
}

fn options(reserve: Bytes) -> Options {
    Options {
        compression: None,
        keep_deleted: false,
        used: Use::AtRest,
        reserve,
        threads: 1,
    }
}

/// The overlay's unused end makes room: whatever is cut, it is given back.
#[test]
fn a_refresh_with_borrowed_room() {
    let (small, capacity) = brimful();
    let operation = Whole {
        capacity: Some(capacity),
        ..Whole::new(What::Borrowing, false)
    };
    let target = Target {
        folder: &small.folder,
        overlay: OVERLAY,
    };
    let mode = |reserve| {
        let plan = refresh::plan(target, options(reserve), &Silent).unwrap();
        (plan.space.mode, plan.obstacle().is_some())
    };
    assert_eq!(mode(RESERVE), (SpaceMode::ShortenedOverlay, false));
    // With more of it kept there is no way, but to replace the old image with consent.
    assert_eq!(mode(Bytes(2 << 20)), (SpaceMode::Scratch, true));
    let tried = cut("borrowed", &small, &operation);
    let plain = 18;
    assert!(tried.calls > plain && tried.states > 60, "{tried:?}");
}

/// The journal is gone since the room was lent: a cut could lose an overlay that grows. It stays noted.
#[test]
fn nothing_is_given_back_without_a_journal() {
    struct NoJournal;

    impl Guard for NoJournal {
        fn still_ours(&self) -> Result<()> {
            Ok(())
        }

        fn lets_files_grow(&self) -> Result<()> {
            Err(Error::NoJournal)
        }
    }

    let (small, capacity) = brimful();
    small.folder.set_capacity(capacity);
    let target = Target {
        folder: &small.folder,
        overlay: OVERLAY,
    };
    let overlay = || small.folder.open(OVERLAY).unwrap().size().unwrap();
    let before = overlay();
    let plan = refresh::plan(target, options(RESERVE), &Silent).unwrap();
    refresh::refresh(plan.ready().unwrap(), &NoJournal, &Silent).unwrap();
    let lent = overlay();
    assert!(lent < before);
    refresh::recover(target, 1, &NoJournal, &Silent).unwrap();
    tidy::stick(target, &NoJournal, &Silent).unwrap();
    assert_eq!(overlay(), lent);
    assert!(small.folder.open(NOTE).is_ok());

    refresh::recover(target, 1, &Alone, &Silent).unwrap();
    assert_eq!(overlay(), before);
    assert!(small.folder.open(NOTE).is_err());
}

/// FAT's lengths and clusters lie apart: nothing is borrowed there.
#[test]
fn nothing_is_borrowed_on_fat() {
    let small = Small::new(Rules::Fat, 700 << 10);
    let refused = Whole::new(What::Borrowing, false).run(&small.folder);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NoSpace);
    assert!(small.folder.open(NOTE).is_err());
}

/// Where the header says whether the store is valid.
const VALID: u64 = 4;

/// The kernel gave the overlay up. Wherever it is cut, that is so still, or it is taken up; all that
/// is listed is there, and the next run ends well.
#[test]
fn a_refresh_of_what_the_kernel_gave_up() {
    for rules in [Rules::Fat, Rules::Ext4] {
        let small = Small::new(rules, 8 << 20);
        let mark = |folder: &FaultFolder, valid: u8| {
            let store = folder.open_writable(OVERLAY).unwrap();
            store.write_at(&[valid, 0, 0, 0], VALID).unwrap();
            store.sync().unwrap();
        };
        mark(&small.folder, 0);
        small.folder.record();
        let operation = Whole::new(What::Refresh, false);
        let whole = small.folder.copy();
        operation.run(&whole).unwrap();
        operation.check_done(&whole, &small.learner).unwrap();
        let (mut given_up, mut states) = (0, 0);
        for cut in whole.trace().cuts() {
            for seed in 0..3 {
                let found = cut.crash(seed);
                let looked_at = found.copy();
                given_up += u32::from(looked_at.read(OVERLAY).unwrap()[VALID as usize] == 0);
                mark(&looked_at, 1);
                let (image, overlay) = operation.boot(&looked_at).unwrap();
                let store = looked_at.open_writable(&overlay).unwrap();
                small.learner.find_all(&store, &image).unwrap();
                operation.run(&found).unwrap();
                operation.check_done(&found, &small.learner).unwrap();
                states += 1;
            }
        }
        eprintln!("{states} states, given up in {given_up}");
        assert!(given_up > 0 && given_up < states);
    }
}

/// Each call fails once: nothing is lost, the message is no lie, the next run ends well, and loses nothing
/// wherever it is cut: after a sync that failed, memory and device differ.
#[test]
fn failing_calls_lose_nothing() {
    for rules in [Rules::Ext4, Rules::Fat] {
        fail_everywhere(&Small::new(rules, 8 << 20));
    }
}

fn fail_everywhere(small: &Small) {
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
            has_all(&folder.copy());
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
            folder.record();
            operation.run(&folder).unwrap();
            has_all(&folder);
            operation.check_done(&folder, &small.learner).unwrap();
            operation
                .check_done(&folder.copy(), &small.learner)
                .unwrap();
            for cut in folder.trace().cuts() {
                for seed in 0..3 {
                    has_all(&cut.crash(seed));
                }
            }
        }
    }
}

/// A stick that is full says so before anything is written.
#[test]
fn too_little_room_is_told_and_nothing_written() {
    let small = Small::new(Rules::Fat, 100 << 10);
    small.folder.record();
    let refused = Whole::new(What::Refresh, false).run(&small.folder);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NoSpace);
    for cut in small.folder.trace().cuts().skip(1) {
        assert!(cut.last().starts_with("sync"), "{}", cut.last());
    }
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
            used: Use::AtRest,
            reserve: refresh::RESERVE,
            threads: 1,
        };
        let plan = refresh::plan(target, options, &Silent).unwrap();
        let result = refresh::refresh(plan.ready().unwrap(), &Alone, &flip);
        match result {
            Ok(_) => {}
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
