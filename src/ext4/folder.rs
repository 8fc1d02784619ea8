//! Folders: the names in one of their blocks.

use super::FileSystem;
use super::format::{le16, le32};
use super::inode::Inode;
use super::runs::Kind;
use crate::error::{Error, Result};

/// Inode, length, name's length and kind.
const ENTRY: usize = 8;

/// The root folder's inode.
pub const ROOT: u32 = 2;

impl FileSystem<'_> {
    /// The inode at the end of a path of names from the root on; none where there is no such
    /// thing. Links are not followed.
    ///
    /// # Errors
    /// Damaged: a folder on the way contradicts itself. Those of reading.
    pub fn find(&self, path: &[&str]) -> Result<Option<Inode>> {
        let mut at = self.inode(ROOT)?;
        for name in path {
            if !at.is_folder() {
                return Ok(None);
            }
            let mut next = None;
            for run in self.runs(&at) {
                let run = run.map_err(Error::from)?;
                if run.kind != Kind::Data {
                    continue;
                }
                for block in run.blocks() {
                    self.names(block, |found, inode| {
                        if found == name.as_bytes() {
                            next = Some(inode);
                        }
                    })?;
                }
            }
            at = match next {
                Some(inode) => self.inode(inode)?,
                None => return Ok(None),
            };
        }
        Ok(Some(at))
    }

    /// The contents of a file, up to a block's length; none where its first block has none.
    ///
    /// # Errors
    /// Those of reading; damaged.
    pub fn beginning(&self, file: &Inode) -> Result<Option<Vec<u8>>> {
        for run in self.runs(file) {
            let run = run.map_err(Error::from)?;
            if run.kind == Kind::Data {
                let mut bytes = Vec::new();
                self.read_block(run.block, &mut bytes)?;
                let whole = usize::try_from(file.bytes).unwrap_or(usize::MAX);
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
    pub fn names(&self, block: u64, mut visit: impl FnMut(&[u8], u32)) -> Result<bool> {
        let mut bytes = Vec::new();
        self.read_block(block, &mut bytes)?;
        let mut at = 0;
        while at + ENTRY <= bytes.len() {
            let inode = le32(&bytes, at);
            let length = match le16(&bytes, at + 4) {
                // As long as blocks of 64 KiB, which the number cannot say.
                0 | u16::MAX if bytes.len() > usize::from(u16::MAX) => bytes.len(),
                length => usize::from(length),
            };
            let name = usize::from(bytes[at + 6]);
            if length < ENTRY + name || !length.is_multiple_of(4) || at + length > bytes.len() {
                return Ok(false);
            }
            if inode != 0 {
                visit(&bytes[at + ENTRY..at + ENTRY + name], inode);
            }
            at += length;
        }
        Ok(true)
    }
}
