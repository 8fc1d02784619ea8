//! All that is wrong with a file system, as far as its blocks are concerned.

use super::FileSystem;
use super::finding::Finding;
use super::survey;
use crate::error::Result;
use crate::progress::Progress;
use crate::storage::ReadAt;

/// More findings than this are not listed.
const MOST: usize = 1000;

/// Walks over the file system in `view` and tells what it finds, the state it is in first.
///
/// Not all of it is damage ([`Finding::is_damage`]). While the journal needs recovery, the walk
/// would find things that its replay puts right; then only the state is told.
///
/// Checked are the superblock, descriptors, bitmaps, inodes in use, the maps of their blocks, and
/// the numbers of free blocks and inodes. Names, attributes and contents are not.
///
/// # Errors
/// Damaged: no ext2, ext3 or ext4, or its shape contradicts itself. Unsupported: features that
/// change the shape. Those of reading, and cancelled.
pub fn consistency(view: &dyn ReadAt, progress: &dyn Progress) -> Result<Vec<Finding>> {
    let fs = FileSystem::open(view)?;
    let mut findings = survey::state(fs.superblock());
    if !findings.contains(&Finding::NeedsRecovery) {
        findings.extend(survey::survey(&fs, progress, MOST)?.findings);
    }
    Ok(findings)
}
