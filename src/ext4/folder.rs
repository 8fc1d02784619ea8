//! Folders: the names in one of their blocks, or inside an inode.

use super::FileSystem;
use super::format::{le16, le32};
use super::inode::Inode;
use super::runs::{Kind, Run};
use crate::error::{Error, Result};
use crate::progress::Progress;
use std::ops::Range;

/// Inode, length, name's length and kind.
const ENTRY: usize = 8;

/// The root folder's inode.
pub const ROOT: u32 = 2;

impl FileSystem<'_> {
    /// The inode at the end of a path of names from the root on; none where there is no such
    /// thing. Links are not followed.
    ///
    /// # Errors
    /// Damaged: a folder on the way contradicts itself. Those of reading, and cancelled.
    pub fn find(&self, path: &[&str], progress: &dyn Progress) -> Result<Option<Inode>> {
        let mut at = self.inode(ROOT)?;
        for name in path {
            match self.entry(&at, name.as_bytes(), progress)? {
                Some(inode) => at = self.inode(inode)?,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// The inode that `name` stands for in a folder; none where it is not there, or that is no folder.
    fn entry(&self, folder: &Inode, name: &[u8], progress: &dyn Progress) -> Result<Option<u32>> {
        if !folder.is_folder() {
            return Ok(None);
        }
        let mut entry = None;
        let look = |entry: &mut Option<u32>, found: &[u8], inode: u32| {
            if found == name {
                entry.get_or_insert(inode);
            }
        };
        if folder.is_inline() {
            folder.inline_names(|found, inode| look(&mut entry, found, inode));
            return Ok(entry);
        }
        let end = self.names_end(folder);
        for run in self.runs(folder) {
            progress.check()?;
            let run = run.map_err(Error::from)?;
            if run.file_block >= end {
                break;
            }
            for block in self.names_in(folder, &run) {
                progress.check()?;
                self.names(block, |found, inode| look(&mut entry, found, inode))?;
                if entry.is_some() {
                    return Ok(entry);
                }
            }
        }
        Ok(None)
    }

    /// How many blocks of names a folder has.
    fn names_end(&self, folder: &Inode) -> u64 {
        folder
            .bytes
            .div_ceil(u64::from(self.geometry().block_bytes))
    }

    /// The blocks of a folder's run that hold names: what lies beyond its length holds none.
    pub(super) fn names_in(&self, folder: &Inode, run: &Run) -> Range<u64> {
        let left = self.names_end(folder).saturating_sub(run.file_block);
        match run.kind {
            Kind::Data => run.block..run.block + run.count.min(left),
            Kind::Unwritten | Kind::Map => run.block..run.block,
        }
    }

    /// The contents of a file, up to a block's length; none where its first block has none.
    ///
    /// # Errors
    /// Those of reading; damaged.
    pub fn beginning(&self, file: &Inode) -> Result<Option<Vec<u8>>> {
        let whole = usize::try_from(file.bytes).unwrap_or(usize::MAX);
        if let Some(behind) = &file.inline {
            let mut bytes = [&file.map[..], behind].concat();
            bytes.truncate(whole);
            return Ok(Some(bytes));
        }
        for run in self.runs(file) {
            let run = run.map_err(Error::from)?;
            if run.kind == Kind::Data {
                let mut bytes = Vec::new();
                self.read_block(run.block, &mut bytes)?;
                bytes.truncate(whole);
                return Ok((run.file_block == 0).then_some(bytes));
            }
        }
        Ok(None)
    }

    /// Calls `visit` with each name in a block of a folder, and the inode that it names; `.` and
    /// `..` are among them. False where the block contradicts itself: what stands behind that is
    /// passed over.
    ///
    /// The blocks of a hashed folder's index read as if they held no names (the kernel's
    /// Documentation/filesystems/ext4/directory.rst).
    ///
    /// # Errors
    /// Those of reading.
    pub fn names(&self, block: u64, visit: impl FnMut(&[u8], u32)) -> Result<bool> {
        let mut bytes = Vec::new();
        self.read_block(block, &mut bytes)?;
        Ok(entries(&bytes, visit))
    }
}

impl Inode {
    /// As [`FileSystem::names`], of a folder inside its inode; `.` and `..` are not among them.
    ///
    /// Behind the number of the folder above, the rest of the map is like a block of names, and
    /// the attribute is another one.
    pub fn inline_names(&self, mut visit: impl FnMut(&[u8], u32)) -> bool {
        let behind = self.inline.as_deref().unwrap_or_default();
        entries(&self.map[4..], &mut visit) && entries(behind, visit)
    }
}

/// Calls `visit` with each name in `bytes`. False where they contradict themselves.
fn entries(bytes: &[u8], mut visit: impl FnMut(&[u8], u32)) -> bool {
    let mut at = 0;
    while at + ENTRY <= bytes.len() {
        let inode = le32(bytes, at);
        let length = match le16(bytes, at + 4) {
            // As long as blocks of 64 KiB, which the number cannot say.
            0 | u16::MAX if bytes.len() > usize::from(u16::MAX) => bytes.len(),
            length => usize::from(length),
        };
        let name = usize::from(bytes[at + 6]);
        if length < ENTRY + name || !length.is_multiple_of(4) || at + length > bytes.len() {
            return false;
        }
        if inode != 0 {
            visit(&bytes[at + ENTRY..at + ENTRY + name], inode);
        }
        at += length;
    }
    true
}
