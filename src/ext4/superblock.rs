//! The superblock: which file system it is, and in which state.
//!
//! It is read from any ext2, ext3 or ext4, whatever its features: its identity
//! and state stand where they always stood. What follows from it for where
//! things lie is had only of what this module can read ([`Superblock::geometry`]).

use super::format::{self, compat, incompat, le16, le32, ro_compat};
use crate::error::{Doing, Error, Part, Result};
use crate::storage::ReadAt;
use std::fmt;

/// A file system's own number, as `blkid` writes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Uuid(pub [u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How a file system was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Unmounted cleanly (without a journal: since it was last mounted to write).
    pub valid: bool,
    /// The kernel or e2fsck marked it as having errors.
    pub errors: bool,
    /// How many errors the kernel counted since the last full check.
    pub error_count: u32,
    /// Files that were deleted while open, or cut, still wait to be removed.
    pub orphans: bool,
    /// Its journal holds changes that are not in place yet.
    pub needs_recovery: bool,
    /// It has a journal, inside or on another device.
    pub has_journal: bool,
}

impl State {
    /// Whether errors were recorded, by mark or by count.
    pub fn has_errors(&self) -> bool {
        self.errors || self.error_count > 0
    }
}

/// The feature sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Features {
    compat: u32,
    incompat: u32,
    ro_compat: u32,
}

impl Features {
    pub(super) fn compat(self, mask: u32) -> bool {
        self.compat & mask != 0
    }

    pub(super) fn incompat(self, mask: u32) -> bool {
        self.incompat & mask != 0
    }

    pub(super) fn ro_compat(self, mask: u32) -> bool {
        self.ro_compat & mask != 0
    }

    /// Whether group descriptors have checksums, and groups may be uninitialised.
    pub(super) fn group_sums(self) -> bool {
        self.ro_compat(ro_compat::GDT_CSUM | ro_compat::METADATA_CSUM)
    }

    /// Whether all metadata has checksums.
    pub(super) fn metadata_sums(self) -> bool {
        self.ro_compat(ro_compat::METADATA_CSUM)
    }

    /// What must be known to read it, and is not.
    pub(super) fn unreadable(self) -> Vec<String> {
        let mut names = format::feature_names('I', self.incompat & !incompat::KNOWN);
        names.extend(format::feature_names(
            'R',
            self.ro_compat & ro_compat::BIGALLOC,
        ));
        names
    }

    /// What might use blocks in a way that is not known here.
    pub(super) fn unaccounted(self) -> Vec<String> {
        let mut names = format::feature_names('C', self.compat & !compat::KNOWN);
        names.extend(format::feature_names(
            'R',
            self.ro_compat & !ro_compat::KNOWN,
        ));
        names
    }
}

/// A primary superblock with the right magic, revision and checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    pub(super) bytes: Box<[u8; format::SUPERBLOCK_BYTES]>,
    features: Features,
}

impl Superblock {
    /// Reads the primary superblock of the file system that `view` holds.
    ///
    /// # Errors
    /// As [`Superblock::parse`], and those of reading.
    pub fn read(view: &dyn ReadAt) -> Result<Superblock> {
        let end = format::SUPERBLOCK_AT + format::SUPERBLOCK_BYTES as u64;
        if view.size().doing("reading the inner image's size")?.0 < end {
            return Err(damaged("too short for a superblock"));
        }
        let mut bytes = [0; format::SUPERBLOCK_BYTES];
        view.read_at(&mut bytes, format::SUPERBLOCK_AT)
            .doing("reading the ext4 superblock")?;
        Superblock::parse(&bytes)
    }

    /// Takes a superblock's bytes.
    ///
    /// # Errors
    /// Damaged: no ext2, ext3 or ext4, or a wrong checksum. Unsupported: a later revision or
    /// another kind of checksum.
    pub fn parse(bytes: &[u8; format::SUPERBLOCK_BYTES]) -> Result<Superblock> {
        if le16(bytes, 0x38) != format::MAGIC {
            return Err(damaged("no ext4 superblock: its magic is missing"));
        }
        // Revision 0 has no feature sets; what stands in their place is not to be read.
        let features = match le32(bytes, 0x4c) {
            0 => Features {
                compat: 0,
                incompat: 0,
                ro_compat: 0,
            },
            1 => Features {
                compat: le32(bytes, 0x5c),
                incompat: le32(bytes, 0x60),
                ro_compat: le32(bytes, 0x64),
            },
            revision => {
                return Err(unsupported(format!("ext4 of revision {revision}")));
            }
        };
        if features.metadata_sums() {
            if bytes[0x175] != 1 {
                return Err(unsupported(format!(
                    "ext4 with checksums of kind {}",
                    bytes[0x175]
                )));
            }
            if format::crc32c(!0, &bytes[..0x3fc]) != le32(bytes, 0x3fc) {
                return Err(damaged("the superblock's checksum is wrong"));
            }
        }
        Ok(Superblock {
            bytes: Box::new(*bytes),
            features,
        })
    }

    /// The file system's UUID.
    pub fn uuid(&self) -> Uuid {
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&self.bytes[0x68..0x78]);
        Uuid(uuid)
    }

    /// Its label; empty where it has none.
    pub fn label(&self) -> String {
        let bytes = &self.bytes[0x78..0x88];
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }

    /// When it was made, in seconds since 1970; 0 where that was not written down.
    pub fn created(&self) -> u64 {
        format::join(le32(&*self.bytes, 0x108), u32::from(self.bytes[0x276]))
    }

    /// How it was left.
    pub fn state(&self) -> State {
        let state = le16(&*self.bytes, 0x3a);
        State {
            valid: state & format::STATE_VALID != 0 && state & format::STATE_REPLAY == 0,
            errors: state & format::STATE_ERRORS != 0,
            error_count: le32(&*self.bytes, 0x194),
            orphans: state & format::STATE_ORPHANS != 0
                || le32(&*self.bytes, 0xe8) != 0
                || self.features.ro_compat(ro_compat::ORPHAN_PRESENT),
            needs_recovery: self.features.incompat(incompat::RECOVER),
            has_journal: self.features.compat(compat::HAS_JOURNAL),
        }
    }

    pub(super) fn features(&self) -> Features {
        self.features
    }

    /// The journal's inode; none where the journal lies on another device.
    pub(super) fn journal_inode(&self) -> Option<u32> {
        Some(le32(&*self.bytes, 0xe0)).filter(|inode| *inode != 0)
    }

    /// The inode of the file that lists orphans.
    pub(super) fn orphan_inode(&self) -> u32 {
        le32(&*self.bytes, 0x280)
    }

    /// The inodes of files that the file system keeps for itself, wherever their numbers lie: of
    /// orphans, and of the quotas of users, groups and projects.
    pub(super) fn own_inodes(&self) -> Vec<u32> {
        let mut own = Vec::new();
        if self.features.compat(compat::ORPHAN_FILE) {
            own.push(self.orphan_inode());
        }
        if self.features.ro_compat(ro_compat::QUOTA) {
            own.extend([0x240, 0x244, 0x26c].map(|at| le32(&*self.bytes, at)));
        }
        own
    }

    /// Free blocks, as last written down.
    pub(super) fn free_blocks(&self) -> u64 {
        let high = match self.features.incompat(incompat::BITS64) {
            true => le32(&*self.bytes, 0x158),
            false => 0,
        };
        format::join(le32(&*self.bytes, 0xc), high)
    }

    /// Free inodes, as last written down.
    pub(super) fn free_inodes(&self) -> u32 {
        le32(&*self.bytes, 0x10)
    }

    /// What all other checksums begin with.
    pub(super) fn seed(&self) -> u32 {
        if self.features.incompat(incompat::CSUM_SEED) {
            le32(&*self.bytes, 0x270)
        } else {
            format::crc32c(!0, &self.bytes[0x68..0x78])
        }
    }
}

pub(super) fn damaged(detail: impl Into<String>) -> Error {
    Error::damaged(Part::Ext4, detail)
}

pub(super) fn unsupported(detail: impl Into<String>) -> Error {
    Error::unsupported(Part::Ext4, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_written_as_everywhere() {
        let uuid = Uuid([
            0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 1, 2, 3, 4, 5, 6, 7, 8,
        ]);
        assert_eq!(uuid.to_string(), "01234567-89ab-cdef-0102-030405060708");
    }
}
