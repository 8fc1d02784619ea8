//! Which blocks nothing uses, where that can be trusted.

use super::FileSystem;
use super::bitmap::Bitmap;
use super::finding::Finding;
use super::superblock::Superblock;
use super::survey;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::storage::ReadAt;
use std::ops::Range;

/// Whether it is known which blocks are free.
#[derive(Debug, Clone)]
pub enum Trust {
    /// These are, for sure.
    Free(FreeBlocks),
    /// It is not known, because of what was found first. No block may be treated as free.
    No(Finding),
}

/// The blocks that nothing uses.
#[derive(Debug, Clone)]
pub struct FreeBlocks {
    used: Bitmap,
    block_bytes: u64,
    /// Where the file system begins to account for blocks, and its end, in bytes.
    accounted: Range<u64>,
    image_bytes: u64,
}

impl FreeBlocks {
    fn new(fs: &FileSystem, used: Bitmap) -> FreeBlocks {
        let geometry = fs.geometry();
        let block_bytes = u64::from(geometry.block_bytes);
        FreeBlocks {
            used,
            block_bytes,
            accounted: geometry.first_block * block_bytes..geometry.bytes(),
            image_bytes: fs.view_bytes,
        }
    }

    /// A block's size in bytes.
    pub fn block_bytes(&self) -> u64 {
        self.block_bytes
    }

    /// Whether all of `bytes` that the image has lie in free blocks.
    ///
    /// What lies beyond the image's end does not count; a range that lies there wholly, or is
    /// empty, is not free. Neither is the boot block, nor what lies in the image behind the file
    /// system's end.
    pub fn is_free_range(&self, bytes: Range<u64>) -> bool {
        let end = bytes.end.min(self.image_bytes);
        if bytes.start >= end || bytes.start < self.accounted.start || end > self.accounted.end {
            return false;
        }
        let blocks = bytes.start / self.block_bytes..end.div_ceil(self.block_bytes);
        !self.used.any(blocks)
    }

    /// Whether any block that `bytes` touches is free: quickly told, where most are not.
    pub fn has_free(&self, bytes: Range<u64>) -> bool {
        let blocks = bytes.start / self.block_bytes..bytes.end.div_ceil(self.block_bytes);
        !self.used.all(blocks)
    }

    /// The free runs in bytes, in order, each as long as it goes.
    pub fn runs(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.used
            .runs(false)
            .map(|run| run.start * self.block_bytes..run.end * self.block_bytes)
    }

    /// How many bytes are free.
    pub fn bytes(&self) -> u64 {
        self.runs().map(|run| run.end - run.start).sum()
    }
}

/// Finds out which blocks of the file system in `view` are free, and whether that can be trusted.
///
/// It can if all of this holds: the features are known; there is a journal inside, which needs no
/// recovery, holds nothing and recorded no error; the file system was unmounted cleanly, without
/// errors or orphans; all checksums of descriptors, bitmaps, inodes in use and extent trees are
/// right; the numbers of free blocks and inodes are; and a walk over all inodes and the layout uses
/// exactly the blocks that the bitmaps call used, each once. And if nobody has it mounted meanwhile,
/// which the caller must know.
///
/// Reads the superblock, descriptors, bitmaps, the written parts of the inode tables, and the
/// blocks of the files' maps; ends at the first thing that speaks against trust. Memory: two bits a
/// block (three where attributes have blocks of their own), so some 300 KiB for 3 GiB.
///
/// # Errors
/// Damaged: no ext2, ext3 or ext4, or its shape contradicts itself. Those of reading, and cancelled.
/// Anything else that is off is [`Trust::No`].
pub fn free_blocks(view: &dyn ReadAt, progress: &dyn Progress) -> Result<Trust> {
    let superblock = match Superblock::read(view) {
        Err(Error::Unsupported { detail, .. }) => {
            return Ok(Trust::No(Finding::Unsupported(detail)));
        }
        other => other?,
    };
    if let Some(finding) = survey::state(&superblock).into_iter().next() {
        return Ok(Trust::No(finding));
    }
    let fs = match FileSystem::with(view, superblock) {
        Err(Error::Unsupported { detail, .. }) => {
            return Ok(Trust::No(Finding::Unsupported(detail)));
        }
        other => other?,
    };
    let outcome = survey::survey(&fs, progress, 1)?;
    if let Some(finding) = outcome.findings.into_iter().next() {
        return Ok(Trust::No(finding));
    }
    Ok(Trust::Free(FreeBlocks::new(&fs, outcome.used)))
}

/// The blocks that the bitmaps call free, believed without a walk: a hint what may be worth a
/// look, never a reason to forget anything. None where not even the bitmaps can be read.
///
/// # Errors
/// Those of reading, and cancelled.
pub fn claimed_free(view: &dyn ReadAt, progress: &dyn Progress) -> Result<Option<FreeBlocks>> {
    let fs = match FileSystem::open(view) {
        Err(Error::Damaged { .. } | Error::Unsupported { .. }) => return Ok(None),
        other => other?,
    };
    let marked = survey::marked(&fs, progress)?;
    Ok(marked.map(|used| FreeBlocks::new(&fs, used)))
}
