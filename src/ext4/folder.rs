//! Folders: the names in one of their blocks.

use super::FileSystem;
use super::format::{le16, le32};
use crate::error::Result;

/// Inode, length, name's length and kind.
const ENTRY: usize = 8;

impl FileSystem<'_> {
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
