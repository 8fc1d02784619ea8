//! Goes through the states that a cut may leave of what was recorded.

use super::cases::{self, Case, Operation};
use super::log::{Request, SECTOR, requests};
use crate::model::learner::Learner;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, RwLock};
use std::thread;
use sugar_cellar::error::{Error, Part};
use sugar_cellar::refresh::SECOND;
use sugar_cellar::sources::{IMAGE, Target};
use sugar_cellar::squash::Image;
use sugar_cellar::status;
use sugar_cellar::stick::layout::NOTE;
use sugar_cellar::stick::{Access, Stick};
use sugar_cellar::storage::fault::Random;
use sugar_cellar::storage::{DiskFolder, Folder, ReadAt};

/// EBADMSG and EUCLEAN: a checksum is wrong, or metadata contradicts itself.
const TORN: [Option<i32>; 2] = [Some(74), Some(117)];

/// A part of a request that has come to the device: where, and where its bytes are in the log.
type Piece = (usize, std::ops::Range<usize>);

/// The states of a stick whose power is cut while `requests` are done.
struct Cuts<'a> {
    log: &'a [u8],
    /// What is on the device for certain.
    device: Vec<u8>,
    /// What was done since the last flush.
    pending: Vec<Request>,
}

impl Cuts<'_> {
    fn done(&mut self, request: &Request) {
        if request.flush {
            for earlier in std::mem::take(&mut self.pending) {
                self.write((earlier.at, earlier.data));
            }
        }
        if request.durable {
            self.write((request.at, request.data.clone()));
        } else if !request.data.is_empty() {
            self.pending.push(request.clone());
        }
    }

    fn write(&mut self, (at, data): Piece) {
        self.device[at..at + data.len()].copy_from_slice(&self.log[data]);
    }

    /// What of the pending requests has arrived. Seed 0: nothing; 1: all; else some of
    /// it, in any order, torn at sector borders.
    fn arrived(&self, seed: u64) -> Vec<Piece> {
        let whole = |request: &Request| (request.at, request.data.clone());
        match seed {
            0 => Vec::new(),
            1 => self.pending.iter().map(whole).collect(),
            _ => {
                let mut random = Random::new(seed.wrapping_mul(1 + self.pending.len() as u64));
                let mut pieces = Vec::new();
                for request in &self.pending {
                    let sectors = (request.data.len() / SECTOR) as u64;
                    let (first, last) = match random.below(4) {
                        0 => continue,
                        1 => (0, sectors),
                        2 => (0, random.below(sectors) + 1),
                        _ => (random.below(sectors), sectors),
                    };
                    let [first, last] = [first, last].map(|sector| sector as usize * SECTOR);
                    let start = request.data.start;
                    pieces.push((request.at + first, start + first..start + last));
                }
                // Of two to the same place either may come last.
                for index in (1..pieces.len()).rev() {
                    if random.below(3) == 0 {
                        let other = random.below(index as u64 + 1) as usize;
                        pieces.swap(index, other);
                    }
                }
                pieces
            }
        }
    }
}

/// Cuts every command that was recorded on a stick of `format`, by what is in `folder`, several at once; tells how often.
///
/// # Panics
/// Where anything is lost.
pub fn all(folder: &Path, format: &str, wanted: usize) -> String {
    let cases = Mutex::new(Case::all().filter(|case| case.format == format));
    let told = Mutex::new(String::new());
    let one_thread = || {
        loop {
            // Not held while the case is tried.
            let case = cases.lock().unwrap().next();
            let Some(case) = case else { return };
            let line = cut(folder, &case, wanted);
            *told.lock().unwrap() += &line;
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().unwrap().get() {
            scope.spawn(one_thread);
        }
    });
    told.into_inner().unwrap()
}

/// Cuts one command; a line about it.
fn cut(folder: &Path, case: &Case, wanted: usize) -> String {
    let name = case.name();
    let base = fs::read(folder.join(case.stick())).unwrap();
    let log = fs::read(folder.join(format!("{name}.log"))).unwrap();
    let learner = cases::learner(folder);
    let requests = requests(&log);
    let chosen = choose(&base, &log, &requests, wanted);
    let place = tempfile::tempdir().unwrap();
    let stick = place.path().join("state");
    let (mut shared, mut mended) = (0, 0);
    for (number, &(calls, seed)) in chosen.iter().enumerate() {
        let state = state(&base, &log, &requests[..calls], seed);
        put(&stick, &state);
        mended += u64::from(mend(&stick));
        match live_on(&stick, &case.operation, &learner, number as u64) {
            Ok(FatChain::Apart) => {}
            Ok(FatChain::Shared) => shared += 1,
            Err(what) => panic!("{name}, after request {calls}, seed {seed}: {what}"),
        }
    }
    format!(
        "cut: {name}: {} requests, {} states, {shared} with two names for one image, {mended} mended by e2fsck\n",
        requests.len(),
        chosen.len()
    )
}

/// Puts it there without what is zero: most of a stick is.
fn put(stick: &Path, state: &[u8]) {
    const PIECE: usize = 64 << 10;
    let file = File::create(stick).unwrap();
    file.set_len(state.len() as u64).unwrap();
    for (number, piece) in state.chunks(PIECE).enumerate() {
        if piece != &[0; PIECE][..piece.len()] {
            file.write_all_at(piece, (number * PIECE) as u64).unwrap();
        }
    }
}

/// Which states to try, by the number of requests done and a seed: each another one, first one
/// of every request, then more.
fn choose(base: &[u8], log: &[u8], requests: &[Request], wanted: usize) -> Vec<(usize, u64)> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    let mut cuts = Cuts {
        log,
        device: Vec::new(),
        pending: Vec::new(),
    };
    cuts.device.resize(base.len(), 0);
    let mut flushes = 0;
    for calls in 0..=requests.len() {
        if let Some(request) = calls.checked_sub(1).map(|last| &requests[last]) {
            flushes += u64::from(request.flush || request.durable);
            cuts.done(request);
        }
        let seeds = match cuts.pending.len() {
            0 => 1,
            _ => 3 + wanted as u64 / 8,
        };
        for seed in 0..seeds {
            let mut key = DefaultHasher::new();
            let pieces = cuts.arrived(seed);
            (flushes, pieces).hash(&mut key);
            if seen.insert(key.finish()) {
                all.push((seed, calls));
            }
        }
    }
    all.sort_unstable();
    let step = (all.len() as f64 / wanted as f64).max(1.0);
    let count = all.len().min(wanted);
    (0..count)
        .map(|number| all[(number as f64 * step) as usize])
        .map(|(seed, calls)| (calls, seed))
        .collect()
}

fn state(base: &[u8], log: &[u8], requests: &[Request], seed: u64) -> Vec<u8> {
    let mut cuts = Cuts {
        log,
        device: base.to_vec(),
        pending: Vec::new(),
    };
    for request in requests {
        cuts.done(request);
    }
    for piece in cuts.arrived(seed) {
        cuts.write(piece);
    }
    cuts.device
}

/// Held alone by who begins a program: until that has begun, it holds the locks of all sticks that are
/// open in other threads.
static OPEN: RwLock<()> = RwLock::new(());

/// What ext4 itself does not promise: its own superblock and its journal's are longer than a sector,
/// and torn, they are not mounted. Its checker mends them.
fn mend(stick: &Path) -> bool {
    let opened = {
        let _open = OPEN.read().unwrap();
        Stick::open(stick, Access::Write).map(drop)
    };
    match opened {
        Err(Error::Damaged { part, detail })
            if part == Part::Disk && detail.contains("ext4: Bad message") =>
        {
            let _alone = OPEN.write().unwrap();
            let checked = Command::new("e2fsck").arg("-fy").arg(stick).output();
            // 1: errors were corrected.
            assert_eq!(checked.unwrap().status.code(), Some(1));
            true
        }
        _ => false,
    }
}

/// How FAT's two names were found.
enum FatChain {
    Apart,
    /// Both for one image: said, nothing touched.
    Shared,
}

/// What happens after a cut: mounted, all found, saved to, the next run, all found.
fn live_on(
    stick: &Path,
    operation: &Operation,
    learner: &Learner,
    seed: u64,
) -> std::result::Result<FatChain, String> {
    let _open = OPEN.read().unwrap();
    let mut learner = learner.clone();
    let mut random = Random::new(seed);
    match Stick::open(stick, Access::Read).and_then(|stick| status::look(&stick)) {
        Ok(_) => {}
        // Torn metadata, which ext4's journal mends as soon as anybody mounts the stick to write.
        Err(Error::Io { source, .. }) if TORN.contains(&source.raw_os_error()) => {}
        Err(error) => return Err(format!("looking: {error}")),
    }
    let stick = Stick::open(stick, Access::Write).map_err(|error| format!("opening: {error}"))?;
    let folder = stick.folder();
    let overlay = folder
        .entries()
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .find(|name| name.starts_with("overlay"))
        .ok_or("no overlay")?;
    let target = Target {
        folder,
        overlay: &overlay,
    };
    use_stick(target, &mut learner, 0, &mut random).map_err(|what| format!("booted: {what}"))?;
    if !seed.is_multiple_of(3) {
        use_stick(target, &mut learner, 6, &mut random).map_err(|what| format!("saved: {what}"))?;
        folder.sync().unwrap();
    }
    match (operation.next)(&stick, target) {
        Err(Error::Damaged {
            part: Part::Disk, ..
        }) if stick.file_system() == "vfat" => {
            use_stick(target, &mut learner, 6, &mut random)
                .map_err(|what| format!("refused: {what}"))?;
            return Ok(FatChain::Shared);
        }
        other => other.map_err(|error| format!("the next run: {error}"))?,
    }
    use_stick(target, &mut learner, 6, &mut random)
        .map_err(|what| format!("afterwards: {what}"))?;
    if folder.open(SECOND).is_ok() {
        return Err("a second image is left".to_owned());
    }
    if folder.open(NOTE).is_ok() {
        return Err("the overlay's room was not given back".to_owned());
    }
    Ok(FatChain::Apart)
}

/// Boots, so to speak: finds all, saves some, finds all.
fn use_stick(
    target: Target<'_, DiskFolder>,
    learner: &mut Learner,
    saves: usize,
    random: &mut Random,
) -> std::result::Result<(), String> {
    let file = target
        .folder
        .open(IMAGE)
        .map_err(|error| format!("{IMAGE}: {error}"))?;
    let image = Image::open(Arc::new(file)).map_err(|error| error.to_string())?;
    let mut inner = vec![0; image.inner_bytes().0 as usize];
    image
        .reader(4)
        .read_at(&mut inner, 0)
        .map_err(|error| error.to_string())?;
    let store = target
        .folder
        .open_writable(target.overlay)
        .map_err(|error| error.to_string())?;
    learner.find_all(&store, &inner)?;
    if saves > 0 {
        learner
            .save(&store, &inner, saves, random)
            .map_err(|stop| format!("{stop:?}"))?;
        learner.find_all(&store, &inner)?;
    }
    Ok(())
}
