//! Goes through the states that a cut may leave of what was recorded.

use super::log::{Request, SECTOR, requests};
use crate::model::learner::Learner;
use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use sugar_cellar::error::{Error, Part, Result};
use sugar_cellar::overlay::{ExceptionStore, size};
use sugar_cellar::progress::Silent;
use sugar_cellar::refresh::{self, Options, SECOND};
use sugar_cellar::sources::{Guard, IMAGE, Target, Use};
use sugar_cellar::squash::Image;
use sugar_cellar::status;
use sugar_cellar::stick::{Access, Stick};
use sugar_cellar::storage::fault::Random;
use sugar_cellar::storage::{DiskFolder, Folder, ReadAt};
use sugar_cellar::tidy;
use sugar_cellar::units::Bytes;

/// EBADMSG and EUCLEAN: a checksum is wrong, or metadata contradicts itself.
const TORN: [Option<i32>; 2] = [Some(74), Some(117)];

/// Something that is done to a stick.
pub struct Operation {
    pub name: &'static str,
    /// The helper's command; STICK stands for the device.
    pub command: &'static str,
    /// The next run, after a cut.
    next: fn(&Stick, Target<'_, DiskFolder>) -> Result<()>,
}

impl Operation {
    pub const ALL: [Operation; 4] = [
        Operation {
            name: "refresh",
            command: "refresh STICK --yes",
            next: refreshed,
        },
        Operation {
            name: "kernel",
            command: "refresh STICK --yes --engine kernel --scratch /data/scratch",
            next: refreshed,
        },
        Operation {
            name: "tidy",
            command: "tidy STICK",
            next: |stick, target| {
                refresh::recover(target, 1, &Ours(stick), &Silent)?;
                tidy::stick(target, &Ours(stick), &Silent).map(|_| ())
            },
        },
        Operation {
            name: "enlarge",
            command: "enlarge STICK +1M",
            next: |stick, target| {
                let store = target.folder.open_writable(target.overlay).unwrap();
                let list = ExceptionStore::read(&store, None)?;
                let more = Bytes(store.size().unwrap().0 + (1 << 20));
                size::grow(&store, &list, more)?;
                drop(store);
                refreshed(stick, target)
            },
        },
    ];
}

struct Ours<'a>(&'a Stick);

impl Guard for Ours<'_> {
    fn still_ours(&self) -> Result<()> {
        self.0.check_again()
    }
}

fn refreshed(stick: &Stick, target: Target<'_, DiskFolder>) -> Result<()> {
    let options = Options {
        compression: None,
        keep_deleted: false,
        used: Use::AtRest,
        reserve: refresh::RESERVE,
        threads: 1,
    };
    refresh::recover(target, 1, &Ours(stick), &Silent)?;
    let plan = refresh::plan(target, options, &Silent)?;
    if plan.is_needed() {
        refresh::refresh(plan.ready()?, &Ours(stick), &Silent)?;
    }
    Ok(())
}

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

/// What the learner has, for the guest.
pub fn put(learner: &Learner, folder: &Path) {
    let chunks = (&learner.careless, &learner.places, learner.chunk_bytes);
    fs::write(folder.join("content"), &learner.content).unwrap();
    fs::write(folder.join("chunks"), serde_json::to_vec(&chunks).unwrap()).unwrap();
}

fn get(folder: &Path) -> Learner {
    let chunks = fs::read(folder.join("chunks")).unwrap();
    let (careless, places, chunk_bytes) = serde_json::from_slice(&chunks).unwrap();
    Learner {
        content: fs::read(folder.join("content")).unwrap(),
        chunk_bytes,
        careless,
        places,
        may_lurk: false,
    }
}

/// Cuts every command that was recorded on the stick `format` in `folder`, and prints how often.
pub fn all(folder: &Path, format: &str, wanted: usize) {
    let base = fs::read(folder.join(format)).unwrap();
    let learner = get(folder);
    for operation in &Operation::ALL {
        let name = format!("{format}-{}", operation.name);
        let log = fs::read(folder.join(format!("{name}.log"))).unwrap();
        let requests = requests(&log);
        let chosen = choose(&base, &log, &requests, wanted);
        let (mut shared, mut mended) = (0, 0);
        for (number, &(calls, seed)) in chosen.iter().enumerate() {
            let state = state(&base, &log, &requests[..calls], seed);
            let stick = Path::new("/run/state");
            fs::write(stick, state).unwrap();
            mended += u64::from(mend(stick));
            match live_on(stick, operation, &learner, number as u64) {
                Ok(FatChain::Apart) => {}
                Ok(FatChain::Shared) => shared += 1,
                Err(what) => panic!("{name}, after request {calls}, seed {seed}: {what}"),
            }
        }
        println!(
            "cut: {name}: {} requests, {} states, {shared} with two names for one image, {mended} mended by e2fsck",
            requests.len(),
            chosen.len()
        );
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

/// What ext4 itself does not promise: its own superblock and its journal's are longer than a sector,
/// and torn, they are not mounted. Its checker mends them.
fn mend(stick: &Path) -> bool {
    match Stick::open(stick, Access::Write) {
        Err(Error::Damaged { part, detail })
            if part == Part::Disk && detail.contains("ext4: Bad message") =>
        {
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
