//! ext4: identity, shape, free blocks, and the walk over all inodes.

use crate::ensure;
use crate::overlay::random_of;
use crate::verdict::{Ended, Verdict, roughly};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use sugar_cellar::ext4::{
    FileSystem, FreeBlocks, Inode, Owner, Replayed, Superblock, Trust, Visitor, claimed_free,
    consistency, free_blocks,
};
use sugar_cellar::progress::Silent;
use sugar_cellar::storage::ReadAt;
use sugar_cellar::storage::fault::Random;

pub fn run(bytes: &Arc<Vec<u8>>) -> Verdict {
    let view = &**bytes;
    let mut random = random_of(bytes);
    let superblock = Superblock::read(view)?;
    let identity = (
        superblock.uuid().to_string(),
        superblock.label(),
        superblock.created(),
    );
    ensure!(
        identity.0.len() == 36 && identity.1.len() <= 48,
        "{identity:?}"
    );
    ensure!(
        !format!("{superblock:?} {:?}", superblock.state()).is_empty(),
        "no state"
    );
    let trust = free_blocks(view, &Silent);
    let fs = match FileSystem::open(view) {
        Ok(fs) => fs,
        Err(error) => {
            ensure!(
                !matches!(trust, Ok(Trust::Free(_))),
                "trusted, and not even opened: {error}"
            );
            return Err(error.into());
        }
    };
    let geometry = fs.geometry();
    ensure!(geometry.bytes() <= view.len() as u64, "{geometry:?}");
    for _ in 0..8 {
        let number = match random.below(4) {
            0 => random.next_number() as u32,
            _ => random.below(70) as u32,
        };
        let Ok(inode) = fs.inode(number).map_err(Ended::from) else {
            continue;
        };
        let mut blocks = 0;
        for run in fs.runs(&inode) {
            let Ok(run) = run else { break };
            let inside = run.blocks().end <= geometry.blocks && run.count > 0;
            ensure!(inside, "inode {number}: {run:?}");
            blocks += run.count;
            ensure!(blocks <= geometry.blocks, "inode {number}: {blocks} blocks");
        }
    }
    visited(&fs, &mut random)?;
    replayed(view)?;
    let findings = consistency(view, &Silent)?;
    let damage = findings.iter().any(|finding| finding.is_damage());
    if let Some(claimed) = claimed_free(view, &Silent)? {
        bounded(&claimed, view.len() as u64, &mut random)?;
    }
    match trust? {
        Trust::Free(free) => {
            ensure!(!damage, "trusted, with {findings:?}");
            bounded(&free, view.len() as u64, &mut random)?;
        }
        Trust::No(why) => ensure!(!why.to_string().is_empty(), "no reason"),
    }
    let kinds: BTreeSet<String> = findings
        .iter()
        .map(|one| roughly(&one.to_string()))
        .collect();
    Ok(kinds.into_iter().take(3).collect::<Vec<_>>().join("; "))
}

/// Each block is told at the most once, and all names are read to their end.
fn visited(fs: &FileSystem, random: &mut Random) -> Result<(), Ended> {
    let mut seen = Seen {
        told: vec![false; fs.geometry().blocks as usize],
        twice: None,
        folders: Vec::new(),
    };
    fs.visit(&Silent, &mut seen)?;
    ensure!(seen.twice.is_none(), "told twice: {:?}", seen.twice);
    for _ in 0..seen.folders.len().min(8) {
        let some = random.below(seen.folders.len() as u64) as usize;
        let mut names = 0;
        fs.names(seen.folders[some], |name, inode| {
            names += usize::from(name.len() < 256 && inode > 0);
        })?;
        ensure!(names <= 64 << 10, "{names} names");
    }
    Ok(())
}

struct Seen {
    told: Vec<bool>,
    twice: Option<u64>,
    folders: Vec<u64>,
}

impl Visitor for Seen {
    fn inode(&mut self, _: &Inode) {}

    fn uses(&mut self, _: Owner, blocks: Range<u64>) {
        for block in blocks {
            if std::mem::replace(&mut self.told[block as usize], true) {
                self.twice = Some(block);
            }
        }
    }

    fn names(&mut self, _: u32, blocks: Range<u64>) {
        self.folders.extend(blocks);
    }
}

/// A replayed view is as long as the one below it, and can be read wholly.
fn replayed(view: &Vec<u8>) -> Result<(), Ended> {
    let Ok(replayed) = Replayed::new(view, &Silent).map_err(Ended::from) else {
        return Ok(());
    };
    let mut bytes = vec![0; view.len()];
    replayed.read_at(&mut bytes, 0)?;
    let same = bytes == *view;
    ensure!(same || replayed.blocks() > 0, "changed by nothing");
    Ok(())
}

/// Free runs rise, lie inside, and answer for themselves.
fn bounded(free: &FreeBlocks, length: u64, random: &mut Random) -> Result<(), Ended> {
    let mut end = 0;
    let mut all = 0;
    for run in free.runs() {
        ensure!(
            run.start >= end && run.start < run.end,
            "{run:?} after {end}"
        );
        all += run.end - run.start;
        end = run.end;
        ensure!(
            free.is_free_range(run.clone()),
            "{run:?} is free and is not"
        );
    }
    ensure!(end <= length, "free up to {end} of {length}");
    ensure!(
        all == free.bytes(),
        "{all} are free, said to be {}",
        free.bytes()
    );
    for _ in 0..4 {
        let start = random.below(length * 2);
        let range = start..start.saturating_add(random.next_number() >> random.below(64));
        let _: bool = free.is_free_range(range);
    }
    Ok(())
}
