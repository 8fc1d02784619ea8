//! Which chunk is whose.

use crate::ext4::{Geometry, Inode, Owner, Visitor};
use crate::overlay::ExceptionStore;
use std::collections::BTreeSet;
use std::ops::Range;

/// The chunks that an overlay holds, and who owns them.
pub struct Owners {
    /// The chunks of the image that have a copy, in order.
    chunks: Vec<u64>,
    /// Who owns each.
    owners: Vec<Option<Owner>>,
    block_bytes: u64,
    chunk_bytes: u64,
    /// The inodes of all folders.
    pub folders: BTreeSet<u32>,
    /// Those of them that are inside their inodes.
    pub inline: Vec<u32>,
    /// The blocks of all others.
    pub folder_blocks: Vec<(Range<u64>, u32)>,
}

impl Owners {
    /// Nobody owns any of them yet.
    pub fn new(list: &ExceptionStore, geometry: &Geometry) -> Owners {
        Owners {
            chunks: list.iter().map(|exception| exception.old.0).collect(),
            owners: vec![None; list.len()],
            block_bytes: u64::from(geometry.block_bytes),
            chunk_bytes: list.chunk_size().bytes().0,
            folders: BTreeSet::new(),
            inline: Vec::new(),
            folder_blocks: Vec::new(),
        }
    }

    /// The owner of each chunk, in the list's order by old chunk.
    pub fn of_chunks(&self) -> impl Iterator<Item = Option<Owner>> {
        self.owners.iter().copied()
    }

    /// The inodes that own something.
    pub fn inodes(&self) -> BTreeSet<u32> {
        let inode = |owner: Option<Owner>| match owner {
            Some(Owner::Inode(inode)) => Some(inode),
            _ => None,
        };
        self.of_chunks().filter_map(inode).collect()
    }
}

impl Visitor for Owners {
    fn inode(&mut self, inode: &Inode) {
        if inode.is_folder() {
            self.folders.insert(inode.number);
            if inode.is_inline() {
                self.inline.push(inode.number);
            }
        }
    }

    fn uses(&mut self, owner: Owner, blocks: Range<u64>) {
        let first = blocks.start * self.block_bytes / self.chunk_bytes;
        let end = (blocks.end * self.block_bytes).div_ceil(self.chunk_bytes);
        let from = self.chunks.partition_point(|chunk| *chunk < first);
        let held = self.chunks[from..].iter().take_while(|chunk| **chunk < end);
        for place in &mut self.owners[from..from + held.count()] {
            place.get_or_insert(owner);
        }
    }

    fn names(&mut self, folder: u32, blocks: Range<u64>) {
        self.folder_blocks.push((blocks, folder));
    }
}
