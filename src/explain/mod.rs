//! Explain: what an overlay's space is spent on.
//!
//! Each chunk of the overlay has an owner: the file or folder that uses it in *image (+) overlay*,
//! its journal put in place; one of the file system's own records; or nothing any more, which is
//! what a deleted file leaves behind. [`owners`] finds out which, [`names`] what the owners are
//! called, [`kind`] what is known of a file by its name, [`same`] which chunks hold what the image
//! holds, [`economy`] what may go.

mod economy;
mod kind;
mod names;
mod owners;
mod same;

use crate::error::{Doing, Result};
use crate::ext4::{self, FileSystem, Replayed};
use crate::overlay::upper;
use crate::progress::Progress;
use crate::protocol::{Entry, EntryKind, Explanation, KindSum, Sums};
use crate::sources::{Sources, Target, Use};
use crate::storage::{DiskFolder, Folder};
use crate::units::Sectors;
use names::Names;
use owners::Owners;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// So many entries are told one by one, and bytes of their paths: all of them go into one line,
/// and whoever reads it has to keep it.
const ENTRIES: usize = 100_000;
const PATHS_BYTES: usize = 16 << 20;

/// How an overlay is to be explained.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether a system runs from the stick.
    pub used: Use,
    /// Read all that the overlay holds, to tell what of it equals the image.
    pub compare: bool,
    /// How many threads compare.
    pub threads: usize,
}

/// Explains the overlay of `target`. The sums are exact to the chunk, and add up to the used
/// figure of a status read from the same list.
///
/// Where several own a part of one chunk, as with blocks smaller than a chunk, it counts for the
/// first: the file system's records come before files, and these in the order of their inodes.
/// Of a system that runs, what its kernel has not committed yet is not seen.
///
/// Memory: 30 bytes a chunk, 150 a folder, and the names of the files that own something.
///
/// # Errors
/// Those of opening: image and overlay must belong together, with an ext4 in them that can be
/// read. Of reading, and cancelled. What is damaged in the file system is passed over, and counted.
pub fn explain<F: Folder>(
    target: Target<'_, F>,
    options: Options,
    progress: &dyn Progress,
) -> Result<Explanation> {
    let sources = Sources::open(target, options.used, false, progress)?;
    let merged = sources.merged()?;
    let view = Replayed::new(&merged, progress)?;
    let fs = FileSystem::open(&view)?;
    let mut owners = Owners::new(&sources.list, fs.geometry());
    let mut unclear = fs.visit(progress, &mut owners)?;
    let names = Names::find(&fs, &owners, progress)?;
    unclear += names.unclear;
    let same = match options.compare {
        true => Some(same::as_in_image(&sources, options.threads, progress)?),
        false => None,
    };
    let of_chunk = sources.list.chunk_size().sectors();
    let mut tally = Tally {
        fs: &fs,
        of_chunk,
        sums: Sums::default(),
        equal: Sectors(0),
        inodes: BTreeMap::new(),
    };
    for (index, owner) in owners.of_chunks().enumerate() {
        tally.add(owner, same.as_ref().is_some_and(|same| same[index]));
    }
    let figures = sources.list.figures();
    let chunks = Sectors(sources.list.len() as u64 * of_chunk.0);
    tally.sums.list_sectors = figures.metadata;
    tally.sums.unused_sectors = figures
        .used
        .saturating_sub(figures.metadata)
        .saturating_sub(chunks);
    let entries = tally.entries(&names);
    Ok(Explanation {
        used_sectors: figures.used,
        total_sectors: figures.total,
        chunk_sectors: of_chunk,
        equal_sectors: options.compare.then_some(tally.equal),
        kinds: by_kind(&entries),
        clutter: economy::clutter(&entries),
        journal_entries: economy::journal(&entries, |path| economy::title(&fs, path, progress))?,
        sums: tally.sums,
        unclear,
        entries: bounded(entries),
    })
}

/// Explains the upper folder `name` of an OverlayFS in LiveOS, whose files lie on the stick as
/// they are: what each takes there. What is free on the stick counts as the rest of its room.
///
/// # Errors
/// Those of reading, and cancelled. What may not be read is passed over, and counted.
pub fn upper(folder: &DiskFolder, name: &str, progress: &dyn Progress) -> Result<Explanation> {
    let mut sums = Sums::default();
    let mut entries = Vec::new();
    let size = upper::visit(folder, name, progress, &mut |thing| {
        let sectors = thing.bytes.sectors();
        let path = names::shown(thing.path().split(|byte| *byte == b'/').collect());
        let kind = match thing.is_folder {
            true => EntryKind::Folder,
            false => kind::of(&path),
        };
        if sectors.0 > 0 {
            count(&mut sums, kind, sectors);
            entries.push(Entry {
                path,
                kind,
                sectors,
                equal_sectors: Sectors(0),
            });
        }
    })?;
    let free = folder.free().doing("asking for free space")?;
    sort(&mut entries);
    Ok(Explanation {
        used_sectors: size.bytes.sectors(),
        total_sectors: (size.bytes + free).sectors(),
        chunk_sectors: Sectors(0),
        equal_sectors: None,
        kinds: by_kind(&entries),
        clutter: economy::clutter(&entries),
        // Their titles lie in the image, or beside it: that is not looked for.
        journal_entries: economy::journal(&entries, |_| Ok(None))?,
        sums,
        unclear: u64::from(!size.complete),
        entries: bounded(entries),
    })
}

fn count(sums: &mut Sums, kind: EntryKind, sectors: Sectors) {
    match kind {
        EntryKind::Folder => sums.folder_sectors += sectors,
        _ => sums.file_sectors += sectors,
    }
}

/// The largest first.
fn sort(entries: &mut [Entry]) {
    entries.sort_by(|a, b| b.sectors.cmp(&a.sectors).then_with(|| a.path.cmp(&b.path)));
}

/// The largest ones, which come first; the others as one of each kind, behind them.
fn bounded(mut entries: Vec<Entry>) -> Vec<Entry> {
    let lengths = entries.iter().take(ENTRIES).map(|entry| entry.path.len());
    let told = names::within(PATHS_BYTES, lengths);
    let mut rest: BTreeMap<EntryKind, Entry> = BTreeMap::new();
    for entry in entries.split_off(told) {
        let sum = rest.entry(entry.kind).or_insert_with(|| Entry {
            path: "…".to_owned(),
            kind: entry.kind,
            sectors: Sectors(0),
            equal_sectors: Sectors(0),
        });
        sum.sectors += entry.sectors;
        sum.equal_sectors += entry.equal_sectors;
    }
    entries.extend(rest.into_values());
    entries
}

/// What owns how much.
struct Tally<'f> {
    fs: &'f FileSystem<'f>,
    of_chunk: Sectors,
    sums: Sums,
    equal: Sectors,
    /// By inode: all, and what of it equals the image.
    inodes: BTreeMap<u32, (Sectors, Sectors)>,
}

impl Tally<'_> {
    /// Counts one chunk.
    fn add(&mut self, owner: Option<ext4::Owner>, same: bool) {
        let of_chunk = self.of_chunk;
        if same && owner.is_some() {
            self.equal += of_chunk;
        }
        match owner {
            None => self.sums.deleted_sectors += of_chunk,
            Some(ext4::Owner::Inode(inode)) if Some(inode) == self.fs.journal() => {
                self.sums.journal_sectors += of_chunk;
            }
            Some(ext4::Owner::Inode(inode)) if !self.fs.is_own(inode) => {
                let (all, equal) = self.inodes.entry(inode).or_default();
                *all += of_chunk;
                if same {
                    *equal += of_chunk;
                }
            }
            Some(_) => self.sums.record_sectors += of_chunk,
        }
    }

    /// Files and folders, the largest first; completes the sums.
    fn entries(&mut self, names: &Names) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::with_capacity(self.inodes.len());
        for (&inode, &(sectors, equal_sectors)) in &self.inodes {
            let path = names.path(inode);
            let kind = match (&path, names.is_folder(inode)) {
                (_, true) => EntryKind::Folder,
                (None, _) => EntryKind::Nameless,
                (Some(path), _) => kind::of(path),
            };
            count(&mut self.sums, kind, sectors);
            entries.push(Entry {
                path: path.unwrap_or_else(|| format!("#{inode}")),
                kind,
                sectors,
                equal_sectors,
            });
        }
        sort(&mut entries);
        entries
    }
}

fn by_kind(entries: &[Entry]) -> Vec<KindSum> {
    let sums = summed(entries, |entry| Some(entry.kind)).into_iter();
    let sum = |(kind, number, sectors)| KindSum {
        kind,
        number,
        sectors,
    };
    sums.map(sum).collect()
}

/// How many entries each key has, and what they own, the largest sum first; those without a key are
/// left out.
fn summed<'e, K: Ord>(
    entries: &'e [Entry],
    key: impl Fn(&'e Entry) -> Option<K>,
) -> Vec<(K, u64, Sectors)> {
    let mut sums: BTreeMap<K, (u64, Sectors)> = BTreeMap::new();
    for entry in entries {
        if let Some(key) = key(entry) {
            let (number, sectors) = sums.entry(key).or_default();
            *number += 1;
            *sectors += entry.sectors;
        }
    }
    let sums = sums.into_iter();
    let mut sums: Vec<_> = sums
        .map(|(key, (number, sectors))| (key, number, sectors))
        .collect();
    // Of one size in the order of their keys.
    sums.sort_by_key(|(.., sectors)| Reverse(*sectors));
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn very_many_entries_are_summed_and_add_up() {
        let entry = |index: u64, path: String| Entry {
            path,
            kind: match index % 2 {
                0 => EntryKind::Folder,
                _ => EntryKind::Picture,
            },
            sectors: Sectors(1_000_000 - index),
            equal_sectors: Sectors(index % 5),
        };
        let short: Vec<Entry> = (0..100_003).map(|i| entry(i, i.to_string())).collect();
        let long = (0..9_000).map(|i| entry(i, "n".repeat(4000)));
        for (entries, told) in [(short, ENTRIES), (long.collect(), PATHS_BYTES / 4000)] {
            let few = entries[..50].to_vec();
            assert_eq!(bounded(few.clone()), few);
            let sums = |entries: &[Entry], kind| {
                let of_kind = entries.iter().filter(|one| one.kind == kind);
                of_kind.fold((0, 0), |(all, equal), one| {
                    (all + one.sectors.0, equal + one.equal_sectors.0)
                })
            };
            let less = bounded(entries.clone());
            assert_eq!(less.len(), told + 2);
            assert_eq!(less[..told], entries[..told]);
            for kind in [EntryKind::Folder, EntryKind::Picture] {
                assert_eq!(sums(&less, kind), sums(&entries, kind));
            }
        }
    }
}
