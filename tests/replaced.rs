//! The old image is replaced by way of a scratch folder, on a stick that holds only one: cut at every
//! call of either, stick and scratch folder together hold everything, and the next run ends well.

#![allow(clippy::unwrap_used)]

mod model;

use model::alone::Alone;
use model::learner::Learner;
use model::small::{OVERLAY, Small};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use sugar_cellar::error::{Error, ErrorKind, Part, Result};
use sugar_cellar::overlay::ExceptionStore;
use sugar_cellar::progress::{Progress, Silent};
use sugar_cellar::protocol::{OverlayState, SpaceMode, Stage};
use sugar_cellar::refresh::{self, Options, Plan, SECOND};
use sugar_cellar::sources::{IMAGE, Target, Use};
use sugar_cellar::squash::{Compression, Image};
use sugar_cellar::stick::layout::NOTE;
use sugar_cellar::stick::note::{self, Found, Note};
use sugar_cellar::storage::fault::{Cut, FaultFolder, Random, Rules};
use sugar_cellar::storage::{Folder, ReadAt, Storage};
use sugar_cellar::units::Bytes;

type Told<T> = std::result::Result<T, String>;

/// States tried of a cut that leaves something undecided.
const SEEDS: u64 = 12;

/// A stick that holds one image, and what is tried with it.
struct Scene {
    stick: FaultFolder,
    learner: Learner,
    capacity: Bytes,
    keep_deleted: bool,
    compression: Option<Compression>,
    decoded: Mutex<BTreeMap<Vec<u8>, Arc<Vec<u8>>>>,
}

/// A stick and a scratch folder, as they are found.
struct Pair {
    stick: FaultFolder,
    scratch: FaultFolder,
}

impl Pair {
    fn copy(&self) -> Pair {
        let pair = Pair {
            stick: self.stick.copy(),
            scratch: self.scratch.copy(),
        };
        pair.scratch.keep_time_with(&pair.stick);
        pair
    }

    fn without_scratch(&self) -> Pair {
        Pair {
            stick: self.stick.copy(),
            scratch: FaultFolder::new(Rules::Ext4),
        }
    }
}

fn target(folder: &FaultFolder) -> Target<'_, FaultFolder> {
    Target {
        folder,
        overlay: OVERLAY,
    }
}

impl Scene {
    fn new(rules: Rules) -> Scene {
        let small = Small::new(rules, 8 << 20);
        // All of the overlay's room is set aside, as livecd-tools do it.
        let store = small.folder.open_writable(OVERLAY).unwrap();
        let list = ExceptionStore::read(&store, None).unwrap();
        let used = list.figures().used.bytes().unwrap().0;
        let length = store.size().unwrap().0;
        let rest = vec![0x5a; (length - used) as usize];
        store.write_at(&rest, used).unwrap();
        small.folder.sync().unwrap();
        Scene {
            stick: small.folder,
            learner: small.learner,
            capacity: Bytes(1 << 40),
            keep_deleted: false,
            compression: None,
            decoded: Mutex::default(),
        }
        .crowded()
    }

    /// The new image is larger than the old one.
    fn larger(rules: Rules) -> Scene {
        let scene = Scene {
            compression: Some(Compression::Lz4),
            keep_deleted: true,
            ..Scene::new(rules)
        };
        scene.crowded()
    }

    /// With a little less room than a second image takes.
    fn crowded(mut self) -> Scene {
        let stick = self.stick.copy();
        self.capacity = Bytes(1 << 40);
        let plan = self.plan(&stick).unwrap();
        let used = self.capacity.0 - stick.free().unwrap().0;
        self.capacity = Bytes(used + plan.space.needed_bytes.0 - 4096);
        self
    }

    fn pair(&self) -> Pair {
        let pair = Pair {
            stick: self.stick.copy(),
            scratch: FaultFolder::new(Rules::Ext4),
        };
        pair.copy()
    }

    fn plan<'f>(&self, stick: &'f FaultFolder) -> Result<Plan<'f, FaultFolder>> {
        stick.set_capacity(self.capacity);
        let options = Options {
            compression: self.compression,
            keep_deleted: self.keep_deleted,
            used: Use::AtRest,
            reserve: refresh::RESERVE,
            threads: 1,
        };
        refresh::plan(target(stick), options, &Silent)
    }

    fn run(&self, pair: &Pair) -> Result<()> {
        self.run_watched(pair, &Silent)
    }

    fn run_watched(&self, pair: &Pair, progress: &dyn Progress) -> Result<()> {
        pair.stick.set_capacity(self.capacity);
        refresh::complete(&pair.stick, &pair.scratch, 1, &Alone, progress)?;
        refresh::recover(target(&pair.stick), 1, &Alone, progress)?;
        let plan = self.plan(&pair.stick)?;
        if !plan.is_needed() {
            return Ok(());
        }
        let ready = plan.replacing(&pair.scratch)?.ready()?;
        refresh::refresh(ready, &Alone, progress).map(drop)
    }

    /// The file `name` in `folder` as an image, decompressed.
    fn decode(&self, folder: &FaultFolder, name: &str) -> Told<Arc<Vec<u8>>> {
        let bytes = folder.read(name).map_err(|error| error.to_string())?;
        let mut known = self.decoded.lock().unwrap();
        if let Some(known) = known.get(&bytes) {
            return Ok(Arc::clone(known));
        }
        let image = Image::open(Arc::new(bytes.clone())).map_err(|error| error.to_string())?;
        let mut inner = vec![0; image.inner_bytes().0 as usize];
        let read = image.reader(4).read_at(&mut inner, 0);
        read.map_err(|error| error.to_string())?;
        let inner = Arc::new(inner);
        known.insert(bytes, Arc::clone(&inner));
        Ok(inner)
    }

    /// What was left holds everything; whether it starts.
    fn holds_all(&self, pair: &Pair, learner: &mut Learner, seed: u64) -> Told<bool> {
        let store = pair.stick.open_writable(OVERLAY).unwrap();
        if !note::image_is_gone(&pair.stick).unwrap() {
            let image = self.decode(&pair.stick, IMAGE)?;
            learner.find_all(&store, &image)?;
            // Not always: the next run must also go on from the very state that the cut left.
            if !seed.is_multiple_of(2) {
                let saved = learner.save(&store, &image, 6, &mut Random::new(seed));
                saved.map_err(|stop| format!("saving: {stop:?}"))?;
                learner.find_all(&store, &image)?;
                pair.stick.sync().unwrap();
            }
            return Ok(true);
        }
        if pair.stick.read(OVERLAY).unwrap() != self.stick.read(OVERLAY).unwrap() {
            return Err("the overlay changed while there is no image".into());
        }
        let Found::Note(Note::Replacing(note)) = note::read(&pair.stick).unwrap() else {
            return Err("neither image nor note".into());
        };
        let image = self.decode(&pair.scratch, &note.scratch)?;
        learner.find_all(&store, &image)?;
        Ok(false)
    }

    /// What cannot be completed is told, and nothing is touched.
    fn refuses(&self, pair: &Pair) -> Told<()> {
        let refused = |what: &str, result: Result<()>, pair: &Pair, kind| {
            let calls = (pair.stick.calls(), pair.scratch.calls());
            match result {
                Err(error) if error.kind() == kind && calls == (0, 0) => Ok(()),
                other => Err(format!("{what}: {other:?} after {calls:?} calls")),
            }
        };
        let alone = pair.without_scratch();
        refused("nowhere", self.run(&alone), &alone, ErrorKind::Interrupted)?;
        let recovered = refresh::recover(target(&alone.stick), 1, &Alone, &Silent).map(|_| ());
        refused("no folder", recovered, &alone, ErrorKind::Interrupted)?;
        let given = refresh::give_back(target(&alone.stick), &Alone).map(|_| ());
        refused("enlarged", given, &alone, ErrorKind::Interrupted)?;
        let name = pair.scratch.entries().unwrap()[0].name.clone();
        let bytes = pair.scratch.read(&name).unwrap();
        let mut rotten = bytes.clone();
        rotten[bytes.len() / 2] ^= 1;
        for wrong in [rotten, bytes[1..].to_vec()] {
            let pair = pair.copy();
            pair.scratch.put(&name, &wrong).unwrap();
            pair.scratch.record();
            refused("wrong", self.run(&pair), &pair, ErrorKind::Refused)?;
        }
        Ok(())
    }

    fn is_done(&self, pair: &Pair, learner: &Learner) -> Told<()> {
        let image = self.decode(&pair.stick, IMAGE)?;
        let store = pair.stick.open_writable(OVERLAY).unwrap();
        learner.find_all(&store, &image)?;
        for name in [NOTE, SECOND] {
            if pair.stick.open(name).is_ok() {
                return Err(format!("{name} is left"));
            }
        }
        let left = pair.scratch.entries().unwrap();
        if !left.is_empty() {
            return Err(format!("in the scratch folder is left: {left:?}"));
        }
        let list = ExceptionStore::read(&store, None).unwrap();
        if list.state() != OverlayState::Empty {
            return Err(format!("{list:?}"));
        }
        // Elsewhere: what was done here may still be cut.
        let store = pair.stick.copy().open_writable(OVERLAY).unwrap();
        let mut learner = learner.clone();
        let saved = learner.save(&store, &image, 6, &mut Random::new(1));
        saved.map_err(|stop| format!("saving: {stop:?}"))?;
        learner.find_all(&store, &image)
    }

    /// Runs it on what was left, to its end.
    fn end_well(&self, pair: &Pair, learner: &Learner) -> Told<()> {
        let ran = match self.run(pair) {
            // FAT's half-done exchange, where the second run had room for two: mended from outside.
            Err(Error::Damaged {
                part: Part::Disk, ..
            }) => {
                let image = pair.stick.read(IMAGE).unwrap();
                pair.stick.remove(SECOND).unwrap();
                pair.stick.put(IMAGE, &image).unwrap();
                pair.stick.record();
                self.run(pair)
            }
            other => other,
        };
        ran.map_err(|error| format!("the next run: {error}"))?;
        self.is_done(pair, learner)
    }

    /// All that is asked of what a cut left. `again`: cut the next run, too.
    fn live_on(&self, pair: &Pair, seed: u64, again: bool) -> Told<bool> {
        let mut learner = self.learner.clone();
        let starts = self.holds_all(pair, &mut learner, seed)?;
        match starts {
            // The scratch folder may be lost then.
            true => self.end_well(&pair.without_scratch(), &learner)?,
            false => self.refuses(pair)?,
        }
        let next = pair.copy();
        self.end_well(&next, &learner)?;
        if again {
            let instants = Instants::of(&next);
            let time = Random::new(seed).below(instants.end as u64 + 1) as usize;
            let found = instants.crash(time, seed);
            let mut learner = learner.clone();
            let check = |learner: &mut Learner| -> Told<()> {
                self.holds_all_of(&found, learner)?;
                self.end_well(&found, learner)
            };
            check(&mut learner).map_err(|what| format!("cut again at {time}: {what}"))?;
        }
        Ok(starts)
    }

    /// As [`Scene::holds_all`], of a second cut, where the overlay was written to since.
    fn holds_all_of(&self, pair: &Pair, learner: &mut Learner) -> Told<()> {
        let store = pair.stick.open_writable(OVERLAY).unwrap();
        let image = match note::image_is_gone(&pair.stick).unwrap() {
            false => self.decode(&pair.stick, IMAGE)?,
            true => {
                let Found::Note(Note::Replacing(note)) = note::read(&pair.stick).unwrap() else {
                    return Err("neither image nor note".into());
                };
                self.decode(&pair.scratch, &note.scratch)?
            }
        };
        learner.find_all(&store, &image)
    }
}

/// All instants of a run, of both folders.
struct Instants {
    stick: Vec<Cut>,
    scratch: Vec<Cut>,
    places: Vec<(usize, usize)>,
    end: usize,
}

impl Instants {
    fn of(pair: &Pair) -> Instants {
        let (stick, scratch) = (pair.stick.trace(), pair.scratch.trace());
        let end = stick.end().max(scratch.end());
        let place = |time| (stick.until(time), scratch.until(time));
        Instants {
            stick: stick.cuts().collect(),
            scratch: scratch.cuts().collect(),
            places: (0..=end).map(place).collect(),
            end,
        }
    }

    fn at(&self, time: usize) -> (&Cut, &Cut) {
        let (stick, scratch) = self.places[time];
        (&self.stick[stick], &self.scratch[scratch])
    }

    /// What is left at the first instant, from `from` on, at which the image is gone, or is not; and when.
    fn first(&self, from: usize, gone: bool) -> (Pair, usize) {
        let so = |time| {
            let found = self.crash(time, 1);
            (note::image_is_gone(&found.stick).unwrap() == gone).then_some((found, time))
        };
        (from..=self.end).find_map(so).unwrap()
    }

    fn crash(&self, time: usize, seed: u64) -> Pair {
        let (stick, scratch) = self.at(time);
        let pair = Pair {
            stick: stick.crash(seed % 4),
            scratch: scratch.crash(seed / 4),
        };
        if seed % 4 > 1 {
            return Pair {
                stick: stick.crash(seed),
                ..pair
            };
        }
        pair
    }
}

/// Cuts it at every call of either folder.
fn cut_everywhere(name: &str, scene: &Scene) {
    let whole = scene.pair();
    scene.run(&whole).unwrap();
    scene.is_done(&whole, &scene.learner).unwrap();
    let instants = Instants::of(&whole);
    let (mut states, mut stopped) = (0u64, 0u64);
    for time in 0..=instants.end {
        let (stick, scratch) = instants.at(time);
        let settled = stick.is_settled() && scratch.is_settled();
        for seed in 0..if settled { 1 } else { SEEDS } {
            let found = instants.crash(time, seed);
            found.scratch.keep_time_with(&found.stick);
            let seed = seed + time as u64;
            let starts = scene.live_on(&found, seed, seed.is_multiple_of(3));
            let starts = starts.unwrap_or_else(|what| {
                panic!(
                    "{name}, cut after {time} calls ({}; {}), seed {seed}: {what}",
                    stick.last(),
                    scratch.last()
                )
            });
            states += 1;
            stopped += u64::from(!starts);
        }
    }
    eprintln!(
        "{name}: {} calls, {states} states, in {stopped} of them it does not start",
        instants.end
    );
    assert!(stopped > 5 && stopped < states);
}

#[test]
fn a_replacement_on_ext4() {
    cut_everywhere("ext4", &Scene::new(Rules::Ext4));
}

#[test]
fn a_replacement_on_fat() {
    cut_everywhere("FAT", &Scene::new(Rules::Fat));
}

/// The new image is larger: room for all of it is there before the old one is touched.
#[test]
fn a_replacement_by_a_larger_one() {
    for rules in [Rules::Ext4, Rules::Fat] {
        let scene = Scene::larger(rules);
        let before = scene.stick.read(IMAGE).unwrap().len();
        let whole = scene.pair();
        scene.run(&whole).unwrap();
        let after = whole.stick.read(IMAGE).unwrap().len();
        assert!(after > before + 100_000, "{after} of {before}");
        cut_everywhere("larger", &scene);
    }
}

/// Either is pulled out at any call, and the program lives on for a while.
#[test]
fn either_is_pulled_out() {
    let scene = Scene::new(Rules::Fat);
    let whole = scene.pair();
    scene.run(&whole).unwrap();
    let (mut states, mut stopped) = (0, 0);
    for (of_stick, calls) in [(true, whole.stick.calls()), (false, whole.scratch.calls())] {
        for call in 0..calls {
            let pair = scene.pair();
            let pulled = if of_stick { &pair.stick } else { &pair.scratch };
            pulled.fail_from(call, io::ErrorKind::Other);
            let failed = scene.run(&pair);
            assert!(failed.is_err(), "call {call}");
            for seed in 0..4 {
                let last = |folder: &FaultFolder| {
                    let crashed = folder.trace().cuts().last().unwrap().crash(seed);
                    crashed.record();
                    crashed
                };
                let found = match of_stick {
                    true => Pair {
                        stick: last(&pair.stick),
                        scratch: pair.scratch.copy(),
                    },
                    false => Pair {
                        stick: pair.stick.copy(),
                        scratch: last(&pair.scratch),
                    },
                };
                let starts = scene.live_on(&found, seed, false).unwrap_or_else(|what| {
                    panic!("stick {of_stick}, call {call}, seed {seed}: {what} after {failed:?}")
                });
                states += 1;
                stopped += u32::from(!starts);
            }
        }
    }
    eprintln!("{states} states, in {stopped} of them it does not start");
    assert!(stopped > 0);
}

/// Each call fails once: the message is no lie, and the next run ends well.
#[test]
fn failing_calls_lose_nothing() {
    let scene = Scene::larger(Rules::Ext4);
    let whole = scene.pair();
    scene.run(&whole).unwrap();
    for (of_stick, calls) in [(true, whole.stick.calls()), (false, whole.scratch.calls())] {
        for call in 0..calls {
            for error in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
                let pair = scene.pair();
                let failing = if of_stick { &pair.stick } else { &pair.scratch };
                failing.fail_call(call, error);
                let failed = scene.run(&pair);
                let at = format!("stick {of_stick}, call {call}: {failed:?}");
                match failed {
                    Err(Error::Replacing { .. } | Error::Undo { .. }) => {}
                    Ok(()) | Err(Error::Unfinished(_)) => {
                        assert!(!note::image_is_gone(&pair.stick).unwrap(), "{at}");
                    }
                    Err(_) => {
                        let entries = pair.stick.entries().unwrap();
                        assert_eq!(entries.len(), 2, "{at}");
                        for entry in entries {
                            let name = entry.name;
                            let before = scene.stick.read(&name).unwrap();
                            assert!(pair.stick.read(&name).unwrap() == before, "{at}: {name}");
                        }
                        assert!(pair.scratch.entries().unwrap().is_empty(), "{at}");
                    }
                }
                scene
                    .end_well(&pair, &scene.learner)
                    .unwrap_or_else(|what| {
                        panic!("{at}, then: {what}");
                    });
            }
        }
    }
}

/// Only with consent, only where nothing else does, only with room for it.
#[test]
fn nobody_is_surprised() {
    let scene = Scene::new(Rules::Fat);
    let pair = scene.pair();
    let plan = scene.plan(&pair.stick).unwrap();
    assert_eq!(plan.space.mode, SpaceMode::Scratch);
    assert_eq!(plan.space.scratch_bytes, Some(plan.space.needed_bytes));
    assert!(matches!(plan.ready(), Err(Error::OnlyReplacing { .. })));
    pair.scratch.set_capacity(Bytes(100 << 10));
    let plan = scene.plan(&pair.stick).unwrap();
    let refused = plan.replacing(&pair.scratch).unwrap().ready().unwrap_err();
    assert!(matches!(
        refused,
        Error::NoSpace {
            part: Part::Scratch,
            ..
        }
    ));
    assert_eq!((pair.stick.calls(), pair.scratch.calls()), (0, 0));

    // There is room for two: the scratch folder is left alone.
    let mut roomy = scene;
    roomy.capacity.0 += 8 << 20;
    let pair = roomy.pair();
    assert_eq!(
        roomy.plan(&pair.stick).unwrap().space.mode,
        SpaceMode::Beside
    );
    roomy.run(&pair).unwrap();
    assert_eq!(pair.scratch.calls(), 0);

    // There is too little even for one.
    let mut tight = roomy;
    tight.capacity.0 -= (8 << 20) + tight.stick.read(IMAGE).unwrap().len() as u64;
    let plan = tight.plan(&tight.stick).unwrap();
    assert_eq!(plan.space.mode, SpaceMode::None);
}

/// Cancelled at any step before the old image is touched, all is as it was; afterwards it is completed.
#[test]
fn it_is_cancelled_or_completed() {
    struct After(Mutex<u32>, Mutex<Option<Stage>>);
    impl Progress for After {
        fn step(&self, stage: Stage, _: u64, _: u64) {
            *self.1.lock().unwrap() = Some(stage);
        }
        fn cancelled(&self) -> bool {
            let mut left = self.0.lock().unwrap();
            *left = left.saturating_sub(1);
            *left == 0
        }
    }
    let scene = Scene::new(Rules::Ext4);
    let mut stages = Vec::new();
    for turns in 1.. {
        let pair = scene.pair();
        let after = After(Mutex::new(turns), Mutex::new(None));
        match scene.run_watched(&pair, &after) {
            Err(Error::Cancelled) => {
                let stage = *after.1.lock().unwrap();
                stages.extend(stage.filter(|stage| stages.last() != Some(stage)));
                assert_eq!(pair.stick.entries().unwrap().len(), 2);
                for name in [IMAGE, OVERLAY] {
                    let before = scene.stick.read(name).unwrap();
                    assert!(pair.stick.read(name).unwrap() == before);
                }
                assert!(pair.scratch.entries().unwrap().is_empty());
            }
            other => {
                other.unwrap();
                scene.is_done(&pair, &scene.learner).unwrap();
                break;
            }
        }
    }
    assert!(
        stages.contains(&Stage::Verify) && stages.contains(&Stage::Commit),
        "{stages:?}"
    );
}

/// Somebody copies the scratch file to the stick by hand, and is cut: the file is not taken for needless.
#[test]
fn a_copy_by_hand_that_was_cut() {
    let scene = Scene::new(Rules::Ext4);
    let whole = scene.pair();
    scene.run(&whole).unwrap();
    let instants = Instants::of(&whole);
    let (found, _) = instants.first(0, true);
    let name = found.scratch.entries().unwrap()[0].name.clone();
    let mut begun = found.scratch.read(&name).unwrap();
    let length = begun.len();
    begun[length / 3..].fill(0x33);
    found.stick.put(IMAGE, &begun).unwrap();
    scene.end_well(&found, &scene.learner).unwrap();
}

/// A run that was killed leaves the last sector in memory, where the next one finds it: the scratch file
/// and the note go only when it is on the device.
#[test]
fn what_only_memory_has_is_made_durable_first() {
    let scene = Scene::new(Rules::Fat);
    let whole = scene.pair();
    scene.run(&whole).unwrap();
    let instants = Instants::of(&whole);
    let (_, gone) = instants.first(0, true);
    let (found, _) = instants.first(gone, false);
    let files = found.scratch.entries().unwrap().len();
    assert_eq!(files, 1);
    found.stick.record();
    found.stick.fail_from(0, io::ErrorKind::Other);
    let complete = refresh::complete(&found.stick, &found.scratch, 1, &Alone, &Silent);
    assert!(complete.is_err());
    assert_eq!(found.scratch.entries().unwrap().len(), files);
    found.stick.record();
    found.stick.fail_call(0, io::ErrorKind::Other);
    assert!(refresh::give_back(target(&found.stick), &Alone).is_err());
    found.stick.record();
    refresh::give_back(target(&found.stick), &Alone).unwrap();
    // The image before the note.
    let first = found.stick.trace().cuts().nth(1).unwrap();
    assert!(first.last().contains("sync"), "{}", first.last());
}

/// Somebody puts another whole image there by hand: what earlier refreshes took up may be in the scratch
/// file alone, which is kept.
#[test]
fn another_image_put_there_by_hand() {
    let scene = Scene::new(Rules::Fat);
    let whole = scene.pair();
    scene.run(&whole).unwrap();
    let instants = Instants::of(&whole);
    let (found, _) = instants.first(0, true);
    let name = found.scratch.entries().unwrap()[0].name.clone();
    let kept = found.scratch.read(&name).unwrap();
    // The same system, made at another time.
    let mut another = scene.stick.read(IMAGE).unwrap();
    another[8] ^= 1;
    found.stick.put(IMAGE, &another).unwrap();
    found.stick.record();
    let refused = scene.run(&found).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");
    assert_eq!((found.stick.calls(), found.scratch.calls()), (0, 0));
    assert!(found.scratch.read(&name).unwrap() == kept);
    // Whoever means it names no scratch folder.
    refresh::recover(target(&found.stick), 1, &Alone, &Silent).unwrap();
    assert!(found.stick.open(NOTE).is_err());
}

/// The image is gone before anything of a new one was whole: no scratch file stands for it.
#[test]
fn nothing_is_promised_that_is_not_there() {
    let scene = Scene::new(Rules::Ext4);
    let pair = scene.pair();
    let name = note::scratch_name(7);
    note::create(&pair.stick, &Note::replacing(&name, None)).unwrap();
    pair.scratch.put(&name, b"begun").unwrap();
    pair.stick.remove(IMAGE).unwrap();
    let failed = scene.run(&pair).unwrap_err();
    assert_ne!(failed.kind(), ErrorKind::Interrupted, "{failed}");
    assert!(pair.scratch.read(&name).is_ok());
}

/// A store that the kernel gave up is taken up only once the new image is in place.
#[test]
fn what_the_kernel_gave_up() {
    let scene = Scene::new(Rules::Ext4);
    let valid = |folder: &FaultFolder, valid: u8| {
        let store = folder.open_writable(OVERLAY).unwrap();
        store.write_at(&[valid, 0, 0, 0], 4).unwrap();
        store.sync().unwrap();
    };
    valid(&scene.stick, 0);
    let whole = scene.pair();
    scene.run(&whole).unwrap();
    scene.is_done(&whole, &scene.learner).unwrap();
    let instants = Instants::of(&whole);
    for time in 0..=instants.end {
        let found = instants.crash(time, 0);
        let untouched = found.stick.read(OVERLAY).unwrap() == scene.stick.read(OVERLAY).unwrap();
        assert!(untouched || !note::image_is_gone(&found.stick).unwrap());
        let ended = scene.end_well(&found, &scene.learner);
        ended.unwrap_or_else(|what| panic!("cut after {time} calls: {what}"));
    }
}

/// A bit flipped on either device is found: before the old image is touched where it is the scratch
/// folder's, and in any case before the stick starts.
#[test]
fn what_rots_is_found() {
    struct Rot<'a>(&'a Pair, bool, u64, Mutex<bool>);
    impl Progress for Rot<'_> {
        fn step(&self, stage: Stage, done: u64, total: u64) {
            let Rot(pair, of_stick, place, over) = self;
            // Past the copying, before all is read back; or before the last look at the scratch file.
            let begun = match of_stick {
                true => stage == Stage::Commit && done > total / 3 * 2,
                false => stage == Stage::Verify,
            };
            if !begun || std::mem::replace(&mut *over.lock().unwrap(), true) {
                return;
            }
            let (folder, name) = match of_stick {
                true => (&pair.stick, IMAGE.to_owned()),
                false => (
                    &pair.scratch,
                    pair.scratch.entries().unwrap()[0].name.clone(),
                ),
            };
            let size = folder.open(&name).unwrap().size().unwrap().0;
            folder
                .flip(&name, 512 + (size - 512) * place / 20, 4)
                .unwrap();
        }
        fn cancelled(&self) -> bool {
            false
        }
    }
    let scene = Scene::new(Rules::Ext4);
    for place in 0..20 {
        let pair = scene.pair();
        let rot = Rot(&pair, false, place, Mutex::new(false));
        let error = scene.run_watched(&pair, &rot).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Refused),
            "{error}"
        );
        assert!(pair.stick.read(IMAGE).unwrap() == scene.stick.read(IMAGE).unwrap());
        assert!(pair.scratch.entries().unwrap().is_empty());
    }
    let mut found = 0;
    for place in 0..20 {
        let pair = scene.pair();
        let rot = Rot(&pair, true, place, Mutex::new(false));
        // What is read already when it rots is not met.
        if let Err(error) = scene.run_watched(&pair, &rot) {
            assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
            assert!(note::image_is_gone(&pair.stick).unwrap());
            scene.end_well(&pair, &scene.learner).unwrap();
            found += 1;
        }
    }
    assert!(found > 2, "{found}");
}
