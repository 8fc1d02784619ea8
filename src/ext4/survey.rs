//! The walk over a whole file system: everything that uses a block says so, once.
//!
//! What is used according to the walk must be what the block bitmaps say, to
//! the bit. That is more than is needed to trust the free ones, and makes the
//! trust robust: a damaged extent, inode or bitmap would have to be matched by
//! a damage elsewhere that hides it.

use super::FileSystem;
use super::bitmap::Bitmap;
use super::finding::{Finding, Owner};
use super::format::{self, incompat, le16};
use super::groups::Group;
use super::inode::Inode;
use super::runs::{Fault, Kind};
use super::superblock::Superblock;
use super::visit::Visitor;
use crate::error::{Doing, Error, Result};
use crate::progress::Progress;
use crate::protocol::Stage;
use std::collections::BTreeSet;
use std::ops::Range;

/// How much of an inode table is read at once, in bytes. A multiple of every inode's size.
const PIECE: usize = 256 << 10;

/// What speaks against trusting the free blocks, from the superblock alone.
pub(super) fn state(superblock: &Superblock) -> Vec<Finding> {
    let mut findings = Vec::new();
    let state = superblock.state();
    let unaccounted = superblock.features().unaccounted();
    if !unaccounted.is_empty() {
        findings.push(Finding::Unsupported(format!(
            "the features {}",
            unaccounted.join(", ")
        )));
    }
    if !state.has_journal {
        findings.push(Finding::NoJournal);
    } else if superblock.journal_inode().is_none() {
        findings.push(Finding::JournalElsewhere);
    }
    if state.needs_recovery {
        findings.push(Finding::NeedsRecovery);
    }
    if !state.valid {
        findings.push(Finding::NotClean);
    }
    if state.has_errors() {
        findings.push(Finding::Errors {
            count: state.error_count,
        });
    }
    if state.orphans {
        findings.push(Finding::Orphans);
    }
    findings
}

/// What a walk came to.
pub(super) struct Outcome {
    /// What was found, not more than asked for (and [`Finding::TooMany`]).
    pub(super) findings: Vec<Finding>,
    /// The blocks in use, true only where nothing was found.
    pub(super) used: Bitmap,
}

/// Walks over `fs`, whose journal needs no recovery, until `most` things were found.
/// Says nothing of the superblock's [`state`].
///
/// # Errors
/// Those of reading, and cancelled.
pub(super) fn survey(fs: &FileSystem, progress: &dyn Progress, most: usize) -> Result<Outcome> {
    let mut nobody = Nobody;
    let mut survey = Survey::new(fs, progress, End::After(most), &mut nobody);
    match survey.run() {
        Ok(()) | Err(Halt::Enough) => Ok(Outcome {
            findings: survey.findings,
            used: survey.used,
        }),
        Err(Halt::Failed(error)) => Err(error),
    }
}

/// Walks over `fs` to its end, whatever is found; gives how much of it may hide who uses a block.
///
/// # Errors
/// Those of reading, and cancelled.
pub(super) fn listen(
    fs: &FileSystem,
    progress: &dyn Progress,
    visitor: &mut dyn Visitor,
) -> Result<u64> {
    let mut survey = Survey::new(fs, progress, End::Never, visitor);
    match survey.run() {
        Ok(()) | Err(Halt::Enough) => Ok(survey.hidden),
        Err(Halt::Failed(error)) => Err(error),
    }
}

/// What the block bitmaps call used, without looking whether it is so; none where not even they
/// can be read.
///
/// # Errors
/// Those of reading, and cancelled.
pub(super) fn marked(fs: &FileSystem, progress: &dyn Progress) -> Result<Option<Bitmap>> {
    let mut nobody = Nobody;
    let mut survey = Survey::new(fs, progress, End::After(1), &mut nobody);
    match survey.bitmaps() {
        Ok(()) => Ok(Some(survey.marked)),
        Err(Halt::Enough) => Ok(None),
        Err(Halt::Failed(error)) => Err(error),
    }
}

/// Nobody listens.
struct Nobody;

impl Visitor for Nobody {
    fn inode(&mut self, _: &Inode) {}
    fn uses(&mut self, _: Owner, _: Range<u64>) {}
    fn names(&mut self, _: u32, _: Range<u64>) {}
}

/// When a walk ends because of what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// When so many things were found.
    After(usize),
    /// It does not; what is found is counted and not kept.
    Never,
}

/// Why a walk ends early.
pub(super) enum Halt {
    /// Enough was found.
    Enough,
    /// It cannot go on.
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Halt {
        Halt::Failed(error)
    }
}

pub(super) type Step<T = ()> = std::result::Result<T, Halt>;

pub(super) struct Survey<'f> {
    pub(super) fs: &'f FileSystem<'f>,
    progress: &'f dyn Progress,
    end: End,
    visitor: &'f mut dyn Visitor,
    /// How much was found that may hide who uses a block.
    hidden: u64,
    findings: Vec<Finding>,
    /// What the block bitmaps call used.
    marked: Bitmap,
    /// What said that it is in use.
    used: Bitmap,
    /// Blocks of extended attributes: several inodes may use one. Made when the first is met.
    attributes: Option<Bitmap>,
    pub(super) journal_seen: bool,
    /// The groups whose inode table, or a part of it, is somebody else's.
    taken: BTreeSet<u32>,
    scratch: Vec<u8>,
}

impl<'f> Survey<'f> {
    fn new(
        fs: &'f FileSystem<'f>,
        progress: &'f dyn Progress,
        end: End,
        visitor: &'f mut dyn Visitor,
    ) -> Survey<'f> {
        let geometry = fs.geometry();
        let blocks = geometry.first_block..geometry.blocks;
        Survey {
            fs,
            progress,
            end,
            visitor,
            hidden: 0,
            findings: Vec::new(),
            marked: Bitmap::new(blocks.clone()),
            used: Bitmap::new(blocks),
            attributes: None,
            journal_seen: false,
            taken: BTreeSet::new(),
            scratch: Vec::new(),
        }
    }

    fn run(&mut self) -> Step {
        let fs = self.fs;
        self.bitmaps()?;
        self.layout()?;
        self.inodes()?;
        if fs.superblock().state().has_journal && !self.journal_seen {
            self.report(Finding::Journal("cannot be read"))?;
        }
        self.free_blocks()?;
        self.lost()
    }

    /// Checks all descriptors, then takes what the bitmaps that they name call used.
    fn bitmaps(&mut self) -> Step {
        let fs = self.fs;
        for (number, group) in (0..).zip(fs.groups()) {
            self.descriptor(number, group)?;
        }
        for (number, group) in (0..).zip(fs.groups()) {
            self.progress.check()?;
            self.block_bitmap(number, group)?;
        }
        Ok(())
    }

    pub(super) fn report(&mut self, finding: Finding) -> Step {
        let End::After(most) = self.end else {
            self.hidden += u64::from(finding.hides_owners());
            return Ok(());
        };
        self.findings.push(finding);
        if self.findings.len() < most {
            return Ok(());
        }
        if most > 1 {
            self.findings.push(Finding::TooMany);
        }
        Err(Halt::Enough)
    }

    /// Notes that `owner` uses `blocks`. Whether nobody else does.
    fn claim(&mut self, owner: Owner, blocks: Range<u64>) -> Step<bool> {
        // A group without backups has none; what begins where it would is somebody else's.
        if blocks.is_empty() {
            return Ok(true);
        }
        let block = blocks.start;
        let length = blocks.end - blocks.start;
        if !self.marked.all(blocks.clone()) {
            let count = length - self.marked.count(blocks.clone());
            self.report(Finding::UsedButFree {
                owner,
                block,
                count,
            })?;
        }
        let alone = !self.used.any(blocks.clone());
        if !alone {
            let count = self.used.count(blocks.clone());
            self.report(Finding::UsedTwice {
                owner,
                block,
                count,
            })?;
        }
        self.used.set(blocks.clone());
        if alone {
            self.visitor.uses(owner, blocks);
        }
        Ok(alone)
    }

    /// Checks a descriptor, and that what it names lies where it may.
    fn descriptor(&mut self, number: u32, group: &Group) -> Step {
        let geometry = self.fs.geometry();
        if !group.sum_right {
            self.report(Finding::DescriptorChecksum { group: number })?;
        }
        let anywhere = self.fs.superblock().features().incompat(incompat::FLEX_BG);
        let own = geometry.group_blocks(number);
        for (owner, place) in owners(number).into_iter().zip(group.places(geometry)) {
            let inside = anywhere || (own.start <= place.start && place.end <= own.end);
            if !geometry.contains(&place) || !inside {
                self.report(Finding::Misplaced {
                    owner,
                    block: place.start,
                })?;
            }
        }
        Ok(())
    }

    /// Takes what a group's block bitmap calls used.
    fn block_bitmap(&mut self, number: u32, group: &Group) -> Step {
        let geometry = self.fs.geometry();
        let own = geometry.group_blocks(number);
        let places = group.places(geometry);
        if self.fs.blocks_uninit(group) {
            // As the kernel makes it when it first needs it (ext4_init_block_bitmap): what the
            // group itself keeps, as far as it lies in the group.
            self.marked.set(geometry.base_metadata(number));
            for place in places {
                let (start, end) = (place.start.max(own.start), place.end.min(own.end));
                if start < end {
                    self.marked.set(start..end);
                }
            }
            return Ok(());
        }
        let [place, ..] = places;
        if !geometry.contains(&place) {
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut self.scratch);
        self.fs.read_block(place.start, &mut bytes)?;
        if !self.fs.block_bitmap_right(group, &bytes) {
            self.report(Finding::BitmapChecksum {
                of: Owner::BlockBitmap(number),
            })?;
        }
        self.marked.load(own, &bytes);
        self.scratch = bytes;
        Ok(())
    }

    /// Claims what lies where it does by the format's own layout.
    fn layout(&mut self) -> Step {
        let fs = self.fs;
        let geometry = fs.geometry();
        for (number, group) in (0..).zip(fs.groups()) {
            self.claim(Owner::Descriptors(number), geometry.base_metadata(number))?;
            for (owner, place) in owners(number).into_iter().zip(group.places(geometry)) {
                // Those that lie elsewhere are reported already.
                if geometry.contains(&place)
                    && !self.claim(owner, place)?
                    && owner == Owner::InodeTable(number)
                {
                    self.taken.insert(number);
                }
            }
        }
        if let Some(block) = geometry.mmp_block {
            self.claim_inside(Owner::MountProtection, block..block.saturating_add(1))?;
        }
        Ok(())
    }

    /// Claims blocks whose number was not checked yet.
    pub(super) fn claim_inside(&mut self, owner: Owner, blocks: Range<u64>) -> Step<bool> {
        if self.fs.geometry().contains(&blocks) {
            return self.claim(owner, blocks);
        }
        self.report(Finding::Misplaced {
            owner,
            block: blocks.start,
        })?;
        Ok(false)
    }

    /// Looks at every inode that was ever written.
    fn inodes(&mut self) -> Step {
        let fs = self.fs;
        let inode_bytes = u64::from(fs.geometry().inode_bytes);
        let table = |group: &Group| fs.written_inodes(group).map_or(0, u64::from) * inode_bytes;
        let total = fs.groups().iter().map(table).sum();
        let mut done = 0;
        let mut free = 0;
        for (number, group) in (0..).zip(fs.groups()) {
            self.progress.step(Stage::Check, done, total);
            self.progress.check()?;
            free += self.group_inodes(number, group)?;
            done += table(group);
        }
        self.progress.step(Stage::Check, total, total);
        let recorded = u64::from(fs.superblock().free_inodes());
        self.free_inodes(None, recorded, free)
    }

    fn free_inodes(&mut self, group: Option<u32>, recorded: u64, counted: u64) -> Step {
        if recorded == counted {
            return Ok(());
        }
        self.report(Finding::FreeInodes {
            group,
            recorded,
            counted,
        })
    }

    /// Looks at a group's inodes. How many are free.
    fn group_inodes(&mut self, number: u32, group: &Group) -> Step<u64> {
        let fs = self.fs;
        let geometry = fs.geometry();
        let all = geometry.inodes_per_group;
        let first = number * all + 1;
        let [_, bitmap, table] = group.places(geometry);
        let Some(written) = fs.written_inodes(group) else {
            self.free_inodes(Some(number), u64::from(group.free_inodes), u64::from(all))?;
            return Ok(u64::from(all));
        };
        // All groups may name one table: it is read once.
        let ours = geometry.contains(&table) && !self.taken.contains(&number);
        if !geometry.contains(&bitmap) || !ours {
            return Ok(0);
        }
        let mut marks = Vec::new();
        fs.read_block(bitmap.start, &mut marks)?;
        if !fs.inode_bitmap_right(group, &marks) {
            self.report(Finding::BitmapChecksum {
                of: Owner::InodeBitmap(number),
            })?;
        }
        let marked = |index: u32| marks[(index / 8) as usize] & (1 << (index % 8)) != 0;
        let free = (0..all).filter(|index| !marked(*index)).count() as u64;
        self.free_inodes(Some(number), u64::from(group.free_inodes), free)?;
        for index in (written..all).filter(|index| marked(*index)) {
            self.report(Finding::InodeUnwritten {
                inode: first + index,
            })?;
        }

        let inode_bytes = geometry.inode_bytes as usize;
        let mut at = table.start * u64::from(geometry.block_bytes);
        let mut rest = written as usize * inode_bytes;
        let mut index = 0;
        let mut piece = vec![0; PIECE.min(rest)];
        while rest > 0 {
            let length = rest.min(PIECE);
            fs.view()
                .read_at(&mut piece[..length], at)
                .doing("reading ext4 inodes")?;
            for bytes in piece[..length].chunks_exact(inode_bytes) {
                self.inode(first + index, bytes, marked(index))?;
                index += 1;
            }
            at += length as u64;
            rest -= length;
            self.progress.check()?;
        }
        Ok(free)
    }

    /// Looks at an inode: in use if the bitmap says so, or if it has links, as e2fsck sees it.
    fn inode(&mut self, number: u32, bytes: &[u8], marked: bool) -> Step {
        let links = le16(bytes, 0x1a);
        if !marked && links == 0 {
            return Ok(());
        }
        if !marked {
            self.report(Finding::InodeUnmarked { inode: number })?;
        }
        // Where orphans are known of, they are no news.
        let orphans = self.fs.superblock().state().orphans;
        if links == 0 && number >= self.fs.geometry().first_inode && !orphans {
            self.report(Finding::InodeUnlinked { inode: number })?;
        }
        if !self.fs.inode_right(number, bytes, &mut self.scratch) {
            self.report(Finding::InodeChecksum { inode: number })?;
        }
        let inode = Inode::parse(self.fs, number, bytes);
        self.visitor.inode(&inode);
        if let Some(block) = inode.attributes {
            self.attributes(number, block)?;
        }
        if number == format::INODE_RESIZE {
            return self.resize_inode(&inode);
        }
        self.contents(&inode)
    }

    /// Claims a block of extended attributes, which inodes may share.
    fn attributes(&mut self, inode: u32, block: u64) -> Step {
        let blocks = block..block.saturating_add(1);
        if self.attributes.as_ref().is_some_and(|met| met.has(block)) {
            return Ok(());
        }
        self.claim_inside(Owner::Inode(inode), blocks.clone())?;
        let geometry = self.fs.geometry();
        self.attributes
            .get_or_insert_with(|| Bitmap::new(geometry.first_block..geometry.blocks))
            .set(blocks);
        Ok(())
    }

    /// Claims what an inode's contents use.
    fn contents(&mut self, inode: &Inode) -> Step {
        let fs = self.fs;
        for run in fs.runs(inode) {
            let run = match run {
                Ok(run) => run,
                Err(Fault::Found(finding)) => return self.report(finding),
                Err(Fault::Failed(error)) => return Err(error.into()),
            };
            let alone = self.claim(Owner::Inode(inode.number), run.blocks())?;
            if run.kind == Kind::Map {
                self.progress.check()?;
                if !alone {
                    // It may lead back to itself.
                    return Ok(());
                }
            } else if alone {
                let names = fs.names_in(inode, &run);
                if inode.is_folder() && !names.is_empty() {
                    self.visitor.names(inode.number, names);
                }
                self.special(inode.number, run)?;
            }
        }
        Ok(())
    }

    /// Reports what is called used and is not; needs the bitmap up for it.
    fn lost(&mut self) -> Step {
        let mut lost = std::mem::replace(&mut self.marked, Bitmap::new(0..0));
        lost.subtract(&self.used);
        for run in lost.runs(true) {
            self.report(Finding::Lost {
                block: run.start,
                count: run.end - run.start,
            })?;
        }
        Ok(())
    }

    /// Compares the numbers of free blocks.
    fn free_blocks(&mut self) -> Step {
        let fs = self.fs;
        let mut all = 0;
        for (number, group) in (0..).zip(fs.groups()) {
            let own = fs.geometry().group_blocks(number);
            let counted = own.end - own.start - self.marked.count(own);
            all += counted;
            if counted != u64::from(group.free_blocks) {
                self.report(Finding::FreeBlocks {
                    group: Some(number),
                    recorded: u64::from(group.free_blocks),
                    counted,
                })?;
            }
        }
        let recorded = fs.superblock().free_blocks();
        if recorded != all {
            self.report(Finding::FreeBlocks {
                group: None,
                recorded,
                counted: all,
            })?;
        }
        Ok(())
    }
}

/// Who owns the places that a descriptor names, in their order.
fn owners(group: u32) -> [Owner; 3] {
    [
        Owner::BlockBitmap(group),
        Owner::InodeBitmap(group),
        Owner::InodeTable(group),
    ]
}
