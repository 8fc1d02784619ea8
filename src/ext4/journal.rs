//! The journal, replayed in memory: the file system as it will be once it is mounted.
//!
//! A system that runs, or was cut, has its latest metadata in the journal only. [`Replayed`] is
//! the view with each block that a committed transaction holds in the place where it belongs, as
//! the kernel's recovery would put it there; nothing is written.
//!
//! Source: the kernel's fs/jbd2/recovery.c and include/linux/jbd2.h. All of it is big endian.

use super::FileSystem;
use super::format::{self, be16, be32, compat};
use super::runs::{Kind, Run};
use super::superblock::{Superblock, damaged, unsupported};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::storage::ReadAt;
use crate::units::Bytes;
use std::collections::HashMap;
use std::io;
use std::ops::Range;

/// The most blocks of a journal that is replayed: each may take memory. mke2fs makes no larger one
/// than 262,144 unless it is told to.
const BLOCKS_MAX: u64 = 1 << 20;

/// What a block of the log is.
const DESCRIPTOR: u32 = 1;
const COMMIT: u32 = 2;
const REVOKE: u32 = 5;

/// A block's magic, type and sequence.
const HEADER: usize = 12;
/// A checksum at the end of descriptors and revocations.
const TAIL: usize = 4;

/// The contents began with the journal's magic, which was taken out.
const TAG_ESCAPED: u32 = 1;
/// No UUID follows the tag.
const TAG_SAME_UUID: u32 = 2;
/// The descriptor's last one.
const TAG_LAST: u32 = 8;

const INCOMPAT_REVOKE: u32 = 0x1;
const INCOMPAT_BITS64: u32 = 0x2;
const INCOMPAT_ASYNC_COMMIT: u32 = 0x4;
const INCOMPAT_SUMS_2: u32 = 0x8;
const INCOMPAT_SUMS_3: u32 = 0x10;
const INCOMPAT_FAST_COMMIT: u32 = 0x20;
const INCOMPAT_KNOWN: u32 = INCOMPAT_REVOKE
    | INCOMPAT_BITS64
    | INCOMPAT_ASYNC_COMMIT
    | INCOMPAT_SUMS_2
    | INCOMPAT_SUMS_3
    | INCOMPAT_FAST_COMMIT;

/// A view in which committed transactions are in their places.
pub struct Replayed<'v> {
    view: &'v dyn ReadAt,
    block_bytes: u64,
    /// By block: where in the view its latest contents lie.
    latest: HashMap<u64, Copy>,
}

/// Where a block's contents lie in the journal.
#[derive(Debug, Clone, Copy)]
struct Copy {
    block: u64,
    escaped: bool,
}

impl<'v> Replayed<'v> {
    /// Replays the journal of the file system in `view`, if it needs recovery; otherwise, and of
    /// one without a journal, the view is as it was.
    ///
    /// As the kernel does, it ends at the first block that is no part of a whole transaction: a
    /// transaction without its commit never was. What a fast commit holds is not looked at.
    ///
    /// Memory: 40 bytes for each block that the journal holds.
    ///
    /// # Errors
    /// Damaged: no ext4, or a journal that contradicts itself. Unsupported: a journal on another
    /// device, an endless one, or with features that are not known. Those of reading, and cancelled.
    pub fn new(view: &'v dyn ReadAt, progress: &dyn Progress) -> Result<Replayed<'v>> {
        let superblock = Superblock::read(view)?;
        let state = superblock.state();
        let mut replayed = Replayed {
            view,
            block_bytes: 0,
            latest: HashMap::new(),
        };
        if superblock.features().compat(compat::HAS_JOURNAL) && state.needs_recovery {
            let fs = FileSystem::with(view, superblock)?;
            replayed.block_bytes = u64::from(fs.geometry().block_bytes);
            if let Some(log) = Log::open(&fs, progress)? {
                replayed.latest = log.replay(progress)?;
            }
        }
        Ok(replayed)
    }

    /// How many blocks are seen in another state than they lie there.
    pub fn blocks(&self) -> usize {
        self.latest.len()
    }

    /// Reads what lies in one block.
    fn read_piece(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let inside = at % self.block_bytes;
        let Some(copy) = self.latest.get(&(at / self.block_bytes)) else {
            return self.view.read_at(buffer, at);
        };
        let from = copy.block * self.block_bytes + inside;
        self.view.read_at(buffer, from)?;
        if copy.escaped {
            let magic = format::JOURNAL_MAGIC.to_be_bytes();
            for (byte, magic) in buffer.iter_mut().zip(magic.iter().skip(inside as usize)) {
                *byte = *magic;
            }
        }
        Ok(())
    }
}

impl ReadAt for Replayed<'_> {
    fn size(&self) -> io::Result<Bytes> {
        self.view.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if self.latest.is_empty() {
            return self.view.read_at(buffer, offset);
        }
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let left = (self.block_bytes - at % self.block_bytes) as usize;
            let end = (done + left).min(buffer.len());
            self.read_piece(&mut buffer[done..end], at)?;
            done = end;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Replayed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replayed")
            .field("blocks", &self.latest.len())
            .finish_non_exhaustive()
    }
}

/// An open journal.
struct Log<'f, 'v> {
    fs: &'f FileSystem<'v>,
    /// Where its blocks lie in the file system: all of them, in its order.
    places: Vec<Run>,
    /// The blocks that the log goes round in.
    ring: Range<u64>,
    /// Where it begins.
    start: u64,
    /// The first transaction's number.
    sequence: u32,
    incompat: u32,
    seed: u32,
}

/// A block that a transaction changes.
struct Tag {
    /// Which.
    block: u64,
    flags: u32,
    sum: u32,
}

impl<'f, 'v> Log<'f, 'v> {
    /// None where the journal is empty.
    fn open(fs: &'f FileSystem<'v>, progress: &dyn Progress) -> Result<Option<Log<'f, 'v>>> {
        let Some(number) = fs.superblock().journal_inode() else {
            return Err(unsupported("the journal lies on another device"));
        };
        let mut places = Vec::new();
        let mut blocks = 0;
        for run in fs.runs(&fs.inode(number)?) {
            progress.check()?;
            let run = run.map_err(Error::from)?;
            if run.kind == Kind::Map {
                continue;
            }
            if run.file_block != blocks {
                return Err(damaged("the journal has a hole"));
            }
            blocks += run.count;
            if blocks > BLOCKS_MAX {
                return Err(unsupported(format!(
                    "a journal of more than {BLOCKS_MAX} blocks"
                )));
            }
            places.push(run);
        }
        let mut log = Log {
            fs,
            places,
            ring: 0..blocks,
            start: 0,
            sequence: 0,
            incompat: 0,
            seed: 0,
        };
        let mut bytes = Vec::new();
        log.read(0, &mut bytes)?;
        if be32(&bytes, 0) != format::JOURNAL_MAGIC {
            return Err(damaged("the journal has no superblock"));
        }
        // Version 1 has no feature sets.
        if be32(&bytes, 4) == 4 {
            log.incompat = be32(&bytes, 0x28);
        }
        if log.incompat & !INCOMPAT_KNOWN != 0 {
            let unknown = log.incompat & !INCOMPAT_KNOWN;
            return Err(unsupported(format!("a journal with features {unknown:#x}")));
        }
        let fast = match log.incompat & INCOMPAT_FAST_COMMIT != 0 {
            // As the kernel's jbd2_journal_get_num_fc_blks.
            true => match be32(&bytes, 0x54) {
                0 => 256,
                blocks => u64::from(blocks),
            },
            false => 0,
        };
        let end = u64::from(be32(&bytes, 0x10));
        let first = u64::from(be32(&bytes, 0x14));
        log.ring = first..end.saturating_sub(fast);
        log.sequence = be32(&bytes, 0x18);
        log.start = u64::from(be32(&bytes, 0x1c));
        log.seed = format::crc32c(!0, &bytes[0x30..0x40]);
        if log.start == 0 {
            return Ok(None);
        }
        let right = be32(&bytes, 0xc) == fs.geometry().block_bytes
            && first > 0
            && end <= blocks
            && log.ring.contains(&log.start);
        match right {
            true => Ok(Some(log)),
            false => Err(damaged("the journal's superblock contradicts itself")),
        }
    }

    /// Where a block of the journal lies in the file system.
    fn place(&self, block: u64) -> Option<u64> {
        let behind = self.places.partition_point(|run| run.file_block <= block);
        let run = self.places.get(behind.checked_sub(1)?)?;
        let inside = block - run.file_block;
        (inside < run.count).then_some(run.block + inside)
    }

    fn read(&self, block: u64, bytes: &mut Vec<u8>) -> Result<()> {
        let place = self
            .place(block)
            .ok_or_else(|| damaged("the journal is too short"))?;
        self.fs.read_block(place, bytes)
    }

    /// The block of the ring behind `block`.
    fn next(&self, block: u64) -> u64 {
        match block + 1 < self.ring.end {
            true => block + 1,
            false => self.ring.start,
        }
    }

    fn has_sums(&self) -> bool {
        self.incompat & (INCOMPAT_SUMS_2 | INCOMPAT_SUMS_3) != 0
    }

    /// Whether the checksum at byte `at` is that of the whole block without it.
    fn sum_right(&self, bytes: &mut [u8], at: usize) -> bool {
        if !self.has_sums() {
            return true;
        }
        let recorded = be32(bytes, at);
        bytes[at..at + 4].fill(0);
        format::crc32c(self.seed, bytes) == recorded
    }

    /// Goes through all whole transactions; gives where the latest contents of each block lie.
    fn replay(&self, progress: &dyn Progress) -> Result<HashMap<u64, Copy>> {
        let mut latest: HashMap<u64, Copy> = HashMap::new();
        let mut at = self.start;
        let mut sequence = self.sequence;
        let mut left = self.ring.end - self.ring.start;
        let mut bytes = Vec::new();
        // Of the transaction that is not whole yet.
        let mut tags: Vec<(Tag, u64)> = Vec::new();
        let mut revocations: Vec<u64> = Vec::new();
        while left > 0 {
            progress.check()?;
            self.read(at, &mut bytes)?;
            let tail = bytes.len() - TAIL;
            if be32(&bytes, 0) != format::JOURNAL_MAGIC || be32(&bytes, 8) != sequence {
                break;
            }
            let here = at;
            at = self.next(at);
            left -= 1;
            match be32(&bytes, 4) {
                DESCRIPTOR => {
                    if !self.sum_right(&mut bytes, tail) {
                        break;
                    }
                    for tag in self.tags(&bytes) {
                        tags.push((tag, at));
                        at = self.next(at);
                        left = left.saturating_sub(1);
                    }
                }
                REVOKE => {
                    if !self.sum_right(&mut bytes, tail) {
                        break;
                    }
                    revocations.push(here);
                }
                COMMIT => {
                    // h_chksum, behind its type and size.
                    if !self.sum_right(&mut bytes, HEADER + 4) {
                        break;
                    }
                    for (tag, from) in tags.drain(..) {
                        progress.check()?;
                        if let Some(copy) = self.copy(&tag, from, sequence)? {
                            latest.insert(tag.block, copy);
                        }
                    }
                    // What was taken back in this transaction stays as it lies there, until a later
                    // one writes it again. Read anew: there may be very many of them.
                    for from in revocations.drain(..) {
                        progress.check()?;
                        self.read(from, &mut bytes)?;
                        for block in self.revocations(&bytes) {
                            latest.remove(&block);
                        }
                    }
                    sequence = sequence.wrapping_add(1);
                }
                _ => break,
            }
        }
        Ok(latest)
    }

    /// Where a tag's contents lie, if they are whole and belong into the file system.
    fn copy(&self, tag: &Tag, from: u64, sequence: u32) -> Result<Option<Copy>> {
        let Some(block) = self.place(from) else {
            return Ok(None);
        };
        let range = tag.block..tag.block.saturating_add(1);
        if !self.fs.geometry().contains(&range) && tag.block != 0 {
            return Err(damaged("the journal names a block beyond the end"));
        }
        if self.has_sums() {
            let mut bytes = Vec::new();
            self.fs.read_block(block, &mut bytes)?;
            let seed = format::crc32c(self.seed, &sequence.to_be_bytes());
            let sum = format::crc32c(seed, &bytes);
            let kept = match self.incompat & INCOMPAT_SUMS_3 != 0 {
                true => u32::MAX,
                false => 0xffff,
            };
            if sum & kept != tag.sum {
                return Ok(None);
            }
        }
        Ok(Some(Copy {
            block,
            escaped: tag.flags & TAG_ESCAPED != 0,
        }))
    }

    fn tags(&self, bytes: &[u8]) -> Vec<Tag> {
        let third = self.incompat & INCOMPAT_SUMS_3 != 0;
        let wide = self.incompat & INCOMPAT_BITS64 != 0;
        // As the kernel's journal_tag_bytes.
        let length = match (third, wide) {
            (true, _) => 16,
            (false, wide) => {
                let sums = usize::from(self.incompat & INCOMPAT_SUMS_2 != 0) * 2;
                8 + sums + usize::from(wide) * 4
            }
        };
        let end = bytes.len() - usize::from(self.has_sums()) * TAIL;
        let mut tags = Vec::new();
        let mut at = HEADER;
        while at + length <= end {
            let tag = match third {
                true => Tag {
                    block: format::join(be32(bytes, at), be32(bytes, at + 8)),
                    flags: be32(bytes, at + 4),
                    sum: be32(bytes, at + 12),
                },
                false => Tag {
                    block: format::join(
                        be32(bytes, at),
                        if wide { be32(bytes, at + 8) } else { 0 },
                    ),
                    flags: u32::from(be16(bytes, at + 6)),
                    sum: u32::from(be16(bytes, at + 4)),
                },
            };
            at += length;
            if tag.flags & TAG_SAME_UUID == 0 {
                at += 16;
            }
            let last = tag.flags & TAG_LAST != 0;
            tags.push(tag);
            if last {
                break;
            }
        }
        tags
    }

    /// The blocks that a transaction takes back: earlier contents of theirs are not put in place.
    fn revocations(&self, bytes: &[u8]) -> Vec<u64> {
        let wide = self.incompat & INCOMPAT_BITS64 != 0;
        let end = bytes.len() - usize::from(self.has_sums()) * TAIL;
        let used = (be32(bytes, HEADER) as usize).clamp(HEADER + 4, end);
        let entries = bytes[HEADER + 4..used].chunks_exact(if wide { 8 } else { 4 });
        entries
            .map(|entry| match wide {
                true => format::join(be32(entry, 4), be32(entry, 0)),
                false => u64::from(be32(entry, 0)),
            })
            .collect()
    }
}
