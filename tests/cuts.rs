//! Every move of the overlay is cut at every call: what is left boots, everything is on it,
//! more can be saved to it, and the move can be made again.

#![allow(clippy::unwrap_used)]

mod model;

use model::cuts::{Depth, Operation, Tried, cut_everywhere};
use model::encode::{Store, data_chunks};
use model::kernel::Kernel;
use model::learner::Learner;
use std::collections::BTreeSet;
use std::sync::Arc;
use sugar_cellar::error::{Error, Result};
use sugar_cellar::overlay::moves::{Keep, drop_chunks, shift};
use sugar_cellar::overlay::size::{grow, shorten};
use sugar_cellar::overlay::{Exception, ExceptionStore};
use sugar_cellar::progress::{Progress, Silent};
use sugar_cellar::protocol::Stage;
use sugar_cellar::storage::fault::{FaultFile, FaultFolder, Random, Rules};
use sugar_cellar::storage::{Folder, ReadAt};
use sugar_cellar::tidy::tidy;
use sugar_cellar::units::{Bytes, Chunks, Sectors};

const OVERLAY: &str = "overlay";

/// How the exceptions lie in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// As the kernel grants chunks.
    Orderly,
    /// As after many shifts and drops: anywhere.
    Scattered,
    /// The highest chunk stands first in the list.
    Reversed,
    /// Scattered, and some entries are listed more than once, as after a cut drop.
    Repeated,
    /// All in front, as after a shift, listed in any order; the highest ones are those to drop.
    Packed,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    chunk_sectors: u32,
    /// The store's length.
    chunks: usize,
    shape: Shape,
    /// Exceptions.
    listed: usize,
    /// Of these, so many differ from the image.
    kept: usize,
    seed: u64,
}

/// A stick's overlay, an image that lies still, and what is done to them.
struct Moves {
    image: Arc<Vec<u8>>,
    chunk_bytes: usize,
    /// Chunks that ext4 says are free; the learner may begin to use them.
    free: BTreeSet<u64>,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Drop,
    Shift,
    Tidy,
    Grow(u64),
    Shorten(u64),
    /// What a refresh with little room does: shorten, then drop, then grow back.
    Borrow(u64),
}

impl Moves {
    fn open(&self, folder: &FaultFolder) -> Result<(FaultFile, ExceptionStore)> {
        let store = folder.open_writable(OVERLAY).unwrap();
        let list = ExceptionStore::read(&store, Some(Bytes(self.image.len() as u64)))?;
        Ok((store, list))
    }

    /// Whether a chunk's copy is what the image holds there.
    fn equal(&self, store: &FaultFile, exception: Exception) -> bool {
        let start = exception.old.0 as usize * self.chunk_bytes;
        let image = &self.image[start..self.image.len().min(start + self.chunk_bytes)];
        let mut copy = vec![0; image.len()];
        let place = exception.new.0 * self.chunk_bytes as u64;
        store.read_at(&mut copy, place).unwrap();
        copy == image
    }

    fn superfluous(&self, store: &FaultFile, exception: Exception) -> bool {
        self.free.contains(&exception.old.0) || self.equal(store, exception)
    }

    fn drop(&self, store: &FaultFile, list: ExceptionStore) -> Result<ExceptionStore> {
        let keep = |exception| Ok(!self.superfluous(store, exception));
        drop_chunks(store, &Keep::choose(list, keep, &Silent)?)
    }
}

impl Operation for Moves {
    fn boot(&self, _: &FaultFolder) -> std::result::Result<(Arc<Vec<u8>>, String), String> {
        Ok((Arc::clone(&self.image), OVERLAY.to_owned()))
    }

    fn run(&self, folder: &FaultFolder) -> Result<()> {
        let (store, list) = self.open(folder)?;
        match self.what {
            What::Drop => {
                self.drop(&store, list)?;
            }
            What::Shift => {
                shift(&store, &list, &Silent)?;
            }
            What::Tidy => {
                let superfluous = |exception| Ok(self.superfluous(&store, exception));
                tidy(&store, list, superfluous, || Ok(()), &Silent)?;
            }
            What::Grow(chunks) => {
                grow(&store, &list, Bytes(chunks * self.chunk_bytes as u64))?;
            }
            What::Shorten(reserve) => {
                shorten(&store, &list, Bytes(reserve * self.chunk_bytes as u64))?;
            }
            What::Borrow(chunks) => {
                shorten(&store, &list, Bytes(20 * self.chunk_bytes as u64))?;
                let (store, list) = self.open(folder)?;
                self.drop(&store, list)?;
                let (store, list) = self.open(folder)?;
                grow(&store, &list, Bytes(chunks * self.chunk_bytes as u64))?;
            }
        }
        Ok(())
    }

    fn check_done(&self, folder: &FaultFolder, _: &Learner) -> std::result::Result<(), String> {
        let (store, list) = self.open(folder).map_err(|error| error.to_string())?;
        let ensure = |holds: bool, what: &str| match holds {
            true => Ok(()),
            false => Err(format!("{what}: {list:?}")),
        };
        let figures = list.figures();
        let kernel = Kernel::open(&store, &self.image).map_err(|stop| format!("{stop:?}"))?;
        let told = (figures.used.0, figures.total.0, figures.metadata.0);
        ensure(kernel.status() == told, "not the kernel's figures")?;
        let drops = matches!(self.what, What::Drop | What::Tidy | What::Borrow(_));
        if drops {
            let left = list.iter().filter(|&e| self.superfluous(&store, e)).count();
            // One may stay for the sake of the list's length: see moves.rs.
            ensure(left <= 1, "superfluous chunks are left")?;
        }
        if drops || self.what == What::Shift {
            ensure(list.listed() == list.len() as u64, "repeats are left")?;
        }
        if matches!(self.what, What::Shift | What::Tidy) {
            let per_area = list.layout().per_area();
            let count = list.len() as u64;
            let orderly = (2 + count + count / per_area) * figures.chunk.sectors().0;
            ensure(figures.used == Sectors(orderly), "not all at the front")?;
        }
        Ok(())
    }
}

/// Bytes that are no other chunk's.
fn content(chunk: usize, version: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(chunk as u64 * 1000 + version);
    let mut bytes = vec![0; length];
    for word in bytes.chunks_mut(64) {
        let number = random.next_number().to_le_bytes();
        let count = word.len().min(8);
        word[..count].copy_from_slice(&number[..count]);
    }
    bytes
}

fn shuffle<T>(items: &mut [T], random: &mut Random) {
    for last in (1..items.len()).rev() {
        items.swap(last, random.below(last as u64 + 1) as usize);
    }
}

impl Case {
    fn chunk_bytes(&self) -> usize {
        self.chunk_sectors as usize * 512
    }

    fn image_chunks(&self) -> u64 {
        // Fewer where they are large, for the sake of time.
        let more = if self.chunk_sectors > 64 { 6 } else { 40 };
        (self.listed + more) as u64
    }

    /// The image: more chunks than exceptions, and a bit that is no whole chunk.
    fn image(&self) -> Vec<u8> {
        let chunks = self.image_chunks() as usize;
        let mut image: Vec<u8> = (0..chunks)
            .flat_map(|chunk| content(chunk, 0, self.chunk_bytes()))
            .collect();
        image.truncate(image.len() - self.chunk_bytes() / 2);
        image
    }

    /// The entries in the list's order, before any repeats.
    fn entries(&self, random: &mut Random) -> Vec<(u64, u64)> {
        let mut olds: Vec<u64> = (0..self.image_chunks()).collect();
        shuffle(&mut olds, random);
        let mut news = data_chunks(self.chunk_sectors, self.chunks);
        match self.shape {
            Shape::Orderly => {}
            Shape::Scattered | Shape::Repeated => shuffle(&mut news, random),
            Shape::Reversed => news.reverse(),
            Shape::Packed => {
                news.truncate(self.listed);
                shuffle(&mut news, random);
            }
        }
        olds.into_iter().zip(news).take(self.listed).collect()
    }

    /// The folder, what the learner has, and the image.
    fn build(&self, rules: Rules) -> (FaultFolder, Learner, Arc<Vec<u8>>) {
        let mut random = Random::new(self.seed);
        let image = self.image();
        let mut learner = Learner {
            content: image.clone(),
            chunk_bytes: self.chunk_bytes(),
            careless: BTreeSet::new(),
            places: None,
            may_lurk: false,
        };
        let mut entries = self.entries(&mut random);
        let mut store = Store::new(self.chunk_sectors, self.chunks);
        let mut changed: Vec<bool> = (0..self.listed).map(|i| i < self.kept).collect();
        shuffle(&mut changed, &mut random);
        if self.shape == Shape::Reversed && self.kept < self.listed {
            // The highest chunk is one to drop.
            let other = changed.iter().position(|changed| !changed).unwrap();
            changed.swap(0, other);
        }
        if self.shape == Shape::Packed {
            let bound = data_chunks(self.chunk_sectors, self.chunks)[self.kept];
            changed = entries.iter().map(|&(_, new)| new < bound).collect();
        }
        for (&(old, new), changed) in entries.iter().zip(changed) {
            let start = old as usize * self.chunk_bytes();
            let end = image.len().min(start + self.chunk_bytes());
            if changed {
                let bytes = content(old as usize, 1, end - start);
                learner.content[start..end].copy_from_slice(&bytes);
            }
            store.fill(new, &learner.content[start..end]);
        }
        if self.shape == Shape::Repeated {
            for _ in 0..self.listed / 3 {
                let repeat = entries[random.below(entries.len() as u64) as usize];
                let place = random.below(entries.len() as u64 + 1) as usize;
                entries.insert(place, repeat);
            }
        }
        for &(old, new) in &entries {
            store.push(old, new);
        }
        self.leave_stale_areas(&mut store, entries.len());
        let folder = FaultFolder::new(rules);
        folder.put(OVERLAY, &store.bytes).unwrap();
        (folder, learner, Arc::new(image))
    }

    /// An earlier life's areas lie behind the end, full of what would contradict the list.
    fn leave_stale_areas(&self, store: &mut Store, listed: usize) {
        let per_area = store.per_area();
        let next = (listed / per_area + 1) * per_area;
        for index in next.. {
            if store.entry_place(index) + 16 > store.bytes.len() {
                return;
            }
            store.set(index, (index % 7) as u64, 2 + (index % 11) as u64);
        }
    }

    fn cut(&self, what: What, depth: Depth) -> Tried {
        let mut tried = Tried::default();
        for rules in [Rules::Ext4, Rules::Fat] {
            let (folder, learner, image) = self.build(rules);
            let moves = Moves {
                image,
                chunk_bytes: self.chunk_bytes(),
                free: BTreeSet::new(),
                what,
            };
            let name = format!("{what:?} on {rules}, {self:?}");
            let one = cut_everywhere(&name, &folder, &learner, &moves, depth);
            tried.calls += one.calls;
            tried.states += one.states;
        }
        tried
    }
}

fn sum(tried: impl Iterator<Item = Tried>) -> Tried {
    tried.fold(Tried::default(), |sum, one| Tried {
        calls: sum.calls + one.calls,
        states: sum.states + one.states,
    })
}

/// Lists that end before, at and behind the borders of areas of 32 and of 64 entries.
fn borders(shape: Shape, every: usize) -> impl Iterator<Item = Case> {
    let sizes = [(1, 32), (2, 64), (4, 128)];
    let sizes = sizes.into_iter().flat_map(|(sectors, area)| {
        let listed = match sectors {
            4 => vec![area - 1, area + 7],
            _ => vec![1, area - 1, area, area + 1, 2 * area, 3 * area + 5],
        };
        let kept = move |n: usize| {
            let all = [
                0,
                1,
                31,
                32,
                33,
                area - 1,
                area,
                area + 1,
                2 * area,
                n - 1,
                n,
            ];
            all.into_iter()
                .filter(move |&k| k <= n)
                .collect::<BTreeSet<_>>()
        };
        listed
            .into_iter()
            .flat_map(move |n| kept(n).into_iter().map(move |k| (sectors, area, n, k)))
    });
    sizes
        .enumerate()
        .step_by(every)
        .map(move |(seed, (sectors, area, listed, kept))| Case {
            chunk_sectors: sectors,
            chunks: area * 5 + 30 + seed % 4,
            shape,
            listed,
            kept,
            seed: seed as u64,
        })
}

#[test]
fn drops_at_the_borders_of_areas() {
    for shape in [
        Shape::Orderly,
        Shape::Scattered,
        Shape::Reversed,
        Shape::Repeated,
    ] {
        let tried = sum(borders(shape, 1).map(|case| case.cut(What::Drop, Depth::default())));
        println!("{shape:?}: {tried:?}");
    }
}

#[test]
fn tidying_at_the_borders_of_areas() {
    let tried =
        sum(borders(Shape::Scattered, 3).map(|case| case.cut(What::Tidy, Depth::default())));
    println!("{tried:?}");
}

#[test]
fn shifts() {
    for shape in [
        Shape::Orderly,
        Shape::Scattered,
        Shape::Reversed,
        Shape::Repeated,
    ] {
        let cases =
            borders(shape, 1).filter(|case| case.kept == case.listed && case.listed != 2 * 64);
        let tried = sum(cases.map(|case| case.cut(What::Shift, Depth::default())));
        println!("{shape:?}: {tried:?}");
    }
}

/// The kernel's usual chunks, several areas; and large ones.
#[test]
fn other_chunk_sizes() {
    let case = |chunk_sectors, chunks, shape, listed, kept| Case {
        chunk_sectors,
        chunks,
        shape,
        listed,
        kept,
        seed: 7,
    };
    let depth = Depth {
        seeds: 3,
        saves: 30,
        fill_every: 20,
        again_every: 20,
        write_every: 50,
    };
    for (case, what) in [
        (case(8, 900, Shape::Orderly, 700, 256), What::Tidy),
        (case(8, 900, Shape::Scattered, 600, 257), What::Tidy),
        (case(8, 900, Shape::Reversed, 600, 100), What::Drop),
        (case(16, 120, Shape::Scattered, 100, 40), What::Tidy),
        (case(128, 100, Shape::Scattered, 80, 3), What::Tidy),
        (case(1024, 45, Shape::Scattered, 35, 33), What::Tidy),
    ] {
        let tried = case.cut(what, depth);
        println!("{what:?} {case:?}: {tried:?}");
    }
}

/// Where the kernel would run out of areas before it runs out of chunks, were the list to
/// hold a repeat too many while it fills the store up.
#[test]
fn stores_that_can_hardly_hold_their_list() {
    let depth = Depth {
        seeds: 4,
        fill_every: 1,
        ..Depth::default()
    };
    for (slack, listed) in [(1, 94), (1, 93), (2, 93), (3, 90), (12, 80)] {
        for kept in [0, 20, 31, 32, 40, 64, 70, listed - 1] {
            let kept = kept.min(listed - 1);
            for seed in 0..3 {
                let case = Case {
                    chunk_sectors: 1 + kept as u32 % 2,
                    chunks: 1 + 33 * 3 - slack,
                    shape: Shape::Packed,
                    listed,
                    kept,
                    seed,
                };
                let case = match case.chunk_sectors {
                    1 => case,
                    _ => Case {
                        chunks: 1 + 65 * 2 - slack,
                        listed: listed + 34,
                        ..case
                    },
                };
                case.cut(What::Drop, depth);
                if seed == 0 {
                    case.cut(What::Tidy, depth);
                }
            }
        }
    }
}

#[test]
fn lengths() {
    for (listed, chunks) in [(10, 98), (32, 101), (31, 132), (70, 200)] {
        for shape in [Shape::Orderly, Shape::Scattered, Shape::Repeated] {
            let case = Case {
                chunk_sectors: 1,
                chunks,
                shape,
                listed,
                kept: listed / 2,
                seed: 3,
            };
            for reserve in [0, 1, 20, 22, 53, 1000] {
                case.cut(What::Shorten(reserve), Depth::default());
            }
            for to in [0, 133, 134, 199, 200, 300] {
                case.cut(What::Grow(to), Depth::default());
            }
            case.cut(What::Borrow(chunks as u64), Depth::default());
        }
    }
}

/// Free chunks need not be kept, until somebody uses them.
#[test]
fn free_chunks_are_dropped() {
    for seed in 0..6 {
        let case = Case {
            chunk_sectors: 1,
            chunks: 200,
            shape: Shape::Scattered,
            listed: 100,
            kept: 70,
            seed,
        };
        let (folder, mut learner, image) = case.build(Rules::Ext4);
        let free: BTreeSet<u64> = (0..140).filter(|chunk| chunk % 3 == 0).collect();
        learner.careless = free.clone();
        let moves = Moves {
            image,
            chunk_bytes: case.chunk_bytes(),
            free,
            what: What::Tidy,
        };
        // Who saves to a free chunk makes it used: no saves between, where free is fixed.
        let depth = Depth {
            saves: 0,
            ..Depth::default()
        };
        cut_everywhere("free chunks", &folder, &learner, &moves, depth);
    }
}

/// A store that the kernel filled, reset by zeroing its header, and filled again.
#[test]
fn a_store_reset_and_used_again() {
    let image = (0..200).flat_map(|chunk| content(chunk, 0, 512));
    let image = Arc::new(image.collect::<Vec<u8>>());
    let folder = FaultFolder::new(Rules::Ext4);
    folder.put(OVERLAY, &Store::new(1, 250).bytes).unwrap();
    let store = folder.open_writable(OVERLAY).unwrap();
    let mut learner = Learner {
        content: image.to_vec(),
        chunk_bytes: 512,
        careless: BTreeSet::new(),
        places: None,
        may_lurk: false,
    };
    let mut random = Random::new(5);
    learner
        .clone()
        .save(&store, &image, 150, &mut random)
        .unwrap();
    // As the seed's reset does; dracut's table says 8 sectors then.
    let zeros = vec![0; 4096];
    sugar_cellar::storage::Storage::write_at(&store, &zeros, 0).unwrap();
    learner.chunk_bytes = 4096;
    learner.save(&store, &image, 8, &mut random).unwrap();
    Folder::sync(&folder).unwrap();
    let moves = Moves {
        image,
        chunk_bytes: 4096,
        free: BTreeSet::new(),
        what: What::Tidy,
    };
    cut_everywhere("reset", &folder, &learner, &moves, Depth::default());
}

/// The power failed while the kernel wrote an area: later sectors of it are there, the
/// earlier ones are not, and with them not the entries before.
#[test]
fn what_a_torn_area_left_behind_the_end_does_not_come_back() {
    for (listed, kept, what) in [
        (70, 40, What::Drop),
        (70, 0, What::Drop),
        (70, 70, What::Shift),
        (64, 64, What::Shift),
        (40, 39, What::Tidy),
    ] {
        let case = Case {
            chunk_sectors: 4,
            chunks: 300,
            shape: Shape::Scattered,
            listed,
            kept,
            seed: 8,
        };
        let (folder, mut learner, image) = case.build(Rules::Ext4);
        let mut store = Store::new(4, 1);
        store.bytes = folder.read(OVERLAY).unwrap();
        for index in 100..128 {
            store.set(index, 3, 2 + index as u64);
        }
        folder.put(OVERLAY, &store.bytes).unwrap();
        let moves = Moves {
            image: Arc::clone(&image),
            chunk_bytes: 2048,
            free: BTreeSet::new(),
            what,
        };
        let whole = folder.copy();
        moves.run(&whole).unwrap();
        learner.may_lurk = true;
        for cut in whole.trace().cuts() {
            for seed in 0..4 {
                let found = cut.crash(seed);
                let store = found.open_writable(OVERLAY).unwrap();
                learner.find_all(&store, &image).unwrap();
                moves.run(&found).unwrap();
                learner.find_all(&store, &image).unwrap();
                assert!(!Kernel::open(&store, &image).unwrap().lurks());
            }
        }
    }
}

/// A call that fails leaves everything as good as a cut, in memory and on the device, and the next try
/// succeeds. That one is cut everywhere: after a sync that failed, memory and device differ.
#[test]
fn failing_calls_lose_nothing() {
    let case = Case {
        chunk_sectors: 1,
        chunks: 400,
        shape: Shape::Scattered,
        listed: 250,
        kept: 90,
        seed: 4,
    };
    let (folder, learner, image) = case.build(Rules::Ext4);
    let has_all = |folder: &FaultFolder| {
        let store = folder.open_writable(OVERLAY).unwrap();
        learner.find_all(&store, &image)
    };
    let moves = Moves {
        image: Arc::clone(&image),
        chunk_bytes: 512,
        free: BTreeSet::new(),
        what: What::Tidy,
    };
    let whole = folder.copy();
    moves.run(&whole).unwrap();
    for call in 0..whole.calls() {
        for error in [std::io::ErrorKind::StorageFull, std::io::ErrorKind::Other] {
            let one = folder.copy();
            one.fail_call(call, error);
            moves.run(&one).unwrap_err();
            has_all(&one).unwrap();
            has_all(&one.copy()).unwrap();
            one.record();
            moves.run(&one).unwrap();
            moves.check_done(&one, &learner).unwrap();
            has_all(&one).unwrap();
            moves.check_done(&one.copy(), &learner).unwrap();
            for cut in one.trace().cuts() {
                for seed in 0..3 {
                    has_all(&cut.crash(seed)).unwrap_or_else(|what| {
                        panic!(
                            "call {call} failed, the next run was cut after {}: {what}",
                            cut.last()
                        )
                    });
                }
            }
        }
    }
}

/// Ends after so many looks.
struct Impatient(std::sync::atomic::AtomicI64);

impl Progress for Impatient {
    fn step(&self, _: Stage, done: u64, total: u64) {
        assert!(done <= total);
    }

    fn cancelled(&self) -> bool {
        self.0.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) <= 0
    }
}

#[test]
fn a_tidy_can_be_refused_and_cancelled() {
    let case = Case {
        chunk_sectors: 1024,
        chunks: 60,
        shape: Shape::Reversed,
        listed: 25,
        kept: 20,
        seed: 4,
    };
    let (folder, learner, image) = case.build(Rules::Ext4);
    let moves = Moves {
        image: Arc::clone(&image),
        chunk_bytes: case.chunk_bytes(),
        free: BTreeSet::new(),
        what: What::Tidy,
    };
    let attempt = |folder: &FaultFolder, ready: Result<()>, looks: i64| {
        let (store, list) = moves.open(folder).unwrap();
        let superfluous = |exception| Ok(moves.superfluous(&store, exception));
        let progress = Impatient(looks.into());
        tidy(&store, list, superfluous, || ready, &progress)
    };
    folder.record();
    assert!(attempt(&folder, Err(Error::Cancelled), 1000).is_err());
    assert!(attempt(&folder, Ok(()), 10).is_err());
    assert_eq!(folder.calls(), 0);
    // 25 looks at exceptions, one before the first write, then one for each batch of 8 MiB.
    let cancelled = attempt(&folder, Ok(()), 27).unwrap_err();
    assert!(matches!(cancelled, Error::Cancelled));
    assert!(folder.calls() > 0);
    let store = folder.open_writable(OVERLAY).unwrap();
    learner.find_all(&store, &image).unwrap();
    let tidied = attempt(&folder, Ok(()), 1000).unwrap();
    assert_eq!(tidied.after.used, Sectors(22 * 1024));
    learner.find_all(&store, &image).unwrap();
}

/// Nothing is written to a list that is not the one that was decided upon.
#[test]
fn a_list_that_changed_is_refused() {
    let case = Case {
        chunk_sectors: 1,
        chunks: 190,
        shape: Shape::Orderly,
        listed: 50,
        kept: 20,
        seed: 4,
    };
    let (folder, mut learner, image) = case.build(Rules::Ext4);
    let store = folder.open_writable(OVERLAY).unwrap();
    let list = ExceptionStore::read(&store, None).unwrap();
    learner
        .save(&store, &image, 5, &mut Random::new(1))
        .unwrap();
    Folder::sync(&folder).unwrap();
    folder.record();
    assert!(drop_chunks(&store, &Keep::nothing(list.clone())).is_err());
    assert!(shift(&store, &list, &Silent).is_err());
    assert!(shorten(&store, &list, Bytes(0)).is_err());
    assert_eq!(folder.calls(), 0);
    // Nor to one that the kernel gave up.
    sugar_cellar::storage::Storage::write_at(&store, &[0; 4], 4).unwrap();
    let list = ExceptionStore::read(&store, None).unwrap();
    assert!(!list.is_valid());
    assert!(drop_chunks(&store, &Keep::nothing(list.clone())).is_err());
    assert!(shift(&store, &list, &Silent).is_err());
    assert_eq!(list.lookup(Chunks(0)), None);
}

/// Dropping all of a 1 GiB store takes a handful of syncs.
#[test]
fn dropping_all_takes_few_calls() {
    let folder = FaultFolder::new(Rules::Ext4);
    let file = folder.create(OVERLAY).unwrap();
    let chunks = 262_144;
    sugar_cellar::storage::Storage::set_len(&file, Bytes(chunks * 4096)).unwrap();
    write_list(&file, 250_000);
    Folder::sync(&folder).unwrap();
    folder.record();
    let list = ExceptionStore::read(&file, None).unwrap();
    assert_eq!(list.len(), 250_000);
    let started = std::time::Instant::now();
    let after = drop_chunks(&file, &Keep::nothing(list)).unwrap();
    println!("{} calls, {:?}", folder.calls(), started.elapsed());
    assert_eq!(after.figures().used, Sectors(16));
    assert!(folder.calls() <= 18, "{} calls", folder.calls());
}

/// An orderly list in chunks of 4 KiB, its data holes.
fn write_list(file: &FaultFile, count: u64) {
    use sugar_cellar::storage::Storage;
    let mut header = vec![0; 4096];
    header[..16].copy_from_slice(&Store::new(8, 1).bytes[..16]);
    file.write_at(&header, 0).unwrap();
    for area in 0..=count / 256 {
        let first = area * 256;
        let entries = (first..count.min(first + 256)).flat_map(|index| {
            let new = 2 + index + index / 256;
            [index, new].map(u64::to_le_bytes)
        });
        let bytes: Vec<u8> = entries.flatten().collect();
        file.write_at(&bytes, (1 + area * 257) * 4096).unwrap();
    }
}
