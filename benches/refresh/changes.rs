//! Overlays as use leaves them: a share of the used chunks changed, the file system in order.
//!
//! Half of it are new files (what a learner saves), most of the rest folders whose files all got
//! other contents (packages that were updated), some folders' files deleted, and a few
//! single pages in large files (databases). All contents are pages of real files, so that they
//! compress as real files do. New and deleted files are debugfs's work, which keeps ext4
//! in order; contents are rewritten in the blocks that a file has, which changes nothing else.
//! The choice is made by a generator with a fixed seed.

use super::Touched;
use super::corpus::{Corpus, free_in, regular_files};
use super::measure::{Outcome, Step, prepare};
use super::places::Places;
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use sugar_cellar::overlay::write;
use sugar_cellar::squash::Image;
use sugar_cellar::storage::DiskFile;
use sugar_cellar::units::{ChunkSize, Chunks};

/// The overlay's name on the stick.
pub const OVERLAY: &str = "overlay-BENCH-1234-ABCD";
const PAGE: usize = 4096;
/// Files this large get single pages changed.
const LARGE: u64 = 1 << 20;
/// Shares of what is to change, in hundredths; the rest are updated folders.
const NEW: u64 = 50;
const SINGLE: u64 = 2;
/// Deleted files leave no chunks of their own; a hundredth of this many.
const DELETED: u64 = 10;

/// A changed root file system, and the overlay that makes it of the image's.
#[derive(Debug)]
pub struct Change {
    /// How much of the used chunks changed.
    pub percent: u64,
    /// The changed ext4.
    pub inner: PathBuf,
    /// The overlay.
    pub overlay: PathBuf,
    chunks: u64,
    blocks: u64,
    used: u64,
}

impl Change {
    /// Makes it, where it is not there yet.
    pub fn make(places: &Places, corpus: &Corpus, percent: u64) -> Outcome<Change> {
        let inner = places.work.join(format!("changed-{percent}.img"));
        let overlay = places.work.join(format!("overlay-{percent}"));
        if !overlay.exists() {
            copy(&corpus.inner, &inner)?;
            Maker::new(corpus, percent)?.change(&inner)?;
            prepare(Command::new("e2fsck").arg("-fn").arg(&inner))?;
            free_in(&inner)?;
            let half = overlay.with_extension("half");
            store(&corpus.inner, &inner, &half)?;
            fs::rename(half, &overlay)?;
        }
        let changed = differing(&corpus.inner, &inner)?;
        let mut blocks: Vec<u64> = changed.iter().map(|chunk| chunk / 32).collect();
        blocks.dedup();
        Ok(Change {
            percent,
            inner,
            overlay,
            chunks: changed.len() as u64,
            blocks: blocks.len() as u64,
            used: corpus.used,
        })
    }

    /// A stick with the image and this overlay, ready to be refreshed.
    pub fn stick(&self, places: &Places, corpus: &Corpus) -> Outcome<PathBuf> {
        stick(places, "stick", corpus, |to| copy(&self.overlay, to))
    }

    /// Makes sure that the new image holds what was changed.
    pub fn holds(&self, new: &Image, touched: &Touched) -> Step {
        let inner = File::open(&self.inner)?;
        let mut blocks = new.in_order();
        let mut plain = Vec::new();
        for index in touched.compressed.iter().chain(&touched.dense) {
            blocks.plain(*index, &mut plain)?;
            let mut wanted = vec![0; plain.len()];
            inner.read_exact_at(&mut wanted, index * new.block_bytes().0)?;
            if plain != wanted {
                return Err(format!("block {index} of the new image is wrong").into());
            }
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "changed: {} chunks, {:.1} % of those in use, in {} blocks of 128 KiB",
            self.chunks,
            self.chunks as f64 * 100.0 / self.used as f64,
            self.blocks
        )
    }
}

/// A stick whose overlay holds `exceptions` chunks, and no data in them.
pub fn crowded(places: &Places, corpus: &Corpus, exceptions: u64, bytes: u64) -> Outcome<PathBuf> {
    let inner = File::open(&corpus.inner)?;
    let chunks = (0..exceptions).map(|index| {
        let mut page = vec![0; PAGE];
        // Beyond its end there are zeros.
        drop(inner.read_at(&mut page, index * PAGE as u64));
        (Chunks(index), page)
    });
    stick(places, "crowded", corpus, |to| {
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(to)?;
        file.set_len(bytes)?;
        write::format(&DiskFile::new(file), ChunkSize::LIVE, chunks)?;
        Ok(())
    })
}

fn stick(
    places: &Places,
    name: &str,
    corpus: &Corpus,
    overlay: impl FnOnce(&Path) -> Step,
) -> Outcome<PathBuf> {
    let stick = places.work.join(name);
    if stick.exists() {
        fs::remove_dir_all(&stick)?;
    }
    let live = stick.join("LiveOS");
    fs::create_dir_all(&live)?;
    // A refresh puts another file in its place, and leaves this one alone.
    fs::hard_link(&corpus.image, live.join("squashfs.img"))?;
    overlay(&live.join(OVERLAY))?;
    // What was just written is not to be synced in the time that is measured.
    prepare(Command::new("sync").arg("-f").arg(&stick))?;
    Ok(stick)
}

pub fn copy(from: &Path, to: &Path) -> Step {
    prepare(Command::new("cp").arg("--sparse=always").args([from, to]))?;
    Ok(())
}

/// The overlay file, as long as the changes need, and half as much again.
fn store(old: &Path, new: &Path, to: &Path) -> Step {
    let changed = differing(old, new)?;
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(to)?;
    let mib = (changed.len() as u64 * 3 / 2 / 256 + 16).next_multiple_of(64);
    file.set_len(mib << 20)?;
    let inner = File::open(new)?;
    let chunks = changed.into_iter().map(|chunk| {
        let mut page = vec![0; PAGE];
        // A page that cannot be read shows when the image is compared.
        let _ = inner.read_exact_at(&mut page, chunk * PAGE as u64);
        (Chunks(chunk), page)
    });
    write::format(&DiskFile::new(file), ChunkSize::LIVE, chunks)?;
    Ok(())
}

/// The chunks in which the two files differ.
fn differing(old: &Path, new: &Path) -> Outcome<Vec<u64>> {
    const PIECE: usize = 1 << 20;
    let (one, other) = (File::open(old)?, File::open(new)?);
    let length = one.metadata()?.len();
    let (mut was, mut is) = (vec![0; PIECE], vec![0; PIECE]);
    let mut chunks = Vec::new();
    for at in (0..length).step_by(PIECE) {
        let part = PIECE.min((length - at) as usize);
        one.read_exact_at(&mut was[..part], at)?;
        other.read_exact_at(&mut is[..part], at)?;
        if was[..part] == is[..part] {
            continue;
        }
        let pages = was[..part].chunks(PAGE).zip(is[..part].chunks(PAGE));
        let first = at / PAGE as u64;
        chunks.extend(
            (first..)
                .zip(pages)
                .filter(|(_, (was, is))| was != is)
                .map(|(n, _)| n),
        );
    }
    Ok(chunks)
}

/// Splitmix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit.max(1) as u64) as usize
    }

    fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last + 1));
        }
    }
}

struct Maker {
    random: Random,
    root: PathBuf,
    files: Vec<(PathBuf, u64)>,
    /// Folders in the order in which something happens to them.
    folders: Vec<Vec<(PathBuf, u64)>>,
    /// Pages to change.
    wanted: u64,
    /// Pages of real files, to be given out.
    donor: Vec<u8>,
}

impl Maker {
    fn new(corpus: &Corpus, percent: u64) -> Outcome<Maker> {
        let mut random = Random(percent);
        let mut files = regular_files(&corpus.files)?;
        // debugfs takes words, and has its own ideas of quotes.
        let plain = |path: &Path| {
            let text = path.to_str().unwrap_or(" ");
            !text.contains(|c: char| c.is_whitespace() || c == '"')
        };
        files.retain(|(path, bytes)| plain(path) && *bytes > 0);
        let mut folders = BTreeMap::<PathBuf, Vec<(PathBuf, u64)>>::new();
        for (path, bytes) in &files {
            let folder = path.parent().unwrap_or(path).to_owned();
            folders
                .entry(folder)
                .or_default()
                .push((path.clone(), *bytes));
        }
        let mut folders: Vec<_> = folders.into_values().collect();
        random.shuffle(&mut folders);
        Ok(Maker {
            random,
            root: corpus.files.clone(),
            files,
            folders,
            wanted: corpus.used * percent / 100,
            donor: Vec::new(),
        })
    }

    fn change(&mut self, inner: &Path) -> Step {
        self.save_and_delete(inner)?;
        let file = OpenOptions::new().read(true).write(true).open(inner)?;
        let single = self.wanted * SINGLE / 100;
        let mut left = self.wanted * (100 - NEW - SINGLE) / 100;
        while left > 0 {
            let folder = self.folder(left)?;
            for place in self.places(inner, &folder)? {
                if left > 0 {
                    file.write_all_at(&self.page()?, place)?;
                    left -= 1;
                }
            }
        }
        let mut large = self.files.clone();
        large.retain(|(_, bytes)| *bytes >= LARGE);
        let places = self.places(inner, &large)?;
        for _ in 0..single.min(places.len() as u64) {
            let place = places[self.random.below(places.len())];
            file.write_all_at(&self.page()?, place)?;
        }
        Ok(file.sync_all()?)
    }

    /// Writes new files into the home folder, and deletes some folders' files.
    fn save_and_delete(&mut self, inner: &Path) -> Step {
        let mut orders = String::from("mkdir /home/learner\n");
        let mut left = self.wanted * NEW / 100;
        let mut number = 0;
        while left > 0 {
            let (path, bytes) = &self.files[self.random.below(self.files.len())];
            // As long as what is left, at the most.
            if bytes.div_ceil(PAGE as u64) <= left {
                writeln!(orders, "write {} /home/learner/{number}", path.display())?;
                left -= bytes.div_ceil(PAGE as u64);
                number += 1;
            }
        }
        let mut left = self.wanted * DELETED / 100;
        while left > 0 {
            for (path, bytes) in self.folder(left)? {
                writeln!(orders, "rm {}", self.inside(&path))?;
                left = left.saturating_sub(bytes.div_ceil(PAGE as u64));
                self.files.retain(|(other, _)| *other != path);
            }
        }
        debugfs(inner, &orders, true)?;
        Ok(())
    }

    /// The next folder whose files are no more than `most` pages.
    fn folder(&mut self, most: u64) -> Outcome<Vec<(PathBuf, u64)>> {
        while let Some(mut folder) = self.folders.pop() {
            let pages = |folder: &[(PathBuf, u64)]| -> u64 {
                folder
                    .iter()
                    .map(|(_, bytes)| bytes.div_ceil(PAGE as u64))
                    .sum()
            };
            if pages(&folder) > most.max(64) {
                continue;
            }
            folder.retain(|(path, _)| path.exists());
            return Ok(folder);
        }
        Err("too few files to change so many chunks".into())
    }

    /// A file's path in the ext4.
    fn inside(&self, path: &Path) -> String {
        let inside = path.strip_prefix(&self.root).unwrap_or(path);
        format!("/{}", inside.display())
    }

    /// Where the files' pages lie in the ext4, in bytes.
    fn places(&self, inner: &Path, files: &[(PathBuf, u64)]) -> Outcome<Vec<u64>> {
        let mut orders = String::new();
        for (path, _) in files {
            writeln!(orders, "dump_extents -l {}", self.inside(path))?;
        }
        let told = debugfs(inner, &orders, false)?;
        let mut places = Vec::new();
        for line in told.lines() {
            // Level, entry, logical from - to, physical from - to, length.
            let words = line.split([' ', '/', '-']).filter(|word| !word.is_empty());
            let numbers: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
            if let [_, _, _, _, _, _, first, last, _] = numbers[..] {
                places.extend((first..=last).map(|block| block * PAGE as u64));
            }
        }
        Ok(places)
    }

    /// The next page of some file.
    fn page(&mut self) -> Outcome<Vec<u8>> {
        while self.donor.is_empty() {
            let (path, _) = &self.files[self.random.below(self.files.len())];
            self.donor = fs::read(path)?;
            self.donor
                .resize(self.donor.len().next_multiple_of(PAGE), 0);
        }
        let rest = self.donor.split_off(PAGE);
        Ok(std::mem::replace(&mut self.donor, rest))
    }
}

fn debugfs(inner: &Path, orders: &str, write: bool) -> Outcome<String> {
    let script = inner.with_extension("orders");
    fs::write(&script, orders)?;
    let mut command = Command::new("debugfs");
    // The same times on each run (e2fsprogs' own switch for tests).
    command.env("E2FSPROGS_FAKE_TIME", "1700000000");
    if write {
        command.arg("-w");
    }
    let told = prepare(command.arg("-f").arg(&script).arg(inner))?;
    fs::remove_file(script)?;
    Ok(told)
}
