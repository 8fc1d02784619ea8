//! Who uses which blocks, told to whoever wants to know.

use super::FileSystem;
use super::finding::Owner;
use super::folder::ROOT;
use super::inode::Inode;
use super::survey;
use crate::error::Result;
use crate::progress::Progress;
use std::ops::Range;

/// Listens to a walk over a file system.
pub trait Visitor {
    /// This inode is in use; what it uses follows.
    fn inode(&mut self, inode: &Inode);

    /// `owner` uses these blocks, which nobody was met before that does.
    fn uses(&mut self, owner: Owner, blocks: Range<u64>);

    /// The names in the folder whose inode this is lie in these blocks ([`FileSystem::names`]).
    fn names(&mut self, folder: u32, blocks: Range<u64>);
}

impl FileSystem<'_> {
    /// Walks over all of it, the layout first and then the inodes, and tells `visitor` who uses
    /// what: each block once at the most. What is damaged is passed over; gives how many such
    /// things there were.
    ///
    /// # Errors
    /// Those of reading, and cancelled.
    pub fn visit(&self, progress: &dyn Progress, visitor: &mut dyn Visitor) -> Result<u64> {
        survey::listen(self, progress, visitor)
    }

    /// The inode of the journal, where it lies inside.
    pub fn journal(&self) -> Option<u32> {
        self.superblock().journal_inode()
    }

    /// Whether an inode is the file system's own, which no name leads to: a reserved one, or one that
    /// the superblock names. The root is not.
    pub fn is_own(&self, inode: u32) -> bool {
        let reserved = inode < self.geometry().first_inode && inode != ROOT;
        reserved || self.superblock().own_inodes().contains(&inode)
    }
}
