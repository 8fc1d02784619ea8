//! The ext4 file system inside the image: which it is, how it was left, and which blocks are free.
//!
//! Reads only, through [`ReadAt`], the view *image (+) overlay* as well as the
//! image alone. Nothing read is believed: sizes are bounded before memory is
//! taken for them, block numbers are checked before they are followed, and
//! what contradicts itself becomes a [`Finding`] or an error, never a panic.
//!
//! - [`Superblock`]: identity and state, of any ext2, ext3 or ext4.
//! - [`FileSystem`]: superblock, shape and group descriptors; inodes, and the
//!   runs of blocks that they use.
//! - [`free_blocks`]: which blocks nothing uses, where that can be trusted.
//! - [`consistency`]: all that a walk over it finds wrong.
//! - [`FileSystem::visit`]: who uses which blocks, as far as that can be told.
//! - [`Replayed`]: the view that a mount would make, its journal in place.

mod bitmap;
mod check;
mod finding;
mod folder;
mod format;
mod free;
mod geometry;
mod groups;
mod inode;
mod journal;
mod runs;
mod special;
mod superblock;
mod survey;
mod visit;

pub use check::consistency;
pub use finding::{Finding, Owner};
pub use folder::ROOT;
pub use free::{FreeBlocks, Trust, claimed_free, free_blocks};
pub use geometry::Geometry;
pub use inode::Inode;
pub use journal::Replayed;
pub use runs::{Fault, Kind, Run, Runs};
pub use superblock::{State, Superblock, Uuid};
pub use visit::Visitor;

use crate::error::{Doing, Error, Part, Result};
use crate::storage::ReadAt;
use std::fmt;

/// A file system whose superblock and shape were checked.
///
/// Group descriptors are read, but only a walk ([`consistency`]) tells whether they are right.
pub struct FileSystem<'v> {
    view: &'v dyn ReadAt,
    view_bytes: u64,
    superblock: Superblock,
    geometry: Geometry,
    groups: Vec<groups::Group>,
}

impl<'v> FileSystem<'v> {
    /// Reads superblock and group descriptors of the file system that `view` holds.
    ///
    /// # Errors
    /// Damaged: no such file system, or it contradicts itself, or reaches beyond the view.
    /// Unsupported: features that are not handled, named. Those of reading.
    pub fn open(view: &'v dyn ReadAt) -> Result<FileSystem<'v>> {
        FileSystem::with(view, Superblock::read(view)?)
    }

    /// The same with a superblock that was read already.
    fn with(view: &'v dyn ReadAt, superblock: Superblock) -> Result<FileSystem<'v>> {
        let geometry = superblock.geometry()?;
        let view_bytes = view.size().doing("reading the inner image's size")?.0;
        if geometry.bytes() > view_bytes {
            return Err(Error::damaged(
                Part::Ext4,
                format!(
                    "the file system has {} bytes, and only {view_bytes} are there",
                    geometry.bytes()
                ),
            ));
        }
        let mut fs = FileSystem {
            view,
            view_bytes,
            superblock,
            geometry,
            groups: Vec::new(),
        };
        fs.groups = fs.read_groups()?;
        Ok(fs)
    }

    /// Its superblock.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// Its shape.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn groups(&self) -> &[groups::Group] {
        &self.groups
    }

    fn view(&self) -> &'v dyn ReadAt {
        self.view
    }

    /// Reads a block; `bytes` becomes exactly its contents.
    fn read_block(&self, block: u64, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.resize(self.geometry.block_bytes as usize, 0);
        self.view
            .read_at(bytes, block * u64::from(self.geometry.block_bytes))
            .doing("reading ext4 metadata")
    }
}

impl fmt::Debug for FileSystem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSystem")
            .field("superblock", &self.superblock)
            .field("geometry", &self.geometry)
            .finish_non_exhaustive()
    }
}
